"""Bring a retrieval onto another grid: eager over threads, or one dask task per block."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.datamodel.cf import annotate
from xfusion.datamodel.chunks import Blocks, Chunks, blocks_of, rechunked
from xfusion.datamodel.comparison import same_crs, same_geobox
from xfusion.datamodel.datum import left_out_shift
from xfusion.datamodel.earth import check_is_on_earth
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import (
    as_geobox,
    crs_name,
    extent_of,
    geobox_of,
    grid_coords,
    side_of,
    spatial_dims,
)
from xfusion.datamodel.names import CONFLICT, MASK, MU, SIGMA
from xfusion.datamodel.units import as_number
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.raster.opening import CHUNK as CHUNK_OF_FILES

from .blocks import warp_blocks
from .on_block import Warp, split
from .pixel_mapping import PixelMapping
from .target import target_of

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Resampling = Literal["bilinear", "nearest"]
# source pixels, found by trying shifts across edges: docs/coregistration.md
OF_BILINEAR = 0.4
OF_FINER = 0.12  # and so much more, the finer the target is
CHUNK = 2048  # pixels a side of a block where nothing else says


def coregister(
    dataset: Retrieval,
    /,
    like: Any,
    *,
    resampling: Resampling = "bilinear",
    error_correlation: float = 1.0,
    chunks: Chunks = None,
    resolution: float | None = None,
    position_error: float | None = None,
) -> xr.Dataset:
    """Bring a retrieval onto another grid: mu, sigma and mask together, once.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval with a CRS; dims besides the spatial ones are carried along.
    like : GeoBox, Dataset, DataArray, product, path or CRS
        The grid. Dims and coordinates are taken verbatim from an xarray object. A path or URL is
        that of a raster; a CRS, such as ``"EPSG:4326"``, takes `resolution`, and the result
        covers what the retrieval does, see :func:`common_grid`.
    resampling : {"bilinear", "nearest"}
        "bilinear" weighs source pixels by their overlap with the target pixel's footprint,
        taken at least one source pixel wide: bilinear interpolation where the target is as
        fine as the source, the area mean where it is coarser. "nearest" copies.
    error_correlation : float, 0 to 1
        Of the errors of neighbouring source pixels. 1, the cautious choice, takes sigma along
        as it takes mu; 0 lets independent errors average out.
    chunks : int, str, pair or mapping, optional
        Blocks of a lazy result: as asked in one of the ways of xarray, such as ``{"y": 1024}``,
        ``"auto"`` or the lengths of all; else those of `like`, else those of the source, or 1536
        pixels a side where that is smaller and of one block.
    resolution : float, optional
        Side of a pixel in the unit of a CRS.
    position_error : float, in source pixels, optional
        How far values may lie from where they are taken to be; it enlarges sigma where `mu` is
        steep. By default what resampling itself misses: for "bilinear" 0.4, up to 0.52 where the
        target is finer; for "nearest" the square root of 2 times how far each pixel is from the
        one that is copied, by its centre and its sides; and 0 where pixels coincide. A number given
        is that of any grid: add what is known of the position of the sensor's own pixels.

    Returns
    -------
    Dataset
        The retrieval on the grid of `like`; lazy where the source is. A pixel is usable where
        the nearest source pixel is, and takes nothing from pixels of other usability; flags,
        and the `conflict` of a fused result, are those of the nearest pixel. Outside the source
        `mu` and `sigma` are NaN and `mask`, where there is one, is UNKNOWN. Other variables, such
        as `source`, stay behind.

    Warns
    -----
    UserWarning
        If no pixel of the grid lies in the retrieval, or no centre of one; with both extents. If
        PROJ knows no shift between the datums of the two at this place.

    Raises
    ------
    ValueError
        If either has no CRS or no regular grid, or an argument is out of range.

    Notes
    -----
    ``sigma^2 = rho (sum w sigma_i)^2 + (1 - rho) sum w^2 sigma_i^2`` with
    ``rho = error_correlation`` (law of propagation, JCGM 100:2008), where ``sigma_i^2`` has been
    enlarged by ``(abs(grad mu) d)^2`` with ``d = position_error``; for ``rho < 1``, that of the
    result is, with the weighted mean of ``abs(grad mu)``. Positions are accurate to
    0.001 source pixel, see :class:`xfusion.warp.pixel_mapping.PixelMapping`.

    Examples
    --------
    >>> import xfusion as xf
    >>> from odc.geo.geobox import GeoBox
    >>> from odc.geo.xr import xr_zeros
    >>> fine = GeoBox.from_bbox((500000, 0, 500040, 40), "EPSG:32633", resolution=10)
    >>> one = xr_zeros(fine, dtype="float32") + 1
    >>> coarse = xf.retrieval(one, one).fusion.coregister(fine.zoom_out(2), error_correlation=0)
    >>> dict(coarse.sizes), coarse.sigma.values.tolist()
    ({'y': 2, 'x': 2}, [[0.5, 0.5], [0.5, 0.5]])
    """
    if resampling not in ("bilinear", "nearest"):
        msg = f"{resampling=}: must be 'bilinear' or 'nearest'"
        raise ValueError(msg)
    if not 0 <= as_number(error_correlation) <= 1:
        msg = (
            f"{error_correlation=}: a correlation of neighbouring errors is a number from 0 to 1, "
            "the cautious default 1.0"
        )
        raise ValueError(msg)
    if position_error is not None and not 0 <= as_number(position_error) < np.inf:
        msg = (
            f"{position_error=}: must be a number of source pixels of at least 0, such as 0.25, or "
            "None for that of the resampling"
        )
        raise ValueError(msg)
    dataset = as_retrieval(dataset)
    source = geobox_of(dataset)
    like = target_of(like, source, resolution)
    target = as_geobox(like)
    if not same_crs(source.crs, target.crs):
        for grid in (source, target):
            check_is_on_earth(grid)
        _warn_of_datums(source, target)
    dims, coords = grid_coords(like)
    here = spatial_dims(dataset)
    assert here is not None  # noqa: S101  # it has a GeoBox
    leading = [d for d in dataset[MU].dims if d not in here]
    dataset = _carried(dataset)
    dataset = dataset.transpose(*leading, *here, ...)
    layers = list(dataset.data_vars.values())
    joint = [layer for layer in layers if layer.name != CONFLICT]
    if same_geobox(source, target) and not position_error:
        blocks = None if chunks is None else _blocks(layers, like, chunks, target.shape.yx)
        same = (
            dataset if blocks is None else rechunked(dataset, dict(zip(here, blocks, strict=True)))
        )
        return annotate(_with_grid(same, dims, coords))
    dtype = np.result_type(*(layer.dtype for layer in joint[:2]))
    # astype makes a new array even of the same dtype, which no longer knows its file
    joint[:2] = [v if v.dtype == dtype else v.astype(dtype) for v in joint[:2]]
    mapping = PixelMapping.between(source, target)
    if not mapping.meets():
        name = dataset.attrs.get("sensor", "the retrieval")
        warn(
            f"{name} and the grid do not overlap: {extent_of(source)}, and {extent_of(target)}; "
            "all pixels are missing. Check CRS and extents, or choose a grid with common_grid"
        )
    elif not mapping.has_a_centre():
        name = dataset.attrs.get("sensor", "the retrieval")
        warn(
            f"{name} lies between the centres of pixels of the grid, {extent_of(source)}, with "
            f"pixels of {side_of(target)} in the grid; all pixels are missing. Choose a finer "
            "grid, with common_grid(..., resolution=...)"
        )
    warp = Warp(
        mapping=mapping,
        # pixels that coincide are copied, not interpolated at 1e-10 of a pixel
        resampling="nearest" if mapping.shift is not None else resampling,
        error_correlation=float(error_correlation),
        outside=int(Exclusion.UNKNOWN),
        position_error=_position_error(position_error, resampling, mapping),
    )
    blocks = _blocks(layers, like, chunks, target.shape.yx)
    arrays = warp_blocks(warp, [layer.variable for layer in joint], blocks)
    if CONFLICT in dataset:
        # that of the nearest pixel, as flags are; beyond the source there is none
        copied = dataclasses.replace(warp, resampling="nearest", outside=0)
        marks = dataset[CONFLICT].variable.astype(np.uint8)
        arrays += [array.astype(bool) for array in warp_blocks(copied, [marks], blocks)]
    variables = {
        str(layer.name): ((*leading, *dims), array, layer.attrs)
        for layer, array in zip(layers, arrays, strict=True)
    }
    kept = {k: v for k, v in dataset.coords.items() if not set(v.dims) & set(here)}
    result = xr.Dataset(variables, {**kept, **coords}, dataset.attrs)
    return annotate(result)


def _warn_of_datums(source: GeoBox, target: GeoBox) -> None:
    said = left_out_shift(source, target.crs)
    if said is not None:
        warn(
            f"PROJ knows no shift between the datums of {crs_name(source.crs)} and "
            f"{crs_name(target.crs)} at this place and leaves it out, {said!r}: positions may be "
            "hundreds of metres off. Bring both onto a grid in EPSG:4326, with xf.common_grid, or "
            "install its grids of shifts, https://proj.org/en/stable/resource_files.html"
        )


def _carried(dataset: xr.Dataset) -> xr.Dataset:
    """Return what a retrieval takes along to another grid."""
    names = [name for name in (MU, SIGMA, MASK) if name in dataset]
    if CONFLICT in dataset.data_vars and {*dataset[CONFLICT].dims} == {*dataset[MU].dims}:
        names.append(CONFLICT)
    return dataset[names]


def _position_error(
    given: float | None, resampling: Resampling, mapping: PixelMapping
) -> float | None:
    """Return the error of positions in source pixels; None is that of the nearest pixel."""
    if given is not None:
        return float(given)
    if mapping.shift is not None:
        return 0.0
    if resampling == "nearest":
        return None
    finer = max(0.0, 1.0 - mapping.side())
    # of hundredths: parts of a grid have the same
    return OF_BILINEAR + round(OF_FINER * finer, 2)


def _with_grid(
    dataset: xr.Dataset, dims: tuple[Any, Any], coords: Mapping[Any, xr.DataArray]
) -> xr.Dataset:
    here = spatial_dims(dataset)
    assert here is not None  # noqa: S101  # it has a GeoBox
    stale = [k for k, v in dataset.coords.items() if set(v.dims) & set(here) or k in coords]
    renamed = dataset.drop_vars(stale)
    if here != dims:
        renamed = renamed.rename(dict(zip(here, dims, strict=True)))
    return renamed.assign_coords(coords)


def _blocks(
    layers: Sequence[xr.DataArray], like: Any, chunks: Chunks, shape: tuple[int, int]
) -> Blocks | None:
    """Return the rows and columns of the result's blocks, None if nothing is lazy."""
    lazy = [layer for layer in layers if layer.chunks is not None]
    if not lazy:
        return None
    if chunks is not None and chunks != {}:
        return blocks_of(chunks, shape)
    theirs, ours = (_chunks_of(obj) for obj in (getattr(like, "dataset", like), lazy[0]))
    if theirs is not None:
        return theirs
    size = (CHUNK, CHUNK) if ours is None else (max(ours[0]), max(ours[1]))
    if ours is not None and len(ours[0]) == len(ours[1]) == 1:
        # all of a small source, which is no size that anybody chose
        size = max(size[0], CHUNK_OF_FILES), max(size[1], CHUNK_OF_FILES)
    return split(shape[0], size[0]), split(shape[1], size[1])


def _chunks_of(obj: Any) -> Blocks | None:
    sizes = getattr(obj, "chunksizes", None)
    dims = spatial_dims(obj) if sizes else None
    if not sizes or dims is None or dims[0] not in sizes or dims[1] not in sizes:
        return None
    return sizes[dims[0]], sizes[dims[1]]
