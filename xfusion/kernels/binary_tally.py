"""Count wet and dry pixels by their probability, one block in one pass over memory.

All sums are of whole numbers: weights are, and what is summed is rounded to them pixel by pixel.
So they are the same whatever the blocks and the order. The loops over the pixels of a strip have no
branches, so that they are vectorised, the first in the precision of mu, the second in double; what
adds to an address that a pixel chooses is in a loop beside them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import exact_sums
from . import probability_bins as bins
from .buffers import LANES, borrowed, stack_buffer
from .compile import compiled
from .independent import flat
from .weight_lines import MAGIC, as_whole, fill

CELLS = bins.BINS + 1  # the threshold divides a bin
KINDS = 4  # of a slot: dry and wet that are not usable, dry and wet that are
COUNT, UNSCORED, BRIER, Z2, BROKEN_WEIGHT = range(5)  # sums of a row
SUMS = 5

# z^2 up to 2^14 is added as a whole number of 2^13 units of weight, what is larger exactly
LARGE_Z2 = 2.0**14
Z_UNIT = 2.0**13
Z_MAGIC = MAGIC * Z_UNIT
Z_WHOLE = np.float64(Z_MAGIC).view(np.int64)
OUTSIDE = 1e-6  # beyond 0 and 1, which is of rounding

NONE, YES = np.int32(0), np.int32(1)
WET, USABLE, OF_SLOT = np.int32(CELLS), np.int32(2 * CELLS), np.int32(KINDS * CELLS)
# of the pixels of a strip, counts of a byte each
SCORED, USED, LEFT, NEITHER = YES, np.int32(1 << 8), np.int32(1 << 16), np.int32(1 << 24)
OUT, BROKEN, FAR, MIXED = SCORED, USED, LEFT, NEITHER
BYTE = 255
FLOATS, INTS, SHORTS = np.empty(0), np.empty(0, np.int64), np.empty(0, np.int32)


class Tally(NamedTuple):
    """What is counted of pixels, by slots: groups and the like."""

    cells: NDArray[np.int64]
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
    step: int,
    first: int,
    columns: int,
    start: int,
    threshold: Any,
    floor: Any,
    own: bool,
    stand_in: Any,
    gaps: Any,
    cells: Any,
    sums: Any,
    words: Any,
    floats: Any,
    ints: Any,
    shorts: Any,
) -> Any:
    kind = mu.dtype.type
    zero, half, one = kind(0), kind(0.5), kind(1)
    least, large = kind(-OUTSIDE), kind(LARGE_Z2)
    replaced = not own
    cells, sums, words = borrowed(cells), borrowed(sums), borrowed(words)
    index, row_of, z2_of = stack_buffer(shorts), stack_buffer(shorts), stack_buffer(mu)
    d_of, part_of, used_of = stack_buffer(mu), stack_buffer(mu), stack_buffer(mu)
    weights, weight_of, x_of = stack_buffer(floats), stack_buffer(ints), stack_buffer(ints)
    brier_of, whole_z_of = stack_buffer(ints), stack_buffer(ints)
    unused, no_row = np.int32(cells.shape[0] - 1), np.int32(sums.shape[0] - 1)
    neither: Any = 0
    outside: Any = 0
    slot: Any = 0
    constant = -1  # the line whose weight all of `weights` have
    line, column = start // columns, start % columns
    for i0 in range(0, mu.size, LANES):
        n = min(LANES, mu.size - i0)
        if step != 0 or constant != line or column + n > columns or n < LANES:
            fill(lines, step, first, line, column, columns, weights[:n], weight_of[:n])
            constant = line if column + n <= columns else -1
        column += n
        while column >= columns:
            column -= columns
            line += 1
        some_mu, some_sigma = borrowed(mu[i0 : i0 + n]), borrowed(sigma[i0 : i0 + n])
        some_mask, some_truth = borrowed(mask[i0 : i0 + n]), borrowed(truth[i0 : i0 + n])
        if slots is not None:
            some_slots = borrowed(slots[i0 : i0 + n])
            slot = some_slots[0]
        counts = faults = NONE
        brier = brier_usable = z2 = z2_usable = np.int64(0)
        for i in range(n):
            m, s, label = some_mu[i], some_sigma[i], some_truth[i]
            wet = label == 1
            missing = (label != label) | (declared & (label == nodata))  # noqa: PLR0124  # NaN
            known = (wet | (label == 0)) & ~missing
            counts = np.int32(counts + (NONE if known | missing else NEITHER))
            if gaps is not None:
                known = known & (weights[i] > 0.0)
            if slots is not None:
                known = known & (some_slots[i] >= 0)
                faults = np.int32(faults + (NONE if some_slots[i] == slot else MIXED))
            zero_m = m - m
            finite = zero_m == zero_m  # noqa: PLR0124  # not NaN
            sound = finite & (s >= s - s)
            usable = sound & (some_mask[i] == 0) & known
            p = m if usable | own else stand_in
            scored = known & (finite | replaced)
            counts = np.int32(counts + (SCORED if scored else NONE))
            counts = np.int32(counts + (USED if usable else NONE))
            counts = np.int32(counts + (LEFT if known & ~scored else NONE))
            above = p > half
            rest = one - p
            x = rest if above else p
            faults = np.int32(faults + (OUT if scored & (x < least) else NONE))
            thousandths = np.float32(x) * bins.THOUSAND + (bins.NEAR if above else -bins.NEAR)
            thousandths = max(bins.LEAST, thousandths)
            bits = np.int32(np.float32(thousandths).view(np.int32) >> bins.DROPPED)
            place = np.int32(bits - bins.BEFORE_FIRST)
            linear = np.int32(np.int32(thousandths) + bins.SHIFT)
            place = min(linear if thousandths >= bins.LINEAR_FROM else place, bins.LAST_OF_HALF)
            place = np.int32(bins.LAST - place) if above else place
            place = np.int32(place + (YES if p > threshold else NONE))
            place = np.int32(place + (WET if wet else NONE))
            place = np.int32(place + (USABLE if usable else NONE))
            if slots is not None:
                place = np.int32(place + np.int32(some_slots[i] * OF_SLOT))
                row = np.int32(np.int32(some_slots[i] << YES) + (YES if usable else NONE))
                row_of[i] = row if known else no_row
            index[i] = place if scored else unused
            d = rest if wet else p
            d = d if scored else zero
            z = d / max(floor, s)
            square_z = z * z
            counted = sound & (usable | own)
            faults = np.int32(faults + (BROKEN if scored & ~sound else NONE))
            square_z = square_z if counted else zero
            z2_of[i] = square_z
            faults = np.int32(faults + (FAR if square_z >= large else NONE))
            d_of[i] = d
            part_of[i] = x
            used_of[i] = one if usable else zero
        for i in range(n):
            weight, usable = weights[i], used_of[i] != zero
            x_of[i] = as_whole(weight * np.float64(part_of[i]))
            d = np.float64(d_of[i])
            square = as_whole(weight * (d * d))
            z = np.float64(z2_of[i] if z2_of[i] < large else zero)
            whole_z = np.float64(weight * z + Z_MAGIC).view(np.int64) - Z_WHOLE
            brier += square
            brier_usable += square if usable else np.int64(0)
            z2 += whole_z
            z2_usable += whole_z if usable else np.int64(0)
            if slots is not None:
                brier_of[i] = square
                whole_z_of[i] = whole_z
        for i in range(n):
            cell = np.uint64(np.uint32(index[i]))  # not negative, which need not be looked at
            cells[cell, 0] += weight_of[i]
            cells[cell, 1] += x_of[i]
        neither += (counts >> 24) & BYTE
        outside += faults & BYTE
        if slots is None or (faults >> 24) & BYTE == 0:
            if slot >= 0:
                row, used = 2 * slot, (counts >> 8) & BYTE
                sums[row, COUNT] += (counts & BYTE) - used
                sums[row + 1, COUNT] += used
                sums[row, UNSCORED] += (counts >> 16) & BYTE
                sums[row, BRIER] += brier - brier_usable
                sums[row + 1, BRIER] += brier_usable
                sums[row, Z2] += z2 - z2_usable
                sums[row + 1, Z2] += z2_usable
        else:
            for i in range(n):
                row = row_of[i]
                sums[row, COUNT] += 0 if index[i] == unused else 1
                sums[row, UNSCORED] += 1 if index[i] == unused else 0
                sums[row, BRIER] += brier_of[i]
                sums[row, Z2] += whole_z_of[i]
        if (faults >> 8) & BYTE > 0:
            for i in range(n):
                m, s, cell = some_mu[i], some_sigma[i], index[i]
                if cell != unused and not ((m - m == 0) and (s >= s - s)):
                    sums[cell // (2 * CELLS), BROKEN_WEIGHT] += weight_of[i]
        if (faults >> 16) & BYTE > 0:
            for i in range(n):
                if z2_of[i] >= large:
                    row, weighted = index[i] // (2 * CELLS), weights[i] * np.float64(z2_of[i])
                    exact_sums.add(words, row, weighted)
    return neither, outside


def tally(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None,
    truth: NDArray[Any],
    slots: NDArray[np.int32] | None,
    *,
    number: int,
    nodata: float | None,
    lines: NDArray[np.float64],
    step: int,
    first: int,
    columns: int,
    start: int,
    threshold: float,
    sigma_floor: float,
    stand_in: float | None,
) -> tuple[Tally, int, int]:
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
    lines, step, first, columns, start
        Weights as in :func:`xfusion.kernels.weight_lines.fill`, and where the first pixel is.
    threshold : float
        What is above it is wet.
    sigma_floor : float
        Sigmas below it are raised to it.
    stand_in : float or None
        What mu of a pixel that is not usable is taken to be; None for what it is.

    Returns
    -------
    Tally
    neither, outside : int
        How many have a truth that is neither 0 nor 1, and how many a mu that is no probability.
    """
    dtype = np.result_type(mu, sigma)
    kind = dtype.type
    truth_dtype = truth.dtype if truth.dtype == np.uint8 else dtype
    cells = np.zeros((number * KINDS * CELLS + 1, 2), np.int64)
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
        flat(lines, np.dtype(np.float64)).reshape(lines.shape),
        step,
        first,
        columns,
        start,
        kind(threshold),
        kind(max(sigma_floor, np.finfo(dtype).tiny)),  # it is divided by
        stand_in is None,
        kind(0 if stand_in is None else stand_in),
        True if step == 1 else None,
        cells,
        sums,
        words,
        FLOATS,
        INTS,
        SHORTS,
    )
    of_slots = Tally(
        cells[:-1].reshape(number, 2, 2, CELLS, 2),
        sums[:-1].reshape(number, 2, SUMS),
        exact_sums.carried(words).reshape(number, 2, exact_sums.WORDS),
    )
    return of_slots, int(neither), int(outside)
