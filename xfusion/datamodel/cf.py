"""The CF attributes that tie the variables and axes of a retrieval together."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from .describing import in_words, with_long_names, without_missing_labels
from .flags import FLAG_ATTRS
from .grid import spatial_dims
from .names import CONFLICT, CONVENTIONS, MASK, MU, SIGMA, SPATIAL_REF
from .placement import PIXEL
from .times import calendar_of
from .units import same_units

AXES = ("Y", "X")
UNCERTAINTY = "unc_comps"  # as obsarray calls the attribute that names what holds it
# days of 86 400 s, as numpy counts them
SECONDS = {"units_metadata": "leap_seconds: none"}
KEPT = ("axis", *SECONDS)  # beside a standard name of the caller's
AGREEMENT: dict[str, Any] = {
    "flag_values": np.array([0, 1], np.int8),
    "flag_meanings": "agree conflict",
}
AGREEMENT["flag_values"].flags.writeable = False  # one table, shared by every conflict
PROJECTED = (
    {"standard_name": "projection_y_coordinate"},
    {"standard_name": "projection_x_coordinate"},
)
GEOGRAPHIC = (
    {"standard_name": "latitude", "units": "degrees_north"},
    {"standard_name": "longitude", "units": "degrees_east"},
)


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
    attrs[MU][UNCERTAINTY] = SIGMA
    attrs[SIGMA] = _of_sigma(dataset)
    if MASK in dataset:
        attrs[MASK] = dataset[MASK].attrs | FLAG_ATTRS
    if CONFLICT in dataset and dataset[CONFLICT].dtype == bool:
        attrs[CONFLICT] = dataset[CONFLICT].attrs | AGREEMENT
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
    _annotate_axes(dataset)
    words = in_words(dataset)
    return with_long_names(dataset).assign_attrs(words | {"Conventions": CONVENTIONS})


def _of_sigma(dataset: xr.Dataset) -> dict[str, Any]:
    mu = dataset[MU]
    # a sigma computed from mu may have come with mu's own attributes
    of_mu = {k for k in ("long_name", "ancillary_variables", UNCERTAINTY) if k in mu.attrs}
    own = {k: v for k, v in dataset[SIGMA].attrs.items() if k not in of_mu or v != mu.attrs[k]}
    described = {"long_name": "standard deviation of mu"} | own
    if "units" in mu.attrs and (
        "units" not in own or same_units(str(own["units"]), str(mu.attrs["units"]))
    ):
        # else those of a difference: K, say, where mu is in degC
        described["units"] = mu.attrs["units"]
    if "standard_name" in mu.attrs:
        described["standard_name"] = f"{mu.attrs['standard_name']} standard_error"
    return described


def _annotate_axes(dataset: xr.Dataset) -> None:
    for name, described in _axes(dataset).items():
        array = dataset.coords[name]
        if array.attrs.get("units") == PIXEL:
            continue  # of a rotated grid: they are no coordinates of the CRS
        if "standard_name" in array.attrs:
            is_same = array.attrs["standard_name"] == described.get("standard_name")
            kept = (*KEPT, "units") if is_same else KEPT
            described = {k: v for k, v in described.items() if k in kept}  # noqa: PLW2901  # the described is meant
        array.attrs = described | array.attrs
    without_missing_labels(dataset)


def _axes(dataset: xr.Dataset) -> dict[Hashable, dict[str, str]]:
    """Return CF attributes for the coordinates of the spatial dims and of time."""
    axes: dict[Hashable, dict[str, str]] = {}
    dims = spatial_dims(dataset)
    if dims is not None:
        named = _horizontal(dataset, dims)
        axes = {d: {"axis": a} | n for d, a, n in zip(dims, AXES, named, strict=True)}
    time = dataset.coords.get("time")
    if time is not None and time.dims in ((), ("time",)) and _is_dated(time):
        axes["time"] = {"axis": "T", "standard_name": "time"}
        axes["time"] |= SECONDS if time.dtype.kind == "M" else {}
    return {k: v for k, v in axes.items() if k in dataset.coords}


def _is_dated(time: xr.DataArray) -> bool:
    return time.dtype.kind == "M" or (time.chunks is None and calendar_of(time) is not None)


@lru_cache
def _unit_of(wkt: str) -> dict[str, str]:
    """Return the unit of the axes of a CRS, as UDUNITS spells it."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        axes = CRS.from_wkt(wkt).axis_info
    except CRSError:
        return {}
    return {"units": axes[0].unit_name.replace(" ", "_")} if axes else {}


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
    if text:
        unit = _unit_of(text)
        y, x = (named | unit for named in PROJECTED)
        return y, x
    if mapping is not None:
        return PROJECTED
    # without a CRS only the names tell
    return ({}, {}) if dims == ("y", "x") else GEOGRAPHIC
