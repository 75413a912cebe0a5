"""A retrieval on pixels twice as large, lazily: each kind of layer in its own way."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import geobox_of, spatial_dims
from xfusion.datamodel.names import MASK, MU, SIGMA, SPATIAL_REF
from xfusion.kernels import halving

FLAGS = "flag_masks"  # an attribute of layers whose bits have meanings
TRANSFORM = "GeoTransform"
assert int(Exclusion.UNKNOWN) == halving.UNKNOWN  # noqa: S101  # one number, of two rooms


def halved(dataset: xr.Dataset, areas: Mapping[Hashable, NDArray[np.float64]]) -> xr.Dataset:
    """Return a retrieval on pixels twice as large along each side.

    Parameters
    ----------
    dataset : Dataset, dims (..., y, x)
        A retrieval in blocks of an even number of rows and columns.
    areas : mapping
        Spatial dim -> how much of each row or column lies inside the area.
    """
    dims = spatial_dims(dataset)
    assert dims is not None  # noqa: S101  # who calls has seen to it
    labels = _labels(dataset, dims)
    grids = {n: v.transpose(..., *dims) for n, v in dataset.variables.items() if _has(v, dims)}
    found = {name: _halved(str(name), grids, dims, areas) for name in grids}
    rest = dataset.drop_vars([n for n, v in dataset.variables.items() if {*dims} & {*v.dims}])
    layers = {n: v for n, v in found.items() if n in dataset.data_vars}
    # what says of each pixel where it lies is said anew, by labels
    return rest.assign_coords(labels).assign(layers)[list(dataset.data_vars)]


def areas_of(count: int, factor: int) -> NDArray[np.float64]:
    """Return how many of a number of pixels are in each that is larger by a factor."""
    edges = np.minimum(np.arange(0, count + factor, factor), count)
    return np.diff(edges).astype(np.float64)


def longest_of(dataset: xr.Dataset, name: str) -> int:
    """Return how long the longer side of a store is, in pixels."""
    dims = spatial_dims(dataset)
    if dims is None:
        msg = f"{name} has no rows and columns among its dims {tuple(dataset.dims)}"
        raise ValueError(msg)
    return max(dataset.sizes[d] for d in dims)


def _has(variable: xr.Variable, dims: tuple[Hashable, Hashable]) -> bool:
    return {*dims} <= {*variable.dims}


def _halved(
    name: str,
    grids: Mapping[Hashable, xr.Variable],
    dims: tuple[Hashable, Hashable],
    areas: Mapping[Hashable, NDArray[np.float64]],
) -> xr.Variable:
    import dask.array as da

    own = grids[name]
    chunks = dict(zip(own.dims, own.chunks or (), strict=True))
    weights = [(da.from_array(areas[dim], chunks=(chunks[dim],)), (dim,)) for dim in dims]
    parts = [(own.data, own.dims)]
    if name in (MU, SIGMA, MASK):
        parts = [(grids[n].data, grids[n].dims) for n in (MU, SIGMA, MASK) if n in grids]
    pixels = da.blockwise(
        _layer,
        own.dims,
        *(each for pair in (*weights, *parts) for each in pair),
        name=None,
        dtype=own.dtype,
        meta=np.empty((0,) * own.ndim, own.dtype),
        adjust_chunks=dict.fromkeys(dims, lambda count: -(-count // 2)),
        layer=name,
        is_flags=FLAGS in own.attrs,
    )
    return xr.Variable(own.dims, pixels, own.attrs)


def _layer(
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    *parts: NDArray[Any],
    layer: str,
    is_flags: bool,
) -> NDArray[Any]:
    """Return a block of a layer on larger pixels."""
    if layer in (MU, SIGMA, MASK):
        mu, sigma, *masks = parts
        usable = np.isfinite(mu) & np.isfinite(sigma) & (sigma >= 0)
        for mask in masks:
            usable &= mask == 0
        if layer == MASK:
            return halving.mask(masks[0], usable)
        return halving.mean(mu if layer == MU else sigma, usable, rows, columns)
    (pixels,) = parts
    if is_flags or pixels.dtype.kind == "b":
        return halving.either(pixels)
    if pixels.dtype.kind == "f":
        return halving.mean(pixels, np.isfinite(pixels), rows, columns)
    return halving.first(pixels)


def _labels(dataset: xr.Dataset, dims: tuple[Hashable, Hashable]) -> dict[Hashable, Any]:
    """Return labels of the larger pixels, and the variable that holds the CRS."""
    from affine import Affine
    from odc.geo.geobox import GeoBox
    from odc.geo.xr import xr_coords

    if SPATIAL_REF not in dataset.coords:
        return {d: _middles(dataset.coords[d]) for d in dims if d in dataset.coords}
    geobox = geobox_of(dataset)
    a, b, c, d, e, f = tuple(geobox.transform)[:6]
    transform = Affine(2 * a, 2 * b, c, 2 * d, 2 * e, f)
    crs: Any = geobox.crs
    if crs.geographic or crs.projected:
        larger = GeoBox((-(-geobox.shape[0] // 2), -(-geobox.shape[1] // 2)), transform, crs)
        made = xr_coords(larger, SPATIAL_REF, dims=(str(dims[0]), str(dims[1])))
        return dict(made.items())
    reference = dataset.coords[SPATIAL_REF].copy()
    reference.attrs = {**reference.attrs, TRANSFORM: " ".join(map(repr, transform.to_gdal()))}
    labels = {d: _middles(dataset.coords[d]) for d in dims if d in dataset.coords}
    return {**labels, SPATIAL_REF: reference}


def _middles(labels: xr.DataArray) -> xr.Variable:
    """Return the middle of the labels of each two; the last of an odd number has one like them."""
    numbers = labels.to_numpy().astype(np.float64)
    if len(numbers) % 2:
        step = numbers[-1] - numbers[-2] if len(numbers) > 1 else 0.0
        numbers = np.append(numbers, numbers[-1] + step)
    return xr.Variable(labels.dims, (numbers[::2] + numbers[1::2]) / 2, labels.attrs)
