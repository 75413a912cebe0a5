"""A quantity that wanders: the Kalman filter and smoother of a random walk, row by row.

A row holds some pixels at one time, `mean` and `deviation` of what is known of them: NaN where
nothing is. `rate` has a value for each of these pixels, or one for all: by how much the variance
grows in a day.

``P- = P + q dt``, ``K = P- / (P- + s^2)``, ``m = m + K (y - m)``, ``P = K s^2`` (Kalman 1960);
back in time ``G = P / P-``, ``m = m + G (m' - m)``, ``P = P + G^2 (P' - P-)`` with m' and P' of
the time after, and P- as predicted for it (Rauch, Tung, Striebel 1965).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import compiled


@compiled
def learn(
    observed: Any,
    spread: Any,
    mean: Any,
    deviation: Any,
    days: float,
    rate: Any,
    new_mean: Any,
    new_deviation: Any,
) -> None:
    """Carry a row to a date, `days` after it, and add what was seen there; NaN is nothing.

    What is not known yet is what is seen first.
    """
    rounded = new_mean.dtype.type
    one = rate.size == 1
    for i in range(observed.size):
        y, r = np.float64(observed[i]), np.float64(spread[i])
        m, s = np.float64(mean[i]), np.float64(deviation[i])
        seen, known = y == y, m == m  # noqa: PLR0124  # not NaN
        variance = s * s + rate[0 if one else i] * days
        both = variance + r * r
        gain = variance / both if both > 0.0 else 0.5
        gain = gain if known else 1.0
        start = m if known else y
        new_mean[i] = rounded(start + gain * (y - start) if seen else m)
        new_deviation[i] = rounded(r * math.sqrt(gain) if seen else math.sqrt(variance))


@compiled
def foresee(
    mean: Any, deviation: Any, days: float, rate: Any, new_mean: Any, new_deviation: Any
) -> None:
    """Carry a row to a time, `days` after it, at which nothing was seen."""
    rounded = new_mean.dtype.type
    one = rate.size == 1
    for i in range(mean.size):
        s = np.float64(deviation[i])
        new_mean[i] = mean[i]
        new_deviation[i] = rounded(math.sqrt(s * s + rate[0 if one else i] * days))


@compiled
def reach_back(
    mean: Any,
    deviation: Any,
    since: float,
    days: float,
    rate: Any,
    next_mean: Any,
    next_variance: Any,
    new_mean: Any,
    new_variance: Any,
) -> None:
    """Return what is known of a time by what was seen before and after it.

    Parameters
    ----------
    mean, deviation : arrays
        As filtered, at the date at or before that time.
    since, days : float
        From that date to the time; and to the next date.
    next_mean, next_variance : arrays of float64
        As smoothed, at the next date.
    new_mean, new_variance : arrays of float64
        The result. They may be the two above.
    """
    one = rate.size == 1
    for i in range(mean.size):
        m, s = np.float64(mean[i]), np.float64(deviation[i])
        q = rate[0 if one else i]
        after, later = next_mean[i], next_variance[i]
        known = m == m  # noqa: PLR0124  # not NaN
        variance = s * s + q * since
        predicted = s * s + q * days
        gain = variance / predicted if predicted > 0.0 else 1.0
        new_mean[i] = m + gain * (after - m) if known else after
        smoothed = variance + gain * gain * (later - predicted)
        new_variance[i] = max(0.0, smoothed) if known else later + q * (days - since)


@compiled
def log_likelihood(observed: Any, spread: Any, days: Any, rate: float) -> float:
    """Return the log-likelihood of all but the first look at each pixel, but for a constant.

    Parameters
    ----------
    observed, spread : arrays of float64, shape (dates, pixels)
    days : array of float64, shape (dates,)
        Since the date before.
    rate : float
    """
    dates, pixels = observed.shape
    mean, variance = np.full(pixels, np.nan), np.zeros(pixels)
    total = 0.0
    for k in range(dates):
        for i in range(pixels):
            y, r = observed[k, i], spread[k, i]
            variance[i] += rate * days[k]
            if y == y:  # noqa: PLR0124  # not NaN
                if mean[i] == mean[i]:  # as above
                    both = variance[i] + r * r
                    if both > 0.0:
                        surprise = y - mean[i]
                        total -= 0.5 * (math.log(both) + surprise * surprise / both)
                        gain = variance[i] / both
                        mean[i] += gain * surprise
                        variance[i] = gain * r * r
                else:
                    mean[i] = y
                    variance[i] = r * r
    return total
