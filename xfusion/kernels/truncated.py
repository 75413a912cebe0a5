"""Normal distributions cut off at bounds: mean, standard deviation, probability."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled
from .parallel import map_ranges

NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)  # exact to 1e-12 on the ranges below
FAR = 64.0  # beyond exp(-FAR / 2) of its largest value a density is nothing
NARROW = 0.1  # standard deviations: the closed form cancels between closer bounds
POINT = 1e-9  # standard deviations: a normal density is flat between closer bounds
ROOT_HALF = math.sqrt(0.5)
ROOT_2_PI = math.sqrt(2.0 * math.pi)


@compiled
def _range(a: float, b: float) -> Any:
    """Return the part of a to b where the standard normal density is not nothing, and its peak."""
    peak = min(max(0.0, a), b)
    reach = math.sqrt(peak * peak + FAR)
    return max(a, -reach), min(b, reach), peak


@compiled
def _mass(a: float, b: float, peak: float) -> float:
    """Return the integral from a to b of the standard normal density, which is 1 at `peak`."""
    half, middle = 0.5 * (b - a), 0.5 * (a + b)
    mass = 0.0
    for node in range(NODES.size):
        t = middle + half * NODES[node]
        mass += WEIGHTS[node] * math.exp(-0.5 * (t - peak) * (t + peak))
    return mass * half


@compiled
def _moments(a: float, b: float) -> Any:
    """Return mean and standard deviation of a standard normal between a and b."""
    if a <= 0.0 <= b and b - a > NARROW:
        below, above = math.exp(-0.5 * a * a), math.exp(-0.5 * b * b)
        mass = 0.5 * (math.erf(b * ROOT_HALF) - math.erf(a * ROOT_HALF)) * ROOT_2_PI
        mean = (below - above) / mass
        edge = (a * below if below > 0.0 else 0.0) - (b * above if above > 0.0 else 0.0)
        return mean, math.sqrt(max(0.0, 1.0 + edge / mass - mean * mean))
    # in the tails, and between close bounds, the terms above cancel: by quadrature
    low, high, peak = _range(a, b)
    half, middle = 0.5 * (high - low), 0.5 * (low + high)
    mass = mean = square = 0.0
    for node in range(NODES.size):
        t = half * NODES[node]
        density = WEIGHTS[node] * math.exp(-0.5 * (middle + t - peak) * (middle + t + peak))
        mass += density
        mean += density * t
    mean /= mass
    for node in range(NODES.size):
        t = half * NODES[node]
        density = WEIGHTS[node] * math.exp(-0.5 * (middle + t - peak) * (middle + t + peak))
        square += density * (t - mean) ** 2
    return middle + mean, math.sqrt(square / mass)


@compiled
def _truncate(mu: Any, sigma: Any, start: int, stop: int, lower: float, upper: float) -> None:
    out_mu, out_sigma = mu, sigma
    for i in range(start, stop):
        m, s = np.float64(mu[i]), np.float64(sigma[i])
        if math.isnan(m) or math.isnan(s):
            out_mu[i] = out_sigma[i] = np.nan
        elif s > 0.0:
            a, b = (lower - m) / s, (upper - m) / s
            if math.isinf(a) and math.isinf(b) and (a > 0.0) == (b > 0.0):
                out_mu[i], out_sigma[i] = min(max(m, lower), upper), s
            elif b - a < POINT:
                # nothing is known but the bounds
                out_mu[i], out_sigma[i] = 0.5 * (lower + upper), (upper - lower) / math.sqrt(12.0)
            else:
                mean, deviation = _moments(a, b)
                out_mu[i] = min(max(m + s * mean, lower), upper)
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
            a, b = (lower - m) / s, (upper - m) / s
            t = (threshold - m) / s
            low, high, peak = _range(a, b)
            if not low < high:
                out[i] = 1.0 if m > threshold else 0.0
            else:
                t = min(max(t, low), high)
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
