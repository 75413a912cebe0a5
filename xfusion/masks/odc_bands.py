"""Bands of an item on a grid, read by odc.stac.load instead of our own reader."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.raster.ahead import Ask
from xfusion.raster.asset import READ_ERRORS
from xfusion.raster.file import RasterFile
from xfusion.raster.patience import WAITS, read_with_retries
from xfusion.warp.pixel_mapping import PixelMapping

from .mosaic import OnReadError

TILE = 512  # target pixels a side
Part = tuple[slice, slice]


@dataclass(frozen=True)
class OdcBands(InGraph):
    """Bands of files of one grid on another grid, as :class:`~.mosaic.WarpedBands` has them.

    Read in tiles of the whole target, whichever block they are for: GDAL approximates where
    pixels lie, and would do so differently in each block.
    """

    names: tuple[str, ...]
    files: tuple[RasterFile, ...]
    mapping: PixelMapping
    resampling: str
    nodata: tuple[float, ...]
    """What means "not observed" in each file; stays so for "nearest", else becomes NaN."""
    offset: float
    """Added to what was observed."""
    dtype: np.dtype[Any]
    on_read_error: OnReadError = "raise"

    def plan(self, rows: slice, columns: slice, ask: Ask) -> None:
        """Ask for nothing: odc.stac.load reads for itself, see :meth:`windows`."""

    def windows(self, rows: slice, columns: slice) -> list[Part]:
        """Return rows and columns of the files that are read for one block of the target."""
        control = self.mapping.control_grid
        tiles = _tiles(rows, columns, self.mapping.target.shape.yx)
        found = [self.mapping.window(control(*tile)) for tile, _, _ in tiles]
        return [window.slices for window in found if window is not None]

    def on(
        self, rows: slice, columns: slice, plan: None
    ) -> tuple[list[NDArray[Any]], NDArray[np.bool_] | None] | None:
        """Return one block of the target, band by band, and where it could not be read.

        None where the files miss the block.
        """
        del plan  # which is none
        target = self.mapping.target.shape.yx
        touched = [
            (tile, within, place)
            for tile, within, place in _tiles(rows, columns, target)
            if self.mapping.window(self.mapping.control_grid(*tile)) is not None
        ]
        if not touched:
            return None
        shape = rows.stop - rows.start, columns.stop - columns.start
        out = [np.full(shape, fill, self.dtype) for fill in self._fills]
        failed = np.zeros(shape, np.bool_)
        for tile, within, place in touched:
            for band, plane in enumerate(out):
                pixels = self._read(band, tile)
                if pixels is None:
                    failed[place] |= self._covered(tile)[within]
                else:
                    plane[place] = pixels[within]
        return out, failed if failed.any() else None

    @property
    def _fills(self) -> tuple[float, ...]:
        return self.nodata if self.resampling == "nearest" else (np.nan,) * len(self.names)

    def _read(self, band: int, tile: tuple[slice, slice]) -> NDArray[Any] | None:
        """Return a band on a tile, None where it could not be read and is to be flagged."""
        from xfusion.raster.by_odc import read_onto  # odc.stac takes a second to import

        file, fill = self.files[band], self._fills[band]
        read = functools.partial(
            read_onto,
            file,
            self.mapping.target[tile],
            resampling=self.resampling,
            nodata=self.nodata[band],
            fill=fill,
        )
        if self.on_read_error == "raise":
            pixels = read_with_retries(file.path, lambda options: read(options=options))
        elif WAITS.is_given_up(file.path):
            return None
        else:
            try:
                with WAITS.counted(file.path):
                    pixels = read_with_retries(file.path, lambda options: read(options=options))
            except READ_ERRORS:
                return None
        if pixels.dtype.kind == "f" and not np.isnan(fill):
            pixels = np.where(np.isnan(pixels), self.dtype.type(fill), pixels)
        if self.offset:
            pixels = np.maximum(pixels + self.dtype.type(self.offset), 0)
        return pixels

    def _covered(self, tile: tuple[slice, slice]) -> NDArray[np.bool_]:
        """Return where the files show something of a tile."""
        from xfusion.kernels import nearest  # numba takes half a second to import

        grid = self.mapping.control_grid(*tile)
        window = self.mapping.window(grid)
        covered = np.zeros([part.stop - part.start for part in tile], np.uint8)
        if window is not None:
            ones = np.ones(window.shape, np.uint8)
            nearest.copy_nearest(ones, window, grid, outside=0, out=covered)
        return covered.view(np.bool_)


def _tiles(
    rows: slice, columns: slice, shape: tuple[int, int]
) -> Iterator[tuple[Part, Part, Part]]:
    """Yield the tiles that a block touches, which part of each it is, and where in the block."""
    for down in _along(rows, shape[0]):
        for across in _along(columns, shape[1]):
            tile, within, place = zip(down, across, strict=True)
            yield tile, within, place


def _along(part: slice, length: int) -> Iterator[tuple[slice, slice, slice]]:
    for start in range(part.start // TILE * TILE, part.stop, TILE):
        stop = min(start + TILE, length)
        first, last = max(start, part.start), min(stop, part.stop)
        yield (
            slice(start, stop),
            slice(first - start, last - start),
            slice(first - part.start, last - part.start),
        )
