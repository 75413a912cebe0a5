"""Fusion at the edges: the range of float32, the floor, extremes, times, units, layouts, errors."""

import sys
import tracemalloc
import warnings
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from numpy.typing import NDArray

import xfusion as xf
from tests.laziness import nothing_computes
from xfusion.kernels import parallel

RULES: list[Any] = ["gaussian", "mixture", "random_effects", "minimum_sigma", "log_odds"]
DAYS_360 = xr.date_range("2000-02-29", periods=2, calendar="360_day", use_cftime=True)
FULL = np.finfo(np.float64).max.item()


def one(mu: Any, sigma: Any, units: str | None = None, dtype: Any = float) -> xr.Dataset:
    values = np.atleast_2d(np.asarray(mu, dtype))
    attrs = {} if units is None else {"units": units}
    array = xr.DataArray(values, dims=("y", "x"), attrs=attrs)
    return xf.retrieval(array, np.broadcast_to(np.asarray(sigma, dtype), values.shape))


def on(day: Any) -> xr.Dataset:
    return one(0.2, 0.1).assign_coords(time=day)


@given(
    st.integers(2, 8),
    st.integers(0, 2**32 - 1),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 1e-7, 1e-3, 1.0]),
    st.sampled_from([0.1, 1.0, 20.0]),
    st.sampled_from([{}, {"correlation": 0.3}, {"diagnostics": True}]),
)
def test_float32_mean_never_leaves_the_range_of_its_sensors(
    count: int, seed: int, mu: float, apart: float, spread: float, options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(seed)
    mus = (mu * (1 - apart * rng.random((count, 200)))).astype(np.float32)
    sigmas = rng.lognormal(0, spread, (count, 200)).clip(1e-30, 1e30)
    retrievals = [one(m, s, dtype=np.float32) for m, s in zip(mus, sigmas, strict=True)]
    fused = xf.gaussian(*retrievals, sigma_floor=0.0, **options)
    assert (mus.min(axis=0) <= fused.mu.values).all()
    assert (fused.mu.values <= mus.max(axis=0)).all()


def test_certain_probabilities_of_float32_stay_certain() -> None:
    sigma = np.random.default_rng(0).uniform(0.01, 0.5, (2, 2000))
    for value in (0.0, 1.0):
        mu = np.full(2000, value)
        fused = xf.gaussian(*[one(mu, s, dtype=np.float32) for s in sigma])
        np.testing.assert_array_equal(fused.mu, value)


@given(
    hnp.arrays(float, (3, 4), elements=st.floats(-1e3, 1e3)),
    hnp.arrays(float, (3, 4), elements=st.floats(0.01, 100)),
    st.floats(-30, 30),
    st.sampled_from(RULES[:-1]),
)
def test_results_scale_with_any_unit(
    mu: NDArray[Any], sigma: NDArray[Any], exponent: float, rule: Any
) -> None:
    scale = 2.0 ** round(exponent / np.log10(2))  # of float64 no digit is lost
    fused, scaled = (
        xf.fuse(
            *[one(k * m, k * s) for m, s in zip(mu, sigma, strict=True)], rule=rule, sigma_floor=0
        )
        for k in (1.0, scale)
    )
    np.testing.assert_array_equal(scaled.mu, fused.mu * scale)
    np.testing.assert_array_equal(scaled.sigma, fused.sigma * scale)


@given(st.floats(-29, 29), st.lists(st.floats(0.1, 10), min_size=2, max_size=8))
def test_float32_sigma_of_any_size_gives_the_weights_of_sigma_of_size_one(
    exponent: float, sizes: list[float]
) -> None:
    mu, scale = np.arange(len(sizes), dtype=np.float32), 2.0 ** round(exponent / np.log10(2))
    fused, scaled = (
        xf.gaussian(
            *[one(m, k * np.float32(s), dtype=np.float32) for m, s in zip(mu, sizes, strict=True)],
            sigma_floor=0,
        )
        for k in (1.0, scale)
    )
    np.testing.assert_array_equal(scaled.mu, fused.mu)
    np.testing.assert_allclose(scaled.sigma / scale, fused.sigma, rtol=1e-6)


def test_groups_at_the_floor_fuse_as_all_at_once_if_the_floor_is_applied_once() -> None:
    a, b, c = one(0.0, 0.0), one(0.0, 0.0), one(1.0, 0.0)
    at_once = xf.gaussian(a, b, c)
    in_groups = xf.gaussian(xf.gaussian(a, b), xf.gaussian(c), sigma_floor=0)
    np.testing.assert_allclose(in_groups.mu, at_once.mu, rtol=1e-12)
    np.testing.assert_allclose(in_groups.sigma, at_once.sigma, rtol=1e-12)
    with pytest.raises(ValueError, match=r"9 retrievals.*groups of up to 8.*sigma_floor=0"):
        xf.gaussian(*[a] * 9)


EXTREMES = [0.0, 1.0, 1e-308, 5e-324, 1e160, 1e200, 1e308, 1.7e308, FULL]


@given(
    st.lists(st.sampled_from([*EXTREMES, *(-e for e in EXTREMES)]), min_size=1, max_size=8),
    st.sampled_from([5e-324, 1e-200, 1.0, 1e200, 1.7e308]),
    st.sampled_from(RULES),
    st.sampled_from([{}, {"diagnostics": True}, {"correlation": 0.3}, {"inflate": "birge"}]),
)
def test_a_result_that_overflows_is_not_called_usable(
    mu: list[float], sigma: float, rule: Any, options: dict[str, Any]
) -> None:
    told = options if rule == "gaussian" or "diagnostics" in options else {}
    if rule == "log_odds":
        told, mu = told | {"prior": 0.5}, [m % 1 for m in mu]
    fused = xf.fuse(*[one(m, sigma) for m in mu], rule=rule, sigma_floor=0, **told)
    usable = fused["mask"].item() == 0
    assert usable == np.isfinite(fused.mu.item()) == np.isfinite(fused.sigma.item())
    assert usable == (fused.source.item() != 0)


def test_large_float64_that_do_not_overflow_are_fused() -> None:
    plain: dict[str, Any] = {}
    for options in (plain, {"correlation": 0.0, "diagnostics": True}):
        fused = xf.gaussian(one(8e307, 1.0), one(8e307, 1.0), **options)
        assert fused.mu.item() == 8e307
    alike = xf.fuse(one(1e200, 1.0), one(1e200, 1.0), rule="random_effects")
    assert (alike.mu.item(), alike["mask"].item()) == (1e200, 0)


@pytest.mark.parametrize("options", [{}, {"correlation": 0.3}, {"rule": "mixture"}])
def test_sensors_of_another_memory_order_are_not_fused_from_memory_never_written(
    options: Any,
) -> None:
    rng = np.random.default_rng(0)
    shape = (1500, 1700)  # several blocks, the longer dim last
    layers = rng.random((4, *shape)) + 0.1
    plain = [xf.retrieval(*layers[:2]), xf.retrieval(*layers[2:])]
    mixed = [plain[0], xf.retrieval(*map(np.asfortranarray, layers[2:]))]
    xr.testing.assert_equal(xf.fuse(*mixed, **options), xf.fuse(*plain, **options))


@given(hnp.array_shapes(max_dims=4, max_side=5), st.data())
def test_a_range_of_pixels_is_that_of_c_order_in_any_layout(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    axes = data.draw(st.permutations(range(len(shape))))
    step = data.draw(st.sampled_from([1, 2, -1]))
    array = np.arange(np.prod(shape)).reshape(shape).transpose(axes)[::step]
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, array.size)] * 2)))
    np.testing.assert_array_equal(parallel.pixels(array, start, stop), array.flatten()[start:stop])


