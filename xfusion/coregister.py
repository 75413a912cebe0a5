"""Bring a retrieval onto another grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from .conventions import MASK, MU, SIGMA, Exclusion, Retrieval, annotate, as_retrieval
from .grid import as_geobox, geobox_of, grid_coords, same_geobox, spatial_dims

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Resampling = Literal["bilinear", "nearest"]
Chunks: TypeAlias = int | Mapping[Any, int] | tuple[int, int] | None


def coregister(
    dataset: Retrieval,
    like: Any,
    *,
    resampling: Resampling = "bilinear",
    chunks: Chunks = None,
) -> xr.Dataset:
    """Bring a retrieval onto another grid, in one warp.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval with a CRS.
    like : GeoBox, Dataset, DataArray or product
        The grid. Dims and coordinates are taken verbatim from an xarray object.
    resampling : {"bilinear", "nearest"}
        For `mu` and `sigma`; flags always come from the nearest pixel.
    chunks : int, (int, int) or mapping, optional
        Blocks of a lazy result: as asked, else those of `like`, else those of the source.

    Returns
    -------
    Dataset
        The retrieval on the grid of `like`; lazy where the source is. Outside the source
        `mu` and `sigma` are NaN and `mask`, where there is one, is UNKNOWN.

    Raises
    ------
    ValueError
        If either has no CRS or no regular grid, or `resampling` is not known.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> from odc.geo.geobox import GeoBox
    >>> from odc.geo.xr import xr_zeros
    >>> fine = GeoBox.from_bbox((500000, 0, 500040, 40), "EPSG:32633", resolution=10)
    >>> one = xr_zeros(fine, dtype="float32") + 1
    >>> s2 = xf.retrieval(one, one)
    >>> dict(s2.fusion.coregister(fine.zoom_out(2)).sizes)
    {'y': 2, 'x': 2}
    """
    if resampling not in ("bilinear", "nearest"):
        msg = f"{resampling=}: must be 'bilinear' or 'nearest'"
        raise ValueError(msg)
    dataset = as_retrieval(dataset)
    source, target = geobox_of(dataset), as_geobox(like)
    dims, coords = grid_coords(like)
    if same_geobox(source, target):
        return annotate(_with_grid(dataset, dims, coords))
    # a mu without a sigma means nothing, and must not leak into its neighbours
    known = np.isfinite(dataset[MU]) & np.isfinite(dataset[SIGMA])
    dataset = dataset.assign({v: dataset[v].where(known) for v in (MU, SIGMA)})
    how = {MU: (resampling, np.nan), SIGMA: (resampling, np.nan)}
    if MASK in dataset:
        how[MASK] = ("nearest", int(Exclusion.UNKNOWN))
    blocks = _blocks(dataset[MU], like, chunks)
    warped = {
        name: _warp(dataset[name], target, method, fill, blocks)
        for name, (method, fill) in how.items()
    }
    result = xr.Dataset(warped, attrs=dataset.attrs)
    return annotate(_with_grid(result, dims, coords))


def _warp(
    array: xr.DataArray,
    target: GeoBox,
    resampling: str,
    fill: float,
    blocks: tuple[int, int] | None,
) -> xr.DataArray:
    from odc.geo.xr import xr_reproject

    options: dict[str, Any] = {} if blocks is None else {"chunks": blocks}
    if np.isnan(fill):
        options["src_nodata"] = fill
    warped: xr.DataArray = xr_reproject(
        array, target, resampling=resampling, dst_nodata=fill, **options
    )
    attrs = {k: v for k, v in warped.attrs.items() if k in array.attrs}
    return warped.drop_attrs(deep=False).assign_attrs(attrs)


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


def _blocks(array: xr.DataArray, like: Any, chunks: Chunks) -> tuple[int, int] | None:
    if array.chunks is None:
        return None
    if isinstance(chunks, int):
        return chunks, chunks
    if isinstance(chunks, tuple):
        return chunks
    if chunks is not None:
        by_axis = [chunks[d] for d in chunks if str(d) in ("y", "latitude", "lat")]
        by_axis += [chunks[d] for d in chunks if str(d) in ("x", "longitude", "lon")]
        if len(by_axis) != 2:  # noqa: PLR2004  # rows and columns
            msg = f"{chunks=}: give the rows and columns of a block, e.g. {{'y': 2048, 'x': 2048}}"
            raise ValueError(msg)
        return by_axis[0], by_axis[1]
    obj = getattr(like, "dataset", like)
    for candidate in (obj, array):
        sizes = getattr(candidate, "chunksizes", None)
        dims = spatial_dims(candidate) if sizes else None
        if sizes and dims is not None and dims[0] in sizes and dims[1] in sizes:
            return max(sizes[dims[0]]), max(sizes[dims[1]])
    return 2048, 2048
