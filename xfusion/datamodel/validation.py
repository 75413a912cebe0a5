"""What makes a Dataset a retrieval, checked by its metadata."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import xarray as xr

from .chunks import check_known
from .conventions import of_no_store
from .flags import whole_flags
from .names import BAND, MASK, MU, NODATA, PACKING, SIGMA, SPATIAL_REF
from .units import dequantify, fits_deviation, same_units, units_of


@runtime_checkable
class HasDataset(Protocol):
    """Anything that carries a retrieval, such as a product."""

    @property
    def dataset(self) -> xr.Dataset:
        """The retrieval."""


Retrieval: TypeAlias = xr.Dataset | HasDataset


def as_retrieval(obj: Retrieval) -> xr.Dataset:
    """Return the Dataset of a product or Dataset, checked and without pint quantities."""
    dataset = obj if isinstance(obj, xr.Dataset) else getattr(obj, "dataset", None)
    if not isinstance(dataset, xr.Dataset):
        msg = f"a retrieval is a Dataset or a product, not {type(obj).__name__}: xf.retrieval(...)"
        raise TypeError(msg)
    for name, variable in dataset.variables.items():
        if variable.chunks is not None:
            check_known(str(name), variable)
    dataset = of_no_store(with_spatial_ref(dequantify(dataset)))
    if MU in dataset.data_vars and dataset[MU].sizes.get(BAND) == 1:
        dataset = dataset.isel({BAND: 0}, drop=True)
    for name in (MU, SIGMA):
        if name in dataset.data_vars and {*NODATA, *PACKING} & {*dataset[name].attrs}:
            dataset = dataset.assign({name: decoded(dataset[name])})
    if MASK in dataset.data_vars and dataset[MASK].dtype.kind == "f":
        dataset = dataset.assign({MASK: whole_flags(dataset[MASK])})
    return validate(dataset)


def with_spatial_ref(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset with its CRS in the scalar coordinate `spatial_ref`, if it has one."""
    if SPATIAL_REF in dataset.data_vars:
        return dataset.set_coords(SPATIAL_REF)
    if SPATIAL_REF in dataset.coords:
        return dataset
    named = [
        k
        for k, v in dataset.variables.items()
        if v.ndim == 0 and {"crs_wkt", SPATIAL_REF} & {*v.attrs}
    ]
    return dataset.set_coords(named).rename({named[0]: SPATIAL_REF}) if named else dataset


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
                f"{name} is {dataset[name].dtype}, not float32 or float64: multiply it by what a "
                f"number stands for, such as {name} * 0.01 of percent, or call "
                f"{name}.astype('float32') if numbers are right as they are; missing values as NaN"
            )
            raise ValueError(msg)
    if MASK in dataset.data_vars and dataset[MASK].dtype != np.uint8:
        msg = (
            f"mask is {dataset[MASK].dtype}, not uint8 flags: a bool mask (True = excluded) goes "
            "through xf.retrieval(mu, sigma, mask) or ds.fusion.exclude(mask), a quality band "
            "through xf.flags(qa, cloud=...)"
        )
        raise ValueError(msg)
    units, sigma_units = units_of(mu), units_of(dataset[SIGMA])
    if sigma_units is not None and units is None:
        msg = (
            f"sigma is in {sigma_units!r}, mu has no units: say what mu is in, mu.attrs['units'] = "
            f"{sigma_units!r} if it is the same"
        )
        raise ValueError(msg)
    if not fits_deviation(sigma_units, units):
        msg = (
            f"sigma is in {sigma_units!r}, mu in {units!r}: multiply sigma by the factor between "
            "the two, and by it alone, as a difference has no zero to be moved; then set "
            f"sigma.attrs['units'] = {units!r}"
        )
        raise ValueError(msg)
    return dataset


def check_bounds(bounded: tuple[float, float] | None) -> None:
    """Raise a ValueError unless `bounded` is None or two numbers in order."""
    if bounded is not None and not (np.shape(bounded) == (2,) and bounded[0] < bounded[1]):
        msg = f"{bounded=}: give the lower and the upper bound, such as (0, 1)"
        raise ValueError(msg)


def check_probability(mu: xr.DataArray, name: str) -> None:
    """Raise a ValueError if the units of mu are not those of a probability.

    Parameters
    ----------
    mu : DataArray
    name : str
        What takes probabilities, for the error.
    """
    units = units_of(mu)
    if units not in (None, "") and not same_units(units, "1"):
        msg = (
            f"mu is in {units!r}, {name} takes probabilities from 0 to 1: convert mu and sigma, of "
            "percent / 100, and set .mu.attrs['units'] = '1'"
        )
        raise ValueError(msg)


def decoded(array: xr.DataArray) -> xr.DataArray:
    """Return mu or sigma with a nodata value that its attributes declare as NaN."""
    packed = {k: array.attrs[k] for k in PACKING if k in array.attrs}
    if (packed.get("scale_factor", 1), packed.get("add_offset", 0)) != (1, 0):
        msg = f"{array.name} is packed, {packed}: open it with mask_and_scale=True"
        raise ValueError(msg)
    declared = {k: array.attrs[k] for k in NODATA if k in array.attrs}
    for key, value in declared.items():
        try:
            nodata = float(value)
        except (TypeError, ValueError) as error:
            msg = (
                f"{array.name} declares {key}={value!r}, which is no number: write "
                f"the number, or .attrs.pop({key!r}) if there is none"
            )
            raise ValueError(msg) from error
        if array.dtype.kind == "f" and not np.isnan(nodata):
            array = array.where(array != array.dtype.type(nodata))
    if not (declared or packed):
        return array
    kept = {k: v for k, v in array.attrs.items() if k not in (*declared, *packed)}
    return array.drop_attrs(deep=False).assign_attrs(kept)
