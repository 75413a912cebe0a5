"""The footprint of a target pixel in the source: how wide it is, and what it overlaps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import part


@part
def _width(along: float, across: float) -> float:
    """Return the extent of a target pixel along a source axis, at least one source pixel.

    Two grids of one nominal resolution differ by a percent or two, as map projections do: up to
    2 % this is bilinear interpolation, from 4 % on the footprint itself, continuous between.
    """
    width = math.hypot(along, across)
    if width <= 1.02:
        return 1.0
    return min(width, 1.0 + 2.0 * (width - 1.02))


@part
def _cell(u: Any, v: Any, row: int, column: int, step: int) -> Any:
    """Return the widths of a target pixel's footprint in a control cell, along u and v."""
    a, b, c, d = u[row, column], u[row, column + 1], u[row + 1, column], u[row + 1, column + 1]
    width_u = _width((b - a + d - c) / (2 * step), (c - a + d - b) / (2 * step))
    a, b, c, d = v[row, column], v[row, column + 1], v[row + 1, column], v[row + 1, column + 1]
    width_v = _width((b - a + d - c) / (2 * step), (c - a + d - b) / (2 * step))
    return width_u, width_v


@part
def overlap(first: int, centre: float, width: float) -> float:
    """Return the length of a source pixel inside a footprint."""
    return min(first + 1.0, centre + 0.5 * width) - max(float(first), centre - 0.5 * width)


@part
def footprint_widths(node_u: Any, node_v: Any, step: int, exact: Any, exact_width: Any) -> Any:
    """Return the extent of a target pixel along u and v, for each control cell."""
    rows, columns = node_u.shape
    widths = np.empty((rows - 1, columns - 1, 2))
    for row in range(rows - 1):
        for column in range(columns - 1):
            place = exact[row, column]
            if place < 0:
                width_u, width_v = _cell(node_u, node_v, row, column, step)
                widths[row, column, 0], widths[row, column, 1] = width_u, width_v
            else:
                widths[row, column, 0] = _width(exact_width[place, 0], 0.0)
                widths[row, column, 1] = _width(exact_width[place, 1], 0.0)
    return widths
