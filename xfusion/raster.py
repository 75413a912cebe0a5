"""Rasters on disk: open them lazily, write results as cloud-optimised GeoTIFFs."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr

from .compute import compute
from .conventions import MU, Exclusion, Retrieval, Time, as_retrieval, as_time
from .grid import geobox_of, spatial_dims
from .rasterfile import RasterFile, remember
from .retrieval import retrieval

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

CHUNK = 1536  # pixels a side: 9 MiB of float32; larger ones need more memory, smaller more time
PACKING = ("_FillValue", "scale_factor", "add_offset")
OF_ALL = re.compile("sensor|Conventions|fusion_.*|time_coverage_.*")  # tags of the whole Dataset
ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")

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
        With what :func:`write_cogs` wrote in the tags: attributes and `time`.

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
    band = _explained(opened.isel(band=0, drop=True), path)
    file = RasterFile(
        str(path), (band.shape[0], band.shape[1]), _dtype(band.dtype, masked=masked), masked
    )
    attrs = {k: v for k, v in band.attrs.items() if not masked or k not in PACKING}
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


def write_cogs(dataset: Retrieval, folder: FilePath, *, prefix: str = "") -> dict[str, Path]:
    """Write each variable of a retrieval as a cloud-optimised GeoTIFF, `weight` in bands.

    Its tags say what it holds: the attributes of the variable, sensor, time and provenance.

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
        If the retrieval has dims besides the spatial ones, no CRS or no regular grid.
    """
    dataset = as_retrieval(dataset)
    extra = [d for d in dataset[MU].dims if d not in (spatial_dims(dataset) or ())]
    if extra:
        msg = (
            f"mu has the dims {extra} besides the spatial ones, a GeoTIFF has none: select one, "
            f"e.g. .isel({extra[0]}=0)"
        )
        raise ValueError(msg)
    geobox = geobox_of(dataset)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    computed = compute(dataset)
    files: dict[str, Path] = {}
    for name, array in computed.data_vars.items():
        files[str(name)] = path = folder / f"{prefix}{name}.tif"
        aside = folder / f".{os.getpid()}-{path.name}"
        try:
            _write_cog(array, geobox, aside, _tags(dataset, array))
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    return files


def _write_cog(array: xr.DataArray, geobox: GeoBox, path: Path, tags: dict[str, str]) -> None:
    # not with odc-geo, which names no band; named afterwards the file is no COG any more
    import rasterio
    import rasterio.shutil

    is_float = array.dtype.kind == "f"
    rows, columns = geobox.shape
    array = array.transpose(..., *(spatial_dims(array) or ()))
    bands = [(str(array.name), array)]
    if array.ndim > len(geobox.shape):
        # such as the weights of the sensors
        labels = array.coords.get(array.dims[0], array[array.dims[0]])
        bands = [(f"{array.name} {label}", array[i]) for i, label in enumerate(labels.values)]
    with rasterio.open(
        "",
        "w",
        driver="MEM",
        width=columns,
        height=rows,
        count=len(bands),
        dtype=np.uint8 if array.dtype == bool else array.dtype,
        crs=str(geobox.crs),
        transform=geobox.transform,
        nodata=np.nan if is_float else None,
    ) as file:
        for number, (name, band) in enumerate(bands, start=1):
            file.write(band.values.astype(file.dtypes[0], copy=False), number)
            file.set_band_description(number, name)
        file.units = (tags.get("units"),) * len(bands)
        file.update_tags(**tags)
        rasterio.shutil.copy(
            file,
            path,
            driver="COG",
            compress="deflate",
            predictor="yes",
            overview_resampling="average" if is_float else "nearest",
        )


def _tags(dataset: xr.Dataset, array: xr.DataArray) -> dict[str, str]:
    attrs = {k: v for k, v in dataset.attrs.items() if OF_ALL.fullmatch(str(k))}
    attrs |= {k: v for k, v in array.attrs.items() if k not in PACKING}
    time = dataset.coords.get("time")
    if time is not None and time.ndim == 0 and time.dtype.kind == "M" and time.notnull():
        attrs["time"] = f"{time.values.astype('datetime64[us]').item().isoformat()}Z"
    return {str(k): " ".join(map(str, np.ravel(v))) for k, v in attrs.items()}


def _explained(band: xr.DataArray, path: FilePath) -> xr.DataArray:
    """Return a band as its tags explain it, if :func:`write_cogs` wrote them."""
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
