"""Where target pixels fall in the source, against pyproj pixel by pixel."""

import functools
from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

import xfusion as xf
from tests import resampling_oracle as oracle
from tests.resampling_oracle import exact_positions, grid, inside, interpolate, noise, on
from tests.test_composition import EQUI7
from xfusion.kernels import control, resample
from xfusion.warp import pixel_mapping as mapping
from xfusion.warp.pixel_mapping import PixelMapping

# sigma as the law of propagation has it, without what positions add: test_position_error.py
propagated = functools.partial(xf.coregister, position_error=0.0)

UTM, NEXT_UTM, GEOGRAPHIC = "EPSG:32633", "EPSG:32632", "EPSG:4326"
FULL_DISC = "+proj=geos +h=35785831 +lon_0=0 +sweep=y +ellps=WGS84 +units=m"
TOLERANCE = 1e-3  # source pixels


def place(crs: str, longitude: float, latitude: float) -> tuple[float, float]:
    """A place on the ground in coordinates of a CRS."""
    here = grid(GEOGRAPHIC, (longitude, latitude), 1e-9, (1, 1))
    u, v = exact_positions(GeoBox((1, 1), Affine.identity(), crs), here)
    return float(u[0, 0]), float(v[0, 0])


def pair(
    source_crs: str,
    target_crs: str,
    latitude: float,
    pixel: float,
    *,
    target_pixel: float,
    shape: tuple[int, int],
    longitude: float = 13.0,
) -> tuple[GeoBox, GeoBox]:
    """A target inside a source; sizes of pixels in metres of ground."""
    source_shape = tuple(int(1.7 * n * target_pixel / pixel) + 20 for n in shape)
    source = grid(
        source_crs, place(source_crs, longitude, latitude), pixel, (max(source_shape),) * 2
    )
    down = target_pixel
    across = target_pixel
    if target_crs == GEOGRAPHIC:
        down /= 111_320.0
        across /= 111_320.0 * np.cos(np.radians(latitude))
    centre = place(target_crs, longitude, latitude)
    return source, grid(target_crs, centre, (across, -down), shape)


def mapped(mapping: PixelMapping, rows: slice, columns: slice) -> tuple[NDArray[Any], NDArray[Any]]:
    """Positions as the kernels see them: a plane, interpolated where the target is finer."""
    where = mapping.control_grid(rows, columns)
    window = control.Window((0, 0), mapping.source.shape.yx, mapping.source.shape.yx)
    v, u = np.indices(mapping.source.shape) + 0.5
    shape = rows.stop - rows.start, columns.stop - columns.start
    found, flags = np.empty((2, *shape)), np.empty(shape, np.uint8)
    out = found[0], found[1], flags
    resample.joint(u, v, None, window, where, error_correlation=1.0, outside=32, out=out)
    return found[0], found[1]


WAYS = [(UTM, GEOGRAPHIC), (UTM, NEXT_UTM), (EQUI7, UTM)]
NAMES = ["utm-geographic", "utm-next-zone", "equi7-utm"]


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("pixel", [10.0, 300.0])
@pytest.mark.parametrize("latitude", [45.0, 70.0])
@pytest.mark.parametrize(("source_crs", "target_crs"), WAYS, ids=NAMES)
def test_values_are_those_of_bilinear_interpolation_at_exact_positions(
    source_crs: str, target_crs: str, latitude: float, pixel: float
) -> None:
    source, target = pair(
        source_crs, target_crs, latitude, pixel, target_pixel=0.7 * pixel, shape=(300, 620)
    )
    mu, sigma = noise(source.shape)
    u, v = exact_positions(source, target)
    assert inside(source, u, v).all()
    result = propagated(on(source, mu, sigma), target)
    for name, field in (("mu", mu), ("sigma", sigma)):
        error = np.abs(result[name].values - interpolate(field, u, v))
        assert (error / oracle.local_gradient(field, u, v)).max() < 1e-3


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("pixel", [10.0, 300.0, 2000.0])
@pytest.mark.parametrize("latitude", [45.0, 70.0])
@pytest.mark.parametrize(("source_crs", "target_crs"), WAYS, ids=NAMES)
def test_every_position_is_within_a_thousandth_of_a_pixel(
    source_crs: str, target_crs: str, latitude: float, pixel: float
) -> None:
    source, target = pair(
        source_crs, target_crs, latitude, pixel, target_pixel=0.7 * pixel, shape=(400, 401)
    )
    u, v = mapped(PixelMapping.between(source, target), slice(0, 400), slice(0, 401))
    exact = exact_positions(source, target)
    assert np.abs(u - exact[0]).max() < TOLERANCE
    assert np.abs(v - exact[1]).max() < TOLERANCE


