"""Scores of a quantity against scoringrules, scipy and plain numpy."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests import score_oracle
from tests.fuzzing import on
from tests.test_assess import GRIDS, area

GRID = GRIDS["degrees"]


def soil_moisture(seed: int = 0, dtype: str = "float64") -> tuple[xr.Dataset, xr.DataArray]:
    rng = np.random.default_rng(seed)
    shape = GRID.shape.yx
    truth = rng.gamma(4, 5, shape)
    sigma = rng.gamma(3, 1, shape)
    mu = truth + 0.5 + 1.3 * sigma * rng.standard_normal(shape)
    mask = (rng.random(shape) < 0.3).astype(np.uint8)
    mu[rng.random(shape) < 0.03] = np.nan
    sigma[rng.random(shape) < 0.03] = -1
    truth[rng.random(shape) < 0.1] = np.nan
    arrays = [on(GRID, a.astype(dtype)) for a in (mu, sigma)]
    retrieval = xf.retrieval(arrays[0], arrays[1], on(GRID, mask))
    retrieval.mu.attrs["units"] = retrieval.sigma.attrs["units"] = "percent"
    return retrieval, on(GRID, truth.astype(dtype)).assign_attrs(units="percent")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weights", ["area", "equal"])
def test_scores_are_those_of_scoringrules_and_scipy(dtype: str, weights: Any) -> None:
    retrieval, reference = soil_moisture(dtype=dtype)
    scores = xf.assess(retrieval, reference, weights=weights)
    mu, sigma, truth = (a.values for a in (retrieval.mu, retrieval.sigma, reference))
    known = np.isfinite(mu) & np.isfinite(truth)
    usable = known & (sigma >= 0) & (retrieval["mask"].values == 0)
    weight = area(GRID) if weights == "area" else np.ones(mu.shape)
    for pixels, here in (("all", known), ("usable", usable)):
        expected = score_oracle.continuous(mu[here], sigma[here], truth[here], weight[here])
        some = scores.sel(pixels=pixels)
        for name, value in expected.items():
            np.testing.assert_allclose(some[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
        assert int(some["count"]) == here.sum()
        assert int(some.unscored) == (np.isfinite(truth) & ~here).sum()
    assert scores.level.values.tolist() == [0.5, 0.68, 0.9, 0.95]
    assert scores.rmse.attrs["units"] == "percent"
    assert scores.z2.attrs["units"] == "1"


def test_a_pixel_whose_sigma_is_broken_is_scored_among_all_by_its_mu() -> None:
    nan, mu = np.nan, np.array([[1.0, 2.0, 10.0]])
    for broken in (nan, np.inf, -1.0):
        seen = xf.retrieval(mu, np.array([[0.5, 0.5, broken]]))
        truth = seen.mu.copy(data=[[1.0, 2.0, 0.0]])
        scores = xf.assess(seen, truth, kind="continuous")
        assert scores["count"].values.tolist() == [3, 2]
        assert scores.unscored.values.tolist() == [0, 1]
        np.testing.assert_allclose(scores.rmse, [np.sqrt(100 / 3), 0])
        np.testing.assert_allclose(scores.mae, [10 / 3, 0])
        np.testing.assert_allclose(scores.bias, [10 / 3, 0])
        for name in ("crps", "z2", "coverage", "pit"):
            np.testing.assert_array_equal(*scores[name].transpose("pixels", ...))
        assert np.isfinite(scores.z2).all()
        # as of wet and dry
        wet = xf.assess(seen.assign(mu=seen.mu / 10), truth * 0, kind="binary")
        assert wet["count"].values.tolist() == [3, 2]


def test_sigmas_that_are_right_have_a_flat_histogram_and_their_coverage() -> None:
    rng = np.random.default_rng(3)
    shape = (300, 400)
    truth, sigma = rng.normal(size=shape), rng.uniform(0.1, 3, shape)
    retrieval = xf.retrieval(truth + sigma * rng.standard_normal(shape), sigma)
    scores = xf.assess(retrieval, retrieval.mu.copy(data=truth)).sel(pixels="all")
    spread = 4 / np.sqrt(truth.size)
    np.testing.assert_allclose(scores.pit, 0.05, atol=0.22 * spread)
    np.testing.assert_allclose(scores.coverage, scores.level, atol=0.5 * spread)
    np.testing.assert_allclose(scores.z2, 1, atol=np.sqrt(2) * spread)


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1.0, 1e8, 1e30])
def test_numbers_of_any_size_are_summed(scale: float) -> None:
    retrieval, reference = soil_moisture()
    large = xf.retrieval(retrieval.mu * scale, retrieval.sigma * scale, retrieval["mask"])
    scores = xf.assess(large, reference * scale, sigma_floor=0).sel(pixels="usable")
    expected = xf.assess(retrieval, reference, sigma_floor=0).sel(pixels="usable")
    for name in ("bias", "rmse", "mae", "crps"):
        np.testing.assert_allclose(scores[name], expected[name] * scale, rtol=1e-9)
    np.testing.assert_allclose(scores.z2, expected.z2, rtol=1e-9)


def test_a_sigma_of_zero_is_raised_to_the_floor() -> None:
    sure = xf.retrieval(np.array([[1.0, 2.0]]), 0.0)
    truth = sure.mu.copy(data=[[1.0, 2.5]])
    scores = xf.assess(sure, truth, kind="continuous", sigma_floor=0.1).sel(pixels="all")
    np.testing.assert_allclose(scores.z2, 12.5)
    at_zero, far = 2 / np.sqrt(2 * np.pi) - np.pi**-0.5, 5 - np.pi**-0.5
    np.testing.assert_allclose(scores.crps, 0.1 * (at_zero + far) / 2, rtol=1e-6)
    without = xf.assess(sure, truth, kind="continuous", sigma_floor=0).sel(pixels="all")
    assert np.isposinf(without.z2)


def test_units_are_converted_and_those_that_cannot_be_are_refused() -> None:
    pytest.importorskip("pint_xarray")
    retrieval, reference = soil_moisture()
    metres = retrieval.assign(
        mu=retrieval.mu.assign_attrs(units="m"), sigma=retrieval.sigma.assign_attrs(units="m")
    )
    expected = xf.assess(metres, reference.assign_attrs(units="m"))
    scores = xf.assess(metres, (reference * 100).assign_attrs(units="cm"))
    xr.testing.assert_allclose(scores, expected, rtol=1e-9)
    with pytest.raises(ValueError, match="'s', mu in 'm'"):
        xf.assess(metres, reference.assign_attrs(units="s"))


@pytest.mark.parametrize("lacking", ["mu", "reference"])
def test_units_of_one_alone_are_no_units_of_both(lacking: str) -> None:
    retrieval, reference = soil_moisture()
    with_units = reference.assign_attrs(units="percent")
    if lacking == "mu":
        retrieval = xf.retrieval(*(retrieval[v].drop_attrs(deep=False) for v in ("mu", "sigma")))
    else:
        with_units = reference.drop_attrs(deep=False)
    calls: list[Any] = [
        lambda: xf.assess(retrieval, with_units),
        lambda: xf.calibrate(retrieval, with_units, method="sigma"),
        lambda: xf.error_correlation(retrieval, with_units),
        lambda: xf.estimate_correlation(retrieval, retrieval, reference=with_units),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=rf"{lacking}\.attrs\['units'\] = 'percent'"):
            call()


@pytest.mark.parametrize("units", ["1", "", None])
def test_a_share_needs_no_units_on_either_side(units: str | None) -> None:
    rng = np.random.default_rng(0)
    share = on(GRID, rng.random(GRID.shape.yx))
    attrs = {} if units is None else {"units": units}
    retrieval = xf.retrieval(share.assign_attrs(attrs), 0.1)
    truth = on(GRID, rng.random(GRID.shape.yx))
    for reference in (truth, truth.assign_attrs(units="1")):
        assert float(xf.assess(retrieval, reference, kind="continuous").rmse[0]) > 0
        xf.error_correlation(retrieval, reference)


def test_a_declared_nodata_is_not_scored() -> None:
    retrieval, reference = soil_moisture()
    declared = reference.fillna(-9999).assign_attrs(nodata=-9999)
    xr.testing.assert_equal(xf.assess(retrieval, declared), xf.assess(retrieval, reference))
    whole = declared.round().astype(np.int16).assign_attrs(nodata=-9999)
    scores = xf.assess(retrieval, whole, kind="continuous")
    expected = xf.assess(retrieval, reference.round(), kind="continuous")
    xr.testing.assert_equal(scores, expected)


def test_of_a_quantity_no_pixel_is_wet() -> None:
    retrieval, reference = soil_moisture()
    with pytest.raises(ValueError, match="excluded='wet'"):
        xf.assess(retrieval, reference, excluded="wet")
