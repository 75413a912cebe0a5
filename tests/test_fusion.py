"""gaussian and merge_mask against the formulas written out."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from numpy.typing import NDArray

import xfusion as xf
from tests import oracle
from tests.laziness import nothing_computes
from tests.strategies import chunked, retrievals


def assert_equals_formula(fused: xr.Dataset, mu: NDArray[Any], sigma: NDArray[Any]) -> None:
    np.testing.assert_array_equal(np.isnan(fused.mu), np.isnan(mu))
    np.testing.assert_array_equal(np.isnan(fused.sigma), np.isnan(sigma))
    # float32 keeps 6e-8 of a value, also of one that cancellation made small
    np.testing.assert_allclose(fused.mu, mu, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(fused.sigma, sigma, rtol=1e-6)


@given(retrievals())
def test_masked_fusion_equals_the_formula(pair: list[xr.Dataset]) -> None:
    assert_equals_formula(pair[0].fusion.gaussian(pair[1]), *oracle.fuse_two(*pair))


@given(retrievals())
def test_unmasked_fusion_equals_the_formula(pair: list[xr.Dataset]) -> None:
    fused = pair[0].fusion.gaussian(pair[1], use_mask=False)
    assert_equals_formula(fused, *oracle.fuse_two(*pair, use_mask=False))
    bare = [r.drop_vars("mask", errors="ignore") for r in pair]
    xr.testing.assert_equal(fused, xf.gaussian(*bare))


@given(retrievals())
def test_floor_gives_broken_sigma_the_value_of_the_original(pair: list[xr.Dataset]) -> None:
    fused = pair[0].fusion.gaussian(pair[1], nonfinite_sigma="floor")
    assert_equals_formula(fused, *oracle.fuse_two(*pair, floor_nonfinite=True))


@given(retrievals(count=8), st.integers(1, 8))
def test_source_and_mask_say_who_contributed_and_why_not(
    sensors: list[xr.Dataset], count: int
) -> None:
    sensors = sensors[:count]
    fused = xf.gaussian(*sensors)
    usable = [r.fusion.usable.values for r in sensors]
    source = sum(u.astype(int) << i for i, u in enumerate(usable))
    np.testing.assert_array_equal(fused.source, source)
    flags = np.bitwise_or.reduce(
        [r.mask.values if "mask" in r else np.zeros(fused.mu.shape, np.uint8) for r in sensors]
    )
    expected = np.where(source > 0, 0, np.where(flags > 0, flags, int(xf.Exclusion.UNKNOWN)))
    np.testing.assert_array_equal(fused["mask"], expected)
    assert fused["mask"].dtype == fused.source.dtype == np.uint8


@given(retrievals(count=5), st.permutations(range(5)))
def test_order_of_sensors_does_not_matter(sensors: list[xr.Dataset], order: list[int]) -> None:
    fused, shuffled = xf.gaussian(*sensors), xf.gaussian(*[sensors[i] for i in order])
    np.testing.assert_allclose(fused.mu, shuffled.mu, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(fused.sigma, shuffled.sigma, rtol=1e-6)


@given(retrievals(count=1))
def test_one_usable_sensor_passes_through_exactly(sensors: list[xr.Dataset]) -> None:
    (only,) = sensors
    nothing = xf.retrieval(only.mu * np.nan, only.sigma)
    usable = only.fusion.usable
    for fused in (xf.gaussian(only, nothing), xf.gaussian(nothing, only)):
        np.testing.assert_array_equal(fused.mu, only.mu.where(usable))
        np.testing.assert_array_equal(fused.sigma, only.sigma.clip(1e-6).where(usable))


def test_tiny_and_huge_float32_sigma_neither_overflow_nor_lose_the_answer() -> None:
    def one(mu: float, sigma: float) -> xr.Dataset:
        return xf.retrieval(np.full((1, 1), mu, np.float32), np.full((1, 1), sigma, np.float32))

    for scale in (1e-30, 1.0, 1e30):
        fused = xf.gaussian(one(1.0, 3 * scale), one(2.0, 4 * scale), sigma_floor=0.0)
        np.testing.assert_allclose(fused.mu, 1.36, rtol=1e-6)
        np.testing.assert_allclose(fused.sigma, 2.4 * scale, rtol=1e-6)
    apart = xf.gaussian(one(1.0, 1e-30), one(2.0, 1e30), sigma_floor=0.0)
    assert apart.mu.item() == 1.0
    np.testing.assert_allclose(apart.sigma, 1e-30, rtol=1e-6)
    certain = xf.gaussian(one(1.0, 0.0), one(2.0, 0.0), one(9.0, 1.0), sigma_floor=0.0)
    assert (certain.mu.item(), certain.sigma.item()) == (1.5, 0.0)


@given(st.data(), retrievals(count=3))
def test_eager_equals_lazy_bit_for_bit(data: st.DataObject, sensors: list[xr.Dataset]) -> None:
    eager = xf.gaussian(*sensors)
    blocks = [data.draw(chunked(sensor)) for sensor in sensors]
    with nothing_computes():
        lazy = xf.gaussian(*blocks)
    xr.testing.assert_identical(lazy.compute(), eager)


def test_blocks_of_a_large_array_join_without_a_seam() -> None:
    rng = np.random.default_rng(0)
    shape = (1500, 1700)  # several blocks of the thread pool
    a, b = (
        xf.retrieval(rng.normal(size=shape), rng.uniform(0.1, 1, shape), rng.random(shape) < 0.2)
        for _ in range(2)
    )
    expected = oracle.fuse_two(a, b)
    assert_equals_formula(xf.gaussian(a, b), *expected)
    transposed = [r.transpose("x", "y") for r in (a, b)]
    assert_equals_formula(xf.gaussian(*transposed).transpose("y", "x"), *expected)


@given(retrievals(min_side=2))
def test_inputs_are_left_as_they_were(pair: list[xr.Dataset]) -> None:
    before = [r.copy(deep=True) for r in pair]
    fused = xf.gaussian(*pair)
    fused.mu.attrs["units"] = "changed"
    for r, kept in zip(pair, before, strict=True):
        xr.testing.assert_identical(r, kept)
        assert [v.encoding for v in r.variables.values()] == [
            v.encoding for v in kept.variables.values()
        ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_output_has_the_precision_of_the_input(dtype: Any) -> None:
    ones = np.ones((2, 2), dtype)
    fused = xf.gaussian(xf.retrieval(ones, ones), xf.retrieval(ones, ones))
    assert fused.mu.dtype == fused.sigma.dtype == dtype
    double = xf.retrieval(ones.astype(float), ones.astype(float))
    assert xf.gaussian(xf.retrieval(ones, ones), double).mu.dtype == np.float64


def test_sigma_is_never_rounded_and_zero_is_very_sure() -> None:
    mu, sigma = np.array([[0.1, 0.1]]), np.array([[0.0004, 0.0]])
    fused = xf.gaussian(xf.retrieval(mu, sigma), xf.retrieval(mu + 0.5, mu))
    np.testing.assert_allclose(fused.sigma, [[0.0004, 1e-6]], rtol=1e-4)
    np.testing.assert_allclose(fused.mu, [[0.1, 0.1]], rtol=1e-4)


def test_finite_mu_with_broken_sigma_is_not_near_certain() -> None:
    broken = xf.retrieval(np.array([[1.0, 1.0]]), np.array([[np.nan, np.inf]]), sensor="broken")
    sound = xf.retrieval(np.array([[0.0, 0.0]]), np.array([[0.1, 0.1]]), sensor="sound")
    fused = broken.fusion.gaussian(sound)
    np.testing.assert_array_equal(fused.mu, 0)
    np.testing.assert_array_equal(fused.source, 2)


def test_too_many_sensors_and_bad_arguments_name_the_mend() -> None:
    one = xf.retrieval(np.ones((1, 1)), np.ones((1, 1)))
    with pytest.raises(ValueError, match="9 retrievals, at most 8.*fuse groups"):
        xf.gaussian(*[one] * 9)
    with pytest.raises(ValueError, match="sigma_floor=-1"):
        xf.gaussian(one, one, sigma_floor=-1)
    with pytest.raises(ValueError, match="'exclude' or 'floor'"):
        xf.gaussian(one, one, nonfinite_sigma="ignore")  # type: ignore[arg-type]  # the point


def test_other_grids_units_and_dims_are_refused_before_pixels_are_read() -> None:
    def at(x: list[float], **attrs: str) -> xr.Dataset:
        array = xr.DataArray(np.ones((1, 2)), {"y": [0.0], "x": x}, attrs=attrs).chunk()
        return xf.retrieval(array, array, sensor=f"from-{x[0]:g}")

    with nothing_computes():
        with pytest.raises(
            ValueError, match=r"'from-5' and 'from-0'.*x\[0\] is 5.0 and 0.0.*coreg"
        ):
            xf.gaussian(at([0.0, 1.0]), at([5.0, 6.0]))
        with pytest.raises(ValueError, match="'s'.*'cm'.*cannot be converted"):
            xf.gaussian(at([0, 1], units="cm"), at([0, 1], units="s"))
        with pytest.raises(ValueError, match="None.*'cm'"):
            xf.gaussian(at([0, 1], units="cm"), at([0, 1]))
        with pytest.raises(ValueError, match=r"2 pixels along 'x'|2 and 1 pixels|1 and 2"):
            xf.gaussian(at([0, 1]), at([0, 1]).isel(x=[0]))
        with pytest.raises(ValueError, match="dims.*time.*isel"):
            xf.gaussian(at([0, 1]), at([0, 1]).expand_dims(time=2))


def test_names_of_sensors_are_told_apart() -> None:
    one = xf.retrieval(np.ones((1, 1)), np.ones((1, 1)), sensor="sentinel 2")
    fused = xf.gaussian(one, one, one.assign_attrs(sensor="radar"))
    assert fused.source.attrs["flag_meanings"] == "sentinel_2_1 sentinel_2_2 radar"


def test_acquisitions_apart_in_time_keep_their_span() -> None:
    ones = np.ones((1, 1))
    a = xf.retrieval(ones, ones, time="2023-06-20T05:00")
    b = xf.retrieval(ones, ones, time="2023-06-20T10:30")
    fused = a.fusion.gaussian(b)
    assert "time" not in fused.coords
    assert fused.attrs["time_coverage_start"] == "2023-06-20T05:00:00Z"
    assert fused.attrs["time_coverage_end"] == "2023-06-20T10:30:00Z"
    assert a.fusion.gaussian(a).time == np.datetime64("2023-06-20T05:00")


MASK_VALUES = st.lists(
    st.tuples(*[st.sampled_from([0.0, 1.0, np.nan])] * 2), min_size=1, max_size=9
)


@given(MASK_VALUES)
def test_merge_mask_reproduces_the_truth_table(pairs: list[tuple[float, float]]) -> None:
    a, b = (xr.DataArray(np.array(v), dims="x") for v in zip(*pairs, strict=True))
    expected = oracle.merge_any(a.values, b.values)
    np.testing.assert_array_equal(a.fusion.merge_mask(b), expected)
    lazy = a.chunk(x=1).fusion.merge_mask(b.chunk())
    np.testing.assert_array_equal(lazy.compute(), expected)
    integers = [m.fillna(255).astype(np.uint8).assign_attrs(nodata=255) for m in (a, b)]
    np.testing.assert_array_equal(xf.merge_mask(*integers), expected)


def test_merge_mask_of_booleans_is_boolean() -> None:
    a = xr.DataArray([True, True, False], dims="x")
    b = xr.DataArray([True, False, False], dims="x")
    assert a.fusion.merge_mask(b).values.tolist() == [True, True, False]
    assert a.fusion.merge_mask(b, how="all").values.tolist() == [True, False, False]
    assert a.fusion.merge_mask(b, b, how="majority").values.tolist() == [True, False, False]
    assert a.fusion.merge_mask(b).dtype == bool


def test_merge_mask_refuses_another_grid() -> None:
    a = xr.DataArray(np.zeros((1, 2)), {"y": [0.0], "x": [0.0, 1.0]})
    with pytest.raises(ValueError, match="not on one grid"):
        a.fusion.merge_mask(a.assign_coords(x=[1.0, 2.0]))
    with pytest.raises(ValueError, match="'any', 'all' or 'majority'"):
        a.fusion.merge_mask(a, how="some")


def test_read_only_and_writable_inputs_fuse_together() -> None:
    layers = [np.full((2, 3), 0.5, np.float32) for _ in range(4)]
    layers[0].flags.writeable = layers[3].flags.writeable = False
    fused = xf.gaussian(xf.retrieval(*layers[:2]), xf.retrieval(*layers[2:]))
    np.testing.assert_allclose(fused.sigma, 0.5 / np.sqrt(2), rtol=1e-6)
