"""Times of acquisition, as UTC."""

from __future__ import annotations

import datetime as dt
from typing import Any, TypeAlias, cast

import numpy as np

Time: TypeAlias = str | np.datetime64 | dt.datetime | dt.date


def as_time(time: Time) -> np.datetime64:
    """Return a time as UTC datetime64[ns].

    Raises
    ------
    ValueError
        If a text is not an ISO date or time, or the time is missing.
    """
    if isinstance(time, str):
        try:
            time = dt.datetime.fromisoformat(time)
        except ValueError as error:
            msg = f"{time=} is not a date or time such as '2023-06-20' or '2023-06-20T05:10:00Z'"
            raise ValueError(msg) from error
    if isinstance(time, dt.datetime) and time.tzinfo is not None:
        time = time.astimezone(dt.UTC).replace(tzinfo=None)
    moment: Any = np.array(time, "datetime64[ns]")[()]
    if np.isnat(moment):
        msg = "the time is missing (NaT): give the day of acquisition"
        raise ValueError(msg)
    return cast("np.datetime64", moment)