@pytest.mark.parametrize("step", [3, 128, 1000])
@pytest.mark.parametrize(("source_crs", "target_crs"), WAYS, ids=NAMES)
def test_cells_of_a_step_that_is_too_wide_are_transformed_exactly(
    source_crs: str, target_crs: str, step: int
) -> None:
    source, target = pair(
        source_crs, target_crs, 60.0, 2000.0, target_pixel=1500.0, shape=(150, 260)
    )
    wide = PixelMapping(source, target, step)
    rows, columns = slice(70, 150), slice(130, 260)
    where = wide.control_grid(rows, columns)
    assert (where.exact >= 0).any() == (step > 100)
    u, v = mapped(wide, rows, columns)
    exact = [p[rows, columns] for p in exact_positions(source, target)]
    assert np.abs(u - exact[0]).max() < TOLERANCE
    assert np.abs(v - exact[1]).max() < TOLERANCE


def test_the_step_is_chosen_for_the_whole_target_and_any_block_has_the_same_positions() -> None:
    source, target = pair(UTM, GEOGRAPHIC, 70.0, 1000.0, target_pixel=700.0, shape=(500, 500))
    chosen = PixelMapping.between(source, target)
    gentle = PixelMapping.between(source, target[200:264, 200:264])
    assert chosen.step in mapping.STEPS
    assert gentle.step >= chosen.step
    whole = mapped(chosen, slice(0, 500), slice(0, 500))
    for rows, columns in (
        (slice(0, 1), slice(0, 500)),
        (slice(137, 301), slice(499, 500)),
        (slice(33, 34), slice(95, 290)),
    ):
        for a, b in zip(mapped(chosen, rows, columns), whole, strict=True):
            np.testing.assert_array_equal(a, b[rows, columns])


@pytest.mark.parametrize("pixel", [0.01, 0.25])
@pytest.mark.parametrize("crs", ["EPSG:32601", "EPSG:32660"])
def test_a_source_across_the_antimeridian_is_continuous(crs: str, pixel: float) -> None:
    source = grid(GEOGRAPHIC, (180.0, 50.0), pixel, (int(2 / pixel), int(2 / pixel)))
    target = grid(crs, place(crs, 180.0, 50.0), 60_000 * pixel, (200, 200))
    check_interpolation(source, target)


@pytest.mark.parametrize("longitude", [180.0, -180.0])
def test_a_target_across_the_antimeridian_is_continuous(longitude: float) -> None:
    source = grid("EPSG:32660", place("EPSG:32660", 180.0, 50.0), 1000.0, (200, 200))
    target = grid(GEOGRAPHIC, (longitude, 50.0), 0.005, (300, 300))
    check_interpolation(source, target)


def test_a_projected_source_across_the_antimeridian_loses_none_of_its_half() -> None:
    source = GeoBox((40, 100), Affine(1000, 0, 20_000_000, 0, -1000, 20_000), "EPSG:3857")
    target = GeoBox((20, 60), Affine(0.008, 0, 179.7, 0, -0.01, 0.1), "EPSG:4326")
    columns = np.broadcast_to(np.arange(100.0), source.shape).copy()
    found = propagated(on(source, columns), target).mu.values
    degrees = 179.7 + 0.008 * (np.arange(60) + 0.5)
    eastings = degrees / 180 * 20_037_508.342789244
    np.testing.assert_allclose(found[10], (eastings - 20_000_000) / 1000 - 0.5, atol=1e-3)


def test_a_source_beyond_where_its_projection_is_unique_shows_what_is_on_the_map() -> None:
    # the turn of a sinusoidal projection depends on latitude
    sinusoidal = "+proj=sinu +lon_0=0 +datum=WGS84 +units=m"
    source = GeoBox((40, 100), Affine(10_000, 0, 1.5e7, 0, -10_000, 4_500_000), sinusoidal)
    target = GeoBox((20, 60), Affine(0.1, 0, 177.0, 0, -0.1, 40.0), "EPSG:4326")
    mu = np.arange(4000.0).reshape(source.shape)
    result = propagated(on(source, mu), target, resampling="nearest")
    lon, lat = np.meshgrid(result.longitude, result.latitude)
    there = Transformer.from_crs("EPSG:4326", sinusoidal, always_xy=True)
    x, y = there.transform(lon, lat)
    column, row = (x - 1.5e7) / 10_000, (4_500_000 - y) / 10_000
    inside = (column >= 0) & (column < 100) & (row >= 0) & (row < 40)
    at = [np.clip(p.astype(int), 0, n - 1) for p, n in ((row, 40), (column, 100))]
    expected = np.where(inside, mu[at[0], at[1]], np.nan)
    np.testing.assert_array_equal(result.mu, expected)
    assert inside[:, lon[0] < 180].any()
    assert not inside[:, lon[0] > 180].any()


def test_neighbouring_utm_zones_meet_across_the_antimeridian() -> None:
    source = grid("EPSG:32601", place("EPSG:32601", 180.0, 65.0), 10.0, (150, 150))
    target = grid("EPSG:32660", place("EPSG:32660", 180.0, 65.0), 9.0, (180, 180))
    check_interpolation(source, target)


