"""Combine the flags of several acquisitions into one mask."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.flags import Exclusion

from .exclusion import flags_of


def combine_usable(flags: xr.DataArray, other: xr.DataArray) -> xr.DataArray:
    """Combine the flags of two acquisitions: usable where either is.

    Where neither is, the reasons of both; UNKNOWN only where neither saw the pixel.
    """
    return flags_of(_usable_wins, flags, other)


def combine_excluded(flags: xr.DataArray, other: xr.DataArray) -> xr.DataArray:
    """Combine the flags of two acquisitions: excluded where either excludes.

    UNKNOWN only where neither saw the pixel.
    """
    return flags_of(_excluded_wins, flags, other)


def _usable_wins(flags: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    usable = (flags == 0) | (other == 0)
    return np.where(usable, np.uint8(0), _excluded_wins(flags, other))


def _excluded_wins(flags: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    unknown = np.uint8(Exclusion.UNKNOWN)
    # an acquisition that did not see the pixel says nothing beside one that did
    never_seen = flags & other & unknown
    return ((flags | other) & ~unknown) | never_seen
