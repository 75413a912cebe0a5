"""Resampling of one block by the nearest pixel, positions as in :mod:`xfusion.kernels.resample`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import line_through_cell
from .compile import compiled
from .control import ControlGrid, Window


@compiled
def _copy_nearest(band: Any, window: Any, grid: Any, outside: Any, out: Any) -> None:
    step, first, node_u, node_v, exact, exact_u, exact_v, _ = grid
    (row0, column0), (_, columns), (all_rows, all_columns) = window
    first_row, first_column = first
    rows, width = out.shape
    cell_row0, cell_column0 = first_row // step, first_column // step
    for r in range(rows):
        row = first_row + r
        cell_row = row // step - cell_row0
        inner_row = row % step
        down = (inner_row + 0.5) / step
        for cell_column in range(node_u.shape[1] - 1):
            start = (cell_column + cell_column0) * step
            left_u, step_u = line_through_cell(node_u, cell_row, cell_column, down, step)
            left_v, step_v = line_through_cell(node_v, cell_row, cell_column, down, step)
            place = exact[cell_row, cell_column]
            for c in range(max(0, start - first_column), min(width, start + step - first_column)):
                inner = first_column + c - start
                if place < 0:
                    u = left_u + step_u * (inner + 0.5)
                    v = left_v + step_v * (inner + 0.5)
                else:
                    u = exact_u[place, inner_row, inner]
                    v = exact_v[place, inner_row, inner]
                if 0.0 <= u < all_columns and 0.0 <= v < all_rows:
                    out[r, c] = band[(int(v) - row0) * columns + int(u) - column0]
                else:
                    out[r, c] = outside


def copy_nearest(
    band: NDArray[Any],
    window: Window,
    grid: ControlGrid,
    *,
    outside: float,
    out: NDArray[Any],
) -> None:
    """Copy the nearest pixel of a band of any dtype onto each pixel of one block, `out`."""
    fill = band.dtype.type(outside)
    _copy_nearest(np.ascontiguousarray(band).reshape(-1), tuple(window), tuple(grid), fill, out)
