"""Times of acquisition, as UTC."""

from __future__ import annotations

import datetime as dt
from typing import Any, TypeAlias, cast

import numpy as np
import xarray as xr

from .names import SPAN

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


def as_text(moment: np.datetime64) -> str:
    """Return a time in UTC as ISO 8601, to the second."""
    return f"{np.datetime_as_string(moment, unit='s')}Z"


def label_text(label: Any) -> str:
    """Return a label along a dim as text; of a time no more digits than it has."""
    value = np.asarray(label)
    if value.dtype.kind != "M":
        return str(value[()])
    text = str(value.astype("datetime64[ns]"))
    return text.rstrip("0").removesuffix(".") if "." in text else text


def stated_span(dataset: xr.Dataset) -> dict[str, Time]:
    """Return the ends of the span of time that a retrieval says it is of, as it says them.

    In scalar coordinates, as of one group of many, or else in attributes.
    """
    ends: dict[str, Time] = {}
    for end in SPAN:
        label = dataset.coords.get(end)
        if label is not None:
            # of a cube each label has a span, and attributes would be those of one of them
            if label.ndim == 0 and label.dtype.kind == "M" and not np.isnat(label.to_numpy()):
                ends[end] = label.to_numpy()[()]
        elif end in dataset.attrs:
            ends[end] = str(dataset.attrs[end])
    return ends
