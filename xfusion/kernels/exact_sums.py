"""Sums of floating-point numbers without any rounding, and so the same in whatever order.

A number is added as a whole number of the smallest one there is. As that has up to 2098 bits, it
is kept in words of 32 of them, each in an int64 that has room for two million sums (as in Neal
2015, Fast exact summation using small and large superaccumulators, arXiv 1505.05571). What is
beyond the first 41 bits of a number is rounded, by at most 2^-41 of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import inlined

WORDS = 66
KEPT = 41  # bits of a number
DROPPED = 53 - KEPT
MANTISSA = (1 << 52) - 1
WORD = (1 << 32) - 1
MOST = 1 << 20  # numbers that are added before the words are carried
ONE = 1023 + KEPT - 1  # bit of the words that stands for 1


@inlined
def add(words: Any, row: int, value: float) -> None:
    """Add a number to the sum in a row."""
    bits = np.float64(value).view(np.int64)
    exponent = (bits >> 52) & 2047
    whole = (bits & MANTISSA) | ((1 << 52) if exponent else 0)
    # numbers without an exponent of their own have that of the smallest that has one
    exponent = exponent or np.int64(1)
    whole = (whole + (1 << (DROPPED - 1))) >> DROPPED
    shift = exponent & 31
    word = exponent >> 5
    low, high = (whole << shift) & WORD, whole >> (32 - shift)
    if bits < 0:
        low, high = -low, -high
    words[row, word] += low
    words[row, word + 1] += high


def carried(words: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return sums whose words, but for the last, have 32 bits, so that more can be added.

    Parameters
    ----------
    words : array of int64, shape (..., WORDS)
    """
    result = words.copy()
    if not words.any():
        return result
    for word in range(WORDS - 1):
        over = result[..., word] >> 32
        result[..., word] -= over << 32
        result[..., word + 1] += over
    return result


def total(words: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return carried sums as floating-point numbers, infinite where a part of one was."""
    # of a negative sum the last word is too low, and the others go up from there
    sign = np.where(words[..., -1] < 0, -1, 1)
    words = carried(words * sign[..., None])
    sums = np.zeros(words.shape[:-1])
    with np.errstate(over="ignore"):
        for word in reversed(range(WORDS)):
            sums += np.ldexp(words[..., word].astype(np.float64), 32 * word - ONE)
    return sums * sign