def test_a_rule_of_the_callers_own_takes_any_memory_order() -> None:
    layers = np.random.default_rng(0).random((4, 3, 5))

    def first(mu: Any, sigma: Any, usable: Any) -> Any:
        return mu[0], sigma[1]

    pair = [xf.retrieval(*map(np.asfortranarray, layers[i : i + 2])) for i in (0, 2)]
    fused = xf.fuse(*pair, rule=first)
    np.testing.assert_array_equal(fused.mu, layers[0])
    np.testing.assert_array_equal(fused.sigma, layers[3])


@pytest.mark.parametrize("odd", ["dtype", "order"])
def test_inputs_of_mixed_layout_are_not_copied_whole(odd: str) -> None:
    rng = np.random.default_rng(0)
    dtypes = ("f4", "f8") if odd == "dtype" else ("f4", "f4")

    def sensor(dtype: str, order: Any) -> xr.Dataset:
        layers = (rng.random((3000, 3000)) + 0.1).astype(dtype)
        layers = np.asarray(layers, order=order)
        return xf.retrieval(layers, layers)

    orders = ("C", "C") if odd == "dtype" else ("C", "F")
    sensors = [sensor(d, o) for d, o in zip(dtypes * 2, orders * 2, strict=True)]
    xf.gaussian(*[s.isel(x=[0]) for s in sensors], correlation=0.3)  # compiles
    tracemalloc.start()
    fused = xf.gaussian(*sensors, correlation=0.3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.8 * sum(v.nbytes for v in fused.data_vars.values())


def test_the_span_of_what_was_fused_before_is_not_lost() -> None:
    a, b, c = (xf.retrieval([[0.2]], [[0.1]], time=f"2023-06-{d}") for d in (20, 22, 21))
    ab = xf.gaussian(a, b)
    for fused in (xf.gaussian(ab, c), xf.gaussian(c, ab), xf.gaussian(ab, ab), xf.gaussian(ab)):
        assert "time" not in fused.coords
        assert fused.attrs["time_coverage_start"] == "2023-06-20T00:00:00Z"
        assert fused.attrs["time_coverage_end"] == "2023-06-22T00:00:00Z"
    unreadable = a.assign_attrs(time_coverage_start="last week", time_coverage_end="P1D")
    assert xf.gaussian(unreadable, unreadable).time == a.time


@pytest.mark.parametrize(
    "times",
    [
        (1, 2),
        ("dry", "wet"),
        tuple(DAYS_360),
        (np.datetime64("NaT", "ns"), np.datetime64("2023-06-20", "ns")),
        (np.datetime64("2023-06-20", "ns"), "wet"),
    ],
)
def test_times_that_are_no_dates_do_not_stop_fusion(times: tuple[Any, Any]) -> None:
    pair = [on(time) for time in times]
    fused = xf.gaussian(*pair)
    assert "time" not in fused.coords
    assert "NaT" not in str(fused.attrs)
    assert xf.gaussian(pair[0], pair[0]).time.equals(pair[0].time)
    if type(times[0]) is type(times[1]):
        series = xr.concat(pair, "time", combine_attrs="override")
        along = series.fusion.gaussian(dim="time", diagnostics=True)
        np.testing.assert_allclose(along.sigma, 0.1 / 2**0.5)
        assert "NaTZ" not in str(along.attrs)


def test_percent_is_not_taken_for_a_probability() -> None:
    percent = one(20.0, 5.0, "%")
    with pytest.raises(ValueError, match=r"'%'.*log_odds.*/ 100.*'1'"):
        xf.fuse(percent, percent, rule="log_odds", prior=0.5)
    for units in ("1", None):
        sensor = one(0.8, 0.05, units)
        fused = xf.fuse(sensor, sensor, rule="log_odds", prior=0.5)
        np.testing.assert_allclose(fused.mu, 16 / 17)


def test_units_without_pint_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pint", "pint_xarray"):
        monkeypatch.setitem(sys.modules, module, None)
    assert xf.gaussian(one(1, 1, "m"), one(1, 1, "m")).mu.attrs["units"] == "m"
    for other in ("cm", "meter", "s"):
        with pytest.raises(ValueError, match=rf"'{other}'.*'m'.*pip install 'xfusion\[units\]'"):
            xf.gaussian(one(1, 1, "m"), one(1, 1, other))
    assert one(2.0, 0.5, "m").fusion.exceedance(2.0).item() == 0.5


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0.035, "1"), (35.0, "1e-3")),
        ((35.0, "1e-3"), (0.035, "1")),
        ((1.0, "kg m-2"), (1000.0, "1e-3 kg m-2")),
        ((20.0, "degC"), (68.0, "degF")),
        ((68.0, "degF"), (293.15, "K")),
    ],
)
def test_factors_and_offsets_of_units_cost_no_digits(first: Any, second: Any) -> None:
    pytest.importorskip("pint", reason="units are an extra")
    (mu, units), (other, other_units) = first, second
    fused = xf.gaussian(one(mu, 1.0, units), one(other, 1.0, other_units))
    np.testing.assert_allclose(fused.mu, mu, rtol=1e-14)


