"""Collocation beside pytesmo, beside simulated errors, chunk by chunk."""

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from pytesmo.metrics import tcol
from scipy.special import expit

import xfusion as xf
from tests.laziness import nothing_computes

GAINS, BIASES, STDS = (1.0, 1.3, 0.7, -0.9), (0.0, 2.0, -1.0, 5.0), (0.3, 0.5, 0.8, 0.4)
NAMES = ("a", "b", "c", "d")


def series(
    number: int = 3, shape: tuple[int, ...] = (400,), *, seed: int = 0, mean: float = 20.0
) -> list[xr.DataArray]:
    """Sensors of one quantity along time, at further places if there are any."""
    rng = np.random.default_rng(seed)
    dims = ("time", "y", "x")[: len(shape)]
    truth = rng.normal(mean, 2, shape)
    return [
        xr.DataArray(b + g * truth + s * rng.normal(size=shape), dims=dims, name=n)
        for g, b, s, n in zip(GAINS[:number], BIASES, STDS, NAMES, strict=False)
    ]


def with_gaps(sensors: list[xr.DataArray]) -> list[xr.DataArray]:
    rng = np.random.default_rng(9)
    return [s.where(rng.random(s.shape) < 0.9) for s in sensors]


def test_three_sensors_are_what_pytesmo_says() -> None:
    sensors = with_gaps(series())
    found = xf.collocation(*sensors, dim="time")
    known = np.logical_and.reduce([s.notnull() for s in sensors])
    _, scaled, beta = tcol.tcol_metrics(*(s.to_numpy()[known] for s in sensors))
    np.testing.assert_allclose(found.sigma, scaled / np.abs(beta), rtol=1e-9)
    np.testing.assert_allclose(found.gain, 1 / beta, rtol=1e-9)
    means = np.array([s.to_numpy()[known].mean() for s in sensors])
    np.testing.assert_allclose(found.bias, means - means[0] / beta, rtol=1e-9)
    assert found["count"] == known.sum()
    assert found.sensor.values.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("correlated", [None, ("a", "b"), ("b", "d"), ("d", "c")])
def test_four_sensors_and_a_pair_are_what_pytesmo_says(correlated: tuple[str, str] | None) -> None:
    sensors = series(4)
    frame = xr.merge(sensors, join="exact", compat="equals").to_dataframe()
    pairs = None if correlated is None else [correlated]
    expected = tcol.ecol(frame, correlated=pairs, abs_est=False)
    found = xf.collocation(*sensors, dim="time", correlated=correlated)
    np.testing.assert_allclose(found.sigma**2, [expected[f"err_{n}"] for n in NAMES], rtol=1e-6)
    np.testing.assert_allclose(found.gain, GAINS, rtol=0.1)
    if correlated is None:
        assert "error_correlation" not in found
    else:
        r = expected["err_corr_{}_{}".format(*correlated)]
        assert float(found.error_correlation) == pytest.approx(r, rel=1e-6)
        assert found.error_correlation.attrs["sensors"] == " ".join(correlated)


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("number", [3, 4])
@pytest.mark.parametrize("samples", [60, 200, 500])
def test_intervals_hold_the_truth_as_often_as_they_say(number: int, samples: int) -> None:
    found = xf.collocation(*series(number, (samples, 40, 50), seed=samples), dim="time")
    for sensor, std in zip(found.sensor.values, STDS, strict=False):
        one = found.sel(sensor=sensor)
        held = ((one.sigma_lower <= std) & (std <= one.sigma_upper)).mean()
        assert (0.90 if samples < 200 else 0.92) <= float(held) <= 0.975


def test_an_error_that_two_share_is_seen_with_a_fourth_only() -> None:
    rng = np.random.default_rng(5)
    truth, shared, *own = rng.normal(size=(6, 200_000))
    mixed = [0.5 * (np.sqrt(0.6) * shared + np.sqrt(0.4) * e) for e in own[:2]]
    errors = [*mixed, 0.5 * own[2], 0.5 * own[3]]
    sensors = [
        xr.DataArray(2 * truth + e, dims="time", name=n) for e, n in zip(errors, NAMES, strict=True)
    ]
    blind = xf.collocation(*sensors[:3])
    np.testing.assert_allclose(blind.sigma, [0.316, 0.316, 0.63], atol=0.02)
    found = xf.collocation(*sensors, correlated=("a", "b"))
    np.testing.assert_allclose(found.sigma, 0.5, atol=0.01)
    assert float(found.error_correlation) == pytest.approx(0.6, abs=0.02)


