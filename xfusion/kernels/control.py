"""Arguments of the resampling kernels: where target pixels fall, and the window of the source."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Positions: TypeAlias = NDArray[np.float64]


class ControlGrid(NamedTuple):
    """Where the pixels of a target block fall in the source."""

    step: int
    """Target pixels a side of a control cell."""
    first: tuple[int, int]
    """Absolute target row and column of the block's first pixel."""
    u: Positions
    """Source column of each corner of the cells that the block touches."""
    v: Positions
    """Source row of the same corners."""
    exact: NDArray[np.int64]
    """For each cell -1, or its place in `exact_u` where linear interpolation is too coarse."""
    exact_u: Positions
    """Source column of each pixel of those cells, shape (cells, step, step)."""
    exact_v: Positions
    """Source row of each pixel of those cells."""
    exact_width: Positions
    """How far apart neighbouring pixels of those cells lie, along u and v, shape (cells, 2)."""

    def rows(self, start: int, stop: int) -> ControlGrid:
        """Return the control grid of some rows of the block."""
        row, column = self.first
        skipped = row // self.step
        cells = slice((row + start) // self.step - skipped, -(-(row + stop) // self.step) - skipped)
        nodes = slice(cells.start, cells.stop + 1)
        return self._replace(
            first=(row + start, column),
            u=self.u[nodes],
            v=self.v[nodes],
            exact=self.exact[cells],
        )


class Window(NamedTuple):
    """Which part of the source is at hand."""

    first: tuple[int, int]
    """Absolute row and column of its first pixel."""
    shape: tuple[int, int]
    """Its rows and columns."""
    source: tuple[int, int]
    """Rows and columns of the whole source."""

    @property
    def slices(self) -> tuple[slice, slice]:
        """Where the window lies in the whole source."""
        (row, column), (rows, columns), _ = self
        return slice(row, row + rows), slice(column, column + columns)

    def within(self, other: Window) -> tuple[slice, slice]:
        """Return where this window lies in a larger one."""
        row, column = (a - b for a, b in zip(self.first, other.first, strict=True))
        rows, columns = self.shape
        return slice(row, row + rows), slice(column, column + columns)
