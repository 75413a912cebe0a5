"""How often each mean goes with dry and with wet, or each sigma with which residual: one pass.

All that is counted is whole numbers. Their sums are the same in any order, and so for any blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled
from .fine_bins import BINS, bin_of

SLACK = 1e-6  # a probability of float32 may be so far outside by rounding
UNIT = float(1 << 31)  # the sum of probabilities counts this part of one

DRY, WET, TOTAL = 0, 1, 2  # columns of a table of pairs: pixels, and the sum of their means

LOWEST = 1023 - 126  # exponents of sigma, as float32 has them
EXPONENTS = 254
SIGMA_PARTS = 32  # bins between a sigma and twice it
SIGMA_SHIFT = 52 - 5
SIGMA_BINS = EXPONENTS * SIGMA_PARTS
REST_SHIFT = SIGMA_SHIFT - 30
OFFSET_UNIT = float(1 << 35)  # what is left of sigma counts this part of its power of two
LIMB = 30  # bits of the lower of the two numbers that are a sum of squares
SQUARE_UNIT = float(1 << 20)  # a square counts this part of one
LARGEST_SQUARE = float(1 << 40)  # a residual of a million sigma, or more, counts as one
NUMBER, OFFSET, LOW, HIGH = 0, 1, 2, 3  # columns of a table of residuals

SIGMA_ZERO, IS_DRY, IS_WET, IS_NEITHER = 0, 1, 2, 3  # notes on all pixels of a table of residuals


@compiled
def _count_pairs(
    mu: Any, sigma: Any, mask: Any, reference: Any, codes: Any, table: Any, strange: Any
) -> None:
    for i in range(mu.size):
        y = np.float64(reference[i])
        if np.isnan(y):
            continue
        is_wet = y == 1.0
        if not is_wet and y != 0.0:
            strange[1] = y
            return
        m, s = np.float64(mu[i]), np.float64(sigma[i])
        usable = (s >= 0.0) & (s < np.inf) & (abs(m) < np.inf)
        excluded = mask.size > 0 and mask[i] != 0
        group = codes[i] if codes.size > 0 else 0
        if not usable or excluded or group < 0:
            continue
        if m < -SLACK or m > 1.0 + SLACK:
            strange[0] = m
            return
        p = min(max(m, 0.0), 1.0)
        units: Any = np.int64(p * UNIT)
        if 0.0 < p < 1.0:
            units = min(max(units, 1), np.int64(UNIT) - 1)  # else it would be that of 0 or of 1
        place = bin_of(p)
        table[group, place, WET if is_wet else DRY] += 1
        table[group, place, TOTAL] += units


@compiled
def _count_squares(
    mu: Any, sigma: Any, mask: Any, reference: Any, codes: Any, table: Any, notes: Any
) -> None:
    for i in range(mu.size):
        y, m, s = np.float64(reference[i]), np.float64(mu[i]), np.float64(sigma[i])
        usable = (s >= 0.0) & (s < np.inf) & (abs(m) < np.inf) & (abs(y) < np.inf)
        excluded = mask.size > 0 and mask[i] != 0
        group = codes[i] if codes.size > 0 else 0
        if not usable or excluded or group < 0:
            continue
        notes[IS_DRY if y == 0.0 else IS_WET if y == 1.0 else IS_NEITHER] += 1
        bits: Any = np.float64(s).view(np.int64)
        place = (bits >> SIGMA_SHIFT) - LOWEST * SIGMA_PARTS
        if place < 0:
            notes[SIGMA_ZERO] += 1
            continue
        place = min(place, SIGMA_BINS - 1)
        z = (m - y) / s
        square = np.int64(min(z * z, LARGEST_SQUARE) * SQUARE_UNIT)
        table[group, place, NUMBER] += 1
        table[group, place, OFFSET] += (bits & ((1 << SIGMA_SHIFT) - 1)) >> REST_SHIFT
        table[group, place, LOW] += square & ((1 << LIMB) - 1)
        table[group, place, HIGH] += square >> LIMB


def count_pairs(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None,
    reference: NDArray[Any],
    codes: NDArray[np.int64] | None,
    groups: int,
) -> tuple[NDArray[np.int64], float, float]:
    """Count the dry and the wet pixels of each bin of probabilities.

    Parameters
    ----------
    mu, sigma, mask, reference : arrays of one shape
        Of a retrieval, with or without a mask, and 0, 1 or NaN. Pixels that are not usable or
        have no reference are left out.
    codes : array of int64 or None
        The group of each pixel, -1 of none; without them all are group 0.
    groups : int

    Returns
    -------
    table : array of int64, shape (groups, BINS, 3)
        Dry pixels, wet pixels, and the sum of their mu in 1 / UNIT.
    mean, other : float
        A usable mu outside [0, 1] and a reference of neither 0 nor 1, where one was met: then
        counting has ended. Else NaN.
    """
    table = np.zeros((groups, BINS, 3), np.int64)
    strange = np.full(2, np.nan)
    means, deviations, flags, events, numbers = _flat(mu, sigma, mask, reference, codes)
    _count_pairs(means, deviations, flags, events, numbers, table, strange)
    return table, float(strange[0]), float(strange[1])


def count_squares(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None,
    reference: NDArray[Any],
    codes: NDArray[np.int64] | None,
    groups: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Add up the squares of residuals, in units of sigma, for each bin of sigma.

    Parameters
    ----------
    mu, sigma, mask, reference, codes, groups
        As in :func:`count_pairs`; the reference is a quantity.

    Returns
    -------
    table : array of int64, shape (groups, SIGMA_BINS, 4)
        Pixels, the sum of what sigma is above its bin, and the two parts of the sum of squares.
    notes : array of 4 int64
        Pixels of sigma 0, which are in no bin; and those of a reference of 0, 1 and neither.
    """
    table = np.zeros((groups, SIGMA_BINS, 4), np.int64)
    notes = np.zeros(4, np.int64)
    means, deviations, flags, quantities, numbers = _flat(mu, sigma, mask, reference, codes)
    _count_squares(means, deviations, flags, quantities, numbers, table, notes)
    return table, notes


