"""The grid of an array: its spatial dims, its GeoBox, and its coordinates."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import xarray as xr

from .names import SPATIAL_REF
from .placement import check_has_area, place_of, transform_of

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox

SPATIAL_DIMS = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"))
CRS_ATTRS = ("crs", "crs_wkt")
SHOWN = 80  # letters of a text that is no CRS
NAMELESS = ("", "unknown", "unnamed", "undefined")


def spatial_dims(obj: xr.Dataset | xr.DataArray) -> tuple[Hashable, Hashable] | None:
    """Return the names of the two spatial dims, rows first, or None without any."""
    for dims in SPATIAL_DIMS:
        if set(dims) <= set(obj.dims):
            return dims
    return None


def geobox_of(obj: xr.Dataset | xr.DataArray) -> GeoBox:
    """Return the GeoBox of an xarray object, read from its labels and its CRS variable.

    Parameters
    ----------
    obj : Dataset or DataArray
        With dims (y, x), (latitude, longitude) or (lat, lon); and with evenly spaced labels, or a
        GeoTransform, or both where they agree.

    Returns
    -------
    odc.geo.geobox.GeoBox

    Raises
    ------
    ValueError
        If there are no spatial dims, no CRS, or no one place that all of these agree on.
    """
    from odc.geo.geobox import GeoBox

    dims = spatial_dims(obj)
    if dims is None:
        msg = f"no spatial dims among {tuple(obj.dims)}: rename them to ('y', 'x')"
        raise ValueError(msg)
    crs = _crs_of(obj, dims)
    if crs is None:
        msg = "the grid has no CRS: name it with .rio.write_crs('EPSG:...')"
        raise ValueError(msg)
    return GeoBox((obj.sizes[dims[0]], obj.sizes[dims[1]]), transform_of(obj, dims), crs)


def _crs_of(obj: xr.Dataset | xr.DataArray, dims: tuple[Hashable, Hashable]) -> CRS | None:
    from odc.geo.crs import CRS
    from pyproj.exceptions import CRSError

    text = place_of(obj).crs
    if text is not None:
        try:
            return CRS(text)
        except CRSError as error:
            msg = (
                f"PROJ does not know the CRS {text[:SHOWN]!r}: .rio.write_crs('EPSG:...'); {error}"
            )
            raise ValueError(msg) from error
    # in an attribute, as older libraries keep it
    holders = [obj.coords[d] for d in dims if d in obj.coords]
    arrays = list(obj.data_vars.values()) if isinstance(obj, xr.Dataset) else []
    named = [h.attrs[key] for h in (obj, *arrays, *holders) for key in CRS_ATTRS if key in h.attrs]
    return CRS(named[0]) if named else None


def has_crs(obj: xr.Dataset | xr.DataArray) -> bool:
    """Whether an object has spatial dims, and says in which CRS they are."""
    dims = spatial_dims(obj)
    return dims is not None and _crs_of(obj, dims) is not None


def as_geobox(like: Any) -> GeoBox:
    """Return the GeoBox of a GeoBox, a Dataset, a DataArray or a product."""
    from odc.geo.geobox import GeoBox

    if isinstance(like, GeoBox):
        if like.crs is None:
            msg = "the GeoBox has no CRS: build it with crs='EPSG:...'"
            raise ValueError(msg)
        check_has_area(like.transform)
        return like
    obj = getattr(like, "dataset", like)
    if not isinstance(obj, xr.Dataset | xr.DataArray):
        msg = f"`like` is a GeoBox, Dataset, DataArray or product, not {type(like).__name__}"
        raise TypeError(msg)
    return geobox_of(obj)


def grid_coords(like: Any) -> tuple[tuple[Hashable, Hashable], dict[Hashable, xr.DataArray]]:
    """Return the spatial dims and coordinates that a result on the grid of `like` takes.

    Those of an xarray object or a product verbatim, those of a GeoBox as odc-geo names
    them, with one `spatial_ref`.
    """
    from odc.geo.xr import xr_coords

    geobox = as_geobox(like)
    obj = getattr(like, "dataset", like)
    if not (geobox.crs.geographic or geobox.crs.projected):  # type: ignore[union-attr]  # as_geobox saw that it has one
        # of a local CRS odc-geo makes no labels
        return _own_coords(obj, geobox)
    if not isinstance(obj, xr.Dataset | xr.DataArray):
        return geobox.dimensions, xr_coords(geobox, SPATIAL_REF)
    dims = spatial_dims(obj)
    assert dims is not None  # noqa: S101  # as_geobox found them
    coords = xr_coords(geobox, SPATIAL_REF, dims=(str(dims[0]), str(dims[1])))
    return dims, {k: obj.coords.get(k, v) for k, v in coords.items()}


def _own_coords(
    obj: Any, geobox: GeoBox
) -> tuple[tuple[Hashable, Hashable], dict[Hashable, xr.DataArray]]:
    dims = spatial_dims(obj) if isinstance(obj, xr.Dataset | xr.DataArray) else None
    if dims is None or not {*dims, SPATIAL_REF} <= {*obj.coords}:
        msg = (
            f"a grid in {crs_name(geobox.crs)}, a local CRS, has no labels of its own: give a "
            "Dataset or DataArray that has them as `like`"
        )
        raise ValueError(msg)
    return dims, {name: obj.coords[name] for name in (*dims, SPATIAL_REF)}


def spatial_ref_of(geobox: GeoBox) -> xr.DataArray:
    """Return the scalar coordinate that holds the CRS and transform of a GeoBox."""
    from odc.geo.xr import xr_coords

    return xr_coords(geobox, SPATIAL_REF)[SPATIAL_REF]


def with_spatial_dims(obj: xr.Dataset, like: xr.Dataset) -> xr.Dataset:
    """Return `obj` with its spatial dims named as those of `like`."""
    here, there = spatial_dims(obj), spatial_dims(like)
    if here is None or there is None or here == there:
        return obj
    return obj.rename(dict(zip(here, there, strict=True)))


def extent_of(geobox: GeoBox) -> str:
    """Return the extent of a grid as a text for messages."""
    left, bottom, right, top = (f"{edge:.7g}" for edge in geobox.boundingbox)
    return f"x {left} to {right} and y {bottom} to {top} in {crs_name(geobox.crs)}"


def side_of(geobox: GeoBox) -> str:
    """Return the sides of a pixel as a text for messages."""
    return f"{sides_text(geobox)} in {crs_name(geobox.crs)}"


def sides_text(geobox: GeoBox) -> str:
    """Return the sides of a pixel with their unit, such as "10 x 10 m"."""
    across, down = abs(geobox.resolution.x), abs(geobox.resolution.y)
    return f"{across:.7g} x {down:.7g}{unit_suffix(geobox.crs)}"


def unit_suffix(crs: Any) -> str:
    """Return what follows a number along an axis of an odc CRS, such as " m"; "" without one."""
    axes = [] if crs is None else crs.proj.axis_info
    name = axes[0].unit_name if axes else ""
    return " m" if name == "metre" else f" {name}" if name else ""


def crs_name(crs: Any) -> str:
    """Return what messages call an odc CRS: its EPSG code, or its own name, or its parameters."""
    if crs is None or crs.epsg:
        return crs_text(crs)
    name = str(crs.proj.name)
    if name.lower() not in NAMELESS:
        return repr(name)
    with warnings.catch_warnings():
        # it warns that proj4 does not say all
        warnings.simplefilter("ignore", UserWarning)
        return repr(crs.proj.to_proj4().removesuffix(" +type=crs"))


def crs_text(crs: Any) -> str:
    """Return the EPSG code of an odc CRS, such as ``"EPSG:4326"``, or its WKT without one."""
    epsg = None if crs is None else crs.epsg
    return f"EPSG:{epsg}" if epsg else str(crs)
