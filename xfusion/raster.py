"""Rasters on disk: open them lazily, write results as cloud-optimised GeoTIFFs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from .conventions import MU, Exclusion, Retrieval, Time, as_retrieval
from .grid import spatial_dims
from .rasterfile import RasterFile, remember
from .retrieval import retrieval

CHUNK = 2048  # pixels a side: 16 MiB of float32

FilePath: TypeAlias = str | os.PathLike[str]


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

    Raises
    ------
    ValueError
        If the file has several bands or no CRS.
    """
    import rioxarray

    opened = rioxarray.open_rasterio(path)
    if not isinstance(opened, xr.DataArray) or opened.sizes["band"] != 1:
        count = opened.sizes["band"] if isinstance(opened, xr.DataArray) else "several"
        msg = f"{path}: {count} bands, one is needed: split it, e.g. gdal_translate -b 1"
        raise ValueError(msg)
    if opened.rio.crs is None:
        msg = f"{path}: no CRS, so its pixels have no place: set it, e.g. rio edit-info --crs"
        raise ValueError(msg)
    band = opened.isel(band=0, drop=True)
    file = RasterFile(
        str(path), (band.shape[0], band.shape[1]), _dtype(band.dtype, masked=masked), masked
    )
    described = ("_FillValue", "scale_factor", "add_offset")
    attrs = {k: v for k, v in band.attrs.items() if not masked or k not in described}
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
        As in :func:`~xfusion.retrieval`.
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
    return retrieval(means, deviations, flags, sensor=sensor, time=time)


def write_cogs(dataset: Retrieval, folder: FilePath, *, prefix: str = "") -> dict[str, Path]:
    """Write each variable of a retrieval as a cloud-optimised GeoTIFF.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, dims (y, x) or (latitude, longitude); a lazy one is computed.
    folder : path
        Made if it is missing. Files of the same name are replaced once the new are whole.
    prefix : str
        Begins each file's name: ``<prefix><variable>.tif``.

    Returns
    -------
    dict
        Variable -> file.

    Raises
    ------
    ValueError
        If the retrieval has dims besides the spatial ones.
    """
    import odc.geo.xr  # noqa: F401  # registers .odc

    dataset = as_retrieval(dataset)
    extra = [d for d in dataset[MU].dims if d not in (spatial_dims(dataset) or ())]
    if extra:
        msg = (
            f"mu has the dims {extra} besides the spatial ones, a GeoTIFF has none: select one, "
            f"e.g. .isel({extra[0]}=0)"
        )
        raise ValueError(msg)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    computed = dataset.compute()
    files: dict[str, Path] = {}
    for name, array in computed.data_vars.items():
        files[str(name)] = path = folder / f"{prefix}{name}.tif"
        aside = folder / f".{os.getpid()}-{path.name}"
        nodata = np.nan if array.dtype.kind == "f" else None
        resampling = "average" if array.dtype.kind == "f" else "nearest"
        try:
            array.odc.write_cog(
                aside, overwrite=True, nodata=nodata, overview_resampling=resampling
            )
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    return files


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
