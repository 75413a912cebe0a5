"""Fusion rules: correlated errors and conflict, against independent formulas and draws."""

import functools
import itertools
import warnings
from fractions import Fraction
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from numpy.typing import NDArray
from scipy import stats

import xfusion as xf
from tests.laziness import nothing_computes
from tests.sensors import sensors_of
from tests.strategies import chunked, retrievals

RULES = ["gaussian", "mixture", "random_effects", "minimum_sigma", "log_odds"]
NEEDED: dict[str, dict[str, Any]] = {"log_odds": {"prior": 0.5}}


def fit_for(rule: str, sensors: list[xr.Dataset]) -> list[xr.Dataset]:
    """The sensors, as probabilities where the rule takes no others."""
    if rule != "log_odds":
        return sensors
    return [s.assign(mu=np.abs(s.mu).where(np.isfinite(s.mu)) % 1) for s in sensors]


def best_weights(covariance: NDArray[Any]) -> NDArray[Any]:
    """The convex weights of least variance: the best of the BLUEs of all sets of sensors."""
    n = len(covariance)
    best, least = np.zeros(n), np.inf
    for some in itertools.chain.from_iterable(
        itertools.combinations(range(n), k) for k in range(1, n + 1)
    ):
        part = covariance[np.ix_(some, some)]
        raw = np.linalg.solve(part, np.ones(len(some)))
        weights = raw / raw.sum()
        variance = weights @ part @ weights
        if (weights >= -1e-12).all() and variance < least:
            best, least = np.zeros(n), variance
            best[list(some)] = weights
    return best


@st.composite
def covariances(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[Any]]:
    """A correlation matrix, well conditioned, and standard deviations."""
    n = draw(st.integers(2, 6))
    factor = draw(hnp.arrays(float, (n, n), elements=st.floats(-1, 1)))
    covariance = factor @ factor.T + 0.1 * np.eye(n)
    scale = np.sqrt(np.diag(covariance))
    sigma = draw(hnp.arrays(float, n, elements=st.floats(0.1, 10)))
    return covariance / np.outer(scale, scale), sigma


@given(covariances(), st.data())
@settings(max_examples=100)
def test_correlated_fusion_has_the_best_convex_weights(
    case: tuple[NDArray[Any], NDArray[Any]], data: st.DataObject
) -> None:
    correlation, sigma = case
    n = len(sigma)
    mu = np.array(data.draw(st.lists(st.floats(-10, 10), min_size=n, max_size=n)))
    fused = xf.gaussian(*sensors_of(mu, sigma), correlation=correlation, diagnostics=True)
    covariance = correlation * np.outer(sigma, sigma)
    expected = best_weights(covariance)
    np.testing.assert_allclose(fused.weight.values.ravel(), expected, atol=1e-7)
    np.testing.assert_allclose(fused.mu.item(), expected @ mu, rtol=1e-6, atol=1e-6)
    variance = expected @ covariance @ expected
    np.testing.assert_allclose(fused.sigma.item(), np.sqrt(variance), rtol=1e-9)
    direct = np.linalg.solve(covariance, np.ones(n))
    if (direct > 0).all():
        np.testing.assert_allclose(fused.weight.values.ravel(), direct / direct.sum(), atol=1e-9)
        np.testing.assert_allclose(fused.sigma.item(), direct.sum() ** -0.5, rtol=1e-9)
    residual = mu - (direct @ mu) / direct.sum()
    chi2 = residual @ np.linalg.solve(covariance, residual) / (n - 1)
    np.testing.assert_allclose(fused.chi2.item(), chi2, rtol=1e-6, atol=1e-9)


