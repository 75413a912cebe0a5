"""A band as the tags of its file explain it."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.times import as_time, moment_of

from .address import opened_as
from .file import FilePath

OF_THE_FILE = ("STATISTICS_", "CLASS_")  # begin tags that say nothing of what is made of it
ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def dated(band: xr.DataArray) -> xr.DataArray:
    """Return a band whose time is a date of numpy, where its calendar is that of dates."""
    moment = moment_of(band.coords.get("time"))
    return band if moment is None else band.assign_coords(time=moment.astype("datetime64[ns]"))


def explained(band: xr.DataArray, path: FilePath) -> xr.DataArray:
    """Return a band as its tags explain it, if :func:`~xfusion.to_cog` wrote them."""
    kept = {k: v for k, v in band.attrs.items() if not str(k).startswith(OF_THE_FILE)}
    attrs: dict[Hashable, Any] = kept
    if "Conventions" not in attrs:
        return band
    import rasterio

    with rasterio.open(opened_as(path)) as file:
        tags = file.tags()
    if "Conventions" not in tags:  # a netCDF file, whose tags have longer names
        return band
    attrs.pop("long_name", None)  # which rioxarray takes from the band's name
    attrs |= {k: tags[k] for k in ("long_name", "flag_meanings", "units") if k in tags}
    if re.fullmatch(r"\d+( \d+)*", tags.get("flag_masks", "")):
        attrs["flag_masks"] = np.array(tags["flag_masks"].split(), band.dtype)
    if ISO_UTC.fullmatch(tags.get("time", "")):
        del attrs["time"]
        band = band.assign_coords(time=as_time(tags["time"]))
    return band.drop_attrs(deep=False).assign_attrs(attrs)
