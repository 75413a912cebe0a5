"""Bring flags onto the grid of a retrieval, with what lies around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import located_like
from xfusion.datamodel.caller import warn
from xfusion.datamodel.chunks import Blocks
from xfusion.datamodel.comparison import same_geobox
from xfusion.datamodel.earth import check_is_on_earth
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import extent_of, geobox_of, grid_coords, spatial_dims
from xfusion.datamodel.names import MASK, MU, SPATIAL_REF
from xfusion.warp.blocks import warp_blocks
from xfusion.warp.coregistration import CHUNK
from xfusion.warp.on_block import Warp, split
from xfusion.warp.pixel_mapping import PixelMapping

from .buffering import buffered
from .ground import Reach

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def placed(flags: xr.DataArray, dataset: xr.Dataset, metres: float) -> xr.DataArray:
    """Return flags on the grid of a retrieval, by the nearest pixel; UNKNOWN where they end.

    Parameters
    ----------
    flags : DataArray of uint8
        With a CRS, or on the grid of the retrieval.
    dataset : Dataset
        A retrieval with a CRS; its grid and blocks.
    metres : float
        How far the flags reach around the pixels that have them, see
        :func:`xfusion.masks.buffering.buffered`.

    Returns
    -------
    DataArray of uint8
        Lazy where either is.
    """
    located = located_like(flags, dataset)[MASK]
    here = spatial_dims(located)
    assert here is not None  # noqa: S101  # it has a GeoBox, or geobox_of says why not
    source, target = geobox_of(located), geobox_of(dataset)
    ordered = located.transpose(..., *here).variable
    if same_geobox(source, target):
        data = buffered(ordered, source, metres) if metres else ordered.data
    else:
        data = _warped(ordered, source, target, _blocks(dataset, ordered, target), metres)
    dims = spatial_dims(dataset)
    assert dims is not None  # noqa: S101  # as above
    # no more labels than the retrieval has: those of a rotated grid count pixels
    coords = {k: v for k, v in dataset.coords.items() if k in (*dims, SPATIAL_REF)}
    kept = {k: v for k, v in located.coords.items() if not {*v.dims} & {*here}}
    return xr.DataArray(data, {**kept, **coords}, (*ordered.dims[:-2], *dims))


def _warped(
    flags: xr.Variable, source: GeoBox, target: GeoBox, blocks: Blocks | None, metres: float
) -> Any:
    for grid in (source, target):
        check_is_on_earth(grid)
    mapping = PixelMapping.between(source, target)
    if not mapping.meets():
        warn(
            f"`excluded` and the retrieval do not overlap: {extent_of(source)}, and "
            f"{extent_of(target)}; all pixels are UNKNOWN. Check CRS and extents"
        )
    if not metres:
        return _nearest(mapping, flags, blocks)
    if _is_finer(mapping):
        flags, source = _cropped(flags, mapping, metres)
        flags = flags.copy(data=buffered(flags, source, metres))
        return _nearest(PixelMapping.between(source, target), flags, blocks)
    # what lies beyond the edge of the retrieval reaches into it
    rows, columns = target.shape
    down, across = Reach(target, metres).rows_and_columns(slice(0, rows), slice(0, columns))
    wide = target.pad(across, down)
    wider = None if blocks is None else tuple(map(_padded, blocks, (down, across)))
    onto = PixelMapping.between(source, wide)
    data = _nearest(onto, flags, wider)  # type: ignore[arg-type]  # a pair
    inside = slice(down, down + rows), slice(across, across + columns)
    return buffered(xr.Variable(flags.dims, data), wide, metres)[(..., *inside)]


def _nearest(mapping: PixelMapping, flags: xr.Variable, blocks: Blocks | None) -> Any:
    warp = Warp(mapping, "nearest", 1.0, int(Exclusion.UNKNOWN))
    return warp_blocks(warp, [flags], blocks)[0]


def _is_finer(mapping: PixelMapping) -> bool:
    """Whether the source has pixels as small as those of the target, at its middle."""
    row, column = (n / 2 for n in mapping.target.shape)
    u, v = mapping.positions(np.array([row, row, row + 1]), np.array([column, column + 1, column]))
    area = abs((u[1] - u[0]) * (v[2] - v[0]) - (u[2] - u[0]) * (v[1] - v[0]))
    return bool(area >= 1 - 1e-6)


def _cropped(
    flags: xr.Variable, mapping: PixelMapping, metres: float
) -> tuple[xr.Variable, GeoBox]:
    """Return the part of flags that reaches into the target, and its grid."""
    rows, columns = (slice(0, n) for n in mapping.target.shape)
    window = mapping.window(mapping.control_grid(rows, columns))
    if window is None:
        return flags, mapping.source
    part = window.slices
    by = Reach(mapping.source, metres).rows_and_columns(*part)
    down, across = (
        slice(max(0, p.start - n), min(length, p.stop + n))
        for p, n, length in zip(part, by, mapping.source.shape, strict=True)
    )
    return flags[..., down, across], mapping.source[down, across]


def _padded(sizes: tuple[int, ...], by: int) -> tuple[int, ...]:
    first, *others = sizes
    if not others:
        return (first + 2 * by,)
    return (first + by, *others[:-1], others[-1] + by)


def _blocks(dataset: xr.Dataset, flags: xr.Variable, target: GeoBox) -> Blocks | None:
    dims = grid_coords(dataset)[0]
    sizes = dataset[MU].chunksizes
    if sizes:
        return sizes[dims[0]], sizes[dims[1]]
    if flags.chunks is None:
        return None
    rows, columns = target.shape
    return split(rows, CHUNK), split(columns, CHUNK)
