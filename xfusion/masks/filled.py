"""Layers in which a loader has filled what no item shows with a number that means something."""

from __future__ import annotations

import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.datamodel.nodata import declared_nodata

FILLED = "a loader such as odc.stac.load fills it with 0, which means not excluded"
MEND = "load it with nodata=255, or say what it is, .assign_attrs(nodata=255)"


def check_filled(gfm: xr.DataArray) -> None:
    """Refuse a GFM mask in which 0 is also what no item shows; warn where that may be.

    Raises
    ------
    ValueError
        If it declares that 0 is no data; or it was loaded onto a grid as integers, from items of
        which each shows a part, and declares nothing.

    Warns
    -----
    UserWarning
        If it is a cube of integers that declares nothing, and nothing says where it lies.
    """
    declared = declared_nodata(gfm)
    if 0 in declared:
        msg = (
            f"{gfm.name} declares nodata 0, which in a GFM mask means not excluded, so that what "
            f"no item shows would be usable: {MEND}"
        )
        raise ValueError(msg)
    if declared or gfm.dtype.kind not in "iu" or "time" not in gfm.coords:
        return
    said = f"{gfm.name} is {gfm.dtype} and declares no nodata: where no item lies"
    if gfm.encoding.get("grid_mapping") in gfm.coords:
        msg = f"{said} {FILLED}; {MEND}"
        raise ValueError(msg)
    if "time" in gfm.dims:
        warn(f"{said} {FILLED}; {MEND}")
