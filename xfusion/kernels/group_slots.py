"""Number the groups that are in a block, as they are met, so that only these take memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled
from .parallel import map_ranges, pixels

RANGE = 1 << 16  # pixels whose numbers as int64 fit a cache
NO_GROUP, NOT_KNOWN = -1, -2  # of numbers in a table


@compiled
def _mark(values: Any, least: int, found: Any) -> None:
    for i in range(values.size):
        found[values[i] - least] = 1


def present(values: NDArray[Any], least: int, most: int) -> NDArray[np.bool_]:
    """Return which numbers from the least to the most are among integers, all of which are.

    Parameters
    ----------
    values : array of integers
    least, most : int
    """
    found = np.zeros(most - least + 1, np.uint8)

    def on_range(start: int, stop: int) -> None:
        some = np.ascontiguousarray(pixels(values, start, stop), np.int64)
        _mark(some, least, found)  # all write the same

    map_ranges(on_range, values.size, length=RANGE)
    return found.astype(np.bool_)


@compiled
def _slots(
    groups: Any,
    table: Any,
    least: int,
    number: int,
    clusters: Any,
    side: int,
    corner: Any,
    shape: Any,
    start: int,
    slot_of: Any,
    met: Any,
    out: Any,
) -> Any:
    rows, columns = shape
    line, column = start // columns, start % columns
    count = strangers = i = 0
    while i < out.size:
        # pixels of the line in one square
        row, square = (corner[0] + line % rows) // side, (corner[1] + column) // side
        n = min(out.size - i, columns - column, (square + 1) * side - corner[1] - column)
        base = clusters[row, square] * number
        some = out[i : i + n]
        before, slot = 0, -1
        for k in range(n):
            value = 0
            if groups is not None:
                value = groups[i + k]
            # neighbours mostly are in one group
            if k == 0 or value != before:
                before, group = value, 0
                if groups is not None:
                    place = value - least
                    group = table[place] if 0 <= place < table.size else NOT_KNOWN
                    strangers += 1 if group == NOT_KNOWN else 0
                slot = -1
                if group >= 0:
                    code = base + group
                    slot = slot_of[code]
                    if slot < 0:
                        slot = count
                        slot_of[code] = slot
                        met[slot] = code
                        count += 1
            some[k] = slot
        i += n
        column += n
        if column == columns:
            column = 0
            line += 1
    return count, strangers


def slots(
    groups: NDArray[np.int64] | None,
    table: NDArray[np.int32],
    least: int,
    number: int,
    clusters: NDArray[np.int64],
    *,
    side: int,
    corner: tuple[int, int],
    shape: tuple[int, int],
    start: int,
    size: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:
    """Return the slot of each pixel, -1 of those in no group, and the code of each slot.

    Parameters
    ----------
    groups : array of int64, or None
        What says which group each pixel is in; None if all are in the first.
    table : array of int32
        Number of the group of each value from the least, NO_GROUP or NOT_KNOWN.
    least : int
    number : int
        How many groups there are.
    clusters : array of int64, shape (n, m)
        Of each square of ground, in which cluster it is. A code is cluster * number + group.
    side : int
        Pixels of a square.
    corner : (int, int)
        Row and column of the first pixel, from the corner of the first square.
    shape : (int, int)
        Rows and columns of the block.
    start, size : int
        First of the pixels, counted in C order in the block, which may be several of this shape;
        and how many there are.

    Returns
    -------
    slots, codes : arrays
    strangers : int
        How many times there is a value that is not known.
    """
    codes = int(clusters.max(initial=0) + 1) * number
    slot_of = np.full(codes, -1, np.int32)
    met = np.empty(min(codes, size), np.int64)
    out = np.empty(size, np.int32)
    count, strangers = _slots(
        groups, table, least, number, clusters, side, corner, shape, start, slot_of, met, out
    )
    return out, met[:count], int(strangers)
