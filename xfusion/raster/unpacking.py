"""What a caller says that the numbers of files stand for."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_numbers(**given: Any) -> None:
    """Refuse what would be found out when pixels are read, or never."""
    for name, number in given.items():
        is_number = number is None or (
            np.ndim(number) == 0 and np.asarray(number).dtype.kind in "iuf"
        )
        if is_number and (name == "nodata" or number is None or np.isfinite(number)):
            continue
        msg = f"{name}={number!r}: give a number, or leave it out for what the files declare"
        raise ValueError(msg)
    if given["scale"] is not None and given["scale"] <= 0:
        msg = (
            f"scale={given['scale']!r} makes of sigma what is no standard deviation: give a number "
            "> 0; 1 if numbers are right as they are"
        )
        raise ValueError(msg)
