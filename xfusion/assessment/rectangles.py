"""Rectangles of pixels, in rows and columns of their grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

TILE = 512  # pixels a side; tiles begin at the first pixel of the grid, whatever its blocks are


class Pixels(NamedTuple):
    """A rectangle of pixels of a grid."""

    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def within(self, other: Pixels) -> Pixels | None:
        """Return the pixels that are in another rectangle as well, None if there are none."""
        common = Pixels(*(_common(a, b) for a, b in zip(self, other, strict=True)))
        return common if min(common.shape) > 0 else None

    def seen_from(self, other: Pixels) -> tuple[slice, slice]:
        """Return where these pixels are in an array of those of another rectangle."""
        return tuple(  # type: ignore[return-value]  # of two
            slice(a.start - b.start, a.stop - b.start) for a, b in zip(self, other, strict=True)
        )

    def widened(self, reach: tuple[int, int]) -> Pixels:
        """Return the rectangle with so many more rows and columns on each side."""
        return Pixels(*(slice(s.start - r, s.stop + r) for s, r in zip(self, reach, strict=True)))

    @classmethod
    def at(cls, first: Iterable[int], shape: Iterable[int]) -> Pixels:
        """Return so many rows and columns from a first pixel on."""
        return cls(*(slice(f, f + n) for f, n in zip(first, shape, strict=True)))

    def tiles(self) -> Iterator[tuple[Pixels, Pixels]]:
        """Yield the tiles of the grid that meet these pixels, and what each has of them."""
        rows, columns = (range(s.start // TILE, -(-s.stop // TILE)) for s in self)
        for row in rows:
            for column in columns:
                tile = Pixels(*(slice(i * TILE, (i + 1) * TILE) for i in (row, column)))
                part = tile.within(self)
                if part is not None:
                    yield tile, part


def _common(a: slice, b: slice) -> slice:
    return slice(max(a.start, b.start), min(a.stop, b.stop))
