"""The layers of a state, of cubes in memory at once or block by block of lazy ones."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.names import CONFLICT, MASK, MU, SIGMA

from .block import DTYPES, SeriesTask, State
from .cubes import TIME

Map = float | xr.DataArray


def layers_of(
    task: SeriesTask,
    cubes: Sequence[xr.Dataset],
    masked: Sequence[bool],
    parameters: Sequence[Map],
    start: Sequence[Map] | None,
) -> dict[str, xr.DataArray]:
    """Return the layers of a state by name, with `time` before the dims of the grid.

    Parameters
    ----------
    task : SeriesTask
    cubes : sequence of Dataset
        Retrievals on one grid, along `time`.
    masked : sequence of bool
        Whether the mask of each counts.
    parameters : sequence of float or DataArray
        Of the model; maps on the grid.
    start : sequence of float or DataArray, optional
        Mean, standard deviation, conflict, age and count before the first date.

    Notes
    -----
    A task of a lazy state takes all blocks of a place, one of each time where cubes are in blocks
    of one time: they are never put together.
    """
    grid = cubes[0].isel({TIME: 0}, drop=True)
    dims = grid[MU].dims
    along = [f"{TIME}_{k}" for k in range(len(cubes))]
    moments = [
        cube.drop_vars(TIME, errors="ignore").rename({TIME: dim})
        for cube, dim in zip(cubes, along, strict=True)
    ]
    arrays = [cube[name] for name in (MU, SIGMA) for cube in moments]
    arrays += [c[MASK] for c, has_mask in zip(moments, masked, strict=True) if has_mask]
    arrays += [c[CONFLICT] for c in moments if CONFLICT in c]
    maps = [*parameters, *(start or ())]
    of_maps = [m for m in maps if isinstance(m, xr.DataArray)]
    held = [m for m in maps[len(parameters) :][:2] if isinstance(m, xr.DataArray)]
    dtype = np.result_type(*(a.dtype for a in (*arrays[: 2 * len(cubes)], *held)))
    inputs = [_along_grid(a, dims) for a in xr.align(*arrays, *of_maps, join="exact", copy=False)]
    options: dict[str, Any] = {
        "task": task,
        "masked": tuple(masked),
        "fused_before": tuple(CONFLICT in cube for cube in cubes),
        "numbers": tuple(None if isinstance(m, xr.DataArray) else float(m) for m in maps),
        "parameters": len(parameters),
        "precision": dtype,
    }
    made: Sequence[Any]
    if all(a.chunks is None for a in inputs):
        made = _on_block(*(a.to_numpy() for a in inputs), **options, threads=None)
    else:
        made = _lazily(inputs, dims, task.time_count, {MU: dtype, SIGMA: dtype, **DTYPES}, options)
    return {
        name: xr.DataArray(layer, grid.coords, (TIME, *dims))
        for name, layer in zip((MU, SIGMA, *DTYPES), made, strict=True)
    }


def _along_grid(array: xr.DataArray, dims: Sequence[Any]) -> xr.DataArray:
    """Return an array with all dims of the grid, in their order, after its own."""
    lacking = [d for d in dims if d not in array.dims]
    return array.expand_dims(lacking).transpose(..., *dims)


def _lazily(
    inputs: Sequence[xr.DataArray],
    dims: Sequence[Any],
    times: int,
    dtypes: dict[str, Any],
    options: dict[str, Any],
) -> list[Any]:
    """Return the layers as dask arrays: a task makes those of a block, one picks each of them."""
    import dask.array as da

    axes = {d: axis for axis, d in enumerate((TIME, *dims))}
    for a in inputs:
        # of two cubes the times are not alike
        axes |= {d: len(axes) + i for i, d in enumerate(a.dims) if d not in axes}
    indexed = [(a.chunk().data, tuple(axes[d] for d in a.dims)) for a in inputs]
    made = da.blockwise(
        _on_block,
        tuple(axes[d] for d in (TIME, *dims)),
        *itertools.chain(*indexed),
        new_axes={axes[TIME]: times},
        concatenate=False,
        dtype=object,
        meta=np.empty((0,) * (1 + len(dims)), object),
        # a dask task is one of many already
        threads=1,
        **options,
    )
    return [
        da.map_blocks(
            operator.itemgetter(place),
            made,
            dtype=dtype,
            meta=np.empty((0,) * made.ndim, dtype),
        )
        for place, dtype in enumerate(dtypes.values())
    ]


def _on_block(
    *blocks: Any,
    task: SeriesTask,
    masked: tuple[bool, ...],
    fused_before: tuple[bool, ...],
    numbers: tuple[float | None, ...],
    parameters: int,
    precision: np.dtype[Any],
    threads: int | None,
) -> tuple[NDArray[Any], ...]:
    n = len(masked)
    left = iter(blocks)
    mus, sigmas = ([[*_planes(next(left))] for _ in range(n)] for _ in range(2))
    masks, conflicts = (
        [[*_planes(next(left))] if has_it else None for has_it in those]
        for those in (masked, fused_before)
    )
    shape = mus[0][0].shape
    maps = [
        np.broadcast_to(next(left), shape) if number is None else np.array([number])
        for number in numbers
    ]
    known = None
    if maps[parameters:]:
        kinds = None, None, np.bool_, np.float32, np.uint16
        of_start = zip(maps[parameters:], kinds, strict=True)
        known = State._make(
            np.broadcast_to(m, shape).astype(kind or m.dtype) for m, kind in of_start
        )
    layers = task.on_block(
        mus,
        sigmas,
        masks,
        conflicts,
        parameters=maps[:parameters],
        start=known,
        dtype=precision,
        threads=threads,
    )
    return tuple(layers.values())


def _planes(blocks: Any) -> Iterator[NDArray[Any]]:
    """Yield what a cube is at each of its times; blocks are a list of those along time."""
    for block in blocks if isinstance(blocks, list) else [blocks]:
        yield from block
