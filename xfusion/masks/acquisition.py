"""Of a cube of flags, those of the acquisition that a retrieval is of."""

from __future__ import annotations

import functools

import numpy as np
import xarray as xr

from xfusion.datamodel.times import label_text

from .combining import combine_excluded
from .grouping import ANOTHER_PASS, PASS_GAP

TIME = "time"
DAY = np.timedelta64(1, "D")


def of_its_acquisition(flags: xr.DataArray, dataset: xr.Dataset) -> xr.DataArray:
    """Return the flags of a cube at the time of a retrieval that has no dim of it.

    Of a retrieval of a day all of that day in UTC, of one of a moment the nearest and those of the
    same pass. Of several a pixel has the flags of all that saw it.

    Raises
    ------
    ValueError
        If none is near, or the retrieval does not say its time; it names both.
    """
    if TIME not in flags.dims or TIME in dataset["mu"].dims:
        return flags
    if flags.sizes[TIME] == 1 and TIME not in flags.coords:
        return flags.squeeze(TIME)
    chosen = flags.isel({TIME: _chosen(flags, dataset)})
    layers = [chosen.isel({TIME: n}, drop=True) for n in range(chosen.sizes[TIME])]
    return functools.reduce(combine_excluded, layers)


def _chosen(flags: xr.DataArray, dataset: xr.Dataset) -> list[int]:
    times = flags[TIME].to_numpy() if TIME in flags.coords else None
    its = dataset.coords.get(TIME)
    if times is None or times.dtype.kind != "M":
        msg = (
            f"`excluded` has {flags.sizes[TIME]} times without dates, the retrieval one: select "
            "that of the retrieval, .isel(time=...)"
        )
        raise ValueError(msg)
    if its is None or its.ndim or its.dtype.kind != "M" or bool(its.isnull()):
        msg = (
            f"`excluded` is of {_named(times)}, and the retrieval does not say of which time it "
            "is: .assign_coords(time=np.datetime64('2023-06-20')), or select one, .sel(time=...)"
        )
        raise ValueError(msg)
    moment = its.to_numpy()[()].astype("datetime64[ns]")
    day = moment.astype("datetime64[D]")
    apart = np.abs(times - moment)
    if moment == day:
        there = (times >= day) & (times < day + DAY)
    else:
        nearest = times[int(np.argmin(apart))] if len(times) else moment
        there = np.abs(times - nearest) <= np.timedelta64(PASS_GAP)
        there &= bool(len(times)) and abs(nearest - moment) <= np.timedelta64(ANOTHER_PASS)
    if not there.any():
        msg = (
            f"`excluded` is of {_named(times)}, the retrieval of {label_text(moment)}: give the "
            "mask of its acquisition, or select one that may stand for it, "
            ".sel(time=..., method='nearest')"
        )
        raise ValueError(msg)
    return [int(n) for n in np.flatnonzero(there)]


def _named(times: np.ndarray[tuple[int, ...], np.dtype[np.datetime64]]) -> str:
    few = ", ".join(label_text(time) for time in times[:3])
    return f"{few} and {len(times) - 3} more" if len(times) > 3 else few or "no time"  # noqa: PLR2004  # as many as a line holds
