"""Bring the retrievals of several sensors together: one grid, one unit, a name each."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr

from xfusion.datamodel.chunks import rechunked
from xfusion.datamodel.comparison import on_grid_of
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import CONFLICT, MASK, MU, SIGMA
from xfusion.datamodel.units import conversion, same_units, units_of

from .doubled_labels import check_distinct

MAX_SENSORS = 8


def on_one_grid(retrievals: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Return mu, sigma, mask and conflict of each, with the grid, units and blocks of the first.

    Raises
    ------
    ValueError
        If there are more than 8, grids, dims or units do not go together, or labels differ by
        rounding alone.
    """
    if len(retrievals) > MAX_SENSORS:
        msg = (
            f"{len(retrievals)} retrievals, at most {MAX_SENSORS} in one call: if errors are "
            f"independent, fuse groups of up to {MAX_SENSORS}, then these with sigma_floor=0, as "
            "the floor was applied"
        )
        raise ValueError(msg)
    # what else a Dataset holds is not fused, and may have dims of its own
    retrievals = [r[[v for v in (MU, SIGMA, MASK) if v in r] + _conflict(r)] for r in retrievals]
    first = retrievals[0]
    check_distinct(first)
    names = sensor_names(retrievals)
    aligned = [first]
    for name, other in zip(names[1:], retrievals[1:], strict=True):
        mend = f".coregister({names[0]})"
        aligned.append(like_first(other, first, names=(name, names[0]), mend=mend))
    return aligned


def _conflict(retrieval: xr.Dataset) -> list[str]:
    """Return the name of the layer of conflict, if the retrieval was fused before."""
    known = CONFLICT in retrieval.data_vars and retrieval[CONFLICT].dims == retrieval[MU].dims
    return [CONFLICT] if known else []


def like_first(
    other: xr.Dataset, first: xr.Dataset, *, names: tuple[str, str], mend: str
) -> xr.Dataset:
    """Return a retrieval with the grid, units and blocks of the first.

    Parameters
    ----------
    other, first : Dataset
    names : (str, str)
        What an error calls them.
    mend : str
        The call that brings one onto the grid of the other, for the error.

    Raises
    ------
    ValueError
        If grids, dims or units do not go together.
    """
    other = _in_units_of(other, first, names=names)
    other = on_grid_of(other, first, names=(repr(names[0]), repr(names[1])), mend=mend)
    other = other.transpose(*first[MU].dims, ...)
    # blocks of the first: dask would cut both into the pieces of all edges
    lazy = first[MU].chunks is not None and other[MU].chunks is not None
    return rechunked(other, first[MU].chunksizes) if lazy else other


def along(dataset: xr.Dataset, dim: Hashable) -> list[xr.Dataset]:
    """Return the retrievals along a dim, each with its label as the name of its sensor."""
    spatial = spatial_dims(dataset) or ()
    if dim not in dataset[MU].dims or dim in spatial:
        others = [d for d in dataset[MU].dims if d not in spatial]
        msg = f"{dim=}: mu has the dims {others} besides the spatial ones; name one of these"
        raise ValueError(msg)
    if dataset.sizes[dim] == 0:
        msg = f"{dim=} has no labels: there is nothing to fuse"
        raise ValueError(msg)
    labels = [f"{dim}_{i}" for i in range(dataset.sizes[dim])]
    if dim in dataset.coords:
        values = dataset.coords[dim].to_numpy()
        is_time = values.dtype.kind == "M"
        labels = list(np.datetime_as_string(values, unit="s") if is_time else map(str, values))
    return [dataset.isel({dim: i}).assign_attrs(sensor=label) for i, label in enumerate(labels)]


def sensor_names(retrievals: Sequence[xr.Dataset]) -> list[str]:
    """Return a unique name for each retrieval: its sensor, in letters that CF allows, numbered."""
    stems = [sensor_name(r.attrs.get("sensor", "sensor")) for r in retrievals]
    names: list[str] = []
    for i, name in enumerate(stems, start=1):
        unique = f"{name}_{i}" if stems.count(name) > 1 else name
        while unique in names or (unique != name and unique in stems):
            unique += "_"
        names.append(unique)
    return names


def sensor_name(sensor: object) -> str:
    """Return the name of a sensor in letters that CF allows in a list of meanings."""
    return re.sub(r"[^\w.+@-]+", "_", str(sensor))


def _in_units_of(other: xr.Dataset, first: xr.Dataset, *, names: tuple[str, str]) -> xr.Dataset:
    units, wanted = units_of(other[MU]), units_of(first[MU])
    if same_units(units, wanted):
        return other
    clash = f"mu of {names[0]!r} is in {units!r}, of {names[1]!r} in {wanted!r}"
    if units is None or wanted is None:
        lacking = names[0] if units is None else names[1]
        known = wanted if units is None else units
        msg = (
            f"{clash}: say what {lacking!r} is in, .mu.attrs['units'] = {known!r} if it is the same"
        )
        raise ValueError(msg)
    try:
        scale, offset = conversion(units, wanted)
    except ModuleNotFoundError as error:
        msg = f"{clash}: pip install 'xfusion[units]' to have it converted"
        raise ValueError(msg) from error
    except ValueError as error:
        msg = (
            f"{clash}, and one cannot be converted to the other: {error}. If one of these is not "
            "what the numbers are in, name the right unit, .mu.attrs['units'] = ..."
        )
        raise ValueError(msg) from error
    converted = {
        MU: (other[MU] * scale + offset).assign_attrs(other[MU].attrs | {"units": wanted}),
        SIGMA: (other[SIGMA] * abs(scale)).assign_attrs({"units": wanted}),
    }
    return other.assign(converted)
