"""The tiles of a raster file that windows share: decoded once, and kept while one needs them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .file import Area, RasterFile, Sides
from .patience import is_on_the_web
from .tiling import Tile, area_of, as_ranges, meet, overlap, rectangles, tiles_of

Pixels: TypeAlias = tuple[NDArray[Any], NDArray[np.bool_] | None]
"""Of a window, and where they could not be read; None where all could."""

MUCH = 4  # times the pixels of a window in its tiles: it is read by itself, as one of strips


@dataclass(eq=False)
class Part:
    """Tiles side by side that one read brings."""

    tiles: list[Tile]
    area: Area
    pixels: Future[NDArray[Any]] = field(default_factory=Future)


@dataclass(eq=False)
class Attempt:
    """To read what a window lacks."""

    key: Hashable
    area: Area
    out: NDArray[Any]
    """The window, in which what was read is at its place."""
    parts: list[Part] | None = None
    """What others wait for meanwhile; None before the file is open, or if it needs none."""
    is_over: bool = False
    """A read that was too late goes on, for nobody."""


class Tiles:
    """The tiles of one file that the windows of a run need.

    A window is announced, fetched and taken. What fetches it reads those of its tiles that no other
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
        self._loaded: dict[Hashable, tuple[NDArray[Any], set[Tile]]] = {}
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

    def fetch_ahead(self, key: Hashable) -> bool:
        """Read what no other window reads of this one, and return whether that was done.

        Where it fails nothing else is tried, and nobody told: who takes the window tries anew.
        """
        area = self._announced.get(key)
        if area is None or not self.answers:
            return False
        return self._has_all(area) or self._read(key, area) is None

    def fetch(self, key: Hashable) -> None:
        """Read what no other window reads of this one.

        Raises
        ------
        OSError, ValueError
            As of :meth:`RasterFile.read`, unless there is a fill.
        """
        area = self._announced[key]
        if self._has_failed:
            # one tile that is never read would be waited for by each window that shares it
            self._apart[key] = self._by_itself(area)
            return
        error = None if self._has_all(area) else self._read(key, area)
        if error is None:
            return
        if self.fill is None:
            raise error
        self._apart[key] = self.file.read_block_by_block(*area, fill=self.fill)

    def _read(self, key: Hashable, area: Area) -> Exception | None:
        """Read what a window lacks, and return the error if that fails."""
        attempt = Attempt(key, area, self._empty(area))

        def take(sides: Sides, read: Callable[..., NDArray[Any]]) -> bool:
            for part in self._claimed(attempt, sides):
                if not attempt.is_over:
                    self._keep(attempt, part, read(*part.area))
            return True

        def read(seconds: float = np.inf) -> bool:
            return self.file.read_some(take, seconds)

        error: Exception = OSError(f"{self.file!r} was not read in time")
        try:
            done = read() if self.fill is None else self.file.in_time(read)
        except Exception as raised:  # noqa: BLE001  # returned
            done, error = None, raised
        except BaseException:
            self._give_up(attempt, error)
            raise
        if not done:
            self._give_up(attempt, error)
            return error
        self._has_answered = True
        # without its parts, whose pixels are at their places
        self._loaded[key] = attempt.out, {t for part in attempt.parts or () for t in part.tiles}
        return None

    def take(self, key: Hashable) -> Pixels:
        """Return a window that was loaded, shape (rows, columns)."""
        area = self._announced[key]
        try:
            apart, loaded = self._apart.pop(key, None), self._loaded.pop(key, None)
            return self._joined(area, loaded) if apart is None else apart
        finally:
            self._release(key)

    def _joined(self, area: Area, loaded: tuple[NDArray[Any], set[Tile]] | None) -> Pixels:
        """Return a window with what others have read of it."""
        out, own = (self._empty(area), set()) if loaded is None else loaded
        with self._lock:
            assert self._sides is not None  # noqa: S101  # it was loaded
            parts = [self._parts.get(t) for t in tiles_of(area, self._sides) if t not in own]
        for part in dict.fromkeys(parts):
            pixels = None if part is None else _pixels_of(part)
            if part is None or pixels is None:
                # of what another window did not get this one makes an attempt of its own
                return self._by_itself(area)
            out[overlap(area, part.area)] = pixels[overlap(part.area, area)]
        return out, None

    def _empty(self, area: Area) -> NDArray[Any]:
        rows, columns = area
        return np.empty((rows.stop - rows.start, columns.stop - columns.start), self.file.dtype)

    def _by_itself(self, area: Area) -> Pixels:
        if self.fill is None:
            return self.file.read(*area), None
        return self.file.read_what_can_be(*area, fill=self.fill)

    def _has_all(self, area: Area) -> bool:
        with self._lock:
            return self._sides is not None and all(
                tile in self._parts for tile in tiles_of(area, self._sides)
            )

    def _claimed(self, attempt: Attempt, sides: Sides) -> list[Part]:
        """Return what an attempt is to read, once the file is open and its tiles are known."""
        with self._lock:
            if attempt.is_over:
                return []
            self._sides = sides
            if attempt.parts is None:
                attempt.parts = self._missing(attempt.area, sides)
                if not self._is_apart(attempt.area, sides):
                    for part in attempt.parts:
                        self._parts |= dict.fromkeys(part.tiles, part)
            return [part for part in attempt.parts if not part.pixels.done()]

    def _missing(self, area: Area, sides: Sides) -> list[Part]:
        every = tiles_of(area, sides)
        if self._is_apart(area, sides):
            return [Part(every, area)]
        missing = rectangles([tile for tile in every if tile not in self._parts])
        if not is_on_the_web(self.file.path):
            # where nothing is waited for, no more is in memory than need be
            missing = [(range(row, row + 1), columns) for rows, columns in missing for row in rows]
        return [
            Part([*itertools.product(*tiles)], area_of(tiles, sides, self.file.shape))
            for tiles in missing
        ]

    def _is_apart(self, area: Area, sides: Sides) -> bool:
        """Whether the tiles of a window are so much more than it that it is read by itself."""
        covered = [
            min(-(-part.stop // side) * side, n) - part.start // side * side
            for part, side, n in zip(area, sides, self.file.shape, strict=True)
        ]
        rows, columns = (part.stop - part.start for part in area)
        tile = min(sides[0], self.file.shape[0]) * min(sides[1], self.file.shape[1])
        return bool(covered[0] * covered[1] > MUCH * max(tile, rows * columns))

    def _keep(self, attempt: Attempt, part: Part, pixels: NDArray[Any]) -> None:
        """Put what was read where it is needed: in the window, and aside for others."""
        attempt.out[overlap(attempt.area, part.area)] = pixels[overlap(part.area, attempt.area)]
        with self._lock:
            if attempt.is_over:
                return
            part.pixels.set_result(pixels)
            others = [area for key, area in self._announced.items() if key != attempt.key]
            self._forget(part.tiles, others)

    def _give_up(self, attempt: Attempt, error: Exception) -> None:
        """Take back what was promised to others."""
        self._has_failed = True
        with self._lock:
            attempt.is_over = True
            promised = {part for part in attempt.parts or () if not part.pixels.done()}
            self._parts = {t: part for t, part in self._parts.items() if part not in promised}
        for part in promised:
            part.pixels.set_exception(error)

    def _release(self, key: Hashable) -> None:
        """Forget a window, and what no other needs of its tiles."""
        with self._lock:
            area = self._announced.pop(key)
            if self._sides is not None:
                self._forget(tiles_of(area, self._sides), [*self._announced.values()])

    def _forget(self, tiles: Sequence[Tile], others: Sequence[Area]) -> None:
        """Forget those of some tiles that are read and that no other window needs."""
        assert self._sides is not None  # noqa: S101  # something was read
        for tile in tiles:
            part = self._parts.get(tile)
            if part is None or not part.pixels.done():
                continue
            own = area_of(as_ranges(tile), self._sides, self.file.shape)
            if not any(meet(own, other) for other in others):
                del self._parts[tile]
            elif own != part.area:
                # what came with it can go
                alone = Part([tile], own)
                alone.pixels.set_result(part.pixels.result()[overlap(part.area, own)].copy())
                self._parts[tile] = alone


def _pixels_of(part: Part) -> NDArray[Any] | None:
    """Wait for what is read; None if that fails."""
    return None if part.pixels.exception() else part.pixels.result()
