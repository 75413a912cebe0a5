"""Error variances of three or more sensors from their covariances."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .moments import as_moments

Array = NDArray[np.float64]

FEWEST = 10  # samples; of fewer, intervals say nothing
NORMAL_95 = 1.959963984540054


class Estimate(NamedTuple):
    """A number made of covariances, and how it changes with each of them."""

    value: Array
    """Of shape (...)."""
    gradient: Array
    """Symmetric, (..., sensors, sensors): the trace of it times a change of these changes value."""


class Collocated(NamedTuple):
    """What three or more sensors say of each other."""

    sigma: Array
    """Of shape (..., sensors), as the next five."""
    sigma_lower: Array
    sigma_upper: Array
    gain: Array
    bias: Array
    negative: NDArray[np.bool_]
    samples: NDArray[np.int64]
    """Of shape (...)."""
    error_correlation: Array
    """That of the pair; NaN without one."""


def collocated(numbers: Array, *, pair: tuple[int, int] | None) -> Collocated:
    """Return error standard deviations, gains and biases.

    Parameters
    ----------
    numbers : array
        Of :func:`xfusion.assessment.moments.moments_along`.
    pair : (int, int), optional
        Sensors whose errors may be correlated; what would need them not to be is left out.
    """
    count, mean, covariance = as_moments(numbers)
    covariance = np.where((count >= FEWEST)[..., None, None], covariance, np.nan)
    number = covariance.shape[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        signals = [_signal(covariance, i, pair) for i in range(number)]
        signal = np.stack([s.value for s in signals], axis=-1)
        variance = np.diagonal(covariance, axis1=-2, axis2=-1) - signal
        # of the variance of an error: 1 for that of the sensor, less the gradient of its signal
        gradients = [np.diag(np.eye(number)[i]) - s.gradient for i, s in enumerate(signals)]
        spread = np.stack([_deviation(g, covariance, count) for g in gradients], axis=-1)
        gain = np.stack([_gain(covariance, i, pair) for i in range(number)], axis=-1)
        without_signal = np.where(signal < 0, np.nan, variance)
        lower, upper = (without_signal + side * NORMAL_95 * spread for side in (-1.0, 1.0))
        # below zero throughout: of no sigma
        lower = np.where(upper < 0, np.nan, np.maximum(lower, 0.0))
        sigma = np.sqrt(without_signal)
        correlation = np.full(count.shape, np.nan)
        if pair is not None:
            correlation = _common_error(covariance, pair) / sigma[..., list(pair)].prod(axis=-1)
        return Collocated(
            sigma=sigma,
            sigma_lower=np.sqrt(lower),
            sigma_upper=np.sqrt(upper),
            gain=gain,
            bias=mean - gain * mean[..., :1],
            negative=(variance < 0) | (signal < 0),
            samples=np.rint(count).astype(np.int64),
            error_correlation=correlation,
        )


def triplets_of(sensor: int, number: int, pair: tuple[int, int] | None) -> list[tuple[int, int]]:
    """Return the two others of each triplet with a sensor in which no errors are correlated."""
    others = combinations([i for i in range(number) if i != sensor], 2)
    return [two for two in others if pair is None or not {*pair} <= {sensor, *two}]


def _signal(covariance: Array, i: int, pair: tuple[int, int] | None) -> Estimate:
    """Return the variance that a sensor has from the truth: the mean of what triplets say."""
    triplets = triplets_of(i, covariance.shape[-1], pair)
    value = np.zeros(covariance.shape[:-2])
    gradient = np.zeros(covariance.shape)
    for j, k in triplets:
        one, other, base = (covariance[..., a, b] for a, b in ((i, j), (i, k), (j, k)))
        value += one * other / base
        parts = (i, j, other / base), (i, k, one / base), (j, k, -one * other / base**2)
        for row, column, slope in parts:
            gradient[..., row, column] += slope / 2
            gradient[..., column, row] += slope / 2
    return Estimate(value / len(triplets), gradient / len(triplets))


def _gain(covariance: Array, i: int, pair: tuple[int, int] | None) -> Array:
    """Return how much a sensor changes where the first changes by one."""
    if i == 0:
        return np.ones(covariance.shape[:-2])
    third = {k for two in triplets_of(0, covariance.shape[-1], pair) if i in two for k in two} - {i}
    if not third:  # the first two are the pair
        third = {*range(1, covariance.shape[-1])} - {i}
    ratios = [covariance[..., i, k] / covariance[..., 0, k] for k in sorted(third)]
    mean: Array = np.mean(ratios, axis=0)
    return mean


def _common_error(covariance: Array, pair: tuple[int, int]) -> Array:
    """Return the covariance of the errors of two sensors, with two others of which each is free."""
    a, b = pair
    others = permutations([i for i in range(covariance.shape[-1]) if i not in pair], 2)
    of_truth = [
        covariance[..., a, c] * covariance[..., b, d] / covariance[..., c, d] for c, d in others
    ]
    common: Array = covariance[..., a, b] - np.mean(of_truth, axis=0)
    return common


def _deviation(gradient: Array, covariance: Array, count: Array) -> Array:
    """Return the standard deviation of an estimate, by the delta method for normal errors."""
    product = gradient @ covariance
    trace = np.einsum("...ij,...ji->...", product, product)
    deviation: Array = np.sqrt(2 * trace / (count - 1))
    return deviation
