"""The grid of a box: of its UTM zone, or near a pole of Universal Polar Stereographic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.degrees import check_box
from xfusion.datamodel.earth import DEGREES, TURN, transformer

if TYPE_CHECKING:
    from pyproj import Proj

Box: TypeAlias = tuple[float, float, float, float]

POINTS = 65  # along each edge, as straight lines of one map are curved on another
NORTH, SOUTH = 84.0, -80.0  # latitudes at which UTM ends
UPS_NORTH, UPS_SOUTH = "EPSG:32661", "EPSG:32761"
TRUE = 0.01  # share by which metres of a grid may be off
RADIUS = 6_371_008.8  # metres


def grid_of_place(place: Any, resolution: float) -> Any:
    """Return the grid of a box; what is no box is returned.

    Parameters
    ----------
    place : (west, south, east, north), BoundingBox or a grid
        In degrees, east above 180 if it lies across the antimeridian; a BoundingBox of odc-geo in
        its CRS.
    resolution : float
        Metres of a pixel.

    Raises
    ------
    ValueError
        If it has four sides that are none, other than four, or no CRS; if metres of its zone are
        off by more than 1 % in it; or there is no such resolution.
    """
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import BoundingBox

    if not isinstance(place, tuple | list | np.ndarray | BoundingBox):
        return place
    longitude, latitude = _points_of(place)
    if not 0 < resolution < math.inf:
        msg = f"{resolution=}: give the metres of a pixel, such as 10"
        raise ValueError(msg)
    crs = _zone(longitude, latitude)
    x, y = transformer(DEGREES, crs).transform(longitude, latitude)
    off = _off(crs, longitude, latitude) if np.isfinite([x, y]).all() else math.inf
    if off > TRUE:
        by = f"up to {100 * off:.1f} %" if off < 1 else "more than their length"
        raise ValueError(_too_large(place, crs, by, longitude, latitude))
    edges = BoundingBox(x.min(), y.min(), x.max(), y.max(), crs)
    if resolution > max(edges.span_x, edges.span_y):
        msg = (
            f"{resolution=}: a pixel would be larger than the place, {edges.span_x:.0f} by "
            f"{edges.span_y:.0f} m: give the metres of a pixel, such as 10"
        )
        raise ValueError(msg)
    return GeoBox.from_bbox(edges, resolution=resolution)


def _points_of(place: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude of points all over a box, as it may hold a pole.

    Raises
    ------
    ValueError
        If it is none, or has no CRS.
    """
    from odc.geo.geom import BoundingBox

    if not isinstance(place, BoundingBox):
        west, south, east, north = _sides(place)
        return _mesh(west, south, east, north)
    if place.crs is None:
        msg = (
            f"place={place} has no CRS, so nobody knows whether it is in degrees: "
            "BoundingBox(..., crs='EPSG:4326')"
        )
        raise ValueError(msg)
    there = transformer(str(place.crs), DEGREES).transform(*_mesh(*place.bbox))
    longitude, latitude = map(np.asarray, there)
    if not np.isfinite(there).all():
        msg = f"place={place} is not all on the earth: give a smaller one, or one in degrees"
        raise ValueError(msg)
    # about its middle, so that it does not jump at the antimeridian
    middle = longitude[longitude.size // 2]
    return middle + (longitude - middle + TURN / 2) % TURN - TURN / 2, latitude


def _sides(place: Any) -> Box:
    try:
        return check_box([float(side) for side in place], name="place")
    except (TypeError, ValueError) as error:
        said = str(error)
        said = said.partition(": ")[2] if said.startswith("place=") else said
        msg = f"{place=} is no box, (west, south, east, north) in degrees: {said}"
        raise ValueError(msg) from error


def _mesh(
    left: float, bottom: float, right: float, top: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    along, down = np.linspace(left, right, POINTS), np.linspace(bottom, top, POINTS)
    x, y = np.meshgrid(along, down)
    return x.ravel(), y.ravel()


def _zone(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> str:
    """Return the CRS of a box: the zone that holds most of it, as far as UTM goes."""
    from odc.geo.crs import CRS
    from odc.geo.geom import box

    west, south, east, north = (
        float(each) for each in (longitude.min(), latitude.min(), longitude.max(), latitude.max())
    )
    middle = (south + north) / 2
    if middle > NORTH:
        return UPS_NORTH
    if middle < SOUTH:
        return UPS_SOUTH
    if west < -TURN / 2 or east > TURN / 2:
        return str(CRS.utm(((west + east) / 2 + TURN / 2) % TURN - TURN / 2, middle))
    return str(CRS.utm(box(west, south, east, north, DEGREES)))


def _off(crs: str, longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> float:
    """Return the share by which a metre of a grid is off at most."""
    from pyproj import Proj

    of_crs: Proj = Proj(crs)
    factors = of_crs.get_factors(longitude, latitude)
    scales = np.stack([factors.meridional_scale, factors.parallel_scale])
    # of a pole itself there is none
    return float(np.abs(scales[np.isfinite(scales)] - 1).max(initial=0.0))


def _too_large(
    place: Any, crs: str, by: str, longitude: NDArray[np.float64], latitude: NDArray[np.float64]
) -> str:
    nearest = float(np.abs(latitude).min())
    degree = math.radians(1) * RADIUS / 1000
    width = float(np.ptp(longitude)) * degree * math.cos(math.radians(nearest))
    height = float(np.ptp(latitude)) * degree
    return (
        f"place={place} is {width:.0f} km wide and {height:.0f} km high: metres of one grid, of "
        f"{crs}, would be off by {by} in it, more than {100 * TRUE:g} %: give parts of it as "
        "place=, or a grid of a CRS that fits it, GeoBox.from_bbox(..., crs=..., resolution=...)"
    )
