"""What each zone has of the pixels of a block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .rectangles import Pixels


class ZoneWindow(NamedTuple):
    """What a zone has of a rectangle of pixels."""

    number: int
    pixels: Pixels
    shares: NDArray[Any] | None
    """Of each pixel, 0 to 1, or bool; None where it has all of all."""

    def share(self, pixels: Pixels) -> Any:
        """Return the shares in some of these pixels."""
        return 1.0 if self.shares is None else self.shares[pixels.seen_from(self.pixels)]


def windows_of_numbers(numbers: NDArray[np.int32], around: Pixels) -> Iterator[ZoneWindow]:
    """Yield the zones of a raster, each with the smallest rectangle that has all its pixels.

    Parameters
    ----------
    numbers : array
        Of the zone of each pixel, -1 of none.
    around : Pixels
        Where these are.
    """
    from scipy import ndimage

    for number, found in enumerate(ndimage.find_objects(numbers + 1)):
        if found is not None:
            rows, columns = (
                slice(s.start + a.start, s.stop + a.start)
                for s, a in zip(found, around, strict=True)
            )
            yield ZoneWindow(number, Pixels(rows, columns), numbers[found] == number)
