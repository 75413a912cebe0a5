"""What the ends of colours stand for: one rule of pictures and reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.names import CHI2, COUNT, DIFFERENCE, SIGMA, WEIGHT
from xfusion.datamodel.units import DIMENSIONLESS

from .palette import APART, MEAN, SHARE, SPREAD

Scale: TypeAlias = tuple[tuple[float, float], str]  # limits and colours

EDGES = 2, 98  # percentiles: a scale is not made by a few pixels
NOISY = -0.2, 0.5, 1.2  # least, and least and most of the largest, of shares with noise
BOTH_SIDES = 0.2  # of the longer side of 0 that the shorter has at least


def scale_of(layers: Sequence[NDArray[Any]], units: str | None) -> Scale:
    """Return the limits of one scale for layers of numbers, and its colours.

    A share or probability is from 0 to 1, though noise is beyond; of anything else the middle 96 %
    are told apart. Where numbers lie on both sides of 0, 0 is in the middle, white.
    """
    parts = [layer[np.isfinite(layer)] for layer in layers]
    numbers = np.concatenate([p.ravel() for p in parts]) if parts else np.zeros(0)
    if not numbers.size:
        return (0.0, 1.0), MEAN
    low, high = edges_of(numbers)
    if units in DIMENSIONLESS:
        is_within = numbers.min() >= 0 and numbers.max() <= 1
        if is_within or (NOISY[0] < low and NOISY[1] < high < NOISY[2]):
            return (0.0, 1.0), MEAN
    if low < 0 < high and min(-low, high) > BOTH_SIDES * max(-low, high):
        most = max(-low, high)
        return (-most, most), APART
    return _widened(low, high), MEAN


def scale_of_layers(name: str, values: NDArray[Any], units: str | None) -> Scale:
    """Return the scale of layers by what they are.

    Parameters
    ----------
    name : str
        Of the variable, or of the group they are of.
    values : array
        Finite ones of all.
    units : str, optional
    """
    if name == WEIGHT:
        return (0.0, 1.0), SHARE
    if name not in (SIGMA, CHI2, COUNT, DIFFERENCE):
        return scale_of([values], units)
    low, high = edges_of(values) if values.size else (0.0, 1.0)
    if name == DIFFERENCE:
        most = max(abs(low), abs(high), 1.0)
        return (-most, most), APART
    low = min(0.0, low)
    return (low, high if high > low else low + 1), MEAN if name == COUNT else SPREAD


def of_usable(values: NDArray[Any], mask: NDArray[Any] | None) -> NDArray[Any]:
    """Return the finite numbers of pixels that are usable, of all where none is."""
    told = np.isfinite(values)
    if mask is not None and (told & (mask == 0)).any():
        told &= mask == 0
    numbers: NDArray[Any] = values[told]
    return numbers


def edges_of(numbers: NDArray[Any]) -> tuple[float, float]:
    """Return between which numbers the middle 96 % lie."""
    low, high = np.percentile(numbers.astype(np.float64), EDGES)
    return float(low), float(high)


def _widened(low: float, high: float) -> tuple[float, float]:
    if high > low:
        return low, high
    room = abs(low) / 10 or 1.0
    return low - room, high + room
