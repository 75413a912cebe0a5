"""A cube as files: what is written of each of its times, and how it is called."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xfusion.datamodel.names import MU
from xfusion.datamodel.slices import slices_along
from xfusion.datamodel.times import calendar_of, moments_of


def named_by_time(dataset: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return what begins the names of files -> what they hold: of a cube each time.

    Raises
    ------
    ValueError
        If times of a cube are no dates, or are the same to the second.
    """
    if "time" not in dataset[MU].dims:
        return {"": dataset}
    labels = dataset["time"].to_numpy() if "time" in dataset.coords else None
    times = moments_of(labels)
    if times is None or not times.size or np.isnat(times).any():
        there = f"{dataset.sizes['time']} without labels" if labels is None else f"{labels}"
        calendar = calendar_of(labels)
        if calendar is not None:
            msg = (
                f"the times of mu are of the calendar {calendar!r}, from {labels.flat[0]} on, and "  # type: ignore[union-attr]  # it has one
                "not all of them are days of ours, by which files are named: "
                ".convert_calendar('standard')"
            )
            raise ValueError(msg)
        msg = (
            f"mu has the dims ['time'] besides the spatial ones, by which files are named, and "
            f"along it are {there}: .assign_coords(time=...) with a date for each, or select one, "
            ".isel(time=0)"
        )
        raise ValueError(msg)
    texts = np.datetime_as_string(times, unit="s")
    names = [str(text).replace("-", "").replace(":", "") for text in texts]
    for name in names:
        if names.count(name) > 1:
            where = [i for i, other in enumerate(names) if other == name]
            msg = (
                f"time[{where[0]}] and time[{where[1]}] are both {name}, by which files are named: "
                "fuse the two, or write them apart, .isel(time=...)"
            )
            raise ValueError(msg)
    slices = slices_along(dataset.transpose("time", ...), "time")
    return {f"{name}_": each for name, each in zip(names, slices, strict=True)}
