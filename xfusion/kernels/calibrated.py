"""Means and standard deviations after a calibration, pixel by pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled
from .fine_bins import bin_of, lower_edges
from .pair_counts import SLACK
from .parallel import map_blocks

NEAREST = 0.5**24  # to 0 and to 1 that a calibrated mean comes; in float32 1 - NEAREST is below 1


@compiled
def _calibrate(
    mu: Any,
    sigma: Any,
    mask: Any,
    out_mu: Any,
    out_sigma: Any,
    x: Any,
    y: Any,
    least: Any,
    first: Any,
    coefficients: Any,
    constant_sigma: float,
    strange: Any,
) -> None:
    a, b, c = coefficients
    last = x.size - 1
    for i in range(mu.size):
        p, s = np.float64(mu[i]), np.float64(sigma[i])
        is_sound = (s >= 0.0) & (s < np.inf)
        out_mu[i], out_sigma[i] = np.nan, s
        if not abs(p) < np.inf:
            continue
        if p < -SLACK or p > 1.0 + SLACK:
            if is_sound and (mask.size == 0 or mask[i] == 0):
                strange[0] = p
                return
            continue  # it is not used, and no probability
        p = min(max(p, 0.0), 1.0)
        if x.size == 0:
            q = min(max(p, NEAREST), 1.0 - NEAREST)
            f = 1.0 / (1.0 + math.exp(-(a * math.log(q) - b * math.log1p(-q) + c)))
            f = min(max(f, NEAREST), 1.0 - NEAREST)
            slope = f * (1.0 - f) * (a / q + b / (1.0 - q))
            smallest = least[0]
        elif p < x[0] or last == 0:
            f, slope, smallest = y[0], 0.0, least[0]
        elif p > x[last]:
            f, slope, smallest = y[last], 0.0, least[last]
        else:
            k = max(first[bin_of(p)], 0)
            while k + 1 < last and x[k + 1] <= p:
                k += 1
            slope = (y[k + 1] - y[k]) / (x[k + 1] - x[k])
            # rounding must not lead past the next knot
            f = min(y[k] + (p - x[k]) * slope, y[k + 1])
            smallest = max(least[k], least[k + 1])
        out_mu[i] = f
        if is_sound and constant_sigma >= 0.0:
            out_sigma[i] = constant_sigma
        elif is_sound:
            variance = f * (1.0 - f)
            out_sigma[i] = min(max(slope * s, math.sqrt(variance * smallest)), math.sqrt(variance))


@compiled
def _scale(sigma: Any, out: Any, x: Any, y: Any) -> None:
    last = x.size - 1
    for i in range(sigma.size):
        s = np.float64(sigma[i])
        if not ((s >= 0.0) & (s < np.inf)):
            out[i] = s
        elif s <= x[0]:
            out[i] = s * (y[0] / x[0])
        elif s >= x[last]:
            out[i] = s * (y[last] / x[last])
        else:
            k = np.searchsorted(x, s, side="right") - 1
            out[i] = min(y[k] + (s - x[k]) * ((y[k + 1] - y[k]) / (x[k + 1] - x[k])), y[k + 1])


def calibrate_means(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None,
    *,
    knots: NDArray[np.float64],
    coefficients: tuple[float, float, float],
    pixels: int,
    constant_sigma: float | None,
    threads: int | None,
) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Return calibrated probabilities, and their standard deviations.

    Parameters
    ----------
    mu, sigma, mask : arrays of one shape
        Of a retrieval of probabilities, with or without a mask.
    knots : array, shape (knots, 3)
        Rising means, what each becomes, and from how many pixels that is known. Between them the
        map is linear, beyond them constant.
    coefficients : (float, float, float)
        Without knots, a, b and c of ``logit f = a log(mu) - b log(1 - mu) + c``.
    pixels : int
        From how many pixels the coefficients are known.
    constant_sigma : float, optional
        What each usable sigma becomes, instead of ``f' sigma``.
    threads : int, optional
        As in :func:`xfusion.kernels.parallel.map_blocks`.

    Returns
    -------
    mu, sigma : arrays
        Each of its dtype. A sigma that is not usable stays as it is.
    strange : float
        A usable mu outside [0, 1], if there is one; then nothing else is right. Else NaN.
    """
    out_mu, out_sigma = np.empty(mu.shape, mu.dtype), np.empty(sigma.shape, sigma.dtype)
    x, y, support = (np.ascontiguousarray(column) for column in knots.T)
    first = np.searchsorted(x, lower_edges(), side="right") - 1
    least = 1.0 / (support if len(knots) else np.array([float(pixels)]))
    strange = np.full(1, np.nan)
    constant = -1.0 if constant_sigma is None else float(constant_sigma)

    def on_block(*blocks: NDArray[Any] | None) -> None:
        means, deviations, flags, *outs = blocks
        flags = np.empty(0, np.uint8) if flags is None else flags
        arguments = (*outs, x, y, least, first, coefficients, constant, strange)
        _calibrate(means, deviations, flags, *arguments)

    map_blocks(on_block, [mu, sigma, mask, out_mu, out_sigma], mu.shape, threads=threads)
    return out_mu, out_sigma, float(strange[0])


def scale_sigma(
    sigma: NDArray[Any], *, knots: NDArray[np.float64], threads: int | None
) -> NDArray[Any]:
    """Return standard deviations as a calibration has them.

    Parameters
    ----------
    sigma : array
        What is not usable stays as it is.
    knots : array, shape (knots, 3)
        Rising sigmas and what each becomes. Between them the map is linear, beyond them a factor.
    threads : int, optional
        As in :func:`xfusion.kernels.parallel.map_blocks`.
    """
    out = np.empty(sigma.shape, sigma.dtype)
    x, y, _ = (np.ascontiguousarray(column) for column in knots.T)

    def on_block(*blocks: NDArray[Any] | None) -> None:
        _scale(*blocks, x, y)

    map_blocks(on_block, [sigma, out], sigma.shape, threads=threads)
    return out
