"""Boxes of longitudes and latitudes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .earth import TURN

POLE = 90.0


def check_box(bbox: Sequence[float], *, name: str = "bbox") -> tuple[float, float, float, float]:
    """Return the edges of a box in degrees, east above 180 of one across the antimeridian.

    Parameters
    ----------
    bbox : (west, south, east, north)
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If they are not in their order, or no places on the earth.
    """
    given = tuple(float(edge) for edge in bbox)
    if len(given) != 4 or not all(math.isfinite(edge) for edge in given):  # noqa: PLR2004  # edges
        msg = f"{name}={given}: give four numbers, west, south, east, north, in degrees"
        raise ValueError(msg)
    west, south, east, north = given
    if max(map(abs, given)) > TURN:
        msg = f"{name}={given}: numbers above {TURN:g} are no degrees: give longitudes, latitudes"
        raise ValueError(msg)
    if not -POLE <= south < north <= POLE:
        msg = (
            f"{name}={given}: south is {south:g} and north {north:g}, from -90 to 90 in this order"
        )
        raise ValueError(msg)
    if not (-TURN <= west <= TURN and -TURN <= east <= TURN and east - west <= TURN):
        msg = f"{name}={given}: west is {west:g} and east {east:g}, which are no longitudes"
        raise ValueError(msg)
    if west >= east:
        across = east + TURN - west < TURN / 2
        mend = f"of a box across the antimeridian give east as {east + TURN:g}"
        msg = f"{name}={given}: west, {west:g}, is not west of east, {east:g}; " + (
            mend if across else "exchange them"
        )
        raise ValueError(msg)
    return west, south, east, north
