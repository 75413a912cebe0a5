"""Co-registration: what becomes of mu, sigma and mask, against formulas written out."""

import copy
import functools
from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests import resampling_oracle as oracle
from tests.laziness import nothing_computes
from tests.resampling_oracle import (
    UNKNOWN,
    assert_same,
    broken,
    exact_positions,
    flags,
    grid,
    inside,
    interpolate,
    noise,
    on,
)

# sigma as the law of propagation has it, without what positions add: test_position_error.py
propagated = functools.partial(xf.coregister, position_error=0.0)

UTM = "EPSG:32633"
CENTRE = (500_003.7, 5_000_001.9)
RATIOS = [1.1, 2.0, 3.0, 7.5]


@pytest.mark.some(one_in=5)
@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "holes"])
def test_coarser_pixels_are_the_average_over_their_footprint(
    ratio: float, rho: float, whole: bool
) -> None:
    source = grid(UTM, CENTRE, 10.0, (62, 58))
    target = grid(
        UTM, (CENTRE[0] + 13.3, CENTRE[1] - 7.1), 10.0 * ratio, (int(68 / ratio), int(60 / ratio))
    )
    mu, sigma = noise(source.shape)
    mask = np.zeros(source.shape, np.uint8) if whole else flags(source.shape)
    if not whole:
        mu, sigma = broken(mu, 1), broken(sigma, 2, -9999.0)
    result = propagated(on(source, mu, sigma, mask), target, error_correlation=rho)
    positions = exact_positions(source, target)
    expected = oracle.average(mu, sigma, mask, *positions, ratio, rho)
    np.testing.assert_array_equal(result["mask"], expected[2])
    np.testing.assert_allclose(result.mu, expected[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(result.sigma, expected[1], rtol=1e-6)
    single = on(source, mu.astype(np.float32), sigma.astype(np.float32), mask)
    result = propagated(single, target, error_correlation=rho)
    np.testing.assert_allclose(result.mu, expected[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(result.sigma, expected[1], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_independent_errors_average_out_and_common_ones_stay(dtype: Any) -> None:
    source = grid(UTM, CENTRE, 10.0, (30, 60))
    dataset = on(source, *(np.full(source.shape, v, dtype) for v in (0.5, 0.3)))
    coarse = source.zoom_out(3)
    for rho, expected in ((0.0, 0.1), (1.0, 0.3), (0.5, 0.3 * np.sqrt(0.5 + 0.5 / 9))):
        result = propagated(dataset, coarse, error_correlation=rho)
        np.testing.assert_allclose(result.sigma, expected, rtol=1e-6)
        np.testing.assert_allclose(result.mu, 0.5, rtol=1e-6)
        assert result.sigma.dtype == dtype


@pytest.mark.parametrize("pixel", [7.3, 25.0])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_tiny_and_huge_float32_sigma_neither_vanish_nor_overflow(
    scale: float, rho: float, pixel: float
) -> None:
    source = grid(UTM, CENTRE, 10.0, (30, 30))
    mu, sigma = noise(source.shape, np.float32)
    sigma *= np.float32(scale)
    target = grid(UTM, CENTRE, pixel, (14, 14))
    result = propagated(on(source, mu, sigma), target, error_correlation=rho)
    double = on(source, mu.astype(np.float64), sigma.astype(np.float64))
    expected = propagated(double, target, error_correlation=rho)
    np.testing.assert_allclose(result.sigma, expected.sigma, rtol=1e-5)


DRAWS = 20_000


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("ratio", [0.6, 1.0, 3.0], ids=["finer", "equal", "coarser"])
def test_spread_of_perturbed_sources_is_the_propagated_sigma(ratio: float, rho: float) -> None:
    source = grid(UTM, CENTRE, 10.0, (16, 16))
    # the next zone: turned by two degrees
    other = grid("EPSG:32632", (971_600.0, 5_020_000.0), 1.0, (1, 1))
    x, y = exact_positions(GeoBox((1, 1), other.affine, "EPSG:32632"), source[7:8, 7:8])
    corner = oracle.apply(other.affine, float(x[0, 0]), float(y[0, 0]))
    target = grid("EPSG:32632", corner, 10.0 * ratio, (6, 6) if ratio < 3 else (4, 4))
    mu, sigma = noise(source.shape)
    rng = np.random.default_rng(1)
    own = rng.standard_normal((DRAWS, *source.shape))
    common = rng.standard_normal((DRAWS, 1, 1))
    draws = mu + sigma * (np.sqrt(rho) * common + np.sqrt(1 - rho) * own)
    warped = propagated(on(source, draws, np.broadcast_to(sigma, draws.shape)), target)
    stated = propagated(on(source, mu, sigma), target, error_correlation=rho)
    assert np.isfinite(stated.sigma).all()
    ratios = warped.mu.values.std(axis=0, ddof=1) / stated.sigma.values
    assert np.abs(ratios - 1).max() < 0.02
    assert ratios.mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ratio", [0.7, 1.0, 3.0])
@pytest.mark.parametrize("poison", [1e6, np.nan, np.inf])
def test_a_pixel_beside_an_excluded_region_takes_nothing_from_inside_it(
    ratio: float, poison: float, dtype: Any
) -> None:
    source = grid(UTM, CENTRE, 10.0, (60, 60))
    target = grid(UTM, (CENTRE[0] + 4.4, CENTRE[1] + 3.1), 10.0 * ratio, (int(58 / ratio),) * 2)
    mask = np.zeros(source.shape, np.uint8)
    mask[20:40, 15:45] = 1
    mask[5, 5] = 4
    mu, sigma = np.ones(source.shape, dtype), np.full(source.shape, 0.25, dtype)
    mu[mask != 0] = sigma[mask != 0] = poison
    result = propagated(on(source, mu, sigma, mask), target, error_correlation=1.0)
    usable = result["mask"].values == 0
    np.testing.assert_allclose(result.mu.values[usable], 1, rtol=1e-6)
    np.testing.assert_allclose(result.sigma.values[usable], 0.25, rtol=1e-6)
    # neither the excluded region nor its surroundings grow: the nearest pixel decides
    u, v = exact_positions(source, target)
    assert inside(source, u, v).all()
    np.testing.assert_array_equal(result["mask"], mask[v.astype(int), u.astype(int)])
    if np.isfinite(poison):  # nor do those inside it borrow from outside
        np.testing.assert_allclose(result.mu.values[~usable], poison, rtol=1e-6)


def test_a_missing_pixel_takes_only_its_own_area_and_does_not_grow() -> None:
    source = grid(UTM, CENTRE, 10.0, (20, 20))
    mu, sigma = noise(source.shape)
    mu[8:11, 8:11] = np.nan
    target = grid(UTM, CENTRE, 3.7, (40, 40))
    u, v = exact_positions(source, target)
    result = propagated(on(source, mu, sigma), target)
    np.testing.assert_array_equal(np.isnan(result.mu), np.isnan(mu)[v.astype(int), u.astype(int)])
    assert "mask" not in result


def test_equal_grids_return_the_same_values_and_compute_nothing() -> None:
    source = grid(UTM, CENTRE, 10.0, (9, 8))
    dataset = on(source, broken(noise((9, 8))[0], 0), noise((9, 8))[1], flags((9, 8)), sensor="s1")
    same = propagated(dataset, source)
    assert_same(same, dataset)
    assert np.shares_memory(same.mu.values, dataset.mu.values)
    assert same.attrs == dataset.attrs
    with nothing_computes():
        assert_same(propagated(dataset.chunk(), source).compute(scheduler="sync"), dataset)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_shift_by_whole_pixels_copies_bit_for_bit(dtype: Any, lazy: bool) -> None:
    source = grid(UTM, CENTRE, 10.0, (30, 40))
    mu, sigma = noise(source.shape, dtype)
    mu, sigma, mask = broken(mu, 0), broken(sigma, 1, -9999.0), flags(source.shape)
    dataset = on(source, mu, sigma, mask)
    dataset = dataset.chunk({"y": 7, "x": 11}) if lazy else dataset
    for down, across, rows, columns in (
        (3, 5, 10, 10),
        (-4, -6, 50, 60),
        (25, 35, 9, 9),
        (99, 0, 4, 4),
    ):
        target = GeoBox((rows, columns), source.translate_pix(across, down).affine, UTM)
        with nothing_computes():
            shifted = propagated(dataset, target, error_correlation=0.0)
        for name, old, fill in (("mu", mu, np.nan), ("sigma", sigma, np.nan), ("mask", mask, 32)):
            expected = np.full((rows + 200, columns + 200), fill, old.dtype)
            expected[100 - down : 130 - down, 100 - across : 140 - across] = old[
                max(0, down - 100) :, max(0, across - 100) :
            ]
            np.testing.assert_array_equal(
                shifted[name], expected[100 : 100 + rows, 100 : 100 + columns]
            )
            assert shifted[name].dtype == old.dtype


@pytest.mark.parametrize("turned", [0.0, 30.0, -45.0, 90.0, 200.0])
@pytest.mark.parametrize("north", [-10.0, 10.0], ids=["north-up", "south-up"])
def test_rotated_and_flipped_sources_are_interpolated_where_they_lie(
    turned: float, north: float
) -> None:
    source = grid(UTM, CENTRE, (10.0, north), (50, 70), turned)
    target = grid(UTM, CENTRE, 8.0, (80, 80))
    mu, sigma = noise(source.shape)
    result = propagated(on(source, mu, sigma, flags(source.shape) * 0), target)
    u, v = exact_positions(source, target)
    within = inside(source, u, v)
    assert 0.2 < within.mean() < 1
    np.testing.assert_array_equal(result["mask"], np.where(within, 0, UNKNOWN))
    for name, field in (("mu", mu), ("sigma", sigma)):
        expected = np.where(within, interpolate(field, u, v), np.nan)
        np.testing.assert_allclose(result[name], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("turned", [0.0, 30.0])
def test_rotated_and_flipped_targets_are_interpolated_where_they_lie(turned: float) -> None:
    source = grid(UTM, CENTRE, 10.0, (50, 70))
    target = grid(UTM, CENTRE, (8.0, 8.0), (80, 80), turned)
    mu, sigma = noise(source.shape)
    u, v = exact_positions(source, target)
    for dataset in (on(source, mu, sigma), on(source, mu, sigma).chunk({"x": 9})):
        result = propagated(dataset, target, chunks=33)
        expected = np.where(inside(source, u, v), interpolate(mu, u, v), np.nan)
        np.testing.assert_allclose(result.mu, expected, rtol=0, atol=1e-6)
        assert result.odc.geobox == target


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("how", ["bilinear", "nearest"])
def test_a_target_that_misses_the_source_is_unknown(lazy: bool, how: Any) -> None:
    source = grid(UTM, CENTRE, 10.0, (20, 20))
    dataset = on(source, *noise((2, 20, 20), np.float32), flags((2, 20, 20)))
    dataset = dataset.chunk({"d0": 1, "y": 7}) if lazy else dataset
    far = grid(UTM, (CENTRE[0] + 1e5, CENTRE[1]), 7.0, (30, 40))
    elsewhere = grid("EPSG:4326", (-100.0, -40.0), 0.0001, (30, 40))
    for target in (far, elsewhere):
        result = propagated(dataset, target, resampling=how, chunks=16)
        assert result.mu.shape == (2, 30, 40)
        assert np.isnan(result.mu).all()
        assert np.isnan(result.sigma).all()
        assert (result["mask"] == UNKNOWN).all()
        assert result.mu.dtype == np.float32


@pytest.mark.parametrize("ratio", [0.3, 1.0, 4.3])
def test_nearest_copies_the_pixel_under_the_centre(ratio: float) -> None:
    source = grid(UTM, CENTRE, 10.0, (50, 50))
    target = grid(UTM, (CENTRE[0] + 3.1, CENTRE[1] - 1.7), 10.0 * ratio, (int(45 / ratio),) * 2)
    mu, sigma = noise(source.shape)
    mu, sigma, mask = broken(mu, 0), broken(sigma, 1, -9999.0), flags(source.shape)
    result = propagated(on(source, mu, sigma, mask), target, resampling="nearest")
    u, v = (p.astype(int) for p in exact_positions(source, target))
    np.testing.assert_array_equal(result.mu, mu[v, u])
    np.testing.assert_array_equal(result.sigma, sigma[v, u])
    np.testing.assert_array_equal(result["mask"], mask[v, u])


@pytest.mark.parametrize("dims", [("y", "x"), ("latitude", "longitude"), ("lat", "lon")])
@pytest.mark.parametrize("same", [True, False], ids=["same-grid", "other-grid"])
def test_dims_and_coordinates_are_those_of_like_verbatim(
    dims: tuple[Hashable, Hashable], same: bool
) -> None:
    target = grid("EPSG:4326", (15.0, 45.0), 0.0001, (12, 14))
    like = xr_zeros(target).rename(dict(zip(target.dimensions, dims, strict=True)))
    # as another library would have written them
    like = like.assign_coords({d: like[d] * (1 + 1e-14) for d in dims})
    source = target if same else grid("EPSG:4326", (15.0, 45.0), 0.00012, (12, 14))
    dataset = on(source, *noise((12, 14))).assign_coords(orbit=7)
    for on_grid in (like, like.to_dataset(name="anything")):
        result = propagated(dataset, on_grid)
        assert result.mu.dims == result.sigma.dims == dims
        for dim in dims:
            np.testing.assert_array_equal(result[dim], like[dim])
        assert set(result.coords) == {*dims, "spatial_ref", "orbit"}


def test_leading_dims_and_their_labels_are_carried_along() -> None:
    source, target = grid(UTM, CENTRE, 10.0, (9, 8)), grid(UTM, CENTRE, 7.0, (11, 10))
    times = np.array(["2023-06-20", "2023-06-21", "2023-06-25"], "datetime64[ns]")
    dataset = on(source, *noise((3, 9, 8)), flags((3, 9, 8)), sensor="s1")
    dataset = dataset.rename(d0="time").assign_coords(time=times, orbit=("time", [1, 2, 3]))
    result = propagated(dataset, target)
    assert result.mu.dims == ("time", "y", "x")
    np.testing.assert_array_equal(result.time, times)
    np.testing.assert_array_equal(result.orbit, [1, 2, 3])
    assert result.attrs["sensor"] == "s1"
    for k in range(3):
        assert_same(result.isel(time=k), propagated(dataset.isel(time=k), target))
    moved = dataset.transpose("y", "time", "x")
    assert_same(propagated(moved, target), result)
    assert_same(propagated(moved.chunk({"time": 2, "y": 4}), target).compute(), result)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"resampling": "cubic"}, "resampling='cubic'.*bilinear.*nearest"),
        ({"error_correlation": 1.1}, "error_correlation=1.1.*0 to 1"),
        ({"error_correlation": -0.1}, "error_correlation=-0.1.*0 to 1"),
        ({"error_correlation": np.nan}, "error_correlation=nan.*0 to 1"),
    ],
)
def test_options_out_of_range_are_named(options: Any, text: str) -> None:
    source, target = grid(UTM, CENTRE, 10.0, (5, 5)), grid(UTM, CENTRE, 7.0, (5, 5))
    for like in (target, source):
        with pytest.raises(ValueError, match=text):
            propagated(on(source, *noise((5, 5))), like, **options)


@pytest.mark.parametrize("pixel", [10.0, 7.0])
@pytest.mark.parametrize("lazy", [False, True])
def test_inputs_stay_as_they_were(lazy: bool, pixel: float) -> None:
    source, target = grid(UTM, CENTRE, 10.0, (9, 9)), grid(UTM, CENTRE, pixel, (9, 9))
    dataset = on(source, *noise((9, 9)), flags((9, 9)), sensor="s1")
    dataset.mu.attrs["note"] = "mine"
    dataset = dataset.chunk({"y": 4}) if lazy else dataset
    like = xr_zeros(target, chunks=(4, 4) if lazy else None)
    before = copy.deepcopy(dataset), copy.deepcopy(like)
    encodings = {k: dict(v.encoding) for k, v in dataset.variables.items()}
    result = propagated(dataset, like)
    result.mu.attrs["note"] = "changed"
    result.attrs["sensor"] = "changed"
    result.mu.encoding["note"] = "changed"
    xr.testing.assert_identical(dataset, before[0])
    xr.testing.assert_identical(like, before[1])
    assert {k: dict(v.encoding) for k, v in dataset.variables.items()} == encodings


def test_arrays_that_may_not_be_written_are_read() -> None:
    source, target = grid(UTM, CENTRE, 10.0, (9, 9)), grid(UTM, CENTRE, 7.0, (9, 9))
    mu, sigma = noise((9, 9))
    expected = propagated(on(source, mu, sigma), target)
    strided = on(source, np.asfortranarray(mu), np.repeat(sigma, 2, axis=1)[:, ::2])
    mu.flags.writeable = sigma.flags.writeable = False
    assert_same(propagated(on(source, mu, sigma), target), expected)
    assert_same(propagated(strided, target), expected)


def test_one_result_of_single_and_double_precision_is_double() -> None:
    source, target = grid(UTM, CENTRE, 10.0, (9, 9)), grid(UTM, CENTRE, 7.0, (9, 9))
    mu, sigma = noise((9, 9))
    result = propagated(on(source, mu.astype(np.float32), sigma), target)
    assert result.mu.dtype == result.sigma.dtype == np.float64


@pytest.mark.parametrize("lazy", [False, True])
def test_two_retrievals_on_one_geobox_fuse(lazy: bool) -> None:
    target = grid("EPSG:4326", (15.0, 45.15), 0.0001, (40, 50))
    pairs = []
    for crs, sensor in (("EPSG:32633", "s1"), ("EPSG:32632", "s2")):
        u, v = exact_positions(grid(crs, (0.0, 0.0), 1.0, (1, 1)), target)
        centre = oracle.apply(grid(crs, (0.0, 0.0), 1.0, (1, 1)).affine, u.mean(), v.mean())
        source = grid(crs, centre, 10.0, (70, 60))
        dataset = on(source, *noise(source.shape, np.float32), sensor=sensor)
        pairs.append(propagated(dataset.chunk({"y": 20}) if lazy else dataset, target))
    fused = xf.gaussian(*pairs)
    assert fused.mu.shape == target.shape.yx
    assert fused.odc.geobox == target
    weights = [1 / p.sigma.values.astype(np.float64) ** 2 for p in pairs]
    expected = sum(w * p.mu.values for w, p in zip(weights, pairs, strict=True)) / sum(weights)
    np.testing.assert_allclose(fused.mu, expected, rtol=1e-4, atol=1e-6)
    assert (fused.source == 3).all()
