"""Normal distributions cut off at bounds: mean, standard deviation, probability."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled
from .parallel import map_ranges

NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)  # exact to 1e-12 on the ranges below
EIGHT = 8.0  # standard deviations: a density is nothing beside what is further in
FAR = EIGHT * EIGHT  # the same of its logarithm, twice, in a tail
FORTY = 40.0  # standard deviations: a density is 0
FARTHEST = 1e300
NARROW = 0.1  # standard deviations: the closed form cancels between closer bounds
ROOT_HALF = math.sqrt(0.5)
ROOT_2_PI = math.sqrt(2.0 * math.pi)


@compiled
def _range(m: float, s: float, lower: float, upper: float) -> Any:
    """Return the peak of a density between bounds, and where around it the density is something.

    All in standard deviations: the peak from the mean, the range from the peak. Far out in a tail
    the range is a small part of the peak, and would be lost in a difference of the two.
    """
    a, b = (lower - m) / s, (upper - m) / s
    peak = min(max(0.0, a), b)
    if peak == 0.0:
        return max(a, -FORTY), min(b, FORTY), peak
    # beyond this the range is nothing beside any number there is
    peak = min(max(peak, -FARTHEST), FARTHEST)
    reach = FAR / (math.hypot(peak, EIGHT) + abs(peak))
    width = min((upper - lower) / s, reach)
    return (0.0, width, peak) if peak > 0.0 else (-width, 0.0, peak)


@compiled
def _density(t: float, peak: float) -> float:
    """Return the standard normal density at a distance from its peak, where it is 1."""
    return math.exp(-t * (peak + 0.5 * t))


@compiled
def _mass(low: float, high: float, peak: float) -> float:
    """Return the integral of the density between two distances from its peak."""
    half, middle = 0.5 * (high - low), 0.5 * (low + high)
    mass = 0.0
    for node in range(NODES.size):
        mass += WEIGHTS[node] * _density(middle + half * NODES[node], peak)
    return mass * half


@compiled
def _moments(low: float, high: float, peak: float) -> Any:
    """Return mean, from the peak, and standard deviation of a density in a range around it."""
    if peak == 0.0 and high - low > NARROW:
        below, above = _density(low, 0.0), _density(high, 0.0)
        mass = 0.5 * (math.erf(high * ROOT_HALF) - math.erf(low * ROOT_HALF)) * ROOT_2_PI
        mean = (below - above) / mass
        return mean, math.sqrt(max(0.0, 1.0 + (low * below - high * above) / mass - mean * mean))
    # in the tails, and between close bounds, the terms above cancel: by quadrature, in units of
    # the range, whose square may be no number
    width = high - low
    mass = mean = square = 0.0
    for node in range(NODES.size):
        density = WEIGHTS[node] * _density(low + 0.5 * width * (1.0 + NODES[node]), peak)
        mass += density
        mean += density * NODES[node]
    mean /= mass
    for node in range(NODES.size):
        density = WEIGHTS[node] * _density(low + 0.5 * width * (1.0 + NODES[node]), peak)
        square += density * (NODES[node] - mean) ** 2
    return low + 0.5 * width * (1.0 + mean), 0.5 * width * math.sqrt(square / mass)


@compiled
def _truncate(mu: Any, sigma: Any, start: int, stop: int, lower: float, upper: float) -> None:
    out_mu, out_sigma = mu, sigma
    for i in range(start, stop):
        m, s = np.float64(mu[i]), np.float64(sigma[i])
        if math.isnan(m) or math.isnan(s):
            out_mu[i] = out_sigma[i] = np.nan
        elif s > 0.0:
            low, high, peak = _range(m, s, lower, upper)
            mean, deviation = _moments(low, high, peak)
            nearest = min(max(m, lower), upper)
            out_mu[i] = min(max(nearest + s * mean, lower), upper)
            out_sigma[i] = s * deviation
        else:
            out_mu[i], out_sigma[i] = min(max(m, lower), upper), s


@compiled
def _exceedance(
    mu: Any,
    sigma: Any,
    start: int,
    stop: int,
    threshold: float,
    lower: float,
    upper: float,
    out: Any,
) -> None:
    for i in range(start, stop):
        m, s = np.float64(mu[i]), np.float64(sigma[i])
        if math.isnan(m) or math.isnan(s):
            out[i] = np.nan
        elif threshold <= lower:
            out[i] = 1.0
        elif threshold >= upper:
            out[i] = 0.0
        elif s == 0.0:
            out[i] = 1.0 if m > threshold else 0.0
        elif math.isinf(lower) and math.isinf(upper):
            out[i] = 0.5 * math.erfc((threshold - m) / s * ROOT_HALF)
        else:
            low, high, peak = _range(m, s, lower, upper)
            low, high = max(low, -EIGHT), min(high, EIGHT)
            t = min(max((threshold - min(max(m, lower), upper)) / s, low), high)
            if low == high:
                out[i] = 1.0 if min(max(m, lower), upper) > threshold else 0.0
            else:
                above, below = _mass(t, high, peak), _mass(low, t, peak)
                out[i] = above / (above + below)


def truncate(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    *,
    lower: float,
    upper: float,
    threads: int | None,
) -> None:
    """Turn normal distributions, in place, into mean and standard deviation between two bounds.

    Parameters
    ----------
    mu, sigma : arrays of one shape, C-contiguous
        Of the distributions as they are without bounds; overwritten.
    lower, upper : float
        The bounds, maybe infinite.
    threads : int or None
        1 to stay in the calling thread, None for one thread per core.

    Notes
    -----
    Johnson, Kotz and Balakrishnan (1994), section 10.1, in double precision; by Gauss-Legendre
    quadrature where the closed form cancels.
    """
    flat: Any = [a.reshape(-1) for a in (mu, sigma)]
    map_ranges(
        lambda start, stop: _truncate(flat[0], flat[1], start, stop, lower, upper),
        mu.size,
        threads=threads,
    )


def exceedance(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    threshold: float,
    *,
    lower: float,
    upper: float,
    threads: int | None,
) -> NDArray[Any]:
    """Return the probability that a normal quantity, maybe between bounds, exceeds a threshold.

    Parameters
    ----------
    mu, sigma, lower, upper, threads
        As in :func:`truncate`.
    threshold : float
        In the units of mu.
    """
    flat: Any = [np.ascontiguousarray(a).reshape(-1) for a in (mu, sigma)]
    out: NDArray[Any] = np.empty_like(flat[0])
    map_ranges(
        lambda start, stop: _exceedance(
            flat[0], flat[1], start, stop, threshold, lower, upper, out
        ),
        flat[0].size,
        threads=threads,
    )
    return out.reshape(mu.shape)
