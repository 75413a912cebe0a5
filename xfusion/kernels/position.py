"""What a position that is off by part of a pixel does to a value, by how steep values are there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import line_through_cell
from .compile import compiled, inlined, part
from .control import ControlGrid, Window

# numbers of float32 leave those of either precision in it
ONE, HALF = np.float32(1.0), np.float32(0.5)


@inlined
def in_quadrature(sigma: Any, error: Any) -> Any:
    """Return the root of the sum of squares; sigma itself where there is no error, or no sigma.

    In relative precision: squares of the smallest and the largest numbers are none.
    """
    high, low = (sigma, error) if sigma > error else (error, sigma)
    ratio = low / high
    whole = high * math.sqrt(ONE + ratio * ratio)
    return whole if (sigma >= 0) & (error > 0) else sigma


@inlined
def _slope(before: Any, has_before: Any, here: Any, after: Any, has_after: Any) -> Any:
    """Return how much changes from a pixel to the next, by the neighbours that there are."""
    down, up = here - before, after - here
    # a difference is finite, or its own difference is NaN
    has_before, has_after = has_before & (down - down == 0), has_after & (up - up == 0)
    zero = here - here
    total = (down if has_before else zero) + (up if has_after else zero)
    return abs(HALF * total if has_before & has_after else total)


@part
def steep_row(
    mu: Any, sigma: Any, mask: Any, row: int, rows: int, columns: int, stride: int, line: Any
) -> None:
    """Write the length of the gradient along one row of flat arrays, of rows `stride` apart.

    Those of `mask` are `columns` apart. See :func:`steepness`.
    """
    start, first = np.uint64(row * stride), np.uint64(row * columns)
    # what would be beyond the edge is read in this row, and counts for nothing
    has_above, has_below = row > 0, row + 1 < rows
    up, up_flag = np.uint64(stride * has_above), np.uint64(columns * has_above)
    down, down_flag = np.uint64(stride * has_below), np.uint64(columns * has_below)
    for j in range(columns):
        k, flag = start + np.uint64(j), first + np.uint64(j)
        # a clear pixel beside a cloud is no edge, nor is one beside what has no value
        own = mask[flag] == 0
        above, below = k - up, k + down
        with_above = has_above & ((mask[flag - up_flag] == 0) == own) & (sigma[above] >= 0)
        with_below = has_below & ((mask[flag + down_flag] == 0) == own) & (sigma[below] >= 0)
        line[j] = _slope(mu[above], with_above, mu[k], mu[below], with_below)
    one = np.uint64(1)
    for j in range(1, columns - 1):
        k, flag = start + np.uint64(j), first + np.uint64(j)
        own = mask[flag] == 0
        with_left = ((mask[flag - one] == 0) == own) & (sigma[k - one] >= 0)
        with_right = ((mask[flag + one] == 0) == own) & (sigma[k + one] >= 0)
        across = _slope(mu[k - one], with_left, mu[k], mu[k + one], with_right)
        line[j] = in_quadrature(line[j], across)
    if columns > 1:
        for end, step in ((0, 1), (columns - 1, -1)):
            k, flag = start + np.uint64(end), first + np.uint64(end)
            beside, beside_flag = start + np.uint64(end + step), first + np.uint64(end + step)
            alike = ((mask[beside_flag] == 0) == (mask[flag] == 0)) & (sigma[beside] >= 0)
            across = _slope(mu[beside], alike, mu[k], mu[k], has_after=False)
            line[end] = in_quadrature(line[end], across)


@compiled
def _steepness(mu: Any, sigma: Any, mask: Any, out: Any) -> None:
    rows, columns = out.shape
    for i in range(rows):
        steep_row(mu, sigma, mask, i, rows, columns, columns, out[i])


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
    flags = np.zeros(mu.size, np.uint8) if mask is None else np.ascontiguousarray(mask)
    out = np.empty(mu.shape, mu.dtype)
    values, spreads = (np.ascontiguousarray(a).reshape(-1) for a in (mu, sigma))
    _steepness(values, spreads, flags.reshape(-1), out)
    return out


@compiled
def _add(sigma: Any, steep: Any, distance: Any, out: Any) -> None:
    one = distance.size == 1
    for i in range(sigma.size):
        out[i] = in_quadrature(sigma[i], steep[i] * distance[0 if one else i])


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