def test_a_shift_by_a_full_turn_copies() -> None:
    source = grid(GEOGRAPHIC, (180.0, 10.0), 0.5, (4, 4))
    mu, sigma = noise((4, 4))
    result = propagated(on(source, mu, sigma), grid(GEOGRAPHIC, (-180.0, 10.0), 0.5, (4, 4)))
    np.testing.assert_array_equal(result.mu, mu)


def check_interpolation(source: GeoBox, target: GeoBox) -> None:
    """Pixels inside the source have the plain bilinear value, all others are missing."""
    mu, sigma = noise(source.shape)
    u, v = exact_positions(source, target)
    within = inside(source, u, v)
    sure = [s for d in (-1e-3, 1e-3) for s in (inside(source, u + d, v), inside(source, u, v + d))]
    edge = np.any(np.stack(sure) != within, axis=0)
    assert within.any()
    result = propagated(on(source, mu, sigma), target)
    np.testing.assert_array_equal(np.isfinite(result.mu.values)[~edge], within[~edge])
    for name, field in (("mu", mu), ("sigma", sigma)):
        error = np.abs(result[name].values - interpolate(field, u, v))
        scaled = (error / oracle.local_gradient(field, u, v))[within & ~edge]
        assert scaled.max() < 1e-3, f"{np.count_nonzero(scaled >= 1e-3)} pixels are off"


def test_a_global_source_ends_at_the_antimeridian_without_smearing() -> None:
    source = grid(GEOGRAPHIC, (0.0, 0.0), 0.5, (360, 720))
    target = grid("EPSG:32660", place("EPSG:32660", 180.0, 50.0), 15_000.0, (64, 64))
    check_interpolation(source, target)


def test_longitudes_from_0_to_360_meet_a_source_from_180_west_to_180_east() -> None:
    source = grid(GEOGRAPHIC, (0.0, 0.0), 1.0, (40, 360))
    target = grid(GEOGRAPHIC, (180.0, 0.0), 0.75, (40, 480))
    check_interpolation(source, target)


@pytest.mark.parametrize("how", ["nearest", "bilinear"])
@pytest.mark.parametrize("side", [40, 128, 600])
def test_pixels_beside_the_rim_of_the_earth_are_mapped(side: int, how: Any) -> None:
    source = grid(GEOGRAPHIC, (0.0, 0.0), 1.0, (180, 360))
    target = grid(FULL_DISC, (0.0, 0.0), 11_000_000.0 / side, (side, side))
    check_none_lost(source, target, how)


@pytest.mark.parametrize("how", ["nearest", "bilinear"])
def test_pixels_beside_the_pole_are_mapped(how: Any) -> None:
    source = grid("EPSG:3413", (0.0, 0.0), 25_000.0, (80, 80))
    target = grid(GEOGRAPHIC, (0.0, 88.0), 0.25, (24, 40))  # its first rows lie beyond the pole
    check_none_lost(source, target, how)


def check_none_lost(source: GeoBox, target: GeoBox, how: Any) -> None:
    within = inside(source, *exact_positions(source, target))
    assert 0.6 < within.mean() < 0.9
    result = propagated(on(source, *noise(source.shape)), target, resampling=how)
    lost = within & ~np.isfinite(result.mu.values)
    assert not lost.any(), f"{np.count_nonzero(lost)} of {np.count_nonzero(within)} lost"


def test_nearest_takes_the_pixel_that_the_exact_position_lies_in() -> None:
    source, target = pair(EQUI7, UTM, 52.0, 10.0, target_pixel=14.0, shape=(300, 300))
    number = np.arange(source.shape[0] * source.shape[1], dtype=np.float64).reshape(source.shape)
    u, v = exact_positions(source, target)
    result = propagated(on(source, number), target, resampling="nearest")
    expected = number[np.floor(v).astype(int), np.floor(u).astype(int)]
    clear = (np.abs(u - np.rint(u)) > TOLERANCE) & (np.abs(v - np.rint(v)) > TOLERANCE)
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(result.mu.values[clear], expected[clear])


def test_a_grid_without_crs_is_refused_by_name() -> None:
    source = grid(UTM, (500000.0, 5e6), 10.0, (4, 4))
    nowhere = xf.retrieval(np.zeros((4, 4)), np.ones((4, 4)))
    with pytest.raises(ValueError, match="no regular grid|no CRS"):
        propagated(nowhere, source)
    bare = GeoBox((4, 4), source.affine, None)
    dataset = on(source, np.zeros((4, 4)))
    with pytest.raises(ValueError, match="no CRS"):
        propagated(dataset, bare)
    lost = dataset.drop_vars("spatial_ref")
    for dim in lost.dims:
        lost[dim].attrs.clear()  # odc-geo names the CRS there, too
    for a, b in ((lost, source), (dataset, lost)):
        with pytest.raises(ValueError, match="no CRS"):
            propagated(a, b)
