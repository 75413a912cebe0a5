"""Calibrations: the maps, their scores, and what they are fitted to, against other libraries."""

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import dask.array as da
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import sklearn.isotonic
import sklearn.linear_model
import sklearn.metrics
import xarray as xr
from hypothesis import given, settings
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray
from scipy.special import expit, logit

import xfusion as xf
from tests.strategies import FLAGS, chunked
from xfusion.assessment.fitting import Method

SILENT = pytest.mark.filterwarnings("ignore:a calibration fitted to:UserWarning")
METHODS: tuple[Method, ...] = ("isotonic", "beta", "platt")


def on_grid(values: Any, **coords: Any) -> xr.DataArray:
    dims = ("time", "y", "x")[-np.ndim(values) :]
    return xr.DataArray(np.asarray(values), coords, dims=dims)


def distorted(
    rng: np.random.Generator, shape: tuple[int, ...] = (300, 300)
) -> tuple[xr.Dataset, xr.DataArray, xr.DataArray]:
    """A sensor that is too sure and too wet, the event, and its true probability."""
    true = expit(rng.normal(-1.0, 1.5, shape))
    mu = expit(2.0 * logit(true) + 1.0)
    event = rng.random(shape) < true
    # passes that differ by a tenth in the logarithm of the odds
    return xf.retrieval(mu, 0.1 * mu * (1 - mu), sensor="s"), on_grid(event), on_grid(true)


def halves(like: xr.DataArray) -> xr.DataArray:
    """Two scenes, side by side."""
    return (xr.zeros_like(like, int) + xr.DataArray(np.arange(like.sizes["x"]), dims="x")) % 2


@st.composite
def counted(draw: DrawFn) -> tuple[NDArray[Any], NDArray[Any]]:
    """Means of few values, as of passes of a network, and an event that is not always the same."""
    size = draw(st.integers(2, 60))
    mu = draw(hnp.arrays(float, size, elements=st.integers(0, 16).map(lambda k: k / 16)))
    event = draw(hnp.arrays(np.uint8, size, elements=st.integers(0, 1)))
    event[:2] = 0, 1
    return mu, event


# The maps


@SILENT
@given(counted())
def test_isotonic_is_that_of_scikit_learn_in_the_middle_of_each_pool(
    case: tuple[NDArray[Any], NDArray[Any]],
) -> None:
    mu, event = case
    model = xf.calibrate(xf.retrieval(mu[None], np.ones((1, mu.size))), on_grid(event[None]))
    fitted = sklearn.isotonic.IsotonicRegression().fit_transform(mu, event)
    pools = [np.isclose(fitted, level) for level in np.unique(np.round(fitted, 12))]
    expected = [(mu[p].mean(), fitted[p][0], int(p.sum())) for p in pools]
    if expected[0][1] == 0:
        mean, _, n = expected[0]
        expected[0] = (mean, 1 / (n + 2), n)
    if expected[-1][1] == 1:
        mean, _, n = expected[-1]
        expected[-1] = (mean, 1 - 1 / (n + 2), n)
    if (np.diff([p for _, p, _ in expected]) > 0).all():  # else further pools are one
        np.testing.assert_allclose(model.knots, expected, rtol=1e-7, atol=1e-9)
    assert sum(n for _, _, n in model.knots) == mu.size
    x, p, _ = np.array(model.knots).T
    assert (np.diff(x) > 0).all()
    assert (np.diff(p) > 0).all()
    assert p[0] > 0
    assert p[-1] < 1


@SILENT
@given(counted(), st.sampled_from(["beta", "platt"]))
def test_coefficients_are_those_of_a_logistic_regression_on_soft_targets(
    case: tuple[NDArray[Any], NDArray[Any]], method: Any
) -> None:
    mu, event = case
    retrieval = xf.retrieval(mu[None], np.ones((1, mu.size)))
    model = xf.calibrate(retrieval, on_grid(event[None]), method=method)
    near = np.clip(mu, 2.0**-24, 1 - 2.0**-24)
    wet, dry = event.sum(), (1 - event).sum()
    target = np.where(event, (wet + 1) / (wet + 2), 1 / (dry + 2))

    def loss(a: Any, b: Any, c: Any) -> Any:
        t = a * np.log(near) - b * np.log1p(-near) + c
        return (np.logaddexp(0, t) - target * t).sum()

    a, b, c = model.coefficients
    least = loss(a, b, c)
    for step in (-1e-3, 1e-3):
        others = [(a, b, c + step)]
        if method == "platt":
            others += [(a + step, b + step, c)] if a + step >= 0 else []
        else:
            others += [(a + step, b, c)] if a + step >= 0 else []
            others += [(a, b + step, c)] if b + step >= 0 else []
        assert all(loss(*other) >= least - 1e-9 for other in others)


