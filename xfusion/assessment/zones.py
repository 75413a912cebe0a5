"""Zones that are numbers or names on pixels: what they are called, and which pixel is of which."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.building import unwrapped
from xfusion.datamodel.nodata import declared_nodata
from xfusion.datamodel.reference import on_grid

NO_ZONE = -1
MOST = 2.0**53  # beyond, floats are no longer each of the whole numbers
WANTED = "give integers, such as numbers of catchments, or names"


def on_pixels(zones: xr.DataArray, dataset: xr.Dataset) -> tuple[NDArray[Any], xr.DataArray]:
    """Return the labels of zones, and the number of each pixel's zone among them.

    Parameters
    ----------
    zones : DataArray of integers, whole floats, bool or str
        On the grid of the retrieval. Its nodata, NaN and "" are of no zone.
    dataset : Dataset
        A retrieval, checked.

    Returns
    -------
    (array, DataArray of int32)
        The labels in order; and with the dims of mu, or its spatial ones where all labels of the
        others have the same zones, where in them the zone of the pixel is, -1 of none.

    Raises
    ------
    ValueError
        If they are no labels, or on another grid.
    """
    zones = unwrapped(zones)
    if zones.dtype.kind not in "biufUO":
        msg = f"zones are {zones.dtype}: {WANTED}"
        raise ValueError(msg)
    # where it lies is known without its labels
    on_grid(dataset, xr.zeros_like(zones, np.uint8).drop_attrs(deep=False), name="zones")
    none = np.array(declared_nodata(zones) if zones.dtype.kind in "iuf" else [])
    if zones.dtype.kind == "f":
        none = none.astype(zones.dtype)  # a float32 is not the float64 that was declared
    listed = zones.attrs.get("flag_values")
    if listed is not None and zones.dtype.kind in "iuf":
        labels = np.unique(np.ravel(listed))
        labels = labels[~np.isin(labels, none)]
    else:
        labels = _labels_on(zones, none)
    numbers: xr.DataArray = xr.apply_ufunc(
        _numbers,
        zones,
        kwargs={"labels": labels},
        dask="parallelized",
        output_dtypes=[np.int32],
        keep_attrs=True,  # those of coordinates, too: without them there is no CRS
    )
    plain = numbers.drop_attrs(deep=False)
    lacking = {d: 0 for d in dataset.mu.dims if d not in plain.dims}
    return labels, on_grid(dataset, plain, name="zones").isel(lacking, drop=True)


def _labels_on(zones: xr.DataArray, none: NDArray[Any]) -> NDArray[Any]:
    """Return the labels that there are; of a lazy array read block by block, now.

    A result has a place for each zone, so they must be known before it is computed.
    """
    if zones.chunks is None:
        return _labels_of(zones.to_numpy(), none)
    import dask
    from dask.delayed import delayed

    blocks = zones.data.to_delayed().ravel().tolist()
    (found,) = dask.compute([delayed(_labels_of)(block, none) for block in blocks])
    labels: NDArray[Any] = np.unique(np.concatenate(found))
    return labels


def _labels_of(block: NDArray[Any], none: NDArray[Any]) -> NDArray[Any]:
    labels: NDArray[Any] = np.unique(_plain(block))
    if labels.dtype.kind == "f":
        labels = labels[~np.isnan(labels)]
    labels = labels[~np.isin(labels, none if labels.dtype.kind != "U" else [""])]
    if labels.dtype.kind != "f":
        return labels
    broken = labels[(labels != np.rint(labels)) | (np.abs(labels) > MOST)]
    if broken.size:
        msg = f"zones has the number {broken[0]}, which is not whole, or nodata: {WANTED}"
        raise ValueError(msg)
    return labels.astype(np.int64)


def _numbers(block: NDArray[Any], *, labels: NDArray[Any]) -> NDArray[np.int32]:
    if not labels.size:
        return np.full(block.shape, NO_ZONE, np.int32)
    values = _plain(block)
    at = np.minimum(np.searchsorted(labels, values), labels.size - 1)
    is_one = labels[at] == values
    return np.where(is_one, at, NO_ZONE).astype(np.int32)


def _plain(block: NDArray[Any]) -> NDArray[Any]:
    """Return names as texts, "" where there is none; anything else as it is."""
    if block.dtype.kind != "O":
        return block
    flat = [value if isinstance(value, str) else "" for value in block.ravel()]
    return np.array(flat, np.str_).reshape(block.shape)
