"""One co-registration with all its arguments, and its work on a block of the target."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.kernels.control import ControlGrid, Window
from xfusion.kernels.second_process import companion

from .pixel_mapping import PixelMapping

STRIP = 256  # target rows that are resampled at a time


@dataclass(frozen=True)
class Warp(InGraph):
    """What is to be done with each block."""

    mapping: PixelMapping
    resampling: str
    error_correlation: float
    outside: int
    """Flags where the source ends."""
    position_error: float | None = 0.0
    """By how many source pixels positions are off; None: that of the nearest pixel to each."""

    def on(
        self,
        layers: Sequence[NDArray[Any]],
        window: Window | None,
        grid: ControlGrid,
        out: Sequence[NDArray[Any]],
    ) -> None:
        """Warp the window of mu, sigma and, where there is one, mask onto one block, `out`.

        Or of flags alone, by the nearest pixel. No window is a block that misses the source.
        """
        if window is not None and self.resampling != "nearest":
            # before numba is imported: it begins while that is
            companion.expect(layers[0].dtype.name, squared=self.error_correlation != 1.0)
        from xfusion.kernels import nearest, resample

        fills = (np.nan, np.nan, self.outside) if len(out) > 1 else (self.outside,)
        if window is None:
            for plane, fill in zip(out, fills, strict=False):
                plane[...] = fill
        elif self.resampling == "nearest":
            for layer, fill, plane in zip(layers, fills, out, strict=False):
                nearest.copy_nearest(layer, window, grid, outside=fill, out=plane)
            if self.position_error != 0.0 and len(out) > 1:
                self._widen_nearest(layers, window, grid, out[1])
        else:
            for rows, part, cut in strips(self.mapping, grid, window, out[0].shape[0]):
                planes = [plane[rows] for plane in out]
                if cut is None:
                    self.on(layers, None, part, planes)
                    continue
                mu, sigma, *masks = (layer[cut.within(window)] for layer in layers)
                mask = masks[0] if masks else None
                flags = np.empty(planes[0].shape, np.uint8)
                resample.joint(
                    mu,
                    sigma,
                    mask,
                    cut,
                    part,
                    error_correlation=self.error_correlation,
                    outside=self.outside,
                    out=[*planes, flags][:3],
                    position_error=self.position_error or 0.0,
                )

    def _distance(self, like: NDArray[Any]) -> NDArray[Any]:
        return np.array([self.position_error], like.dtype)

    def _widen_nearest(
        self,
        layers: Sequence[NDArray[Any]],
        window: Window,
        grid: ControlGrid,
        sigma: NDArray[Any],
    ) -> None:
        """Add to sigma, which was copied, what a copy from beside the position may be off by."""
        from xfusion.kernels import nearest, position

        mu, deviation, *masks = layers
        steep = position.steepness(mu, deviation, masks[0] if masks else None)
        slopes = np.empty_like(sigma)
        nearest.copy_nearest(steep, window, grid, outside=np.nan, out=slopes)
        if self.position_error is None:
            apart = np.empty(sigma.shape)
            position.distances(window, grid, out=apart)
            distance = (math.sqrt(2) * apart).astype(sigma.dtype)
        else:
            distance = self._distance(sigma)
        position.add_in_quadrature(sigma, slopes, distance, out=sigma)


def strips(
    mapping: PixelMapping, grid: ControlGrid, window: Window, rows: int
) -> Iterator[tuple[slice, ControlGrid, Window | None]]:
    """Yield the rows of a block in strips whose part of the source fits a cache.

    With each strip come its part of the control grid and its window, None where it misses the
    source.
    """
    for strip in slices(split(rows, STRIP)):
        if strip == slice(0, rows):
            yield strip, grid, window
        else:
            part = grid.rows(strip.start, strip.stop)
            yield strip, part, mapping.window(part)


def split(length: int, size: int) -> tuple[int, ...]:
    """Return the lengths of blocks of one size, the last what is left."""
    count = math.ceil(length / size)
    return tuple(min(size, length - k * size) for k in range(count))


def slices(sizes: tuple[int, ...]) -> list[slice]:
    """Return where blocks of these lengths lie."""
    stops = list(itertools.accumulate(sizes))
    return [slice(stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]
