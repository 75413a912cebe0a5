"""Where an array lies: its spatial dims, its CRS, its GeoBox, and whether two agree."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox

SPATIAL_DIMS = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"))
SPATIAL_REF = "spatial_ref"
UNEVEN = 0.1  # of a pixel: labels of float32 are not better
TOLERANCE = 1e-3  # of a pixel: coordinates of one grid from two libraries differ by 1e-9


def spatial_dims(obj: xr.Dataset | xr.DataArray) -> tuple[Hashable, Hashable] | None:
    """Return the names of the two spatial dims, rows first, or None without any."""
    for dims in SPATIAL_DIMS:
        if set(dims) <= set(obj.dims):
            return dims
    return None


def geobox_of(obj: xr.Dataset | xr.DataArray) -> GeoBox:
    """Return the GeoBox of an xarray object, read from its coordinates and `spatial_ref`.

    Parameters
    ----------
    obj : Dataset or DataArray
        With dims (y, x), (latitude, longitude) or (lat, lon) and evenly spaced coordinates.

    Returns
    -------
    odc.geo.geobox.GeoBox

    Raises
    ------
    ValueError
        If there are no spatial dims, no CRS, or the coordinates are not evenly spaced.
    """
    import odc.geo.xr  # noqa: F401  # registers .odc; imports rasterio, hence late
    from odc.geo.geobox import GeoBox

    dims = spatial_dims(obj)
    if dims is None:
        msg = f"no spatial dims among {tuple(obj.dims)}: rename them to ('y', 'x')"
        raise ValueError(msg)
    coords = obj.coords.to_dataset()
    if SPATIAL_REF not in coords and isinstance(obj, xr.Dataset) and SPATIAL_REF in obj:
        coords = coords.set_coords(SPATIAL_REF).assign_coords({SPATIAL_REF: obj[SPATIAL_REF]})
    frame = xr.DataArray(
        np.broadcast_to(np.uint8(0), [obj.sizes[d] for d in dims]), dims=dims, attrs=obj.attrs
    ).assign_coords({k: v for k, v in coords.coords.items() if set(v.dims) <= set(dims)})
    geobox = frame.odc.geobox
    if geobox is None:
        msg = f"the coordinates {dims} are missing or not evenly spaced: there is no regular grid"
        raise ValueError(msg)
    if not isinstance(geobox, GeoBox):
        msg = "the grid is given by ground control points: warp it first, .rio.reproject(crs)"
        raise ValueError(msg)  # noqa: TRY004  # the type is right, the grid is not
    if geobox.crs is None:
        msg = "the grid has no CRS: name it with .rio.write_crs('EPSG:...')"
        raise ValueError(msg)
    if geobox.axis_aligned:
        _check_spacing(frame, geobox)
    return geobox


def _check_spacing(frame: xr.DataArray, geobox: GeoBox) -> None:
    for dim, expected in zip(frame.dims, geobox.coordinates.values(), strict=True):
        if dim not in frame.coords:
            continue
        labels = np.asarray(frame.indexes[dim], np.float64)
        regular = np.asarray(expected.values)
        off = np.abs(labels - regular)
        worst = int(np.argmax(off))
        if off[worst] > UNEVEN * abs(expected.resolution):
            msg = (
                f"{dim} is not evenly spaced: {dim}[{worst}] is {labels[worst]}, not "
                f"{regular[worst]}: put it on a regular grid first, e.g. with .interp()"
            )
            raise ValueError(msg)


def as_geobox(like: Any) -> GeoBox:
    """Return the GeoBox of a GeoBox, a Dataset, a DataArray or a product."""
    from odc.geo.geobox import GeoBox

    if isinstance(like, GeoBox):
        if like.crs is None:
            msg = "the GeoBox has no CRS: build it with crs='EPSG:...'"
            raise ValueError(msg)
        return like
    obj = getattr(like, "dataset", like)
    if not isinstance(obj, xr.Dataset | xr.DataArray):
        msg = f"`like` is a GeoBox, Dataset, DataArray or product, not {type(like).__name__}"
        raise TypeError(msg)
    return geobox_of(obj)


def same_geobox(a: GeoBox, b: GeoBox) -> bool:
    """Whether two GeoBoxes hold the same pixels, to a thousandth of a pixel."""
    if a.shape != b.shape or not same_crs(a.crs, b.crs):
        return False
    rows, columns = a.shape
    x = np.array([0.0, columns, 0.0, columns])
    y = np.array([0.0, 0.0, rows, rows])
    u, v = a.wld2pix(*b.pix2wld(x, y))  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    return bool(np.all(np.abs(u - x) <= TOLERANCE) and np.all(np.abs(v - y) <= TOLERANCE))


def same_crs(a: CRS | None, b: CRS | None) -> bool:
    """Whether two CRS are one, whichever text of it each library wrote."""
    if a is None or b is None:
        return a is b
    if a == b or a.proj.equals(b.proj, ignore_axis_order=True):
        return True
    if a.epsg is not None or b.epsg is not None:
        return a.epsg == b.epsg
    with warnings.catch_warnings():
        # it warns that proj4 loses the names of datums; the names are what may differ
        warnings.simplefilter("ignore", UserWarning)
        return bool(a.proj.to_dict() == b.proj.to_dict())


def grid_coords(like: Any) -> tuple[tuple[Hashable, Hashable], dict[Hashable, xr.DataArray]]:
    """Return the spatial dims and coordinates that a result on the grid of `like` takes.

    Those of an xarray object or a product verbatim, those of a GeoBox as odc-geo names
    them, with one `spatial_ref`.
    """
    from odc.geo.xr import xr_coords

    geobox = as_geobox(like)
    obj = getattr(like, "dataset", like)
    if not isinstance(obj, xr.Dataset | xr.DataArray):
        return geobox.dimensions, xr_coords(geobox, SPATIAL_REF)
    dims = spatial_dims(obj)
    assert dims is not None  # noqa: S101  # as_geobox found them
    coords = xr_coords(geobox, SPATIAL_REF, dims=(str(dims[0]), str(dims[1])))
    return dims, {k: obj.coords.get(k, v) for k, v in coords.items()}


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


def on_grid_of(
    obj: xr.Dataset, first: xr.Dataset, *, names: tuple[str, str], mend: str
) -> xr.Dataset:
    """Return `obj` with the dims and coordinates of `first`, if both lie on one grid.

    Grids are compared as shapes, CRS and GeoBoxes, never as floating-point labels: two
    libraries write the coordinates of one grid 1e-9 apart.

    Parameters
    ----------
    obj, first : Dataset
        What is to be aligned, and to what.
    names : (str, str)
        What the error calls `obj` and `first`.
    mend : str
        The call that mends it, for the error.

    Raises
    ------
    ValueError
        If the dims, shapes, CRS or pixels differ.
    """
    obj = with_spatial_dims(obj, first)
    there = spatial_dims(first)
    if obj.sizes.keys() ^ first.sizes.keys():
        msg = (
            f"{names[0]} has dims {tuple(obj.sizes)}, {names[1]} has {tuple(first.sizes)}: "
            "select or expand a dim so that both have the same, e.g. .isel(time=0)"
        )
        raise ValueError(msg)
    differences = _differences(obj, first, there)
    if differences:
        msg = f"{names[0]} and {names[1]} are not on one grid: {differences}; call {mend} first"
        raise ValueError(msg)
    aligned = obj.drop_vars([k for k in obj.coords if k not in first.dims or k in (there or ())])
    return aligned.assign_coords({k: first.coords[k] for k in there or () if k in first.coords})


def _differences(obj: xr.Dataset, first: xr.Dataset, dims: tuple[Hashable, Hashable] | None) -> str:
    for dim, size in first.sizes.items():
        if obj.sizes[dim] != size:
            return f"{obj.sizes[dim]} and {size} pixels along {dim!r}"
        if dim not in (dims or ()) and not _same_labels(obj, first, dim):
            return f"other labels along {dim!r}, {_few(obj, dim)} and {_few(first, dim)}"
    return "" if dims is None else _displacement(obj, first, dims)


def _displacement(obj: xr.Dataset, first: xr.Dataset, dims: tuple[Hashable, Hashable]) -> str:
    ours, theirs = _crs_text(obj), _crs_text(first)
    # the common case, decided without importing a projection library
    if ours == theirs and all(_same_labels(obj, first, dim) for dim in dims):
        return ""
    if ours is None or theirs is None:
        return _first_labels(obj, first, dims) if ours == theirs else _crs_names(ours, theirs)
    a, b = geobox_of(obj), geobox_of(first)
    if same_geobox(a, b):
        return ""
    return _first_labels(obj, first, dims) if same_crs(a.crs, b.crs) else _crs_names(ours, theirs)


def _few(obj: xr.Dataset, dim: Hashable) -> str:
    return str(obj.indexes[dim][:3].to_list()) if dim in obj.coords else "none"


def _same_labels(obj: xr.Dataset, first: xr.Dataset, dim: Hashable) -> bool:
    if dim not in obj.coords or dim not in first.coords:
        return (dim in obj.coords) == (dim in first.coords)
    return np.array_equal(obj.coords[dim], first.coords[dim])


def _first_labels(obj: xr.Dataset, first: xr.Dataset, dims: tuple[Hashable, Hashable]) -> str:
    for dim in dims:
        if dim not in obj.coords or dim not in first.coords:
            if (dim in obj.coords) != (dim in first.coords):
                return f"only one has coordinates along {dim!r}"
            continue
        a, b = obj.coords[dim].values, first.coords[dim].values  # an index
        if not np.array_equal(a, b):
            where = int(np.argmax(a != b))
            return f"{dim}[{where}] is {a[where]} and {b[where]}"
    return "other transforms"


def _crs_text(obj: xr.Dataset) -> str | None:
    if SPATIAL_REF not in obj.variables:
        return None
    attrs = obj[SPATIAL_REF].attrs
    text = attrs.get("crs_wkt", attrs.get("spatial_ref"))
    return None if text is None else str(text)


def _crs_names(*texts: str | None) -> str:
    from odc.geo.crs import CRS

    names = []
    for text in texts:
        crs = None if text is None else CRS(text)
        epsg = None if crs is None else crs.epsg
        names.append("none" if crs is None else f"EPSG:{epsg}" if epsg else repr(crs.proj.name))
    return "CRS " + " and ".join(names)


def crs_name(crs: Any) -> str:
    """Return the EPSG code of an odc CRS, such as ``"EPSG:4326"``, or its WKT without one."""
    epsg = None if crs is None else crs.epsg
    return f"EPSG:{epsg}" if epsg else str(crs)
