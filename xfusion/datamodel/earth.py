"""Whether a grid lies on the earth: not in a local CRS, nor beyond the rim of its own map."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from pyproj import Transformer

DEGREES = "EPSG:4326"
TURN = 360.0
LATITUDES = (10.0, 50.0)  # where a cylindrical projection has meridians at one distance
EVEN = 1e-6  # of the distance of meridians
SPLITS = 1001  # of a stretch of the equator in which a map is cut
TO_THE_MILLIMETRE = 1e-5  # degrees, of which each split is a thousandth


def check_is_on_earth(geobox: GeoBox) -> None:
    """Refuse a grid in a CRS that has no place on the earth, such as that of a building site.

    Raises
    ------
    ValueError
        Naming the CRS, and what gives it another one.
    """
    crs = geobox.crs
    if crs is not None and not (crs.geographic or crs.projected):
        msg = (
            f"the CRS {crs.proj.name!r} is a {crs.proj.type_name}, neither projected nor "
            "geographic, so nobody knows where on the earth its pixels are: name the right one, "
            ".rio.write_crs('EPSG:...')"
        )
        raise ValueError(msg)


def off_the_map(
    crs: Any, x: NDArray[np.float64], y: NDArray[np.float64], within: float
) -> NDArray[np.bool_]:
    """Return which positions lie beyond the rim of a map.

    PROJ takes some of them for places on its other side, as left and right of a sinusoidal map:
    they do not come back to where they were. A map that repeats itself, as Mercator's does, has
    no rim there.

    Parameters
    ----------
    crs : CRS
        Of odc-geo.
    x, y : array
        Positions in it.
    within : float
        How far from where they were they may come back, in units of the CRS.
    """
    if crs.geographic or _is_cylindrical(str(crs)):
        return np.zeros(np.shape(x), np.bool_)
    degrees = degrees_of(str(crs))
    away, back = transformer(str(crs), degrees), transformer(degrees, str(crs))
    here = np.stack(back.transform(*away.transform(x, y)))
    with np.errstate(invalid="ignore"):
        off: NDArray[np.bool_] = ~(np.hypot(*(here - np.stack([x, y]))) <= within)
    return off


def turn_of(crs: Any) -> float | None:
    """Return how far east a map repeats itself: 360 degrees, or the width of a cylinder's map.

    None of others, such as UTM, a polar map, or one with curved meridians.
    """
    if crs is None or not (crs.geographic or crs.projected):
        return None
    if crs.geographic:
        return TURN
    edges = edges_of_cylinder(str(crs))
    return None if edges is None else edges[1] - edges[0]


def edges_of_cylinder(crs: str) -> tuple[float, float] | None:
    """Return where a cylindrical map begins and ends, as x; None of other maps."""
    cut = cut_of(crs) if _is_cylindrical(crs) else None
    if cut is None:
        return None
    x = transformer(degrees_of(crs), crs).transform(cut, (LATITUDES[0],) * 2)[0]
    return min(x), max(x)


@functools.lru_cache(maxsize=32)
def cut_of(crs: str) -> tuple[float, float] | None:
    """Return the meridian that is at both ends of a map, as longitudes west and east of the cut.

    None of maps whose meridians are not at one distance on each parallel, or that are cut nowhere.
    """
    west, east = -TURN / 2, TURN / 2
    while True:
        longitude = np.linspace(west, east, SPLITS)
        there = transformer(degrees_of(crs), crs)
        x = there.transform(longitude, np.full(SPLITS, LATITUDES[0]))[0]
        if not np.isfinite(x).all():
            return None
        steps = np.abs(np.diff(x))
        step, cut = float(np.median(steps)), int(steps.argmax())
        uneven = np.count_nonzero(np.abs(steps - step) > EVEN * step)
        if uneven > 1 and east - west == TURN:
            return None
        if not uneven:  # it is cut at the antimeridian
            return (west, east) if np.ptp(x) > 0 else None
        if east - west < TO_THE_MILLIMETRE:
            return float(longitude[cut]), float(longitude[cut + 1])
        west, east = float(longitude[cut]), float(longitude[cut + 1])


@functools.lru_cache(maxsize=32)
def _is_cylindrical(crs: str) -> bool:
    longitude, latitude = np.meshgrid([0.0, 1.0], LATITUDES)
    x = transformer(degrees_of(crs), crs).transform(longitude, latitude)[0]
    return bool(np.isfinite(x).all() and np.ptp(x, axis=0).max() < 1e-6 * np.ptp(x, axis=1).min())


@functools.lru_cache(maxsize=32)
def degrees_of(crs: str) -> str:
    """Return the CRS of longitudes and latitudes for a CRS: of another planet its own."""
    from pyproj import CRS
    from pyproj.exceptions import ProjError

    try:
        transformer(DEGREES, crs)
    except ProjError:
        own = CRS(crs).geodetic_crs
        return DEGREES if own is None else str(own.to_wkt())
    return DEGREES


@functools.lru_cache(maxsize=32)
def transformer(source: str, target: str) -> Transformer:
    """Return what takes positions of one CRS to another, x first."""
    from pyproj import Transformer

    return Transformer.from_crs(source, target, always_xy=True)
