"""The squares of ground that are drawn again and again, to see how much scores depend on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph

MOST = 512  # parts that are counted apart: each takes the memory of all bins
FEWEST = 64  # blocks that the default makes of a grid, if it has the pixels
FEWEST_DRAWN = 2
CORRELATED = 64  # pixels: the errors of water maps are correlated over up to 50
PRIMES = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True)
class BootstrapBlocks(InGraph):
    """Squares of a grid; where there are many, several make a part that is drawn as one."""

    side: int
    shape: tuple[int, int]
    """Of the grid."""

    @property
    def _across(self) -> tuple[int, int]:
        rows, columns = self.shape
        return max(1, math.ceil(rows / self.side)), max(1, math.ceil(columns / self.side))

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return min(MOST, math.prod(self._across))

    def of_block(self, rows: slice, columns: slice) -> NDArray[np.int64]:
        """Return in which part each square is that a block of pixels touches.

        Parameters
        ----------
        rows, columns : slice
            Of the grid, with start and stop.
        """
        down, along = (
            np.arange(s.start // self.side, max(s.stop - 1, s.start) // self.side + 1)
            for s in (rows, columns)
        )
        number = (down[:, None] * self._across[1] + along).astype(np.uint64)
        if math.prod(self._across) <= MOST:
            return number.astype(np.int64)
        # scattered, so that a part has squares from everywhere
        with np.errstate(over="ignore"):
            for prime in PRIMES:
                number = (number ^ (number >> np.uint64(30))) * prime
        return ((number >> np.uint64(32)) % np.uint64(MOST)).astype(np.int64)


def blocks_of_side(side: Any, shape: tuple[int, int]) -> BootstrapBlocks:
    """Return the blocks of a grid.

    Parameters
    ----------
    side : int, optional
        Pixels; by default as many as errors are correlated over, less on a small grid, and more on
        one that has more such blocks than are counted apart.
    shape : (int, int)

    Raises
    ------
    ValueError
        If it is no side, or makes one block of the grid.
    """
    area = shape[0] * shape[1]
    if side is None:
        least = max(CORRELATED, math.ceil(math.sqrt(area / MOST)))
        side = max(1, min(least, math.isqrt(area // FEWEST)))
    if isinstance(side, bool) or not isinstance(side, int | np.integer) or side < 1:
        msg = f"block={side!r}: must be a number of pixels, or a DataArray of labels"
        raise ValueError(msg)
    blocks = BootstrapBlocks(int(side), shape)
    if blocks.parts < FEWEST_DRAWN:
        msg = (
            f"block={side} pixels makes one block of a grid of {shape}, and there is nothing to "
            "draw from: give a smaller one"
        )
        raise ValueError(msg)
    return blocks
