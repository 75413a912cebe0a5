"""The boxes that are searched for a grid hold it, and little else, also at the antimeridian."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer

from xfusion.datamodel.outline import search_boxes

FARTHEST = 0.5  # degrees: of the grids below, from one corner to another


def grid_around(longitude: float, latitude: float, crs: CRS) -> GeoBox:
    """A grid of 20 km around a place, in any CRS."""
    to_crs = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x, y = to_crs.transform(longitude, latitude)
    half = 0.1 if crs.is_geographic else 10_000
    return GeoBox.from_bbox((x - half, y - half, x + half, y + half), str(crs), shape=(20, 20))


def local_crs(name: str, longitude: float, latitude: float) -> CRS:
    if name == "laea":
        return CRS(f"+proj=laea +lat_0={latitude} +lon_0={longitude} +datum=WGS84")
    if name == "utm":
        zone = int((longitude + 180) // 6) % 60 + 1
        return CRS((32600 if latitude >= 0 else 32700) + zone)
    return CRS(name)


PLACES = st.tuples(
    st.one_of(st.floats(179.7, 180.0), st.floats(-180.0, -179.7), st.floats(-180.0, 180.0)),
    st.floats(-60.0, 60.0),
)


@settings(deadline=None)
@given(PLACES, st.sampled_from(["laea", "utm", "EPSG:3832", "EPSG:4326"]))
def test_boxes_hold_the_grid_and_no_belt(place: tuple[float, float], name: str) -> None:
    longitude, latitude = place
    geobox = grid_around(longitude, latitude, local_crs(name, longitude, latitude))
    boxes = search_boxes(geobox)
    assert 1 <= len(boxes) <= 2
    for west, south, east, north in boxes:
        assert -180 <= west <= east <= 180
        assert -90 <= south <= north <= 90
    assert sum(east - west for west, _, east, _ in boxes) < FARTHEST
    # every pixel of it, by PROJ itself
    rows, columns = np.mgrid[0:21, 0:21]
    corners: Any = (columns.ravel(), rows.ravel())
    x, y = geobox.affine * corners
    to_degrees = Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True)
    found: Any = np.zeros(rows.size, np.bool_)
    longitudes, latitudes = to_degrees.transform(x, y)
    longitudes = (longitudes + 180) % 360 - 180
    edge = 1e-6
    for west, south, east, north in boxes:
        beside = np.abs(longitudes) > 180 - edge  # either side is right
        inside = (west - edge <= longitudes) & (longitudes <= east + edge)
        across = beside & (np.maximum(np.abs(west), np.abs(east)) > 180 - edge)
        found |= (inside | across) & (south - edge <= latitudes) & (latitudes <= north + edge)
    assert found.all()


@pytest.mark.parametrize("shift", [-360, 0, 360])
def test_longitudes_beyond_180_are_those_of_the_other_side(shift: float) -> None:
    box = (179.9 + shift, -17.0, 180.1 + shift, -16.8)
    east, west = search_boxes(GeoBox.from_bbox(box, "EPSG:4326", resolution=0.01))
    np.testing.assert_allclose(east, (179.9, -17.0, 180.0, -16.8))
    np.testing.assert_allclose(west, (-180.0, -17.0, -179.9, -16.8))


SEEN = 81.3  # degrees from below a geostationary satellite to the rim of what it sees
RIM = 5_500_000  # metres: beyond that rim


@pytest.mark.parametrize("below", [-137.0, -75.0, 0.0, 45.5, 140.7, 179.0, -180.0])
def test_a_disk_of_the_earth_is_searched_where_it_is(below: float) -> None:
    """Its corners are not on the earth, so that it has no outline."""
    crs = CRS(f"+proj=geos +h=35785831 +lon_0={below} +sweep=y +datum=WGS84")
    disk = GeoBox.from_bbox((-RIM, -RIM, RIM, RIM), crs.to_wkt(), shape=(500, 500))
    boxes = search_boxes(disk)
    width = sum(east - west for west, _, east, _ in boxes)
    assert 2 * SEEN - 12 < width < 2 * SEEN + 2
    assert len(boxes) == (2 if abs(below) + SEEN > 180 else 1)
    for degrees in np.arange(-70, 71, 10):
        longitude = (below + degrees + 180) % 360 - 180
        assert any(west <= longitude <= east for west, _, east, _ in boxes)


def test_a_grid_with_a_pole_and_edges_off_the_earth_has_all_longitudes() -> None:
    crs = CRS("+proj=ortho +lat_0=80 +lon_0=170 +datum=WGS84")
    half = 6_500_000
    boxes = search_boxes(GeoBox.from_bbox((-half, -half, half, half), crs.to_wkt(), shape=(99, 99)))
    assert sum(east - west for west, _, east, _ in boxes) > 350
