"""What a screen can show of layers: in memory, thinned to its size, never all pixels."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MASK
from xfusion.raster.origin import recall, recall_each
from xfusion.raster.overviews import thinned
from xfusion.run.memory import compute
from xfusion.store.level_pixels import seen_levels

from .sampled_blocks import Sample, sample_of

SIDE = 1024  # pixels of a screen for one map
MOST = 2**25  # pixels of a layer that are computed for a picture: some seconds of a fusion
AFAR = "_level_"  # begins names of layers of levels, beside those of the layers
STEP, EVERY, LOOKED, OVERVIEW = "look_step", "look_every", "looked", "look_overview"


def look(dataset: xr.Dataset, *, side: int = SIDE, most: float = MOST) -> xr.Dataset:
    """Return layers in memory, thinned to at most `side` pixels a side.

    Parameters
    ----------
    dataset : Dataset, dims (..., y, x)
        Layers on one grid, lazy or not.
    side : int
        Most pixels of the result, along either spatial dim.
    most : float
        Most pixels of a lazy layer that are computed. Of one that has more, only every n-th block
        is.

    Returns
    -------
    Dataset
        The same layers with the coordinates of the pixels that are shown. ``attrs["look_step"]``
        says how many pixels of the input stand behind one, along a side, and
        ``attrs["look_every"]`` is n, 1 where all blocks were looked at. Else there is a coordinate
        `looked`, bool, and where it is False, layers with an attribute `look_every` of their own
        have NaN, of a mask "unknown", and other flags 0: nobody knows what is there. An attribute
        `look_overview` of a layer says that its pixels are from an overview of the file, or a level
        of the store, of so many pixels along a side.

    Raises
    ------
    ValueError
        If there are no rows and columns.
    """
    dims = spatial_dims(dataset)
    if dims is None:
        msg = f"no rows and columns among the dims {tuple(dataset.dims)}: rename them to ('y', 'x')"
        raise ValueError(msg)
    step = max(1, *(-(-dataset.sizes[dim] // side) for dim in dims))
    places = {dim: np.arange(step // 2, dataset.sizes[dim], step) for dim in dims}
    if any(p.size == 0 for p in places.values()):  # a side shorter than half a step
        places = {d: p if p.size else np.array([dataset.sizes[d] // 2]) for d, p in places.items()}
    grids = {n: v for n, v in dataset.variables.items() if {*dims} <= {*v.dims}}
    seen: dict[Hashable, xr.Variable] = {}
    if step > 1:
        overviews = {name: _of_overviews(v, places, most=most) for name, v in grids.items()}
        seen = {name: v for name, v in overviews.items() if v is not None}
    left = {name: v for name, v in grids.items() if name not in seen}
    levels = seen_levels(left, dataset.coords, places, most=most) if step > 1 else {}
    lazy = {n: _in_blocks(v) for n, v in left.items() if n not in levels}
    sample = sample_of({n: v for n, v in lazy.items() if v.chunks is not None}, places, most=most)
    indexers = {d: slice(int(p[0]), None, step) for d, p in places.items()}
    rest = dataset.drop_vars([*seen, *levels, *sample.names])
    rest = rest.isel(indexers, missing_dims="ignore").assign(
        {f"{AFAR}{k}": level.pixels for k, level in enumerate(levels.values())}
    )
    parts = {f"_{k}": v for k, v in enumerate(sample.parts)}
    together = compute(rest.assign(parts))  # at once, as layers share what they are made of
    found = seen | sample.put([together[name].variable for name in parts], _unknown)
    afar = [f"{AFAR}{k}" for k in range(len(levels))]
    for own, (name, level) in zip(afar, levels.items(), strict=True):
        attrs = {**dataset.variables[name].attrs, OVERVIEW: level.factor}
        pixels = together[own].variable
        found[name] = xr.Variable(dataset.variables[name].dims, pixels.to_numpy(), attrs)
    looked = _with(
        together.drop_vars([n for n in together.data_vars if n in afar or n in parts]),
        found,
        dataset,
    )
    if sample.names:
        looked = looked.assign_coords({LOOKED: (dims, sample.looked())})
    return looked.assign_attrs({STEP: step, EVERY: sample.every})


def _with(
    looked: xr.Dataset, found: Mapping[Hashable, xr.Variable], dataset: xr.Dataset
) -> xr.Dataset:
    """Return a Dataset with further variables, in the order of another."""
    looked = looked.assign({n: v for n, v in found.items() if n in dataset.data_vars})
    looked = looked.assign_coords({n: v for n, v in found.items() if n in dataset.coords})
    return looked[list(dataset.data_vars)].assign_attrs(dataset.attrs)


def _of_overviews(
    variable: xr.Variable, places: Mapping[Hashable, NDArray[np.intp]], *, most: float
) -> xr.Variable | None:
    """Return a layer as the overviews of its files show it; None if they do not."""
    file = recall(variable)
    files = recall_each(variable) if file is None else (file,)
    if not files or math.prod(files[0].shape) * len(files) != variable.size:
        return None
    rows, columns = (places[dim] for dim in variable.dims[-2:])
    shown = []
    for each in files:
        part = thinned(each, rows, columns, most=most / len(files))
        if part is None:
            return None
        shown.append(part)
    pixels = shown[0].pixels if file is not None else np.stack([part.pixels for part in shown])
    factor = max(part.factor for part in shown)
    return xr.Variable(variable.dims, pixels, {**variable.attrs, OVERVIEW: factor})


def _in_blocks(variable: xr.Variable) -> xr.Variable:
    """Return a layer that xarray reads when needed in the blocks of its file, if it has any."""
    blocks = variable.encoding.get("preferred_chunks")
    in_memory = isinstance(variable._data, np.ndarray)  # noqa: SLF001  # .data would read it
    return variable if in_memory or not blocks or variable.chunks else variable.chunk(blocks)


def _unknown(name: Hashable, dtype: np.dtype[Any]) -> Any:
    """Return what stands for pixels that nobody looked at."""
    if name == MASK:
        return int(Exclusion.UNKNOWN)
    return np.nan if dtype.kind == "f" else np.zeros((), dtype)


__all__ = ["EVERY", "LOOKED", "MOST", "OVERVIEW", "SIDE", "STEP", "Sample", "look"]
