"""Rasters on disk: open them lazily."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xfusion.datamodel.building import retrieval
from xfusion.datamodel.chunks import Chunks, blocks_of
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.names import MASK, MU, SIGMA, SPATIAL_REF
from xfusion.datamodel.placement import PIXEL
from xfusion.datamodel.redaction import public
from xfusion.datamodel.tags import OF_ALL, UNPACKED
from xfusion.datamodel.times import Time

from .address import opened_as
from .band_tags import dated, explained
from .file import FilePath, RasterFile
from .georeference import check_place, is_of_heights
from .naming import warn_of_exchanged, warn_of_packing
from .origin import remember
from .unpacking import check_numbers

CHUNK = 1536  # pixels a side: 9 MiB of float32; larger ones need more memory, smaller more time
SPATIAL = "y", "x"


class Stored(NamedTuple):
    """How a file stores its band."""

    dtype: np.dtype[Any]
    rotated: bool
    scale: float
    offset: float
    nodata: float | None
    has_height_unit: bool
    """Whether its units are those of the heights of its CRS, not of what it holds."""

    @property
    def is_unscaled(self) -> bool:
        """Whether the band is of integers, and nothing says what these stand for."""
        return self.dtype.kind in "iu" and (self.scale, self.offset) == (1.0, 0.0)


def open_raster(
    path: FilePath,
    *,
    chunks: Chunks = CHUNK,
    masked: bool = True,
    nodata: float | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> xr.DataArray:
    """Open a raster file of one band lazily, its nodata honoured.

    Parameters
    ----------
    path : path or URL
        Anything GDAL reads, in any CRS.
    chunks : int, str, pair, mapping of y and x, or None
        Rows and columns of a block, in one of the ways of xarray: -1 for all of them, "auto", or
        the lengths of all blocks. None reads now.
    masked : bool
        Turn nodata into NaN, and apply scale and offset.
    nodata : float, optional
        A value that means no data, besides what the file declares.
    scale, offset : float, optional
        ``value = number * scale + offset``, instead of what the file declares.

    Returns
    -------
    DataArray, dims (y, x)
        With what :func:`~xfusion.to_cog` wrote in the tags: attributes and `time`. The labels of
        a rotated file count its pixels, from 0.5 on.

    Raises
    ------
    ValueError
        If the file has several bands or pages, complex numbers, or does not say where it lies.

    Examples
    --------
    >>> import tempfile, xfusion as xf
    >>> from xfusion.demo import write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> mu = xf.raster.open_raster(scene.s1_mu, chunks=64)
    >>> mu.dtype, mu.chunks is None, mu.rio.crs.to_epsg()
    (dtype('float32'), False, 32633)
    """
    mode: dict[str, Any] = {"masked": masked, "nodata": nodata, "scale": scale, "offset": offset}
    return _opened(path, chunks, **mode)[0]


def _opened(path: FilePath, chunks: Chunks, **mode: Any) -> tuple[xr.DataArray, Stored]:
    """Return the band of a file, and how the file stores it."""
    import rioxarray

    if Path(path).exists():
        # workers, and a later run, may be in another folder
        path = Path(path).absolute()
    stored = _look(path)
    opened = rioxarray.open_rasterio(opened_as(path), parse_coordinates=not stored.rotated)
    assert isinstance(opened, xr.DataArray)  # noqa: S101  # a file of one band is
    # netCDF files have names of their own for the variable of their CRS
    opened = opened.rename({opened.rio.grid_mapping: SPATIAL_REF})
    single = opened.isel({dim: 0 for dim in opened.dims if dim not in SPATIAL})
    # the time of a netCDF file; others number bands
    numbers = [k for k, v in single.coords.items() if k not in (*SPATIAL, SPATIAL_REF)]
    band = explained(dated(single.drop_vars([k for k in numbers if k != "time"])), path)
    if stored.has_height_unit:
        band.attrs.pop("units", None)
    if stored.rotated:
        counted = {d: (d, np.arange(0.5, band.sizes[d]), {"units": PIXEL}) for d in SPATIAL}
        band = band.assign_coords(counted)
    masked = bool(mode["masked"])
    if "missing" in mode:
        mode["nodata"] = stored.nodata
    dtype = _dtype(band.dtype, masked=masked)
    file = RasterFile(str(path), (band.shape[0], band.shape[1]), dtype, **mode)
    attrs = {k: v for k, v in band.attrs.items() if not masked or k not in UNPACKED}
    if chunks is None:
        pixels: Any = file[:, :]
        return xr.DataArray(pixels, band.coords, band.dims, attrs=attrs), stored
    import dask.array as da

    pixels = da.from_array(
        file,
        chunks=blocks_of(CHUNK if chunks == {} else chunks, file.shape),
        name=_token(file),
        asarray=False,
        meta=_meta(file),
    )
    array = xr.DataArray(pixels, band.coords, band.dims, attrs=attrs)
    remember(array.variable, file)
    return array, stored


def open_retrieval(
    mu: FilePath,
    sigma: FilePath,
    mask: FilePath | None = None,
    *,
    sensor: str | None = None,
    time: Time | None = None,
    chunks: Chunks = CHUNK,
    nodata: float | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> xr.Dataset:
    """Open the rasters of a retrieval lazily.

    Parameters
    ----------
    mu, sigma : path or URL
        Mean and standard deviation, on one grid; nodata becomes NaN.
    mask : path or URL, optional
        uint8 flags of :class:`~xfusion.Exclusion`; UNKNOWN where its nodata, if declared, or a
        mask of the file itself says that there is no data.
    sensor, time
        As in :func:`~xfusion.retrieval`; by default those in the tags of `mu`, if any.
    chunks : int, str, pair, mapping of y and x, or None
        Rows and columns of a block, in one of the ways of xarray: -1 for all of them, "auto", or
        the lengths of all blocks. None reads now.
    nodata : float, optional
        A value of `mu` and `sigma` that means no data, besides what the files declare.
    scale, offset : float, optional
        ``mu = number * scale + offset`` and ``sigma = number * scale``, instead of what the files
        declare. Of integers that declare none it must be said, 1 where they are right as they
        are.

    Returns
    -------
    Dataset
        A retrieval.

    Raises
    ------
    ValueError
        If the files do not lie on one grid, do not say where they lie, have several bands or
        integers without a scale, or the mask is not uint8.

    Warns
    -----
    UserWarning
        If the names or tags of the files say that `mu` and `sigma` have changed places, or one
        file is given for both; if that of `sigma` declares an offset or no scale > 0.

    Examples
    --------
    >>> import tempfile, xfusion as xf
    >>> from xfusion.demo import write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> s1 = xf.raster.open_retrieval(
    ...     scene.s1_mu, scene.s1_sigma, sensor="sentinel-1", time="2023-06-20"
    ... )
    >>> [*s1.data_vars], s1.attrs["sensor"]
    (['mu', 'sigma'], 'sentinel-1')
    """
    check_numbers(nodata=nodata, scale=scale, offset=offset)
    of_pixels: dict[str, Any] = {"masked": True, "nodata": nodata, "scale": scale}
    means, stored = _opened(mu, chunks, layer=MU, offset=offset, **of_pixels)
    no_offset = None if scale is None and offset is None else 0.0
    deviations, stored_sigma = _opened(sigma, chunks, layer=SIGMA, offset=no_offset, **of_pixels)
    for path, file in ((mu, stored), (sigma, stored_sigma)):
        if scale is None and file.is_unscaled:
            msg = (
                f"{path} holds {file.dtype} and declares no scale: say what its numbers stand for, "
                "such as scale=0.0001 of shares times 10 000, scale=0.01 of percent, or scale=1 if "
                "they are right as they are"
            )
            if nodata is None and file.nodata is None:
                msg += "; and, as it declares no nodata, what means none, such as nodata=-9999"
            raise ValueError(msg)
    warn_of_exchanged(mu, sigma, means, deviations)
    if no_offset is None:
        warn_of_packing(sigma, stored_sigma.scale, stored_sigma.offset)
    flags = None
    if mask is not None:
        unknown = float(Exclusion.UNKNOWN)
        flags, _ = _opened(mask, chunks, layer=MASK, masked=False, missing=unknown)
        flags = flags.drop_attrs(deep=False).assign_attrs(
            {k: v for k, v in flags.attrs.items() if k != "_FillValue"}
        )
    of_all = {k: v for k, v in means.attrs.items() if OF_ALL.fullmatch(k)}
    for array in (means, deviations, *(() if flags is None else (flags,))):
        array.attrs = {k: v for k, v in array.attrs.items() if not OF_ALL.fullmatch(k)}
    if sensor is None and "sensor" in of_all:
        sensor = str(of_all["sensor"])
    dataset = retrieval(means, deviations, flags, sensor=sensor, time=time)
    return dataset.assign_attrs(of_all | dataset.attrs)


def _look(path: FilePath) -> Stored:
    """Return how a file stores its band; refuse what cannot be a layer of a retrieval."""
    import rasterio
    from rasterio.enums import MaskFlags
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # it is an error, below
        with rasterio.open(opened_as(path)) as file:
            if file.count != 1:
                count = file.count or f"{len(file.subdatasets)} subdatasets instead of"
                xarray = "; or open it with xarray, and build xf.retrieval(ds['mu'], ds['sigma'])"
                # an alpha band says what is missing
                alpha = bool(file.count) and MaskFlags.alpha in file.mask_flag_enums[0]
                with_mask = f" -mask {file.count}" if alpha else ""
                mend = f"split it, e.g. gdal_translate -b 1{with_mask if file.count else xarray}"
                msg = f"{public(str(path))}: {count} bands, one is needed: {mend}"
                raise ValueError(msg)
            if file.driver == "GTiff" and file.subdatasets:
                # each may have another size, so that none is a band
                mend = f"name one, such as {public(file.subdatasets[0])}"
                msg = f"{public(str(path))}: {len(file.subdatasets)} pages, one is needed: {mend}"
                raise ValueError(msg)
            dtype = np.dtype(file.dtypes[0])
            if dtype.kind == "c":
                msg = f"{path} holds {dtype}, not real numbers: write its amplitude, np.abs(...)"
                raise ValueError(msg)
            check_place(file, str(path))
            transform = file.transform
            scale, offset = file.scales[0], file.offsets[0]
            nodata = file.nodata
            has_height_unit = "units" not in file.tags() and is_of_heights(file)
    rotated = bool(transform.b or transform.d)
    return Stored(dtype, rotated, scale, offset, nodata, has_height_unit)


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
    return f"raster-{tokenize(file.path, file.described(), written)}"


def _meta(file: RasterFile) -> Any:
    return np.empty((0, 0), file.dtype)