@given(retrievals(count=4), st.sampled_from([0.0, 0.4, 1.0]), st.sampled_from(RULES))
def test_weights_are_convex_and_sigma_is_not_above_the_smallest(
    sensors: list[xr.Dataset], correlation: float, rule: Any
) -> None:
    parameters = {"correlation": correlation} if rule == "gaussian" else NEEDED.get(rule, {})
    sensors = fit_for(rule, sensors)
    fused = xf.fuse(*sensors, rule=rule, diagnostics=True, **parameters)
    usable = xr.concat([s.fusion.usable for s in sensors], "sensor")
    np.testing.assert_array_equal(fused.weight.notnull(), usable)
    np.testing.assert_array_equal(np.isnan(fused.mu), ~usable.any("sensor"))
    np.testing.assert_array_equal(np.isnan(fused.sigma), ~usable.any("sensor"))
    assert (fused.weight.fillna(0) >= 0).all()
    if rule != "log_odds":
        total = fused.weight.sum("sensor").where(usable.any("sensor"), 1.0)
        np.testing.assert_allclose(total, 1.0, rtol=1e-6)
    if rule in ("gaussian", "minimum_sigma"):
        sigma = xr.concat([s.sigma.clip(1e-6) for s in sensors], "sensor").where(usable)
        smallest = sigma.min("sensor")
        assert (fused.sigma.fillna(0) <= smallest.fillna(0) * (1 + 1e-6)).all()
    np.testing.assert_array_equal(
        np.isnan(fused.chi2), usable.sum("sensor") < 2, err_msg="of one sensor it is unknown"
    )


@given(retrievals(count=1), st.sampled_from(RULES), st.booleans())
def test_one_usable_sensor_passes_through_every_rule(
    sensors: list[xr.Dataset], rule: Any, first: bool
) -> None:
    (only,) = fit_for(rule, sensors)
    nothing = xf.retrieval(only.mu * np.nan, only.sigma)
    pair = (only, nothing) if first else (nothing, only)
    fused = xf.fuse(*pair, rule=rule, diagnostics=True, **NEEDED.get(rule, {}))
    np.testing.assert_array_equal(fused.mu, only.mu.where(only.fusion.usable))
    np.testing.assert_array_equal(fused.sigma, only.sigma.clip(1e-6).where(only.fusion.usable))
    np.testing.assert_array_equal(fused.source, only.fusion.usable * (1 if first else 2))


@given(retrievals(count=4), st.permutations(range(4)), st.sampled_from(RULES))
def test_order_of_sensors_does_not_matter_to_any_rule(
    sensors: list[xr.Dataset], order: list[int], rule: Any
) -> None:
    parameters = {"correlation": 0.5} if rule == "gaussian" else NEEDED.get(rule, {})
    sensors = fit_for(rule, sensors)
    one = xf.fuse(*sensors, rule=rule, **parameters)
    other = xf.fuse(*[sensors[i] for i in order], rule=rule, **parameters)
    scale = max(1.0, float(np.abs(one.mu).max().fillna(0)))
    np.testing.assert_allclose(one.mu, other.mu, rtol=1e-5, atol=1e-6 * scale)
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-5, atol=1e-6 * scale)


