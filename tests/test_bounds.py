"""Bounded quantities: moments of the truncated normal, and the probability above a threshold."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from scipy import stats

import xfusion as xf
from tests.laziness import nothing_computes
from tests.sensors import sensors_of

BOUNDS = [(0.5, 0.1), (0.02, 0.3), (-0.5, 0.1), (1.4, 0.05), (0.3, 50.0), (0.999, 1e-4), (-3, 0.1)]


@pytest.mark.some(one_in=3)
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


def tail(mu: float, sigma: float, upper: float) -> tuple[float, float]:
    """Mean and deviation of what is left between 0 and a bound, far out in the tail of a normal.

    There the density falls as exp(-t z), with t and its moments in standard deviations.
    """
    z = -mu / sigma
    width = z * (upper / sigma)
    share = np.exp(-width) / -np.expm1(-width) if width < 700 else 0.0
    mean = 1 - (width * share if share else 0.0)
    square = 2 - ((width**2 + 2 * width) * share if share else 0.0)
    return sigma * mean / z, sigma * np.sqrt(square - mean**2) / z


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("upper", [1.0, np.inf])
@pytest.mark.parametrize("z", [1e4, 1e7, 1e8, 1e9, 1e12, 1e60, 1e140, 1e153, 1e155, 1e200, 1e300])
def test_bounds_far_out_in_a_tail_leave_an_exponential(z: float, upper: float, sign: int) -> None:
    for sigma in (1.0, 1e-5):
        mu = -z * sigma
        if not np.isfinite(mu):
            continue
        mean, deviation = tail(mu, sigma, upper)
        bounded = (0.0, upper) if sign < 0 else (-upper, 0.0)
        fused = xf.gaussian(*sensors_of([sign * -mu], [sigma]), bounded=bounded)
        assert fused["mask"].item() == 0
        np.testing.assert_allclose(fused.mu.item() * -sign, mean, rtol=1e-6)
        np.testing.assert_allclose(fused.sigma.item(), deviation, rtol=1e-6)
        (parent,) = sensors_of([mu], [sigma])
        above = parent.fusion.exceedance(mean, bounded=(0.0, upper)).item()
        np.testing.assert_allclose(above, np.exp(-1), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    mu=st.floats(allow_nan=False, allow_infinity=False),
    sigma=st.floats(0, allow_infinity=False),
    bounds=st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
)
def test_no_bounded_result_is_usable_and_no_number(
    dtype: type, mu: float, sigma: float, bounds: tuple[float, float]
) -> None:
    lower, upper = sorted(bounds)
    most = float(np.finfo(dtype).max)
    with np.errstate(over="ignore"):
        (parent,) = sensors_of([float(dtype(mu))], [float(dtype(sigma))])
    if lower == upper:
        return
    parent = parent.astype(dtype)
    if max(lower, -upper) > most:
        with pytest.raises(ValueError, match=r"bounded=.*whose largest number.*float64"):
            xf.gaussian(parent, bounded=(lower, upper), sigma_floor=0)
        return
    fused = xf.gaussian(parent, bounded=(lower, upper), sigma_floor=0)
    if fused["mask"].item() == 0:
        with np.errstate(over="ignore"):
            assert dtype(lower) <= fused.mu.item() <= dtype(upper)
            assert 0 <= fused.sigma.item() <= dtype(sigma)
    else:
        assert not (np.isfinite(dtype(mu)) and np.isfinite(dtype(sigma))) or (
            # a mean beyond the largest number
            abs(mu) + sigma > most / 4
        )
        assert fused["mask"].item() == 32
        assert fused["source"].item() == 0
        assert np.isnan(fused.mu.item())
        assert np.isnan(fused.sigma.item())


def test_a_floor_beyond_the_numbers_of_the_inputs_is_refused() -> None:
    (one,) = sensors_of([0.5], [0.1])
    with pytest.raises(ValueError, match=r"sigma_floor=1e\+300: mu and sigma are float32.*3.4e\+3"):
        xf.gaussian(one.astype("float32"), sigma_floor=1e300)
    assert xf.gaussian(one, sigma_floor=1e300).sigma.item() == 1e300


def test_a_rule_of_the_callers_own_that_has_no_number_leaves_the_pixel_out() -> None:
    (one,) = sensors_of([0.5], [0.1])
    fused = xf.fuse(one, one, rule=lambda m, s, _: (m[0], s[0] * np.inf))
    assert (fused["mask"].item(), fused["source"].item()) == (32, 0)


@pytest.mark.some(one_in=10)
@pytest.mark.parametrize("floor", [0.0, 1e-320, 1e-300, 1e-40, 1e-38])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_floor_is_so_small_that_a_lazy_result_differs(floor: float, dtype: Any) -> None:
    rng = np.random.default_rng(7)
    tiny = np.finfo(dtype).tiny
    smallest = np.finfo(dtype).smallest_subnormal
    sizes = np.array([0, smallest, 3 * smallest, tiny / 7, tiny, 1e-30, 1e-19, 1e-6, 0.3, 1], dtype)
    shape = 24, 25  # blocks that end within a vector of the processor
    sensors = [
        xf.retrieval(*(xr.DataArray(a, dims=("y", "x")) for a in (mu, sigma)), sensor=name)
        for name in ("a", "b", "c")
        for mu, sigma in [(rng.random(shape).astype(dtype), rng.choice(sizes, shape))]
    ]
    rules: list[dict[str, Any]] = [
        {"rule": "gaussian"},
        {"rule": "gaussian", "correlation": 0.4},
        {"rule": "gaussian", "bounded": (0.0, 1.0)},
        {"rule": "mixture"},
        {"rule": "random_effects"},
        {"rule": "minimum_sigma"},
        {"rule": "log_odds", "prior": 0.3},
    ]
    for options in rules:
        eager = xf.fuse(*sensors, **options, sigma_floor=floor)
        for chunks in ({"y": 12, "x": 7}, {"y": 24, "x": 11}):
            lazy = xf.fuse(*(s.chunk(chunks) for s in sensors), **options, sigma_floor=floor)
            for name, array in lazy.compute().data_vars.items():
                same = array.to_numpy().tobytes() == eager[name].to_numpy().tobytes()
                assert same, (options, name, chunks)
