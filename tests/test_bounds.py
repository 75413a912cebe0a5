"""Bounded quantities: moments of the truncated normal, and the probability above a threshold."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import stats

import xfusion as xf
from tests.laziness import nothing_computes
from tests.sensors import sensors_of

BOUNDS = [(0.5, 0.1), (0.02, 0.3), (-0.5, 0.1), (1.4, 0.05), (0.3, 50.0), (0.999, 1e-4), (-3, 0.1)]


@pytest.mark.parametrize(("mu", "sigma"), BOUNDS)
def test_bounded_moments_are_those_of_the_truncated_normal(mu: float, sigma: float) -> None:
    x = np.linspace(0, 1, 2_000_001)
    log_density = -0.5 * ((x - mu) / sigma) ** 2
    density = np.exp(log_density - log_density.max())
    mean = np.trapezoid(x * density) / np.trapezoid(density)
    deviation = np.sqrt(np.trapezoid((x - mean) ** 2 * density) / np.trapezoid(density))
    fused = xf.gaussian(*sensors_of([float(mu)], [sigma]), bounded=(0, 1))
    np.testing.assert_allclose(fused.mu.item(), mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fused.sigma.item(), deviation, rtol=1e-5)
    above = np.trapezoid(density[x >= 0.4]) / np.trapezoid(density)
    (parent,) = sensors_of([float(mu)], [sigma])
    probability = parent.fusion.exceedance(0.4, bounded=(0, 1)).item()
    np.testing.assert_allclose(probability, above, rtol=1e-4, atol=1e-12)
    with pytest.raises(ValueError, match="cut off"):
        fused.fusion.exceedance(0.5)


@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e9))
def test_bounded_results_stay_inside_the_bounds(mu: float, sigma: float) -> None:
    fused = xf.gaussian(*sensors_of([float(mu)], [sigma]), bounded=(0, 1))
    assert 0 <= fused.mu.item() <= 1
    assert 0 <= fused.sigma.item() <= 12**-0.5 * (1 + 1e-9)
    probability = sensors_of([float(mu)], [sigma])[0].fusion.exceedance(0.5, bounded=(0, 1)).item()
    assert 0 <= probability <= 1


def test_exceedance_is_the_tail_of_the_normal_and_lazy() -> None:
    mu, sigma = np.array([[0.0, 0.5, 3.0, np.nan]]), np.array([[0.1, 0.2, 0.1, 0.1]])
    water = xf.retrieval(mu, sigma)
    with nothing_computes():
        lazy = water.chunk(x=2).fusion.exceedance(0.4)
    np.testing.assert_allclose(lazy.compute(), stats.norm.sf(0.4, mu, sigma), rtol=1e-12)


def test_bounds_once_applied_stay_known() -> None:
    a, b = sensors_of([0.1, 0.2], [0.1, 0.1])
    again = xf.gaussian(xf.gaussian(a, b, bounded=(0, 1)), b)
    with pytest.raises(ValueError, match="cut off"):
        again.fusion.exceedance(0.5)
    assert a.fusion.exceedance(0.0, bounded=(0, 1)).item() == 1.0
    with pytest.raises(ValueError, match="lower and the upper bound"):
        xf.gaussian(a, b, bounded=(0, 1, 5))  # type: ignore[arg-type]  # the point
