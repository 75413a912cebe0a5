"""Distances of pixels against geodesics, for any map."""

from typing import Any

import numpy as np
import pyproj
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from tests.test_pixel_area import GRIDS
from xfusion.datamodel.ground_distance import GroundDistance, apart


def geodesic(geobox: GeoBox, start: tuple[float, float], end: tuple[float, float]) -> float:
    """Return how far apart two places are in metres, given by row and column."""
    crs = pyproj.CRS(str(geobox.crs))
    own: Any = crs.geodetic_crs
    rows, columns = np.array([start, end]).T
    x, y = geobox.pix2wld(columns, rows)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    x, y = pyproj.Transformer.from_crs(crs, own, always_xy=True).transform(x, y)
    degrees = np.rad2deg(own.axis_info[0].unit_conversion_factor)
    x, y = np.array(x) * degrees, np.array(y) * degrees
    return float(own.get_geod().inv(x[0], y[0], x[1], y[1])[2])


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("step", [(1, 0), (0, 1), (3, -4), (20, 15)])
def test_pixels_are_as_far_apart_as_on_the_ellipsoid(name: str, step: tuple[int, int]) -> None:
    geobox = GRIDS[name]
    metric = GroundDistance(geobox).metric(slice(20, 60), slice(10, 50))
    found = apart(metric, *(np.array([n]) for n in step))[0, 0]
    start, end = ((40 + s * step[0] / 2, 30 + s * step[1] / 2) for s in (-1, 1))
    assert found == pytest.approx(geodesic(geobox, start, end), rel=1e-4)


@pytest.mark.parametrize("name", GRIDS)
def test_no_pixel_is_much_smaller_than_the_smallest(name: str) -> None:
    geobox = GRIDS[name]
    height, width = GroundDistance(geobox).smallest_sides
    for row, column in np.random.default_rng(0).uniform(0, 1, (20, 2)) * geobox.shape:
        assert geodesic(geobox, (row - 0.5, column), (row + 0.5, column)) > height * 0.999
        assert geodesic(geobox, (row, column - 0.5), (row, column + 0.5)) > width * 0.999


def test_a_distance_reaches_no_farther_than_the_grid() -> None:
    geobox = GeoBox((30, 50), Affine(10, 0, 300000, 0, -20, 5e6), "EPSG:32633")
    distance = GroundDistance(geobox)
    assert distance.pixels(100.0) == (6, 11)  # 10 m of the map are a little less on the ground
    assert distance.pixels(np.inf) == (29, 49)


def test_a_row_along_a_pole_does_not_make_pixels_small() -> None:
    world = GeoBox((180, 360), Affine(1, 0, -180, 0, -1, 90), "EPSG:4326")
    height, width = GroundDistance(world).smallest_sides
    assert height == pytest.approx(110_574, rel=1e-2)
    assert width == pytest.approx(970, rel=1e-2)
