"""How much of a grid the footprints of items cover, as they say it themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.earth import DEGREES, TURN, transformer
from xfusion.stac.records import malformed

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

COVERED = "covered"  # the coordinate of bands
POINTS = 64  # a side of the grid, that are looked at


def covered_shares(passes: Sequence[Sequence[pystac.Item]], geobox: GeoBox) -> NDArray[np.float64]:
    """Return which share of a grid each pass covers, by the geometries of its items.

    Clouds and nodata within are not known before pixels are read. An item without a geometry
    covers its box, and without that everything.
    """
    rows, columns = (
        np.unique((np.linspace(0, n, POINTS, endpoint=False) + n / POINTS / 2).astype(int)) + 0.5
        for n in geobox.shape
    )
    along, down = (each.ravel() for each in np.meshgrid(columns, rows))
    x, y = geobox.pix2wld(along, down)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    longitude, latitude = transformer(str(geobox.crs), DEGREES).transform(x, y)
    with np.errstate(invalid="ignore"):  # beyond the rim of a map
        longitude = (np.asarray(longitude) + TURN / 2) % TURN - TURN / 2
    shares = [
        np.any([_holds(item, longitude, np.asarray(latitude)) for item in items], axis=0).mean()
        for items in passes
    ]
    return np.array(shares, np.float64)


def _holds(
    item: pystac.Item, longitude: NDArray[np.float64], latitude: NDArray[np.float64]
) -> NDArray[np.bool_]:
    import shapely

    shape = _shape_of(item)
    if shape is None:
        return np.ones(longitude.shape, np.bool_)
    # a ring may go on beyond 180 degrees, either way
    turns = [shapely.intersects_xy(shape, longitude + k * TURN, latitude) for k in (-1, 0, 1)]
    held: NDArray[np.bool_] = np.any(turns, axis=0)
    return held


def _shape_of(item: pystac.Item) -> Any:
    """Return the footprint of an item, as shapely has it; None if it says none that is sound."""
    import shapely
    from shapely.geometry import shape

    try:
        if item.geometry:
            found = _the_short_way(shape(item.geometry))
            sound = found if found.is_valid else shapely.make_valid(found)
            if not sound.is_empty:
                return sound
        west, south, east, north = _flat(item.bbox or ())
    except (*malformed(), shapely.errors.ShapelyError):
        return None
    # across the antimeridian the west of a box is the greater
    return shapely.box(west, south, east + TURN if east < west else east, north)


def _the_short_way(footprint: Any) -> Any:
    """Return polygons whose edges go on beyond 180 degrees, where they were not cut there.

    An edge from 179 to -179 is 2 degrees long; but one of all the turn is the side of a box around
    the earth.
    """
    import shapely

    rings = shapely.get_rings(shapely.get_parts(footprint))
    steps = [np.abs(np.diff(shapely.get_coordinates(ring)[:, 0])) for ring in rings]
    if not any(((step > TURN / 2) & (step < TURN)).any() for step in steps):
        return footprint
    return shapely.union_all([_unwrapped(part) for part in shapely.get_parts(footprint)])


def _unwrapped(polygon: Any) -> Any:
    import shapely

    around, *holes = (shapely.get_coordinates(ring) for ring in shapely.get_rings(polygon))
    for ring in (around, *holes):
        # whole turns, so that a ring that closes does so to the last bit
        jumps = np.round(np.diff(ring[:, 0]) / TURN)
        ring[1:, 0] -= TURN * np.cumsum(jumps)
        # a hole on the turn of what it is in
        ring[:, 0] += TURN * np.round((around[0, 0] - ring[0, 0]) / TURN)
    if around[0, 0] != around[-1, 0]:
        return polygon  # it goes around a pole, and closes nowhere else
    made = shapely.Polygon(around, holes)
    return made if shapely.is_valid(made) else shapely.make_valid(made)


def _flat(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the sides of a box, without heights."""
    half = len(box) // 2
    west, south, east, north = *map(float, box[:2]), *map(float, box[half : half + 2])
    return west, south, east, north
