"""Filter and smoother of both models in plain numpy, one pixel after the other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kalman(
    days: Floats, seen: Floats, spread: Floats, times: Floats, q: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Filtered mean and standard deviation, then smoothed ones, of one pixel at some times.

    The smoother is the product of two filters, one from either end, and no recursion back.
    """
    looks = np.isfinite(seen)
    days, seen, spread = days[looks], seen[looks], spread[looks]
    forward = [_walked(days, seen, spread, t, q) for t in times]
    # as seen from the end of time; what is seen at a time itself counts once
    backward = [_walked(-days[::-1], seen[::-1], spread[::-1], -t, q, strict=True) for t in times]
    both = [_product(f, b) for f, b in zip(forward, backward, strict=True)]
    result = np.array([[*f, *s] for f, s in zip(forward, both, strict=True)]).T
    mean, variance, smoothed, after = result
    return mean, np.sqrt(variance), smoothed, np.sqrt(after)


def _walked(
    days: Floats, seen: Floats, spread: Floats, time: float, q: float, *, strict: bool = False
) -> tuple[float, float]:
    mean, variance, last = np.nan, np.nan, np.nan
    for day, y, s in zip(days, seen, spread, strict=True):
        if day > time or (strict and day == time):
            break
        if np.isnan(mean):
            mean, variance = y, s**2
        else:
            variance += q * (day - last)
            weights = np.array([1 / variance, 1 / s**2])
            mean = float(np.average([mean, y], weights=weights))
            variance = 1 / weights.sum()
        last = day
    return mean, variance + q * (time - last)


def _product(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    if np.isnan(a[0]) or np.isnan(b[0]):
        return b if np.isnan(a[0]) else a
    weights = np.array([1 / a[1], 1 / b[1]])
    return float(np.average([a[0], b[0]], weights=weights)), float(1 / weights.sum())


def forward_backward(
    days: Floats, seen: Floats, times: Floats, rates: tuple[float, float], prior: float
) -> tuple[Floats, Floats]:
    """Filtered and smoothed probability of the first state, of one pixel at some times.

    By the sums over all paths of states through all moments, as messages from either end.
    """
    moments = np.unique(np.concatenate([days, times]))
    up, down = rates
    share = up / (up + down)
    evidence = np.ones((len(moments), 2))
    looks = np.isfinite(seen)
    for day, p in zip(days[looks], seen[looks], strict=True):
        evidence[np.searchsorted(moments, day)] *= [p / prior, (1 - p) / (1 - prior)]
    steps = [_transition(up, down, dt) for dt in np.diff(moments)]
    ahead = [np.array([share, 1 - share]) * evidence[0]]
    for step, e in zip(steps, evidence[1:], strict=True):
        ahead.append((ahead[-1] / ahead[-1].sum()) @ step * e)
    back = [np.ones(2)]
    for step, e in zip(steps[::-1], evidence[:0:-1], strict=True):
        message = step @ (back[-1] * e)
        back.append(message / message.sum())
    filtered = np.array([_first(message) for message in ahead])
    smoothed = np.array([_first(a * b) for a, b in zip(ahead, back[::-1], strict=True)])
    places = np.searchsorted(moments, times)
    filtered, smoothed = filtered[places], smoothed[places]
    if not looks.any():
        return np.full(len(times), np.nan), np.full(len(times), np.nan)
    filtered[times < days[looks].min()] = np.nan
    return filtered, smoothed


def _transition(up: float, down: float, days: float) -> Floats:
    """The matrix exponential of the generator, by its definition."""
    generator: Any = np.array([[-down, down], [up, -up]]) * days
    halvings = 20
    small = generator / 2**halvings
    matrix = np.eye(2) + small + small @ small / 2 + small @ small @ small / 6
    for _ in range(halvings):
        matrix = matrix @ matrix
    return np.asarray(matrix)


def _first(message: Floats) -> float:
    return float(message[0] / message.sum())
