"""Odds of several sensors: Bayes' rule, its prior, shared evidence, and what is no probability."""

from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from numpy.typing import NDArray
from scipy.special import expit, logit

import xfusion as xf
from tests.laziness import nothing_computes
from tests.sensors import sensors_of
from tests.strategies import chunked

SURE = 1e-9


def plain(
    mu: NDArray[Any], sigma: NDArray[Any], prior: Any, alpha: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The formula, sensors first; NaN is a sensor that is missing, and one passes through."""
    there = np.isfinite(mu)
    q = np.where(there, np.clip(mu, SURE, 1 - SURE), 0.5)
    evidence = np.where(there, logit(q) - logit(prior), 0).sum(0)
    p = np.clip(expit(logit(prior) + alpha * evidence), SURE, 1 - SURE)
    spread = np.where(there, sigma / (q * (1 - q)), 0)
    s = np.minimum(alpha * p * (1 - p) * np.sqrt((spread**2).sum(0)), np.sqrt(p * (1 - p)))
    only, number = np.nanmax(np.where(there, mu, -1), 0), there.sum(0)
    own = np.where(there, sigma, 0).max(0)
    p, s = np.where(number == 1, only, p), np.where(number == 1, own, s)
    return np.where(number, p, np.nan), np.where(number, s, np.nan)


@given(
    hnp.arrays(float, (3, 2, 4), elements=st.floats(0, 1) | st.sampled_from([0.0, 1.0, np.nan])),
    hnp.arrays(float, (3, 2, 4), elements=st.floats(1e-5, 0.5)),
    hnp.arrays(float, (2, 4), elements=st.floats(0.001, 0.999)),
    st.floats(0.05, 1),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
    st.data(),
)
def test_odds_are_those_of_the_formula_whoever_is_missing(
    mu: Any, sigma: Any, prior: Any, alpha: float, dtype: Any, of_pixels: bool, data: st.DataObject
) -> None:
    mu, sigma = mu.astype(dtype), sigma.astype(dtype)
    sensors = [xf.retrieval(m, s) for m, s in zip(mu, sigma, strict=True)]
    before: Any = xr.DataArray(prior, dims=("y", "x")) if of_pixels else float(prior[0, 0])
    fused = xf.fuse(*sensors, rule="log_odds", prior=before, alpha=alpha)
    expected = plain(mu.astype(float), sigma.astype(float), np.asarray(before), alpha)
    rounding = 2e-7 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(fused.mu, expected[0], atol=rounding, rtol=1e-5)
    # of float32 the nearest to 1 is 6e-8 before it, and sigma is that of the number that is stated
    near = 3e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(fused.sigma, expected[1], atol=near, rtol=1e-5)
    assert fused.mu.dtype == dtype
    several = np.isfinite(mu).sum(0) > 1
    stated = fused.mu.values.astype(float)
    most = np.sqrt(stated * (1 - stated)) * (1 + 1e-6)
    assert (fused.sigma.values[several] <= most[several]).all()
    assert ((stated[several] > 0) & (stated[several] < 1)).all()
    blocks = [data.draw(chunked(sensor)) for sensor in sensors]
    with nothing_computes():
        told = before.chunk(x=data.draw(st.integers(1, 4))) if of_pixels else before
        lazy = xf.fuse(*blocks, rule="log_odds", prior=told, alpha=alpha)
    xr.testing.assert_identical(lazy.compute(), fused)


def test_independent_evidence_with_the_true_prior_is_bayes_rule() -> None:
    rng = np.random.default_rng(11)
    n, prior, apart = 200_000, 0.15, np.array([1.5, 2.5])
    wet = rng.random(n) < prior
    seen = rng.normal(size=(2, n)) + np.where(wet, apart[:, None], 0)
    ratio = seen * apart[:, None] - apart[:, None] ** 2 / 2  # log-likelihood, wet against dry
    sensors = sensors_of(expit(logit(prior) + ratio), [0.1, 0.1])

    def loss(p: NDArray[Any]) -> float:
        return float(-np.log(np.where(wet, p, 1 - p)).mean())

    right = xf.fuse(*sensors, rule="log_odds", prior=prior).mu.values[0]
    bayes = expit(logit(prior) + ratio.sum(0))
    np.testing.assert_allclose(right, bayes, atol=1e-9)
    # a prior that is wrong costs more than 1 %, and so does an average
    for p in (
        xf.fuse(*sensors, rule="log_odds", prior=0.5).mu.values[0],
        np.clip(xf.gaussian(*sensors).mu.values[0], SURE, 1 - SURE),
    ):
        assert loss(p) > 1.1 * loss(right)


def test_alpha_takes_sensors_that_are_one_for_one() -> None:
    one = xf.retrieval(np.array([[0.03, 0.4, 0.9]]), 0.02)
    for number in (2, 3, 8):
        fused = xf.fuse(*[one] * number, rule="log_odds", prior=0.2, alpha=1 / number)
        np.testing.assert_allclose(fused.mu, one.mu, rtol=1e-12)
        assert fused.attrs["fusion_alpha"] == 1 / number


@pytest.mark.parametrize("count", [3, 12, 200])
def test_odds_along_a_dim_have_a_prior_for_each_pixel_and_never_end_at_certainty(
    count: int,
) -> None:
    rng = np.random.default_rng(2)
    values = rng.uniform(0.05, 0.95, (count, 2, 3))
    values[:, 0, 0], values[:, 0, 1] = 1, 0
    mu = xr.DataArray(values, dims=("time", "y", "x"))
    prior = xr.DataArray(rng.uniform(0.1, 0.9, (2, 3)), dims=("y", "x"))
    series = xf.retrieval(mu, mu * 0 + 0.1)
    fused = series.fusion.fuse(rule="log_odds", prior=prior, dim="time")
    expected, _ = plain(values, values * 0 + 0.1, prior.values, 1.0)
    np.testing.assert_allclose(fused.mu, expected, atol=1e-12)
    assert ((fused.mu > 0) & (fused.mu < 1) & (fused.sigma > 0)).all()
    lazy = series.chunk(time=2, x=2).fusion.fuse(
        rule="log_odds", prior=prior.chunk(x=1), dim="time"
    )
    xr.testing.assert_identical(lazy.compute(), fused)


def test_a_prior_lies_on_the_grid_in_whatever_blocks_and_may_differ_in_time() -> None:
    cube = xr.DataArray(np.full((2, 3, 4), 0.7, np.float32), dims=("time", "y", "x"))
    cube = cube.assign_coords(time=[1, 2], y=[3.0, 2.0, 1.0], x=[1.0, 2.0, 3.0, 4.0])
    sensor = xf.retrieval(cube, cube * 0 + 0.1)
    of_place = xr.DataArray(
        np.linspace(0.1, 0.9, 12).reshape(3, 4), cube[0].drop_vars("time").coords
    )
    of_time = of_place.expand_dims(time=[1, 2]) * xr.DataArray([1.0, 0.5], dims="time")
    for prior in (of_place, of_time, of_time.transpose("x", "time", "y"), of_place.astype("f4")):
        fused = xf.fuse(sensor, sensor, rule="log_odds", prior=prior)
        wanted = prior.broadcast_like(cube).transpose(*cube.dims).values.astype(float)
        np.testing.assert_allclose(
            fused.mu, expit(2 * logit(np.float32(0.7)) - logit(wanted)), rtol=1e-5
        )
        assert fused.attrs["fusion_prior"] == "map"
    lazy = xf.fuse(sensor.chunk(y=2), sensor, rule="log_odds", prior=of_place.chunk(y=1))
    assert lazy.mu.chunks == sensor.chunk(y=2).mu.chunks
    with pytest.raises(ValueError, match=r"the prior.*reproject_match"):
        xf.fuse(sensor, sensor, rule="log_odds", prior=of_place.assign_coords(x=[5.0, 6, 7, 8]))


def test_where_a_map_of_priors_has_no_number_there_is_no_result_of_several() -> None:
    a, b = sensors_of([[0.8, 0.8, 0.8], [0.7, np.nan, 0.7]], [0.1, 0.1])
    for prior in (
        xr.DataArray([[np.nan, np.nan, 0.2]], dims=("y", "x")),
        xr.DataArray([[-1.0, -1.0, 0.2]], dims=("y", "x"), attrs={"_FillValue": -1.0}),
    ):
        fused = xf.fuse(a, b, rule="log_odds", prior=prior)
        np.testing.assert_array_equal(fused.mu.notnull(), [[False, True, True]])
        assert fused["mask"].values.tolist() == [[xf.Exclusion.UNKNOWN, 0, 0]]
        assert fused.source.values.tolist() == [[0, 1, 3]]
        assert fused.mu.values[0, 1] == 0.8


def test_the_prior_is_asked_for_with_the_reason() -> None:
    a, b = sensors_of([0.8, 0.7], [0.1, 0.1])
    with pytest.raises(TypeError, match="needs prior=.*a wrong one does harm.*'calibration'"):
        a.fusion.fuse(b, rule="log_odds")
    lazy = [s.chunk() for s in (a, b)]
    for prior in (0, 1, -0.1, 1.5, np.nan, None, "map", "half", np.full((1, 1), 0.2)):
        with pytest.raises(ValueError, match="prior=.*a probability between 0 and 1"):
            xf.fuse(*lazy, rule="log_odds", prior=prior)
    for value in (0.0, 1.0, 7.0, np.inf):
        wrong = xr.DataArray([[value]], dims=("y", "x"))
        with pytest.raises(ValueError, match=f"prior has the value {value}"):
            xf.fuse(a, b, rule="log_odds", prior=wrong)
    for alpha in (0, -1, 1.01, np.nan, "x"):
        with pytest.raises(ValueError, match="alpha=.*above 0 and at most 1"):
            xf.fuse(a, b, rule="log_odds", prior=0.2, alpha=alpha)


def test_the_prior_of_a_calibration_is_that_of_all_sensors() -> None:
    a, b = (
        s.assign_attrs(sensor=name, calibration_base_rate=0.2)
        for s, name in zip(sensors_of([0.8, 0.7], [0.1, 0.1]), ("radar", "camera"), strict=True)
    )
    fused = xf.fuse(a, b, rule="log_odds", prior="calibration")
    expected = xf.fuse(a, b, rule="log_odds", prior=0.2)
    np.testing.assert_allclose(fused.mu, expected.mu, rtol=1e-12)
    np.testing.assert_allclose(fused.attrs["fusion_prior"], 0.2)
    near = b.assign_attrs(calibration_base_rate="0.21")  # as the tag of a file
    between = xf.fuse(a, near, rule="log_odds", prior="calibration").attrs["fusion_prior"]
    assert 0.2 < between < 0.21
    with pytest.raises(ValueError, match=r"'radar'.*0\.2 and 'camera'.*0\.4.*prior="):
        xf.fuse(a, b.assign_attrs(calibration_base_rate=0.4), rule="log_odds", prior="calibration")
    with pytest.raises(ValueError, match=r"'sensor'.*not calibrated.*apply_calibration"):
        xf.fuse(a, b.drop_attrs(deep=False), rule="log_odds", prior="calibration")
    series = xr.concat([a, b], "time", combine_attrs="override")
    along = series.fusion.fuse(rule="log_odds", prior="calibration", dim="time")
    np.testing.assert_allclose(along.mu, expected.mu)


def test_what_is_no_probability_has_no_odds() -> None:
    good = xf.retrieval(np.array([[0.8, 0.8]]), 0.1)
    for value in (20.0, -0.01, 1.001):
        mu = np.array([[0.5, value]])
        bad = xf.retrieval(mu, 0.1)
        with pytest.raises(ValueError, match=f"mu is {value:g} somewhere, no probability.*clip"):
            xf.fuse(good, bad, rule="log_odds", prior=0.2)
        with nothing_computes():
            lazy = xf.fuse(good.chunk(x=1), bad.chunk(x=1), rule="log_odds", prior=0.2)
        with pytest.raises(ValueError, match="no probability"):
            lazy.compute()
        # what is not used may be anything
        masked = xf.retrieval(mu, 0.1, mu != 0.5)
        assert np.isfinite(xf.fuse(good, masked, rule="log_odds", prior=0.2).mu).all()
    rounded = xf.retrieval(np.array([[1 + 2e-7, -2e-7]]), 0.1)
    assert np.isfinite(xf.fuse(good, rounded, rule="log_odds", prior=0.2).mu).all()
