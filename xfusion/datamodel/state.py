"""Attributes of a state that say what is in it, so that nothing is counted twice or lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .times import label_text

CARRIED = "series_carried"  # from which moment to which: "2023-06-19T05:00:00/2023-06-20T10:30:00"
LAST_LOOK = "series_last_look"  # of a smoother: what was seen until then is in all of its dates
ESTIMATE = "series_estimate"


def carried(began: np.datetime64, ended: np.datetime64) -> str:
    """Return from which moment to which a state was carried, as an interval of ISO 8601."""
    return f"{label_text(began)}/{label_text(ended)}"


def carried_from(attrs: Mapping[Any, Any], first: np.datetime64) -> np.datetime64 | None:
    """Return the moment of the state that was carried to a date; None if it is not known.

    Of a cube it is said of the first date, which what is selected from it may not have.
    """
    began, _, ended = str(attrs.get(CARRIED, "")).partition("/")
    try:
        moments = np.array([began, ended], "datetime64[ns]")
    except ValueError:
        return None  # of others, who call something else by this name
    return moments[0] if moments[1] == first and not np.isnat(moments[0]) else None


def check_is_of_the_past(state: xr.Dataset) -> None:
    """Refuse a state that holds what was seen later than its time, which would count twice.

    Raises
    ------
    ValueError
        If it is of a smoother, and of a date before the last that this has seen.
    """
    last = state.attrs.get(LAST_LOOK)
    if last is None or state.attrs.get(ESTIMATE) != "smoother":
        return
    moment = state.coords["time"].to_numpy()[()]
    if moment < np.datetime64(str(last), "ns"):
        msg = (
            f"the state is of {label_text(moment)} and of a smoother, which holds what was seen "
            f"until {last}, so that this would count twice: take its last date, .isel(time=-1), or "
            "a state of xf.filter"
        )
        raise ValueError(msg)
