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

from .buffers import LANES, borrowed, stack_buffer, strip_buffer
from .cells import line_through_cell
from .compile import compiled, inlined, part
from .control import ControlGrid, Window
from .footprint import footprint_widths, overlap
from .mixed import mixed_footprint
from .side_by_side import EXCLUDED, PAIR, TRIPLE, USABLE, side_by_side_of
from .taps import footprint_sums, kinds_of_footprints, locate, locate_nearest

MAX_INT32 = 2**31 - 1
ONE_ERROR, SQUARES = None, True  # whether squares of sigma are summed as well
EMPTY_INT32 = np.empty(0, np.int32)


@part
def _joint_footprint(
    pixels: Any,
    mask: Any,
    window: Any,
    u: float,
    v: float,
    widths: Any,
    rho: Any,
) -> Any:
    """Return mu, sigma and flags of one target pixel whose centre lies inside the source.

    `rho` is None if errors are one.
    """
    (row0, column0), (_, stride), (all_rows, all_columns) = window
    width_u, width_v = widths
    nearest = (int(v) - row0) * stride + int(u) - column0
    size = PAIR if rho is None else TRIPLE
    own_m, own_s = float(pixels[size * nearest]), float(pixels[size * nearest + 1])
    flags = mask[nearest]
    if not (math.isfinite(own_m) and math.isfinite(own_s)):
        return own_m, own_s, flags
    i0, i1 = max(0, math.floor(v - 0.5 * width_v)), min(all_rows, math.ceil(v + 0.5 * width_v))
    j0, j1 = max(0, math.floor(u - 0.5 * width_u)), min(all_columns, math.ceil(u + 0.5 * width_u))
    total = mean = spread = square = slope = 0.0
    for i in range(i0, i1):
        row_weight = overlap(i, v, width_v)
        for j in range(j0, j1):
            k = (i - row0) * stride + j - column0
            m = float(pixels[size * k])
            s = float(pixels[size * k + 1])
            # a clear pixel beside a cloud does not borrow from under the cloud, nor the reverse
            alike = (mask[k] == 0) == (flags == 0)
            if alike and math.isfinite(m) and math.isfinite(s):
                weight = row_weight * overlap(j, u, width_u)
                total += weight
                mean += weight * m
                spread += weight * s
                square += weight * weight * s * s
                if size == TRIPLE:
                    slope += weight * pixels[size * k + 2]
    if rho is not None:
        spread = math.sqrt(rho * spread * spread + (1.0 - rho) * square + slope * slope)
    return mean / total, spread / total, flags


@inlined
def _inside(u: float, v: float, halves: Any, ends: Any) -> Any:
    """Whether a footprint, and the taps that it is computed with, lie inside the source."""
    low_u, low_v = u - halves[0], v - halves[1]
    return (low_u >= 0.0) & (low_v >= 0.0) & (low_u < ends[0]) & (low_v < ends[1])


