"""Which share of a grid items cover, at the antimeridian and at the pole as elsewhere."""

import datetime as dt
from typing import Any

import numpy as np
import pystac
import pytest
from odc.geo.geobox import GeoBox

from xfusion.masks.footprints import covered_shares

ACROSS = GeoBox.from_bbox((179.0, -17, 181.0, -16), "EPSG:4326", resolution=0.01)
IN_UTM = GeoBox.from_bbox((720_000, 8_130_000, 900_000, 8_210_000), "EPSG:32760", resolution=1000)
ELSEWHERE = GeoBox.from_bbox((0, -17, 2, -16), "EPSG:4326", resolution=0.01)


def ring(west: float, east: float, south: float = -18, north: float = -15) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [*rings]}


def share(geometry: Any, grid: GeoBox, box: Any = (178, -18, -178, -15)) -> float:
    time = dt.datetime(2023, 6, 20, tzinfo=dt.UTC)
    made = pystac.Item(id="a", geometry=geometry, bbox=[*box], datetime=time, properties={})
    return float(covered_shares([[made]], grid)[0])


IN_PARTS = {"type": "MultiPolygon", "coordinates": [[ring(178, 180)], [ring(-180, -178)]]}
JUMPING_PARTS = {"type": "MultiPolygon", "coordinates": [[ring(178, -179)], [ring(-179, -178)]]}


@pytest.mark.parametrize(
    "geometry",
    [
        polygon(ring(178, -178)),
        polygon(ring(-178, 178)),
        polygon(ring(178, 182)),
        IN_PARTS,
        JUMPING_PARTS,
        None,
    ],
    ids=["jumps east", "jumps west", "goes on", "in parts", "a part jumps", "box alone"],
)
def test_a_footprint_across_the_antimeridian_covers_what_lies_in_it_and_nothing_else(
    geometry: Any,
) -> None:
    assert share(geometry, ACROSS) == 1
    assert share(geometry, IN_UTM) == 1
    assert share(geometry, ELSEWHERE) == 0


def test_a_footprint_of_any_decimals_across_the_antimeridian_closes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        west, more_west = (178 + rng.random(2)).round(6)
        east, more_east = (-178 - rng.random(2)).round(6)
        corners = [[west, -18], [east, -18.1], [more_east, -15], [more_west, -15.1], [west, -18]]
        assert share(polygon(corners), ELSEWHERE) == 0
        assert share(polygon(corners), ACROSS) > 0.3


def test_half_a_footprint_across_the_antimeridian_covers_half() -> None:
    assert share(polygon(ring(178, -180)), ACROSS) == pytest.approx(0.5, abs=0.02)
    assert share(polygon(ring(179.5, -179.5)), ACROSS) == pytest.approx(0.5, abs=0.02)


def test_a_hole_in_a_footprint_across_the_antimeridian_stays_one() -> None:
    for hole in (ring(179.5, -179.5, -20, -10), ring(-180.5, -179.5, -20, -10)):
        hole[:] = [[x, max(-17.9, min(-15.1, y))] for x, y in hole]
        assert share(polygon(ring(178, -178), hole), ACROSS) == pytest.approx(0.5, abs=0.02)


def test_a_footprint_around_the_earth_or_a_pole_is_left_as_it_is() -> None:
    world = polygon(ring(-180, 180, -90, 90))
    assert share(world, ACROSS, (-180, -90, 180, 90)) == 1
    assert share(world, ELSEWHERE, (-180, -90, 180, 90)) == 1
    cap = [[x, -60.0] for x in np.arange(-180.0, 180, 30)]
    assert share(polygon([*cap, [180.0, -60.0], [180.0, -90], [-180, -90], cap[0]]), ACROSS) == 0
    assert share(polygon([[0, 70], [120, 70], [-120, 70], [0, 70]]), ELSEWHERE) == 0
