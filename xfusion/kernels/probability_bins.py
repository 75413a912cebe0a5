"""Bins of probabilities: a thousandth wide, and towards 0 and 1 ever finer.

A bin is at most 1/1000 wide, and at most a 32nd of how far its nearer edge is from 0 or 1, until
2^-13 thousandths. So all thousandths are edges. A bin has its upper edge and not its lower, but for
the first, which has 0: the bins above an edge hold what is larger than it. Numbers up to 1e-7 above
an edge are in the bin below it, as may be a float32 that was rounded to a thousandth.

All is counted in thousandths, from 0 or from 1, whichever is nearer, in single precision: from
LINEAR on their whole part is the bin, below it the exponent and the first five bits of the
fraction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LINEAR = 32  # thousandths from which bins are one wide
HALF_WAY = 500
OCTAVES = 18  # below LINEAR
BITS = 5  # of the fraction: bins of an octave are a 32nd of its lower edge wide
DROPPED = np.int32(23 - BITS)
SMALLEST = 2.0**-13
BELOW = 1 + (OCTAVES << BITS)  # bins below LINEAR
HALF = BELOW + HALF_WAY - LINEAR  # bins from 0 to 1/2
BINS = 2 * HALF

THOUSAND = np.float32(1000.0)
NEAR = np.float32(1e-4)  # thousandths
# half a bin below the first octave: what is less is in the first bin as well
LEAST = np.float32(SMALLEST * 63 / 64)
BEFORE_FIRST = np.int32((LEAST.view(np.int32) >> DROPPED).item())
LINEAR_FROM = np.float32(LINEAR)
SHIFT = np.int32(BELOW - LINEAR)
LAST_OF_HALF = np.int32(HALF - 1)
LAST = np.int32(BINS - 1)


def edges() -> NDArray[np.float64]:
    """Return the edges of all bins, from 0 to 1, one more than there are bins."""
    octaves = SMALLEST * 2.0 ** np.arange(OCTAVES)
    fractions = 1 + np.arange(1 << BITS) / (1 << BITS)
    fine = np.multiply.outer(octaves, fractions).ravel()
    lower = np.concatenate([[0.0], fine, np.arange(LINEAR, HALF_WAY)])
    # divided once, so that thousandths are the numbers that people write
    return np.concatenate([lower, [HALF_WAY], 1000 - lower[::-1]]) / 1000


def bin_of(value: np.floating) -> int:
    """Return the bin of a probability, as the kernels find it."""
    one = value.dtype.type(1)
    above = value > one / 2
    thousandths = np.float32(one - value if above else value) * THOUSAND
    thousandths = max(thousandths + (NEAR if above else -NEAR), LEAST)
    if thousandths >= LINEAR_FROM:
        place = min(int(thousandths) + int(SHIFT), int(LAST_OF_HALF))
    else:
        place = int(thousandths.view(np.int32) >> DROPPED) - int(BEFORE_FIRST)
    return int(LAST) - place if above else place
