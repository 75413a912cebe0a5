"""The labels of a spatial dim: a regular line of pixel centres, in the unit of the CRS."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Labels = NDArray[np.float64]

UNITS = {
    "metre": ("m", "metre", "meter", "metres", "meters"),
    "kilometre": ("km", "kilometre", "kilometer", "kilometres", "kilometers"),
    "foot": ("ft", "foot", "feet", "us survey foot", "us_survey_foot"),
    "radian": ("rad", "radian", "radians"),
    "degree": (
        *("degree", "degrees", "degree_north", "degrees_north", "degree_east", "degrees_east"),
        *("deg", "°"),
    ),
}
UNEVEN = 0.1  # of a pixel: labels of float32 are not better
EXACT = 1e-6  # of a pixel: labels that are further from a line are rounded, and fitted


class Axis(NamedTuple):
    """Regular labels of a dim: those of pixel `i` are ``first + step * i``."""

    first: float
    step: float | None
    """None of a single label, which does not tell how wide its pixel is."""


def axis_of(obj: xr.Dataset | xr.DataArray, dim: Hashable) -> Axis | None:
    """Return the labels of a dim, None without any."""
    size = obj.sizes[dim]
    if size == 0:
        msg = f"there are no pixels along {dim!r}: the selection misses the array, change it"
        raise ValueError(msg)
    if dim not in obj.coords:
        return None
    try:
        labels: Labels = np.asarray(obj.indexes[dim], np.float64)
    except (TypeError, ValueError) as error:
        msg = f"the labels of {dim!r} are no numbers, so its pixels have no place: {error}"
        raise ValueError(msg) from error
    if not np.isfinite(labels).all():
        where = int(np.argmin(np.isfinite(labels)))
        msg = (
            f"{dim}[{where}] is {labels[where]}, it has no place: select what has labels, such as "
            f".dropna({dim!r}), or give all of them, e.g. after .pad"
        )
        raise ValueError(msg)
    if size == 1:
        return Axis(float(labels[0]), None)
    first, step = _line(labels)
    if step == 0:
        msg = (
            f"the labels of {dim!r} begin and end at {labels[0]}, it has no direction: give each "
            f"pixel its own, .assign_coords({dim}=...)"
        )
        raise ValueError(msg)
    regular = first + step * np.arange(size)
    off = np.abs(labels - regular)
    worst = int(np.argmax(off))
    if off[worst] > UNEVEN * abs(step):
        equal = np.flatnonzero(np.diff(labels) == 0)
        if equal.size:
            where = int(equal[0])
            msg = (
                f"{dim}[{where}] and {dim}[{where + 1}] are both {labels[where]}: keep one of "
                f"each, .drop_duplicates({dim!r}), or give each pixel its own label, "
                f".assign_coords({dim}=...)"
            )
            raise ValueError(msg)
        msg = (
            f"{dim} is not evenly spaced: {dim}[{worst}] is {labels[worst]}, not "
            f"{regular[worst]}: put it on a regular grid first, e.g. with .interp()"
        )
        raise ValueError(msg)
    return Axis(first, step)


def check_units(obj: xr.Dataset | xr.DataArray, dim: Hashable, crs_text: str | None) -> None:
    """Refuse labels in another unit than the CRS, such as km of one in metres."""
    units = obj.coords[dim].attrs.get("units") if dim in obj.coords else None
    kind = next((k for k, names in UNITS.items() if str(units).lower() in names), None)
    if kind is None or crs_text is None:
        return
    from odc.geo.crs import CRS

    crs = CRS(crs_text)
    if not (crs.geographic or crs.projected):
        return  # a local one, of which odc-geo tells no units
    wanted = str(crs.units[0]).lower()
    if kind == "degree" and crs.proj.is_derived:
        return  # those of a rotated pole are degrees as well, by whatever name
    if any(wanted in names for names in UNITS.values()) and wanted not in UNITS[kind]:
        msg = (
            f"the labels of {dim!r} are in {units!r}, the CRS is in {wanted!r}: convert them, "
            f".assign_coords({dim}=...) and correct their units"
        )
        raise ValueError(msg)


def _line(labels: Labels) -> tuple[float, float]:
    """Return first label and step of the line through labels.

    Through the first and the last of labels that are exact. Rounded ones, of float32, would so put
    the whole grid off by the rounding of one: these are fitted.
    """
    last = len(labels) - 1
    first, step = float(labels[0]), float(labels[-1] - labels[0]) / last
    off = labels - (first + step * np.arange(len(labels)))
    if step == 0 or np.abs(off).max() <= EXACT * abs(step):
        return first, step
    middle = last / 2
    places = np.arange(len(labels)) - middle
    slope = float(places @ off / (places @ places))
    return first + float(off.mean()) - slope * middle, step + slope
