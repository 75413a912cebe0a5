"""Warp the layers of a retrieval block by block: the work behind :mod:`xfusion.coregister`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.chunks import Blocks
from xfusion.kernels import parallel
from xfusion.kernels.control import Window
from xfusion.raster.origin import recall, recall_each
from xfusion.run.allocation import keep_freed_memory

from .from_files import WarpedFiles, lazy_blocks, picked
from .on_block import STRIP, Warp, slices


def warp_blocks(warp: Warp, layers: Sequence[xr.Variable], blocks: Blocks | None) -> list[Any]:
    """Warp layers of dims (..., y, x) onto the target.

    Parameters
    ----------
    warp : Warp
    layers : sequence of Variable
        mu, sigma and perhaps mask, of one shape; or flags alone.
    blocks : pair of tuples of int, or None
        Rows and columns of the result's blocks, None for arrays in memory.

    Returns
    -------
    list of arrays
        numpy or dask, of shape (..., rows, columns) of the target.
    """
    if blocks is None:
        return _in_memory(warp, [layer.to_numpy() for layer in layers])
    return _lazily(warp, layers, blocks)


def _in_memory(warp: Warp, layers: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    rows, columns = warp.mapping.target.shape
    leading = layers[0].shape[:-2]
    outputs = [np.empty((*leading, rows, columns), layer.dtype) for layer in layers]

    def on_strip(start: int) -> None:
        stop = min(rows, start + STRIP)
        grid = warp.mapping.control_grid(slice(start, stop), slice(0, columns))
        window = warp.mapping.window(grid)
        part = window.slices if window else ()
        for place in np.ndindex(leading):
            strips = [output[place][start:stop] for output in outputs]
            warp.on([layer[place][part] for layer in layers], window, grid, strips)

    starts = range(0, rows, STRIP)
    with ThreadPoolExecutor(min(parallel.core_count(), max(1, len(starts)))) as pool:
        list(pool.map(on_strip, starts))
    return outputs


def _lazily(warp: Warp, layers: Sequence[xr.Variable], blocks: Blocks) -> list[Any]:
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    files = [recall(layer) for layer in layers]
    if all(file is not None for file in files):
        return _from_files(warp, files, layers, blocks)
    cubes = [recall_each(layer) for layer in layers]
    if all(each is not None for each in cubes):
        import dask.array as da

        # a layer of the graph for each, which a run that is resumed looks at by its first task
        along = [_from_files(warp, of_one, layers, blocks) for of_one in zip(*cubes, strict=True)]
        return [da.stack(each) for each in zip(*along, strict=True)]
    dtypes = [layer.dtype for layer in layers]
    sources = _in_common_chunks(layers)
    name = f"coregister-{tokenize(warp, [s.name for s in sources], blocks)}"
    tasks: dict[Any, Any] = {}
    for i, j, r, c in _targets(blocks):
        for place, task in _tasks_on_blocks(warp, sources, r, c):
            tasks[(name, *place, i, j)] = task
    chunks = (*sources[0].chunks[:-2], *blocks)
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=sources)
    return [picked(graph, name, tasks, k, chunks, dtype) for k, dtype in enumerate(dtypes)]


def _from_files(
    warp: Warp, files: Sequence[Any], layers: Sequence[xr.Variable], blocks: Blocks
) -> list[Any]:
    """Warp straight from the files: a task reads the window it needs, once."""
    from dask.base import tokenize

    source = WarpedFiles(warp, (*files,))
    name = f"coregister-{tokenize(source, [layer.data.name for layer in layers], blocks)}"
    return lazy_blocks(name, source, blocks, [layer.dtype for layer in layers])


def _targets(blocks: Blocks) -> list[tuple[int, int, slice, slice]]:
    """Return the indices of all blocks, with their rows and columns."""
    down, across = (enumerate(slices(sizes)) for sizes in blocks)
    return [(i, j, r, c) for (i, r), (j, c) in itertools.product(down, across)]


def _tasks_on_blocks(
    warp: Warp, sources: Sequence[Any], rows: slice, columns: slice
) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield the leading block indices and the task of one target block, with what it touches."""
    chunks = sources[0].chunks
    edges = [np.concatenate([[0], np.cumsum(c)]) for c in chunks[-2:]]
    window = warp.mapping.window(warp.mapping.control_grid(rows, columns))
    touched, origin = [range(0), range(0)], None
    if window is not None:
        touched = [
            _touched(e, f, n) for e, f, n in zip(edges, window.first, window.shape, strict=True)
        ]
        origin = int(edges[0][touched[0][0]]), int(edges[1][touched[1][0]])
    dtypes = [source.dtype for source in sources]
    for place in itertools.product(*(range(len(c)) for c in chunks[:-2])):
        leading = tuple(c[p] for c, p in zip(chunks, place, strict=False))
        parts = [
            [[(source.name, *place, a, b) for b in touched[1]] for a in touched[0]]
            for source in sources
        ]
        yield place, (_warp_block, warp, parts, origin, dtypes, leading, rows, columns)


def _warp_block(
    warp: Warp,
    parts: list[list[list[NDArray[Any]]]],
    origin: tuple[int, int] | None,
    dtypes: Sequence[np.dtype[Any]],
    leading: tuple[int, ...],
    rows: slice,
    columns: slice,
) -> tuple[NDArray[Any], ...]:
    keep_freed_memory()
    grid = warp.mapping.control_grid(rows, columns)
    shape = *leading, rows.stop - rows.start, columns.stop - columns.start
    outputs = tuple(np.empty(shape, dtype) for dtype in dtypes)
    window, layers = None, []
    if origin is not None:
        layers = [np.block(part) if _several(part) else np.asarray(part[0][0]) for part in parts]
        window = Window(origin, _rows_and_columns(layers[0]), warp.mapping.source.shape.yx)
    for place in np.ndindex(leading):
        planes = [output[place] for output in outputs]
        warp.on([layer[place] for layer in layers], window, grid, planes)
    return outputs


def _rows_and_columns(layer: NDArray[Any]) -> tuple[int, int]:
    return layer.shape[-2], layer.shape[-1]


def _several(part: list[list[NDArray[Any]]]) -> bool:
    return len(part) > 1 or len(part[0]) > 1


def _in_common_chunks(layers: Sequence[xr.Variable]) -> list[Any]:
    import dask.array as da

    lazy = [da.asarray(layer.data) for layer in layers]
    if len({array.chunks for array in lazy}) == 1:
        return lazy
    axes = tuple(range(lazy[0].ndim))
    _, aligned = da.core.unify_chunks(*itertools.chain(*((array, axes) for array in lazy)))
    return list(aligned)


def _touched(edges: NDArray[np.int64], first: int, length: int) -> range:
    start = int(np.searchsorted(edges, first, side="right")) - 1
    stop = int(np.searchsorted(edges, first + length, side="left"))
    return range(start, stop)
