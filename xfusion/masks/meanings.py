"""What the numbers of a mask of one's own mean: a threshold, a table of classes, or flags."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.building import unwrapped
from xfusion.datamodel.flags import FLAG_ATTRS, Exclusion, whole_flags
from xfusion.datamodel.names import PACKING
from xfusion.datamodel.nodata import declared_nodata
from xfusion.datamodel.redaction import public
from xfusion.raster.opening import open_raster

from .bits import NAMES

Excluded: TypeAlias = "xr.DataArray | str | os.PathLike[str]"
Classes: TypeAlias = "Mapping[float, Exclusion | str]"

USABLE = "usable"


@dataclass(frozen=True)
class Meaning:
    """What numbers of a mask exclude a pixel."""

    flag: Exclusion
    """What a True or a number beyond a threshold sets."""
    above: float | None
    below: float | None
    classes: Classes | None
    """Class to its flag; what is none of them is UNKNOWN."""
    nodata: float | None
    """Means "not observed", besides what the mask declares."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, or names no class of usable pixels."""
        for name in ("above", "below", "nodata"):
            value = getattr(self, name)
            if not (value is None or _is_number(value)) or (name != "nodata" and _is_nan(value)):
                msg = f"{name}={value!r}: give a number"
                raise ValueError(msg)
        if self.classes is None:
            return
        if self.has_limits:
            msg = (
                f"classes={self.classes!r} and a threshold, above={self.above} and "
                f"below={self.below}: give one or the other, or exclude twice"
            )
            raise ValueError(msg)
        table: object = self.classes
        if not isinstance(table, Mapping):
            msg = f"classes={table!r}: give a table, such as {{0: 'usable', 1: 'cloud'}}"
            raise TypeError(msg)
        for value in self.classes:
            if not _is_number(value) or _is_nan(value):
                msg = f"classes has {value!r}, which is no number: give {{0: 'usable', ...}}"
                raise ValueError(msg)
        if all(self.table.values()):
            msg = (
                f"classes={self.classes!r} names no class of usable pixels, and what is not named "
                "is UNKNOWN: add it, such as 0: 'usable'"
            )
            raise ValueError(msg)

    @property
    def has_limits(self) -> bool:
        """Whether there is a threshold."""
        return self.above is not None or self.below is not None

    @property
    def table(self) -> dict[float, int]:
        """Class to its flag."""
        return {value: _flag_of(flag) for value, flag in (self.classes or {}).items()}

    def flags_of(self, excluded: Excluded) -> xr.DataArray:
        """Return the flags of a mask, uint8, lazily where it is lazy or a file."""
        array = self._opened(excluded)
        has_meaning = self.has_limits or self.classes is not None
        if array.dtype.kind == "f" and _says_flags(array) and not has_meaning:
            array = whole_flags(array)  # of which `where` and the like have made floats
        kind = array.dtype.kind
        if kind == "b" and not self.has_limits and self.classes is None:
            return array * np.uint8(self.flag)
        if not self.has_limits and self.classes is None:
            self._check_are_flags(excluded, array)
        elif kind not in "iuf":
            msg = (
                f"`excluded` is {array.dtype}, which has neither a threshold nor classes: leave "
                "out above=, below= and classes=, or give its numbers"
            )
            raise ValueError(msg)
        flags: xr.DataArray = xr.apply_ufunc(
            self._flags,
            array,
            kwargs={"nodata": self._nodata(array)},
            dask="parallelized",
            output_dtypes=[np.uint8],
            keep_attrs=True,  # those of coordinates, too: without them there is no CRS
        )
        return flags.drop_attrs(deep=False)

    def _opened(self, excluded: Excluded) -> xr.DataArray:
        if isinstance(excluded, str | os.PathLike):
            array = open_raster(excluded, masked=False)
            if array.dtype.kind != "f" and not self.has_limits:
                # a nodata that a file declares may be a class of its own, as that of SCL is
                named = {*self.table} & {*declared_nodata(array)}
                return array if named or self.classes is None else open_raster(excluded)
            return open_raster(excluded)
        layer: object = excluded
        if not isinstance(layer, xr.DataArray):
            msg = (
                f"`excluded` is a {type(layer).__name__}, neither a DataArray nor the path of a "
                "raster: say where it lies, e.g. retrieval.mu.copy(data=excluded)"
            )
            raise TypeError(msg)
        array = unwrapped(excluded)
        packed = {k: array.attrs[k] for k in PACKING if k in array.attrs}
        if self.has_limits and packed not in ({}, {"scale_factor": 1, "add_offset": 0}):
            msg = (
                f"`excluded` is packed, {packed}, and the threshold may be of either: open it with "
                "mask_and_scale=True"
            )
            raise ValueError(msg)
        return array

    @staticmethod
    def _check_are_flags(excluded: Excluded, array: xr.DataArray) -> None:
        of_ours = _says_flags(array)
        if array.dtype == np.uint8 and (of_ours or isinstance(excluded, xr.DataArray)):
            return
        path = "" if isinstance(excluded, xr.DataArray) else f"{public(str(excluded))}, "
        msg = (
            f"`excluded` is {path}{array.dtype}, not bool (True = exclude) or uint8 flags: say "
            "what its values mean, e.g. `excluded == 1`, classes={0: 'usable', 1: 'cloud'}, "
            "above=0.5 or below=0.5; of flags that became numbers of another kind, "
            ".fillna(32).astype('uint8')"
        )
        raise ValueError(msg)

    def _nodata(self, array: xr.DataArray) -> list[float]:
        if _says_flags(array) and not (self.has_limits or self.classes):
            return []
        declared = [value for value in declared_nodata(array) if value not in self.table]
        return declared if self.nodata is None else [*declared, float(self.nodata)]

    def _flags(self, pixels: NDArray[Any], *, nodata: list[float]) -> NDArray[np.uint8]:
        unknown = np.uint8(Exclusion.UNKNOWN)
        if self.classes is not None:
            flags = np.full(pixels.shape, unknown)
            for value, flag in self.table.items():
                flags[pixels == value] = flag
        elif self.has_limits:
            beyond = np.zeros(pixels.shape, np.bool_)
            # numbers of Python: 0.4 in single precision is not more than 0.4
            if self.above is not None:
                beyond |= pixels > float(self.above)
            if self.below is not None:
                beyond |= pixels < float(self.below)
            flags = beyond * np.uint8(self.flag)
        else:
            flags = pixels.copy()
        if pixels.dtype.kind == "f":
            flags[np.isnan(pixels)] = unknown
        for value in nodata:
            # a nodata in double precision, of pixels in single
            same = pixels.dtype.type(value) if pixels.dtype.kind == "f" else value
            flags[pixels == same] = unknown
        return flags


def _flag_of(flag: Any) -> int:
    names = {USABLE: Exclusion(0), **NAMES}
    if isinstance(flag, str) and flag in names:
        return int(names[flag])
    if isinstance(flag, int) and not isinstance(flag, bool) and 0 <= flag <= max(Exclusion) * 2 - 1:
        return int(flag)
    msg = f"classes has the flag {flag!r}: name one of {list(names)}, or give an Exclusion"
    raise ValueError(msg)


def _says_flags(array: xr.DataArray) -> bool:
    """Whether the attributes are those of flags of ours, as files of masks have them."""
    return bool(array.attrs.get("flag_meanings") == FLAG_ATTRS["flag_meanings"])


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real | np.number) and not isinstance(value, bool)


def _is_nan(value: Any) -> bool:
    return value is not None and math.isnan(value)
