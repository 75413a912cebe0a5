"""Classes and bits of a file, in a dtype that holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.redaction import public


def as_classes(
    stored: NDArray[Any],
    dtype: np.dtype[Any],
    nodata: float | None,
    missing: float | None,
    path: str,
) -> NDArray[Any]:
    """Return pixels of a file as integers of a dtype, whatever the file stores them as.

    Parameters
    ----------
    stored : array
    dtype : dtype
        Of integers; of floats nothing is done, as these are no classes.
    nodata : float or None
        What the file declares to be no data, if it does.
    missing : float or None
        What that becomes where `dtype` cannot hold it, and NaN.
    path : str
        Of the file, for the error.

    Raises
    ------
    ValueError
        If there is any other number that `dtype` cannot hold, such as 300 or 4.5 in uint8: it
        would be taken for another class.
    """
    if dtype.kind not in "iu" or np.can_cast(stored.dtype, dtype):
        return stored if dtype.kind not in "iu" else stored.astype(dtype, copy=False)
    other = ~_holds(dtype, stored)
    with np.errstate(invalid="ignore"):
        classes = stored.astype(dtype)
    if missing is not None and other.any():
        absent = np.isnan(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, np.bool_)
        if nodata is not None:
            absent |= stored == nodata
        absent &= other
        classes[absent] = missing
        other &= ~absent
    if other.any():
        msg = (
            f"{public(path)} holds {stored.dtype}, not classes of {dtype}: {stored[other][0]} is "
            "none; correct the asset, or its data_type"
        )
        raise ValueError(msg)
    return classes


def _holds(dtype: np.dtype[Any], stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which numbers are integers of a dtype."""
    limits = np.iinfo(dtype)
    least, most = int(limits.min), int(limits.max)
    if stored.dtype.kind != "f":
        held: NDArray[np.bool_] = (stored >= least) & (stored <= most)
        return held
    # most itself is no float, of 64 bits
    numbers = stored.astype(np.float64)
    within = (numbers >= least) & (numbers < float(most + 1))
    whole: NDArray[np.bool_] = within & (np.trunc(numbers) == numbers)
    return whole
