"""What an array declares to be no data."""

from __future__ import annotations

import numpy as np
import xarray as xr

from .names import NODATA


def declared_nodata(array: xr.DataArray) -> list[float]:
    """Return the values that an array, or the file it is from, declares to be no data.

    Those of the attributes come first; the encoding of floats does not count, since they have been
    decoded.
    """
    sources = (array.attrs,) if array.dtype.kind == "f" else (array.attrs, array.encoding)
    entries = [d[key] for d in sources for key in (*NODATA, "nodatavals") if key in d]
    # rasterio says None of a band without one
    values = [value for entry in entries for value in np.ravel(entry) if value is not None]
    return [float(value) for value in values]


def without_nodata(array: xr.DataArray) -> xr.DataArray:
    """Return a map that is NaN where it declares to have no data, and declares no more."""
    declared = [v for v in declared_nodata(array) if not np.isnan(v)]
    kept = {k: v for k, v in array.attrs.items() if k not in (*NODATA, "nodatavals")}
    if not declared or array.dtype.kind == "b":
        plain = array.copy(deep=False)  # drop_attrs copies the pixels
        plain.attrs = kept
        return plain
    floats = np.promote_types(array.dtype, np.float32)
    known = array.astype(floats)
    for value in declared:
        # compared in its own dtype: a float32 is not the float64 that was declared
        known = known.where(array != array.dtype.type(value))
    return known.drop_attrs(deep=False).assign_attrs(kept)