def mean_probability(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of mu in bins that are not empty, shape (bins, 3) of a table of pairs."""
    mean: NDArray[np.float64] = counts[:, TOTAL] / (counts[:, DRY] + counts[:, WET]) / UNIT
    return mean


def mean_sigma(bins: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of sigma in bins that are not empty, shape (bins, 4) of residuals."""
    exponents, parts = np.divmod(bins, SIGMA_PARTS)
    fraction = 1.0 + parts / SIGMA_PARTS + counts[:, OFFSET] / counts[:, NUMBER] / OFFSET_UNIT
    sigma: NDArray[np.float64] = fraction * 2.0 ** (exponents + (LOWEST - 1023))
    return sigma


def sum_of_squares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of squares in bins, in units of the squares of their sigmas."""
    total: NDArray[np.float64] = counts[:, HIGH] / (SQUARE_UNIT / (1 << LIMB))
    total += counts[:, LOW] / SQUARE_UNIT
    return total


def _flat(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None,
    reference: NDArray[Any],
    codes: NDArray[np.int64] | None,
) -> list[NDArray[Any]]:
    """Return arrays as the kernels take them, of few dtypes."""
    dtype = np.result_type(mu, sigma)
    of_reference = np.uint8 if reference.dtype in (np.bool_, np.uint8) else np.float64
    arrays = [
        mu.astype(dtype, copy=False),
        sigma.astype(dtype, copy=False),
        np.empty(0, np.uint8) if mask is None else mask,
        reference.astype(of_reference, copy=False),
        np.empty(0, np.int64) if codes is None else codes,
    ]
    return [np.ascontiguousarray(array).reshape(-1) for array in arrays]
