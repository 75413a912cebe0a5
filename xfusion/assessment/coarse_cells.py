"""Sums over cells of many pixels, for errors that are correlated farther than a block can see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.ground_distance import GroundDistance, apart

from .autocorrelation import lag_sums
from .correlation_range import Exponential
from .rectangles import Pixels

PER_RANGE = 8  # cells into which a range is cut
POINTS = 4  # a side of a cell, over which its correlation with another is averaged


@dataclass(frozen=True)
class CellSums:
    """Sums over the cells of a part of the grid."""

    cells: Pixels
    """Which, in rows and columns of cells; they begin at the first pixel of the grid."""
    sums: NDArray[np.float64]
    """Of shape (retrievals, rows, columns)."""

    def __add__(self, other: CellSums) -> CellSums:
        """Return the sums over all cells that one of the two has."""
        spans = zip(self.cells, other.cells, strict=True)
        both = Pixels(*(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in spans))
        sums = np.zeros((len(self.sums), *both.shape))
        for part in (self, other):
            rows, columns = part.cells.seen_from(both)
            sums[:, rows, columns] += part.sums
        return CellSums(both, sums)


@dataclass(frozen=True)
class Cells:
    """The cells of a grid for one part of the correlation."""

    part: Exponential
    distance: GroundDistance

    @property
    def size(self) -> tuple[int, int]:
        """How many rows and columns of pixels are a cell."""
        grid = zip(self.distance.geobox.shape, self.distance.smallest_sides, strict=True)
        rows, columns = (
            int(max(1, min(n, self.part.length / (PER_RANGE * side)))) for n, side in grid
        )
        return rows, columns

    def none_of(self, count: int, pixels: Pixels) -> CellSums:
        """Return sums of nothing, for so many retrievals, over the cells that pixels are in."""
        spans = zip(pixels, self.size, strict=True)
        cells = Pixels(*(slice(s.start // n, (s.stop - 1) // n + 1) for s, n in spans))
        return CellSums(cells, np.zeros((count, *cells.shape)))

    def add(self, values: NDArray[np.float64], pixels: Pixels, sums: CellSums, which: int) -> None:
        """Add pixels, of shape (rows, columns), to the sums of one of the retrievals."""
        there = self.none_of(0, pixels).cells
        for axis, (span, cells, n) in enumerate(zip(pixels, there, self.size, strict=True)):
            starts = np.arange(cells.start, cells.stop) * n - span.start
            values = np.add.reduceat(values, np.maximum(starts, 0), axis=axis)
        sums.sums[which][there.seen_from(sums.cells)] += values

    def variance(self, sums: CellSums) -> NDArray[np.float64]:
        """Return the variance of the sum of all pixels, one for each retrieval."""
        sides = zip(sums.cells.shape, self.size, self.distance.smallest_sides, strict=True)
        rows, columns = (
            int(min(n, np.ceil(self.part.reach / (size * side)))) for n, size, side in sides
        )
        variances = np.zeros(len(sums.sums))
        for tile, core in sums.cells.tiles():
            there = core.seen_from(sums.cells)
            offset = (there[0].start, there[1].start)
            metric = self._metric(tile)
            for i, values in enumerate(sums.sums):
                lags = lag_sums(values[there], values, offset, (rows, columns))
                variances[i] += np.sum(lags.sums * self._mean(metric, lags.rows, lags.columns))
        return variances

    def _metric(self, tile: Pixels) -> NDArray[np.float64]:
        """Return what makes a distance in metres of rows and columns of cells."""
        spans = zip(tile, self.size, strict=True)
        metric = self.distance.metric(*(slice(s.start * n, s.stop * n) for s, n in spans))
        scaled: NDArray[np.float64] = metric * np.outer(self.size, self.size)
        return scaled

    def _mean(
        self, metric: NDArray[np.float64], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the mean correlation of the points of two cells, so many cells apart."""
        mean = np.zeros((rows.size, columns.size))
        steps = np.arange(1 - POINTS, POINTS)
        weights = (POINTS - np.abs(steps)) / POINTS**2  # pairs of points that lie so far apart
        for down, one in zip(steps, weights, strict=True):
            for along, other in zip(steps, weights, strict=True):
                distance = apart(metric, rows + down / POINTS, columns + along / POINTS)
                mean += one * other * self.part.at(distance)
        return mean
