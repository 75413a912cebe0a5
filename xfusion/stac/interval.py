"""Days and intervals: what a search asks for, and which items belong to it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from xfusion.datamodel.times import Time, as_time

from .items import item_span

if TYPE_CHECKING:
    import pystac

OPEN, END_OF_DAY = "..", "T23:59:59.999999Z"  # of an interval


def day_interval(datetime: Time) -> tuple[str, str]:
    """Return the first and the last moment of a day, or of an interval "a/b".

    A day is closed with its own last microsecond: pystac-client takes "D/D+1" to the end
    of the next day. An interval is open, "..", where it has no start or no end.

    Raises
    ------
    ValueError
        If it is no date, no time and no interval of them.

    Examples
    --------
    >>> import xfusion as xf
    >>> xf.stac.day_interval("2023-06-20T05:00")
    ('2023-06-20T00:00:00Z', '2023-06-20T23:59:59.999999Z')
    >>> xf.stac.day_interval("../2023-06-20")
    ('..', '2023-06-20T23:59:59.999999Z')
    """
    if not (isinstance(datetime, str) and "/" in datetime):
        day = np.datetime_as_string(as_time(datetime), unit="D")
        return f"{day}T00:00:00Z", f"{day}{END_OF_DAY}"
    start, _, end = datetime.partition("/")
    first, last = _moment(start, ""), _moment(end, END_OF_DAY)
    if first == last == OPEN or (OPEN not in (first, last) and as_time(first) > as_time(last)):
        msg = (
            f"{datetime=} is no interval from a start to an end: say it as "
            "'2023-06-20/2023-06-22', '2023-06-20/..' or '../2023-06-20'"
        )
        raise ValueError(msg)
    return first, last


def _moment(text: str, end_of_day: str) -> str:
    if text in ("", OPEN):
        return OPEN
    try:
        return f"{dt.date.fromisoformat(text)}{end_of_day}"
    except ValueError:
        return f"{np.datetime_as_string(as_time(text), unit='us')}Z"


def of_interval(items: Iterable[pystac.Item], datetime: Time) -> list[pystac.Item]:
    """Return the items of a day or an interval."""
    return of_each_interval(items, [datetime])[0]


def of_each_interval(
    items: Iterable[pystac.Item], datetimes: Sequence[Time]
) -> list[list[pystac.Item]]:
    """Return the items of each of several days or intervals; one may be of many."""
    items = [*items]
    # of an item without a moment of its own all of its span counts, as to an API
    spans = [[as_time(end) for end in item_span(item)] for item in items]
    begins, ends = np.array(spans, "datetime64[us]").reshape(-1, 2).T
    of_each = []
    for first, last in map(day_interval, datetimes):
        there = np.ones(len(items), bool)
        if first != OPEN:
            there &= ends >= as_time(first)
        if last != OPEN:
            there &= begins <= as_time(last)
        of_each.append([items[n] for n in np.flatnonzero(there)])
    return of_each
