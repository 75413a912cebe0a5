"""The Dataset convention: names, exclusion flags, CF attributes, and what is checked."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Hashable
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
import xarray as xr

from .grid import SPATIAL_REF
from .units import dequantify, units_of

MU, SIGMA, MASK, SOURCE = "mu", "sigma", "mask", "source"
CONVENTIONS = "CF-1.13"


class Exclusion(enum.IntFlag):
    """Why a pixel is excluded: the bits of `mask`. 0 is usable."""

    CLOUD = 1
    SHADOW = 2
    VEGETATION = 4
    DEFECTIVE = 8
    GFM = 16
    UNKNOWN = 32
    READ_FAILED = 64
    USER = 128


FLAG_ATTRS: dict[str, Any] = {
    "standard_name": "status_flag",
    "long_name": "reasons for exclusion, 0 where usable",
    "flag_masks": np.array(list(Exclusion), np.uint8),
    "flag_meanings": " ".join(str(flag.name).lower() for flag in Exclusion),
}
FLAG_ATTRS["flag_masks"].flags.writeable = False  # one table, shared by every mask


@runtime_checkable
class HasDataset(Protocol):
    """Anything that carries a retrieval, such as a product."""

    @property
    def dataset(self) -> xr.Dataset:
        """The retrieval."""


Retrieval: TypeAlias = xr.Dataset | HasDataset
Time: TypeAlias = str | np.datetime64 | dt.datetime | dt.date


def as_retrieval(obj: Retrieval) -> xr.Dataset:
    """Return the Dataset of a product or Dataset, checked and without pint quantities."""
    dataset = obj if isinstance(obj, xr.Dataset) else getattr(obj, "dataset", None)
    if not isinstance(dataset, xr.Dataset):
        msg = f"a retrieval is a Dataset or a product, not {type(obj).__name__}: xf.retrieval(...)"
        raise TypeError(msg)
    dataset = dequantify(dataset)
    if SPATIAL_REF in dataset.data_vars:
        dataset = dataset.set_coords(SPATIAL_REF)
    return validate(dataset)


def validate(dataset: xr.Dataset) -> xr.Dataset:
    """Check by its metadata that a Dataset is a retrieval, and return it.

    Raises
    ------
    ValueError
        Naming the variable, what it has, what it should have and the call that mends it.
    """
    missing = [name for name in (MU, SIGMA) if name not in dataset.data_vars]
    if missing:
        msg = (
            f"a retrieval has the variables 'mu' and 'sigma'; this Dataset lacks {missing} and "
            f"has {list(dataset.data_vars)}: build it with xf.retrieval(mu, sigma)"
        )
        raise ValueError(msg)
    mu = dataset[MU]
    for name in (SIGMA, MASK):
        if name in dataset.data_vars and dataset[name].dims != mu.dims:
            msg = (
                f"{name} has dims {dataset[name].dims}, mu has {mu.dims}: "
                f"call {name}.transpose(*mu.dims) or {name}.broadcast_like(mu)"
            )
            raise ValueError(msg)
    for name in (MU, SIGMA):
        if dataset[name].dtype not in (np.float32, np.float64):
            msg = (
                f"{name} is {dataset[name].dtype}, not float32 or float64: "
                f"convert it with {name}.astype('float32'), missing values as NaN"
            )
            raise ValueError(msg)
    if MASK in dataset.data_vars and dataset[MASK].dtype != np.uint8:
        msg = (
            f"mask is {dataset[MASK].dtype}, not uint8 flags: a bool mask (True = excluded) goes "
            "through xf.retrieval(mu, sigma, mask) or ds.fusion.exclude(mask)"
        )
        raise ValueError(msg)
    units, sigma_units = units_of(mu), units_of(dataset[SIGMA])
    if sigma_units is not None and sigma_units != units:
        msg = (
            f"sigma is in {sigma_units!r}, mu in {units!r}: convert sigma to the units of mu, "
            "e.g. with sigma.pint.quantify().pint.to(...) from xfusion[units]"
        )
        raise ValueError(msg)
    return dataset


def annotate(dataset: xr.Dataset) -> xr.Dataset:
    """Return the retrieval with the CF attributes that tie its variables together.

    Units, long name and standard name of `mu` are the caller's and stay.
    """
    dataset = dataset.copy()
    mu = dataset[MU]
    related = [str(name) for name in dataset.data_vars if name not in (MU, SPATIAL_REF)]
    attrs: dict[Hashable, dict[str, Any]] = {k: v.attrs for k, v in dataset.data_vars.items()}
    attrs[MU] = {"long_name": "best estimate"} | mu.attrs
    attrs[MU]["ancillary_variables"] = " ".join(related)
    # a sigma computed from mu may have come with mu's own attributes
    of_mu = {k for k in ("long_name", "ancillary_variables") if k in mu.attrs}
    own = {k: v for k, v in dataset[SIGMA].attrs.items() if k not in of_mu or v != mu.attrs[k]}
    attrs[SIGMA] = {"long_name": "standard deviation of mu"} | own
    if "units" in mu.attrs:
        attrs[SIGMA]["units"] = mu.attrs["units"]
    if "standard_name" in mu.attrs:
        attrs[SIGMA]["standard_name"] = f"{mu.attrs['standard_name']} standard_error"
    if MASK in dataset:
        attrs[MASK] = dataset[MASK].attrs | FLAG_ATTRS
    has_crs = SPATIAL_REF in dataset.coords
    for name in dataset.data_vars:
        # in encoding, as rioxarray keeps it: xarray refuses to write it from both places
        kept = {k: v for k, v in attrs[name].items() if k != "grid_mapping" or not has_crs}
        dataset[name].attrs = kept
        if has_crs:
            dataset[name].encoding["grid_mapping"] = SPATIAL_REF
    if has_crs:
        # else a plain xr.open_zarr takes spatial_ref for a data variable
        labels = [str(k) for k in dataset.coords if k not in dataset.dims]
        dataset[MU].encoding["coordinates"] = " ".join(labels)
    return dataset.assign_attrs(Conventions=CONVENTIONS)


def as_time(time: Time) -> np.datetime64:
    """Return a time as UTC datetime64[ns]."""
    if isinstance(time, dt.datetime) and time.tzinfo is not None:
        time = time.astimezone(dt.UTC).replace(tzinfo=None)
    if isinstance(time, str) and time.endswith("Z"):
        time = time[:-1]
    moment: Any = np.array(time, "datetime64[ns]")[()]
    return cast("np.datetime64", moment)
