"""Count wet and dry pixels by their probability, one block in one pass over memory.

All sums are of whole numbers: weights are, and what is summed is rounded to them pixel by pixel.
So they are the same whatever the blocks and the order. What adds to an address that a pixel chooses
is in loops beside those that vectorise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import exact_sums
from .binary_pixels import (
    CELLS,
    KINDS,
    LARGE_Z2,
    Z_UNIT,
    differ,
    judge,
    leave_out,
    move_to_slots,
    read_truth,
    weigh,
    weigh_each,
)
from .buffers import STRIP, add_pairs, borrowed, fetch, pair_buffer, strip_buffer
from .compile import compiled
from .independent import flat
from .weight_lines import WeightLines, as_whole, fill, with_plain_values

__all__ = ["CELLS", "Z_UNIT", "Tally", "tally"]

COUNT, UNSCORED, BRIER, Z2, BROKEN_WEIGHT = range(5)  # sums of a row
SUMS = 5
AHEAD = 8 * STRIP  # pixels from those that are counted to those that are fetched
MOST_CELLS = 8  # for each pixel; where there are more, they are not kept one by one
LEAST = 1 << 14  # pixels for which there are so many
MARGIN = 1  # a cell above that of what is not scored, for a threshold below 0
LIKES = np.empty(0), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8)


class PixelCells(NamedTuple):
    """In which cell each pixel is, where there are more cells than pixels."""

    cells: NDArray[np.int32]
    """Number of a cell, those of one slot after those of another; beyond them if in none."""
    pairs: NDArray[np.int64]
    """Shape (pixels, 2): what is added to it."""
    shape: tuple[int, ...] = (2, 2, CELLS, 2)
    """Of the cells of a slot."""


# where none are kept one by one: so a kernel is compiled once for both
NO_PIXELS = PixelCells(np.empty(0, np.int32), np.empty((0, 2), np.int64))


class Tally(NamedTuple):
    """What is counted of pixels, by slots: groups and the like."""

    cells: NDArray[np.int64] | PixelCells
    """Shape (slots, usable, wet, CELLS, 2): weights, and weights times the distance of mu from 0
    or 1, whichever is nearer."""
    sums: NDArray[np.int64]
    """Shape (slots, usable, SUMS)."""
    words: NDArray[np.int64]
    """Shape (slots, usable, WORDS): exact sums of weights times large z^2."""


@compiled
def _tally(
    mu: Any,
    sigma: Any,
    mask: Any,
    truth: Any,
    slots: Any,
    nodata: Any,
    declared: bool,
    lines: Any,
    columns: int,
    start: int,
    counted: int,
    threshold: Any,
    floor: Any,
    stand_in: Any,
    unused: Any,
    cells: Any,
    number_of: Any,
    values: Any,
    apart: bool,
    sums: Any,
    words: Any,
    likes: Any,
) -> Any:
    large = mu.dtype.type(LARGE_Z2)
    floats, longs, ints, bytes_ = likes
    cells, sums, words = borrowed(cells), borrowed(sums), borrowed(words)
    masks = strip_buffer(bytes_), strip_buffer(bytes_), strip_buffer(bytes_)
    labels, cell_of, used_of = strip_buffer(mask), strip_buffer(ints), strip_buffer(ints)
    x_of, d_of, z2_of = strip_buffer(mu), strip_buffer(mu), strip_buffer(mu)
    weights = strip_buffer(floats)
    pairs, brier_of, whole_z_of = pair_buffer(longs), strip_buffer(longs), strip_buffer(longs)
    neither: Any = 0
    outside: Any = 0
    constant = -1  # the line whose weight all of `weights` have
    for i0 in range(0, mu.size, STRIP):
        # the last strip is as long as all are, and begins with what was counted already
        begin = min(i0, mu.size - STRIP)
        skipped = i0 - begin + counted
        line, column = (start + begin) // columns, (start + begin) % columns
        if lines.step != 0 or constant != line or column + STRIP > columns:
            fill(lines, line, column, columns, weights)
            constant = line if column + STRIP <= columns else -1
        here = slice(begin, begin + STRIP)
        some_mu, some_sigma = borrowed(mu[here]), borrowed(sigma[here])
        some_mask, some_truth = borrowed(mask[here]), borrowed(truth[here])
        some_slots: Any = None
        slot: Any = 0
        mixed = False
        if slots is not None:
            some_slots = borrowed(slots[here])
            slot = some_slots[0]
            mixed = differ(some_slots)
        fetch(mu, begin + AHEAD)
        neither += read_truth(some_truth, some_mask, nodata, declared, labels, masks)
        leave_out(weights, lines.step == 1, some_slots, skipped, masks)
        fetch(sigma, begin + AHEAD)
        scored, used, left, odd, beyond = judge(
            some_mu,
            some_sigma,
            masks,
            floor,
            stand_in,
            threshold,
            unused,
            (cell_of, used_of, x_of, d_of, z2_of),
        )
        fetch(mask, begin + AHEAD)
        outside += beyond
        if slots is not None:
            move_to_slots(cell_of, some_slots, unused)
        if odd != 0:
            for i in range(STRIP):
                m, s, cell = some_mu[i], some_sigma[i], cell_of[i]
                if cell < unused and not s >= (s - s) + (m - m):
                    sums[cell // (2 * CELLS), BROKEN_WEIGHT] += as_whole(weights[i])
                if z2_of[i] >= large:
                    exact_sums.add(words, cell // (2 * CELLS), weights[i] * np.float64(z2_of[i]))
                    z2_of[i] = 0
        brier, brier_usable, z2, z2_usable = weigh(
            weights,
            (d_of, z2_of, x_of, used_of),
            np.int64(used),
            pairs,
        )
        fetch(truth, begin + AHEAD)
        if not apart:
            for i in range(0, STRIP, 2):
                # not negative, which need not be looked at
                cell, next_cell = np.uint32(cell_of[i]), np.uint32(cell_of[i + 1])
                add_pairs(cells, np.uint32(2 * cell), np.uint32(2 * next_cell), pairs, i)
        else:
            for i in range(skipped, STRIP):
                number_of[begin + i] = cell_of[i]
                values[begin + i, 0], values[begin + i, 1] = pairs[2 * i], pairs[2 * i + 1]
        if mixed:
            weigh_each(weights, d_of, z2_of, brier_of, whole_z_of)
            known_of = masks[1]
            for i in range(STRIP):
                if known_of[i] != 0:
                    row = 2 * some_slots[i] - used_of[i]
                    is_scored = cell_of[i] < unused
                    sums[row, COUNT] += 1 if is_scored else 0
                    sums[row, UNSCORED] += 0 if is_scored else 1
                    sums[row, BRIER] += brier_of[i]
                    sums[row, Z2] += whole_z_of[i]
        elif slot >= 0:
            row = 2 * slot
            sums[row, COUNT] += scored - used
            sums[row + 1, COUNT] += used
            sums[row, UNSCORED] += left
            sums[row, BRIER] += brier - brier_usable
            sums[row + 1, BRIER] += brier_usable
            sums[row, Z2] += z2 - z2_usable
            sums[row + 1, Z2] += z2_usable
    return neither > 0, outside > 0


def tally(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None,
    truth: NDArray[Any],
    slots: NDArray[np.int32] | None,
    *,
    number: int,
    nodata: float | None,
    lines: WeightLines,
    columns: int,
    start: int,
    threshold: float,
    sigma_floor: float,
    stand_in: float | None,
) -> tuple[Tally, bool, bool]:
    """Count some pixels.

    Parameters
    ----------
    mu, sigma : arrays, flat
        Probabilities and their standard deviations, float32 or float64.
    mask : array of uint8, or None
        0 where usable.
    truth : array of uint8, or floats of the dtype of mu
        0 dry, 1 wet; NaN and `nodata` are not scored.
    slots : array of int32, or None
        In which of `number` slots each pixel is, -1 for none; None if all are in the first.
    nodata : float or None
    lines, columns, start
        Weights as :func:`xfusion.kernels.weight_lines.fill` takes them, and where the first pixel
        is.
    threshold : float
        What is above it is wet.
    sigma_floor : float
        Sigmas below it are raised to it.
    stand_in : float or None
        What mu of a pixel that is not usable is taken to be; None for what it is.

    Returns
    -------
    Tally
    neither, outside : bool
        Whether a truth is neither 0 nor 1, and whether a mu that is scored is no probability.
    """
    counted = max(0, STRIP - mu.size) if mu.size else 0
    if counted:
        # a strip that ends with the pixels there are, and has the first of them before
        mu, sigma, truth = (_led(array, counted) for array in (mu, sigma, truth))
        mask, slots = (None if a is None else _led(a, counted) for a in (mask, slots))
        start = (start - counted) % (lines.rows * columns)
    dtype = np.result_type(mu, sigma)
    kind = dtype.type
    truth_dtype = truth.dtype if truth.dtype == np.uint8 else dtype
    unused = number * KINDS * CELLS
    each = None
    if unused > MOST_CELLS * max(mu.size, LEAST):
        each = PixelCells(np.full(mu.size, unused, np.int32), np.zeros((mu.size, 2), np.int64))
    cells = np.zeros(2 * (1 + MARGIN if each else unused + 1 + MARGIN), np.int64)
    sums = np.zeros((2 * number + 1, SUMS), np.int64)
    words = np.zeros((2 * number, exact_sums.WORDS), np.int64)
    neither, outside = _tally(
        flat(mu, dtype),
        flat(sigma, dtype),
        flat(np.zeros(mu.size, np.uint8) if mask is None else mask, np.dtype(np.uint8)),
        flat(truth, truth_dtype),
        None if slots is None else flat(slots, np.dtype(np.int32)),
        truth_dtype.type(0 if nodata is None else nodata),
        nodata is not None,
        with_plain_values(lines),
        columns,
        start,
        counted,
        kind(threshold),
        kind(max(sigma_floor, np.finfo(dtype).tiny)),  # it is divided by
        None if stand_in is None else kind(stand_in),
        np.int32(unused),
        cells,
        (each or NO_PIXELS).cells,
        (each or NO_PIXELS).pairs,
        each is not None,
        sums,
        words,
        LIKES,
    )
    of_slots = Tally(
        each or cells[: 2 * unused].reshape(number, 2, 2, CELLS, 2),
        sums[:-1].reshape(number, 2, SUMS),
        exact_sums.carried(words).reshape(number, 2, exact_sums.WORDS),
    )
    return of_slots, bool(neither), bool(outside)


def _led(array: NDArray[Any], count: int) -> NDArray[Any]:
    """Return an array after so many times its first element."""
    return np.concatenate([np.repeat(array[:1], count), array])
