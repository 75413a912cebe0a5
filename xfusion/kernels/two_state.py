"""Wet or dry: a Markov chain of two states in continuous time, forward and back, row by row.

A row holds the probability of the first state at some pixels at one time, NaN where nothing is
known of them. Of each array of parameters there is a value for each of these pixels, or one for
all: `share`, how much of the time the chain is in the first state in the long run, `pace`, the sum
of both rates, per day, and `prior`, of what was seen.

``p- = pi + (p - pi) exp(-pace dt)``; evidence as odds over the prior,
``odds = odds- (y / (1 - y)) / (prior / (1 - prior))``; back in time
``p = p (a p' / p- + (1 - a) (1 - p') / (1 - p-))`` with p' of the time after, p- as predicted for
it and a the probability to stay (Baum and others 1970; Kim 1994).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import compiled, inlined
from .formulas import SURE


@inlined
def _within(p: Any) -> Any:
    return min(max(p, SURE), 1.0 - SURE)


@compiled
def learn(
    observed: Any,
    mean: Any,
    days: float,
    share: Any,
    pace: Any,
    prior: Any,
    new_mean: Any,
    new_deviation: Any,
) -> None:
    """Carry a row to a date, `days` after it, and add what was seen there; NaN is nothing.

    Before its first look a pixel is in the first state as often as in the long run.
    """
    rounded = new_mean.dtype.type
    one, alike = pace.size == 1, prior.size == 1
    faded = math.exp(-pace[0] * days)
    for i in range(observed.size):
        y, p = np.float64(observed[i]), np.float64(mean[i])
        pi = share[0 if one else i]
        kept = faded if one else math.exp(-pace[i] * days)
        seen, known = y == y, p == p  # noqa: PLR0124  # not NaN
        before = pi + (p - pi) * kept if known else pi
        y = _within(y)
        base = prior[0 if alike else i]
        wet, dry = before * y * (1.0 - base), (1.0 - before) * (1.0 - y) * base
        after = wet / (wet + dry)
        after = after if seen else (before if known else p)
        new_mean[i] = rounded(after)
        new_deviation[i] = rounded(math.sqrt(after * (1.0 - after)))


@compiled
def foresee(
    mean: Any, days: float, share: Any, pace: Any, new_mean: Any, new_deviation: Any
) -> None:
    """Carry a row to a time, `days` after it, at which nothing was seen."""
    rounded = new_mean.dtype.type
    one = pace.size == 1
    for i in range(mean.size):
        p = np.float64(mean[i])
        pi = share[0 if one else i]
        after = pi + (p - pi) * math.exp(-pace[0 if one else i] * days)
        new_mean[i] = rounded(after)
        new_deviation[i] = rounded(math.sqrt(after * (1.0 - after)))


@compiled
def reach_back(
    mean: Any,
    since: float,
    days: float,
    share: Any,
    pace: Any,
    next_mean: Any,
    new_mean: Any,
    new_variance: Any,
) -> None:
    """Return what is known of a time by what was seen before and after it.

    As :func:`xfusion.kernels.random_walk.reach_back`.
    """
    one = pace.size == 1
    for i in range(mean.size):
        p = np.float64(mean[i])
        pi, speed = share[0 if one else i], pace[0 if one else i]
        here = pi + (p - pi) * math.exp(-speed * since)
        kept = math.exp(-speed * (days - since))
        after = next_mean[i]
        predicted = pi + (here - pi) * kept
        stay = pi + (1.0 - pi) * kept
        # both parts of the probability to be wet now: wet, and dry, at the next date
        wet = here * stay * (after / predicted if predicted > 0.0 else 0.0)
        dry = here * (1.0 - stay) * ((1.0 - after) / (1.0 - predicted) if predicted < 1.0 else 0.0)
        smoothed = wet + dry if p == p else pi + (after - pi) * kept  # noqa: PLR0124  # not NaN
        smoothed = 1.0 if smoothed > 1.0 else smoothed  # noqa: FURB136  # of NaN min makes 1
        new_mean[i] = smoothed
        new_variance[i] = smoothed * (1.0 - smoothed)


@compiled
def log_likelihood(observed: Any, days: Any, share: float, pace: float, prior: float) -> float:
    """Return the log-likelihood of what was seen.

    Parameters
    ----------
    observed : array of float64, shape (dates, pixels)
        Probabilities, NaN where nothing was seen.
    days : array of float64, shape (dates,)
        Since the date before.
    share, pace, prior : float
    """
    dates, pixels = observed.shape
    p = np.full(pixels, share)
    total = 0.0
    for k in range(dates):
        kept = math.exp(-pace * days[k])
        for i in range(pixels):
            p[i] = share + (p[i] - share) * kept
            y = observed[k, i]
            if y == y:  # noqa: PLR0124  # not NaN
                y = _within(y)
                wet, dry = p[i] * y / prior, (1.0 - p[i]) * (1.0 - y) / (1.0 - prior)
                total += math.log(wet + dry)
                p[i] = wet / (wet + dry)
    return total
