"""Warp the layers of a retrieval block by block: the work behind :mod:`xfusion.coregister`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .kernels import parallel, resample
from .mapping import Mapping

STRIP = 256  # target rows that one thread takes at a time, in memory


class WindowReader(Protocol):
    """Reads windows of a layer, such as a band of a file."""

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the pixels of a window, shape (rows, columns)."""


@dataclass(frozen=True)
class Warp:
    """What is to be done with each block."""

    mapping: Mapping
    resampling: str
    error_correlation: float
    outside: int
    """Flags where the source ends."""

    def on(
        self,
        layers: Sequence[NDArray[Any]],
        window: resample.Window,
        grid: resample.ControlGrid,
        shape: tuple[int, int],
    ) -> tuple[NDArray[Any], ...]:
        """Warp the window of mu, sigma and, where there is one, mask onto one block."""
        if self.resampling == "nearest":
            outside = (np.nan, np.nan, self.outside)
            return tuple(
                resample.nearest(layer, window, grid, shape=shape, outside=fill)
                for layer, fill in zip(layers, outside, strict=False)
            )
        mu, sigma, *masks = layers
        warped = resample.joint(
            mu,
            sigma,
            masks[0] if masks else None,
            window,
            grid,
            shape=shape,
            error_correlation=self.error_correlation,
            outside=self.outside,
        )
        return warped[: len(layers)]

    def nothing(self, dtypes: Sequence[np.dtype[Any]], shape: tuple[int, int]) -> tuple[Any, ...]:
        """Return a block that misses the source."""
        outside = (np.nan, np.nan, self.outside)
        return tuple(np.full(shape, f, d) for d, f in zip(dtypes, outside, strict=False))


def warp_blocks(
    warp: Warp, layers: Sequence[xr.Variable], blocks: tuple[int, int] | None
) -> list[Any]:
    """Warp layers of dims (..., y, x) onto the target.

    Parameters
    ----------
    warp : Warp
    layers : sequence of Variable
        mu, sigma and perhaps mask, of one shape.
    blocks : (int, int) or None
        Rows and columns of a block of the result, None for arrays in memory.

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
        for place in np.ndindex(leading):
            if window is None:
                warped = warp.nothing([layer.dtype for layer in layers], (stop - start, columns))
            else:
                part = window.slices
                warped = warp.on(
                    [a[place][part] for a in layers], window, grid, (stop - start, columns)
                )
            for output, plane in zip(outputs, warped, strict=True):
                output[place][start:stop] = plane

    starts = range(0, rows, STRIP)
    with ThreadPoolExecutor(min(parallel.core_count(), len(starts))) as pool:
        list(pool.map(on_strip, starts))
    return outputs


def _lazily(warp: Warp, layers: Sequence[xr.Variable], blocks: tuple[int, int]) -> list[Any]:
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    sources = _in_common_chunks(layers)
    chunks = sources[0].chunks
    leading_chunks = chunks[:-2]
    rows, columns = warp.mapping.target.shape
    out_rows, out_columns = _split(rows, blocks[0]), _split(columns, blocks[1])
    edges = [np.concatenate([[0], np.cumsum(c)]) for c in chunks[-2:]]
    dtypes = [layer.dtype for layer in layers]
    name = f"coregister-{tokenize(warp, [s.name for s in sources], blocks)}"
    tasks: dict[Any, Any] = {}
    for (i, target_rows), (j, target_columns) in itertools.product(
        enumerate(_slices(out_rows)), enumerate(_slices(out_columns))
    ):
        window = warp.mapping.window(warp.mapping.control_grid(target_rows, target_columns))
        if window is None:
            touched = None
        else:
            touched = [
                _touched(e, f, n) for e, f, n in zip(edges, window.first, window.shape, strict=True)
            ]
        for place in itertools.product(*(range(len(c)) for c in leading_chunks)):
            sizes = tuple(c[p] for c, p in zip(leading_chunks, place, strict=True))
            parts: list[Any] = []
            if touched is not None:
                parts = [
                    [[(s.name, *place, a, b) for b in touched[1]] for a in touched[0]]
                    for s in sources
                ]
            origin = (
                None
                if touched is None
                else tuple(int(e[t[0]]) for e, t in zip(edges, touched, strict=True))
            )
            tasks[(name, *place, i, j)] = (
                _warp_block,
                warp,
                parts,
                origin,
                dtypes,
                sizes,
                target_rows,
                target_columns,
            )
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=sources)
    out_chunks = (*leading_chunks, out_rows, out_columns)
    results = []
    for k, dtype in enumerate(dtypes):
        part = f"{name}-{k}"
        picks = {(part, *key[1:]): (_pick, key, k) for key in tasks}
        picked = HighLevelGraph({**graph.layers, part: picks}, {**graph.dependencies, part: {name}})
        results.append(da.Array(picked, part, out_chunks, dtype=dtype))
    return results


def _warp_block(
    warp: Warp,
    parts: list[list[list[NDArray[Any]]]],
    origin: tuple[int, int] | None,
    dtypes: Sequence[np.dtype[Any]],
    leading: tuple[int, ...],
    rows: slice,
    columns: slice,
) -> tuple[NDArray[Any], ...]:
    shape = rows.stop - rows.start, columns.stop - columns.start
    if origin is None:
        return tuple(
            np.broadcast_to(plane, (*leading, *shape)).copy()
            for plane in warp.nothing(dtypes, shape)
        )
    layers = [np.block(part) if _several(part) else np.asarray(part[0][0]) for part in parts]
    grid = warp.mapping.control_grid(rows, columns)
    window = resample.Window(origin, _rows_and_columns(layers[0]), warp.mapping.source.shape.yx)
    outputs = tuple(np.empty((*leading, *shape), dtype) for dtype in dtypes)
    for place in np.ndindex(leading):
        warped = warp.on([layer[place] for layer in layers], window, grid, shape)
        for output, plane in zip(outputs, warped, strict=True):
            output[place] = plane
    return outputs


def _rows_and_columns(layer: NDArray[Any]) -> tuple[int, int]:
    return layer.shape[-2], layer.shape[-1]


def _several(part: list[list[NDArray[Any]]]) -> bool:
    return len(part) > 1 or len(part[0]) > 1


def _pick(block: tuple[NDArray[Any], ...], k: int) -> NDArray[Any]:
    return block[k]


def _in_common_chunks(layers: Sequence[xr.Variable]) -> list[Any]:
    import dask.array as da

    lazy = [da.asarray(layer.data) for layer in layers]
    if len({array.chunks for array in lazy}) == 1:
        return lazy
    axes = tuple(range(lazy[0].ndim))
    _, aligned = da.core.unify_chunks(*itertools.chain(*((array, axes) for array in lazy)))
    return list(aligned)


def _split(length: int, size: int) -> tuple[int, ...]:
    count = math.ceil(length / size)
    return tuple(min(size, length - k * size) for k in range(count))


def _slices(sizes: tuple[int, ...]) -> list[slice]:
    stops = list(itertools.accumulate(sizes))
    return [slice(stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]


def _touched(edges: NDArray[np.int64], first: int, length: int) -> range:
    start = int(np.searchsorted(edges, first, side="right")) - 1
    stop = int(np.searchsorted(edges, first + length, side="left"))
    return range(start, stop)
