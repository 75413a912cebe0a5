"""What a position that is off by part of a pixel does to a value, by how steep values are there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import line_through_cell
from .compile import compiled, inlined
from .control import ControlGrid, Window


@inlined
def _slope(before: Any, here: Any, after: Any) -> Any:
    """Return the difference to the neighbours, of those there are; NaN is none."""
    down, up = here - before, after - here
    both = 0.5 * (down + up)
    one = down if down == down else up  # noqa: PLR0124  # not NaN
    slope = both if both == both else one  # noqa: PLR0124  # as above
    return slope if slope == slope else here - here  # noqa: PLR0124  # as above


@compiled
def _steepness(mu: Any, sigma: Any, mask: Any, line: Any, out: Any) -> None:
    rows, columns = mu.shape
    missing = mu.dtype.type(np.nan)
    for i in range(rows):
        # a clear pixel beside a cloud is no edge, nor is one beside what has no value
        for j in range(columns):
            own = mask[i, j] == 0
            left, right, above, below = missing, missing, missing, missing
            if j > 0 and (mask[i, j - 1] == 0) == own and sigma[i, j - 1] >= 0:
                left = mu[i, j - 1]
            if j + 1 < columns and (mask[i, j + 1] == 0) == own and sigma[i, j + 1] >= 0:
                right = mu[i, j + 1]
            if i > 0 and (mask[i - 1, j] == 0) == own and sigma[i - 1, j] >= 0:
                above = mu[i - 1, j]
            if i + 1 < rows and (mask[i + 1, j] == 0) == own and sigma[i + 1, j] >= 0:
                below = mu[i + 1, j]
            # what is infinite has no differences either
            across, along = _slope(left, mu[i, j], right), _slope(above, mu[i, j], below)
            line[j] = across * across + along * along
        for j in range(columns):
            out[i, j] = math.sqrt(line[j])


def steepness(
    mu: NDArray[Any], sigma: NDArray[Any], mask: NDArray[np.uint8] | None
) -> NDArray[Any]:
    """Return how much mu changes from a pixel to the next, the length of its gradient.

    Parameters
    ----------
    mu, sigma : arrays, shape (rows, columns)
        Means, and their standard deviations: without one a mean counts for none.
    mask : array of uint8 or None
        Pixels are compared with neighbours that are usable as they are, or excluded as they are.

    Returns
    -------
    array
        Of the dtype of mu; central differences, to one side where there is one neighbour, 0 where
        there is none, NaN where mu is not finite.
    """
    flags = np.zeros(mu.shape, np.uint8) if mask is None else np.ascontiguousarray(mask)
    out = np.empty(mu.shape, mu.dtype)
    line = np.empty(mu.shape[1], mu.dtype)
    _steepness(np.ascontiguousarray(mu), np.ascontiguousarray(sigma), flags, line, out)
    return out


@compiled
def _add(sigma: Any, steep: Any, distance: Any, out: Any) -> None:
    one = distance.size == 1
    for i in range(sigma.size):
        s = sigma[i]
        error = steep[i] * distance[0 if one else i]
        # nothing is added to what has no slope, or to what is no sigma
        out[i] = math.sqrt(s * s + error * error) if (s >= 0) & (error > 0) else s


def add_in_quadrature(
    sigma: NDArray[Any], steep: NDArray[Any], distance: NDArray[Any], *, out: NDArray[Any]
) -> None:
    """Write the sigma of values that lie `distance` pixels from where they are taken to be.

    ``sqrt(sigma^2 + (steep distance)^2)``: to first order.

    Parameters
    ----------
    sigma, steep : arrays of one shape
        See :func:`steepness`.
    distance : array of that shape, or (1,)
        In pixels.
    out : array
        It may be `sigma`.
    """
    s, slopes, apart = (np.ascontiguousarray(a).reshape(-1) for a in (sigma, steep, distance))
    _add(s, slopes, apart, out.reshape(-1))


@compiled
def _distances(window: Any, grid: Any, out: Any) -> None:
    step, first, node_u, node_v, exact, exact_u, exact_v, exact_width = grid
    _, _, (all_rows, all_columns) = window
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
            if place < 0:
                apart_u = (node_u[cell_row + 1, cell_column] - node_u[cell_row, cell_column]) / step
                apart_v = (node_v[cell_row + 1, cell_column] - node_v[cell_row, cell_column]) / step
                wide, high = math.hypot(step_u, apart_u), math.hypot(step_v, apart_v)
            else:
                wide, high = exact_width[place, 0], exact_width[place, 1]
            # the edges of a larger or a smaller pixel lie elsewhere, wherever its centre is
            edges = 0.25 * ((wide - 1.0) ** 2 + (high - 1.0) ** 2)
            for c in range(max(0, start - first_column), min(width, start + step - first_column)):
                inner = first_column + c - start
                if place < 0:
                    u = left_u + step_u * (inner + 0.5)
                    v = left_v + step_v * (inner + 0.5)
                else:
                    u = exact_u[place, inner_row, inner]
                    v = exact_v[place, inner_row, inner]
                out[r, c] = 0.0
                if 0.0 <= u < all_columns and 0.0 <= v < all_rows:
                    off_u, off_v = u - int(u) - 0.5, v - int(v) - 0.5
                    out[r, c] = math.sqrt(off_u * off_u + off_v * off_v + edges)


def distances(window: Window, grid: ControlGrid, *, out: NDArray[np.float64]) -> None:
    """Write how far the nearest source pixel lies from each pixel of a block, in source pixels.

    The distance of the centres, and half of what the sides differ by, as one.
    """
    _distances(tuple(window), tuple(grid), out)
