"""The source pixels of a block, with all that is summed of a pixel side by side.

A footprint then gathers from few lines of memory. What a position that is off adds to sigma is
put in here, where neighbours are at hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from .compile import compiled
from .position import in_quadrature, steep_row

# what the pixels of a neighbourhood are; two kinds together are more than EXCLUDED
USABLE = np.uint8(1)
EXCLUDED = np.uint8(2)
NO_VALUE = np.uint8(4)
OF_SQUARE = np.uint8(15)  # the bits of these for a pixel and its neighbours
OWN = 4  # bits above them, its own

PAIR, TRIPLE = 2, 3  # mu and sigma; and what a position that is off makes of a slope


@compiled
def _interleave(
    mu: Any,
    sigma: Any,
    lowest: Any,
    stride: int,
    mask: Any,
    distance: Any,
    size: int,
    rows: int,
    line: Any,
    out: Any,
    kinds: Any,
) -> None:
    """Put what is summed of a pixel side by side, and say what each 2 x 2 pixels are.

    `kinds` becomes USABLE or EXCLUDED where a pixel, its neighbours to the right and below and
    the one between these all are, and have values; else a number above both. At the last row
    and column there are fewer. In the bits above OWN is what the pixel itself is.
    """
    columns = kinds.size // rows
    missing = sigma.dtype.type(np.nan)
    pair, triple = np.uint64(PAIR), np.uint64(TRIPLE)
    for i in range(rows):
        start, source = np.uint64(i * columns), np.uint64(i * stride)
        if distance > 0:
            steep_row(mu, sigma, mask, i, rows, columns, stride, line)
        if size == TRIPLE:
            for j in range(columns):
                k = triple * (start + np.uint64(j))
                m, s = mu[source + np.uint64(j)], sigma[source + np.uint64(j)]
                out[k], out[k + np.uint64(1)] = m, s if s >= lowest else missing
            for j in range(columns):
                k = triple * (start + np.uint64(j)) + pair
                out[k] = distance * line[j]
        elif distance > 0:
            # errors of one cause, as those of one sensor are
            for j in range(columns):
                k = pair * (start + np.uint64(j))
                m, s = mu[source + np.uint64(j)], sigma[source + np.uint64(j)]
                spread = in_quadrature(s, distance * line[j])
                out[k], out[k + np.uint64(1)] = m, spread if s >= lowest else missing
        else:
            for j in range(columns):
                k = pair * (start + np.uint64(j))
                m, s = mu[source + np.uint64(j)], sigma[source + np.uint64(j)]
                out[k], out[k + np.uint64(1)] = m, s if s >= lowest else missing
        for j in range(columns):
            m, s = mu[source + np.uint64(j)], sigma[source + np.uint64(j)]
            # a difference is 0 or, of what is not finite, NaN
            finite = ((m - m) + (s - s) == 0) & (s >= lowest)
            kind = USABLE if mask[start + np.uint64(j)] == 0 else EXCLUDED
            # what a position that is off makes of a sigma may be infinite
            s = out[np.uint64(size) * (start + np.uint64(j)) + np.uint64(1)]
            own = kind if (m - m) + (s - s) == 0 else NO_VALUE
            kinds[start + np.uint64(j)] = (kind if finite else NO_VALUE) | own << OWN
        for right in range(i * columns, (i + 1) * columns - 1):
            kinds[right] |= kinds[right + 1] & OF_SQUARE
        if i > 0:
            for below in range((i - 1) * columns, i * columns):
                kinds[below] |= kinds[below + columns] & OF_SQUARE


def _flat(mu: NDArray[Any], sigma: NDArray[Any]) -> tuple[int, list[NDArray[Any]]]:
    """Return two layers as flat arrays, and how far apart rows begin; views where possible."""
    rows, columns = mu.shape
    stride = mu.strides[0] // mu.itemsize
    if stride < columns or mu.strides != sigma.strides or mu.strides[1] != mu.itemsize:
        mu, sigma, stride = np.ascontiguousarray(mu), np.ascontiguousarray(sigma), columns
    size = (rows - 1) * stride + columns
    # read-only, always: one signature to compile
    views = [as_strided(a, (size,), (a.itemsize,), writeable=False) for a in (mu, sigma)]
    return stride, views


def side_by_side_of(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    flags: NDArray[np.uint8],
    *,
    size: int,
    lowest: float,
    position_error: float,
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return the values of all pixels, `size` of each one after the other, and their kinds.

    Parameters
    ----------
    mu, sigma : arrays, shape (rows, columns)
        Of one float dtype.
    flags : array of uint8, shape (rows * columns,)
        0 where usable.
    size : {PAIR, TRIPLE}
        mu, and sigma enlarged by the slope; or these two as they are, and
        ``abs(grad mu) position_error``.
    lowest : float
        A smaller sigma is none, and becomes NaN.
    position_error : float
        In source pixels.
    """
    out, kinds = np.empty(size * mu.size, mu.dtype), np.empty(mu.size, np.uint8)
    line = np.zeros(mu.shape[1], mu.dtype)
    stride, (mus, sigmas) = _flat(mu, sigma)
    least, distance = mu.dtype.type(lowest), mu.dtype.type(position_error)
    _interleave(mus, sigmas, least, stride, flags, distance, size, len(mu), line, out, kinds)
    return out, kinds
