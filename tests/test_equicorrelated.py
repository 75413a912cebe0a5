"""Sensors with one correlation, in closed form, against exact arithmetic and against a matrix."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import xfusion as xf
from tests.sensors import sensors_of
from xfusion.kernels import rules
from xfusion.kernels.codes import GAUSSIAN
from xfusion.kernels.correlation import Correlation, correlated
from xfusion.kernels.independent import MAX_SENSORS


def fused_by(correlation: Correlation, mu: Any, sigma: Any, mask: Any = None) -> rules.Fused:
    return rules.fuse(
        mu,
        sigma,
        mask,
        rule=GAUSSIAN,
        correlation=correlation,
        prior=np.array([np.nan]),
        alpha=1.0,
        sigma_floor=0.0,
        floor_nonfinite=False,
        unknown=int(xf.Exclusion.UNKNOWN),
        inflate=False,
        diagnostics=False,
        threads=1,
    )


def of_all_pairs(n: int, rho: float) -> Correlation:
    return correlated(np.where(np.eye(n, dtype=bool), 1.0, rho))


def best(mu: Sequence[float], sigma: Sequence[float], rho: float) -> tuple[Fraction, Fraction]:
    """mu and variance with the best convex weights, exactly: those of some of the surest."""
    r, surest = Fraction(rho), sorted(range(len(sigma)), key=lambda i: sigma[i])
    found = []
    for m in range(1, len(surest) + 1):
        z = [1 / Fraction(sigma[i]) for i in surest[:m]]
        u = [(x - r * sum(z, Fraction(0)) / (1 + (m - 1) * r)) / (1 - r) for x in z]
        if min(u) >= 0:
            w = [a * b for a, b in zip(z, u, strict=True)]
            total = sum(w, Fraction(0))
            means = (a * Fraction(mu[i]) for a, i in zip(w, surest, strict=False))
            found.append((1 / total, sum(means, Fraction(0)) / total))
    variance, mean = min(found)
    return mean, variance


@given(st.data(), st.integers(2, MAX_SENSORS), st.sampled_from([1e-30, 1.0, 1e30]))
def test_one_correlation_is_solved_to_the_last_digits(
    data: st.DataObject, n: int, scale: float
) -> None:
    alike = st.floats(1.0, 1.0 + 1e-6)
    sigma = data.draw(st.lists(alike | st.floats(0.5, 1e6), min_size=n, max_size=n))
    mu = data.draw(st.lists(st.floats(-1, 1), min_size=n, max_size=n))
    lowest = -1 / (n - 1)
    at_ends = st.sampled_from([lowest, 0.99 * lowest, 0.999999, 1.0])
    rho = data.draw(at_ends | st.floats(0.99 * lowest, 0.99).filter(lambda r: abs(r) > 1e-9))
    mu, sigma = [m * scale for m in mu], [s * scale for s in sigma]
    correlation = of_all_pairs(n, rho)
    fused = fused_by(correlation, *(tuple(np.array([x]) for x in a) for a in (mu, sigma)))
    mean, variance = best(mu, sigma, correlation.common)
    expected = math.sqrt(variance / Fraction(scale) ** 2) * scale
    np.testing.assert_allclose(fused.sigma.item(), expected, rtol=1e-12 if rho > lowest else 1e-6)
    # a mean of values of both signs has the precision of the values
    np.testing.assert_allclose(fused.mu.item(), float(mean), rtol=0, atol=1e-12 * scale)


# of more than 4 sensors the kernel of matrices is compiled once for all numbers of them
@given(st.integers(5, MAX_SENSORS), st.floats(0.01, 0.9), st.integers(0, 2**32 - 1))
def test_one_correlation_is_a_matrix_of_it(n: int, rho: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mu, sigma = rng.normal(size=(n, 700)), rng.choice([0.1, 0.2, 0.5, 3.0], (n, 700))
    mu[rng.random(mu.shape) < 0.1] = np.nan
    sigma[rng.random(mu.shape) < 0.1] = np.inf
    mask = (rng.random(mu.shape) < 0.3).astype(np.uint8) * np.uint8(4)
    closed = of_all_pairs(n, rho)
    assert closed.common == rho
    one, other = (fused_by(c, mu, sigma, mask) for c in (closed, closed._replace(common=math.nan)))
    np.testing.assert_allclose(one.mu, other.mu, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-9)
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_array_equal(one.conflict, other.conflict)
    np.testing.assert_array_equal(one.source == 0, other.source == 0)


def test_a_sensor_has_no_weight_from_the_ratio_of_sigmas_on() -> None:
    sensors = sensors_of([1.0, 2.0], [0.1, 0.2])
    for correlation, source in ((0.499999, 3), (0.5, 1), (0.7, 1)):
        assert xf.gaussian(*sensors, correlation=correlation).source.item() == source


@pytest.mark.parametrize("correlation", [-0.4, 0.4])
def test_certain_sensors_leave_others_no_weight(correlation: float) -> None:
    sensors = sensors_of([0.25, 0.5, 0.75], [0.0, 0.0, 1.0])
    fused = xf.gaussian(*sensors, correlation=correlation, sigma_floor=0.0)
    assert (fused.mu.item(), fused.sigma.item(), fused.source.item()) == (0.375, 0.0, 3)


def test_means_near_the_largest_number_do_not_overflow() -> None:
    largest = np.finfo(np.float64).max
    fused = xf.gaussian(*sensors_of([largest] * 8, [0.5] * 8), correlation=-0.1)
    assert fused.mu.item() == largest


def test_pairs_that_differ_have_no_common_correlation() -> None:
    matrix = np.array([[1, 0.5, 0.5], [0.5, 1, 0.4], [0.5, 0.4, 1]])
    assert math.isnan(correlated(matrix).common)
    assert math.isnan(correlated(np.eye(3)).common)
