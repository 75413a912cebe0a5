"""Why a pixel is excluded, and who contributed to it: the bit flags."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

ALL_FLAGS = 255


class Exclusion(enum.IntFlag):
    """Why a pixel is excluded: the bits of `mask`. 0 is usable.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> mask = np.array([0, 1, 5], np.uint8)
    >>> (mask & xf.Exclusion.CLOUD) > 0
    array([False,  True,  True])
    >>> xf.Exclusion(5).name
    'CLOUD|VEGETATION'
    """

    CLOUD = 1
    SHADOW = 2
    VEGETATION = 4
    DEFECTIVE = 8
    GFM = 16
    UNKNOWN = 32
    READ_FAILED = 64
    USER = 128


FLAG_ATTRS: dict[str, Any] = {
    "standard_name": "status_flag",
    "long_name": "reasons for exclusion, 0 where usable",
    "flag_masks": np.array(list(Exclusion), np.uint8),
    "flag_meanings": " ".join(str(flag.name).lower() for flag in Exclusion),
}
FLAG_ATTRS["flag_masks"].flags.writeable = False  # one table, shared by every mask


def contributors(code: int, names: Sequence[str]) -> str:
    """Return the sensors whose bits a `source` has, joined by "+", or "none"."""
    return "+".join(name for bit, name in enumerate(names) if code >> bit & 1) or "none"


def whole_flags(mask: xr.DataArray) -> xr.DataArray:
    """Return flags that xarray has made floats of, as `where`, `reindex` and `align` do.

    Parameters
    ----------
    mask : DataArray of float32 or float64
        Whole numbers from 0 to 255, and NaN, which becomes UNKNOWN.

    Returns
    -------
    DataArray of uint8
        Lazy where the mask is; then the error comes with the pixels.

    Raises
    ------
    ValueError
        If a number is no flag, as after interpolation.
    """
    flags: xr.DataArray = xr.apply_ufunc(
        _whole_flags, mask, dask="parallelized", output_dtypes=[np.uint8], keep_attrs=True
    )
    flags.encoding = {k: v for k, v in mask.encoding.items() if k == "grid_mapping"}
    return flags


def _whole_flags(mask: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    missing = np.isnan(mask)
    numbers = np.where(missing, float(Exclusion.UNKNOWN), mask)
    wrong = ~((numbers >= 0) & (numbers <= ALL_FLAGS) & (numbers == np.trunc(numbers)))
    if wrong.any():
        msg = (
            f"mask is {mask.dtype} and has the value {numbers[wrong][0]}, which is no flag from 0 "
            "to 255: of flags there is no mean, take the nearest, such as "
            ".interp(..., method='nearest') or .coarsen(...).max()"
        )
        raise ValueError(msg)
    flags: NDArray[np.uint8] = numbers.astype(np.uint8)
    return flags
