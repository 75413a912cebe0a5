"""The tiles of a raster file that windows share: decoded once, and kept while one needs them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .file import Area, RasterFile

Tile: TypeAlias = tuple[int, int]
Sides: TypeAlias = tuple[int, int]
Pixels: TypeAlias = tuple[NDArray[Any], NDArray[np.bool_] | None]
"""Of a window, and where they could not be read; None where all could."""

MUCH = 4  # times the pixels of a window in its tiles: it is read by itself, as one of strips


@dataclass(eq=False)
class Part:
    """Tiles side by side that one read brings."""

    area: Area
    pixels: Future[NDArray[Any]] = field(default_factory=Future)


@dataclass(eq=False)
class Attempt:
    """To read what a window lacks."""

    key: Hashable
    area: Area
    parts: list[Part] = field(default_factory=list)
    """What others wait for meanwhile."""
    is_apart: bool = False
    """Whether it reads the window, not its tiles."""
    is_over: bool = False
    """A read that was too late goes on, for nobody."""


class Tiles:
    """The tiles of one file that the windows of a run need.

    A window is announced, loaded and taken. What loads it reads those of its tiles that no other
    window has or is about to have. What takes it waits for the others, and forgets the tiles that
    no window needs which is announced and not taken.

    Parameters
    ----------
    file : RasterFile
    fill : float, optional
        Of what cannot be read; None raises.
    """

    def __init__(self, file: RasterFile, fill: float | None) -> None:
        self.file = file
        self.fill = fill
        self._lock = threading.Lock()
        self._sides: Sides | None = None  # until the file was opened
        self._parts: dict[Tile, Part] = {}
        self._announced: dict[Hashable, Area] = {}
        self._apart: dict[Hashable, Pixels] = {}
        self._has_answered = self._has_failed = False

    @property
    def answers(self) -> bool:
        """Whether something was read of the file, and no read of it has failed."""
        return self._has_answered and not self._has_failed

    def announce(self, key: Hashable, area: Area) -> None:
        """Say that a window will be taken: tiles that it needs are kept for it."""
        with self._lock:
            self._announced[key] = area

    def load_ahead(self, key: Hashable) -> bool:
        """Read what no other window reads of this one, and return whether that was done.

        Where it fails nothing else is tried, and nobody told: who takes the window tries anew.
        """
        area = self._announced.get(key)
        if area is None or not self.answers:
            return False
        return self._has_all(area) or self._read(key, area) is None

    def load(self, key: Hashable) -> None:
        """Read what no other window reads of this one.

        Raises
        ------
        OSError, ValueError
            As of :meth:`RasterFile.read`, unless there is a fill.
        """
        area = self._announced[key]
        if self._has_all(area):
            return
        error = self._read(key, area)
        if error is None:
            return
        if self.fill is None:
            raise error
        self._apart[key] = self.file.read_block_by_block(*area, fill=self.fill)

    def _read(self, key: Hashable, area: Area) -> Exception | None:
        """Read what a window lacks, and return the error if that fails."""
        attempt = Attempt(key, area)

        def read(seconds: float = np.inf) -> list[NDArray[Any]]:
            return self.file.read_some(lambda sides: self._claimed(attempt, sides), seconds)

        error = OSError(f"{self.file!r} was not read in time")
        try:
            pixels = read() if self.fill is None else self.file.in_time(read)
        except Exception as raised:  # noqa: BLE001  # returned
            self._give_up(attempt, raised)
            return raised
        except BaseException:
            self._give_up(attempt, error)
            raise
        if pixels is None:
            self._give_up(attempt, error)
            return error
        self._keep(attempt, pixels)
        return None

    def take(self, key: Hashable) -> Pixels:
        """Return a window that was loaded, shape (rows, columns)."""
        area = self._announced[key]
        try:
            apart = self._apart.pop(key, None)
            return self._joined(area) if apart is None else apart
        finally:
            self._release(key)

    def _joined(self, area: Area) -> Pixels:
        with self._lock:
            assert self._sides is not None  # noqa: S101  # it was loaded
            parts = [self._parts.get(tile) for tile in _tiles(area, self._sides)]
        rows, columns = area
        out = np.empty((rows.stop - rows.start, columns.stop - columns.start), self.file.dtype)
        for part in dict.fromkeys(parts):
            pixels = None if part is None else _pixels_of(part)
            if part is None or pixels is None:
                # of what another window did not get this one makes an attempt of its own
                return self._by_itself(area)
            out[_overlap(area, part.area)] = pixels[_overlap(part.area, area)]
        return out, None

    def _by_itself(self, area: Area) -> Pixels:
        if self.fill is None:
            return self.file.read(*area), None
        return self.file.read_what_can_be(*area, fill=self.fill)

    def _has_all(self, area: Area) -> bool:
        with self._lock:
            return self._sides is not None and all(
                tile in self._parts for tile in _tiles(area, self._sides)
            )

    def _claimed(self, attempt: Attempt, sides: Sides) -> list[Area]:
        """Return what an attempt is to read, once the file is open and its tiles are known."""
        with self._lock:
            if attempt.is_over:
                return []
            self._sides = sides
            attempt.is_apart = self._is_apart(attempt.area, sides)
            if attempt.is_apart:
                return [attempt.area]
            if not attempt.parts:
                missing = [t for t in _tiles(attempt.area, sides) if t not in self._parts]
                for tiles in _rectangles(missing):
                    part = Part(_area_of(tiles, sides, self.file.shape))
                    attempt.parts.append(part)
                    self._parts |= dict.fromkeys(itertools.product(*tiles), part)
            return [part.area for part in attempt.parts]

    def _is_apart(self, area: Area, sides: Sides) -> bool:
        """Whether the tiles of a window are so much more than it that it is read by itself."""
        covered = [
            min(-(-part.stop // side) * side, n) - part.start // side * side
            for part, side, n in zip(area, sides, self.file.shape, strict=True)
        ]
        rows, columns = (part.stop - part.start for part in area)
        tile = min(sides[0], self.file.shape[0]) * min(sides[1], self.file.shape[1])
        return bool(covered[0] * covered[1] > MUCH * max(tile, rows * columns))

    def _keep(self, attempt: Attempt, pixels: Sequence[NDArray[Any]]) -> None:
        self._has_answered = True
        if attempt.is_apart:
            self._apart[attempt.key] = pixels[0], None
            return
        for part, each in zip(attempt.parts, pixels, strict=True):
            part.pixels.set_result(each)

    def _give_up(self, attempt: Attempt, error: Exception) -> None:
        """Take back what was promised to others."""
        self._has_failed = True
        with self._lock:
            attempt.is_over = True
            promised = set(attempt.parts)
            self._parts = {t: part for t, part in self._parts.items() if part not in promised}
        for part in attempt.parts:
            part.pixels.set_exception(error)

    def _release(self, key: Hashable) -> None:
        """Forget a window, and what no other needs of its tiles."""
        with self._lock:
            area = self._announced.pop(key)
            if self._sides is None:
                return
            others = [*self._announced.values()]
            for tile in _tiles(area, self._sides):
                part = self._parts.get(tile)
                if part is None or not part.pixels.done():
                    continue
                own = _area_of(_as_ranges(tile), self._sides, self.file.shape)
                if not any(_meet(own, other) for other in others):
                    del self._parts[tile]
                elif own != part.area:
                    # what came with it can go
                    alone = Part(own)
                    alone.pixels.set_result(part.pixels.result()[_overlap(part.area, own)].copy())
                    self._parts[tile] = alone


def _pixels_of(part: Part) -> NDArray[Any] | None:
    """Wait for what is read; None if that fails."""
    return None if part.pixels.exception() else part.pixels.result()


def _tiles(area: Area, sides: Sides) -> list[Tile]:
    """Return the tiles that a window touches, row by row."""
    down, across = (
        range(part.start // side, -(-part.stop // side))
        for part, side in zip(area, sides, strict=True)
    )
    return [*itertools.product(down, across)]


def _as_ranges(tile: Tile) -> tuple[range, range]:
    return range(tile[0], tile[0] + 1), range(tile[1], tile[1] + 1)


def _area_of(tiles: tuple[range, range], sides: Sides, shape: tuple[int, int]) -> Area:
    """Return the pixels of tiles side by side; the last ones may be cut by the end of the file."""
    rows, columns = (
        slice(along.start * side, min(along.stop * side, n))
        for along, side, n in zip(tiles, sides, shape, strict=True)
    )
    return rows, columns


def _rectangles(tiles: Sequence[Tile]) -> list[tuple[range, range]]:
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


def _meet(one: Area, other: Area) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def _overlap(of: Area, other: Area) -> Area:
    """Return where in an area another one lies, as far as it does."""
    rows, columns = (
        slice(max(a.start, b.start) - a.start, min(a.stop, b.stop) - a.start)
        for a, b in zip(of, other, strict=True)
    )
    return rows, columns
