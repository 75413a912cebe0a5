"""Means and standard deviations after a calibration, pixel by pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled, inlined
from .fine_bins import bin_of, lower_edges
from .pair_counts import SLACK
from .parallel import map_blocks

NEAREST = 0.5**24  # to 0 and to 1 that a calibrated mean comes; in float32 1 - NEAREST is below 1


@inlined
def _value_at(p: float, x: Any, y: Any, slopes: Any, first: Any) -> Any:
    """Return the line through knots, and beyond them what the last one says."""
    if p <= x[0]:
        return y[0]
    if p >= x[x.size - 1]:
        return y[x.size - 1]
    k = max(first[bin_of(p)], 0)
    while k + 2 < x.size and x[k + 1] <= p:
        k += 1
    # rounding must not lead past the next knot
    return min(y[k] + (p - x[k]) * slopes[k], y[k + 1])


@compiled
def _calibrate(
    mu: Any,
    sigma: Any,
    mask: Any,
    out_mu: Any,
    out_sigma: Any,
    x: Any,
    y: Any,
    slopes: Any,
    first: Any,
    coefficients: Any,
    pixels: float,
    constant_sigma: float,
    strange: Any,
) -> None:
    a, b, c = coefficients
    for i in range(mu.size):
        m, s = np.float64(mu[i]), np.float64(sigma[i])
        is_sound = (s >= 0.0) & (s < np.inf)
        out_mu[i], out_sigma[i] = np.nan, s
        if not abs(m) < np.inf:
            continue
        if m < -SLACK or m > 1.0 + SLACK:
            if is_sound and (mask.size == 0 or mask[i] == 0):
                strange[0] = m
                return
            continue  # it is not used, and no probability
        p = min(max(m, 0.0), 1.0)
        if x.size == 0:
            q = min(max(p, NEAREST), 1.0 - NEAREST)
            f = 1.0 / (1.0 + math.exp(-(a * math.log(q) - b * math.log1p(-q) + c)))
            f = min(max(f, NEAREST), 1.0 - NEAREST)
            slope = f * (1.0 - f) * (a / q + b / (1.0 - q))
        else:
            f = _value_at(p, x, y, slopes, first)
            slope = 0.0
            if is_sound and constant_sigma < 0.0:
                # from knot to knot the slope is noise: that within one sigma is not
                left, right = max(p - s, 0.0), min(p + s, 1.0)
                rise = _value_at(right, x, y, slopes, first) - _value_at(left, x, y, slopes, first)
                slope = rise / (right - left) if right > left else 0.0
        out_mu[i] = f
        if is_sound and constant_sigma >= 0.0:
            out_sigma[i] = constant_sigma
        elif is_sound:
            variance = f * (1.0 - f)
            out_sigma[i] = min(max(slope * s, math.sqrt(variance / pixels)), math.sqrt(variance))


@compiled
def _scale(sigma: Any, out: Any, x: Any, y: Any, slopes: Any) -> None:
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
            out[i] = min(y[k] + (s - x[k]) * slopes[k], y[k + 1])


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
        Rising means, what each becomes, and how many pixels say so. Between them the map is linear,
        beyond them constant.
    coefficients : (float, float, float)
        Without knots, a, b and c of ``logit f = a log(mu) - b log(1 - mu) + c``.
    pixels : int
        To how many the map was fitted.
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
    x, y, _ = (np.ascontiguousarray(column) for column in knots.T)
    slopes = np.diff(y) / np.diff(x)
    first = np.searchsorted(x, lower_edges(), side="right") - 1
    strange = np.full(1, np.nan)
    constant = -1.0 if constant_sigma is None else float(constant_sigma)

    def on_block(*blocks: NDArray[Any] | None) -> None:
        means, deviations, flags, to_mu, to_sigma = blocks
        flags = np.empty(0, np.uint8) if flags is None else flags
        line = (x, y, slopes, first)
        _calibrate(
            *(means, deviations, flags, to_mu, to_sigma),
            *line,
            coefficients,
            float(pixels),
            constant,
            strange,
        )

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
    slopes = np.diff(y) / np.diff(x)

    def on_block(some: NDArray[Any] | None, to: NDArray[Any] | None) -> None:
        _scale(some, to, x, y, slopes)

    map_blocks(on_block, [sigma, out], sigma.shape, threads=threads)
    return out
