"""Merge masks at decision level: not observed is neither excluded nor usable."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.building import unwrapped
from xfusion.datamodel.chunks import check_known
from xfusion.datamodel.comparison import on_grid_of
from xfusion.datamodel.flags import FLAG_ATTRS, Exclusion
from xfusion.datamodel.grid import with_spatial_dims
from xfusion.datamodel.names import MASK
from xfusion.datamodel.nodata import declared_nodata

How = Literal["any", "all", "majority"]


def merge_mask(mask: xr.DataArray, /, *others: xr.DataArray, how: How = "any") -> xr.DataArray:
    """Merge exclusion masks at decision level: 1 excluded, 0 not, NaN not observed.

    Parameters
    ----------
    mask, *others : DataArray
        Masks on one grid: bool, True where excluded; or numbers, 0 not excluded, NaN or a
        declared nodata (``nodata``, ``nodatavals``, ``missing_value`` or ``_FillValue``) not
        observed, any other excluded; or flags of :class:`~xfusion.Exclusion`, UNKNOWN alone
        not observed.
    how : {"any", "all", "majority"}
        Excluded where any observing mask excludes; where all observing masks do; or where
        at least half of them do.

    Returns
    -------
    DataArray
        float32 with 1, 0 and NaN where no mask observed the pixel; bool if all inputs are. If
        all are flags, flags: all the reasons where a pixel is excluded, UNKNOWN where no mask
        observed it.

    Raises
    ------
    ValueError
        If the masks lie on different grids, a mask is of texts or the like, or `how` is none
        of the three.
    TypeError
        If a mask is not a DataArray.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> a = xr.DataArray([1.0, 0.0, np.nan, np.nan], dims="x")
    >>> b = xr.DataArray([0.0, np.nan, 1.0, np.nan], dims="x")
    >>> a.fusion.merge_mask(b).values
    array([ 1.,  0.,  1., nan], dtype=float32)
    """
    if how not in ("any", "all", "majority"):
        msg = f"{how=}: must be 'any', 'all' or 'majority'"
        raise ValueError(msg)
    for i, array in enumerate((mask, *others), start=1):
        _check(array, f"mask {i}")
    masks = [unwrapped(m).drop_vars(MASK, errors="ignore") for m in (mask, *others)]
    first = masks[0].to_dataset(name=MASK)
    aligned = masks[:1]
    for i, other in enumerate(masks[1:], start=2):
        dataset = with_spatial_dims(other.to_dataset(name=MASK), first)
        names = (f"mask {i}", "mask 1")
        mend = ".odc.reproject(mask_1.odc.geobox)"
        aligned.append(on_grid_of(dataset, first, names=names, mend=mend)[MASK])
    boolean = all(a.dtype == bool for a in aligned)
    merged: xr.DataArray = xr.apply_ufunc(
        _merge,
        *aligned,
        kwargs={"how": how, "nodata": [_declared_nodata(m) for m in masks]},
        join="exact",
        dask="parallelized",
        output_dtypes=[np.float32],
        keep_attrs=True,
    )
    merged = merged.astype(bool) if boolean else merged
    if all(map(_is_flags, masks)):
        flags: xr.DataArray = xr.apply_ufunc(
            _merge_flags,
            merged,
            *aligned,
            join="exact",
            dask="parallelized",
            output_dtypes=[np.uint8],
            keep_attrs=True,  # those of coordinates, too: without them there is no CRS
        )
        return flags.rename(mask.name).drop_attrs(deep=False).assign_attrs(FLAG_ATTRS)
    return (
        merged.rename(mask.name)
        .drop_attrs(deep=False)
        .assign_attrs(long_name=f"excluded by {how} of {len(aligned)} masks")
    )


def _merge(*masks: NDArray[Any], how: How, nodata: list[set[float]]) -> NDArray[np.float32]:
    excluding = np.zeros(masks[0].shape, np.uint32)
    observing = np.zeros(masks[0].shape, np.uint32)
    for mask, nodata_values in zip(masks, nodata, strict=True):
        observed = ~np.isnan(mask) if mask.dtype.kind == "f" else np.ones(mask.shape, bool)
        for value in nodata_values:
            observed &= mask != value
        observing += observed
        excluding += observed & (mask != 0)
    if how == "any":
        excluded = excluding > 0
    elif how == "all":
        excluded = excluding == observing
    else:
        excluded = 2 * excluding >= observing
    return np.where(observing > 0, excluded, np.nan).astype(np.float32)


def _merge_flags(excluded: NDArray[np.float32], *masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return all the reasons where merging excludes a pixel, UNKNOWN where no mask observed it."""
    reasons = np.bitwise_or.reduce(masks)
    unknown = np.uint8(Exclusion.UNKNOWN)
    flags: NDArray[np.uint8] = np.where(excluded == 1, reasons, np.uint8(0))
    flags[np.isnan(excluded)] = unknown
    return flags


def _is_flags(mask: xr.DataArray) -> bool:
    # arithmetic keeps the attributes: what was made of flags need not be flags
    has_meanings = mask.attrs.get("flag_meanings") == FLAG_ATTRS["flag_meanings"]
    return bool(has_meanings) and mask.dtype == np.uint8


def _declared_nodata(mask: xr.DataArray) -> set[float]:
    if mask.dtype == bool:
        return set()
    if _is_flags(mask):
        return {float(Exclusion.UNKNOWN)}  # and nothing else: not observed
    return set(declared_nodata(mask))


def _check(mask: Any, name: str) -> None:
    """Raise unless a mask is a DataArray of numbers or booleans."""
    if not isinstance(mask, xr.DataArray):
        mend = "ds['mask']" if isinstance(mask, xr.Dataset) else "xr.DataArray(mask, dims=...)"
        msg = f"{name} is a {type(mask).__name__}, not a DataArray: give {mend}"
        raise TypeError(msg)
    check_known(name, mask)
    if mask.dtype.kind not in "buif":
        msg = (
            f"{name} is {mask.dtype}, not bool or real numbers: compare it with what excludes, "
            "such as mask == 'cloud'"
        )
        raise ValueError(msg)
