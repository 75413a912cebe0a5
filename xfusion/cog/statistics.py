"""Statistics of pixels, taken from the blocks as they are written: no file is read once more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

CODES = 256  # of uint8
Moments = tuple[int, float, float, float, float]  # count, minimum, maximum, sum, squares about mean


class Counted:
    """What is known of the pixels of a band from its blocks, in whatever order they come.

    The parts are added up in the order of their places, so that it is the same in each run.
    """

    def __init__(self, nodata: float | None, *, codes: bool) -> None:
        self._nodata = nodata
        self._parts: dict[tuple[int, int], tuple[int, Moments | None]] = {}
        self.codes: NDArray[np.int64] | None = np.zeros(CODES, np.int64) if codes else None
        """How many pixels have each value, of flags."""

    def add(self, place: tuple[int, int], pixels: NDArray[Any]) -> None:
        """Count a block that begins at a row and column."""
        if self.codes is not None:
            self.codes += np.bincount(pixels.ravel(), minlength=CODES)
            return
        kept = pixels
        if pixels.dtype.kind == "f":
            kept = pixels[np.isfinite(pixels)]
        if self._nodata is not None and not math.isnan(self._nodata):
            kept = kept[kept != self._nodata]
        moments = None
        if kept.size:
            mean = float(kept.mean(dtype=np.float64))
            squares = float(np.square(kept - np.float64(mean)).sum(dtype=np.float64))
            extremes = float(kept.min()), float(kept.max())
            moments = kept.size, *extremes, mean * kept.size, squares
        self._parts[place] = pixels.size, moments

    def statistics(self) -> dict[str, float]:
        """Return what a band of a STAC item says of its pixels, nothing if there are none."""
        parts = [self._parts[place] for place in sorted(self._parts)]
        each = [moments for _, moments in parts if moments is not None]
        if not each:
            return {}
        counts, lows, highs, sums, squares = zip(*each, strict=True)
        count = sum(counts)
        mean = math.fsum(sums) / count
        apart = [n * (s / n - mean) ** 2 for n, s in zip(counts, sums, strict=True)]
        return {
            "minimum": min(lows),
            "maximum": max(highs),
            "mean": mean,
            "stddev": math.sqrt(math.fsum([*squares, *apart]) / count),
            "count": count,
            "valid_percent": 100 * count / sum(size for size, _ in parts),
        }

    def tags(self, names: Mapping[int, str]) -> dict[str, str]:
        """Return the tags of a band: GDAL's of statistics, and names of the values of flags.

        Names of values that no pixel has are left out, but for those of single bits.
        """
        said = self.statistics()
        tags = {f"STATISTICS_{k.upper()}": repr(v) for k, v in said.items() if k != "count"}
        if self.codes is None:
            return tags
        return tags | {
            f"CLASS_{value}": name
            for value, name in names.items()
            if self.codes[value] or value.bit_count() <= 1
        }
