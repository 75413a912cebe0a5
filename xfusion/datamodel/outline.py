"""Where a grid lies on the earth: its outline in longitude and latitude."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .earth import DEGREES, off_the_map, transformer
from .grid import crs_name

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import Geometry

SIDE = 65  # points a side: a projected edge is curved in longitude and latitude
DIGITS = 7  # a centimetre
TURN = 360.0
POLES = (90.0, -90.0)
GAP = 20.0  # degrees without a point of a grid that lies across the antimeridian


def footprint(geobox: GeoBox) -> tuple[dict[str, Any], list[float]]:
    """Return the outline of a grid as GeoJSON, and its bounding box, in WGS 84.

    As GeoJSON wants it (RFC 7946), what crosses the antimeridian is cut there, and west of its
    box is then larger than east. A grid with a pole inside reaches up to it.

    Raises
    ------
    ValueError
        If an edge of the grid is not on the earth.
    """
    from odc.geo import geom

    longitude, latitude = _outline(geobox)
    if not (np.isfinite(longitude).all() and np.isfinite(latitude).all()):
        msg = (
            f"an edge of the grid in {crs_name(geobox.crs)} is not on the earth, so it has no "
            "outline in longitude and latitude: cut the grid smaller with .isel, or leave out the "
            "item, item=False"
        )
        raise ValueError(msg)
    # without a jump at the antimeridian
    longitude = np.unwrap(longitude, period=TURN)
    winding = longitude[-1] - longitude[0]
    points = [*zip(longitude.tolist(), latitude.tolist(), strict=True)]
    if abs(winding) > TURN / 2:
        pole = next((p for p in POLES if _holds(geobox, p)), POLES[0])
        points += [(longitude[-1], pole), (longitude[0], pole)]
        latitude = np.append(latitude, pole)
    ring = geom.polygon(points, DEGREES)
    if not ring.is_valid:
        ring = ring.buffer(0.0)
    ring = ring.simplify(10.0**-DIGITS)
    west, east = float(longitude.min()), float(longitude.max())
    parts: list[Geometry] = []
    for turn in range(int(np.floor((west + 180) / TURN)), int(np.ceil((east + 180) / TURN))):
        shift = turn * TURN
        world = geom.box(shift - 180, -90, shift + 180, 90, DEGREES)
        parts += [_shifted(part, shift) for part in _polygons(ring & world)]
    south, north = float(latitude.min()), float(latitude.max())
    if east - west >= TURN - 10.0**-DIGITS:
        west, east = -180.0, 180.0
    else:
        west, east = _wrapped(west), -_wrapped(-east)
    bbox = [round(v, DIGITS) for v in (west, south, east, north)]
    # two turns may meet where the outline begins
    rings = [_rings(part) for part in _polygons(geom.multigeom(parts).buffer(0.0))]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}, bbox
    return {"type": "MultiPolygon", "coordinates": rings}, bbox


def search_boxes(geobox: GeoBox) -> list[tuple[float, float, float, float]]:
    """Return bounding boxes of a grid, west, south, east, north, none across the antimeridian.

    One, or two of what crosses it: many catalogues do not read a west larger than the east. A grid
    with edges off the earth has the box of what is on it.
    """
    try:
        west, south, east, north = footprint(geobox)[1]
    except ValueError:
        longitude, latitude = _on_the_earth(geobox)
        west, east = _narrowest(longitude)
        south, north = float(latitude.min()), float(latitude.max())
    if west <= east:
        return [(west, south, east, north)]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def _narrowest(longitude: NDArray[np.float64]) -> tuple[float, float]:
    """Return the west and the east of longitudes, the one larger where they cross the antimeridian.

    Such as those of a disk that a satellite over the Pacific sees.
    """
    ordered = np.unique(longitude)
    west, east = float(ordered[0]), float(ordered[-1])
    if ordered.size < 2:  # noqa: PLR2004  # it has no gap
        return west, east
    gaps = np.diff(ordered)
    widest = int(gaps.argmax())
    # what is narrower may lie between the points that were looked at
    if gaps[widest] > max(GAP, west + TURN - east):
        return float(ordered[widest + 1]), float(ordered[widest])
    return west, east


def _on_the_earth(geobox: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude of those of some points of a grid that have them."""
    rows, columns = geobox.shape
    down, along = np.linspace(0.0, rows, SIDE), np.linspace(0.0, columns, SIDE)
    x, y = (axis.ravel() for axis in np.meshgrid(along, down))
    longitude, latitude = _degrees(geobox, x, y)
    shown = np.isfinite(longitude) & np.isfinite(latitude)
    if not shown.any():
        grid = f"the grid in {crs_name(geobox.crs)}"
        msg = f"no part of {grid} is on the earth: check its CRS and extent"
        raise ValueError(msg)
    return _wrapped(longitude[shown]), latitude[shown]


def _outline(geobox: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude along the edges of a grid, back to where they start."""
    rows, columns = geobox.shape
    steps = np.linspace(0.0, 1.0, SIDE)[:-1]
    down, along = steps * rows, steps * columns
    x = np.concatenate([along * 0, along, along * 0 + columns, columns - along, [0.0]])
    y = np.concatenate([down, down * 0 + rows, rows - down, down * 0, [0.0]])
    return _degrees(geobox, x, y)


def _degrees(geobox: GeoBox, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude of positions in a grid."""
    east, north = map(np.asarray, geobox.pix2wld(x, y))  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    longitude, latitude = transformer(str(geobox.crs), DEGREES).transform(east, north)
    off = off_the_map(geobox.crs, east, north, abs(geobox.resolution.x))
    return np.where(off, np.inf, longitude), np.asarray(latitude)


def _holds(geobox: GeoBox, pole: float) -> bool:
    here = transformer(DEGREES, str(geobox.crs)).transform(0.0, pole)
    column, row = geobox.wld2pix(*here)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    rows, columns = geobox.shape
    return bool(0 <= row <= rows and 0 <= column <= columns)


def _polygons(geometry: Geometry) -> list[Any]:
    # where outlines touch the edge of the world there may be lines as well
    parts = getattr(geometry.geom, "geoms", [geometry.geom])
    return [part for part in parts if part.geom_type == "Polygon" and not part.is_empty]


def _shifted(polygon: Any, shift: float) -> Geometry:
    from odc.geo import geom

    ring = polygon.exterior  # a grid has no holes
    points = [(round(x - shift, DIGITS), round(y, DIGITS)) for x, y in ring.coords]
    return geom.polygon(points, DEGREES)


def _rings(polygon: Any) -> list[list[list[float]]]:
    """Return the rings of a polygon, counterclockwise as RFC 7946 wants them."""
    ring = polygon.exterior
    return [[[x, y] for x, y in (ring.coords if ring.is_ccw else reversed(ring.coords))]]


def _wrapped(longitude: Any) -> Any:
    """Return a longitude from -180, itself included, to 180."""
    return (longitude + 180) % TURN - 180
