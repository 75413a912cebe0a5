"""The tiles of a file that a grid needs, and their bytes: what a perfect reader would fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

STEP = 8  # pixels of the grid from one that is looked at to the next


def needed_bytes(path: Path, grid: GeoBox, *, margin: float) -> int:
    """Return the bytes of the tiles that show a grid.

    Parameters
    ----------
    path : Path
        A tiled GeoTIFF of one band.
    grid : GeoBox
    margin : float
        How far from a pixel's centre its value comes from, in pixels of the file: half a pixel of
        one that is interpolated, 0 of the nearest.
    """
    with rasterio.open(path) as file:
        place = GeoBox(file.shape, file.transform, str(file.crs))
        tile = file.block_shapes[0]
        touched = _touched(place, tile, grid, margin)
        sizes = [
            file.get_tag_item(f"BLOCK_SIZE_{column}_{row}", dm="TIFF", bidx=1)
            for row, column in np.argwhere(touched)
        ]
    return sum(int(size) for size in sizes if size is not None)


def _touched(
    place: GeoBox, tile: tuple[int, int], grid: GeoBox, margin: float
) -> NDArray[np.bool_]:
    """Return which tiles of a file, down and across, show some pixel of a grid."""
    down, across = (
        np.unique(np.append(np.arange(0, length, STEP), length - 1)) for length in grid.shape
    )
    columns, rows = np.meshgrid(across + 0.5, down + 0.5)
    x, y = _at(grid.affine, columns, rows)
    transform: Any = Transformer.from_crs(str(grid.crs), str(place.crs), always_xy=True).transform
    u, v = _at(~place.affine, *transform(x, y))
    inside = (u >= 0) & (u < place.shape[1]) & (v >= 0) & (v < place.shape[0])
    touched = np.zeros([-(-n // t) for n, t in zip(place.shape, tile, strict=True)], np.bool_)
    for dv in (-margin, margin):
        for du in (-margin, margin):
            row = np.clip(v[inside] + dv, 0, place.shape[0] - 1).astype(int) // tile[0]
            column = np.clip(u[inside] + du, 0, place.shape[1] - 1).astype(int) // tile[1]
            touched[row, column] = True
    return touched


def _at(of: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Apply an affine transform to arrays, which its operators do in some versions alone."""
    return of.a * x + of.b * y + of.c, of.d * x + of.e * y + of.f
