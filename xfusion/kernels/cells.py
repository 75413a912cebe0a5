"""The cells of a control grid, as the kernels that resample walk through them."""

from __future__ import annotations

from typing import Any

from .compile import spliced


@spliced
def line_through_cell(nodes: Any, row: int, column: int, down: float, step: int) -> Any:
    """Position at the left edge of a cell, a part `down` of its height, and its step to the right.

    `nodes` are the positions of the corners of cells along one axis of the source.
    """
    left, right = nodes[row, column], nodes[row, column + 1]
    start = left + (nodes[row + 1, column] - left) * down
    stop = right + (nodes[row + 1, column + 1] - right) * down
    return start, (stop - start) / step