def test_a_variance_below_zero_is_flagged_and_has_an_upper_bound_only() -> None:
    found = xf.collocation(*series(3, (15, 30, 30), seed=4), dim="time")
    negative = found.negative
    assert 0.05 < float(negative.sel(sensor="a").mean()) < 0.6
    assert bool(found.sigma.isnull().equals(negative))
    covariances = np.stack([s.to_numpy() for s in series(3, (15, 30, 30), seed=4)])
    apart = covariances - covariances.mean(axis=1, keepdims=True)
    c = np.einsum("itrc,jtrc->rcij", apart, apart) / 14
    variance = c[..., 0, 0] - c[..., 0, 1] * c[..., 0, 2] / c[..., 1, 2]
    np.testing.assert_array_equal(negative.sel(sensor="a"), variance < 0)
    below = found.sel(sensor="a").where(negative.sel(sensor="a"), drop=True)
    assert not (below.sigma_lower > 0).any()


def test_bounds_of_a_variance_that_is_below_zero_throughout_are_none_and_flagged() -> None:
    found = xf.collocation(*series(3, (12, 100, 100), seed=4), dim="time")
    without = found.sigma_upper.isnull()
    assert 0 < int(without.sum()) < int(found.negative.sum())
    assert bool(without.equals(found.sigma_lower.isnull()))
    assert bool(found.negative.where(without, other=True).all())


def test_fewer_than_ten_samples_say_nothing() -> None:
    for samples, known in ((9, False), (10, True)):
        found = xf.collocation(*series(3, (samples,)))
        assert np.isfinite(found.gain[1]) == known
        assert found["count"] == samples
        assert not found.negative.any() or known


# Chunks, dims and masks


@given(
    chunks=st.tuples(st.integers(7, 30), st.integers(1, 4), st.integers(2, 5)),
    dim=st.sampled_from(["time", ("y", "x"), ("time", "y", "x"), None]),
    pair=st.sampled_from([None, ("a", "c")]),
)
@settings(max_examples=15)
def test_chunks_change_nothing_and_nothing_is_computed_before(
    chunks: tuple[int, int, int], dim: Any, pair: tuple[str, str] | None
) -> None:
    sensors = with_gaps(series(4, (30, 4, 5)))
    eager = xf.collocation(*sensors, dim=dim, correlated=pair)
    lazy = [s.chunk(dict(zip(s.dims, chunks, strict=True))) for s in sensors]
    with nothing_computes():
        found = xf.collocation(*lazy[:2], sensors[2], lazy[3], dim=dim, correlated=pair)
    assert found.sigma.chunks is not None
    xr.testing.assert_allclose(found.compute(), eager, rtol=1e-9)


def test_a_map_has_what_each_pixel_has_alone() -> None:
    sensors = with_gaps(series(3, (60, 3, 4)))
    found = xf.collocation(*sensors, dim="time")
    for y, x in ((0, 0), (2, 3)):
        alone = xf.collocation(*(s.isel(y=y, x=x) for s in sensors))
        xr.testing.assert_allclose(found.isel(y=y, x=x), alone)


@pytest.mark.parametrize("chunks", [None, 50])
def test_a_large_mean_costs_no_digits(chunks: int | None) -> None:
    small, large = series(mean=0.0), [s + 1e7 for s in series(mean=0.0)]
    found = xf.collocation(*(s if chunks is None else s.chunk(time=chunks) for s in large))
    np.testing.assert_allclose(found.sigma, xf.collocation(*small).sigma, rtol=1e-6)


