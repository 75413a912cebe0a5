"""Bins of probabilities that are the narrower the closer they are to 0 or to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import inlined

PARTS = 128  # bins between a distance from 0, or from 1, and twice it
OCTAVES = 20  # doublings from the smallest distance that is told from others to one half
SMALLEST = 0.5**21  # below it, what is not 0 is one bin
SHIFT = 52 - 7  # of the bits of a double: 7 of its fraction, PARTS of each octave, stay
FIRST = (1023 - 21) * PARTS - 2  # what stays of SMALLEST, after the bins of 0 and of less
HALF = OCTAVES * PARTS + 2  # the bin of exactly one half
BINS = 2 * (HALF + 1)


@inlined
def bin_of(p: float) -> int:
    """Return the bin of a probability: 0 and 1 have one of their own, so has one half."""
    near = p if p <= 0.5 else 1.0 - p
    if near == 0.0:
        part = 0
    else:
        bits: Any = np.float64(near).view(np.int64)
        part = min(max((bits >> SHIFT) - FIRST, 1), HALF)
    return part if p <= 0.5 else BINS - 1 - part


def lower_edges() -> NDArray[np.float64]:
    """Return for each bin a number that none of its probabilities is below."""
    octaves = SMALLEST * 2.0 ** np.arange(OCTAVES)
    edges = np.outer(octaves, 1.0 + np.arange(PARTS) / PARTS).reshape(-1)
    rising = np.concatenate([[0.0, 0.0], edges, [0.5]])
    # the mirrored bins begin where their neighbours nearer to one half end
    upper_ends = np.concatenate([[0.0, SMALLEST], edges[1:], [0.5, 0.5]])
    return np.concatenate([rising, 1.0 - upper_ends[::-1]])
