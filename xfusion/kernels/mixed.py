"""Footprints over pixels of which some are usable and others are not, or have no value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import inlined
from .footprint import overlap
from .pairs import added, pair_at, scaled
from .side_by_side import NO_VALUE, OWN, PAIR, TRIPLE


@inlined
def mixed_footprint(
    pixels: Any,
    kinds: Any,
    stride: int,
    first: Any,
    nearest: Any,
    u: float,
    v: float,
    widths: Any,
    across: int,
    high: int,
    rho: Any,
) -> Any:
    """Return mu and sigma of a target pixel whose footprint begins at the source pixel `first`.

    Of the pixels that are usable, or excluded, as the nearest one is. Which these are nobody can
    foresee, so there is no branch: of others the nearest counts in their place, with no weight.
    """
    width_u, width_v = widths
    size = np.uint64(PAIR if rho is None else TRIPLE)
    one, own = np.uint64(1), kinds[nearest] >> OWN
    if own == NO_VALUE:
        return np.float64(pixels[size * nearest]), np.float64(pixels[size * nearest + one])
    i0, j0 = math.floor(v - 0.5 * width_v), math.floor(u - 0.5 * width_u)
    total = square = slope = 0.0
    sums = 0.0, 0.0
    # the last pixels may lie beyond the footprint
    for i in range(high):
        row_weight = max(0.0, overlap(i0 + i, v, width_v))
        for j in range(across):
            k = first + np.uint64(i * stride + j)
            alike = kinds[k] >> OWN == own
            k = k if alike else nearest
            weight = row_weight * max(0.0, overlap(j0 + j, u, width_u)) * (1.0 if alike else 0.0)
            pair = pair_at(pixels, size * k)
            total += weight
            sums = added(sums, scaled(weight, pair))
            if rho is not None:
                square += weight * weight * pair[1] * pair[1]
                slope += weight * pixels[size * k + np.uint64(2)]
    mean, spread = sums
    if rho is not None:
        spread = math.sqrt(rho * spread * spread + (1.0 - rho) * square + slope * slope)
    return mean / total, spread / total