@given(retrievals(count=3))
def test_independent_fusion_is_associative(sensors: list[xr.Dataset]) -> None:
    # above the floor: what is fused may be surer than that
    a, b, c = (s.assign(mu=s.mu.astype(float), sigma=s.sigma.clip(0.01)) for s in sensors)
    at_once = xf.gaussian(a, b, c)
    in_turn = xf.gaussian(xf.gaussian(a, b), c)
    np.testing.assert_allclose(in_turn.mu, at_once.mu, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(in_turn.sigma, at_once.sigma, rtol=1e-9)


@given(retrievals(count=2, broken_sigma=False))
def test_a_duplicate_under_full_correlation_gains_nothing(sensors: list[xr.Dataset]) -> None:
    one, other = sensors
    doubled = xf.gaussian(one, one, correlation=1.0)
    single = xf.gaussian(one)
    np.testing.assert_allclose(doubled.mu, single.mu, rtol=1e-6)
    np.testing.assert_allclose(doubled.sigma, single.sigma, rtol=1e-6)
    correlation = [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    tripled = xf.gaussian(one, one, other, correlation=correlation)
    pair = xf.gaussian(one, other)
    np.testing.assert_allclose(tripled.sigma, pair.sigma, rtol=1e-5)
    np.testing.assert_allclose(tripled.mu, pair.mu, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", ["gaussian", "mixture", "random_effects", "minimum_sigma"])
def test_results_scale_with_the_units(rule: Any) -> None:
    rng = np.random.default_rng(3)
    mu, sigma = rng.normal(size=(3, 50)), rng.uniform(0.1, 1, (3, 50))
    one = xf.fuse(*sensors_of(mu, sigma), rule=rule)
    other = xf.fuse(*sensors_of(1000 * mu, 1000 * sigma), rule=rule)
    np.testing.assert_allclose(other.mu, 1000 * one.mu, rtol=1e-9)
    np.testing.assert_allclose(other.sigma, 1000 * one.sigma, rtol=1e-9)


@pytest.mark.parametrize("rule", RULES[:-1])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_tiny_and_huge_float32_sigma_survive_every_rule(rule: Any, scale: float) -> None:
    mu = np.array([[1.0], [2.0]], np.float32) * np.float32(scale)
    sigma = np.array([[3.0], [4.0]], np.float32) * np.float32(scale)
    parameters: dict[str, Any] = {"correlation": 0.3} if rule == "gaussian" else {}
    pairs = [
        xf.fuse(
            *[xf.retrieval(m[None], s[None]) for m, s in zip(a, b, strict=True)],
            rule=rule,
            sigma_floor=0.0,
            **parameters,
        )
        for a, b in ((mu, sigma), (mu / np.float32(scale), sigma / np.float32(scale)))
    ]
    np.testing.assert_allclose(pairs[0].sigma, pairs[1].sigma * scale, rtol=1e-5)
    np.testing.assert_allclose(pairs[0].mu, pairs[1].mu * scale, rtol=1e-5)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7])
def test_true_error_has_the_stated_sigma(correlation: float) -> None:
    rng = np.random.default_rng(5)
    n, sigma = 400_000, np.array([0.5, 0.6, 0.8])
    matrix = np.where(np.eye(3, dtype=bool), 1.0, correlation)
    errors = rng.multivariate_normal(np.zeros(3), matrix * np.outer(sigma, sigma), n).T
    fused = xf.gaussian(*sensors_of(errors, sigma), correlation=correlation, diagnostics=True)
    np.testing.assert_allclose(fused.mu.std(), fused.sigma.mean(), rtol=0.02)
    np.testing.assert_allclose(fused.chi2.mean(), 1.0, rtol=0.02)
    conflicts = fused.fusion.flag_conflict(level=0.05).conflict.mean()
    np.testing.assert_allclose(conflicts, 0.05, rtol=0.05)


def test_conflicting_sensors_are_covered_by_mixture_and_random_effects_only() -> None:
    rng = np.random.default_rng(6)
    n, count = 20_000, 8
    sigma = np.full(count, 0.2)
    between = rng.normal(0, 1.0, (count, n))  # what the sigmas do not say
    sensors = sensors_of(between + rng.normal(0, 0.2, (count, n)), sigma)

    def covered(rule: Any) -> float:
        fused = xf.fuse(*sensors, rule=rule)
        return float((np.abs(fused.mu) <= fused.sigma).mean())

    nominal = 0.683
    assert covered("gaussian") < 0.35
    assert covered("mixture") >= nominal
    # tau is estimated from 8 sensors: Student's t with 7 degrees of freedom, 0.649
    np.testing.assert_allclose(covered("random_effects"), nominal, atol=0.05)


def test_random_effects_are_those_of_dersimonian_and_laird() -> None:
    rng = np.random.default_rng(7)
    mu, sigma = rng.normal(0, 1, 5), rng.uniform(0.1, 0.6, 5)
    fused = xf.fuse(*sensors_of(mu, sigma), rule="random_effects", diagnostics=True)
    w = sigma**-2
    q = np.sum(w * (mu - np.average(mu, weights=w)) ** 2)
    tau2 = max(0, (q - 4) / (w.sum() - np.sum(w**2) / w.sum()))
    w = 1 / (sigma**2 + tau2)
    np.testing.assert_allclose(fused.mu.item(), np.average(mu, weights=w))
    np.testing.assert_allclose(fused.sigma.item(), w.sum() ** -0.5)
    np.testing.assert_allclose(fused.weight.values.ravel(), w / w.sum())
    np.testing.assert_allclose(fused.chi2.item(), q / 4)


def test_mixture_log_odds_and_minimum_sigma_are_their_formulas() -> None:
    mu, sigma = np.array([0.2, 0.7, 0.6]), np.array([0.1, 0.05, 0.3])
    sensors = sensors_of(mu, sigma)
    mixture = xf.fuse(*sensors, rule="mixture")
    np.testing.assert_allclose(mixture.mu.item(), mu.mean())
    np.testing.assert_allclose(mixture.sigma.item() ** 2, np.mean(sigma**2) + mu.var())
    surest = xf.fuse(*sensors, rule="minimum_sigma")
    assert (surest.mu.item(), surest.sigma.item(), surest.source.item()) == (0.7, 0.05, 2)
    pooled = xf.fuse(*sensors, rule="log_odds", prior=0.3)
    odds = np.prod(mu / (1 - mu)) / (0.3 / 0.7) ** 2
    np.testing.assert_allclose(pooled.mu.item(), odds / (1 + odds))
    spread = np.sqrt(np.sum((sigma / (mu * (1 - mu))) ** 2))
    np.testing.assert_allclose(pooled.sigma.item(), odds / (1 + odds) ** 2 * spread)
    half = xf.fuse(*sensors, rule="log_odds", prior=0.3, alpha=0.5)
    odds = 0.3 / 0.7 * (np.prod(mu / (1 - mu)) / (0.3 / 0.7) ** 3) ** 0.5
    np.testing.assert_allclose(half.mu.item(), odds / (1 + odds))
    np.testing.assert_allclose(half.sigma.item(), odds / (1 + odds) ** 2 * spread / 2)
    extreme = xf.fuse(*sensors_of([0.0, 1.0], [0.1, 0.1]), rule="log_odds", prior=0.5)
    np.testing.assert_allclose(extreme.mu.item(), 0.5)
    np.testing.assert_allclose(extreme.sigma.item(), 0.5)  # and not 2.5e7


def test_birge_ratio_widens_sigma_of_conflicting_sensors_only() -> None:
    sensors = sensors_of([[0.0, 0.0], [0.05, 1.0]], [0.1, 0.1])
    plain = xf.gaussian(*sensors, diagnostics=True)
    wide = xf.gaussian(*sensors, inflate="birge")
    ratio = (wide.sigma / plain.sigma).values.ravel()
    np.testing.assert_allclose(ratio, [1.0, np.sqrt(plain.chi2.values[0, 1])])
    difference = plain.normalised_difference.values.ravel()
    np.testing.assert_allclose(difference, [-0.05 / np.hypot(0.1, 0.1), -1 / np.hypot(0.1, 0.1)])


@pytest.mark.parametrize("dof", [1, 2, 3, 6, 7, 40])
def test_conflict_is_flagged_at_the_critical_chi_square(dof: int) -> None:
    limit = stats.chi2.isf(0.01, dof) / dof
    chi2 = xr.DataArray([[limit * (1 - 1e-9), limit * (1 + 1e-9), np.nan]], dims=("y", "x"))
    weight = xr.ones_like(chi2).expand_dims(sensor=dof + 1)
    fused = xf.retrieval(chi2 * 0, chi2 * 0 + 1).assign(chi2=chi2, weight=weight)
    assert fused.fusion.flag_conflict().conflict.values.tolist() == [[False, True, False]]
    with pytest.raises(ValueError, match="diagnostics=True"):
        xf.flag_conflict(fused.drop_vars("weight"))
    with pytest.raises(ValueError, match="level=1"):
        fused.fusion.flag_conflict(level=1)


@given(st.data(), retrievals(count=3), st.sampled_from(RULES))
def test_every_rule_is_lazy_and_equals_eager_bit_for_bit(
    data: st.DataObject, sensors: list[xr.Dataset], rule: Any
) -> None:
    options: dict[str, Any] = {"rule": rule, "diagnostics": True, "bounded": (0, 1)}
    options |= NEEDED.get(rule, {})
    sensors = fit_for(rule, sensors)
    if rule == "gaussian":
        options |= {"correlation": 0.3, "inflate": "birge"}
    eager = xf.fuse(*sensors, **options)
    blocks = [data.draw(chunked(sensor)) for sensor in sensors]
    with nothing_computes():
        lazy = xf.fuse(*blocks, **options)
    xr.testing.assert_identical(lazy.compute(), eager)


def test_fusion_is_one_blockwise_layer() -> None:
    sensors = [s.chunk(y=2, x=2) for s in sensors_of(np.ones((3, 4, 4)), np.ones(3))]
    for options in ({}, {"correlation": 0.5, "diagnostics": True}):
        fused = xf.gaussian(*sensors, **options)  # type: ignore[arg-type]  # options of one call or another
        inputs = {k for s in sensors for v in s.values() for k in v.data.dask.layers}
        graph = fused.mu.data.dask
        assert sum(bool(of & inputs) for of in graph.dependencies.values()) == 1
        assert len(set(graph.layers) - inputs) <= 3  # dask picks an output, and transposes it


@pytest.mark.parametrize("count", [3, 12])
def test_fusing_along_a_dim_is_fusing_what_lies_along_it(count: int) -> None:
    rng = np.random.default_rng(8)
    times = np.datetime64("2023-06-01", "ns") + np.arange(count) * np.timedelta64(1, "D")
    shape = (count, 4, 5)
    mu = xr.DataArray(rng.normal(size=shape), dims=("time", "y", "x"), coords={"time": times})
    mask = (rng.random(shape) < 0.3).astype(np.uint8)
    series = xf.retrieval(mu, rng.uniform(0.1, 1, shape), mask)
    fused = series.fusion.gaussian(dim="time", diagnostics=True)
    parts = [series.isel(time=i) for i in range(count)]
    expected = xf.gaussian(*parts[:8])
    for part in parts[8:]:
        expected = xf.gaussian(expected, part)
    np.testing.assert_allclose(fused.mu, expected.mu, rtol=1e-9)
    np.testing.assert_allclose(fused.sigma, expected.sigma, rtol=1e-9)
    np.testing.assert_array_equal(fused["mask"], expected["mask"])
    usable = series.fusion.usable
    np.testing.assert_array_equal(fused["count"], usable.sum("time"))
    assert "source" not in fused  # of more than eight there is none, and groups of both mix
    np.testing.assert_array_equal(fused.weight.time, series.time)
    assert fused.attrs["time_coverage_start"] == "2023-06-01T00:00:00Z"
    lazy = series.chunk(time=2, y=2).fusion.gaussian(dim="time", diagnostics=True)
    assert lazy.mu.chunks is not None
    xr.testing.assert_identical(lazy.compute(), fused)
    with pytest.raises(ValueError, match=r"dim='day'.*\['time'\]"):
        series.fusion.gaussian(dim="day")
    with pytest.raises(ValueError, match="along the dim first"):
        series.fusion.gaussian(series, dim="time")


def test_a_rule_of_the_callers_own_sees_usable_pixels_of_all_sensors() -> None:
    def median(
        mu: NDArray[Any], sigma: NDArray[Any], usable: NDArray[Any], /, *, widen: float
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        np.testing.assert_array_equal(np.isnan(mu), ~usable)
        with warnings.catch_warnings(action="ignore"):
            return np.nanmedian(mu, axis=0), widen * np.nanmax(sigma, axis=0)

    sensors = sensors_of([[1.0, np.nan], [2.0, np.nan], [5.0, np.nan]], [0.1, 0.2, 0.3])
    fused = xf.fuse(*sensors, rule=median, widen=2.0)
    np.testing.assert_array_equal(fused.mu, [[2.0, np.nan]])
    np.testing.assert_array_equal(fused.sigma, [[0.6, np.nan]])
    assert fused["mask"].values.tolist() == [[0, xf.Exclusion.UNKNOWN]]
    assert fused.attrs["fusion_rule"].endswith("median")
    assert fused.attrs["fusion_widen"] == 2.0
    lazy = xf.fuse(*[s.chunk(x=1) for s in sensors], rule=median, widen=2.0)
    np.testing.assert_array_equal(lazy.mu.compute(), fused.mu)
    with pytest.raises(ValueError, match="returned the shape"):
        xf.fuse(*sensors, rule=lambda mu, sigma, usable: (mu, sigma))


def test_arguments_out_of_range_say_what_is_right() -> None:
    a, b, c = sensors_of([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
    cases: list[tuple[Any, str]] = [
        (1.5, "must be -0.5 to 1 for 3 sensors"),
        (-0.6, "must be -0.5 to 1"),
        (np.nan, "must be -0.5 to 1"),
        (np.eye(2), r"shape \(2, 2\).*\(3, 3\)"),
        ([[1, 0.5, 0], [0.2, 1, 0], [0, 0, 1]], "symmetric"),
        ([[1, 0, 0], [0, 2, 0], [0, 0, 1]], "1 on its diagonal"),
        ([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]], "positive semi-definite"),
    ]
    for correlation, message in cases:
        with pytest.raises(ValueError, match=message):
            xf.gaussian(a, b, c, correlation=correlation)
    with pytest.raises(ValueError, match="rule='best'.*mixture"):
        xf.fuse(a, b, rule="best")  # type: ignore[arg-type]  # the point
    with pytest.raises(TypeError, match="'mixture' has no parameter.*prior"):
        xf.fuse(a, b, rule="mixture", prior=0.5)
    with pytest.raises(ValueError, match="prior=1"):
        xf.fuse(a, b, rule="log_odds", prior=1)
    with pytest.raises(ValueError, match="inflate='twice'"):
        xf.gaussian(a, b, inflate="twice")  # type: ignore[arg-type]  # the point
    with pytest.raises(ValueError, match="bounded"):
        xf.gaussian(a, b, bounded=(1, 0))


def test_merged_flag_masks_keep_their_reasons() -> None:
    cloud, unknown, user = (
        int(f) for f in (xf.Exclusion.CLOUD, xf.Exclusion.UNKNOWN, xf.Exclusion.USER)
    )
    ones = np.ones((1, 4))
    a, b = (
        xf.retrieval(ones, ones, np.array([row], np.uint8))["mask"]
        for row in ([cloud, 0, unknown, unknown], [user, user, 0, unknown])
    )
    merged = a.fusion.merge_mask(b)
    assert merged.dtype == np.uint8
    assert merged.values.tolist() == [[cloud | user, user, 0, unknown]]
    assert a.fusion.merge_mask(b, how="all").values.tolist() == [[cloud | user, 0, 0, unknown]]
    assert merged.attrs["flag_meanings"] == a.attrs["flag_meanings"]
    decided = (a > 0).where(a != unknown)  # keeps the attributes of the flags
    np.testing.assert_array_equal(decided.fusion.merge_mask(decided), [[1, 0, np.nan, np.nan]])


def test_a_rule_of_the_callers_own_works_along_a_long_dim_with_masks() -> None:
    mu = xr.DataArray(np.arange(36.0).reshape(9, 2, 2), dims=("t", "y", "x"))
    series = xf.retrieval(mu, mu * 0 + 1, mu < 4)
    fused = series.fusion.fuse(dim="t", rule=lambda m, s, _: (np.nanmean(m, 0), np.nanmean(s, 0)))
    np.testing.assert_allclose(fused.mu, mu[1:].mean("t"))
    with pytest.raises(ValueError, match="no labels"):
        series.isel(t=[]).fusion.gaussian(dim="t")


@pytest.mark.parametrize("number", [128, 256, 300])
def test_many_masks_are_counted_without_wrapping(number: int) -> None:
    one = xr.DataArray(np.array([1.0, 0.0, np.nan]), dims="x")
    for how in ("any", "all", "majority"):
        merged = xf.merge_mask(*[one] * number, how=how)
        np.testing.assert_array_equal(merged, one)


def test_certain_sensors_that_agree_are_in_no_conflict() -> None:
    sensors = sensors_of([0.1, 0.1, 0.1], [0.0, 0.0, 0.0])
    fused = xf.gaussian(*sensors, sigma_floor=0.0, inflate="birge", diagnostics=True)
    assert (fused.mu.item(), fused.sigma.item(), fused.chi2.item()) == (0.1, 0.0, 0.0)
    apart = sensors_of([0.1, 0.3], [0.0, 0.0])
    fused = xf.gaussian(*apart, sigma_floor=0.0, inflate="birge", diagnostics=True)
    assert fused.sigma.item() == 0.0
    assert fused.chi2.item() == np.inf
    assert fused.fusion.flag_conflict().conflict.item()


def test_normalised_difference_survives_extremes_without_a_warning() -> None:
    with warnings.catch_warnings(action="error"):
        for mu, expected in (([1e20, -1e20], 2e20 / 2**0.5), ([1e-30, 2e-30], -1e-30 / 2**0.5)):
            sensors = [xf.retrieval(np.full((1, 1), m, np.float32), [[1.0]]) for m in mu]
            fused = xf.gaussian(*sensors, diagnostics=True)
            np.testing.assert_allclose(fused.normalised_difference, expected, rtol=1e-6)
        infinite = sensors_of([np.inf, np.inf], [1.0, 1.0])
        assert np.isnan(xf.gaussian(*infinite, diagnostics=True).normalised_difference.item())


def test_parameters_of_a_rule_can_be_written(tmp_path: Any) -> None:
    def first(mu: Any, sigma: Any, _: Any, /, **told: Any) -> Any:
        return mu[0], sigma[0]

    rule = functools.partial(first, flag=True, table={"a": 1})
    fused = xf.fuse(
        *sensors_of([1.0, 2.0], [1.0, 1.0]), rule=rule, when=np.datetime64("2023-06-20")
    )
    fused.to_netcdf(tmp_path / "fused.nc")
    assert fused.attrs["fusion_rule"].endswith("first")
    assert fused.attrs["fusion_flag"] == 1


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=2), st.integers(0, 9))
def test_the_mixture_of_the_smallest_numbers_is_their_mean(mus: list[int], sigma: int) -> None:
    smallest = 5e-324
    sensors = sensors_of([mu * smallest for mu in mus], [sigma * smallest] * len(mus))
    fused = xf.fuse(*sensors, rule="mixture", sigma_floor=0)
    mean = Fraction(sum(mus), len(mus))
    assert abs(Fraction(fused.mu.item()) / Fraction(smallest) - mean) <= Fraction(1, 2)
    spread = np.sqrt(sigma**2 + np.mean([(mu - round(mean)) ** 2 for mu in mus]))
    assert abs(fused.sigma.item() / smallest - spread) <= 1
