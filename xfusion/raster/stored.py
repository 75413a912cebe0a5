"""How many bytes windows of a file take where it is stored, by its index and not by its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .asset import READ_ERRORS
from .file import Area, RasterFile
from .patience import is_on_the_web
from .tiling import Tile, tiles_of

MOST_TILES = 50_000  # whose sizes are looked up one by one; of more the file's mean is taken


def stored_bytes(
    file: RasterFile, areas: Sequence[Area], *, is_shared: bool
) -> tuple[int, bool, bool]:
    """Return how many bytes are read of a file for some windows.

    Of a GeoTIFF on this machine its index is looked at, which says how long each tile is. No file
    on the web is opened.

    Parameters
    ----------
    file : RasterFile
    areas : sequence of (slice, slice)
        Rows and columns of each window.
    is_shared : bool
        Whether a tile that several windows need is read once.

    Returns
    -------
    bytes : int
    is_estimate : bool
        Whether these are the pixels of the windows, as they are in memory.
    is_there : bool
        False where a file of this machine does not open.
    """
    pixels = sum(math.prod(part.stop - part.start for part in area) for area in areas)
    guess = pixels * file.dtype.itemsize
    if is_on_the_web(file.path):
        return guess, True, True
    try:
        with file.checked() as opened:
            if opened.driver != "GTiff":
                return guess, True, True
            sides = opened.block_shapes[file.band - 1]
            tiles = [tiles_of(area, sides) for area in areas]
            each: Iterable[Tile] = (tile for of_one in tiles for tile in of_one)
            wanted = [*dict.fromkeys(each)] if is_shared else [*each]
            return _of_tiles(opened, file.band, wanted), False, True
    except READ_ERRORS:
        return guess, True, False


def _of_tiles(opened: Any, band: int, tiles: Sequence[Tile]) -> int:
    """Return the length of tiles, 0 of those that are left out as they have no data."""
    distinct = [*dict.fromkeys(tiles)]
    step = -(-len(distinct) // MOST_TILES) or 1
    known = {tile: _length(opened, band, tile) for tile in distinct[::step]}
    mean = sum(known.values()) / max(1, len(known))
    return round(sum(known.get(tile, mean) for tile in tiles))


def _length(opened: Any, band: int, tile: Tile) -> int:
    row, column = tile
    return int(opened.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=band) or 0)
