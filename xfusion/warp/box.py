"""The part of a grid that is in a box of longitudes and latitudes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xfusion.datamodel.degrees import check_box
from xfusion.datamodel.earth import TURN, check_is_on_earth, degrees_of, transformer
from xfusion.datamodel.grid import extent_of

from .target import ROUNDING

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

POINTS = 257  # along each edge, as straight lines of one map are curved on another


def part_in_box(geobox: GeoBox, bbox: Sequence[float]) -> GeoBox:
    """Return the whole pixels of a grid that cover a box, as far as the grid goes.

    Parameters
    ----------
    geobox : GeoBox
    bbox : (west, south, east, north)
        Degrees.

    Raises
    ------
    ValueError
        If it is no box, lies across the antimeridian, or beside the grid; both extents are named.
    """
    west, south, east, north = check_box(bbox)
    check_is_on_earth(geobox)
    along, across = np.linspace(west, east, POINTS), np.linspace(south, north, POINTS)
    longitude = np.concatenate([along, along, np.full(POINTS, west), np.full(POINTS, east)])
    latitude = np.concatenate([np.full(POINTS, south), np.full(POINTS, north), across, across])
    crs = str(geobox.crs)
    x, y = transformer(degrees_of(crs), crs).transform(longitude, latitude)
    if geobox.crs is not None and geobox.crs.geographic:
        # a grid may count longitudes from elsewhere on
        edges = geobox.boundingbox
        x = x + TURN * round(((edges.left + edges.right) / 2 - (west + east) / 2) / TURN)
    sound = np.isfinite(x) & np.isfinite(y)
    rows, columns = geobox.shape
    if sound.any():
        pixels = geobox.wld2pix(x[sound], y[sound])  # type: ignore[no-untyped-call]  # odc-geo's are not typed
        (left, right), (top, bottom) = (
            (max(0, math.floor(p.min() + ROUNDING)), min(n, math.ceil(p.max() - ROUNDING)))
            for p, n in zip(pixels, (columns, rows), strict=True)
        )
        if left < right and top < bottom:
            part: GeoBox = geobox[top:bottom, left:right]
            return part
    degrees = transformer(crs, degrees_of(crs)).transform_bounds(*geobox.boundingbox)
    there = ",".join(f"{edge:.7g}" for edge in degrees)
    msg = (
        f"bbox={tuple(bbox)} has no pixel of the grid, which is {there} (west, south, east, "
        f"north), {extent_of(geobox)}: give a box that meets it"
    )
    raise ValueError(msg)
