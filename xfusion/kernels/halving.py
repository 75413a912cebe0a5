"""Pixels twice as large: each of four, at an odd edge of two or one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN = 32  # the flag of a pixel of which nothing else is known
Floats = NDArray[np.floating[Any]]


def fours(pixels: NDArray[Any], empty: Any) -> list[NDArray[Any]]:
    """Return the four pixels below each larger one; `empty` where there are fewer."""
    *leading, rows, columns = pixels.shape
    edge = [(0, 0)] * len(leading) + [(0, rows % 2), (0, columns % 2)]
    even = np.pad(pixels, edge, constant_values=empty)
    return [even[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]


def mean(pixels: Floats, seen: NDArray[np.bool_], rows: Floats, columns: Floats) -> Floats:
    """Return the mean of pixels that are seen, by their areas; NaN where none is.

    Parameters
    ----------
    pixels : ndarray, shape (..., y, x)
    seen : ndarray of bool, shape (..., y, x)
    rows, columns : ndarray, shape (y,) and (x,)
        How much of each row and column lies inside the area.
    """
    areas = fours(np.outer(rows, columns), 0.0)
    weights = [np.where(s, a, 0.0) for s, a in zip(fours(seen, empty=False), areas, strict=True)]
    total = np.sum(weights, axis=0)
    safe = np.where(total > 0, total, 1.0)
    # each as a share, as a sum of large numbers could overflow
    shares = [
        np.where(w > 0, p.astype(np.float64), 0.0) * (w / safe)
        for w, p in zip(weights, fours(pixels, 0), strict=True)
    ]
    found = np.where(total > 0, np.sum(shares, axis=0), np.nan)
    return found.astype(pixels.dtype)


def either(flags: NDArray[Any]) -> NDArray[Any]:
    """Return the flags that any pixel has; of numbers with NaN those of the others."""
    if flags.dtype.kind != "f":
        return np.asarray(np.bitwise_or.reduce(fours(flags, 0)))
    seen = np.isfinite(flags)
    whole = np.where(seen, flags, 0).astype(np.int64)
    joined = np.bitwise_or.reduce(fours(whole, 0))
    return np.where(np.any(fours(seen, empty=False), axis=0), joined, np.nan).astype(flags.dtype)


def first(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the first of each four: all are as near to the middle."""
    return pixels[..., ::2, ::2]


def mask(flags: NDArray[np.uint8], usable: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return 0 where any pixel is usable, else the flags of all, `UNKNOWN` if they have none."""
    excluded = either(flags)
    unusable = np.where(excluded == 0, np.uint8(UNKNOWN), excluded)
    return np.where(either(usable), np.uint8(0), unusable).astype(flags.dtype)
