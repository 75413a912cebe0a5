"""Warp the layers of a retrieval block by block: the work behind :mod:`xfusion.coregister`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .kernels import parallel
from .kernels.control import ControlGrid, Window
from .mapping import Mapping
from .rasterfile import RasterFile, recall

Blocks: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]

STRIP = 256  # target rows that one thread takes at a time, in memory
FILE_STRIP = 1024  # the same, from a file: neighbouring strips decode the tiles between them


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
        window: Window,
        grid: ControlGrid,
        shape: tuple[int, int],
    ) -> tuple[NDArray[Any], ...]:
        """Warp the window of mu, sigma and, where there is one, mask onto one block."""
        from .kernels import resample  # numba takes half a second to import

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


def warp_blocks(warp: Warp, layers: Sequence[xr.Variable], blocks: Blocks | None) -> list[Any]:
    """Warp layers of dims (..., y, x) onto the target.

    Parameters
    ----------
    warp : Warp
    layers : sequence of Variable
        mu, sigma and perhaps mask, of one shape.
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


@dataclass(frozen=True)
class WarpedBand:
    """A band of a file on another grid; picklable, reads what it needs of the file."""

    path: str
    mapping: Mapping
    resampling: str
    nodata: float
    """What means "not observed" in the file; stays so for "nearest", else becomes NaN."""
    offset: float
    """Added to what was observed."""
    dtype: np.dtype[Any]

    def on(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return one block of the target."""
        from .kernels import resample  # numba takes half a second to import

        shape = rows.stop - rows.start, columns.stop - columns.start
        fill = self.nodata if self.resampling == "nearest" else np.nan
        grid = self.mapping.control_grid(rows, columns)
        window = self.mapping.window(grid)
        if window is None:
            return np.full(shape, fill, self.dtype)
        file = RasterFile(
            self.path, self.mapping.source.shape.yx, self.dtype, masked=False, trusted=False
        )
        stored = file[window.slices]
        pixels = stored.astype(self.dtype, copy=False)
        if self.resampling == "nearest":
            return resample.nearest(pixels, window, grid, shape=shape, outside=fill)
        pixels = np.where(stored == self.nodata, fill, pixels + self.dtype.type(self.offset))
        return resample.band(pixels.astype(self.dtype), window, grid, shape=shape)


def warp_band(band: WarpedBand, blocks: Blocks | None) -> Any:
    """Warp a band onto its target, block by block.

    Parameters
    ----------
    band : WarpedBand
    blocks : pair of tuples of int, or None
        Rows and columns of a lazy result's blocks, None to read now.

    Returns
    -------
    array
        numpy or dask, of the target's shape.
    """
    rows, columns = band.mapping.target.shape
    if blocks is None:
        strips = _slices(split(rows, FILE_STRIP))
        with ThreadPoolExecutor(min(parallel.core_count(), len(strips))) as pool:
            return np.concatenate(list(pool.map(lambda r: band.on(r, slice(0, columns)), strips)))
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    name = f"band-{tokenize(band, blocks)}"
    tasks: dict[Any, Any] = {
        (name, i, j): (band.on, r, c)
        for (i, r), (j, c) in itertools.product(*(enumerate(_slices(n)) for n in blocks))
    }
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[])
    return da.Array(graph, name, blocks, dtype=band.dtype)


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


def _lazily(warp: Warp, layers: Sequence[xr.Variable], blocks: Blocks) -> list[Any]:
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    out_chunks: tuple[tuple[int, ...], ...] = blocks
    targets = [
        (i, j, r, c)
        for (i, r), (j, c) in itertools.product(*(enumerate(_slices(n)) for n in out_chunks))
    ]
    files = [recall(layer) for layer in layers]
    dtypes = [layer.dtype for layer in layers]
    tasks: dict[Any, Any]
    sources: list[Any] = []
    if all(file is not None for file in files):
        # straight from the file: a task reads the window it needs, once
        name = f"coregister-{tokenize(warp, files, [layer.data.name for layer in layers], blocks)}"
        tasks = {(name, i, j): (_warp_files, warp, files, r, c) for i, j, r, c in targets}
    else:
        sources = _in_common_chunks(layers)
        name = f"coregister-{tokenize(warp, [s.name for s in sources], blocks)}"
        tasks = {}
        for i, j, r, c in targets:
            for place, task in _tasks_on_blocks(warp, sources, r, c):
                tasks[(name, *place, i, j)] = task
        out_chunks = (*sources[0].chunks[:-2], *out_chunks)
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=sources)
    return [_picked(graph, name, tasks, k, out_chunks, dtype) for k, dtype in enumerate(dtypes)]


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


def _picked(
    graph: Any, name: str, tasks: MappingOf[Any, Any], k: int, chunks: Any, dtype: np.dtype[Any]
) -> Any:
    """Return layer k of the tasks' results as a dask array."""
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

    part = f"{name}-{k}"
    picks = MaterializedLayer({(part, *key[1:]): (_pick, key, k) for key in tasks})
    layers = {**graph.layers, part: picks}
    picked = HighLevelGraph(layers, {**graph.dependencies, part: {name}})
    return da.Array(picked, part, chunks, dtype=dtype)


def _warp_files(
    warp: Warp, files: Sequence[RasterFile], rows: slice, columns: slice
) -> tuple[NDArray[Any], ...]:
    shape = rows.stop - rows.start, columns.stop - columns.start
    grid = warp.mapping.control_grid(rows, columns)
    window = warp.mapping.window(grid)
    if window is None:
        return warp.nothing([file.dtype for file in files], shape)
    return warp.on([file[window.slices] for file in files], window, grid, shape)


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
    window = Window(origin, _rows_and_columns(layers[0]), warp.mapping.source.shape.yx)
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


def split(length: int, size: int) -> tuple[int, ...]:
    """Return the lengths of blocks of one size, the last what is left."""
    count = math.ceil(length / size)
    return tuple(min(size, length - k * size) for k in range(count))


def _slices(sizes: tuple[int, ...]) -> list[slice]:
    stops = list(itertools.accumulate(sizes))
    return [slice(stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]


def _touched(edges: NDArray[np.int64], first: int, length: int) -> range:
    start = int(np.searchsorted(edges, first, side="right")) - 1
    stop = int(np.searchsorted(edges, first + length, side="left"))
    return range(start, stop)
