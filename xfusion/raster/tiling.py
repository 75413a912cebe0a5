"""How windows of a raster file lie in its tiles."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeAlias

from .file import Area, Sides

Tile: TypeAlias = tuple[int, int]
"""Its row and column among the tiles."""


def tiles_of(area: Area, sides: Sides) -> list[Tile]:
    """Return the tiles that a window touches, row by row."""
    down, across = (
        range(part.start // side, -(-part.stop // side))
        for part, side in zip(area, sides, strict=True)
    )
    return [*itertools.product(down, across)]


def as_ranges(tile: Tile) -> tuple[range, range]:
    """Return a tile as rectangles of tiles are given."""
    return range(tile[0], tile[0] + 1), range(tile[1], tile[1] + 1)


def area_of(tiles: tuple[range, range], sides: Sides, shape: tuple[int, int]) -> Area:
    """Return the pixels of tiles side by side; the last ones may be cut by the end of the file."""
    rows, columns = (
        slice(along.start * side, min(along.stop * side, n))
        for along, side, n in zip(tiles, sides, shape, strict=True)
    )
    return rows, columns


def rectangles(tiles: Sequence[Tile]) -> list[tuple[range, range]]:
    """Return rectangles of tiles that together are those given, which are sorted."""
    stacks: dict[tuple[int, int], list[range]] = {}
    for row, group in itertools.groupby(tiles, key=lambda tile: tile[0]):
        columns = [tile[1] for tile in group]
        cuts = [k for k in range(1, len(columns)) if columns[k] != columns[k - 1] + 1]
        for first, stop in itertools.pairwise([0, *cuts, len(columns)]):
            stack = stacks.setdefault((columns[first], columns[stop - 1] + 1), [])
            above = stack.pop() if stack and stack[-1].stop == row else range(row, row)
            stack.append(range(above.start, row + 1))
    return [(rows, range(*columns)) for columns, stack in stacks.items() for rows in stack]


def meet(one: Area, other: Area) -> bool:
    """Whether two windows have a pixel in common."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def overlap(of: Area, other: Area) -> Area:
    """Return where in an area another one lies, as far as it does."""
    rows, columns = (
        slice(max(a.start, b.start) - a.start, min(a.stop, b.stop) - a.start)
        for a, b in zip(of, other, strict=True)
    )
    return rows, columns