@SILENT
@pytest.mark.parametrize("method", ["beta", "platt"])
def test_coefficients_of_many_pixels_are_those_of_scikit_learn(method: Any) -> None:
    retrieval, event, _ = distorted(np.random.default_rng(1), (100, 100))
    model = xf.calibrate(retrieval, event, method=method)
    mu, y = retrieval.mu.to_numpy().ravel(), event.to_numpy().ravel()
    columns = (
        logit(mu)[:, None] if method == "platt" else np.column_stack([np.log(mu), -np.log1p(-mu)])
    )
    plain = sklearn.linear_model.LogisticRegression(C=1e10, tol=1e-10, max_iter=1000)
    plain.fit(columns, y)
    expected = [*np.broadcast_to(plain.coef_[0], 2), plain.intercept_[0]]
    np.testing.assert_allclose(model.coefficients, expected, atol=0.01)


@SILENT
@pytest.mark.parametrize("method", METHODS)
def test_a_sensor_that_knows_nothing_says_the_base_rate(method: Any) -> None:
    rng = np.random.default_rng(2)
    event = on_grid(rng.random((200, 200)) < 0.3)
    wrong = xf.retrieval((0.4 - 0.2 * event).to_numpy(), np.full((200, 200), 0.1))
    model = xf.calibrate(wrong, event, method=method)  # it says less where it is wet
    mended = wrong.fusion.apply_calibration(model)
    np.testing.assert_allclose(mended.mu, float(event.mean()), atol=1e-3)


@SILENT
@pytest.mark.parametrize("method", METHODS)
def test_a_single_mean_becomes_the_base_rate(method: Any) -> None:
    event = on_grid(np.arange(100).reshape(10, 10) % 4 == 0)
    constant = xf.retrieval(np.full((10, 10), 0.6), np.full((10, 10), 0.1))
    model = xf.calibrate(constant, event, method=method)
    mended = constant.fusion.apply_calibration(model)
    np.testing.assert_allclose(mended.mu, 0.25, atol=0.01)  # but for the targets of Platt


@SILENT
@pytest.mark.parametrize("method", METHODS)
def test_classes_that_do_not_overlap_have_a_finite_loss(method: Any) -> None:
    event = on_grid(np.arange(100).reshape(10, 10) % 4 == 0)
    sure = xf.retrieval((event * 0.8 + 0.1).to_numpy(), np.full((10, 10), 0.0))
    model = xf.calibrate(sure, event, method=method)
    mu = sure.fusion.apply_calibration(model).mu
    assert float(mu.min()) > 0
    assert float(mu.max()) < 1
    assert model.after["log_loss"] < 0.05


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", METHODS)
def test_a_known_distortion_is_mended_on_pixels_that_were_not_seen(method: Any, dtype: str) -> None:
    rng = np.random.default_rng(3)
    seen, event, _ = distorted(rng, (600, 600))
    model = xf.calibrate(seen.astype(dtype), event, method=method, groups=halves(event))
    held, event, true = distorted(rng, (600, 600))
    mended = held.astype(dtype).fusion.apply_calibration(model)
    p, y = mended.mu.to_numpy().astype(float), event.to_numpy()
    bins = (p * 15).astype(int)
    apart = [abs((p - y)[bins == i].mean()) * (bins == i).mean() for i in np.unique(bins)]
    assert sum(apart) < 0.01
    assert model.before["ece"] > 0.05
    assert model.after["ece"] < 0.01
    assert model.left_out is not None
    assert model.left_out["ece"] < 0.01
    np.testing.assert_allclose(p, true, atol=0.04)
    variance = mended.sigma.to_numpy() ** 2 + p * (1 - p)  # as add_aleatoric has it
    assert np.mean((p - y) ** 2 / variance) == pytest.approx(1, abs=0.02)


