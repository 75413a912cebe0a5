"""How often, and how long ago, pixels were seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import compiled


@compiled
def tally(
    contributed: Any, days: float, age: Any, count: Any, new_age: Any, new_count: Any
) -> None:
    """Carry the age and the number of looks of some pixels to a date, and add its looks.

    Parameters
    ----------
    contributed : array of uint8
        How many were seen at the date.
    days : float
        Since the date before.
    age : array of float32
        Days since a pixel was seen last, NaN where it never was.
    count : array of uint16
    new_age, new_count : arrays
        The result. They may be the two above.
    """
    passed = np.float32(days)
    for i in range(contributed.size):
        looks = contributed[i]
        new_age[i] = np.float32(0.0) if looks > 0 else age[i] + passed
        new_count[i] = np.uint16(count[i] + looks)