@pytest.mark.parametrize(("one_side", "other"), [("1", "dB"), ("dB", "1")])
def test_logarithmic_units_are_refused_without_a_warning(one_side: str, other: str) -> None:
    pytest.importorskip("pint", reason="units are an extra")
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises(ValueError, match="cannot be converted"),
    ):
        xf.gaussian(one(1, 1, one_side), one(1, 1, other))


def test_a_threshold_in_other_units_is_converted() -> None:
    pint = pytest.importorskip("pint", reason="units are an extra")
    quantity = pint.get_application_registry().Quantity
    level = one(2.0, 0.5, "m")
    assert level.fusion.exceedance(quantity(150, "cm")).equals(level.fusion.exceedance(1.5))
    for threshold, message in (
        (quantity(3, "s"), r"threshold=3 second.*'m'.*[Cc]onvert"),
        ("deep", r"threshold=deep: must be a number.*'m'"),
        (np.nan, "threshold=nan"),
        (None, "threshold=None"),
    ):
        with pytest.raises(ValueError, match=message):
            level.fusion.exceedance(threshold)
    with pytest.raises(ValueError, match=r"150 centimeter.*units of mu \(None\)"):
        one(2.0, 0.5).fusion.exceedance(quantity(150, "cm"))


def test_every_declared_nodata_of_a_mask_is_not_observed() -> None:
    mask = xr.DataArray(np.array([0, 1, 7, 254, 255], np.uint8), dims="x")
    expected = [0, 1, 1, np.nan, np.nan]
    for attrs in (
        {"_FillValue": np.array([255], np.uint8), "nodatavals": (254.0,)},
        {"nodatavals": (254, 255)},
        {"nodata": 254, "missing_value": [255]},
    ):
        merged = mask.assign_attrs(attrs).fusion.merge_mask()
        np.testing.assert_array_equal(merged, expected, err_msg=str(attrs))