def test_calibrated_sensors_are_fused_nearly_as_well_as_bayes_can() -> None:
    rng = np.random.default_rng(4)
    shape, rate = (500, 500), 0.2
    event = on_grid(rng.random(shape) < rate)

    def sensor(sharpness: float, power: float, shift: float) -> tuple[xr.Dataset, NDArray[Any]]:
        # normal evidence: its logarithm of the ratio of likelihoods is known
        evidence = rng.normal(np.where(event, sharpness, -sharpness) / 2, 1.0)
        ratio = sharpness * evidence
        mu = expit(power * (ratio + logit(rate)) + shift)
        return xf.retrieval(mu, 0.1 * mu * (1 - mu)), ratio

    (a, of_a), (b, of_b) = sensor(1.5, 2.0, 1.0), sensor(2.0, 0.5, -0.5)
    mended = [
        s.fusion.apply_calibration(xf.calibrate(s, event, groups=halves(event))) for s in (a, b)
    ]
    fused = xf.fuse(*mended, rule="log_odds", prior=rate).mu
    raw = xf.fuse(a, b, rule="log_odds", prior=rate).mu
    bayes = on_grid(expit(of_a + of_b + logit(rate)))

    def loss(p: xr.DataArray) -> float:
        return float(-np.log(xr.where(event, p, 1 - p)).mean())

    assert loss(fused) < 1.01 * loss(bayes)
    assert loss(raw) > 1.1 * loss(bayes)


# Its scores


@SILENT
@given(counted())
def test_scores_are_those_of_scikit_learn(case: tuple[NDArray[Any], NDArray[Any]]) -> None:
    mu, event = case
    model = xf.calibrate(xf.retrieval(mu[None], np.ones((1, mu.size))), on_grid(event[None]))
    near = np.clip(mu, 2.0**-24, 1 - 2.0**-24)
    bins = np.maximum(np.ceil(mu * 10).astype(int), 1) - 1
    expected = {
        "brier": sklearn.metrics.brier_score_loss(event, mu),
        "log_loss": sklearn.metrics.log_loss(event, near),
        "iou": sklearn.metrics.jaccard_score(event, mu > 0.5, zero_division=0),
        "z2": np.mean((event - mu) ** 2 / (near * (1 - near))),
        "ece": sum(abs((event - mu)[bins == i].sum()) for i in range(10)) / mu.size,
    }
    assert model.before == pytest.approx(expected, rel=1e-6, abs=1e-8)
    assert model.base_rate == pytest.approx(event.mean())
    assert model.count == mu.size


@SILENT
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_calibration_error_is_that_of_assess_also_at_the_edges_of_bins(dtype: str) -> None:
    rng = np.random.default_rng(3)
    for mu in (rng.integers(0, 21, (100, 100)) / 20, rng.random((200, 200))):
        event = on_grid(rng.random(mu.shape) < mu * (1 - mu) * 2)  # too low, then too high
        retrieval = xf.retrieval(mu.astype(dtype), np.full(mu.shape, 0.1, dtype))
        scores = xf.assess(retrieval, event)
        assert scores.attrs["calibration_bins"] == 10
        found = xf.calibrate(retrieval, event).before["ece"]
        assert found == pytest.approx(float(scores.ece.sel(pixels="all")), rel=1e-3)


def test_a_group_that_is_left_out_is_scored_by_a_map_of_the_others() -> None:
    rng = np.random.default_rng(5)
    retrieval, event, _ = distorted(rng, (40, 60))
    scene = on_grid(np.repeat(rng.choice(["a", "b", "c"], 20), 3) + np.full((40, 1), ""))
    model = xf.calibrate(retrieval, event, groups=scene)
    assert {*model.groups} == {"a", "b", "c"}
    squares = []
    for name in "abc":
        with pytest.warns(UserWarning, match="nothing is known of other scenes"):
            others = xf.calibrate(retrieval, event.where(scene != name))
        p = retrieval.fusion.apply_calibration(others).mu
        squares.append(((p - event) ** 2).where(scene == name))
    expected = float(xr.concat(squares, "group").mean())
    assert model.left_out is not None
    assert model.left_out["brier"] == pytest.approx(expected, rel=0.01)  # by bins
    assert model.rms == model.left_out["brier"] ** 0.5
    assert model.left_out["log_loss"] > model.after["log_loss"]


