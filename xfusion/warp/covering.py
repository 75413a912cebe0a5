"""What a grid covers in another CRS: points of it, around antimeridian and poles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.comparison import same_crs
from xfusion.datamodel.earth import cut_of, degrees_of, transformer, turn_of
from xfusion.datamodel.grid import crs_name

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
Ends = tuple[float, float]

SIDE = 257  # points along each edge of a grid: it is curved in another CRS
WITHIN = 33  # points a side inside it, where a pole may be
ROUNDING = 3e-9  # of a turn: 0.1 m
WIDEST = 1e8  # metres; the earth is 4e7 around: what is larger, has a place at infinity within
GAP = 0.5  # of the extent: what is connected has no such gap, unless the map is cut there


def points_in(crs: Any, grid: GeoBox, *, around: GeoBox) -> Points:
    """Return points of a grid in a CRS, those that it can show.

    Where the map repeats itself, within half a turn of the middle of a grid.

    Parameters
    ----------
    crs : CRS
        Of odc-geo.
    grid, around : GeoBox

    Raises
    ------
    ValueError
        If the CRS shows nothing of it, shows it at both ends, or puts a part of it at infinity.
    """
    x, y = _pixels(grid)
    own = same_crs(grid.crs, crs)
    if not own:
        x, y = transformed(x, y, grid.crs, crs)
        x, y = (np.concatenate(axis) for axis in zip((x, y), _at_the_cut(grid, crs), strict=True))
    shown = np.isfinite(x) & np.isfinite(y)
    if not shown.any():
        msg = f"no part of the grid in {crs_name(grid.crs)} can be shown in {crs_name(crs)}"
        raise ValueError(msg)
    x, y = x[shown], y[shown]
    turn = turn_of(crs)
    if turn is not None:
        x, y = _near(x, y, grid, crs, own=own, middle=_middle(around, crs), turn=turn)
    if not own:
        _check_is_shown(x, y, grid, crs)
    return x, y


def within_one_turn(west: float, east: float, turn: float, first: Ends, of_map: Any = None) -> Ends:
    """Return the ends of what is covered, at most one turn apart.

    Parameters
    ----------
    west, east : float
        The ends of all together.
    turn : float
        After which the map repeats itself.
    first : (float, float)
        The ends of the first, around which one turn is taken.
    of_map : (float, float), optional
        Where a map begins and ends, for what is all around.
    """
    slack = ROUNDING * turn
    if of_map is not None and east - west >= turn - slack:
        return float(of_map[0]), float(of_map[1])
    if east - west <= turn + slack:
        return west, east
    if first[1] - first[0] >= turn - slack:
        return first
    middle = (first[0] + first[1]) / 2
    return middle - turn / 2, middle + turn / 2


def transformed(x: Any, y: Any, source: Any, target: Any) -> Points:
    """Return positions of one CRS in another, x first."""
    a, b = transformer(str(source), str(target)).transform(x, y)
    return np.asarray(a), np.asarray(b)


def _pixels(grid: GeoBox) -> Points:
    """Return points along the edges of a grid, and fewer inside, in its own CRS."""
    rows, columns = grid.shape
    edge, inner = np.linspace(0.0, 1.0, SIDE), np.linspace(0.0, 1.0, WITHIN)
    u, v = (axis.ravel() for axis in np.meshgrid(inner, inner))
    ends = edge * 0.0, edge * 0.0 + 1.0
    u = np.concatenate([u, edge, edge, *ends]) * columns
    v = np.concatenate([v, *ends, edge, edge]) * rows
    x, y = (np.asarray(axis) for axis in grid.pix2wld(u, v))  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    return x, y


def _at_the_cut(grid: GeoBox, crs: Any) -> Points:
    """Return points of a grid at both ends of a map, where it is cut; none of most grids."""
    nothing = np.empty(0), np.empty(0)
    cut = None if turn_of(crs) is not None else cut_of(str(crs))
    if cut is None:
        return nothing
    longitude = np.repeat(np.array(cut), SIDE)
    latitude = np.tile(np.linspace(-90.0, 90.0, SIDE), 2)
    degrees = degrees_of(str(grid.crs))
    x, y = transformed(longitude, latitude, degrees, grid.crs)
    turn = turn_of(grid.crs)
    if turn is not None:
        x = x - turn * np.round((x - _middle(grid, grid.crs)) / turn)
    column, row = grid.wld2pix(x, y)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    within = (column >= 0) & (column <= grid.shape[1]) & (row >= 0) & (row <= grid.shape[0])
    return transformed(longitude[within], latitude[within], degrees, crs)


def _near(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    grid: GeoBox,
    crs: Any,
    *,
    own: bool,
    middle: float,
    turn: float,
) -> Points:
    """Return points within half a turn of the middle, both ends of what is all around."""
    if own:
        return x - turn * np.round((x.mean() - middle) / turn), y
    x = middle + (x - middle + turn / 2) % turn - turn / 2
    # the meridian opposite is at both ends of a grid all around
    opposite = turn / 2 - np.abs(x - middle) <= ROUNDING * turn
    x, y = np.append(x, 2 * middle - x[opposite]), np.append(y, y[opposite])
    ends = [middle - turn / 2, middle + turn / 2]
    poles = [pole for pole in (90.0, -90.0) if _holds(grid, pole)]
    if poles:
        degrees = degrees_of(str(crs))
        at_poles = transformed(np.zeros(len(poles)), np.array(poles), degrees, crs)[1]
        return np.append(x, ends), np.append(y, [at_poles[0], at_poles[-1]])
    if _is_all_around(grid):
        return np.append(x, ends), np.append(y, [y[0], y[0]])
    return x, y


def _middle(grid: GeoBox, crs: Any) -> float:
    """Return the x of the middle of a grid in a CRS whose map repeats itself."""
    x, y = grid.pix2wld(grid.shape[1] / 2, grid.shape[0] / 2)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    both_in_degrees = crs.geographic and grid.crs is not None and grid.crs.geographic
    if both_in_degrees or same_crs(grid.crs, crs):
        return float(x)
    there = transformed(np.array([x]), np.array([y]), grid.crs, crs)[0]
    if not np.isfinite(there).all():
        there = transformed(*_pixels(grid), grid.crs, crs)[0]
    return float(np.median(there[np.isfinite(there)]))


def _holds(grid: GeoBox, pole: float) -> bool:
    """Whether a grid has a pole inside; in degrees, or of a cylinder, it is an edge."""
    if turn_of(grid.crs) is not None:
        return False
    x, y = transformed(np.zeros(1), np.array([pole]), degrees_of(str(grid.crs)), grid.crs)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return False
    column, row = (float(p[0]) for p in grid.wld2pix(x, y))  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    return bool(0 <= row <= grid.shape[0] and 0 <= column <= grid.shape[1])


def _is_all_around(grid: GeoBox) -> bool:
    turn = turn_of(grid.crs)
    if turn is None or not grid.axis_aligned:
        return False
    return bool(abs(grid.resolution.x) * grid.shape[1] >= turn * (1 - ROUNDING))


def _check_is_shown(x: NDArray[np.float64], y: NDArray[np.float64], grid: GeoBox, crs: Any) -> None:
    """Refuse a map that has some of a grid at infinity, or its parts at opposite ends."""
    if crs.geographic:
        return
    metres = crs.proj.axis_info[0].unit_conversion_factor
    widest = max(float(np.ptp(x)), float(np.ptp(y))) * metres
    names = f"the grid in {crs_name(grid.crs)}", crs_name(crs)
    if not widest <= WIDEST:
        msg = (
            f"{names[0]} is {widest:.3g} m large in {names[1]}, the earth is 4e+07 m around: this "
            "map has some of it, such as a pole, at infinity. Keep what is away from it, such "
            "as .sel(latitude=slice(85, -85)) or .isel(...), or give another crs="
        )
        raise ValueError(msg)
    for axis in (x, y):
        places = np.unique(axis)
        gap = float(np.diff(places).max(initial=0.0))
        if gap > GAP * np.ptp(places) and gap * metres > WIDEST / 100:
            west, east = places[[0, -1]]
            msg = (
                f"{names[0]} lies at both ends of the map of {names[1]}, {west:.7g} and "
                f"{east:.7g}, with nothing between: give a crs= that is not cut there, such as "
                "one with another central meridian, or take each side by itself, .isel(...)"
            )
            raise ValueError(msg)
