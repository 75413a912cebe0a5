"""Filter and smoother against plain oracles, in any order, with gaps, lazily, and go on online."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings

import xfusion as xf
from tests.time_oracle import forward_backward, kalman

EPOCH = np.datetime64("2023-01-01", "ns")
DAY = np.timedelta64(1, "D")
NAMES = ["mu", "sigma", "mask", "source", "conflict", "age", "count"]
UNKNOWN = int(xf.Exclusion.UNKNOWN)


def moments(days: Any) -> Any:
    return EPOCH + (np.asarray(days, np.float64) * 86_400e9).astype("timedelta64[ns]")


def days_of(times: Any) -> Any:
    return (np.asarray(times) - EPOCH) / DAY


def cube(days: Any, mu: Any, sigma: Any, sensor: str = "a", dtype: Any = np.float64) -> xr.Dataset:
    coords = {"time": moments(days)}
    arrays = [xr.DataArray(np.asarray(v, dtype), coords, ("time", "y", "x")) for v in (mu, sigma)]
    return xf.retrieval(*arrays, sensor=sensor)


def made_up(seed: int, *, sensors: int = 2, dates: int = 7, side: int = 3, **kwargs: Any) -> Any:
    """Return cubes of probabilities with gaps, their dates apart and out of order."""
    rng = np.random.default_rng(seed)
    cubes: list[xr.Dataset] = []
    for name in "abcdefgh"[:sensors]:
        days = rng.permutation(np.arange(40))[:dates] + 0.1 * len(cubes)
        mu = rng.uniform(0.05, 0.95, (dates, side, side))
        mu[rng.random(mu.shape) < 0.4] = np.nan
        cubes.append(cube(days, mu, rng.uniform(0.05, 0.4, mu.shape), sensor=name, **kwargs))
    return cubes


def looks_of(cubes: list[xr.Dataset], y: int, x: int) -> Any:
    """Return days, mu and sigma of one pixel, in order."""
    pixel = [
        np.stack([days_of(c.time), c.mu.values[:, y, x], c.sigma.values[:, y, x]]) for c in cubes
    ]
    looks = np.concatenate(pixel, axis=1)
    return looks[:, np.argsort(looks[0])]


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), q=st.floats(0.0, 0.1), sensors=st.integers(1, 3))
def test_filter_and_smoother_of_a_random_walk_are_those_of_plain_numpy(
    seed: int, q: float, sensors: int
) -> None:
    cubes = made_up(seed, sensors=sensors)
    times = np.array([-3.0, 0.0, 5.5, 11.0, 38.0, 50.0])
    states = [f(*cubes, q=q, times=moments(times)) for f in (xf.filter, xf.smooth)]
    for y, x in np.ndindex(3, 3):
        days, mu, sigma = looks_of(cubes, y, x)
        expected = kalman(days, mu, sigma, times, q)
        found = [state[name].values[:, y, x] for state in states for name in ("mu", "sigma")]
        np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-9, atol=1e-12)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    up=st.floats(1e-3, 0.5),
    down=st.floats(1e-3, 0.5),
    prior=st.none() | st.floats(0.05, 0.9),
)
def test_filter_and_smoother_of_two_states_are_forward_and_backward_messages(
    seed: int, up: float, down: float, prior: float | None
) -> None:
    cubes = made_up(seed)
    times = np.array([-3.0, 0.0, 5.5, 11.0, 38.0, 50.0])
    chosen: Any = {"model": "two_state", "rates": (up, down), "times": moments(times)}
    states = [f(*cubes, prior=prior, **chosen) for f in (xf.filter, xf.smooth)]
    base = up / (up + down) if prior is None else prior
    for y, x in np.ndindex(3, 3):
        days, mu, _ = looks_of(cubes, y, x)
        expected = np.array(forward_backward(days, mu, times, (up, down), base))
        found = np.array([state.mu.values[:, y, x] for state in states])
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
        sigma = np.array([state.sigma.values[:, y, x] for state in states])
        np.testing.assert_allclose(sigma, np.sqrt(found * (1 - found)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("how", [xf.filter, xf.smooth])
def test_the_order_of_dates_changes_nothing_and_that_of_sensors_their_bits_alone(how: Any) -> None:
    cubes = made_up(1)
    once = how(*cubes, q=0.01)
    ordered = how(*(c.sortby("time") for c in cubes), q=0.01)
    xr.testing.assert_identical(ordered, once)
    turned = how(*cubes[::-1], q=0.01)
    xr.testing.assert_equal(turned.drop_vars("source"), once.drop_vars("source"))
    bits = once.source.values
    np.testing.assert_array_equal(turned.source.values, (bits & 1) << 1 | (bits >> 1))


def test_sensors_at_one_time_are_fused_as_gaussian_does() -> None:
    a, b = (c.sortby("time").assign_coords(time=moments(np.arange(7))) for c in made_up(2))
    state = xf.filter(a, b, q=0.01, correlation=0.5)
    fused = a.fusion.gaussian(b, correlation=0.5)
    alone = xf.filter(fused.drop_vars("source"), q=0.01)
    xr.testing.assert_equal(state[["mu", "sigma", "age"]], alone[["mu", "sigma", "age"]])
    contributed = fused.source.values
    np.testing.assert_array_equal(state.source.values, contributed)
    expected = np.cumsum(np.bitwise_count(contributed), axis=0)
    np.testing.assert_array_equal(state["count"].values, expected)


def test_two_looks_of_one_sensor_at_one_time_are_not_taken_as_one_by_a_matrix() -> None:
    a, again = (cube([1], [[[mu]]], [[[0.1]]]) for mu in (0.2, 0.6))
    b = cube([1], [[[0.3]]], [[[0.1]]], sensor="b")
    with pytest.raises(ValueError, match="two looks of 'a' at 2023-01-02"):
        xf.filter(a, again, b, q=0.1, correlation=[[1, 0.3], [0.3, 1]])
    np.testing.assert_allclose(xf.filter(a, again, q=0.1).mu, [[[0.4]]])


def test_a_matrix_of_correlations_is_that_of_the_sensors_there_are() -> None:
    a, b, c = made_up(3, sensors=3)
    a, b = a.fillna(0.5), b.assign_coords(time=b.time + 100 * DAY)
    c = c.fillna(0.5).assign_coords(time=a.time.values)
    matrix = np.array([[1, 0.1, 0.6], [0.1, 1, 0.2], [0.6, 0.2, 1]])
    state = xf.filter(a, b, c, q=0.01, correlation=matrix)
    fused = a.fusion.gaussian(c, correlation=0.6).sortby("time")
    here = state.sel(time=fused.time)
    first = (here.source == 5) & (here["count"] == 2)
    assert bool(first.any())
    both = [ds.mu.where(first).values for ds in (here, fused)]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-12)


@pytest.mark.parametrize("how", [xf.filter, xf.smooth])
@pytest.mark.parametrize("model", ["random_walk", "two_state"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lazy_is_eager_bit_for_bit_for_any_blocks(how: Any, model: str, dtype: Any) -> None:
    cubes = made_up(4, side=6, dtype=dtype)
    cubes[1] = cubes[1].fusion.exclude(cubes[1].mu > 0.8)
    told: dict[str, Any] = {"q": 0.01} if model == "random_walk" else {"rates": (0.01, 0.05)}
    eager = how(*cubes, model=model, times="3D", **told)
    chunks: list[dict[str, int]] = [{"time": 2, "y": 4, "x": 5}, {"time": 7, "y": 1, "x": 6}]
    lazy = how(
        *(c.chunk(n) for c, n in zip(cubes, chunks, strict=True)), model=model, times="3D", **told
    )
    assert all(lazy[name].chunks is not None for name in NAMES)
    xr.testing.assert_identical(lazy.compute(), eager)
    assert eager.mu.dtype == lazy.mu.dtype == dtype


def test_the_graph_grows_with_blocks_and_not_with_times() -> None:
    def tasks(dates: int, block: int) -> int:
        lazy = [c.chunk({"y": block, "x": block}) for c in made_up(5, dates=dates, side=8)]
        return len(xf.smooth(*lazy, q=0.01).__dask_graph__())

    assert tasks(20, 4) == tasks(5, 4)
    assert tasks(5, 2) < 4.5 * tasks(5, 4)


def test_a_pixel_is_nothing_before_its_first_look_but_for_the_smoother() -> None:
    mu = np.full((3, 1, 2), 0.4)
    mu[:, 0, 1] = mu[0] = np.nan
    given = cube([0, 2, 5], mu, np.full_like(mu, 0.1))
    state, smoothed = xf.filter(given, q=0.01), xf.smooth(given, q=0.01)
    np.testing.assert_array_equal(
        state["mask"].values[:, 0], [[UNKNOWN] * 2, [0, UNKNOWN], [0, UNKNOWN]]
    )
    np.testing.assert_array_equal(np.isnan(state.mu.values), state["mask"].values > 0)
    np.testing.assert_array_equal(np.isnan(state.sigma.values), state["mask"].values > 0)
    np.testing.assert_array_equal(smoothed["mask"].values[:, 0], [[0, UNKNOWN]] * 3)
    # two days before the first look it is less sure
    expected = np.sqrt(smoothed.sigma.values[1, 0, 0] ** 2 + 0.02)
    assert smoothed.sigma.values[0, 0, 0] == pytest.approx(expected)
    np.testing.assert_array_equal(state["count"].values[:, 0, 0], [0, 1, 2])
    np.testing.assert_array_equal(smoothed["count"].values[:, 0], [[2, 0]] * 3)
    np.testing.assert_array_equal(state.age.values[:, 0, 0], [np.nan, 0, 0])


def test_age_is_the_days_since_any_sensor_saw_the_pixel() -> None:
    mu = np.array([0.4, np.nan, 0.4]).reshape(3, 1, 1)
    given = cube([0, 2, 5], mu, np.full_like(mu, 0.1))
    state = xf.filter(given, q=0.01, times=moments([0, 1, 2, 3.5, 5, 7]))
    np.testing.assert_array_equal(state.age.values.ravel(), [0, 1, 2, 3.5, 0, 2])
    np.testing.assert_array_equal(state.source.values.ravel(), [1, 0, 0, 0, 1, 0])


def test_masks_and_sigmas_have_the_rules_of_gaussian() -> None:
    given = made_up(6, sensors=1)[0]
    sigma = given.sigma.values.copy()
    sigma[0], sigma[1], sigma[2] = np.inf, -1.0, 0.0
    given = given.assign(sigma=(given.mu.dims, sigma)).fusion.exclude(given.mu > 0.7)
    assert not (xf.filter(given, q=0.01)["count"][-1] == (np.isfinite(given.mu)).sum("time")).all()
    usable = given.fusion.usable.sum("time")
    np.testing.assert_array_equal(xf.filter(given, q=0.01)["count"][-1], usable)
    without = xf.filter(given, q=0.01, use_mask=False)["count"][-1]
    sound = np.isfinite(given.mu) & np.isfinite(given.sigma) & (given.sigma >= 0)
    np.testing.assert_array_equal(without, sound.sum("time"))
    floored = xf.filter(given, q=0.01, nonfinite_sigma="floor", use_mask=False)["count"][-1]
    np.testing.assert_array_equal(floored, np.isfinite(given.mu).sum("time"))
    surest = xf.filter(given, q=0.0, sigma_floor=0.05).sigma
    assert float(surest.min()) >= 0.05 / np.sqrt(7)


@pytest.mark.parametrize("model", ["random_walk", "two_state"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cut", [1, 5, 12])
def test_going_on_from_a_state_is_filtering_it_all(model: Any, dtype: Any, cut: int) -> None:
    cubes = made_up(7, dtype=dtype)
    told: dict[str, Any] = {"q": 0.01} if model == "random_walk" else {"rates": (0.01, 0.05)}
    whole = xf.filter(*cubes, model=model, **told)
    dates = whole.time.values
    cubes = [c.sortby("time") for c in cubes]
    before = [c.sel(time=slice(None, dates[cut - 1])) for c in cubes]
    state = xf.filter(*(c for c in before if c.sizes["time"]), model=model, **told).isel(time=-1)
    for date in dates[cut:]:
        passes = [c.sel(time=date) for c in cubes if date in c.time.values]
        state = xf.update(state, *passes)
        xr.testing.assert_equal(state, whole.sel(time=date))
        assert state.mu.dtype == dtype
    assert state.time == dates[-1]


def test_going_on_with_several_dates_lazily_is_filtering_it_all() -> None:
    cubes = [c.sortby("time") for c in made_up(8, side=5)]
    whole = xf.filter(*cubes, q=0.01)
    cut = whole.time.values[6]
    state = xf.filter(*(c.sel(time=slice(None, cut)) for c in cubes), q=0.01)
    later = [c.sel(time=slice(cut + np.timedelta64(1, "h"), None)).chunk(2) for c in cubes]
    new = xf.update(state, *later)
    assert new.mu.chunks is not None
    new = new.compute()
    carried = f"{np.datetime64(cut, 's')}/{np.datetime64(whole.time.values[-1], 's')}"
    assert new.attrs.pop("series_carried") == carried
    xr.testing.assert_identical(new, whole.isel(time=-1))


def test_what_is_in_a_state_cannot_be_added_again() -> None:
    given = made_up(9, sensors=1)[0].sortby("time")
    state = xf.filter(given, q=0.01)
    with pytest.raises(ValueError, match=r"only what is later is new"):
        xf.update(state, given.isel(time=-1))
    with pytest.raises(ValueError, match="nothing new"):
        xf.update(state)


def test_a_state_that_was_made_with_a_map_asks_for_it() -> None:
    given = made_up(9, sensors=1)[0].sortby("time")
    q = xr.full_like(given.mu.isel(time=0, drop=True), 0.02)
    state = xf.filter(given.isel(time=slice(3)), q=q)
    with pytest.raises(ValueError, match="give q"):
        xf.update(state, given.isel(time=slice(3, None)))
    xr.testing.assert_equal(
        xf.update(state, given.isel(time=slice(3, None)), q=q),
        xf.filter(given, q=0.02).isel(time=-1),
    )


@pytest.mark.parametrize(
    ("before", "later", "kept"),
    [
        ({"rates": (0.02, 0.1), "prior": 0.3}, {"rates": (0.05, 0.2)}, {"prior": 0.3}),
        ({"rates": (0.02, 0.1), "prior": 0.3}, {"prior": 0.6}, {"rates": (0.02, 0.1)}),
        ({"q": 0.01, "prior": (0.4, 0.2)}, {"q": 0.03}, {"prior": (0.4, 0.2)}),
    ],
)
def test_a_parameter_that_is_not_given_again_is_that_of_the_state(
    before: Any, later: Any, kept: Any
) -> None:
    model: Any = "two_state" if "rates" in before else "random_walk"
    given = made_up(9, sensors=1)[0].sortby("time")
    state = xf.filter(given.isel(time=[0]), model=model, **before)
    found = xf.update(state, given.isel(time=slice(1, None)), **later)
    told = {**later, **kept}
    expected = xf.update(state, given.isel(time=slice(1, None)), model=model, **told)
    xr.testing.assert_identical(found, expected)
    for name, value in told.items():
        np.testing.assert_array_equal(found.attrs[f"series_{name}"], value)


def test_a_prior_of_a_map_is_asked_for_though_rates_are_given_anew() -> None:
    given = made_up(9, sensors=1)[0].sortby("time")
    prior = xr.full_like(given.mu.isel(time=0, drop=True), 0.3)
    told: dict[str, Any] = {"model": "two_state", "rates": (0.02, 0.1)}
    state = xf.filter(given.isel(time=slice(3)), prior=prior, **told)
    later = given.isel(time=slice(3, None))
    for rates in (None, (0.02, 0.1)):
        with pytest.raises(ValueError, match="prior of the state was a map.*give prior"):
            xf.update(state, later, rates=rates)
    xr.testing.assert_equal(
        xf.update(state, later, prior=prior), xf.filter(given, prior=0.3, **told).isel(time=-1)
    )


def test_a_prior_that_a_random_walk_has_behind_it_is_refused() -> None:
    given = made_up(9, sensors=1)[0].sortby("time")
    later = given.isel(time=slice(3, None))
    for prior in (None, (0.3, 0.2)):
        state = xf.filter(given.isel(time=slice(3)), q=0.01, prior=prior)
        with pytest.raises(ValueError, match=r"prior=\(0.5, 0.1\).*is in the state"):
            xf.update(state, later, prior=(0.5, 0.1))
    xr.testing.assert_equal(
        xf.update(state, later, prior=(0.3, 0.2)),
        xf.filter(given, q=0.01, prior=(0.3, 0.2)).isel(time=-1),
    )


def test_a_smoothed_state_that_holds_later_looks_is_not_carried_on(tmp_path: Any) -> None:
    given = made_up(9, sensors=1)[0].sortby("time")
    smoothed = xf.smooth(given.isel(time=slice(4)), q=0.01)
    later = given.isel(time=slice(4, None))
    expected = xf.filter(given, q=0.01).isel(time=-1)
    xf.to_zarr(smoothed, tmp_path / "s.zarr", progress=False)
    smoothed.to_netcdf(tmp_path / "s.nc")
    opened = [xr.open_zarr(tmp_path / "s.zarr"), xr.open_dataset(tmp_path / "s.nc")]
    for state in (smoothed, *opened):
        xr.testing.assert_equal(xf.update(state, later).compute(), expected)
        with pytest.raises(ValueError, match=r"count twice: take its last date"):
            xf.update(state.isel(time=1), later)
    early = xf.smooth(given.isel(time=slice(4)), q=0.01, times=given.time.values[:2])
    with pytest.raises(ValueError, match=r"count twice"):
        xf.update(early, later)


def test_sensors_without_a_name_are_not_taken_for_others() -> None:
    a, b = (c.sortby("time") for c in made_up(9))
    unnamed = a.drop_attrs(deep=False)
    later = b.isel(time=[-1]).assign_coords(time=moments([60.0]))
    state = xf.filter(a, q=0.01)
    with pytest.raises(ValueError, match=r"new retrieval 1 .*\.assign_attrs\(sensor='a'\)"):
        xf.update(state, later.drop_attrs(deep=False))
    with pytest.raises(ValueError, match=r"state\.assign_attrs\(sensor="):
        xf.update(unnamed, later, q=0.01)


def test_a_look_that_is_a_state_has_the_bit_of_its_sensor_whatever_it_is_called() -> None:
    look, later = (
        made_up(9, sensors=1)[0].sortby("time").assign_attrs(sensor="my sensor").isel(time=[n])
        for n in (0, 1)
    )
    found = xf.update(look, later, q=0.01)
    xr.testing.assert_equal(found, xf.filter(look, later, q=0.01).isel(time=-1))
    assert found.source.attrs["flag_meanings"] == "my_sensor"


def test_a_map_of_q_is_that_of_each_pixel() -> None:
    cubes = made_up(10)
    q = xr.DataArray(np.random.default_rng(0).uniform(0, 0.1, (3, 3)), dims=("y", "x"))
    states = xf.smooth(*cubes, q=q)
    lazy = xf.smooth(*cubes, q=q.chunk(2))
    xr.testing.assert_identical(lazy.compute(), states)
    for y, x in np.ndindex(3, 3):
        pixel = [c.isel(y=[y], x=[x]) for c in cubes]
        alone = xf.smooth(*pixel, q=float(q[y, x]))
        np.testing.assert_array_equal(states.mu.values[:, y, x], alone.mu.values[:, 0, 0])


def test_rates_are_any_pair_of_numbers_and_maps() -> None:
    cubes = made_up(10)
    told: dict[str, Any] = {"model": "two_state", "times": "5D"}
    expected = xf.filter(*cubes, rates=(0.02, 0.1), **told)
    up = xr.full_like(cubes[0].mu.isel(time=0, drop=True), 0.02)
    down = up * 5
    pairs: list[Any] = [
        [0.02, 0.1],
        np.array([0.02, 0.1]),
        np.array([0.02, 0.1], object),
        xr.DataArray([0.02, 0.1], dims="rate"),
        expected.attrs["series_rates"],
        (xr.DataArray(0.02), np.array(0.1)),
    ]
    for pair in pairs:
        xr.testing.assert_identical(xf.filter(*cubes, rates=pair, **told), expected)
    maps: list[Any] = [
        (up, 0.1),
        (0.02, down),
        [up, down],
        (up.chunk(2), 0.1),
        (0.02, down.chunk(1)),
    ]
    for pair in maps:
        found = xf.filter(*cubes, rates=pair, **told)
        assert found.attrs["series_rates"] == "map"
        xr.testing.assert_allclose(found.compute(), expected, rtol=1e-9)
    wrong: list[Any] = [
        0.1,
        (0.1,),
        np.array([0.1, 0.1, 0.1]),
        np.array(0.1),
        up,
        "fast",
        {0.1, 0.2},
    ]
    for pair in wrong:
        with pytest.raises(ValueError, match=r"give \(dry_to_wet, wet_to_dry\)") as error:
            xf.filter(*cubes, rates=pair, **told)
        assert len(str(error.value)) < 200


def test_maps_of_rates_are_computed_with_the_blocks_alone() -> None:
    da = pytest.importorskip("dask.array")
    read = []

    def counted(block: Any) -> Any:
        read.append(block.shape)
        return block

    given = made_up(10, sensors=1)[0].chunk(y=1)
    of_each = da.full((3, 3), 0.02, chunks=(1, 3)).map_blocks(counted, meta=np.empty((0, 0)))
    rate = xr.DataArray(of_each, dims=("y", "x"))
    broken = rate.where(xr.DataArray([True, False, True], dims="y"), -1.0)
    read.clear()
    for pair in ((rate, rate), (0.1, rate), [rate, 0.1], (broken, 0.1)):
        lazy = xf.filter(given, model="two_state", rates=pair)
    assert read == []
    lazy.isel(y=0).compute()
    with pytest.raises(ValueError, match=r"rates has the value -1.0: must be above 0"):
        lazy.compute()


def test_an_error_of_a_prior_does_not_hold_whole_maps() -> None:
    given = made_up(10, sensors=1)[0]
    maps = (given.mu.isel(time=0), given.sigma.isel(time=0))
    with pytest.raises(
        ValueError, match=r"prior=\(DataArray of \('y', 'x'\), .*give \(mu,"
    ) as error:
        xf.filter(given, q=0.1, prior=maps)
    assert len(str(error.value)) < 250


class Fading:
    """A random walk, written by a user."""

    q = 0.01

    def predict(self, mu: Any, sigma: Any, days: float) -> Any:
        return mu, np.sqrt(sigma**2 + self.q * days)

    def update(self, mu: Any, sigma: Any, seen: Any, seen_sigma: Any) -> Any:
        gain = sigma**2 / (sigma**2 + seen_sigma**2)
        return mu + gain * (seen - mu), seen_sigma * np.sqrt(gain)


class Reversible(Fading):
    def smooth(
        self, mu: Any, sigma: Any, days: float, next_mu: Any, next_sigma: Any, ahead: float
    ) -> Any:
        variance = sigma**2 + self.q * days
        predicted = variance + self.q * ahead
        gain = variance / predicted
        return mu + gain * (next_mu - mu), np.sqrt(variance + gain**2 * (next_sigma**2 - predicted))


class Hindcasting(Reversible):
    def hindcast(self, mu: Any, sigma: Any, days: float) -> Any:
        return self.predict(mu, sigma, days)


class Drying(Hindcasting):
    """Falls by .01 a day, so that it was higher before."""

    def predict(self, mu: Any, sigma: Any, days: float) -> Any:
        return mu - 0.01 * days, sigma

    def hindcast(self, mu: Any, sigma: Any, days: float) -> Any:
        return mu + 0.01 * days, sigma


def test_a_model_of_ones_own_is_carried_back_before_its_first_look_as_it_says_or_not_at_all() -> (
    None
):
    late = cube([10, 20], np.full((2, 1, 1), 0.5), np.full((2, 1, 1), 0.1))
    # the second pixel is seen on the second date only
    late = xr.concat([late, late.where(late.time > late.time[0])], "x", join="exact")
    times = moments([0, 10, 20])
    carried, kept = (xf.smooth(late, model=m, times=times) for m in (Drying(), Reversible()))
    np.testing.assert_allclose(carried.mu[0] - carried.mu[1], [[0.1, 0.1]], atol=1e-12)
    np.testing.assert_allclose(carried.mu[1, 0, 1], 0.6)
    assert not carried["mask"].any()
    np.testing.assert_array_equal(
        kept.mu.isnull()[:, 0], [[True, True], [False, True], [False] * 2]
    )
    np.testing.assert_array_equal(kept["mask"] == UNKNOWN, kept.mu.isnull())


def test_a_model_of_ones_own_does_what_the_same_model_of_ours_does() -> None:
    cubes = made_up(11)
    own = xf.filter(*cubes, model=Fading(), times="2D")
    ours = xf.filter(*cubes, q=0.01, times="2D")
    for name in NAMES:
        np.testing.assert_allclose(own[name], ours[name], rtol=1e-12)
    own, ours = (
        xf.smooth(*cubes, model=Hindcasting(), times="2D"),
        xf.smooth(*cubes, q=0.01, times="2D"),
    )
    for name in NAMES:
        np.testing.assert_allclose(own[name], ours[name], rtol=1e-9)
    with pytest.raises(TypeError, match="no method smooth"):
        xf.smooth(*cubes, model=Fading())
    new = cube([99], np.full((1, 3, 3), 0.5), np.full((1, 3, 3), 0.1))
    state = xf.filter(*cubes, model=Fading())
    with pytest.raises(ValueError, match="a model of one's own, .*Fading.*: give it, model="):
        xf.update(state, new)
    assert xf.update(state, new, model=Fading()).time == new.time[0]


def test_a_model_without_a_repr_is_recorded_by_its_name_and_alike_in_each_process() -> None:
    state = xf.filter(*made_up(11), model=Fading(), times="2D")
    assert state.attrs["series_model"] == "tests.test_series.Fading"


def test_what_is_known_before_the_first_look_counts() -> None:
    cubes = made_up(12)
    with_prior = xf.filter(*cubes, q=0.01, prior=(0.3, 0.2))
    first = with_prior.isel(time=0)
    a = next(c for c in cubes if with_prior.time.values[0] in c.time.values).sel(time=first.time)
    known = xf.retrieval(xr.full_like(a.mu, 0.3), xr.full_like(a.mu, 0.2), sensor="prior")
    np.testing.assert_allclose(first.mu, known.fusion.gaussian(a).mu, rtol=1e-12)
    assert int((first["mask"] > 0).sum()) == 0
    # as one more look on the first date of all
    start, times = days_of(with_prior.time)[0], np.array([-5.0, 3.0, 11.0, 50.0])
    at = [f(*cubes, q=0.01, prior=(0.3, 0.2), times=moments(times)) for f in (xf.filter, xf.smooth)]
    early = times < start
    assert early.any()
    for y, x in np.ndindex(3, 3):
        days, mu, sigma = (
            np.append(v, row)
            for v, row in zip((start, 0.3, 0.2), looks_of(cubes, y, x), strict=True)
        )
        expected = np.array(kalman(days, mu, sigma, times, 0.01))
        expected[0, early] = 0.3
        expected[1, early] = np.sqrt(0.2**2 + 0.01 * (start - times[early]))
        found = [state[name].values[:, y, x] for state in at for name in ("mu", "sigma")]
        np.testing.assert_allclose(np.array(found), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({}, "q is missing"),
        ({"q": -1.0}, "q=-1.0"),
        ({"q": np.nan}, "q=nan"),
        ({"q": "fast"}, "q='fast'"),
        ({"q": 0.1, "rates": (1, 1)}, "rates is given"),
        ({"model": "two_state"}, "rates is missing"),
        ({"model": "two_state", "rates": 0.1}, "dry_to_wet"),
        ({"model": "two_state", "rates": (0.1, 0.0)}, "above 0"),
        ({"model": "two_state", "rates": (0.1, 0.1), "prior": 1.0}, "prior=1.0"),
        ({"model": "walk", "q": 0.1}, "model='walk'"),
        ({"q": 0.1, "times": []}, "at least one time"),
        ({"q": 0.1, "times": ["2023-01-02", "2023-01-02"]}, "twice"),
        ({"q": 0.1, "times": "soon"}, "not a date"),
        ({"q": 0.1, "prior": 0.5}, r"\(mu, sigma\)"),
        ({"q": 0.1, "correlation": 2.0}, "correlation=2.0"),
        ({"q": 0.1, "sigma_floor": -1.0}, "sigma_floor"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(told: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        xf.filter(*made_up(13), **told)


def test_series_that_do_not_go_together_are_refused() -> None:
    a, b = made_up(14)
    with pytest.raises(ValueError, match=r"no coordinate 'time'"):
        xf.filter(a.isel(time=0, drop=True), q=0.1)
    with pytest.raises(ValueError, match="4 and 3 pixels"):
        xf.filter(a, made_up(14, side=4)[0], q=0.1)
    times = a.time.values.copy()
    times[2] = np.datetime64("NaT")
    undated = a.assign_coords(time=times)
    with pytest.raises(ValueError, match="missing at index 2"):
        xf.filter(undated, q=0.1)
    many = [made_up(k, sensors=1)[0].assign_attrs(sensor=f"s{k}") for k in range(9)]
    with pytest.raises(ValueError, match="9 sensors"):
        xf.filter(*many, q=0.1)
    percent = b.assign(
        mu=b.mu.assign_attrs(units="percent"), sigma=b.sigma.assign_attrs(units="percent")
    )
    with pytest.raises(ValueError, match="probabilities"):
        xf.filter(percent, model="two_state", rates=(0.1, 0.1))


@pytest.mark.parametrize("strange", [90.0, -0.2, 1.01])
def test_two_states_take_no_number_that_is_no_probability(strange: float) -> None:
    told: dict[str, Any] = {"model": "two_state", "rates": (0.1, 0.1)}
    given = cube([0, 1, 2], np.full((3, 2, 3), 0.4), np.full((3, 2, 3), 0.1))
    broken = given.copy(deep=True)
    broken["mu"][1, 1, 2] = strange
    error = rf"mu is {strange:g} somewhere, no probability from 0 to 1: divide percent by 100"
    calls: list[Any] = [
        lambda: xf.filter(broken, **told),
        lambda: xf.smooth(broken, **told),
        lambda: xf.smooth(broken, model="two_state", rates="ml"),
        # as a mean of two it would be one again
        lambda: xf.filter(broken, given.assign_attrs(sensor="b"), **told),
        lambda: xf.update(xf.filter(given.isel(time=[0]), **told), broken.isel(time=1), **told),
        lambda: xf.update(broken.isel(time=1), given.isel(time=2), **told),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=error):
            call()
    lazy = xf.filter(broken.chunk(y=1), **told)
    with pytest.raises(ValueError, match=error):
        lazy.compute()
    lazy.isel(y=0).compute()
    excluded = broken.fusion.exclude(broken.mu == strange)
    assert int(xf.filter(excluded, **told)["count"].isel(time=-1)[1, 2]) == 2
    xf.filter(broken, q=0.1)
    # rounding of float32
    given["mu"][1, 1, 2] = 1 + 1e-7
    assert float(xf.filter(given, **told).mu[1, 1, 2]) == pytest.approx(1.0)


def test_many_retrievals_of_one_time_each_are_a_series() -> None:
    given = made_up(15, sensors=1, dates=12)[0]
    scenes = [given.isel(time=k) for k in range(12)]
    xr.testing.assert_identical(xf.smooth(*scenes, q=0.01), xf.smooth(given, q=0.01))


def test_times_as_a_step_reach_from_the_first_date_to_the_last() -> None:
    given = cube([0.3, 2.2], np.ones((2, 1, 1)), np.ones((2, 1, 1)))
    daily = xf.filter(given, q=0.1, times="1D").time.values
    np.testing.assert_array_equal(daily, moments([0, 1, 2, 3]))
    assert xf.filter(given, q=0.1, times="2023-01-02").sizes["time"] == 1


def test_a_state_is_found_by_cf_and_survives_a_file(tmp_path: Any) -> None:
    state = xf.smooth(*made_up(16), q=0.01, times="5D")
    state.to_netcdf(tmp_path / "state.nc")
    again = xr.open_dataset(tmp_path / "state.nc", mask_and_scale=True, decode_timedelta=False)
    assert again.attrs["series_model"] == "random_walk"
    np.testing.assert_array_equal(again.age.values, state.age.values)
    assert again.mu.attrs["ancillary_variables"].split() == NAMES[1:]
    assert state.source.attrs["flag_meanings"] == "a b"


# Statistics


def walk(rng: Any, pixels: int, dates: int, q: float) -> tuple[xr.Dataset, list[xr.Dataset]]:
    """Return the truth and two sensors of a random walk, each seen on days of its own."""
    days = np.cumsum(rng.integers(1, 6, dates)).astype(float)
    steps = rng.normal(size=(dates, pixels)) * np.sqrt(q * np.diff(days, prepend=days[0]))[:, None]
    truth = np.cumsum(steps, axis=0)[:, None, :]
    cubes = []
    for name, which, s in (("a", slice(0, None, 2), 0.15), ("b", slice(1, None, 2), 0.08)):
        mu = truth[which] + s * rng.normal(size=truth[which].shape)
        mu[rng.random(mu.shape) < 0.3] = np.nan
        cubes.append(cube(days[which], mu, np.full_like(mu, s), sensor=name))
    return cube(days, truth, truth * 0 + 1), cubes


def test_sigma_of_filter_and_smoother_is_the_size_of_the_error_under_the_model() -> None:
    truth, cubes = walk(np.random.default_rng(0), 20_000, 20, 4e-4)
    for how in (xf.filter, xf.smooth):
        state = how(*cubes, q=4e-4)
        z2 = float((((state.mu - truth.mu) / state.sigma) ** 2).mean())
        assert z2 == pytest.approx(1.0, abs=0.02)


def chain(rng: Any, pixels: int, up: float, down: float) -> tuple[xr.DataArray, list[xr.Dataset]]:
    """Return the states of a Markov chain on each day, and two sensors of their probability."""
    share = up / (up + down)
    kept = np.exp(-(up + down))
    wet = [rng.random(pixels) < share]
    for _ in range(120):
        probability = share + (wet[-1] - share) * kept
        wet.append(rng.random(pixels) < probability)
    truth = np.array(wet)[:, None, :]
    cubes = []
    for name, which, s in (("a", slice(0, None, 6), 0.45), ("b", slice(2, None, 5), 0.30)):
        y = np.where(truth[which], 0.85, 0.1) + s * rng.normal(size=truth[which].shape)
        ratio = np.exp(((y - 0.1) ** 2 - (y - 0.85) ** 2) / (2 * s * s))
        mu = share * ratio / (share * ratio + 1 - share)
        mu[rng.random(mu.shape) < 0.3] = np.nan
        days = np.arange(121)[which]
        cubes.append(cube(days, mu, np.full_like(mu, 0.1), sensor=name))
    return xr.DataArray(truth, {"time": moments(np.arange(121))}, ("time", "y", "x")), cubes


def test_probabilities_are_those_of_the_states() -> None:
    truth, cubes = chain(np.random.default_rng(2), 20_000, 0.008, 0.04)
    for how in (xf.filter, xf.smooth):
        state = how(*cubes, model="two_state", rates=(0.008, 0.04))
        z2 = ((state.mu - truth.sel(time=state.time)) / state.sigma) ** 2
        # of pixels that are all but sure, one in a million that errs is most of the mean
        z2 = z2.where((state.mu > 0.1) & (state.mu < 0.9))
        assert float(z2.mean()) == pytest.approx(1.0, abs=0.02)


def flood(rng: Any, side: int) -> Any:
    """Return a flood of some weeks somewhere between day 40 and 160, wet .85 and dry .1."""
    days = np.arange(181)[:, None, None]
    begin, length = rng.integers(40, 120, (side, side)), rng.integers(10, 40, (side, side))
    wet = (days >= begin) & (days < begin + length)
    return wet, np.where(wet, 0.85, 0.1) + 0.02 * rng.normal(size=(1, side, side))


def season(rng: Any, side: int) -> Any:
    days = np.arange(181)[:, None, None]
    return 0.5 + 0.25 * np.sin(2 * np.pi * (days / 180 + rng.random((1, side, side))))


def wandering(rng: Any, side: int) -> Any:
    return 0.5 + np.cumsum(0.02 * rng.normal(size=(181, side, side)), axis=0)


def seen(rng: Any, truth: Any, sigmas: tuple[float, float] = (0.15, 0.08)) -> list[xr.Dataset]:
    cubes = []
    for name, days, s in zip(
        "ab", (np.arange(0, 181, 6), np.arange(2, 181, 5)), sigmas, strict=True
    ):
        mu = truth[days] + s * rng.normal(size=truth[days].shape)
        if name == "b":
            mu[rng.random(mu.shape) < 0.6] = np.nan
        cubes.append(cube(days, mu, np.full_like(mu, s), sensor=name))
    return cubes


@pytest.mark.parametrize(
    ("case", "at_most"), [("walk", 0.055), ("season", 0.050), ("flood", 0.105)]
)
def test_the_smoother_is_as_near_to_the_truth_as_its_model_allows(
    case: str, at_most: float
) -> None:
    rng = np.random.default_rng(3)
    truth = {"walk": wandering, "season": season, "flood": lambda *a: flood(*a)[1]}[case](rng, 40)
    state = xf.smooth(*seen(rng, truth), q="ml")
    known = truth[days_of(state.time).astype(int)]
    assert float(((state.mu - known) ** 2).mean() ** 0.5) <= at_most


def test_two_states_find_most_of_a_flood() -> None:
    rng = np.random.default_rng(4)
    wet, truth = flood(rng, 40)
    sigmas = (0.45, 0.30)
    cubes = []
    for s, raw in zip(sigmas, seen(rng, truth, sigmas), strict=True):
        odds = 0.14 / 0.86 * np.exp(((raw.mu - 0.1) ** 2 - (raw.mu - 0.85) ** 2) / (2 * s * s))
        cubes.append(raw.assign(mu=odds / (1 + odds)))
    state = xf.smooth(*cubes, model="two_state", rates="ml")
    found, known = state.mu.values > 0.5, wet[days_of(state.time).astype(int)]
    assert (found & known).sum() / (found | known).sum() >= 0.70


def test_products_and_accessors_carry_states_on() -> None:
    a, b = (xf.SensorProduct(dataset=c.sortby("time")) for c in made_up(18))
    state = a.filter(b, q=0.01)
    xr.testing.assert_identical(state.dataset, a.dataset.fusion.filter(b, q=0.01))
    later = made_up(18)[0].sortby("time").isel(time=[-1]).assign_coords(time=moments([60.0]))
    xr.testing.assert_identical(state.update(later).dataset, xf.update(state, later))
    assert state.smooth(q=0.01).mu.dims == ("time", "y", "x")


@pytest.mark.parametrize("how", [xf.filter, xf.smooth])
@pytest.mark.parametrize("model", [{"q": 1e-3}, {"model": "two_state", "rates": (0.01, 0.1)}])
def test_certain_looks_that_contradict_each_other_are_marked(how: Any, model: Any) -> None:
    def look(value: float, sigma: float, day: int, sensor: str) -> xr.Dataset:
        mu = xr.DataArray(np.array([[value, 0.4]]), dims=("y", "x"))
        return xf.retrieval(mu, mu * 0 + sigma, sensor=sensor, time=f"2023-06-{day:02}")

    wet, dry = look(1.0, 1e-9, 3, "a"), look(0.0, 1e-9, 3, "b")
    cubes = xf.stack([look(0.9, 0.1, 1, "a"), wet, look(0.9, 0.1, 8, "a")]), dry
    times = ["2023-06-01", "2023-06-03", "2023-06-05", "2023-06-08"]
    expected = [[False, False], [True, False], [True, False], [False, False]]
    found = how(*cubes, **model, times=times)
    assert found.conflict.dtype == bool
    assert found.conflict.to_numpy()[:, 0].tolist() == expected
    lazy = how(*(c.chunk(x=1) for c in cubes), **model, times=times)
    xr.testing.assert_identical(lazy.compute(), found)
    # what was fused before, and a state that is carried on
    fused = xf.gaussian(wet, dry).assign_coords(time=wet.time)
    again = how(xf.stack([cubes[0].isel(time=0), fused]), **model)
    assert again.conflict.to_numpy()[:, 0].tolist() == expected[:2]
    begun = xf.filter(cubes[0].isel(time=[0]), **model)
    state = xf.update(begun, wet, dry)
    assert state.conflict.to_numpy()[0].tolist() == [True, False]
    elsewhere = look(0.9, 0.1, 8, "a")
    elsewhere["mu"][0, 0] = np.nan
    assert xf.update(state, elsewhere).conflict.to_numpy()[0].tolist() == [True, False]