@pytest.mark.parametrize("groups", [None, "one"])
def test_with_fewer_than_two_groups_nothing_is_known_of_other_scenes(groups: str | None) -> None:
    retrieval, event, _ = distorted(np.random.default_rng(6), (20, 20))
    scene = None if groups is None else xr.full_like(event, 7, dtype=int)
    with pytest.warns(UserWarning, match="nothing is known of other scenes; give groups="):
        model = xf.calibrate(retrieval, event, groups=scene)
    assert model.groups == (() if groups is None else (7,))
    assert model.left_out is None


# Groups


def series() -> tuple[xr.Dataset, xr.DataArray]:
    rng = np.random.default_rng(7)
    retrieval, event, _ = distorted(rng, (4, 30, 30))
    days = pd.date_range("2023-06-01", periods=4)
    return retrieval.assign_coords(time=days), event.assign_coords(time=days)


def test_groups_are_told_in_any_of_the_ways_there_are() -> None:
    cube, event = series()
    days = ("2023-06-01T00:00:00", "2023-06-02T00:00:00", "2023-06-03T00:00:00")
    by_dim = xf.calibrate(cube, event, groups="time")
    assert by_dim.groups == (*days, "2023-06-04T00:00:00")
    by_label = xf.calibrate(cube, event, groups=event.time.dt.day)
    assert by_label.groups == (1, 2, 3, 4)
    assert by_label.left_out == by_dim.left_out
    on_pixels = event.time.dt.day.broadcast_like(event)
    assert xf.calibrate(cube, event, groups=on_pixels) == by_label
    assert xf.calibrate(cube, event, groups=on_pixels.chunk(time=1, y=7)) == by_label
    named = xr.DataArray(["dry", "wet", "wet", None], {"time": cube.time}, ["time"])
    by_name = xf.calibrate(cube, event, groups=named)
    assert by_name.groups == ("dry", "wet")
    assert by_name.count == event[:3].size  # pixels of no group are left out
    nodata = event.time.dt.day.assign_attrs(_FillValue=2)
    assert xf.calibrate(cube, event, groups=nodata).groups == (1, 3, 4)


def test_a_map_of_all_times_is_the_reference_and_the_groups_of_each() -> None:
    cube, event = series()
    first, scene = event[0].drop_vars("time"), halves(event[0]).drop_vars("time")
    model = xf.calibrate(cube, first, groups=scene)
    each = xf.calibrate(cube, first.broadcast_like(event), groups=scene.broadcast_like(event))
    assert model == each
    lazy = xf.calibrate(cube.chunk(time=1, x=11), first, groups=scene.chunk(y=4))
    assert lazy == model


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ("y", "groups='y' is no dim of mu that has scenes: it has ..time"),
        ("day", "groups='day' is no dim"),
        (xr.DataArray(np.zeros((3, 3), int), dims=("y", "x")), "groups and the retrieval are not"),
        (xr.DataArray([0.5, 1, 2, 3], dims="time"), "groups has 0.5: give integers or strings"),
        (xr.DataArray([0, 1], dims="band"), "groups has the dims .'band',., mu has"),
        (xr.DataArray(np.zeros(4, complex), dims="time"), "groups are of complex128"),
        (xr.DataArray(da.from_array(["a"] * 4), dims="time"), "call groups.compute()"),
    ],
)
def test_groups_that_lie_elsewhere_or_are_none_are_refused(groups: Any, said: str) -> None:
    cube, event = series()
    with pytest.raises(ValueError, match=said):
        xf.calibrate(cube.drop_vars("time"), event.drop_vars("time"), groups=groups)
    with pytest.raises(TypeError, match="groups is a ndarray, not a DataArray: it needs a place"):
        xf.calibrate(cube, event, groups=np.zeros(4))  # type: ignore[arg-type]  # what is refused


