"""Sum the errors of a quantity, one block in one pass.

Weights are whole numbers and sums are exact, so they are the same whatever the blocks and the
order.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import exact_sums
from .compile import compiled, inlined
from .independent import flat
from .weight_lines import WeightLines, as_whole, fill, with_plain_values

COUNT, UNSCORED, WEIGHT, BROKEN_WEIGHT = range(4)  # sums of a row; broken: those without sigma
SUMS = 4
ERROR, SQUARE, DISTANCE, CRPS, Z2 = range(5)  # exact sums of a row
EXACT_SUMS = 5

LEVELS = (0.5, 0.68, 0.9, 0.95)
PIT_BINS = 20
# probabilities between the cells of a row: edges of PIT bins, and ends of central intervals
BETWEEN = np.unique(
    [k / PIT_BINS for k in range(1, PIT_BINS)]
    + [round(0.5 + side * level / 2, 6) for level in LEVELS for side in (-1, 1)]
)
CELLS = len(BETWEEN) + 1
BOUNDS = np.array([NormalDist().inv_cdf(p) for p in BETWEEN])

# the CRPS of a standard normal distribution, interpolated by cubics: right to 1e-11
FAR = 8.5  # from here on it is a straight line
STEPS = 128  # to one
AT = np.arange(int(FAR * STEPS) + 2) / STEPS
SLOPE = np.array([math.erf(z / math.sqrt(2.0)) for z in AT])
MEAN_DISTANCE = 1.0 / math.sqrt(math.pi)  # half that of two draws
VALUE = AT * SLOPE + 2.0 * np.exp(-0.5 * AT * AT) / math.sqrt(2.0 * math.pi) - MEAN_DISTANCE

STRIP = 512


class Tally(NamedTuple):
    """What is summed of pixels, by slots: groups and the like."""

    cells: NDArray[np.int64]
    """Shape (slots, usable, CELLS): weights of what lies between two of BETWEEN."""
    sums: NDArray[np.int64]
    """Shape (slots, usable, SUMS)."""
    words: NDArray[np.int64]
    """Shape (slots, usable, EXACT_SUMS, WORDS)."""


@inlined
def _crps(z: float) -> Any:
    """Return ``z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)``, of z >= 0."""
    if z >= FAR:
        return z - MEAN_DISTANCE
    k = int(z * STEPS)
    t = z * STEPS - k
    rest = 1.0 - t
    start = VALUE[k] * (1.0 + 2.0 * t) + SLOPE[k] * t / STEPS
    stop = VALUE[k + 1] * (1.0 + 2.0 * rest) - SLOPE[k + 1] * rest / STEPS
    return start * rest * rest + stop * t * t


@compiled
def _tally(
    mu: Any,
    sigma: Any,
    mask: Any,
    truth: Any,
    slots: Any,
    lines: Any,
    columns: int,
    start: int,
    floor: float,
    sums: Any,
    cells: Any,
    words: Any,
) -> None:
    weights = np.empty(STRIP)
    line, column = start // columns, start % columns
    for i0 in range(0, mu.size, STRIP):
        n = min(STRIP, mu.size - i0)
        fill(lines, line, column, columns, weights[:n])
        column += n
        while column >= columns:
            column -= columns
            line += 1
        for k in range(n):
            i = i0 + k
            m, s, t = np.float64(mu[i]), np.float64(sigma[i]), np.float64(truth[i])
            weight, whole = weights[k], as_whole(weights[k])
            slot = 0 if slots is None else slots[i]
            if not (math.isfinite(t) and weight > 0.0 and slot >= 0):
                continue
            row = 2 * slot
            if not math.isfinite(m):
                sums[row, UNSCORED] += 1
                continue
            sound = math.isfinite(s) and s >= 0.0
            row += 1 if sound and mask[i] == 0 else 0
            error = m - t
            distance = abs(error)
            place = row * EXACT_SUMS
            sums[row, COUNT] += 1
            sums[row, WEIGHT] += whole
            exact_sums.add(words, place + ERROR, weight * error)
            exact_sums.add(words, place + SQUARE, weight * (error * error))
            exact_sums.add(words, place + DISTANCE, weight * distance)
            if not sound:
                sums[row, BROKEN_WEIGHT] += whole
                continue
            spread = max(s, floor)
            z = distance / spread if distance > 0.0 else 0.0
            signed = -z if error > 0.0 else z  # of the truth, seen from mu
            cell = 0
            for bound in BOUNDS:
                cell += 1 if signed >= bound else 0
            cells[row, cell] += whole
            # where sigma is next to nothing, z overflows and the distance is all that is left
            crps = spread * _crps(z) if z < FAR else distance - spread * MEAN_DISTANCE
            exact_sums.add(words, place + CRPS, weight * crps)
            exact_sums.add(words, place + Z2, weight * (z * z))


def tally(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None,
    truth: NDArray[Any],
    slots: NDArray[np.int32] | None,
    *,
    number: int,
    lines: WeightLines,
    columns: int,
    start: int,
    sigma_floor: float,
) -> Tally:
    """Sum the errors of some pixels.

    Parameters
    ----------
    mu, sigma, truth : arrays, flat
        float32 or float64. What of mu and truth is not finite is not scored; where sigma is not,
        or is negative, what needs none of it is.
    mask : array of uint8, or None
        0 where usable.
    slots, number
        As in :func:`xfusion.kernels.binary_tally.tally`.
    lines, columns, start, sigma_floor
        As there.
    """
    dtype = np.result_type(mu, sigma, truth)
    sums = np.zeros((2 * number, SUMS), np.int64)
    cells = np.zeros((2 * number, CELLS), np.int64)
    words = np.zeros((2 * number * EXACT_SUMS, exact_sums.WORDS), np.int64)
    _tally(
        flat(mu, dtype),
        flat(sigma, dtype),
        flat(np.zeros(mu.size, np.uint8) if mask is None else mask, np.dtype(np.uint8)),
        flat(truth, dtype),
        None if slots is None else flat(slots, np.dtype(np.int32)),
        with_plain_values(lines),
        columns,
        start,
        sigma_floor,
        sums,
        cells,
        words,
    )
    return Tally(
        cells.reshape(number, 2, CELLS),
        sums.reshape(number, 2, SUMS),
        exact_sums.carried(words).reshape(number, 2, EXACT_SUMS, exact_sums.WORDS),
    )
