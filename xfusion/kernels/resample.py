"""Resampling of one block: a retrieval jointly, or one band, by footprints or by nearest pixel.

Positions in the source are absolute, in pixels from its outer corner (the centre of the first
pixel is 0.5). They are interpolated linearly inside control cells, which are anchored to the
target grid; a window of the source is an integer offset taken off absolute indices. Whatever
block a pixel is computed in, the same operations see the same numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled
from .control import ControlGrid, Window


@compiled
def _width(along: float, across: float) -> float:
    """Return the extent of a target pixel along a source axis, at least one source pixel.

    Two grids of one nominal resolution differ by a percent or two, as map projections do: up to
    2 % this is bilinear interpolation, from 4 % on the footprint itself, continuous between.
    """
    width = math.hypot(along, across)
    if width <= 1.02:
        return 1.0
    return min(width, 1.0 + 2.0 * (width - 1.02))


@compiled
def _cell(u: Any, v: Any, row: int, column: int, step: int) -> Any:
    """Return the widths of a target pixel's footprint in a control cell, along u and v."""
    a, b, c, d = u[row, column], u[row, column + 1], u[row + 1, column], u[row + 1, column + 1]
    width_u = _width((b - a + d - c) / (2 * step), (c - a + d - b) / (2 * step))
    a, b, c, d = v[row, column], v[row, column + 1], v[row + 1, column], v[row + 1, column + 1]
    width_v = _width((b - a + d - c) / (2 * step), (c - a + d - b) / (2 * step))
    return width_u, width_v


@compiled
def _overlap(first: int, centre: float, width: float) -> float:
    """Return the length of a source pixel inside a footprint."""
    return min(first + 1.0, centre + 0.5 * width) - max(float(first), centre - 0.5 * width)


@compiled
def _joint_footprint(
    mu: Any, sigma: Any, mask: Any, window: Any, u: float, v: float, widths: Any, rho: float
) -> Any:
    """Return mu, sigma and flags of one target pixel whose centre lies inside the source."""
    (row0, column0), (_, columns), (all_rows, all_columns) = window
    width_u, width_v = widths
    nearest = (int(v) - row0) * columns + int(u) - column0
    flags = mask[nearest]
    if not (math.isfinite(mu[nearest]) and math.isfinite(sigma[nearest])):
        return float(mu[nearest]), float(sigma[nearest]), flags
    i0, i1 = max(0, math.floor(v - 0.5 * width_v)), min(all_rows, math.ceil(v + 0.5 * width_v))
    j0, j1 = max(0, math.floor(u - 0.5 * width_u)), min(all_columns, math.ceil(u + 0.5 * width_u))
    total = mean = spread = square = 0.0
    for i in range(i0, i1):
        row_weight = _overlap(i, v, width_v)
        for j in range(j0, j1):
            k = (i - row0) * columns + j - column0
            m = float(mu[k])
            s = float(sigma[k])
            # a clear pixel beside a cloud does not borrow from under the cloud, nor the reverse
            alike = (mask[k] == 0) == (flags == 0)
            if alike and math.isfinite(m) and math.isfinite(s):
                weight = row_weight * _overlap(j, u, width_u)
                total += weight
                mean += weight * m
                spread += weight * s
                square += weight * weight * s * s
    spread /= total
    if rho != 1.0:
        spread = math.sqrt(rho * spread * spread + (1.0 - rho) * square / (total * total))
    return mean / total, spread, flags


