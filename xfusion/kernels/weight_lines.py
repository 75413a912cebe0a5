"""The weights of some pixels, from the few numbers that each row of a block has."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import inlined

MAGIC = 1.5 * 2.0**52  # a number added to it is rounded to a whole one
WHOLE = np.float64(MAGIC).view(np.int64).item()  # its bits


@inlined
def as_whole(number: float) -> Any:
    """Return a number of less than 2^51 rounded to a whole one, as an integer."""
    return np.float64(number + MAGIC).view(np.int64) - WHOLE


@inlined
def fill(
    lines: Any, step: int, first: int, line: int, column: int, columns: int, out: Any, whole: Any
) -> None:
    """Write the weights of pixels in C order; 0 of what has none, if step is 1.

    Parameters
    ----------
    lines : array of float64, shape (rows, k)
        As :class:`xfusion.datamodel.pixel_area.PixelArea` gives areas: those at some columns.
    step : int
        0 where a row has one weight, else columns from one number to the next.
    first : int
        Column of the first pixel of a row, from that of its first number.
    line, column : int
        Where the first of the pixels is.
    columns : int
        Of the block.
    out : array of float64
    whole : array of int64
        The same, rounded to whole numbers.
    """
    n = out.size
    share = 1.0 / max(step, 1)
    done = 0
    while done < n:
        row = line if line < lines.shape[0] else line % lines.shape[0]
        count = min(n - done, columns - column)
        start = slope = 0.0
        within = 0
        if step == 0:
            start = lines[row, 0]
        elif step > 1:
            place = (first + column) // step
            within = first + column - place * step
            count = min(count, step - within)
            slope = (lines[row, place + 1] - lines[row, place]) * share
            start = lines[row, place]
        part = out[done : done + count]
        if step == 1:
            given = lines[row, column : column + count]
            for i in range(count):
                part[i] = given[i] if given[i] > 0.0 else 0.0  # noqa: FURB136  # 0 of NaN as well
        else:
            for i in range(count):
                # in 32 bits: there is no instruction that makes vectors of int64 floats
                part[i] = start + slope * np.float64(np.int32(within + i))
        done += count
        column += count
        if column == columns:
            column = 0
            line += 1
    for i in range(n):
        whole[i] = as_whole(out[i])
