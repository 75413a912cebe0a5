"""Spread flags over pixels within reach, which is given row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled


@compiled
def _spread(
    counts: Any,
    corner: Any,
    first: Any,
    lows: Any,
    highs: Any,
    cell: int,
    turn: int,
    bit: Any,
    out: Any,
) -> None:
    """Set a bit on each pixel of a block that has a flagged one within reach.

    `counts` has for each row of the window how many flagged pixels lie left of each column.
    """
    top, left = corner
    first_row, first_column = first
    height, width = counts.shape[0], counts.shape[1] - 1
    rows, columns = out.shape
    reach = lows.shape[2] // 2
    cell0 = first_column // cell
    for r in range(rows):
        for step in range(lows.shape[2]):
            row = first_row + r + step - reach - top
            if row < 0 or row >= height or counts[row, width] == 0:
                continue
            for k in range(lows.shape[1]):
                low, high = lows[r, k, step], highs[r, k, step]
                if low > high:
                    continue
                begin = max(0, (cell0 + k) * cell - first_column)
                end = min(columns, (cell0 + k + 1) * cell - first_column)
                for c in range(begin, end):
                    here = first_column + c - left
                    a = min(max(here + low, 0), width)
                    b = min(max(here + high + 1, 0), width)
                    if b > a and counts[row, b] > counts[row, a]:
                        out[r, c] |= bit
                    elif turn > 0:
                        # the last column lies beside the first one
                        a, b = max(here + low + turn, 0), here + high + 1 - turn
                        before = a < width and counts[row, width] > counts[row, a]
                        after = b > 0 and counts[row, min(b, width)] > 0
                        if before or after:
                            out[r, c] |= bit


def dilate(
    flags: NDArray[np.uint8],
    corner: tuple[int, int],
    first: tuple[int, int],
    lows: NDArray[np.int64],
    highs: NDArray[np.int64],
    *,
    cell: int,
    turn: int,
    bits: int,
    out: NDArray[np.uint8],
) -> None:
    """Set on the pixels of a block the flags of all pixels within reach.

    Parameters
    ----------
    flags : array of uint8
        A window of the grid that holds all that is within reach, as far as the grid has it.
    corner, first : (int, int)
        Row and column of the first pixel of the window, and of that of the block, in the grid.
    lows, highs : arrays of int, shape (rows, cells, 2 reach + 1)
        How many columns to the left and to the right is within reach of a pixel of a row, in the
        rows from `reach` above to `reach` below; none where low exceeds high. `lows` is negative
        to the left.
    cell : int
        Columns of the grid that have these in common, counted from its first.
    turn : int
        Columns of a grid that goes all around the earth, which the window then has; else 0.
    bits : int
        The flags that spread.
    out : array of uint8
        The block; flags are added to those it has.
    """
    for bit in (1 << k for k in range(8)):
        flagged = flags & np.uint8(bits & bit) != 0
        if flagged.any():
            counts = np.zeros((flags.shape[0], flags.shape[1] + 1), np.int32)
            np.cumsum(flagged, axis=1, out=counts[:, 1:])
            _spread(counts, corner, first, lows, highs, cell, turn, np.uint8(bit), out)