@compiled
def _joint(
    pixels: Any,
    kinds: Any,
    mask: Any,
    window: Any,
    grid: Any,
    rho: Any,
    outside: int,
    out_mu: Any,
    out_sigma: Any,
    out_mask: Any,
) -> None:
    step, first, node_u, node_v, exact, exact_u, exact_v, exact_width = grid
    _, (_, stride), (all_rows, all_columns) = window
    first_row, first_column = first
    rows, width = out_mu.shape
    cell_row0, cell_column0 = first_row // step, first_column // step
    cell_widths = footprint_widths(node_u, node_v, step, exact, exact_width)
    short = kinds.size < MAX_INT32
    pixels, kinds, mask = borrowed(pixels), borrowed(kinds), borrowed(mask)
    node_u, node_v = borrowed(node_u), borrowed(node_v)
    places = stack_buffer(EMPTY_INT32), stack_buffer(node_u), stack_buffer(node_u)
    sums = strip_buffer(node_u), stack_buffer(node_u), stack_buffer(node_u)
    kind = stack_buffer(kinds)
    nearest_ones, which = stack_buffer(EMPTY_INT32), stack_buffer(EMPTY_INT32)
    for r in range(rows):
        row, out_row = first_row + r, np.uint64(r)
        out_mask[r] = 0
        cell_row = row // step - cell_row0
        inner_row = row % step
        down = (inner_row + 0.5) / step
        for cell_column in range(node_u.shape[1] - 1):
            start = (cell_column + cell_column0) * step
            c0 = max(0, start - first_column)
            c1 = min(width, start + step - first_column)
            left_u, step_u = line_through_cell(node_u, cell_row, cell_column, down, step)
            left_v, step_v = line_through_cell(node_v, cell_row, cell_column, down, step)
            widths = cell_widths[cell_row, cell_column, 0], cell_widths[cell_row, cell_column, 1]
            halves = 0.5 * widths[0], 0.5 * widths[1]
            across, high = math.ceil(widths[0]) + 1, math.ceil(widths[1]) + 1
            ends = all_columns - across + 1, all_rows - high + 1
            scale = 1.0 / (widths[0] * widths[1])
            place = exact[cell_row, cell_column]
            # On a line, the pixels whose footprints lie inside are one run.
            run0 = run1 = c1
            if place < 0 and short:
                run0 = c0
                while run0 < run1:
                    inner = first_column + run0 - start + 0.5
                    u, v = left_u + step_u * inner, left_v + step_v * inner
                    if _inside(u, v, halves, ends):
                        break
                    run0 += 1
                while run0 < run1:
                    inner = first_column + run1 - 1 - start + 0.5
                    u, v = left_u + step_u * inner, left_v + step_v * inner
                    if _inside(u, v, halves, ends):
                        break
                    run1 -= 1
            for c in range(run0, run1, LANES):
                n = min(LANES, run1 - c)
                inner = first_column + c - start
                lines = (left_u, step_u), (left_v, step_v)
                locate(lines, inner, n, halves, window, stride, places)
                pairs, sum_square, sum_slope = sums
                # of no number, which is asked when this is compiled: either alone
                if rho is None:
                    footprint_sums(pixels, stride, places, n, widths, ONE_ERROR, sums)
                else:
                    footprint_sums(pixels, stride, places, n, widths, SQUARES, sums)
                    for x in range(n):
                        s, slope = pairs[2 * x + 1], sum_slope[x]
                        square = rho * s * s + (1.0 - rho) * sum_square[x]
                        pairs[2 * x + 1] = math.sqrt(square + slope * slope)
                # unsigned: a negative index would count from the end
                first_out = np.uint64(c)
                for x in range(n):
                    out_mu[out_row, first_out + np.uint64(x)] = pairs[2 * x] * scale
                for x in range(n):
                    out_sigma[out_row, first_out + np.uint64(x)] = pairs[2 * x + 1] * scale
                kind_of_all = kinds_of_footprints(kinds, stride, places[0], n, across, high, kind)
                if kind_of_all == USABLE:
                    continue
                locate_nearest(lines, inner, n, window, stride, nearest_ones)
                for x in range(n):
                    nearest = np.uint64(np.uint32(nearest_ones[x]))
                    out_mask[out_row, first_out + np.uint64(x)] = mask[nearest]
                number: Any = np.uint64(0)
                for x in range(n):
                    which[number] = x
                    number += np.uint64(kind[x] > EXCLUDED)
                for y in range(number):
                    pixel = np.uint64(np.uint32(which[y]))
                    begin = np.uint64(np.uint32(places[0][pixel]))
                    nearest = np.uint64(np.uint32(nearest_ones[pixel]))
                    into = places[1][pixel], places[2][pixel]
                    m, s = mixed_footprint(
                        pixels, kinds, stride, begin, nearest, into, widths, across, high, rho
                    )
                    out_mu[out_row, first_out + pixel], out_sigma[out_row, first_out + pixel] = m, s
            for c in range(c0, c1 - (run1 - run0)):
                if c >= run0:
                    c += run1 - run0  # noqa: PLW2901  # what is before the run and what is after
                inner = first_column + c - start
                if place < 0:
                    u, v = left_u + step_u * (inner + 0.5), left_v + step_v * (inner + 0.5)
                else:
                    u, v = exact_u[place, inner_row, inner], exact_v[place, inner_row, inner]
                m, s, flags = np.nan, np.nan, np.uint8(outside)
                if 0.0 <= u < all_columns and 0.0 <= v < all_rows:
                    m, s, flags = _joint_footprint(pixels, mask, window, u, v, widths, rho)
                out_mu[r, c], out_sigma[r, c], out_mask[r, c] = m, s, flags


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
    lowest: float = 0.0,
    position_error: float = 0.0,
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
    lowest : float
        A smaller sigma is none, and becomes NaN.
    position_error : float
        By how many source pixels positions are off.

    Notes
    -----
    Weights w are the overlap of each source pixel with the target pixel's footprint, at least
    one source pixel wide, over the pixels that are usable (or not) as the nearest one is.
    ``mu = sum(w mu_i)``, ``sigma^2 = rho (sum w sigma_i)^2 + (1 - rho) sum w^2 sigma_i^2``, the
    law of propagation of JCGM 100:2008 for errors with one correlation rho between any two.
    A position that is off by d adds ``(abs(grad mu) d)^2``: to sigma_i^2 for rho = 1, as to errors
    of one cause; else to that of the result, with the weighted mean of ``abs(grad mu)``, since that
    of neighbours is off to one side, whatever their own errors are.
    Where the nearest mu or sigma is not finite, both are copied as they are.
    """
    flags = np.zeros(mu.size, np.uint8) if mask is None else np.ascontiguousarray(mask).reshape(-1)
    rho = None if error_correlation == 1.0 else float(error_correlation)
    pixels, kinds = side_by_side_of(
        mu,
        sigma,
        flags,
        size=PAIR if rho is None else TRIPLE,
        lowest=lowest,
        position_error=position_error,
    )
    _joint(pixels, kinds, flags, tuple(window), tuple(grid), rho, outside, *out)


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
    layers = first, second, None, window, grid
    joint(*layers, error_correlation=1.0, outside=0, out=outs, lowest=-np.inf)
