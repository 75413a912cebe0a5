"""How a scene is cut in tiles that overlap, and which of them a model sees at once."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

from xfusion.datamodel.chunks import Blocks
from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.whole_numbers import whole_number


class Cell(NamedTuple):
    """Of one dim, the pixels that are kept of a tile, and those that it has."""

    kept: slice
    seen: slice
    """As long as a tile; longer than the scene where that is shorter."""


class Tile(NamedTuple):
    """A tile of a block: where it is in what the block reads, in itself, and in the block."""

    number: int
    """Of all tiles of the scene, row by row."""
    seen: tuple[slice, slice]
    middle: tuple[slice, slice]
    kept: tuple[slice, slice]


class Block(NamedTuple):
    """The tiles that a model sees at once."""

    seen: tuple[slice, slice]
    """Rows and columns of the scene that they have."""
    shape: tuple[int, int]
    """Of what is kept of them."""
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class TileGrid(InGraph):
    """The tiles of a scene, counted from its first pixel, whatever its blocks in dask are.

    What a network returns depends in its last bits on how many tiles it is given, and of which
    size: both follow from the scene alone. So tiles have one size. The last ones end where the
    scene ends, and overlap more.
    """

    shape: tuple[int, int]
    tile: int
    overlap: int
    """Pixels on each side of a tile that are not kept, unless the scene ends there."""
    batch: int

    def __post_init__(self) -> None:
        """Refuse what are no tiles."""
        for name, least in (("tile", 1), ("overlap", 0), ("batch", 1)):
            number = whole_number(name, getattr(self, name), least)
            object.__setattr__(
                self, name, number
            )  # of numpy it would be none in a file's attributes
        if 2 * self.overlap >= self.tile:
            msg = (
                f"overlap={self.overlap}, tile={self.tile}: nothing of a tile would be kept; give "
                f"a tile of more than {2 * self.overlap} pixels, or overlap less"
            )
            raise ValueError(msg)

    @property
    def blocks(self) -> Blocks:
        """Rows and columns of the blocks."""
        down, across = (
            tuple(cells[-1].kept.stop - cells[0].kept.start for cells in parts)
            for parts in self._parts
        )
        return down, across

    def block(self, i: int, j: int) -> Block:
        """Return the block at a place among the blocks."""
        rows, columns = self._parts[0][i], self._parts[1][j]
        across = math.ceil(self.shape[1] / self.step) if self.shape[1] > self.tile else 1
        top, left = rows[0].seen.start, columns[0].seen.start
        first = rows[0].kept.start, columns[0].kept.start
        tiles = []
        for row, column in itertools.product(rows, columns):
            down, right = row.kept.start // self.step, column.kept.start // self.step
            pair = row, column
            tiles.append(
                Tile(
                    down * across + right,
                    tuple(_less(c.seen, n) for c, n in zip(pair, (top, left), strict=True)),  # type: ignore[arg-type]  # two
                    tuple(_less(c.kept, c.seen.start) for c in pair),  # type: ignore[arg-type]  # two
                    tuple(_less(c.kept, n) for c, n in zip(pair, first, strict=True)),  # type: ignore[arg-type]  # two
                )
            )
        seen = tuple(
            slice(cells[0].seen.start, min(cells[-1].seen.stop, length))
            for cells, length in zip((rows, columns), self.shape, strict=True)
        )
        shape = rows[-1].kept.stop - first[0], columns[-1].kept.stop - first[1]
        return Block((seen[0], seen[1]), shape, tuple(tiles))

    @property
    def step(self) -> int:
        """Pixels from one tile to the next."""
        return self.tile - 2 * self.overlap

    @functools.cached_property
    def _parts(self) -> tuple[list[list[Cell]], list[list[Cell]]]:
        """Return the cells of each block, of rows and of columns."""
        # as square as a number of tiles can be: less is read twice
        down = max(n for n in range(1, math.isqrt(self.batch) + 1) if self.batch % n == 0)
        each = down, self.batch // down
        rows, columns = (
            [cells[k : k + n] for k in range(0, len(cells), n)]
            for cells, n in zip(map(self._cells, self.shape), each, strict=True)
        )
        return rows, columns

    def _cells(self, length: int) -> list[Cell]:
        if length <= self.tile:
            return [Cell(slice(0, length), slice(0, self.tile))]
        cells = []
        for start in range(0, length, self.step):
            seen = min(max(0, start - self.overlap), length - self.tile)
            stop = min(start + self.step, length)
            cells.append(Cell(slice(start, stop), slice(seen, seen + self.tile)))
        return cells


def _less(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)
