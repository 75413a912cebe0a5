"""The probability of a logistic function, and how unsure it is of it, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.kernels.parallel import map_ranges, pixels

from .measured import Floats, Measured
from .water_parameters import WaterParameters

LENGTH = 1 << 16  # pixels at a time: what is between bands and result stays in the cache
NODES = 25  # of the quadrature
WIDE = 5.0  # of the log odds: a standard deviation beyond which nodes are too far apart


def log_odds(features: Sequence[Floats], coefficients: Sequence[float]) -> Floats:
    """Return the log odds of water."""
    intercept, *slopes = coefficients
    total: Floats = intercept + slopes[0] * features[0]
    for slope, feature in zip(slopes[1:], features[1:], strict=True):
        total = total + slope * feature
    return total


def mean_and_sigma(
    *bands: NDArray[Any],
    parameters: WaterParameters,
    measured: Measured,
    dtype: np.dtype[Any],
    threads: int | None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the probability of water, and its standard deviation.

    Parameters
    ----------
    bands : arrays of one shape
    parameters : WaterParameters
    measured : Measured
        What the bands are.
    dtype : dtype
        Of the result.
    threads : int, optional
        1 in a task of dask.
    """
    if bands[0].size:
        measured.check(bands)
    shape = bands[0].shape
    mu, sigma = np.empty(shape, dtype), np.empty(shape, dtype)
    flat_mu, flat_sigma = mu.reshape(-1), sigma.reshape(-1)
    covariance = np.array(parameters.covariance)

    def on_range(start: int, stop: int) -> None:
        each = [pixels(band, start, stop).astype(np.float64) for band in bands]
        for band in each:
            # what is infinite was not measured
            band[~np.isfinite(band)] = np.nan
        features = measured.features(each)
        center = log_odds(features, parameters.coefficients)
        variance = spread(features, covariance)
        variance = variance + measured.variance(each, parameters.coefficients[1:])
        mean, deviation = _through_logistic(center, np.sqrt(variance))
        flat_mu[start:stop], flat_sigma[start:stop] = mean, deviation

    map_ranges(on_range, mu.size, threads=threads, length=LENGTH)
    return mu, sigma


def spread(features: Sequence[Floats], covariance: NDArray[Any]) -> Floats:
    """Return the variance of the log odds by the errors of the coefficients."""
    total = np.full(features[0].shape, covariance[0, 0])
    for i, one in enumerate(features, 1):
        total = total + covariance[i, i] * one**2 + 2 * covariance[0, i] * one
        for j, other in enumerate(features[i:], i + 1):
            total = total + 2 * covariance[i, j] * one * other
    # which rounding may lead below zero
    not_below: Floats = np.maximum(total, 0.0)
    return not_below


def _through_logistic(center: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the logistic of a normal variable.

    By Gauss-Hermite quadrature; where that has too few nodes, the logistic is taken for the
    distribution function it is, whose variable, beside such a wide normal one, is as good as normal
    itself. Both are within 0.002 of the mean and 0.005 of the deviation.
    """
    from scipy.special import expit, ndtr  # scipy takes a tenth of a second to import

    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    first, second = np.zeros(center.shape), np.zeros(center.shape)
    near = np.minimum(deviation, WIDE)
    at_center = expit(center)
    for node, weight in zip(nodes, weights, strict=True):
        # of the difference, as squares of what is near 1 would leave no digits for the variance
        difference = expit(center + node * near) - at_center
        first += weight * difference
        second += weight * difference**2
    mean: Floats = np.clip(at_center + first, 0.0, 1.0)
    variance = np.maximum(second - first**2, 0.0)
    wide = deviation > WIDE
    if wide.any():
        width = np.sqrt(deviation[wide] ** 2 + np.pi**2 / 3)
        standard = center[wide] / width
        share = ndtr(standard)
        density = np.exp(-(standard**2) / 2) / (np.sqrt(2 * np.pi) * width)
        mean[wide] = share
        # far out, where both are next to nothing, it is no smaller than the mean
        least = (share * (1.0 - share)) ** 2
        variance[wide] = np.maximum(share * (1.0 - share) - density, least)
    return mean, np.sqrt(variance)
