"""Warp single bands of files, those that masks are made of, block by block."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernels import parallel
from .mapping import Mapping
from .rasterfile import RasterFile
from .warp import Blocks, slices, split

STRIP = 1024  # target rows that a thread takes at a time: strips decode the tiles between them


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

        out = np.empty((rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        fill = self.nodata if self.resampling == "nearest" else np.nan
        grid = self.mapping.control_grid(rows, columns)
        window = self.mapping.window(grid)
        if window is None:
            out[...] = fill
            return out
        file = RasterFile(
            self.path, self.mapping.source.shape.yx, self.dtype, masked=False, trusted=False
        )
        stored = file[window.slices]
        pixels = stored.astype(self.dtype, copy=False)
        if self.resampling == "nearest":
            resample.nearest(pixels, window, grid, outside=fill, out=out)
        else:
            observed = stored != self.nodata
            pixels = np.where(
                observed, pixels + self.dtype.type(self.offset), self.dtype.type(fill)
            )
            resample.band(pixels, window, grid, out=out)
        return out


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
        strips = slices(split(rows, STRIP))
        with ThreadPoolExecutor(min(parallel.core_count(), len(strips))) as pool:
            return np.concatenate(list(pool.map(lambda r: band.on(r, slice(0, columns)), strips)))
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    name = f"band-{tokenize(band, blocks)}"
    tasks: dict[Any, Any] = {
        (name, i, j): (band.on, r, c)
        for (i, r), (j, c) in itertools.product(*(enumerate(slices(n)) for n in blocks))
    }
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[])
    return da.Array(graph, name, blocks, dtype=band.dtype)
