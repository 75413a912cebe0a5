"""The grid that retrievals are brought onto: that of another, of a file, or over several."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xfusion.datamodel.comparison import same_crs
from xfusion.datamodel.earth import TURN, check_is_on_earth, edges_of_cylinder, turn_of
from xfusion.datamodel.grid import as_geobox, crs_name, geobox_of
from xfusion.datamodel.redaction import public
from xfusion.raster.asset import MAX_SIDE

from .covering import points_in, transformed, within_one_turn

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox

FINEST, COARSEST = 1e-3, 1e4  # times the pixels there are: beyond, the unit is not that of the CRS
ROUNDING = 1e-6  # of a pixel
MOST_OF_A_PIXEL = 1e7  # in the unit of the CRS: what is larger, lies at the infinity of a map


def common_grid(
    first: Any, /, *others: Any, crs: Any = None, resolution: float | None = None
) -> GeoBox:
    """Return one grid over what any of several retrievals covers.

    Parameters
    ----------
    first, *others : Dataset, DataArray, product or GeoBox
        What is to be covered.
    crs : str, int or CRS, optional
        By default that of `first`, whose pixels are then kept.
    resolution : float, optional
        Side of a pixel in the unit of the CRS; by default as in `first`.

    Returns
    -------
    odc.geo.geobox.GeoBox
        North up, its edges at multiples of the resolution; or the pixels of `first`, more of them
        to each side. In longitude and latitude, over the antimeridian it goes on beyond 180
        degrees, and over a pole all around; so it does beyond the edge of a cylindrical map, such
        as Mercator's. It is never wider than one turn.

    Raises
    ------
    ValueError
        If there is a CRS but no resolution, a resolution that cannot be in the unit of the CRS,
        or nothing that the CRS can show; if one of several CRS is a local one; if the map is cut
        through what is to be covered, or has some of it, such as a pole, at infinity.
    TypeError
        If the resolution is no number.

    Notes
    -----
    Edges are followed at 257 points each, since a straight line in one CRS is curved in another.

    Examples
    --------
    >>> import xfusion as xf
    >>> from odc.geo.geobox import GeoBox
    >>> a = GeoBox.from_bbox((500000, 0, 500400, 300), "EPSG:32633", resolution=10)
    >>> b = GeoBox.from_bbox((500200, -100, 500600, 200), "EPSG:32633", resolution=20)
    >>> xf.common_grid(a, b).boundingbox.bbox
    (500000.0, -100.0, 500600.0, 300.0)
    >>> xf.common_grid(a, b, crs="EPSG:4326", resolution=0.0001).shape.yx
    (38, 54)
    """
    from odc.geo.crs import CRS

    grids = [as_geobox(each) for each in (first, *others)]
    try:
        wanted = grids[0].crs if crs is None else CRS(crs)
    except Exception as error:  # of pyproj, whatever it takes the text for
        msg = f"PROJ knows no CRS {crs!r}: name it as in 'EPSG:4326'"
        raise ValueError(msg) from error
    assert wanted is not None  # noqa: S101  # as_geobox saw that it has one
    if not all(same_crs(grid.crs, wanted) for grid in grids):
        for grid in grids:
            check_is_on_earth(grid)
    if not (wanted.geographic or wanted.projected or same_crs(wanted, grids[0].crs)):
        msg = (
            f"{crs=} is a {wanted.proj.type_name}, which has no plane for a grid: give a "
            "geographic or projected one, such as 'EPSG:4326'"
        )
        raise ValueError(msg)
    if resolution is None:
        if not same_crs(wanted, grids[0].crs):
            msg = (
                f"{crs=} is not that of the first, {crs_name(grids[0].crs)}: give resolution= as "
                f"well, in the unit of {crs_name(wanted)}"
            )
            raise ValueError(msg)
        return _extended(grids)
    _check_resolution(grids, wanted, resolution)
    return _over(grids, wanted, float(resolution))


def target_of(like: Any, source: GeoBox, resolution: float | None) -> Any:
    """Return what a retrieval is to be brought onto, as :func:`coregister` takes it."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    is_file = isinstance(like, os.PathLike) or (
        isinstance(like, str) and ("://" in like or Path(like).is_file())
    )
    if is_file and resolution is None:
        from xfusion.raster.opening import open_raster

        return geobox_of(open_raster(like, masked=False).to_dataset(name="grid"))
    if resolution is None and not isinstance(like, str | int) and not hasattr(like, "to_wkt"):
        return like
    if is_file or not (isinstance(like, str | int) or hasattr(like, "to_wkt")):
        what = f"the file {public(str(like))}" if is_file else f"a {type(like).__name__}"
        msg = (
            f"{resolution=} is of a CRS, but `like` is {what}, which has its own: leave it out, or "
            "give xf.common_grid(like, resolution=...), with a GeoBox or Dataset of the same place"
        )
        raise ValueError(msg)
    try:
        crs = CRS.from_user_input(like)
    except CRSError as error:
        msg = (
            f"like={like!r} is no file and no CRS: give a GeoBox, Dataset, DataArray or product, "
            "the path of a raster, or a CRS with resolution="
        )
        raise ValueError(msg) from error
    if resolution is None:
        msg = f"like={like!r} is a CRS: give resolution= as well, in its unit"
        raise ValueError(msg)
    return common_grid(source, crs=crs.to_wkt(), resolution=resolution)


