"""Arguments that are whole numbers, of Python or of numpy."""

from __future__ import annotations

from typing import Any

import numpy as np


def whole_number(name: str, value: Any, least: int, *, more: str = "") -> int:
    """Return an argument as an int.

    Raises
    ------
    ValueError
        If it is no whole number, or below `least`. True is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        msg = f"{name}={value!r}: must be a whole number of at least {least}{more}"
        raise ValueError(msg)
    return int(value)
