"""Flags around what is excluded, within a distance on the ground, block by block."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.earth import check_is_on_earth
from xfusion.datamodel.flags import ALL_FLAGS, Exclusion
from xfusion.kernels import parallel
from xfusion.warp.on_block import STRIP, slices, split

from .ground import Reach

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

NOT_SEEN = int(Exclusion.UNKNOWN | Exclusion.READ_FAILED)


def buffered(flags: xr.Variable, grid: GeoBox, metres: float) -> Any:
    """Return flags, and around each pixel the flags that it has.

    Parameters
    ----------
    flags : Variable of uint8, dims (..., y, x)
        UNKNOWN and READ_FAILED do not spread, and what has them gets no others.
    grid : GeoBox
        Where they lie.
    metres : float
        On the ground, from centre to centre of pixels; the flags of a pixel at just this distance
        are among them.

    Returns
    -------
    array of uint8
        Lazy, in the same blocks, where the flags are.
    """
    check_is_on_earth(grid)
    reach = Reach(grid, metres)
    return _in_memory(reach, flags) if flags.chunks is None else _lazily(reach, flags)


def _in_memory(reach: Reach, flags: xr.Variable) -> NDArray[np.uint8]:
    planes = flags.to_numpy()
    rows, columns = planes.shape[-2:]
    out = planes.copy()

    def on_strip(strip: slice) -> None:
        _on_block(reach, planes, (0, 0), strip, slice(0, columns), out[..., strip, :])

    strips = slices(split(rows, STRIP))
    with ThreadPoolExecutor(min(parallel.core_count(), max(1, len(strips)))) as pool:
        list(pool.map(on_strip, strips))
    return out


def _lazily(reach: Reach, flags: xr.Variable) -> Any:
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    source = flags.data
    *leading, down, across = source.chunks
    name = f"buffer-{tokenize(reach, source.name)}"
    edges = [slices(sizes) for sizes in (down, across)]
    tasks: dict[Any, Any] = {}
    for (i, rows), (j, columns) in itertools.product(*map(enumerate, edges)):
        window = _window(reach, rows, columns)
        touched = [
            [k for k, part in enumerate(parts) if part.start < w.stop and part.stop > w.start]
            for parts, w in zip(edges, window, strict=True)
        ]
        corner = edges[0][touched[0][0]].start, edges[1][touched[1][0]].start
        for place in itertools.product(*(range(len(sizes)) for sizes in leading)):
            parts = [[(source.name, *place, a, b) for b in touched[1]] for a in touched[0]]
            tasks[(name, *place, i, j)] = (_of_blocks, reach, parts, corner, rows, columns)
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[source])
    return da.Array(graph, name, source.chunks, dtype=np.uint8)


def _of_blocks(
    reach: Reach,
    parts: list[list[NDArray[np.uint8]]],
    corner: tuple[int, int],
    rows: slice,
    columns: slice,
) -> NDArray[np.uint8]:
    planes = np.block(parts)
    down, across = (
        slice(part.start - start, part.stop - start)
        for part, start in zip((rows, columns), corner, strict=True)
    )
    out: NDArray[np.uint8] = planes[..., down, across].copy()
    for strip in slices(split(rows.stop - rows.start, STRIP)):
        some = slice(rows.start + strip.start, rows.start + strip.stop)
        _on_block(reach, planes, corner, some, columns, out[..., strip, :])
    return out


def _window(reach: Reach, rows: slice, columns: slice) -> tuple[slice, slice]:
    """Return the part of the grid that is within reach of a block."""
    (down, across), (height, width) = reach.rows_and_columns(rows, columns), reach.grid.shape
    near = slice(max(0, rows.start - down), min(height, rows.stop + down))
    if reach.turn and (columns.start < across or columns.stop + across > width):
        return near, slice(0, width)
    return near, slice(max(0, columns.start - across), min(width, columns.stop + across))


def _on_block(
    reach: Reach,
    planes: NDArray[np.uint8],
    corner: tuple[int, int],
    rows: slice,
    columns: slice,
    out: NDArray[np.uint8],
) -> None:
    """Add to a block the flags of all pixels within reach of its own.

    `planes` hold the part of the grid from `corner` on that is within reach.
    """
    from xfusion.kernels import spreading  # numba takes half a second to import

    window = _window(reach, rows, columns)
    down, across = (
        slice(max(0, w.start - start), max(0, w.stop - start))
        for w, start in zip(window, corner, strict=True)
    )
    near = planes[..., down, across]
    spread = ALL_FLAGS & ~NOT_SEEN
    if math.prod(near.shape) == 0 or not (near & np.uint8(spread)).any():
        return
    first = window[0].start, window[1].start
    tables = reach.tables(rows, columns, reach.rows_and_columns(rows, columns)[0])
    for place in np.ndindex(near.shape[:-2]):
        own = out[place].copy()
        spreading.dilate(
            near[place],
            (max(first[0], corner[0]), max(first[1], corner[1])),
            (rows.start, columns.start),
            *tables,
            cell=reach.cell,
            turn=reach.turn if near.shape[-1] == reach.turn else 0,
            bits=spread,
            out=out[place],
        )
        # nothing is known of a pixel that was not seen, whatever is beside it
        np.copyto(out[place], own, where=own & np.uint8(NOT_SEEN) != 0)
