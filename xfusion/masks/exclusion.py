"""What excludes a pixel: rules on Sentinel-2 bands and on the GFM exclusion mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.flags import FLAG_ATTRS, Exclusion
from xfusion.datamodel.nodata import declared_nodata

from .filled import check_filled

NDVI_MAX = 0.6
GFM_NODATA = 255

RED, NIR, SCL, GFM = "red", "nir", "scl", "exclusion_mask"

# Scene Classification of Sen2Cor: class -> flag; 4 vegetation, 5 bare soil, 6 water,
# 7 unclassified and 11 snow or ice are usable
CLASSES, NO_CLASS = 12, 255
SCL_FLAGS = np.full(256, Exclusion.UNKNOWN, np.uint8)
SCL_FLAGS[[0, 1]] = Exclusion.DEFECTIVE
SCL_FLAGS[[2, 3]] = Exclusion.SHADOW
SCL_FLAGS[[8, 9, 10]] = Exclusion.CLOUD
SCL_FLAGS[[4, 5, 6, 7, 11]] = 0
GFM_FLAGS: NDArray[np.uint8] = np.full(256, Exclusion.UNKNOWN, np.uint8)
GFM_FLAGS[:2] = 0, Exclusion.GFM


def ndvi(bands: xr.Dataset, /) -> xr.DataArray:
    """Normalised difference vegetation index, ``(nir - red) / (nir + red + 1e-6)``.

    Parameters
    ----------
    bands : Dataset
        `red` and `nir`, reflectance or digital numbers on one scale, without an additive
        offset. Nodata is the bands' ``nodata`` or ``_FillValue``, for integers without one
        0 (as in Sentinel-2), and NaN.

    Returns
    -------
    DataArray
        float32 where both bands are float32, else float64; NaN where a band is missing.

    Raises
    ------
    ValueError
        If a band is missing from the Dataset.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> bands = xr.Dataset({"red": ("x", [100, 0]), "nir": ("x", [300, 0])})
    >>> bands.fusion.ndvi().values.round(3)
    array([0.5, nan])
    """
    red, nir = _bands(bands, RED, NIR)
    index: xr.DataArray = xr.apply_ufunc(
        _ndvi,
        red,
        nir,
        kwargs={"nodata": (_nodata(red), _nodata(nir))},
        join="exact",
        dask="parallelized",
        output_dtypes=[_ndvi_dtype(red.dtype, nir.dtype)],
        keep_attrs=True,
    )
    return (
        index.rename("ndvi")
        .drop_attrs(deep=False)
        .assign_attrs(long_name="normalised difference vegetation index", units="1")
    )


def s2_exclusion(bands: xr.Dataset, /, *, ndvi_max: float = NDVI_MAX) -> xr.DataArray:
    """Exclusion flags of Sentinel-2 pixels, from Scene Classification and NDVI.

    Parameters
    ----------
    bands : Dataset
        `red` and `nir` as in :func:`ndvi`, and `scl`, the Scene Classification of Sen2Cor
        (0 to 11), on one grid.
    ndvi_max : float
        A pixel with a larger NDVI is excluded as vegetation.

    Returns
    -------
    DataArray of uint8
        Flags of :class:`Exclusion`: CLOUD for SCL 8 to 10, SHADOW for 2 and 3, DEFECTIVE
        for 0 and 1 and where red or nir is missing, VEGETATION above `ndvi_max`, UNKNOWN
        where SCL is none of the twelve classes. 0 is usable.

    Raises
    ------
    ValueError
        If a band is missing from the Dataset.

    Examples
    --------
    >>> import xarray as xr, xfusion as xf
    >>> bands = xr.Dataset(
    ...     {"red": ("x", [100, 100]), "nir": ("x", [90, 900]), "scl": ("x", [6, 9])}
    ... )
    >>> [str(xf.Exclusion(int(f))) for f in bands.fusion.s2_exclusion()]
    ['0', '5']
    """
    red, nir, scl = _bands(bands, RED, NIR, SCL)
    nodata = _nodata(red), _nodata(nir)
    flags = flags_of(_s2_flags, red, nir, scl, ndvi_max=ndvi_max, nodata=nodata)
    return flags.rename("mask").drop_attrs(deep=False).assign_attrs(FLAG_ATTRS)


def s2_validity(bands: xr.Dataset, /, *, ndvi_max: float = NDVI_MAX) -> xr.DataArray:
    """Where Sentinel-2 sees the ground: SCL 4 to 7 or 11, and NDVI <= `ndvi_max`.

    Parameters
    ----------
    bands, ndvi_max
        As in :func:`s2_exclusion`.

    Returns
    -------
    DataArray of bool
        True where valid.

    Examples
    --------
    >>> import xarray as xr, xfusion as xf
    >>> bands = xr.Dataset(
    ...     {"red": ("x", [100, 100]), "nir": ("x", [90, 900]), "scl": ("x", [6, 4])}
    ... )
    >>> bands.fusion.s2_validity(ndvi_max=0.6).values
    array([ True, False])
    """
    return _valid(s2_exclusion(bands, ndvi_max=ndvi_max))


def scl_validity(scl: xr.DataArray, /) -> xr.DataArray:
    """Where the Scene Classification sees the ground: classes 4 to 7 and 11.

    Parameters
    ----------
    scl : DataArray
        Classes 0 to 11 of Sen2Cor; anything else, NaN included, is not valid.

    Returns
    -------
    DataArray of bool
        True where valid.

    Examples
    --------
    >>> import xarray as xr, xfusion as xf
    >>> xr.DataArray([6, 9, 11], dims="x").fusion.scl_validity().values
    array([ True, False,  True])
    """
    return _valid(flags_of(_scl_flags, scl))


def gfm_exclusion(bands: xr.Dataset | xr.DataArray, /) -> xr.DataArray:
    """Exclusion flags from the Copernicus Global Flood Monitoring exclusion mask.

    Parameters
    ----------
    bands : DataArray, or Dataset with `exclusion_mask`
        1 excluded, 0 not excluded, 255 or NaN not observed.

    Returns
    -------
    DataArray of uint8
        GFM where 1, 0 where 0, UNKNOWN for anything else.

    Examples
    --------
    >>> import xarray as xr, xfusion as xf
    >>> xr.DataArray([0, 1, 255], dims="x").fusion.gfm_exclusion().values
    array([ 0, 16, 32], dtype=uint8)
    """
    gfm = _bands(bands, GFM)[0] if isinstance(bands, xr.Dataset) else bands
    check_filled(gfm)
    return flags_of(_gfm_flags, gfm).rename("mask").drop_attrs(deep=False).assign_attrs(FLAG_ATTRS)


def gfm_validity(gfm: xr.DataArray, /) -> xr.DataArray:
    """Where the GFM exclusion mask excludes nothing: where it is 0.

    Parameters
    ----------
    gfm : DataArray
        1 excluded, 0 not excluded, 255 or NaN not observed.

    Returns
    -------
    DataArray of bool
        True where valid. Not observed is not valid.

    Examples
    --------
    >>> import xarray as xr, xfusion as xf
    >>> xr.DataArray([0, 1, 255], dims="x").fusion.gfm_validity().values
    array([ True, False, False])
    """
    return _valid(gfm_exclusion(gfm))


def flags_of(rule: Callable[..., Any], *layers: xr.DataArray, **arguments: Any) -> xr.DataArray:
    """Return the uint8 flags that a rule of arrays makes of layers, lazily where these are."""
    flags: xr.DataArray = xr.apply_ufunc(
        rule,
        *layers,
        kwargs=arguments,
        join="exact",
        dask="parallelized",
        output_dtypes=[np.uint8],
        keep_attrs=True,
    )
    return flags


def _valid(flags: xr.DataArray) -> xr.DataArray:
    return (flags == 0).rename("valid").drop_attrs(deep=False)


def _bands(bands: xr.Dataset, *names: str) -> list[xr.DataArray]:
    missing = [name for name in names if name not in bands]
    if missing:
        msg = (
            f"the bands {missing} are missing, there are {list(bands.data_vars)}: "
            f"rename yours, e.g. bands.rename(B04='red', B08='nir', SCL='scl')"
        )
        raise ValueError(msg)
    return [bands[name] for name in names]


def _nodata(band: xr.DataArray) -> float:
    for value in declared_nodata(band):
        return value
    return 0.0 if np.issubdtype(band.dtype, np.integer) else np.nan


def _ndvi_dtype(red: np.dtype[Any], nir: np.dtype[Any]) -> np.dtype[Any]:
    single = np.dtype(np.float32)
    return single if red == nir == single else np.dtype(np.float64)


def _ndvi(
    red: NDArray[Any], nir: NDArray[Any], *, nodata: tuple[float, float]
) -> NDArray[np.floating[Any]]:
    dtype = _ndvi_dtype(red.dtype, nir.dtype)
    missing = (red == nodata[0]) | (nir == nodata[1])
    # in double precision: unsigned bands would wrap, and a limit is met exactly or not at all
    red, nir = red.astype(np.float64), nir.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        index: NDArray[np.floating[Any]] = (nir - red) / (nir + red + 1e-6)
    index[missing] = np.nan
    return index.astype(dtype, copy=False)


def _scl_flags(scl: NDArray[Any]) -> NDArray[np.uint8]:
    return SCL_FLAGS[_scl_classes(scl)]


def _scl_classes(scl: NDArray[Any]) -> NDArray[np.uint8]:
    if scl.dtype == np.uint8:
        return scl
    is_class = (scl >= 0) & (scl < CLASSES) & (scl == scl // 1)
    return np.where(is_class, scl, NO_CLASS).astype(np.uint8)


def _s2_flags(
    red: NDArray[Any],
    nir: NDArray[Any],
    scl: NDArray[Any],
    *,
    ndvi_max: float,
    nodata: tuple[float, float],
) -> NDArray[np.uint8]:
    from xfusion.kernels import exclude  # numba takes half a second to import

    return exclude.s2_flags(
        red,
        nir,
        _scl_classes(scl),
        table=SCL_FLAGS,
        ndvi_max=ndvi_max,
        nodata=nodata,
        vegetation=int(Exclusion.VEGETATION),
        defective=int(Exclusion.DEFECTIVE),
        unknown=int(Exclusion.UNKNOWN),
    )


def _gfm_flags(gfm: NDArray[Any]) -> NDArray[np.uint8]:
    if gfm.dtype != np.uint8:
        gfm = np.where((gfm == 0) | (gfm == 1), gfm, NO_CLASS).astype(np.uint8)
    return np.take(GFM_FLAGS, gfm)
