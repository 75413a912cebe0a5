"""Areas of pixels against geodesic polygons, for any map and any block."""

import math

import numpy as np
import pyproj
import pytest
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from xfusion.assessment.weighing import Weighing
from xfusion.datamodel.pixel_area import PixelArea
from xfusion.kernels import weight_lines

GRIDS = {
    "degrees": GeoBox((1000, 1000), Affine(1e-4, 0, 16, 0, -1e-4, 48), "EPSG:4326"),
    "upside down": GeoBox((90, 80), Affine(1e-2, 0, 16, 0, 1e-2, 48), "EPSG:4326"),
    "grads": GeoBox((500, 500), Affine(1e-3, 0, 2, 0, -1e-3, 50), "EPSG:4807"),
    "turned degrees": GeoBox((500, 500), Affine(1e-3, 2e-4, 2, 2e-4, -1e-3, 50), "EPSG:4326"),
    "UTM": GeoBox((2000, 1500), Affine(10, 0, 300000, 0, -10, 5e6), "EPSG:32633"),
    "turned UTM": GeoBox((2000, 1500), Affine(8, 3, 300000, 3, -8, 5e6), "EPSG:32633"),
    "web Mercator": GeoBox((900, 900), Affine(10, 0, 1.7e6, 0, -10, 8.4e6), "EPSG:3857"),
    "south of the equator": GeoBox((900, 900), Affine(10, 0, 1.7e6, 0, -10, -8.4e6), "EPSG:3857"),
    "across the antimeridian": GeoBox((90, 90), Affine(300, 0, 6.97e5, 0, -300, 7e6), "EPSG:32660"),
    "the pole": GeoBox((500, 500), Affine(1000, 0, -2.5e5, 0, -1000, 2.5e5), "EPSG:3413"),
    "feet": GeoBox((500, 500), Affine(100, 0, 1e6, 0, -100, 2e5), "EPSG:2263"),
}


def geodesic(geobox: GeoBox, row: int, column: int, points: int = 20) -> float:
    """Return the area of one pixel in km2, its edges drawn as geodesics of many points."""
    crs = pyproj.CRS(str(geobox.crs))
    own = crs.geodetic_crs
    assert own is not None
    degrees = math.degrees(own.axis_info[0].unit_conversion_factor)
    t = np.arange(points) / points
    o = np.zeros(points)
    columns = column + np.concatenate([t, o + 1, 1 - t, o])
    rows = row + np.concatenate([o, t, o + 1, 1 - t])
    x, y = geobox.pix2wld(columns, rows)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    x, y = pyproj.Transformer.from_crs(crs, own, always_xy=True).transform(x, y)
    area, _ = own.get_geod().polygon_area_perimeter(np.array(x) * degrees, np.array(y) * degrees)  # type: ignore[union-attr]  # a geodetic CRS has one
    return float(abs(area)) / 1e6


def whole(geobox: GeoBox) -> NDArray[np.float64]:
    rows, columns = geobox.shape
    return PixelArea(geobox).of_block(slice(0, rows), slice(0, columns))


@pytest.mark.parametrize("name", GRIDS)
def test_a_pixel_is_as_large_as_on_the_ellipsoid(name: str) -> None:
    geobox = GRIDS[name]
    rows, columns = geobox.shape
    areas = np.broadcast_to(whole(geobox), geobox.shape)
    for row, column in [(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 2), (37, 71)]:
        assert areas[row, column] == pytest.approx(geodesic(geobox, row, column), rel=5e-6)


@pytest.mark.parametrize("name", GRIDS)
def test_a_block_has_the_areas_it_has_in_the_whole(name: str) -> None:
    geobox = GRIDS[name]
    block = PixelArea(geobox).of_block(slice(30, 85), slice(11, 80))
    np.testing.assert_array_equal(
        np.broadcast_to(block, (55, 69)), np.broadcast_to(whole(geobox), geobox.shape)[30:85, 11:80]
    )


@pytest.mark.parametrize("name", GRIDS)
def test_a_kernel_weighs_the_pixels_of_a_block_by_these_areas(name: str) -> None:
    geobox = GRIDS[name]
    rows, columns = slice(30, 85), slice(11, 80)
    lines = Weighing(PixelArea(geobox), 1.0, 40).lines(rows, columns, None, 1.0)
    weights = np.empty(2 * 55 * 69)
    weight_lines.fill(weight_lines.with_plain_values(lines), 0, 0, 69, weights)
    there = PixelArea(geobox).of_block(rows, columns)
    once = np.nan_to_num(np.broadcast_to(there, (55, 69)).ravel()) * 2.0**39
    # as often as there are dates
    np.testing.assert_allclose(weights, np.tile(once, 2), rtol=1e-14)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4047"])
def test_all_pixels_of_the_world_are_the_surface_of_the_ellipsoid(crs: str) -> None:
    world = GeoBox((180, 360), Affine(1, 0, -180, 0, -1, 90), crs)
    shape = pyproj.CRS(crs).ellipsoid
    assert shape is not None
    a, b = shape.semi_major_metre, shape.semi_minor_metre
    e = math.sqrt(1 - (b / a) ** 2)
    surface = 2 * math.pi * a**2 * (1 + (1 - e**2) / e * math.atanh(e)) if e else 4 * math.pi * a**2
    assert float(whole(world).sum()) * 360 == pytest.approx(surface / 1e6, rel=1e-12)


def test_what_is_beyond_the_rim_of_a_map_has_no_area() -> None:
    side = 2e5
    sinusoidal = GeoBox((100, 200), Affine(side, 0, -100 * side, 0, -side, 50 * side), "ESRI:54008")
    areas = whole(sinusoidal)
    assert np.isnan(areas[0, 0])
    assert areas[50, 100] == pytest.approx(side**2 / 1e6, rel=1e-3)


def test_a_grid_of_a_building_site_has_no_areas() -> None:
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    with pytest.raises(ValueError, match="write_crs"):
        PixelArea(GeoBox((2, 2), Affine(1, 0, 0, 0, -1, 0), local))
