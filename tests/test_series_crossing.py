"""When a series first rises above a threshold, and for how long it is above."""

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests.test_series import cube, days_of, made_up


def test_onset_and_duration_are_those_of_straight_lines_between_the_times() -> None:
    rng = np.random.default_rng(5)
    days = np.cumsum(rng.uniform(0.5, 5, 12))
    mu = rng.random((12, 4, 5))
    mu[rng.random(mu.shape) < 0.3] = np.nan
    states = cube(days, mu, mu * 0 + 0.1)
    onset, duration = states.fusion.onset(0.6), states.fusion.duration(0.6)
    fine = np.arange(days[0], days[-1], 1e-3)
    for y, x in np.ndindex(4, 5):
        known = np.isfinite(mu[:, y, x])
        curve = np.interp(fine, days[known], mu[known, y, x])
        inside = (fine >= days[known][0]) & (fine <= days[known][-1])
        above = (curve > 0.6) & inside
        assert float(duration[y, x]) == pytest.approx(above.sum() * 1e-3, abs=0.02)
        rises = np.flatnonzero(above[1:] & ~above[:-1] & inside[:-1])
        if rises.size:
            assert days_of(onset.values[y, x]) == pytest.approx(fine[rises[0]], abs=0.01)
        else:
            assert np.isnat(onset.values[y, x])


def test_onset_and_duration_do_not_see_what_is_excluded() -> None:
    mu = np.array([[0.1, 0.9, 0.1, 0.1], [0.1, 0.9, 0.9, 0.9], [0.1, 0.3, 0.9, 0.9]])
    excluded = np.array([[0, 1, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]], bool)
    arrays = [v.T[:, None, :] for v in (mu, excluded)]
    states = cube([0, 1, 2, 3], arrays[0], np.full((4, 1, 3), 0.1))
    states = states.fusion.exclude(states.mu.copy(data=arrays[1]))
    onset, duration = states.fusion.onset(0.5), states.fusion.duration(0.5)
    np.testing.assert_array_equal(np.isnat(onset.values[0]), [True, True, False])
    np.testing.assert_array_equal(duration.values[0], [0.0, np.nan, 2.0])
    assert days_of(onset.values[0, 2]) == pytest.approx(1.0)  # as from .1 on day 0 to .9 on day 2
    gone = states.assign(mu=states.mu.where(states.fusion.usable)).drop_vars("mask")
    lazy = states.chunk({"time": 1, "x": 2})
    for name, found in (("onset", onset), ("duration", duration)):
        xr.testing.assert_identical(getattr(gone.fusion, name)(0.5), found)
        xr.testing.assert_identical(getattr(lazy.fusion, name)(0.5).compute(), found)
        seen = getattr(states.fusion, name)(0.5, use_mask=False)
        xr.testing.assert_identical(seen, getattr(states.drop_vars("mask").fusion, name)(0.5))
    assert float(states.fusion.duration(0.5, use_mask=False)[0, 0]) == pytest.approx(1.0)


def test_the_threshold_that_is_recorded_is_in_units_of_mu() -> None:
    pint = pytest.importorskip("pint")
    level = np.array([0.0, 1.0])[:, None, None]
    states = cube([0, 1], level, level * 0 + 0.1)
    states["mu"].attrs["units"] = states["sigma"].attrs["units"] = "m"
    half = pint.Quantity(50, "cm")
    for name in ("onset", "duration"):
        assert getattr(xf, name)(states, half).attrs["threshold"] == pytest.approx(0.5)


def test_onset_and_duration_are_the_same_lazily_and_in_any_order() -> None:
    states = xf.smooth(*made_up(17, side=5), q=0.01, times="1D")
    shuffled = states.isel(time=np.random.default_rng(0).permutation(states.sizes["time"]))
    for name in ("onset", "duration"):
        eager = getattr(xf, name)(states, 0.5)
        lazy = getattr(xf, name)(shuffled.chunk({"time": 3, "y": 2, "x": 4}), 0.5)
        assert lazy.chunks is not None
        xr.testing.assert_identical(lazy.compute(), eager)
        with pytest.raises(ValueError, match="number"):
            getattr(xf, name)(states, np.nan)
        with pytest.raises(ValueError, match="dims"):
            getattr(xf, name)(states.isel(time=0), 0.5)