def test_a_group_for_each_pixel_is_told_before_it_fills_the_memory() -> None:
    retrieval, event, _ = distorted(np.random.default_rng(8), (100, 100))
    with pytest.raises(ValueError, match="groups has 10000 labels in one block of 10000 pixels"):
        xf.calibrate(retrieval, event, groups=on_grid(np.arange(10000).reshape(100, 100)))


# Blocks


@st.composite
def soiled(draw: DrawFn) -> tuple[xr.Dataset, xr.DataArray, xr.DataArray]:
    """A retrieval with all that a pixel can be, its reference and its groups."""
    shape = draw(st.tuples(st.integers(2, 8), st.integers(3, 8)))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    usual = st.floats(0, 1, width=32)
    means = st.one_of(usual, usual, st.sampled_from([np.nan, np.inf, 0.0, 1.0, 0.5]))
    sigmas = st.sampled_from([0.0, 0.1, 0.3, 0.1, np.nan, -1.0, np.inf])
    mu = draw(hnp.arrays(dtype, shape, elements=means, fill=st.nothing()))
    sigma = draw(hnp.arrays(dtype, shape, elements=sigmas, fill=st.nothing()))
    mask = draw(st.none() | hnp.arrays(np.uint8, shape, elements=st.sampled_from(FLAGS)))
    event = draw(hnp.arrays("float32", shape, elements=st.sampled_from([0, 1, np.nan])))
    group = draw(hnp.arrays("int16", shape, elements=st.integers(-1, 2)))
    mu[0, :2], sigma[0, :2], event[0, :2], group[0, :2] = 0.4, 0.1, (0, 1), (0, 1)
    if mask is not None:
        mask[0, :2] = 0
    return xf.retrieval(mu, sigma, mask), on_grid(event), on_grid(group)


@settings(max_examples=20)
@given(soiled(), st.data())
def test_a_calibration_is_the_same_for_any_blocks(
    case: tuple[xr.Dataset, xr.DataArray, xr.DataArray], data: st.DataObject
) -> None:
    retrieval, event, group = case
    expected = xf.calibrate(retrieval, event, groups=group)
    known = retrieval.fusion.usable & np.isfinite(event)
    assert expected.count == int(known.sum())
    assert expected.base_rate == pytest.approx(float(event.where(known).mean()))
    blocks = data.draw(chunked(retrieval))
    reference = data.draw(chunked(event.to_dataset(name="e"))).e
    assert xf.calibrate(blocks, event, groups=group) == expected
    assert xf.calibrate(retrieval, reference, groups=group) == expected
    assert xf.calibrate(blocks, reference, groups=group.chunk(y=1)) == expected
    if data.draw(st.booleans()):
        assert xf.calibrate(blocks.assign(sigma=retrieval.sigma), event, groups=group) == expected


def test_each_block_is_read_once() -> None:
    retrieval, event, _ = distorted(np.random.default_rng(9), (40, 40))
    read: list[int] = []

    def noted(block: NDArray[Any]) -> NDArray[Any]:
        read.append(block.size)
        return block

    lazy = retrieval.chunk(y=10, x=10)
    lazy["mu"] = lazy.mu.copy(
        data=lazy.mu.data.map_blocks(noted, dtype=float, meta=np.empty((0, 0)))
    )
    xf.calibrate(lazy, event, groups=halves(event))
    assert read == [100] * 16


