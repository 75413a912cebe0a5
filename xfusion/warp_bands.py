"""Warp bands of files, those that masks are made of, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernels import parallel
from .kernels.control import ControlGrid, Window
from .mapping import Mapping
from .rasterfile import RasterFile
from .warp import Blocks, picked, slices, split, strips

FILE_STRIP = 1024  # target rows that a thread takes at a time: strips decode the tiles between them


@dataclass(frozen=True)
class WarpedBands:
    """Bands of files of one grid, on another grid; picklable, reads what it needs of the files."""

    paths: tuple[str, ...]
    mapping: Mapping
    resampling: str
    nodata: tuple[float, ...]
    """What means "not observed" in each file; stays so for "nearest", else becomes NaN."""
    offset: float
    """Added to what was observed."""
    dtype: np.dtype[Any]

    def on(self, rows: slice, columns: slice) -> tuple[NDArray[Any], ...]:
        """Return one block of the target, band by band."""
        from .kernels import nearest  # numba takes half a second to import

        shape = rows.stop - rows.start, columns.stop - columns.start
        out = tuple(np.empty(shape, self.dtype) for _ in self.paths)
        grid = self.mapping.control_grid(rows, columns)
        window = self.mapping.window(grid)
        fills = self.nodata if self.resampling == "nearest" else (np.nan,) * len(out)
        if window is None:
            for plane, fill in zip(out, fills, strict=True):
                plane[...] = fill
        elif self.resampling == "nearest":
            for k, fill in enumerate(fills):
                pixels = self._stored(k, window).astype(self.dtype, copy=False)
                nearest.nearest(pixels, window, grid, outside=fill, out=out[k])
        else:
            for k in range(0, len(out), 2):
                pair = [self._stored(place, window) for place in range(k, len(out))[:2]]
                self._interpolate(pair, self.nodata[k : k + 2], window, grid, out[k : k + 2])
        return out

    def _interpolate(
        self,
        stored: Sequence[NDArray[Any]],
        nodata: Sequence[float],
        window: Window,
        grid: ControlGrid,
        out: Sequence[NDArray[Any]],
    ) -> None:
        from .kernels import resample  # numba takes half a second to import

        for rows, part, cut in strips(self.mapping, grid, window, out[0].shape[0]):
            planes = [plane[rows] for plane in out]
            if cut is None:
                for plane in planes:
                    plane[...] = np.nan
            else:
                pixels = (band[cut.within(window)] for band in stored)
                values = [self._observed(*each) for each in zip(pixels, nodata, strict=True)]
                resample.bands(values, cut, part, out=planes)

    def _stored(self, k: int, window: Window) -> NDArray[Any]:
        shape = self.mapping.source.shape.yx
        file = RasterFile(self.paths[k], shape, self.dtype, masked=False, trusted=False)
        return file[window.slices]

    def _observed(self, stored: NDArray[Any], nodata: float) -> NDArray[Any]:
        pixels = stored.astype(self.dtype)
        pixels += self.dtype.type(self.offset)
        pixels[stored == nodata] = np.nan
        return pixels


def warp_bands(bands: WarpedBands, blocks: Blocks | None) -> list[Any]:
    """Warp bands onto their target, block by block.

    Parameters
    ----------
    bands : WarpedBands
    blocks : pair of tuples of int, or None
        Rows and columns of a lazy result's blocks, None to read now.

    Returns
    -------
    list of arrays
        One for each band; numpy or dask, of the target's shape.
    """
    rows, columns = bands.mapping.target.shape
    if blocks is None:
        parts = slices(split(rows, FILE_STRIP))
        with ThreadPoolExecutor(min(parallel.core_count(), max(1, len(parts)))) as pool:
            done = list(pool.map(lambda r: bands.on(r, slice(0, columns)), parts))
        return [np.concatenate(layer) for layer in zip(*done, strict=True)]
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    name = f"bands-{tokenize(bands, blocks)}"
    tasks: dict[Any, Any] = {
        (name, i, j): (bands.on, r, c)
        for (i, r), (j, c) in itertools.product(*(enumerate(slices(n)) for n in blocks))
    }
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[])
    return [picked(graph, name, tasks, k, blocks, bands.dtype) for k, _ in enumerate(bands.paths)]
