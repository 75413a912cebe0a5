"""Sums of products of pixels that lie some rows and columns apart, by Fourier transform."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class LagSums(NamedTuple):
    """Sums for each lag: all rows apart, all columns apart, and the sums of their products."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    sums: NDArray[np.float64]
    """Of shape (rows, columns)."""


def lag_sums(
    core: NDArray[np.float64],
    around: NDArray[np.float64],
    offset: tuple[int, int],
    reach: tuple[int, int],
) -> LagSums:
    """Return ``sum_i core_i around_(i + h)`` for each lag h of so many rows and columns.

    Parameters
    ----------
    core : array, shape (rows, columns)
    around : array
        The core with pixels around it; what is further away counts as 0.
    offset : (int, int)
        Where the core begins in `around`.
    reach : (int, int)
        The largest lag in each direction.

    Notes
    -----
    The theorem of Wiener and Khinchin: products of transforms instead of all pairs of pixels.
    """
    from scipy import fft

    lags, shape, first, within = [], [], [], []
    for n, m, o, r in zip(core.shape, around.shape, offset, reach, strict=True):
        start, stop = max(0, o - r), min(m, o + n + r)
        within.append(slice(start, stop))
        first.append(o - start)
        # lags at which the two meet at all
        lags.append(np.arange(-min(r, o - start + n - 1), min(r, stop - o - 1) + 1))
        # wide enough that no lag within reach is that of a pair on the other side
        shape.append(fft.next_fast_len(min(n + stop - start - 1, n + 2 * r), real=True))
    product = np.conj(fft.rfft2(core, shape)) * fft.rfft2(around[tuple(within)], shape)
    sums = fft.irfft2(product, shape)
    at: Any = np.ix_(*((lag + o) % s for lag, o, s in zip(lags, first, shape, strict=True)))
    return LagSums(lags[0], lags[1], sums[at])