# What is refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mu": 1.5}, "mu is 1.5 somewhere, no probability"),
        ({"mu": -0.1}, "mu is -0.1 somewhere, no probability"),
        ({"reference": -1}, "the reference is -1 somewhere, not 0 for dry, 1 for wet or NaN"),
        ({"reference": 0.3}, "the reference is 0.3 somewhere"),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_number_that_is_no_probability_or_event_is_named(
    change: dict[str, float], said: str, lazy: bool
) -> None:
    retrieval, event, _ = distorted(np.random.default_rng(10), (20, 20))
    event = event.astype(float)
    if "mu" in change:
        retrieval.mu[3, 4] = change["mu"]
    else:
        event[3, 4] = change["reference"]
    asked = retrieval.chunk(y=7) if lazy else retrieval
    with pytest.raises(ValueError, match=said):
        xf.calibrate(asked, event)
    # where it is not looked at it does no harm
    excluded = retrieval.fusion.exclude(on_grid(np.arange(400).reshape(20, 20) == 64))
    scene = halves(event)
    if "mu" in change:
        assert xf.calibrate(excluded, event, groups=scene).count == 399


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "spline"}, "method='spline' is none of isotonic, beta, platt, sigma"),
        ({"units": "%"}, "mu is in '%', calibrate takes probabilities from 0 to 1"),
        ({"reference": lambda e: e * 0}, "all of the 100 pixels of the reference are dry"),
        ({"reference": lambda e: e * 0 + 1}, "all of the 100 pixels of the reference are wet"),
        ({"reference": lambda e: e * np.nan}, "no usable pixel has a reference"),
        ({"reference": lambda e: e[:5]}, "reference and the retrieval are not on one grid"),
        ({"reference": lambda e: e.astype(str)}, "reference is of <U"),
        ({"mask": 1}, "no usable pixel has a reference"),
        ({"calibrated": True}, "the retrieval was calibrated before"),
        ({"method": "sigma"}, "'sigma' is for quantities, and the reference is 0 or 1"),
    ],
)
def test_what_cannot_be_calibrated_is_told_why(change: dict[str, Any], said: str) -> None:
    retrieval, event, _ = distorted(np.random.default_rng(11), (10, 10))
    event = event.astype(float)
    if "units" in change:
        retrieval.mu.attrs["units"] = change["units"]
    if "mask" in change:
        retrieval = retrieval.fusion.exclude(event >= 0)
    if "calibrated" in change:
        model = xf.calibrate(retrieval, event, groups=halves(event))
        retrieval = retrieval.fusion.apply_calibration(model)
    event = change.get("reference", lambda e: e)(event)
    with pytest.raises(ValueError, match=said):
        xf.calibrate(retrieval, event, method=change.get("method", "isotonic"))


def test_a_cube_without_times_has_no_pixel_to_calibrate_with() -> None:
    cube, event = series()
    for empty in (cube.isel(time=slice(0)), cube.isel(time=slice(0)).chunk(y=10)):
        with pytest.raises(ValueError, match="no usable pixel has a reference"):
            xf.calibrate(empty, event.isel(time=slice(0)), groups="time")


# As a record


@pytest.fixture(scope="module")
def models() -> dict[str, xf.Calibration]:
    retrieval, event, true = distorted(np.random.default_rng(12), (60, 60))
    found: dict[str, xf.Calibration] = {}
    found |= {m: xf.calibrate(retrieval, event, method=m, groups=halves(event)) for m in METHODS}
    retrieval.mu.attrs["units"] = "m"
    metres = true.assign_attrs(units="m")
    found["sigma"] = xf.calibrate(retrieval, metres, method="sigma", groups=halves(event))
    return found


def test_scores_of_a_calibration_cannot_be_changed_in_place(
    models: dict[str, xf.Calibration],
) -> None:
    given = dict(models["isotonic"].before)
    model = replace(models["isotonic"], before=given)
    said, key = repr(model), hash(model)
    for name in ("before", "after", "left_out"):
        scores: Any = getattr(model, name)
        with pytest.raises(TypeError):
            scores["brier"] = 0.0
        with pytest.raises(TypeError):
            del scores["brier"]
        for change in ("update", "clear", "pop", "setdefault"):
            assert not hasattr(scores, change)
        with pytest.raises(AttributeError, match="stay as they are: _scores"):
            scores._scores = ()
        with pytest.raises(AttributeError, match="stay as they are: _scores"):
            del scores._scores
    given["brier"] = 0.0  # of the caller, no longer that of the record
    assert (repr(model), hash(model)) == (said, key)


def test_scores_of_a_calibration_are_copied_and_compared_as_those_of_a_dict(
    models: dict[str, xf.Calibration],
) -> None:
    assert copy.deepcopy(models["beta"]) == models["beta"]
    scores = models["beta"].before
    for same in (copy.copy(scores), copy.deepcopy(scores), pickle.loads(pickle.dumps(scores))):
        assert same == scores == dict(scores)
        assert hash(same) == hash(scores)
        assert list(same) == list(scores)
    assert repr(scores) == repr(dict(scores))
    assert scores != dict(scores) | {"brier": 2.0}


