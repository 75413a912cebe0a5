"""The weights of some pixels, from the few numbers that a block has."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compile import inlined
from .independent import flat

MAGIC = 1.5 * 2.0**52  # a number added to it is rounded to a whole one
WHOLE = np.float64(MAGIC).view(np.int64).item()  # its bits


@inlined
def as_whole(number: float) -> Any:
    """Return a number of less than 2^51 rounded to a whole one, as an integer."""
    return np.float64(number + MAGIC).view(np.int64) - WHOLE


class WeightLines(NamedTuple):
    """The weights of the pixels of a block: known at some rows and columns, linear in between."""

    known: NDArray[np.float64]
    """At these rows and columns, positive, and finite where `step` is not 1."""
    rows: int
    """Of the block."""
    down: int = 1
    """How many rows are from one to the next, a power of two; if 1 each is there."""
    above: int = 0
    """The first row of the block, from the first of them."""
    step: int = 0
    """How many columns are from one to the next; 0 where a row has one weight."""
    first: int = 0
    """The first column of the block, from the first of them."""


def with_plain_values(lines: WeightLines) -> WeightLines:
    """Return the same for a kernel, which is compiled for arrays of one kind."""
    plain = flat(lines.known, np.dtype(np.float64)).reshape(lines.known.shape)
    return lines._replace(known=plain)


@inlined
def fill(lines: Any, line: int, column: int, columns: int, out: Any) -> None:
    """Write the weights of pixels in C order; 0 of what has none, if each is known.

    Parameters
    ----------
    lines : WeightLines
    line, column : int
        Where the first of the pixels is; after the last row comes the first one again.
    columns : int
        Of the block.
    out : array of float64
    """
    n = out.size
    known, step, down = lines.known, lines.step, lines.down
    done = 0
    while done < n:
        row = line if line < lines.rows else line % lines.rows
        count = min(n - done, columns - column)
        nearest, part = row, 0.0
        if down > 1:
            nearest = (lines.above + row) // down
            part = np.float64(lines.above + row - nearest * down) / np.float64(down)
        start = slope = 0.0
        within = 0
        if step == 0:
            start = known[nearest, 0]
        elif step > 1:
            place = (lines.first + column) // step
            within = lines.first + column - place * step
            count = min(count, step - within)
            start, stop = known[nearest, place], known[nearest, place + 1]
            if part > 0.0:
                start = start * (1.0 - part) + known[nearest + 1, place] * part
                stop = stop * (1.0 - part) + known[nearest + 1, place + 1] * part
            slope = (stop - start) / np.float64(step)
        here = out[done : done + count]
        if step == 1:
            given = known[row, column : column + count]
            for i in range(count):
                here[i] = given[i] if given[i] > 0.0 else 0.0  # noqa: FURB136  # 0 of NaN as well
        else:
            for i in range(count):
                # in 32 bits: there is no instruction that makes vectors of int64 floats
                here[i] = start + slope * np.float64(np.int32(within + i))
        done += count
        column += count
        if column == columns:
            column = 0
            line += 1
