"""Rasters on disk: open them lazily."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import retrieval
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.tags import OF_ALL, UNPACKED
from xfusion.datamodel.times import Time, as_time

from .file import FilePath, RasterFile, remember

CHUNK = 1536  # pixels a side: 9 MiB of float32; larger ones need more memory, smaller more time
ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def open_raster(path: FilePath, *, chunks: int | None = CHUNK, masked: bool = True) -> xr.DataArray:
    """Open a raster file of one band lazily, its nodata honoured.

    Parameters
    ----------
    path : path or URL
        Anything GDAL reads, in any CRS.
    chunks : int or None
        Pixels a side of a block; None reads now.
    masked : bool
        Turn nodata into NaN, and apply a declared scale and offset.

    Returns
    -------
    DataArray, dims (y, x)
        With what :func:`~xfusion.to_cog` wrote in the tags: attributes and `time`.

    Raises
    ------
    ValueError
        If the file has several bands or no CRS.
    """
    import rioxarray

    if Path(path).exists():
        # workers, and a later run, may be in another folder
        path = Path(path).absolute()
    opened = rioxarray.open_rasterio(path)
    if not isinstance(opened, xr.DataArray) or opened.sizes["band"] != 1:
        count = opened.sizes["band"] if isinstance(opened, xr.DataArray) else "several"
        msg = f"{path}: {count} bands, one is needed: split it, e.g. gdal_translate -b 1"
        raise ValueError(msg)
    if opened.rio.crs is None:
        msg = f"{path}: no CRS, so its pixels have no place: set it, e.g. rio edit-info --crs"
        raise ValueError(msg)
    band = _explained(opened.isel(band=0, drop=True), path)
    file = RasterFile(
        str(path), (band.shape[0], band.shape[1]), _dtype(band.dtype, masked=masked), masked
    )
    attrs = {k: v for k, v in band.attrs.items() if not masked or k not in UNPACKED}
    if chunks is None:
        pixels: Any = file[:, :]
        return xr.DataArray(pixels, band.coords, band.dims, attrs=attrs)
    import dask.array as da

    pixels = da.from_array(file, chunks=chunks, name=_token(file), asarray=False, meta=_meta(file))
    array = xr.DataArray(pixels, band.coords, band.dims, attrs=attrs)
    remember(array.variable, file)
    return array


def open_retrieval(
    mu: FilePath,
    sigma: FilePath,
    mask: FilePath | None = None,
    *,
    sensor: str | None = None,
    time: Time | None = None,
    chunks: int | None = CHUNK,
) -> xr.Dataset:
    """Open the rasters of a retrieval lazily.

    Parameters
    ----------
    mu, sigma : path or URL
        Mean and standard deviation, on one grid; nodata becomes NaN.
    mask : path or URL, optional
        uint8 flags of :class:`~xfusion.Exclusion`; its nodata, if declared, is UNKNOWN.
    sensor, time
        As in :func:`~xfusion.retrieval`; by default those in the tags of `mu`, if any.
    chunks : int or None
        Pixels a side of a block; None reads now.

    Returns
    -------
    Dataset
        A retrieval.

    Raises
    ------
    ValueError
        If the files do not lie on one grid, have no CRS or several bands, or the mask is
        not uint8.
    """
    means = open_raster(mu, chunks=chunks)
    deviations = open_raster(sigma, chunks=chunks)
    flags = None if mask is None else _as_flags(open_raster(mask, chunks=chunks, masked=False))
    of_all = {k: v for k, v in means.attrs.items() if OF_ALL.fullmatch(k)}
    for array in (means, deviations, *(() if flags is None else (flags,))):
        array.attrs = {k: v for k, v in array.attrs.items() if not OF_ALL.fullmatch(k)}
    if sensor is None and "sensor" in of_all:
        sensor = str(of_all["sensor"])
    dataset = retrieval(means, deviations, flags, sensor=sensor, time=time)
    return dataset.assign_attrs(of_all | dataset.attrs)


def _explained(band: xr.DataArray, path: FilePath) -> xr.DataArray:
    """Return a band as its tags explain it, if :func:`~xfusion.to_cog` wrote them."""
    attrs: dict[Hashable, Any] = dict(band.attrs)
    if "Conventions" not in attrs:
        return band
    import rasterio

    with rasterio.open(path) as file:
        tags = file.tags()
    if "Conventions" not in tags:  # a netCDF file, whose tags have longer names
        return band
    attrs.pop("long_name", None)  # which rioxarray takes from the band's name
    attrs |= {k: tags[k] for k in ("long_name", "flag_meanings", "units") if k in tags}
    if re.fullmatch(r"\d+( \d+)*", tags.get("flag_masks", "")):
        attrs["flag_masks"] = np.array(tags["flag_masks"].split(), band.dtype)
    if ISO_UTC.fullmatch(tags.get("time", "")):
        del attrs["time"]
        band = band.assign_coords(time=as_time(tags["time"]))
    return band.drop_attrs(deep=False).assign_attrs(attrs)


def _dtype(stored: np.dtype[Any], *, masked: bool) -> np.dtype[Any]:
    if not masked or stored in (np.float32, np.float64):
        return stored
    # every value of 8 or 16 bits is a float32
    return np.dtype(np.float32 if stored.itemsize <= np.dtype(np.uint16).itemsize else np.float64)


def _token(file: RasterFile) -> str:
    from dask.base import tokenize

    # a file that is written anew is another array
    at = Path(file.path)
    written = at.stat().st_mtime_ns if at.is_file() else None
    return f"raster-{tokenize(file.path, file.masked, written)}"


def _meta(file: RasterFile) -> Any:
    return np.empty((0, 0), file.dtype)


def _as_flags(mask: xr.DataArray) -> xr.DataArray:
    nodata = mask.attrs.get("_FillValue")
    if nodata is None or mask.dtype != np.uint8:
        return mask
    return mask.where(mask != nodata, np.uint8(Exclusion.UNKNOWN)).astype(np.uint8)
