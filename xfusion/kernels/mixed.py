"""Footprints over pixels of which some are usable and others are not, or have no value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import inlined
from .pairs import added, pair_at, scaled
from .side_by_side import NO_VALUE, OWN, PAIR, TRIPLE


@inlined
def mixed_footprint(
    pixels: Any,
    kinds: Any,
    stride: int,
    first: Any,
    nearest: Any,
    into: Any,
    widths: Any,
    across: int,
    high: int,
    rho: Any,
) -> Any:
    """Return mu and sigma of a target pixel whose footprint begins in the source pixel `first`.

    It begins as far `into` that pixel, along u and v. Of the pixels that are usable, or excluded,
    as the nearest one is. Which these are nobody can foresee, so there is no branch: of others the
    nearest counts in their place, with no weight.
    """
    size = np.uint64(PAIR if rho is None else TRIPLE)
    one, own = np.uint64(1), kinds[nearest] >> OWN
    if own == NO_VALUE:
        return np.float64(pixels[size * nearest]), np.float64(pixels[size * nearest + one])
    along, down = into
    # a bit of a kind, taken as a number: compilers make branches of choices between floats
    bit = np.uint64(OWN) + np.uint64(own >> 1)
    right, below = along + widths[0], down + widths[1]
    none = 0.0, 0.0, 0.0, (0.0, 0.0)
    total, square, slope, sums = none
    row_weight, row = 1.0 - down, first
    for _ in range(high):
        weight, k = 1.0 - along, row
        end = right
        row_total, row_square, row_slope, row_sums = none
        for _ in range(across):
            alike = (np.uint64(kinds[k]) >> bit) & one
            weight *= np.float64(np.int32(alike))
            place = size * (nearest + ((k - nearest) & (np.uint64(0) - alike)))
            pair = pair_at(pixels, place)
            row_total += weight
            row_sums = added(row_sums, scaled(weight, pair))
            if rho is not None:
                part = weight * pair[1]
                row_square += part * part
                row_slope += weight * pixels[place + one + one]
            # the last pixels may lie beyond the footprint
            k += one
            end -= 1.0
            weight = min(1.0, max(0.0, end))
        total += row_weight * row_total
        sums = added(sums, scaled(row_weight, row_sums))
        if rho is not None:
            square += row_weight * row_weight * row_square
            slope += row_weight * row_slope
        row += np.uint64(stride)
        below -= 1.0
        row_weight = min(1.0, max(0.0, below))
    mean, spread = sums
    if rho is not None:
        spread = math.sqrt(rho * spread * spread + (1.0 - rho) * square + slope * slope)
    return mean / total, spread / total