@compiled
def _joint(
    mu: Any,
    sigma: Any,
    clear: Any,
    mask: Any,
    window: Any,
    grid: Any,
    rho: float,
    outside: int,
    out_mu: Any,
    out_sigma: Any,
    out_mask: Any,
) -> None:
    step, first, node_u, node_v, exact, exact_u, exact_v, exact_width = grid
    (row0, column0), (_, columns), (all_rows, all_columns) = window
    first_row, first_column = first
    rows, width = out_mu.shape
    cell_row0, cell_column0 = first_row // step, first_column // step
    widths = _widths(node_u, node_v, step, exact, exact_width)
    real = mu.dtype.type
    for r in range(rows):
        row = first_row + r
        cell_row = row // step - cell_row0
        inner_row = row % step
        down = (inner_row + 0.5) / step
        for cell_column in range(node_u.shape[1] - 1):
            start = (cell_column + cell_column0) * step
            c0 = max(0, start - first_column)
            c1 = min(width, start + step - first_column)
            a, b = node_u[cell_row, cell_column], node_u[cell_row, cell_column + 1]
            left_u = a + (node_u[cell_row + 1, cell_column] - a) * down
            step_u = (b + (node_u[cell_row + 1, cell_column + 1] - b) * down - left_u) / step
            a, b = node_v[cell_row, cell_column], node_v[cell_row, cell_column + 1]
            left_v = a + (node_v[cell_row + 1, cell_column] - a) * down
            step_v = (b + (node_v[cell_row + 1, cell_column + 1] - b) * down - left_v) / step
            width_u, width_v = widths[cell_row, cell_column]
            half_u, half_v = 0.5 * width_u, 0.5 * width_v
            # pixels that a footprint may touch: one number for the cell, so that the loops
            # over them are predictable; a length of 0 changes nothing
            across, high = math.ceil(width_u) + 1, math.ceil(width_v) + 1
            area = real(1.0 / (width_u * width_v))
            place = exact[cell_row, cell_column]
            for c in range(c0, c1):
                inner = first_column + c - start
                if place < 0:
                    u = left_u + step_u * (inner + 0.5)
                    v = left_v + step_v * (inner + 0.5)
                else:
                    u = exact_u[place, inner_row, inner]
                    v = exact_v[place, inner_row, inner]
                low_u, low_v = u - half_u, v - half_v
                if (
                    low_u >= 0.0
                    and low_v >= 0.0
                    and low_v < all_rows - high + 1
                    and low_u < all_columns - across + 1
                ):
                    i, j = int(low_v), int(low_u)
                    k = (i - row0) * columns + j - column0
                    first_u = j + 1 - low_u
                    second_u = min(1.0, width_u - first_u)
                    a0 = real(first_u)
                    a1 = real(second_u)
                    a2 = real(width_u - first_u - second_u)
                    rest = width_v
                    part = i + 1 - low_v
                    m = s = real(0.0)
                    q = 0.0  # squares in double precision: float32 holds none of 1e-30
                    for _ in range(high):
                        t = a0 * clear[k]
                        rm, rs, rq = a0 * mu[k], t, np.float64(t) * t
                        t = a1 * clear[k + 1]
                        rm += a1 * mu[k + 1]
                        rs += t
                        rq += np.float64(t) * t
                        if across == 3:
                            t = a2 * clear[k + 2]
                            rm += a2 * mu[k + 2]
                            rs += t
                            rq += np.float64(t) * t
                        elif across > 3:
                            more = width_u - first_u - 1.0
                            for tap in range(2, across):
                                weight = real(min(1.0, more))
                                more -= 1.0
                                weight = max(weight, real(0.0))
                                t = weight * clear[k + tap]
                                rm += weight * mu[k + tap]
                                rs += t
                                rq += np.float64(t) * t
                        weight = real(part)
                        m += weight * rm
                        s += weight * rs
                        q += part * part * rq
                        rest -= part
                        part = min(1.0, rest)
                        k += columns
                    m *= area
                    s *= area
                    q *= area * area
                    if rho != 1.0:
                        s = math.sqrt(rho * s * s + (1.0 - rho) * q)
                    if not math.isnan(s):
                        out_mu[r, c] = m
                        out_sigma[r, c] = s
                        out_mask[r, c] = 0
                        continue
                if 0.0 <= u < all_columns and 0.0 <= v < all_rows:
                    m, s, flags = _joint_footprint(
                        mu, sigma, mask, window, u, v, (width_u, width_v), rho
                    )
                    out_mu[r, c] = m
                    out_sigma[r, c] = s
                    out_mask[r, c] = flags
                else:
                    out_mu[r, c] = np.nan
                    out_sigma[r, c] = np.nan
                    out_mask[r, c] = outside


@compiled
def _clear(mu: Any, sigma: Any, mask: Any, clear: Any) -> None:
    """Copy sigma, NaN where the pixel is not usable: the sums then say whether all are."""
    for i in range(mu.size):
        # a difference is 0 or, of what is not finite, NaN
        finite = (mu[i] - mu[i]) + (sigma[i] - sigma[i])
        clear[i] = sigma[i] + finite if mask[i] == 0 else np.nan