def _extended(grids: Sequence[GeoBox]) -> GeoBox:
    """Return the first grid with more pixels, so that it covers the others."""
    from affine import Affine
    from odc.geo.geobox import GeoBox

    own = grids[0]
    rows, columns = own.shape
    low, high = np.array([0.0, 0.0]), np.array([columns, rows], np.float64)
    for grid in grids[1:]:
        x, y = points_in(own.crs, grid, around=own)
        pixels = np.stack(own.wld2pix(x, y))  # type: ignore[no-untyped-call]  # odc-geo's are not typed
        low = np.minimum(low, pixels.min(axis=1))
        high = np.maximum(high, pixels.max(axis=1))
    turn = turn_of(own.crs)
    if turn is not None and own.axis_aligned:
        around = turn / abs(own.resolution.x)
        ends = within_one_turn(low[0], high[0], around, (0.0, float(columns)))
        low[0], high[0] = ends
    left, top = (math.floor(v + ROUNDING) for v in low)
    right, bottom = (math.ceil(v - ROUNDING) for v in high)
    shape = bottom - top, right - left
    _check_sides(shape, own.crs, abs(own.resolution.x))
    a, b, c, d, e, f = tuple(own.transform)[:6]
    corner = c + a * left + b * top, f + d * left + e * top
    return GeoBox(shape, Affine(a, b, corner[0], d, e, corner[1]), own.crs)


def _over(grids: Sequence[GeoBox], crs: CRS, resolution: float) -> GeoBox:
    """Return a grid of a CRS, north up, over all of some grids."""
    from affine import Affine
    from odc.geo.geobox import GeoBox

    parts = [points_in(crs, grid, around=grids[0]) for grid in grids]
    x, y = (np.concatenate(axis) for axis in zip(*parts, strict=True))
    west, east, turn = float(x.min()), float(x.max()), turn_of(crs)
    if turn is not None:
        of_first = float(parts[0][0].min()), float(parts[0][0].max())
        of_map = (-TURN / 2, TURN / 2) if crs.geographic else edges_of_cylinder(str(crs))
        if crs.geographic and getattr(grids[0].crs, "geographic", False):
            of_map = None  # the first says from which meridian on
        west, east = within_one_turn(west, east, turn, of_first, of_map)
    left, bottom = (math.floor(v / resolution + ROUNDING) for v in (west, y.min()))
    right, top = (math.ceil(v / resolution - ROUNDING) for v in (east, y.max()))
    shape = max(1, top - bottom), max(1, right - left)
    _check_sides(shape, crs, resolution)
    edges = left * resolution, top * resolution
    return GeoBox(shape, Affine(resolution, 0, edges[0], 0, -resolution, edges[1]), crs)


def _check_sides(shape: tuple[int, int], crs: Any, resolution: float) -> None:
    if max(shape) > MAX_SIDE:
        msg = (
            f"the grid over all in {crs_name(crs)} has {shape} pixels of {resolution}, a raster "
            f"at most {MAX_SIDE} a side: give a larger resolution=, or a part, .isel(...)"
        )
        raise ValueError(msg)


def _check_resolution(grids: Sequence[GeoBox], crs: Any, resolution: float) -> None:
    """Refuse a resolution that is in another unit than the CRS, before anything is made."""
    if np.ndim(resolution) > 0 or np.asarray(resolution).dtype.kind not in "iuf":
        msg = (
            f"{resolution=} is a {type(resolution).__name__}: give one number, the side of "
            "a pixel in the unit of the CRS"
        )
        raise TypeError(msg)
    if not 0 < resolution < math.inf:
        msg = f"{resolution=}: give the side of a pixel, a number > 0 in the unit of the CRS"
        raise ValueError(msg)
    pixel = _pixel_in(grids[0], crs)
    if not pixel < MOST_OF_A_PIXEL or FINEST <= resolution / pixel <= COARSEST:
        return
    unit = crs.units[0]
    msg = (
        f"{resolution=} is in {unit}, the unit of {crs_name(crs)}, in which the pixels of the "
        f"first are {pixel:.3g}: give it in {unit}, such as {float(f'{pixel:.1g}'):g}"
    )
    raise ValueError(msg)


def _pixel_in(grid: GeoBox, crs: Any) -> float:
    """Return the side of a pixel of a grid in another CRS, at its middle."""
    row, column = grid.shape[0] / 2, grid.shape[1] / 2
    u, v = np.array([column, column + 1, column]), np.array([row, row, row + 1])
    x, y = (np.asarray(axis) for axis in grid.pix2wld(u, v))  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    if not same_crs(grid.crs, crs):
        x, y = transformed(x, y, grid.crs, crs)
    with np.errstate(invalid="ignore"):
        along, down = x[1:] - x[0], y[1:] - y[0]
        turn = turn_of(crs)
        if turn is not None:
            along = (along + turn / 2) % turn - turn / 2
        return float(np.sqrt(abs(along[0] * down[1] - along[1] * down[0])))
