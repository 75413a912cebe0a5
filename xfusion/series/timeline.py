"""The dates at which something was seen, and the times at which a result is wanted."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.times import Time, as_time, calendar_of, label_text, moments_of

Times: TypeAlias = str | Time | Sequence[Time] | NDArray[np.datetime64] | xr.DataArray
DAY = np.timedelta64(1, "D")
NONE = -1
FIRST, LAST = np.datetime64("1677-09-22"), np.datetime64("2262-04-11")  # of nanoseconds
# those of one length: a month has none
NANOSECONDS = {"d": 86_400e9, "h": 3_600e9, "min": 60e9, "s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
UNIT = "[Dd]|[Hh]|min|ms|us|ns|s"
PART = re.compile(rf"(\d+(?:\.\d+)?)?\s*({UNIT})\s*")
STEP = re.compile(rf"-?\s*(?:{PART.pattern})+")
STEPS = (
    "such as '1D', '12h', '30min' or '3h30min'; a week is '7D', and of months the dates are given, "
    "pd.date_range(first, last, freq='MS')"
)


@dataclass(frozen=True)
class Step(InGraph):
    """One moment of a timeline."""

    date: int
    """Which date of those at which something was seen it is, or was last; -1 before the first."""
    is_date: bool
    days: float
    """Since the last date before it; where there is none, less than 0: until the first one."""
    ahead: float
    """To the next date, 0 where there is none."""
    result: int
    """Which time of the result it is, or -1."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """Dates and times in order, none twice."""

    dates: NDArray[np.datetime64]
    times: NDArray[np.datetime64]
    start: np.datetime64 | None = None
    """When the state was known that the first date is reached from."""

    def steps(self) -> tuple[Step, ...]:
        """Return all moments in order."""
        moments: NDArray[Any] = np.union1d(self.dates, self.times)
        is_date = np.isin(moments, self.dates)
        date = np.cumsum(is_date) - 1
        begun = [] if self.start is None else [self.start]
        known = np.concatenate([np.array(begun, self.dates.dtype), self.dates])
        # where there is none, the first one
        earlier: NDArray[Any] = known[np.maximum(date - is_date + len(begun), 0)]
        after = np.minimum(date + 1, len(self.dates) - 1)
        later: NDArray[Any] = np.where(date + 1 < len(self.dates), self.dates[after], moments)
        place = np.searchsorted(self.times, moments)
        wanted = np.isin(moments, self.times)
        columns = (
            date,
            is_date,
            (moments - earlier) / DAY,
            (later - moments) / DAY,
            np.where(wanted, place, NONE),
        )
        return tuple(
            Step(*row) for row in zip(*(column.tolist() for column in columns), strict=True)
        )


def dates_of(dataset: xr.Dataset, *, name: str) -> NDArray[np.datetime64]:
    """Return the times of a cube, or the one of a retrieval, in the order it has them.

    Raises
    ------
    ValueError
        If it has none, or one is missing, no date, or of a year that nanoseconds do not reach.
    """
    time = dataset.coords.get("time")
    if time is None or time.ndim > 1 or (time.ndim == 1 and time.dims != ("time",)):
        msg = (
            f"{name} has no coordinate 'time' of dates: .assign_coords(time=...), or of single "
            "retrievals xf.stack([monday, tuesday])"
        )
        raise ValueError(msg)
    labels = np.atleast_1d(time.to_numpy())
    moments = moments_of(labels)
    if moments is None:
        raise _no_dates(labels, name)
    if not moments.size:
        msg = f"{name} has a dim 'time' of length 0, at which nothing was seen: leave it out"
        raise ValueError(msg)
    if np.isnat(moments).any():
        msg = f"time of {name} is missing at index {int(np.isnat(moments).argmax())}: name it"
        raise ValueError(msg)
    return _in_nanoseconds(moments, f"time of {name}", ".sel(time=slice('1678', '2261'))")


def _no_dates(labels: NDArray[Any], name: str) -> ValueError:
    """Return the error of labels along time that are no dates of numpy."""
    first = labels.flat[0] if labels.size else None
    calendar = calendar_of(labels)
    what, mend = f"is {labels.dtype}, such as {first!r}, no dates", ".assign_coords(time=dates)"
    if calendar is not None:
        what = f"is of the calendar {calendar!r}, which is not that of acquisitions"
        mend = ".convert_calendar('standard')"
    elif isinstance(first, dt.datetime):
        # as numpy has no time zones, xarray leaves such dates as they are
        what = f"has dates of a time zone, such as {first}, which are no dates of numpy"
        mend = ".assign_coords(time=pd.to_datetime(ds.time.values, utc=True).tz_localize(None))"
    return ValueError(f"time of {name} {what}: {mend}")


def _in_nanoseconds(
    moments: NDArray[np.datetime64], name: str, mend: str
) -> NDArray[np.datetime64]:
    """Return dates as datetime64[ns], which numpy counts around beyond its first and last."""
    of_seconds = moments.astype("datetime64[s]")
    beyond = (of_seconds < FIRST) | (of_seconds >= LAST)
    if beyond.any():
        day = np.datetime_as_string(of_seconds[beyond][0], unit="D")
        msg = (
            f"{name} has {day}: a state is of times from {FIRST} to {LAST}, as far as nanoseconds "
            f"reach: {mend}"
        )
        raise ValueError(msg)
    return moments.astype("datetime64[ns]")


def times_of(times: Times | None, dates: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Return the times of a result in order: those asked for, or all dates.

    Parameters
    ----------
    times : list, str or None
        A text such as "1D" or "3h30min" is a step, from the first date to the last, rounded to it
        outwards.
    dates : array of datetime64, in order

    Raises
    ------
    ValueError
        If a time is none, or asked for twice; or a text is neither a time nor a step.
    """
    if times is None:
        return dates
    step = _step(times) if isinstance(times, str) else None
    if step is not None:
        first, last = dates[[0, -1]].astype(np.int64).tolist()
        stop = -(-last // step) * step
        return np.arange(first // step * step, stop + 1, step).astype("datetime64[ns]")
    wanted = np.sort(_moments(times))
    if wanted.size == 0 or np.isnat(wanted).any():
        msg = f"{times=}: give at least one time, none missing, or a step such as '1D'"
        raise ValueError(msg)
    twice = wanted[1:][wanted[1:] == wanted[:-1]]
    if twice.size:
        msg = f"times has {label_text(twice[0])} twice: give each time once"
        raise ValueError(msg)
    return wanted


def _moments(times: Any) -> NDArray[np.datetime64]:
    """Return dates in all the ways that there are, in the order they are given."""
    arrays = np.ndarray, xr.DataArray, pd.Index, pd.Series
    given: Any = np.atleast_1d(np.asarray(times)) if isinstance(times, arrays) else times
    given = given if isinstance(given, np.ndarray | list | tuple) else [given]
    if isinstance(given, np.ndarray) and given.dtype.kind == "M":
        return _in_nanoseconds(given, "times", "leave it out")
    return np.array([_moment(time) for time in given], "datetime64[ns]")


def _moment(time: Any) -> np.datetime64:
    if not (time is None or isinstance(time, str | np.datetime64 | dt.date) or calendar_of(time)):
        what = "a span" if isinstance(time, dt.timedelta | np.timedelta64) else "no date"
        msg = f"times={time!r} is {what}: give '2023-06-20', a list of dates, or a step, {STEPS}"
        raise ValueError(msg)
    try:
        moment = as_time(time)
    except ValueError as error:
        if not isinstance(time, str):
            raise
        msg = f"times={time!r} is not a date such as '2023-06-20', nor a step, {STEPS}"
        raise ValueError(msg) from error
    of_one: np.datetime64 = _in_nanoseconds(np.array([moment]), "times", "leave it out")[0]
    return of_one


def _step(text: str) -> int | None:
    """Return a step of time such as "1D" or "12h" in nanoseconds, None of what is none."""
    if not STEP.fullmatch(text):
        return None
    parts = [(number or "1", unit.lower()) for number, unit in PART.findall(text)]
    step = round(sum(float(number) * NANOSECONDS[unit] for number, unit in parts))
    if step <= 0 or text.startswith("-"):
        msg = f"times={text!r}: a step goes forward, {STEPS}"
        raise ValueError(msg)
    return step
