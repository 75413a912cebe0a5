"""What lies along a dim of a cube, each with what the cube says of it alone."""

from __future__ import annotations

from collections.abc import Hashable

import xarray as xr

from .names import SPAN
from .provenance import of_its_time


def slices_along(dataset: xr.Dataset, dim: Hashable) -> list[xr.Dataset]:
    """Return the retrievals along a dim, each with its own sensor, span and items of its mask."""
    slices = []
    for i in range(dataset.sizes[dim]):
        each = of_its_time(dataset.isel({dim: i}))
        attrs = {k: v for k, v in each.attrs.items() if dim != "time" or k not in SPAN}
        if "sensor" in each.coords and dim in dataset.coords["sensor"].dims:
            # a label, not pixels, also where .chunk() has made it lazy
            attrs["sensor"] = str(each.coords["sensor"].to_numpy()[()])
            each = each.drop_vars("sensor")
        slices.append(each.drop_attrs(deep=False).assign_attrs(attrs))
    return slices
