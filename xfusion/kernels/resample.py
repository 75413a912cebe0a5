"""Resampling of one block by footprints: a retrieval jointly, or bands.

Positions in the source are absolute, in pixels from its outer corner (the centre of the first
pixel is 0.5). They are interpolated linearly inside control cells, which are anchored to the
target grid; a window of the source is an integer offset taken off absolute indices. Whatever
block a pixel is computed in, the same operations see the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled
from .control import ControlGrid, Window
from .footprint import footprint_widths, overlap

# what the pixels of a neighbourhood are; two kinds together are more than EXCLUDED
USABLE = np.uint8(1)
EXCLUDED = np.uint8(2)
NO_VALUE = np.uint8(4)


@compiled
def _joint_footprint(
    pairs: Any, mask: Any, window: Any, u: float, v: float, widths: Any, rho: float
) -> Any:
    """Return mu, sigma and flags of one target pixel whose centre lies inside the source."""
    (row0, column0), (_, columns), (all_rows, all_columns) = window
    width_u, width_v = widths
    nearest = (int(v) - row0) * columns + int(u) - column0
    own_m, own_s, flags = pairs[2 * nearest], pairs[2 * nearest + 1], mask[nearest]
    if not (math.isfinite(own_m) and math.isfinite(own_s)):
        return float(own_m), float(own_s), flags
    i0, i1 = max(0, math.floor(v - 0.5 * width_v)), min(all_rows, math.ceil(v + 0.5 * width_v))
    j0, j1 = max(0, math.floor(u - 0.5 * width_u)), min(all_columns, math.ceil(u + 0.5 * width_u))
    total = mean = spread = square = 0.0
    for i in range(i0, i1):
        row_weight = overlap(i, v, width_v)
        for j in range(j0, j1):
            k = (i - row0) * columns + j - column0
            m = float(pairs[2 * k])
            s = float(pairs[2 * k + 1])
            # a clear pixel beside a cloud does not borrow from under the cloud, nor the reverse
            alike = (mask[k] == 0) == (flags == 0)
            if alike and math.isfinite(m) and math.isfinite(s):
                weight = row_weight * overlap(j, u, width_u)
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
    pairs: Any,
    kinds: Any,
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
    widths = footprint_widths(node_u, node_v, step, exact, exact_width)
    real = pairs.dtype.type
    down1 = 2 * columns  # from a pixel's pair to that of the pixel below
    down2 = 2 * down1
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
            # pixels that a footprint may touch: one number for the cell, so that branches and
            # loops are predictable; a length of 0 changes nothing
            across, high = math.ceil(width_u) + 1, math.ceil(width_v) + 1
            end_u, end_v = all_columns - across + 1, all_rows - high + 1
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
                if low_u >= 0.0 and low_v >= 0.0 and low_v < end_v and low_u < end_u:
                    i, j = int(low_v), int(low_u)
                    k = (i - row0) * columns + j - column0
                    p = 2 * k
                    kind = kinds[k]
                    square = 0.0  # in double precision: float32 holds none of 1e-30
                    # The taps are written out for the usual sizes, and in place: a call with
                    # arrays costs as much as they do.
                    if across == 2 and high == 2:
                        a1, b1 = real(low_u - j), real(low_v - i)
                        a0, b0 = real(1.0) - a1, real(1.0) - b1
                        m = a0 * (b0 * pairs[p] + b1 * pairs[p + down1]) + a1 * (
                            b0 * pairs[p + 2] + b1 * pairs[p + down1 + 2]
                        )
                        s = a0 * (b0 * pairs[p + 1] + b1 * pairs[p + down1 + 1]) + a1 * (
                            b0 * pairs[p + 3] + b1 * pairs[p + down1 + 3]
                        )
                        if rho != 1.0:
                            x0, x1 = a0 * pairs[p + 1], a1 * pairs[p + 3]
                            y0, y1 = a0 * pairs[p + down1 + 1], a1 * pairs[p + down1 + 3]
                            square = (
                                np.float64(b0) * b0 * (np.float64(x0) * x0 + np.float64(x1) * x1)
                            )
                            square += (
                                np.float64(b1) * b1 * (np.float64(y0) * y0 + np.float64(y1) * y1)
                            )
                    elif across <= 3 and high <= 3:
                        first_u, first_v = j + 1 - low_u, i + 1 - low_v
                        second_u = min(1.0, width_u - first_u)
                        second_v = min(1.0, width_v - first_v)
                        a0, b0 = real(first_u), real(first_v) * area
                        a1, b1 = real(second_u), real(second_v) * area
                        a2, b2 = real(0.0), real(0.0)
                        q = p
                        if high == 3:
                            kind |= kinds[k + columns]
                            b2 = real(width_v - first_v - second_v) * area
                            q = p + down2
                        m = a0 * (b0 * pairs[p] + b1 * pairs[p + down1] + b2 * pairs[q]) + a1 * (
                            b0 * pairs[p + 2] + b1 * pairs[p + down1 + 2] + b2 * pairs[q + 2]
                        )
                        s = a0 * (
                            b0 * pairs[p + 1] + b1 * pairs[p + down1 + 1] + b2 * pairs[q + 1]
                        ) + a1 * (b0 * pairs[p + 3] + b1 * pairs[p + down1 + 3] + b2 * pairs[q + 3])
                        if across == 3:
                            kind |= kinds[k + 1] | kinds[k + 1 + (high - 2) * columns]
                            a2 = real(width_u - first_u - second_u)
                            m += a2 * (
                                b0 * pairs[p + 4] + b1 * pairs[p + down1 + 4] + b2 * pairs[q + 4]
                            )
                            s += a2 * (
                                b0 * pairs[p + 5] + b1 * pairs[p + down1 + 5] + b2 * pairs[q + 5]
                            )
                        if rho != 1.0:
                            for tap in range(1, 2 * across, 2):
                                a = np.float64(a0 if tap == 1 else a1 if tap == 3 else a2)
                                x, y, t = pairs[p + tap], pairs[p + down1 + tap], pairs[q + tap]
                                x, y, t = b0 * a * x, b1 * a * y, b2 * a * t
                                square += x * x + y * y + t * t
                    else:
                        wide_m = wide_s = 0.0  # of many rows
                        part_v, rest_v = i + 1 - low_v, width_v
                        for down_by in range(high):
                            row_m = row_s = real(0.0)
                            row_square = 0.0
                            part_u, rest_u = j + 1 - low_u, width_u
                            for q in range(p, p + 2 * across, 2):
                                weight = real(part_u)
                                part = weight * pairs[q + 1]
                                row_m += weight * pairs[q]
                                row_s += part
                                row_square += np.float64(part) * part
                                rest_u -= part_u
                                part_u = max(0.0, min(1.0, rest_u))
                            weight = real(part_v)
                            wide_m += weight * row_m
                            wide_s += weight * row_s
                            square += part_v * part_v * row_square
                            rest_v -= part_v
                            part_v = max(0.0, min(1.0, rest_v))
                            p += down1
                            if down_by < high - 1:
                                for q in range(across - 1):
                                    kind |= kinds[k + down_by * columns + q]
                        m = real(wide_m * area)
                        s = real(wide_s * area)
                        square *= np.float64(area) * area
                    if kind <= EXCLUDED:
                        if rho != 1.0:
                            s = real(math.sqrt(rho * s * s + (1.0 - rho) * square))
                        out_mu[r, c] = m
                        out_sigma[r, c] = s
                        nearest = (int(v) - row0) * columns + int(u) - column0
                        out_mask[r, c] = 0 if kind == USABLE else mask[nearest]
                        continue
                if 0.0 <= u < all_columns and 0.0 <= v < all_rows:
                    m_s_flags = _joint_footprint(pairs, mask, window, u, v, (width_u, width_v), rho)
                    out_mu[r, c], out_sigma[r, c], out_mask[r, c] = m_s_flags
                else:
                    out_mu[r, c] = np.nan
                    out_sigma[r, c] = np.nan
                    out_mask[r, c] = outside


@compiled
def _pair(mu: Any, sigma: Any, mask: Any, pairs: Any, kinds: Any) -> None:
    """Put mu and sigma of a pixel side by side, and say what each 2 x 2 pixels are.

    `kinds` becomes USABLE or EXCLUDED where a pixel, its neighbours to the right and below and
    the one between these all are, and have values; else a number above both. At the last row
    and column there are fewer.
    """
    rows, columns = mu.shape
    for i in range(rows):
        for j in range(columns):
            k = i * columns + j
            m, s = mu[i, j], sigma[i, j]
            pairs[2 * k], pairs[2 * k + 1] = m, s
            # a difference is 0 or, of what is not finite, NaN
            finite = (m - m) + (s - s) == 0
            kind = USABLE if mask[k] == 0 else EXCLUDED
            kinds[k] = kind if finite else NO_VALUE
    for i in range(rows):
        for k in range(i * columns, (i + 1) * columns - 1):
            kinds[k] |= kinds[k + 1]
    for k in range((rows - 1) * columns):
        kinds[k] |= kinds[k + columns]


def joint(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None,
    window: Window,
    grid: ControlGrid,
    *,
    error_correlation: float,
    outside: int,
    out: Sequence[NDArray[Any]],
) -> None:
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
    error_correlation : float
        Of the errors of neighbouring source pixels, 0 to 1.
    outside : int
        Flags of target pixels whose centre lies outside the source.
    out : arrays of mu, sigma and mask, shape (rows, columns) of the block
        Filled; C-contiguous, of the dtypes of `mu`, `sigma` and uint8.

    Notes
    -----
    Weights w are the overlap of each source pixel with the target pixel's footprint, at least
    one source pixel wide, over the pixels that are usable (or not) as the nearest one is.
    ``mu = sum(w mu_i)``, ``sigma^2 = rho (sum w sigma_i)^2 + (1 - rho) sum w^2 sigma_i^2``, the
    law of propagation of JCGM 100:2008 for errors with one correlation rho between any two.
    Where the nearest mu or sigma is not finite, both are copied as they are.
    """
    flags = np.zeros(mu.size, np.uint8) if mask is None else np.ascontiguousarray(mask).reshape(-1)
    pairs, kinds = np.empty(2 * mu.size, mu.dtype), np.empty(mu.size, np.uint8)
    _pair(mu, sigma, flags, pairs, kinds)
    rho = float(error_correlation)
    _joint(pairs, kinds, flags, tuple(window), tuple(grid), rho, outside, *out)


def bands(
    values: Sequence[NDArray[Any]],
    window: Window,
    grid: ControlGrid,
    *,
    out: Sequence[NDArray[Any]],
) -> None:
    """Resample one or two float bands by footprints, as :func:`joint` does mu and sigma.

    Two are weighted over the pixels where both have a value. Where one has none in the nearest
    pixel, both are copied from there.
    """
    first, second = values[0], values[-1]
    flags = np.empty(out[0].shape, np.uint8)
    outs = (*out, flags) if len(out) > 1 else (out[0], np.empty_like(out[0]), flags)
    joint(first, second, None, window, grid, error_correlation=1.0, outside=0, out=outs)
