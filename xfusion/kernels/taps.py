"""The sums over the footprints of a run of target pixels, which lie wholly inside the source.

A run is at most LANES pixels of one row and one control cell. Everything is compiled into the
kernel that calls it, loops run over the pixels innermost, and results go to buffers on the stack:
so they vectorise. Sums are in double precision: a mean of equal numbers is that number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .buffers import stack_buffer
from .compile import inlined, inlined_with_memory
from .pairs import added, pair_at, scaled
from .side_by_side import OF_SQUARE

# of a dtype: numba compiles a function for each literal anew, where LLVM but copies it for each
TWO, THREE = np.uint8(2), np.uint8(3)


@inlined
def locate(
    lines: Any, inner: int, n: int, halves: Any, window: Any, stride: int, places: Any
) -> None:
    """Find the first pixel of each footprint in the window, and how far into it that begins."""
    (left_u, step_u), (left_v, step_v) = lines
    half_u, half_v = halves
    (row0, column0), _, _ = window
    at, along, down = places
    # whole numbers in double precision: numba would multiply integers in 64 bits, which is slow
    origin, pixels = float(row0 * stride + column0), float(stride)
    for x in range(n):
        low_u = left_u + step_u * (inner + x + 0.5) - half_u
        low_v = left_v + step_v * (inner + x + 0.5) - half_v
        j, i = math.floor(low_u), math.floor(low_v)
        at[x] = np.int32(i * pixels + j - origin)
        along[x] = low_u - j
        down[x] = low_v - i


@inlined
def locate_nearest(lines: Any, inner: int, n: int, window: Any, stride: int, at: Any) -> None:
    """Find the pixel in the window that each centre lies in."""
    (left_u, step_u), (left_v, step_v) = lines
    (row0, column0), _, _ = window
    origin, pixels = float(row0 * stride + column0), float(stride)
    for x in range(n):
        u, v = left_u + step_u * (inner + x + 0.5), left_v + step_v * (inner + x + 0.5)
        at[x] = np.int32(math.floor(v) * pixels + math.floor(u) - origin)


@inlined
def footprint_sums(
    pixels: Any,
    stride: int,
    places: Any,
    n: int,
    widths: Any,
    squared: bool | None,
    sums: Any,
) -> None:
    """Sum the pixels of each footprint: w mu, w sigma; where `squared`, (w sigma)^2 and w slope.

    So two values of each pixel lie side by side, or three. Weights w are lengths of overlap along
    u times those along v.
    """
    width_u, width_v = widths
    # the sizes are constants in the code that is compiled for each; and what is for None left out
    # is not compiled at all, which of False it would be
    if width_u > 2.0 or width_v > 2.0:
        _many(pixels, stride, places, n, widths, squared, sums)
    elif width_u == 1.0 and width_v == 1.0:
        _few(pixels, stride, places, n, widths, TWO, TWO, squared, sums)
    elif width_u == 1.0:
        _few(pixels, stride, places, n, widths, TWO, THREE, squared, sums)
    elif width_v == 1.0:
        _few(pixels, stride, places, n, widths, THREE, TWO, squared, sums)
    else:
        _few(pixels, stride, places, n, widths, THREE, THREE, squared, sums)


@inlined
def _few(
    pixels: Any,
    stride: int,
    places: Any,
    n: int,
    widths: Any,
    across: Any,
    high: Any,
    squared: bool | None,
    sums: Any,
) -> None:
    width_u, width_v = widths
    at, along, down = places
    pairs, sum_square, sum_slope = sums
    second, third = stack_buffer(along), stack_buffer(along)
    below_first, last = stack_buffer(along), stack_buffer(along)
    for x in range(n):
        a0, b0 = 1.0 - along[x], 1.0 - down[x]
        a1 = min(1.0, width_u - 1.0 + along[x])
        b1 = min(1.0, width_v - 1.0 + down[x])
        second[x], below_first[x] = a1, b1
        third[x], last[x] = max(0.0, width_u - a0 - a1), max(0.0, width_v - b0 - b1)
    one, size = np.uint64(1), np.uint64(2 if squared is None else 3)
    row = size * np.uint64(stride)
    for x in range(n):
        a, b0, b1, b2 = (
            (1.0 - along[x], second[x], third[x]),
            1.0 - down[x],
            below_first[x],
            last[x],
        )
        p = size * np.uint64(np.uint32(at[x]))  # mu; the others are beside it
        q = p + row
        pair = scaled(b0, _row_of_pairs(pixels, p, size, a, across))
        pair = added(pair, scaled(b1, _row_of_pairs(pixels, q, size, a, across)))
        if high == 3:
            pair = added(pair, scaled(b2, _row_of_pairs(pixels, q + row, size, a, across)))
        place = np.uint64(x) + np.uint64(x)
        pairs[place], pairs[place + one] = pair
        if squared is not None:
            p, q = p + one, q + one
            square = b0 * b0 * _row_of_squares(pixels, p, a, across)
            square += b1 * b1 * _row_of_squares(pixels, q, a, across)
            slope = b0 * _row(pixels, p + one, a, across)
            slope += b1 * _row(pixels, q + one, a, across)
            if high == 3:
                square += b2 * b2 * _row_of_squares(pixels, q + row, a, across)
                slope += b2 * _row(pixels, q + row + one, a, across)
            sum_square[x] = square
            sum_slope[x] = slope


@inlined
def _row_of_pairs(pixels: Any, k: Any, size: Any, weights: Any, across: int) -> Any:
    first, second, third = weights
    total = added(scaled(first, pair_at(pixels, k)), scaled(second, pair_at(pixels, k + size)))
    if across == 3:
        total = added(total, scaled(third, pair_at(pixels, k + size + size)))
    return total


@inlined
def _row(pixels: Any, k: Any, weights: Any, across: int) -> Any:
    total = weights[0] * pixels[k] + weights[1] * pixels[k + np.uint64(3)]
    if across == 3:
        total += weights[2] * pixels[k + np.uint64(6)]
    return total


@inlined
def _row_of_squares(pixels: Any, k: Any, weights: Any, across: int) -> Any:
    first, second = weights[0] * pixels[k], weights[1] * pixels[k + np.uint64(3)]
    total = first * first + second * second
    if across == 3:
        third = weights[2] * pixels[k + np.uint64(6)]
        total += third * third
    return total


@inlined_with_memory
def _many(
    pixels: Any,
    stride: int,
    places: Any,
    n: int,
    widths: Any,
    squared: bool | None,
    sums: Any,
) -> None:
    width_u, width_v = widths
    at, along, down = places
    pairs, sum_square, sum_slope = sums
    sum_m, sum_s = stack_buffer(along), stack_buffer(along)
    row_m, row_s, row_square = stack_buffer(sum_m), stack_buffer(sum_m), stack_buffer(sum_m)
    row_slope, size = stack_buffer(sum_m), np.uint64(2 if squared is None else 3)
    for x in range(n):
        sum_m[x] = sum_s[x] = sum_square[x] = sum_slope[x] = 0.0
    for i in range(int(np.ceil(width_v)) + 1):
        for x in range(n):
            row_m[x] = row_s[x] = row_square[x] = row_slope[x] = 0.0
        for j in range(int(np.ceil(width_u)) + 1):
            offset = np.uint64(i * stride + j)
            for x in range(n):
                k = size * (np.uint64(np.uint32(at[x])) + offset)
                weight = _length(along[x], j, width_u)
                part = weight * pixels[k + np.uint64(1)]
                row_m[x] += weight * pixels[k]
                row_s[x] += part
                if squared is not None:
                    row_square[x] += part * part
                    row_slope[x] += weight * pixels[k + np.uint64(2)]
        for x in range(n):
            weight = _length(down[x], i, width_v)
            sum_m[x] += weight * row_m[x]
            sum_s[x] += weight * row_s[x]
            if squared is not None:
                sum_square[x] += weight * weight * row_square[x]
                sum_slope[x] += weight * row_slope[x]
    for x in range(n):
        pairs[2 * x], pairs[2 * x + 1] = sum_m[x], sum_s[x]


@inlined
def _length(start: float, pixel: int, width: float) -> float:
    """Return the overlap of a pixel with a footprint that begins at `start`, in pixel 0."""
    return max(0.0, min(1.0, start + width - pixel) - max(0.0, start - pixel))


@inlined
def kinds_of_footprints(
    kinds: Any, stride: int, at: Any, n: int, across: int, high: int, out: Any
) -> Any:
    """Merge the kinds of the pixels under each footprint, and return those under any."""
    right, below = np.uint64(1), np.uint64(stride)
    of_all = np.uint8(0)
    if across <= 3 and high <= 3:
        # a kind is that of 2 x 2 pixels already
        right, below = np.uint64(across - 2), np.uint64(stride * (high - 2))
        for x in range(n):
            k = np.uint64(np.uint32(at[x]))
            kind = kinds[k]
            if high == 3:
                kind |= kinds[k + below]
            if across == 3:
                kind |= kinds[k + right] | kinds[k + right + below]
            of_all |= kind
            out[x] = kind & OF_SQUARE
        return of_all & OF_SQUARE
    for x in range(n):
        kind = np.uint8(0)
        k = np.uint64(np.uint32(at[x]))
        for i in range(high - 1):
            for j in range(across - 1):
                kind |= kinds[k + np.uint64(i * stride + j)]
        of_all |= kind
        out[x] = kind & OF_SQUARE
    return of_all & OF_SQUARE
