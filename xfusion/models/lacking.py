"""Flags of pixels of which a band is missing: why there is no estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.flags import Exclusion


def with_read_failed(mask: xr.DataArray, mu: xr.DataArray, failed: Any) -> xr.DataArray:
    """Return flags with READ_FAILED in place of UNKNOWN, where bands could not be read.

    Parameters
    ----------
    mask : DataArray of uint8
    mu : DataArray, of the same shape
        NaN where a band is missing.
    failed : array of bool, of the same dims
        True where not all could be read.
    """
    if mask.chunks is not None:
        # its own blocks would cut those of the mask
        failed = failed.chunk(mask.chunksizes)
    flags: xr.DataArray = xr.apply_ufunc(
        _told, mask, mu, failed, dask="parallelized", output_dtypes=[np.uint8], keep_attrs=True
    )
    return flags


def flags_of_lacking(mu: xr.DataArray) -> xr.DataArray:
    """Return UNKNOWN where there is no estimate, as a band is missing."""
    flags: xr.DataArray = xr.apply_ufunc(
        _unknown, mu, dask="parallelized", output_dtypes=[np.uint8]
    )
    return flags


def _told(
    mask: NDArray[np.uint8], mu: NDArray[Any], failed: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    unknown, lost = np.uint8(Exclusion.UNKNOWN), np.uint8(Exclusion.READ_FAILED)
    # what another item had, or needs no band that was not read, is an estimate like others
    return np.where(failed & np.isnan(mu), (mask & ~unknown) | lost, mask).astype(np.uint8)


def _unknown(mu: NDArray[Any]) -> NDArray[np.uint8]:
    return np.where(np.isnan(mu), np.uint8(Exclusion.UNKNOWN), np.uint8(0)).astype(np.uint8)