def test_only_what_all_sensors_can_see_counts() -> None:
    sensors = series(3, (100, 2, 2))
    rng = np.random.default_rng(3)
    masks = rng.random((3, 100, 2, 2)) < 0.3
    retrievals: list[Any] = [
        xf.retrieval(s, 0.1, m, sensor=n) for s, m, n in zip(sensors, masks, NAMES, strict=False)
    ]
    found = xf.collocation(*retrievals)
    usable = ~masks.any(axis=0)
    expected = xf.collocation(*(s.where(usable) for s in sensors))
    xr.testing.assert_allclose(found, expected)
    assert found["count"] == usable.sum()
    product = xf.SensorProduct(dataset=retrievals[0])
    xr.testing.assert_identical(xf.collocation(product, *retrievals[1:]), found)


def test_units_are_those_of_the_first_and_coordinates_stay() -> None:
    sensors = [s.assign_attrs(units="m") for s in series(3, (40, 2, 3))]
    sensors[1] = (sensors[1] * 100).assign_attrs(units="cm")
    sensors = [s.assign_coords(x=[1.0, 2.0, 3.0], y=[5.0, 4.0]) for s in sensors]
    found = xf.collocation(*sensors, dim="time")
    np.testing.assert_allclose(
        found.sigma, xf.collocation(*series(3, (40, 2, 3)), dim="time").sigma
    )
    assert found.sigma.attrs["units"] == found.bias.attrs["units"] == "m"
    assert found.sigma.dims == ("sensor", "y", "x")
    assert found.x.values.tolist() == [1.0, 2.0, 3.0]


# What is refused


def probabilities() -> list[xr.DataArray]:
    scaled = [s - s.mean() for s in series()]
    return [xr.DataArray(expit(s), dims=s.dims, name=s.name) for s in scaled]


def of(change: Callable[[xr.DataArray], xr.DataArray]) -> list[xr.DataArray]:
    return [change(s) for s in probabilities()]


REFUSED: dict[str, Callable[[], Any]] = {
    "numbers within 0 and 1": probabilities,
    "of no dimension": lambda: of(lambda p: p.assign_attrs(units="1")),
    "named so, lazy": lambda: of(lambda p: p.assign_attrs(long_name="water probability").chunk()),
    "percent, named so": lambda: of(
        lambda p: (p * 100).assign_attrs(units="%", standard_name="probability_of_water")
    ),
    "one of three": lambda: [*series()[:2], probabilities()[2]],
    "with the sigma of one, lazy": lambda: [
        xf.retrieval(p, 0.1).fusion.add_aleatoric().chunk() for p in probabilities()
    ],
    "calibrated as one, lazy": lambda: [
        xf.retrieval(p, 0.1).assign_attrs(calibration_method="isotonic").chunk()
        for p in probabilities()
    ],
    "fused as one, lazy": lambda: [
        xf.retrieval(p, 0.1).assign_attrs(fusion_rule="log_odds").chunk() for p in probabilities()
    ],
}


@pytest.mark.parametrize("what", REFUSED)
def test_probabilities_are_refused_with_the_reason(what: str) -> None:
    with pytest.raises(ValueError, match=r"probability depends on the truth.*xf.assess"):
        xf.collocation(*REFUSED[what]())


@pytest.mark.parametrize("attrs", [{"units": "m3 m-3"}, {"standard_name": "area_fraction"}])
def test_a_quantity_within_0_and_1_is_taken_once_it_is_named(attrs: dict[str, str]) -> None:
    found = xf.collocation(*of(lambda p: p.assign_attrs(attrs)))
    assert np.isfinite(found.sigma).any()


def test_what_does_not_go_together_is_refused() -> None:
    a, b, c, d = series(4)
    for given_, options, said in (
        ((a, b), {}, "2 retrievals: .*three or more"),
        ((a, b, c), {"dim": "x"}, "dim='x': mu has the dims"),
        ((a, b, c), {"dim": ()}, "name those over which"),
        ((a, b, c), {"correlated": ("a", "b")}, "give a fourth"),
        ((a, b, c, d), {"correlated": ("a", "e")}, "name two sensors of"),
        ((a, b, c, d), {"correlated": ("a", "a")}, "name two sensors of"),
        ((a, b, c.isel(time=slice(5))), {}, "time"),
        ((a.assign_attrs(units="m"), b, c), {}, "'m'"),
    ):
        with nothing_computes(), pytest.raises(ValueError, match=said):
            xf.collocation(*(s.chunk() for s in given_), **options)
