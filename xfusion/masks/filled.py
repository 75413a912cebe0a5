"""Layers in which a loader has filled what no item shows with a number that means something."""

from __future__ import annotations

import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.datamodel.nodata import declared_nodata


def warn_of_filled(gfm: xr.DataArray) -> None:
    """Warn of a cube of integers that says nothing of nodata: loaders fill such with 0."""
    if gfm.dtype.kind in "iu" and "time" in gfm.dims and not declared_nodata(gfm):
        warn(
            f"{gfm.name} is {gfm.dtype} and declares no nodata: where no item lies a "
            "loader such as odc.stac.load fills it with 0, which means not excluded. Load it with "
            "nodata=255, or say what it is, .assign_attrs(nodata=255)"
        )
