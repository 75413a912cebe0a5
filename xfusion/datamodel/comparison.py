"""Whether two arrays lie on one grid, by shape, CRS and transform, wherever these are kept."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .datum import same_datum
from .grid import geobox_of, spatial_dims, with_spatial_dims
from .placement import OF_EACH_PIXEL, Place, place_of
from .times import label_text

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox

TOLERANCE = 1e-3  # of a pixel: coordinates of one grid from two libraries differ by 1e-9


def same_geobox(a: GeoBox, b: GeoBox) -> bool:
    """Whether two GeoBoxes hold the same pixels, to a thousandth of a pixel."""
    return same_crs(a.crs, b.crs) and _same_pixels(a, b)


def _same_pixels(a: GeoBox, b: GeoBox) -> bool:
    if a.shape != b.shape:
        return False
    rows, columns = a.shape
    x = np.array([0.0, columns, 0.0, columns])
    y = np.array([0.0, 0.0, rows, rows])
    u, v = a.wld2pix(*b.pix2wld(x, y))  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    return bool(np.all(np.abs(u - x) <= TOLERANCE) and np.all(np.abs(v - y) <= TOLERANCE))


def same_crs(a: CRS | None, b: CRS | None) -> bool:
    """Whether two CRS are one, whichever text or code of it each library wrote."""
    if a is None or b is None:
        return a is b
    if not all(crs.geographic or crs.projected for crs in (a, b)):
        # PROJ compares no names, but of a local CRS the name alone says which site it is of
        return a == b and bool(a.proj.name == b.proj.name)
    if a == b or a.proj.equals(b.proj, ignore_axis_order=True):
        return True
    if a.epsg is not None and a.epsg == b.epsg:  # by what they say, not by a code in their texts
        return True
    return _same_parameters(a.proj, b.proj) and same_datum(a.proj, b.proj)


def _same_parameters(a: Any, b: Any) -> bool:
    from pyproj.exceptions import CRSError

    with warnings.catch_warnings():
        # it warns that proj4 loses the names of datums, which are compared beside it
        warnings.simplefilter("ignore", UserWarning)
        try:
            return bool(a.to_dict() == b.to_dict())
        except CRSError:  # of a local CRS, which has none
            return False


def lies_on(obj: xr.Dataset, first: xr.Dataset) -> bool:
    """Whether the spatial dims of two objects are one grid, see :func:`on_grid_of`."""
    dims = spatial_dims(first)
    if dims is None or spatial_dims(obj) != dims:
        return spatial_dims(obj) == dims
    one, other = (
        each.isel({dim: 0 for dim in each.sizes if dim not in dims}, drop=True)
        for each in (obj, first)
    )
    return not _differences(one, other, dims)


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
    more = [d for d in (*obj.sizes, *first.sizes) if (d in obj.sizes) != (d in first.sizes)]
    if more:
        msg = (
            f"{names[0]} has dims {tuple(obj.sizes)}, {names[1]} has {tuple(first.sizes)}: "
            f"select or expand a dim so that both have the same, e.g. .isel({more[0]}=0)"
        )
        raise ValueError(msg)
    apart = next((d for d in first.sizes if d not in (there or ()) and _apart(obj, first, d)), None)
    if apart is not None:
        labels = f"{_few(obj, apart)} and {_few(first, apart)}"
        msg = (
            f"{names[0]} and {names[1]} have not the same labels along {apart!r}, {labels}: "
            f"{_common_labels(obj, first, apart)}"
        )
        raise ValueError(msg)
    differences = _differences(obj, first, there)
    if differences:
        msg = f"{names[0]} and {names[1]} are not on one grid: {differences}; call {mend} first"
        raise ValueError(msg)
    # a MultiIndex is kept or dropped with all of its levels
    kept = [c for d in obj.dims if d in obj.xindexes for c in obj.xindexes.get_all_coords(d)]
    aligned = obj.drop_vars([k for k in obj.coords if k not in kept or k in (there or ())])
    return aligned.assign_coords({k: first.coords[k] for k in there or () if k in first.coords})


def _differences(obj: xr.Dataset, first: xr.Dataset, dims: tuple[Hashable, Hashable] | None) -> str:
    for dim, size in first.sizes.items():
        if obj.sizes[dim] != size:
            return f"{obj.sizes[dim]} and {size} pixels along {dim!r}"
    return "" if dims is None else _displacement(obj, first, dims)


def _displacement(obj: xr.Dataset, first: xr.Dataset, dims: tuple[Hashable, Hashable]) -> str:
    ours, theirs = place_of(obj), place_of(first)
    named = (*dims, *(OF_EACH_PIXEL if ours.is_rotated else ()))
    same_labels = all(_same_labels(obj, first, name) for name in named)
    # the common case, decided without importing a projection library
    if same_labels and (ours == theirs or _labels_say_all(obj, ours, theirs, dims)):
        return ""
    if ours.crs is None or theirs.crs is None:
        crs = "" if ours.crs == theirs.crs else _crs_names(ours.crs, theirs.crs)
        return crs or _first_labels(obj, first, dims) or "other GeoTransforms"
    if ours.geotransform is None and theirs.geotransform is None and same_labels:
        # both without labels: where they lie is not known, but it may be one place
        return "" if _is_one_crs(ours.crs, theirs.crs) else _crs_names(ours.crs, theirs.crs)
    return _distance(obj, first, dims)


def _distance(obj: xr.Dataset, first: xr.Dataset, dims: tuple[Hashable, Hashable]) -> str:
    """Return how the places of two objects differ that have a CRS each."""
    for one in (obj, first):
        if place_of(one).geotransform is None and not all(dim in one.coords for dim in dims):
            return _first_labels(obj, first, dims) or "only one has a GeoTransform"
    a, b = geobox_of(obj), geobox_of(first)
    if same_geobox(a, b):
        return ""
    if not same_crs(a.crs, b.crs):
        return _crs_names(place_of(obj).crs, place_of(first).crs)
    return _first_labels(obj, first, dims) or _transforms(a, b)


def _is_one_crs(ours: str, theirs: str) -> bool:
    from odc.geo.crs import CRS

    return same_crs(CRS(ours), CRS(theirs))


def _labels_say_all(
    obj: xr.Dataset, ours: Place, theirs: Place, dims: tuple[Hashable, Hashable]
) -> bool:
    """Whether equal labels mean equal places, whatever each has for a GeoTransform."""
    plain = not any(place.is_rotated or place.gcps for place in (ours, theirs))
    # a single label does not say how large its pixel is
    labelled = all(dim in obj.coords and obj.sizes[dim] > 1 for dim in dims)
    return plain and labelled and ours.crs == theirs.crs


def _transforms(a: GeoBox, b: GeoBox) -> str:
    return f"the transforms {tuple(a.transform)[:6]} and {tuple(b.transform)[:6]}"


def _apart(obj: xr.Dataset, first: xr.Dataset, dim: Hashable) -> bool:
    if obj.sizes[dim] != first.sizes[dim] or (dim in obj.indexes) != (dim in first.indexes):
        return True
    # a label that is missing in both is the same
    return dim in obj.indexes and not obj.indexes[dim].equals(first.indexes[dim])


def _common_labels(obj: xr.Dataset, first: xr.Dataset, dim: Hashable) -> str:
    """Return what brings two objects to the same labels along a dim."""
    indexes = [each.indexes.get(dim) for each in (obj, first)]
    if any(index is None for index in indexes):
        return f"give both of them labels, or none, .assign_coords({dim}=...)"
    if all(index.nlevels == 1 and index.dtype.kind in "iufM" for index in indexes):  # type: ignore[union-attr]  # there are two
        return (
            f"select those that both have, .sel({dim}=...), or the nearest, .reindex({dim}=other."
            f"{dim}, method='nearest', tolerance=...)"
        )
    # of texts and of several levels none is nearest
    return (
        f"select of each those that both have, a.isel({dim}=a.indexes[{dim!r}].isin("
        f"b.indexes[{dim!r}]))"
    )


def _few(obj: xr.Dataset, dim: Hashable) -> str:
    """Return the number of labels along a dim, and the first of them."""
    if dim not in obj.coords:
        return f"{obj.sizes[dim]} without labels"
    index = obj.indexes.get(dim)
    if index is not None and index.nlevels > 1:
        few = [str(label) for label in index[:3]]
    else:
        few = [label_text(label) for label in obj.coords[dim].to_numpy()[:3]]
    return f"{obj.sizes[dim]} of {', '.join(few)}{', ...' if obj.sizes[dim] > len(few) else ''}"


def _same_labels(obj: xr.Dataset, first: xr.Dataset, dim: Hashable) -> bool:
    if dim not in obj.coords or dim not in first.coords:
        return (dim in obj.coords) == (dim in first.coords)
    return np.array_equal(obj.coords[dim].to_numpy(), first.coords[dim].to_numpy())


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
    return ""


def _crs_names(*texts: str | None) -> str:
    from odc.geo.crs import CRS

    names = []
    for text in texts:
        crs = None if text is None else CRS(text)
        epsg = None if crs is None else crs.epsg
        names.append("none" if crs is None else f"EPSG:{epsg}" if epsg else repr(crs.proj.name))
    if names[0] == names[1]:
        names = [f"{n} of {CRS(t).proj.datum}" for n, t in zip(names, texts, strict=True)]
    return "CRS " + " and ".join(names)
