"""When what was fused was acquired: one time, or the span of several."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.caller import is_for_one_group
from xfusion.datamodel.names import MU, SPAN
from xfusion.datamodel.times import as_text, as_time, moment_of, stated_span

EXTREMES = (np.fmin, np.fmax)  # a group without acquisitions has none


def time_of_all(retrievals: Sequence[xr.Dataset]) -> dict[Hashable, xr.Variable]:
    """Return the coordinate `time` of retrievals, a scalar or along dims, if they agree on it."""
    times = [r.coords["time"].variable for r in retrievals if "time" in r.coords]
    if len(times) < len(retrievals) or not set(times[0].dims) <= set(retrievals[0][MU].dims):
        return {}
    return {"time": times[0]} if all(_same(time, times[0]) for time in times[1:]) else {}


def spans(
    retrievals: Sequence[xr.Dataset], *, is_known: bool, along: bool
) -> tuple[dict[Hashable, Any], dict[str, Any]]:
    """Return the span of the acquisitions, as coordinates and as attributes.

    Of a group of many in coordinates, which xarray lines up group by group; of its attributes it
    keeps those of the first group.

    Parameters
    ----------
    retrievals : sequence of Dataset
    is_known : bool
        Whether there is one `time` of all.
    along : bool
        Whether they lie along a dim, whose labels are lost.
    """
    stated = [[r.coords.get(end) for r in retrievals] for end in SPAN]
    if any(label is not None and label.ndim > 0 for labels in stated for label in labels):
        return _label_by_label(stated), {}
    moments = _moments(retrievals)
    if not moments or (is_known and not along and min(moments) == max(moments)):
        return {}, {}
    # acquisitions apart in time: one label would be wrong, so the span is kept
    span = dict(zip(SPAN, (min(moments), max(moments)), strict=True))
    if is_for_one_group():
        return {end: ((), moment) for end, moment in span.items()}, {}
    return {}, {end: as_text(moment) for end, moment in span.items()}


def _label_by_label(stated: list[list[xr.DataArray | None]]) -> dict[Hashable, Any]:
    """Return the spans of cubes that have one for each label, if all have."""
    ends: dict[Hashable, Any] = {}
    for name, labels, extreme in zip(SPAN, stated, EXTREMES, strict=True):
        variables = [label.variable for label in labels if label is not None]
        if len(variables) < len(labels) or len({v.dims for v in variables}) > 1:
            return {}
        values = functools.reduce(extreme, [v.to_numpy() for v in variables])
        ends[name] = (variables[0].dims, values)
    return ends


def _moments(retrievals: Sequence[xr.Dataset]) -> list[np.datetime64]:
    """Return the times of acquisition of retrievals, and of what they were fused of."""
    moments: list[np.datetime64] = []
    for retrieval in retrievals:
        time, stated = moment_of(retrieval.coords.get("time")), stated_span(retrieval)
        # beside a span it is a label, such as the first day of a month that was fused
        if not stated and time is not None:
            moments.append(time)
        for end in stated.values():
            # a text that is no date says nothing
            with contextlib.suppress(ValueError):
                moments.append(as_time(end))
    return [moment for moment in moments if not np.isnat(moment)]


def _same(a: xr.Variable, b: xr.Variable) -> bool:
    if a.chunks is not None or b.chunks is not None:
        # equal pixels would take computing them
        names = [getattr(each.data, "name", None) for each in (a, b)]
        return a.dims == b.dims and names[0] is not None and names[0] == names[1]
    return bool(a.equals(b))
