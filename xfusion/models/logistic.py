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
NODES = 15  # of the quadrature


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
    """Return the logistic of a center, and the standard deviation of that of a normal.

    By Gauss-Hermite quadrature: the slope of the logistic alone, where it is steep, would say up to
    half more.
    """
    from scipy.special import expit  # scipy takes a tenth of a second to import

    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    mean: Floats = expit(center)
    first, second = np.zeros(center.shape), np.zeros(center.shape)
    for node, weight in zip(nodes, weights, strict=True):
        difference = expit(center + node * deviation) - mean
        first += weight * difference
        second += weight * difference**2
    variance = np.maximum(second - first**2, 0.0)
    # no quantity from 0 to 1 of this mean has a larger one
    return mean, np.sqrt(np.minimum(variance, mean * (1.0 - mean)))
