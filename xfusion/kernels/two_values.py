"""Whether an array of floats has other numbers than 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled
from .independent import flat
from .parallel import map_ranges, pixels

RANGE = 1 << 18


@compiled
def _count(values: Any, nodata: Any) -> int:
    count = 0
    for i in range(values.size):
        value = values[i]
        known = (value == value) & (value != nodata)  # noqa: PLR0124  # NaN
        count += 1 if known & (value != 0) & (value != 1) else 0
    return count


def has_others(values: NDArray[Any], nodata: Sequence[float]) -> bool:
    """Whether there are other numbers than 0, 1, NaN and those of no data.

    Parameters
    ----------
    values : array of floats
    nodata : sequence of float
    """
    dtype = values.dtype if values.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    found = [False]

    def on_range(start: int, stop: int) -> None:
        if found[0]:
            return
        some = pixels(values, start, stop)
        if len(nodata) > 1:
            some = some[~np.isin(some, nodata)]
        none = dtype.type(nodata[0] if nodata else np.nan)
        if _count(flat(some, dtype), none):
            found[0] = True

    map_ranges(on_range, values.size, length=RANGE)
    return found[0]
