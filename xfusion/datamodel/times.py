"""Times of acquisition, as UTC."""

from __future__ import annotations

import datetime as dt
from typing import Any, TypeAlias, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .names import SPAN

Time: TypeAlias = str | np.datetime64 | dt.datetime | dt.date

# of cftime, whose dates are those of numpy; that of "standard" is another before this day
CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
EPOCH = np.datetime64(0, "us")
NANOSECONDS = np.timedelta64(290 * 365, "D")  # from there on numpy counts them around
GREGORIAN = (1582, 10, 15)


def as_time(time: Time) -> np.datetime64:
    """Return a time as UTC datetime64[ns], of years that it has not [us].

    Raises
    ------
    ValueError
        If a text is not an ISO date or time, the time is missing, or of another calendar.
    TypeError
        If it is neither, such as a number, which would be so many nanoseconds of 1970; or several.
    """
    if isinstance(time, str):
        try:
            time = dt.datetime.fromisoformat(time)
        except ValueError as error:
            msg = f"{time=} is not a date or time such as '2023-06-20' or '2023-06-20T05:10:00Z'"
            raise ValueError(msg) from error
    calendar = calendar_of(time)
    if calendar is not None:
        moments = moments_of(np.array(time, object))
        if moments is None:
            msg = (
                f"{time} is of the calendar {calendar!r}, which is not that of acquisitions: "
                ".convert_calendar('standard')"
            )
            raise ValueError(msg)
        time = cast("np.datetime64", moments[()])
    given: Any = time
    array = np.asarray(given)
    is_one = isinstance(given, dt.date) or (array.ndim == 0 and array.dtype.kind == "M")
    if given is not None and not is_one:  # a time that is missing is told below
        msg = (
            f"{time=} is a {type(time).__name__}, not one date or time: give it as text, such as "
            "'2023-06-20' or '2023-06-20T05:10:00Z', as datetime or as datetime64"
        )
        raise TypeError(msg)
    if isinstance(time, dt.datetime) and time.tzinfo is not None:
        time = time.astimezone(dt.UTC).replace(tzinfo=None)
    moment: Any = np.array(time, "datetime64[us]")[()]
    if abs(moment - EPOCH) < NANOSECONDS:
        moment = np.array(time, "datetime64[ns]")[()]
    if np.isnat(moment):
        msg = "the time is missing (NaT): give the day of acquisition"
        raise ValueError(msg)
    return cast("np.datetime64", moment)


def calendar_of(label: Any) -> str | None:
    """Return the calendar of a date of cftime, or of the first of several; None of all else."""
    values = np.asarray(label)
    first = values.flat[0] if values.dtype == object and values.size else None
    calendar = getattr(first, "calendar", None)
    return str(calendar) if calendar else None


def moments_of(labels: Any) -> NDArray[np.datetime64] | None:
    """Return labels as dates of numpy, those of cftime too; None of what has no such dates."""
    values = np.asarray(labels)
    if values.dtype.kind == "M":
        return values
    calendar = calendar_of(values)
    if calendar not in CALENDARS:
        return None
    texts = []
    for date in values.flat:
        if getattr(date, "calendar", None) != calendar:
            return None
        if calendar != CALENDARS[-1] and (date.year, date.month, date.day) < GREGORIAN:
            return None
        texts.append(date.isoformat())
    # microseconds, as cftime has; of nanoseconds there are not enough for all its years
    return np.array(texts, "datetime64[us]").reshape(values.shape)


def moment_of(label: xr.DataArray | None) -> np.datetime64 | None:
    """Return the date of a scalar coordinate; None if it is none, or missing."""
    if label is None or label.ndim > 0 or label.dtype.kind not in "MO":
        return None
    moments = moments_of(label.to_numpy())
    if moments is None or np.isnat(moments):
        return None
    return cast("np.datetime64", moments[()])


def as_text(moment: np.datetime64) -> str:
    """Return a time in UTC as ISO 8601, to the second."""
    return f"{np.datetime_as_string(moment, unit='s')}Z"


def label_text(label: Any) -> str:
    """Return a label along a dim as text; of a time no more digits than it has."""
    value = np.asarray(label)
    if value.dtype.kind != "M":
        return str(value[()])
    # microseconds reach all years, and more digits are of what has nanoseconds
    text = str(value if value.dtype == "datetime64[ns]" else value.astype("datetime64[us]"))
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
            moment = moment_of(label)
            if moment is not None:
                ends[end] = moment
        elif end in dataset.attrs:
            ends[end] = str(dataset.attrs[end])
    return ends