@compiled
def _widths(node_u: Any, node_v: Any, step: int, exact: Any, exact_width: Any) -> Any:
    """Return the extent of a target pixel along u and v, for each control cell."""
    rows, columns = node_u.shape
    widths = np.empty((rows - 1, columns - 1, 2))
    for row in range(rows - 1):
        for column in range(columns - 1):
            place = exact[row, column]
            if place < 0:
                widths[row, column] = _cell(node_u, node_v, row, column, step)
            else:
                widths[row, column, 0] = _width(exact_width[place, 0], 0.0)
                widths[row, column, 1] = _width(exact_width[place, 1], 0.0)
    return widths


@compiled
def _nearest(band: Any, window: Any, grid: Any, outside: Any, out: Any) -> None:
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
            a, b = node_u[cell_row, cell_column], node_u[cell_row, cell_column + 1]
            left_u = a + (node_u[cell_row + 1, cell_column] - a) * down
            step_u = (b + (node_u[cell_row + 1, cell_column + 1] - b) * down - left_u) / step
            a, b = node_v[cell_row, cell_column], node_v[cell_row, cell_column + 1]
            left_v = a + (node_v[cell_row + 1, cell_column] - a) * down
            step_v = (b + (node_v[cell_row + 1, cell_column + 1] - b) * down - left_v) / step
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


def joint(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None,
    window: Window,
    grid: ControlGrid,
    *,
    shape: tuple[int, int],
    error_correlation: float,
    outside: int,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8]]:
    """Resample mu, sigma and flags onto one block of the target.

    Parameters
    ----------
    mu, sigma : arrays, shape (rows, columns) of the window
        float32 or float64, both of one dtype.
    mask : array of uint8 or None
        Flags, 0 where usable; None where nothing is excluded.
    window : Window
        Where these arrays lie in the source.
    grid : ControlGrid
        Where the block's pixels fall in the source.
    shape : (int, int)
        Rows and columns of the block.
    error_correlation : float
        Of the errors of neighbouring source pixels, 0 to 1.
    outside : int
        Flags of target pixels whose centre lies outside the source.

    Returns
    -------
    mu, sigma, mask : arrays of `shape`

    Notes
    -----
    Weights w are the overlap of each source pixel with the target pixel's footprint, at least
    one source pixel wide, over the pixels that are usable (or not) as the nearest one is.
    ``mu = sum(w mu_i)``, ``sigma^2 = rho (sum w sigma_i)^2 + (1 - rho) sum w^2 sigma_i^2``, the
    law of propagation of JCGM 100:2008 for errors with one correlation rho between any two.
    Where the nearest mu or sigma is not finite, both are copied as they are.
    """
    outputs = np.empty(shape, mu.dtype), np.empty(shape, mu.dtype), np.empty(shape, np.uint8)
    flags = np.zeros(mu.shape, np.uint8) if mask is None else np.ascontiguousarray(mask)
    clear = np.empty(mu.size, mu.dtype)
    mu, sigma = (np.ascontiguousarray(a).reshape(-1) for a in (mu, sigma))
    _clear(mu, sigma, flags.reshape(-1), clear)
    _joint(
        mu,
        sigma,
        clear,
        flags.reshape(-1),
        tuple(window),
        tuple(grid),
        float(error_correlation),
        outside,
        *outputs,
    )
    return outputs


def nearest(
    band: NDArray[Any],
    window: Window,
    grid: ControlGrid,
    *,
    shape: tuple[int, int],
    outside: float,
) -> NDArray[Any]:
    """Copy the nearest pixel of a band onto each pixel of one block; any dtype."""
    out = np.empty(shape, band.dtype)
    fill = band.dtype.type(outside)
    _nearest(np.ascontiguousarray(band).reshape(-1), tuple(window), tuple(grid), fill, out)
    return out


def band(
    values: NDArray[Any], window: Window, grid: ControlGrid, *, shape: tuple[int, int]
) -> NDArray[Any]:
    """Resample a float band by footprints over what is not NaN, as :func:`joint` does mu."""
    return joint(values, values, None, window, grid, shape=shape, error_correlation=1.0, outside=0)[
        0
    ]
