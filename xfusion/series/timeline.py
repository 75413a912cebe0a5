"""The dates at which something was seen, and the times at which a result is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.times import Time, as_time, label_text, moments_of

Times: TypeAlias = str | Time | Sequence[Time] | NDArray[np.datetime64] | xr.DataArray
DAY = np.timedelta64(1, "D")
NONE = -1


@dataclass(frozen=True)
class Step(InGraph):
    """One moment of a timeline."""

    date: int
    """Which date of those at which something was seen it is, or was last; -1 before the first."""
    is_date: bool
    days: float
    """Since the last date before it, 0 where there is none."""
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
        moments = np.union1d(self.dates, self.times)
        before = self.start
        steps = []
        date = NONE
        for moment in moments:
            is_date = bool(np.isin(moment, self.dates))
            date += is_date
            later = self.dates[date + 1 : date + 2]
            wanted = np.flatnonzero(self.times == moment)
            steps.append(
                Step(
                    date=date,
                    is_date=is_date,
                    days=0.0 if before is None else days_between(before, moment),
                    ahead=days_between(moment, later[0]) if later.size else 0.0,
                    result=int(wanted[0]) if wanted.size else NONE,
                )
            )
            before = moment if is_date else before
        return tuple(steps)


def days_between(earlier: np.datetime64, later: np.datetime64) -> float:
    """Return a span of time in days."""
    return float((later - earlier) / DAY)


def dates_of(dataset: xr.Dataset, *, name: str) -> NDArray[np.datetime64]:
    """Return the times of a cube, or the one of a retrieval, in the order it has them.

    Raises
    ------
    ValueError
        If it has none, or one is missing or no date.
    """
    time = dataset.coords.get("time")
    moments = None if time is None or time.ndim > 1 else moments_of(np.atleast_1d(time.to_numpy()))
    if moments is None or time is None or (time.ndim == 1 and time.dims != ("time",)):
        msg = (
            f"{name} has no coordinate 'time' of dates: .assign_coords(time=...), or of single "
            "retrievals xf.stack([monday, tuesday])"
        )
        raise ValueError(msg)
    if np.isnat(moments).any():
        msg = f"time of {name} is missing at index {int(np.isnat(moments).argmax())}: name it"
        raise ValueError(msg)
    return moments.astype("datetime64[ns]")


def times_of(times: Times | None, dates: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Return the times of a result in order: those asked for, or all dates.

    Parameters
    ----------
    times : list, str or None
        A text such as "1D" is a step, from the first date to the last, rounded to it outwards.
    dates : array of datetime64, in order

    Raises
    ------
    ValueError
        If a time is none, or asked for twice.
    """
    if times is None:
        return dates
    if isinstance(times, str):
        step = _step(times)
        if step is not None:
            first, last = pd.Timestamp(dates[0]).floor(step), pd.Timestamp(dates[-1]).ceil(step)
            return pd.date_range(first, last, freq=step).to_numpy().astype("datetime64[ns]")
    several: Any = times
    given = np.atleast_1d(np.asarray(several, None if np.ndim(several) else object))
    moments = given if given.dtype.kind == "M" else np.array([as_time(time) for time in given])
    wanted = np.sort(moments.astype("datetime64[ns]"))
    if wanted.size == 0 or np.isnat(wanted).any():
        msg = f"{times=}: give at least one time, none missing, or a step such as '1D'"
        raise ValueError(msg)
    twice = wanted[1:][wanted[1:] == wanted[:-1]]
    if twice.size:
        msg = f"times has {label_text(twice[0])} twice: give each time once"
        raise ValueError(msg)
    return wanted


def _step(text: str) -> pd.Timedelta | None:
    """Return a step of time such as "1D" or "12h", None of what is a date."""
    try:
        step = pd.tseries.frequencies.to_offset(text)
        return pd.Timedelta(step)  # type: ignore[arg-type]  # of months there is none
    except (ValueError, TypeError):
        return None