def test_what_is_no_mask_is_not_merged() -> None:
    mask = xr.DataArray(np.array([0, 1], np.uint8), dims="x")
    for other, error, message in (
        (np.zeros(2), TypeError, "mask 2 is a ndarray.*xr.DataArray"),
        (mask.to_dataset(name="mask"), TypeError, r"mask 2 is a Dataset.*ds\['mask'\]"),
        (mask.astype(str), ValueError, "mask 2 is <U3.*real numbers"),
        (mask.astype(complex), ValueError, "mask 2 is complex128"),
    ):
        with pytest.raises(error, match=message):
            xf.merge_mask(mask, other)  # type: ignore[arg-type]  # the point


def test_arguments_of_the_wrong_kind_name_the_argument_and_the_mend() -> None:
    a, b = one(0.2, 0.1), one(0.6, 0.2)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"correlation": None}, r"correlation=None: must be a number, or.*\(2, 2\)"),
        ({"correlation": "high"}, "correlation='high': must be a number"),
        ({"correlation": [[1, 0], [1]]}, r"correlation=\[\[1, 0\], \[1\]\].*shape \(2, 2\)"),
        ({"correlation": 0.3j}, "correlation=0.3j: must be a number"),
        ({"rule": "log_odds", "prior": "x"}, "prior='x': must be a probability"),
        ({"sigma_floor": None}, "sigma_floor=None: must be a finite number"),
        ({"sigma_floor": "1"}, "sigma_floor='1': must be a finite number"),
        ({"rule": ["gaussian"]}, r"rule=\['gaussian'\]: must be one of"),
        ({"rule": lambda m, s, u: None}, r"must return \(mu, sigma\), each of shape \(1,\)"),
        ({"rule": lambda m, s, u: (m[0], s[0], u[0])}, r"must return \(mu, sigma\).*too many"),
        ({"rule": lambda m, s, u: (m, s)}, r"\(2, 1\), not \(1,\).*without the axis"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            xf.fuse(a, b, **options)
    series = xr.concat([a] * 9, "time")
    with pytest.raises(ValueError, match=r"9 labels.*leave correlation out.*isel\(time="):
        series.fusion.gaussian(dim="time", correlation=0.3)


def test_conflict_asks_for_the_diagnostics_of_all_sensors() -> None:
    diagnosed = xf.gaussian(one(0.2, 0.1), one(0.6, 0.2), diagnostics=True)
    with pytest.raises(ValueError, match=r"weight has the dims.*before a sensor is selected"):
        diagnosed.isel(sensor=0).fusion.flag_conflict()
    with pytest.raises(ValueError, match="level='x': must be a probability"):
        diagnosed.fusion.flag_conflict(level="x")


def test_conflict_of_a_lazy_result_is_lazy() -> None:
    sensors = [one(np.zeros(4) + k * np.arange(4), 0.5) for k in (0, 1)]
    eager = xf.gaussian(*sensors, diagnostics=True).fusion.flag_conflict()
    with nothing_computes():
        blocks = [s.chunk(x=2) for s in sensors]
        lazy = xf.gaussian(*blocks, diagnostics=True).fusion.flag_conflict()
    assert eager.conflict.any()
    assert not eager.conflict.all()
    xr.testing.assert_identical(lazy.compute(), eager)
