"""Layers as text in a page: quantised to 16 bits, deflated; and how large they may be."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LIMIT = 15_000_000  # bytes of a report
TABLES = 1_500_000  # of them for all that is no layer
PER_BYTE = 4 / 3 * 1.001  # of base64, and of what deflate adds where nothing repeats itself
LEVELS = 65_534  # of 16 bits, besides no value
COARSE = 2.0**-8  # of a value: the step of a float of 16 bits
NOT_A_NUMBER = 0x7FC0


class Packed(NamedTuple):
    """A layer as a script reads it."""

    text: str
    """Base64 of the deflated bytes: of 16 bits the low ones of all cells, then the high ones;
    of numbers each less the one to the left."""
    form: dict[str, Any]
    """How numbers are read from them."""


def packed_numbers(values: NDArray[Any]) -> Packed:
    """Pack numbers into 16 bits: even steps, or floats of three digits where these are finer.

    Parameters
    ----------
    values : array of float, shape (rows, columns)
    """
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    step = high / LEVELS - low / LEVELS
    sizes = np.abs(finite[finite != 0])
    typical = float(np.median(sizes)) if sizes.size else 1.0
    if np.isinf(numbers).any() or step > typical * COARSE:
        return Packed(_text(_rounded(numbers)), {"form": "rounded", "step": None})
    codes = np.zeros(numbers.shape, np.uint16)
    there = np.isfinite(numbers)
    places = np.rint((numbers[there] - low) / step) if step > 0 else np.zeros(finite.size)
    codes[there] = 1 + places.astype(np.uint16)
    return Packed(_text(codes), {"form": "even", "low": low, "step": step})


def packed_codes(codes: NDArray[Any]) -> Packed:
    """Pack flags or other numbers from 0 to 255 as they are."""
    return Packed(_text(codes.astype(np.uint8)), {"form": "codes", "step": None})


def packed_floats(values: NDArray[Any]) -> str:
    """Pack numbers as floats of 32 bits."""
    return _deflated(values.astype("<f4").tobytes())


def side_within(shape: tuple[int, int], of_cell: int, *, most: int) -> int:
    """Return how many cells a side of layers may have, so that the report is not too large.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the grid.
    of_cell : int
        Bytes of all layers in a cell.
    most : int
        Cells a side at most.
    """
    budget = (LIMIT - TABLES) / PER_BYTE / max(1, of_cell)
    longest, side = max(1, *shape), min(most, max(1, *shape))
    while side > 1:
        step = -(-longest // side)
        if math.prod(-(-n // step) for n in shape) <= budget:
            break
        side -= 1
    return side


def _rounded(numbers: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Return the upper 16 bits of floats of 32, rounded to the nearest."""
    with np.errstate(over="ignore"):
        bits = numbers.astype(np.float32).view(np.uint32)
    upper = (bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16
    upper[np.isnan(numbers)] = NOT_A_NUMBER
    codes: NDArray[np.uint16] = upper.astype(np.uint16)
    return codes


def _text(codes: NDArray[Any]) -> str:
    if codes.dtype == np.uint8:
        return _deflated(codes.tobytes())
    change = np.diff(codes, axis=-1, prepend=np.zeros_like(codes[..., :1]))
    planes = [(change & 0xFF).astype(np.uint8), (change >> 8).astype(np.uint8)]
    return _deflated(b"".join(plane.tobytes() for plane in planes))


def _deflated(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 6)).decode()
