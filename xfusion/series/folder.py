"""A folder of retrievals, of several times or sensors: which files are of which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from xfusion.datamodel.names import MU, SIGMA
from xfusion.datamodel.times import as_text, moment_of
from xfusion.raster.opening import open_retrieval

END = f"{MU}.tif"
# a day, and perhaps the time of that day, with or without what parts them
STAMP = re.compile(
    r"(?<!\d)(\d{4})([-_.]?)(\d{2})\2(\d{2})(?:[T_-]?(\d{2})([-_:]?)(\d{2})\6(\d{2})Z?)?(?!\d)"
)
EDGES = "_-. "


@dataclass(frozen=True)
class DatedRetrieval:
    """One of the retrievals of a folder; its pixels are not read."""

    file: Path
    """That of mu."""
    sensor: str
    """As its tags say it, else what its name has beside the date; empty if that is nothing."""
    time: np.datetime64 | None
    """As its tags say it, else its name; None if neither does."""
    dataset: xr.Dataset


def retrievals_in(folder: Path) -> list[DatedRetrieval]:
    """Return the retrievals of a folder, by time, then by sensor; their metadata are read.

    Parameters
    ----------
    folder : Path
        With files such as ``s1_20230620_mu.tif`` and ``s1_20230620_sigma.tif``.

    Raises
    ------
    ValueError
        If a file is none of a retrieval, as :func:`xfusion.raster.open_retrieval` says it.
    """
    found = []
    for means in sorted(folder.glob(f"*{END}")):
        stem = means.name.removesuffix(END)
        deviations = folder / f"{stem}{SIGMA}.tif"
        if deviations.exists():
            dataset = open_retrieval(means, deviations)
            named, time = _read(stem)
            noted = moment_of(dataset.coords.get("time"))
            sensor = str(dataset.attrs.get("sensor", named))
            found.append(DatedRetrieval(means, sensor, time if noted is None else noted, dataset))
    return sorted(found, key=_order)


def _order(each: DatedRetrieval) -> tuple[bool, str, str]:
    # those without a date at the end
    return each.time is None, "" if each.time is None else as_text(each.time), each.sensor


def _read(stem: str) -> tuple[str, np.datetime64 | None]:
    """Return what a name says beside its date, and the date, if it has one alone."""
    stamps = [*STAMP.finditer(stem)]
    if len(stamps) != 1:
        return stem.strip(EDGES), None
    (stamp,) = stamps
    year, month, day, hour, minute, second = stamp.group(1, 3, 4, 5, 7, 8)
    text = f"{year}-{month}-{day}" + (f"T{hour}:{minute}:{second}" if hour else "")
    try:
        time = np.datetime64(text, "s")
    except ValueError:  # such as of a month 13
        return stem.strip(EDGES), None
    before, after = (part.strip(EDGES) for part in (stem[: stamp.start()], stem[stamp.end() :]))
    return "_".join(part for part in (before, after) if part), time