@pytest.mark.parametrize("method", [*METHODS, "sigma"])
def test_a_calibration_survives_json_and_pickle(
    models: dict[str, xf.Calibration], method: str
) -> None:
    model = models[method]
    for same in (xf.Calibration.from_json(model.to_json()), pickle.loads(pickle.dumps(model))):
        assert same == model
        assert hash(same) == hash(model)
        assert same.knots == model.knots
    assert f"<Calibration {method} of s: 3600 pixels, 2 groups" in repr(model)
    assert all(score in repr(model) for score in model.before)
    with pytest.raises(AttributeError):
        model.rms = 0.0  # type: ignore[misc]  # it is frozen


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "magic"}, "method of a calibration is 'magic', not one of isotonic"),
        ({"method": "beta"}, "knots of a calibration is"),
        ({"method": ["isotonic"]}, "method of a calibration is"),
        ({"knots": []}, "knots of a calibration is 0"),
        ({"knots": [[0.2, 0.5, 9], [0.1, 0.6, 9]]}, "knots of a calibration .* not rising"),
        ({"knots": [[0.1, 0.5, 9], [0.2, 0.4, 9]]}, "knots of a calibration .* not rising"),
        ({"knots": [[0.1, 0.5]]}, "a knot of a calibration"),
        ({"knots": [[0.1, 1.5, 9]]}, "a knot of a calibration"),
        ({"knots": [[0.1, float("nan"), 9]]}, "a knot of a calibration"),
        ({"knots": [[0.1, 0.5, 0]]}, "a knot of a calibration"),
        ({"knots": [[0.1, 0.5, 9.5]]}, "a knot of a calibration"),
        ({"knots": "rising"}, "knots of a calibration is 'rising', not a list"),
        ({"knots": [7]}, "a knot of a calibration is 7"),
        ({"knots": [["0.1", 0.5, 9]]}, "a knot of a calibration"),
        ({"coefficients": [2, 2, 0]}, "coefficients of a calibration"),
        ({"coefficients": [1, 1]}, "coefficients of a calibration"),
        ({"coefficients": None}, "coefficients of a calibration"),
        ({"base_rate": 0}, "base_rate of a calibration is 0, not between 0 and 1"),
        ({"base_rate": None}, "base_rate of a calibration is None"),
        ({"rms": -1}, "rms of a calibration is -1, not 0 or above"),
        ({"rms": 10**400}, "rms of a calibration is 1000"),
        ({"rms": float("inf")}, "rms of a calibration is inf"),
        ({"count": True}, "count of a calibration is True"),
        ({"count": 0}, "count of a calibration is 0, not above 0"),
        ({"groups": ["a", "a"]}, "groups of a calibration"),
        ({"groups": [["a"]]}, "groups of a calibration"),
        ({"groups": 3}, "groups of a calibration is 3"),
        ({"before": {"iou": "good"}}, "before of a calibration"),
        ({"before": None}, "before of a calibration is None"),
        ({"sensor": 3}, "sensor of a calibration is 3, not a text or none"),
        ({"version": None}, "version of a calibration is None"),
        ({"more": 1}, "a calibration has .*, this has .*more"),
    ],
)
def test_a_text_that_is_no_calibration_is_refused(
    models: dict[str, xf.Calibration], change: dict[str, Any], said: str
) -> None:
    text = json.dumps(json.loads(models["isotonic"].to_json()) | change)
    with pytest.raises(ValueError, match=said):
        xf.Calibration.from_json(text)


@pytest.mark.parametrize("text", ["", "[1, 2]", "null", "{}", "{" * 20, "[" * 100_000, b"\xff\xfe"])
def test_a_text_that_is_no_record_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="this is no JSON|a calibration has"):
        xf.Calibration.from_json(text)


def test_coefficients_of_a_record_rise(models: dict[str, xf.Calibration]) -> None:
    for method, change in (("beta", [-1, 1, 0]), ("platt", [1, 2, 0])):
        text = json.dumps(json.loads(models[method].to_json()) | {"coefficients": change})
        with pytest.raises(ValueError, match="coefficients of a calibration"):
            xf.Calibration.from_json(text)
