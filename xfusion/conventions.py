"""The Dataset convention: names, exclusion flags, CF attributes, and what is checked."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Hashable, Sequence
from collections.abc import Mapping as MappingOf
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
import xarray as xr

from .grid import SPATIAL_REF, spatial_dims
from .units import dequantify, fits_deviation, units_of

MU, SIGMA, MASK, SOURCE = "mu", "sigma", "mask", "source"
COUNT, CHI2, WEIGHT = "count", "chi2", "weight"
DIFFERENCE, CONFLICT = "normalised_difference", "conflict"
CONVENTIONS = "CF-1.13"
NODATA = ("_FillValue", "missing_value", "nodata")
PACKING = ("scale_factor", "add_offset")


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
AXES = ("Y", "X")
PROJECTED = (
    {"standard_name": "projection_y_coordinate"},
    {"standard_name": "projection_x_coordinate"},
)
GEOGRAPHIC = (
    {"standard_name": "latitude", "units": "degrees_north"},
    {"standard_name": "longitude", "units": "degrees_east"},
)
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
    dataset = with_spatial_ref(dequantify(dataset))
    for name in (MU, SIGMA):
        if name in dataset.data_vars and {*NODATA, *PACKING} & {*dataset[name].attrs}:
            dataset = dataset.assign({name: decoded(dataset[name])})
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
    if not fits_deviation(sigma_units, units):
        msg = (
            f"sigma is in {sigma_units!r}, mu in {units!r}: convert sigma to the units of mu, "
            "e.g. with sigma.pint.quantify().pint.to(...) from xfusion[units]"
        )
        raise ValueError(msg)
    return dataset


def check_bounds(bounded: tuple[float, float] | None) -> None:
    """Raise a ValueError unless `bounded` is None or two numbers in order."""
    if bounded is not None and not (np.shape(bounded) == (2,) and bounded[0] < bounded[1]):
        msg = f"{bounded=}: give the lower and the upper bound, such as (0, 1)"
        raise ValueError(msg)


def annotate(dataset: xr.Dataset) -> xr.Dataset:
    """Return the retrieval with the CF attributes that tie its variables and axes together.

    Units, long name and standard name of `mu` and of the coordinates are the caller's and stay.
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
    for name, described in _axes(dataset).items():
        array = dataset.coords[name]
        if "standard_name" in array.attrs:
            described = {"axis": described["axis"]}  # noqa: PLW2901  # the described is meant
        array.attrs = described | array.attrs
    return dataset.assign_attrs(Conventions=CONVENTIONS)


def _axes(dataset: xr.Dataset) -> dict[Hashable, dict[str, str]]:
    """Return CF attributes for the coordinates of the spatial dims and of time."""
    axes: dict[Hashable, dict[str, str]] = {}
    dims = spatial_dims(dataset)
    if dims is not None:
        named = _horizontal(dataset, dims)
        axes = {d: {"axis": a} | n for d, a, n in zip(dims, AXES, named, strict=True)}
    time = dataset.coords.get("time")
    if time is not None and time.dtype.kind == "M" and time.dims in ((), ("time",)):
        axes["time"] = {"axis": "T", "standard_name": "time"}
    return {k: v for k, v in axes.items() if k in dataset.coords}


def _horizontal(
    dataset: xr.Dataset, dims: tuple[Hashable, Hashable]
) -> tuple[dict[str, str], dict[str, str]]:
    crs = dataset.coords[SPATIAL_REF].attrs if SPATIAL_REF in dataset.coords else {}
    mapping = crs.get("grid_mapping_name")
    text = str(crs.get("crs_wkt", crs.get("spatial_ref", "")))
    if mapping == "latitude_longitude" or (mapping is None and text.startswith("GEOG")):
        return GEOGRAPHIC
    if mapping == "rotated_latitude_longitude":
        return {}, {}
    if mapping is not None or text:
        return PROJECTED
    # without a CRS only the names tell
    return ({}, {}) if dims == ("y", "x") else GEOGRAPHIC


def rechunked(dataset: xr.Dataset, blocks: MappingOf[Hashable, tuple[int, ...]]) -> xr.Dataset:
    """Return the Dataset in other blocks, without the chunks of the file it came from."""
    dataset = dataset.chunk(blocks)
    for array in dataset.data_vars.values():
        for stale in ("chunks", "preferred_chunks", "shards"):
            array.encoding.pop(stale, None)
    return dataset


def contributors(code: int, names: Sequence[str]) -> str:
    """Return the sensors whose bits a `source` has, joined by "+", or "none"."""
    return "+".join(name for bit, name in enumerate(names) if code >> bit & 1) or "none"


def as_time(time: Time) -> np.datetime64:
    """Return a time as UTC datetime64[ns].

    Raises
    ------
    ValueError
        If a text is not an ISO date or time, or the time is missing.
    """
    if isinstance(time, str):
        try:
            time = dt.datetime.fromisoformat(time)
        except ValueError as error:
            msg = f"{time=} is not a date or time such as '2023-06-20' or '2023-06-20T05:10:00Z'"
            raise ValueError(msg) from error
    if isinstance(time, dt.datetime) and time.tzinfo is not None:
        time = time.astimezone(dt.UTC).replace(tzinfo=None)
    moment: Any = np.array(time, "datetime64[ns]")[()]
    if np.isnat(moment):
        msg = "the time is missing (NaT): give the day of acquisition"
        raise ValueError(msg)
    return cast("np.datetime64", moment)


def decoded(array: xr.DataArray) -> xr.DataArray:
    """Return mu or sigma with a nodata value that its attributes declare as NaN."""
    packed = {k: array.attrs[k] for k in PACKING if k in array.attrs}
    if (packed.get("scale_factor", 1), packed.get("add_offset", 0)) != (1, 0):
        msg = f"{array.name} is packed, {packed}: open it with mask_and_scale=True"
        raise ValueError(msg)
    declared = {k: array.attrs[k] for k in NODATA if k in array.attrs}
    for nodata in declared.values():
        if array.dtype.kind == "f" and not np.isnan(nodata):
            array = array.where(array != array.dtype.type(nodata))
    if not (declared or packed):
        return array
    kept = {k: v for k, v in array.attrs.items() if k not in (*declared, *packed)}
    return array.drop_attrs(deep=False).assign_attrs(kept)
