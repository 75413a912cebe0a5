"""Bring bands of catalogue items, those that masks are made of, onto a grid block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.chunks import Blocks
from xfusion.datamodel.graph import InGraph
from xfusion.kernels.control import ControlGrid, Window
from xfusion.raster.ahead import Ask
from xfusion.raster.file import RasterFile
from xfusion.run.allocation import keep_freed_memory
from xfusion.warp.from_files import PlannedBlock, blocks_at_once, lazy_blocks
from xfusion.warp.on_block import split, strips
from xfusion.warp.pixel_mapping import PixelMapping

if TYPE_CHECKING:
    from .odc_bands import OdcBands

FILE_STRIP = 1024  # target rows that a thread takes at a time: strips decode the tiles between them

OnReadError: TypeAlias = Literal["raise", "flag"]
Bands: TypeAlias = Mapping[str, NDArray[Any]]

NOTHING, PART, ALL = range(3)  # how much of a pixel an item has observed
Observed: TypeAlias = Callable[[Bands], NDArray[np.uint8]]


@dataclass(frozen=True)
class BandsObserved(InGraph):
    """Where items of any sensor overlap, the one with values in all its bands wins."""

    fills: Mapping[str, float]
    """What stands for "not observed" in each band."""

    def __call__(self, bands: Bands) -> NDArray[np.uint8]:
        """Return ALL, PART or NOTHING, pixel by pixel."""
        seen = [
            np.isfinite(bands[band]) & (bands[band] != fill) for band, fill in self.fills.items()
        ]
        every, some = np.all(seen, axis=0), np.any(seen, axis=0)
        return np.where(every, ALL, np.where(some, PART, NOTHING)).astype(np.uint8)


@dataclass(frozen=True)
class WarpedBands(InGraph):
    """Bands of files of one grid, on another grid; picklable, reads what it needs of the files."""

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

    @property
    def fills(self) -> tuple[float, ...]:
        """What stands for "not observed" in the result."""
        return self.nodata if self.resampling == "nearest" else (np.nan,) * len(self.names)

    def plan(self, rows: slice, columns: slice, ask: Ask) -> PlannedBlock:
        """Ask for what one block of the target needs of the files."""
        grid = self.mapping.control_grid(rows, columns)
        window = self.mapping.window(grid)
        if window is None:
            return PlannedBlock(grid, None, ())
        fills = self.nodata if self.on_read_error == "flag" else (None,) * len(self.files)
        asked = (ask(f, window.slices, fill) for f, fill in zip(self.files, fills, strict=True))
        return PlannedBlock(grid, window, tuple(asked))

    def on(
        self, rows: slice, columns: slice, plan: PlannedBlock
    ) -> tuple[list[NDArray[Any]], NDArray[np.bool_] | None] | None:
        """Return one block of the target, band by band, and where it could not be read.

        None where the files miss the block.
        """
        from xfusion.kernels import nearest  # numba takes half a second to import

        grid, window = plan.grid, plan.window
        if window is None:
            return None
        shape = rows.stop - rows.start, columns.stop - columns.start
        out = [np.empty(shape, self.dtype) for _ in self.names]
        read = [asked.take() for asked in plan.files]
        stored = [pixels for pixels, _ in read]
        failures = [failed for _, failed in read if failed is not None]
        failed = np.any(failures, axis=0) if failures else None
        if self.resampling == "nearest":
            for pixels, fill, plane in zip(stored, self.fills, out, strict=True):
                band = pixels.astype(self.dtype, copy=False)
                if band.dtype.kind == "f":
                    band = np.where(np.isnan(band), self.dtype.type(fill), band)
                nearest.copy_nearest(band, window, grid, outside=fill, out=plane)
        else:
            for k in range(0, len(out), 2):
                pair = slice(k, k + 2)
                self._interpolate(stored[pair], self.nodata[pair], window, grid, out[pair])
        if failed is None:
            return out, None
        lost = np.empty(shape, np.uint8)
        nearest.copy_nearest(failed.view(np.uint8), window, grid, outside=0, out=lost)
        return out, lost.view(np.bool_)

    def _interpolate(
        self,
        stored: Sequence[NDArray[Any]],
        nodata: Sequence[float],
        window: Window,
        grid: ControlGrid,
        out: Sequence[NDArray[Any]],
    ) -> None:
        from xfusion.kernels import resample  # numba takes half a second to import

        for rows, part, cut in strips(self.mapping, grid, window, out[0].shape[0]):
            planes = [plane[rows] for plane in out]
            if cut is None:
                for plane in planes:
                    plane[...] = np.nan
            else:
                pixels = (band[cut.within(window)] for band in stored)
                values = [self._observed(*each) for each in zip(pixels, nodata, strict=True)]
                resample.bands(values, cut, part, out=planes)

    def _observed(self, stored: NDArray[Any], nodata: float) -> NDArray[Any]:
        pixels = stored.astype(self.dtype)
        if self.offset:
            pixels += self.dtype.type(self.offset)
            # less than nothing is noise, and makes an index of dark water that of a forest
            np.maximum(pixels, 0, out=pixels)
        pixels[stored == nodata] = np.nan
        return pixels


@dataclass(frozen=True)
class WarpedItem(InGraph):
    """The bands of one item, grid by grid; without any where none of its files can be opened."""

    bands: tuple[WarpedBands | OdcBands, ...]

    def plan(self, rows: slice, columns: slice, ask: Ask) -> list[Any]:
        """Ask for what one block of the target needs of the files."""
        return [bands.plan(rows, columns, ask) for bands in self.bands]

    def on(
        self, rows: slice, columns: slice, plan: list[Any]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_] | None] | None:
        """Return the bands that touch one block of the target, and where they could not be read."""
        if not self.bands:
            shape = rows.stop - rows.start, columns.stop - columns.start
            return {}, np.ones(shape, np.bool_)
        warped = [
            (bands, bands.on(rows, columns, planned))
            for bands, planned in zip(self.bands, plan, strict=True)
        ]
        layers: dict[str, NDArray[Any]] = {}
        failures = []
        for bands, block in warped:
            if block is not None:
                pixels, failed = block
                layers |= dict(zip(bands.names, pixels, strict=True))
                failures += [] if failed is None else [failed]
        if not layers:
            return None
        return layers, np.any(failures, axis=0) if failures else None


@dataclass(frozen=True)
class Mosaic(InGraph):
    """Items that show one acquisition, each pixel from the one that has observed it best."""

    items: tuple[WarpedItem, ...]
    bands: tuple[tuple[str, float, np.dtype[Any]], ...]
    """Name of each band, what stands for "not observed" in it, and its dtype."""
    target: tuple[int, int]
    observed: Observed
    """NOTHING, PART or ALL of a pixel, from its bands."""
    on_read_error: OnReadError = "raise"

    @property
    def dtypes(self) -> list[np.dtype[Any]]:
        """Dtypes of the layers of a block."""
        flags = [] if self.on_read_error == "raise" else [np.dtype(np.bool_)]
        return [*(dtype for _, _, dtype in self.bands), *flags]

    def plan(self, rows: slice, columns: slice, ask: Ask) -> list[list[Any]]:
        """Ask for what one block of the target needs of the files."""
        return [item.plan(rows, columns, ask) for item in self.items]

    def on(self, rows: slice, columns: slice, plan: list[list[Any]]) -> tuple[NDArray[Any], ...]:
        """Return one block of the target: the bands, and where they could not be read.

        The latter only where `on_read_error` is "flag".
        """
        keep_freed_memory()
        shape = rows.stop - rows.start, columns.stop - columns.start
        merged: dict[str, NDArray[Any]] = {}
        failed = np.zeros(shape, np.bool_)
        for item, planned in zip(self.items, plan, strict=True):
            block = item.on(rows, columns, planned)
            if block is None:
                continue
            layers, lost = self._complete(block[0], shape), block[1]
            if lost is not None:
                failed |= lost  # there a band has its fill: the item has not observed it all
            if merged:
                self._merge(merged, layers)
            else:
                merged = layers
        merged = merged or self._complete({}, shape)
        if self.on_read_error == "raise":
            return tuple(merged.values())
        if failed.any():
            failed &= self.observed(merged) < ALL
        return (*merged.values(), failed)

    def _complete(self, layers: Bands, shape: tuple[int, int]) -> dict[str, NDArray[Any]]:
        return {
            name: layers[name] if name in layers else np.full(shape, fill, dtype)
            for name, fill, dtype in self.bands
        }

    def _merge(self, merged: Bands, layers: Bands) -> None:
        better = self.observed(layers) > self.observed(merged)
        for name, _, _ in self.bands:
            np.copyto(merged[name], layers[name], where=better)


def warp_mosaic(mosaic: Mosaic, blocks: Blocks | None) -> list[Any]:
    """Warp a mosaic onto its target, block by block.

    Parameters
    ----------
    mosaic : Mosaic
    blocks : pair of tuples of int, or None
        Rows and columns of a lazy result's blocks, None to read now.

    Returns
    -------
    list of arrays
        What its method `on` returns, each of the target's shape; numpy or dask.
    """
    rows, columns = mosaic.target
    if blocks is None:
        done = blocks_at_once(mosaic, (split(rows, FILE_STRIP), (columns,)))
        return [np.concatenate(layer) for layer in zip(*done, strict=True)]
    from dask.base import tokenize

    return lazy_blocks(f"bands-{tokenize(mosaic, blocks)}", mosaic, blocks, mosaic.dtypes)
