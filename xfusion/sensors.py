"""Bring the retrievals of several sensors together: one grid, one unit, a name each."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .conventions import (
    CHI2,
    COUNT,
    DIFFERENCE,
    FLAG_ATTRS,
    MASK,
    MU,
    SIGMA,
    SOURCE,
    WEIGHT,
    annotate,
    as_time,
    rechunked,
)
from .grid import on_grid_of, spatial_dims
from .units import conversion, same_units, units_of

MAX_SENSORS = 8
SPAN = ("time_coverage_start", "time_coverage_end")
LONG_NAMES = {
    COUNT: "number of retrievals that contributed",
    CHI2: "reduced chi-square of the sensors about the fused mean",
    WEIGHT: "weight of each sensor, missing where it is not usable",
    DIFFERENCE: "first sensor less the second, in standard deviations",
}


def on_one_grid(retrievals: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Return mu, sigma and mask of each, with the grid, units and blocks of the first.

    Raises
    ------
    ValueError
        If there are more than 8, or grids, dims or units do not go together.
    """
    if len(retrievals) > MAX_SENSORS:
        msg = (
            f"{len(retrievals)} retrievals, at most {MAX_SENSORS} in one call: if errors are "
            f"independent, fuse groups of up to {MAX_SENSORS}, then these with sigma_floor=0, as "
            "the floor was applied"
        )
        raise ValueError(msg)
    # what else a Dataset holds is not fused, and may have dims of its own
    retrievals = [r[[v for v in (MU, SIGMA, MASK) if v in r]] for r in retrievals]
    first = retrievals[0]
    names = sensor_names(retrievals)
    aligned = [first]
    for name, other in zip(names[1:], retrievals[1:], strict=True):
        other = _in_units_of(other, first, names=(name, names[0]))  # noqa: PLW2901  # step by step
        both = (repr(name), repr(names[0]))
        mend = f".coregister({names[0]})"
        other = on_grid_of(other, first, names=both, mend=mend)  # noqa: PLW2901  # step by step
        other = other.transpose(*first[MU].dims, ...)  # noqa: PLW2901  # step by step
        # blocks of the first: dask would cut both into the pieces of all edges
        lazy = first[MU].chunks is not None and other[MU].chunks is not None
        aligned.append(rechunked(other, first[MU].chunksizes) if lazy else other)
    return aligned


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
    """Return a name for each retrieval: its sensor, in the letters of CF, told apart by numbers."""
    given = [re.sub(r"[^\w.+@-]+", "_", str(r.attrs.get("sensor", "sensor"))) for r in retrievals]
    names: list[str] = []
    for i, name in enumerate(given, start=1):
        unique = f"{name}_{i}" if given.count(name) > 1 else name
        while unique in names or (unique != name and unique in given):
            unique += "_"
        names.append(unique)
    return names


def _in_units_of(other: xr.Dataset, first: xr.Dataset, *, names: tuple[str, str]) -> xr.Dataset:
    units, wanted = units_of(other[MU]), units_of(first[MU])
    if same_units(units, wanted):
        return other
    clash = f"mu of {names[0]!r} is in {units!r}, of {names[1]!r} in {wanted!r}"
    if units is None or wanted is None:
        lacking = names[0] if units is None else names[1]
        msg = f"{clash}: say what {lacking!r} is in, .mu.attrs['units'] = ..."
        raise ValueError(msg)
    try:
        scale, offset = conversion(units, wanted)
    except ModuleNotFoundError as error:
        msg = f"{clash}: pip install 'xfusion[units]' to have it converted"
        raise ValueError(msg) from error
    except ValueError as error:
        msg = f"{clash}, and one cannot be converted to the other: {error}"
        raise ValueError(msg) from error
    converted = {
        MU: (other[MU] * scale + offset).assign_attrs(other[MU].attrs | {"units": wanted}),
        SIGMA: (other[SIGMA] * abs(scale)).assign_attrs({"units": wanted}),
    }
    return other.assign(converted)


def describe(
    fused: xr.Dataset,
    retrievals: Sequence[xr.Dataset],
    provenance: dict[str, Any],
    *,
    dim: Hashable | None = None,
) -> xr.Dataset:
    """Return the fused retrieval with attributes, coordinates and the span of the acquisitions."""
    first, names = retrievals[0], sensor_names(retrievals)
    mu_attrs = {k: v for k, v in first[MU].attrs.items() if k != "ancillary_variables"}
    fused[MU].attrs = mu_attrs
    fused[SIGMA].attrs = {}
    fused[MASK].attrs = dict(FLAG_ATTRS)
    if SOURCE in fused:
        fused[SOURCE].attrs = {
            "long_name": "sensors that contributed",
            "flag_masks": np.array([1 << i for i in range(len(names))], np.uint8),
            "flag_meanings": " ".join(names),
        }
    for name in LONG_NAMES.keys() & fused.data_vars.keys():
        fused[name].attrs = {"long_name": LONG_NAMES[name], "units": "1"}
    labels = {k: v for k, v in first.coords.items() if set(v.dims) <= set(first[MU].dims)}
    labels.pop(dim, None)
    if WEIGHT in fused:
        known = dim is not None and dim in first.coords
        values = [r.coords[dim].to_numpy() for r in retrievals] if known else names
        # texts as objects: Zarr has no type for numpy's of fixed length
        labels["sensor" if dim is None else dim] = np.array(values, None if known else object)
    fused = fused.assign_coords(
        {k: (k, v) if isinstance(v, np.ndarray) else v for k, v in labels.items()}
    )
    times = [r.coords.get("time") for r in retrievals]
    labels_of_time = [t.variable for t in times if t is not None and t.ndim == 0]
    apart = len(labels_of_time) < len(retrievals) or not all(
        t.equals(labels_of_time[0]) for t in labels_of_time
    )
    if apart and dim != "time":
        fused = fused.drop_vars("time", errors="ignore")
    moments = _moments(retrievals)
    span: dict[str, str] = {}
    if moments and (apart or min(moments) != max(moments)):
        # acquisitions apart in time: one label would be wrong, so the span is kept
        ends = (min(moments), max(moments))
        texts = (f"{np.datetime_as_string(end, unit='s')}Z" for end in ends)
        span = dict(zip(SPAN, texts, strict=True))
    return annotate(fused.assign_attrs({"sensor": "+".join(names), **span, **provenance}))


def _moments(retrievals: Sequence[xr.Dataset]) -> list[np.datetime64]:
    """Return all that is known of when retrievals, or what they were fused of, were acquired."""
    moments: list[np.datetime64] = []
    for retrieval in retrievals:
        time = retrieval.coords.get("time")
        if time is not None and time.ndim == 0 and time.dtype.kind == "M":
            moments.append(time.to_numpy()[()])
        for end in SPAN:
            # a text that is no date says nothing
            with contextlib.suppress(ValueError):
                moments.append(as_time(str(retrieval.attrs.get(end))))
    return [moment for moment in moments if not np.isnat(moment)]
