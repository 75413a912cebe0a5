"""What the blocks of a run need of files: read together, and before they are computed."""

from __future__ import annotations

import functools
import threading
import weakref
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from xfusion.kernels.parallel import core_count

from .file import Area, RasterFile
from .patience import is_on_the_web
from .tiles import Pixels, Tiles
from .waiting import submitted

T = TypeVar("T")
Block: TypeAlias = tuple[int, ...]
"""Place of a block among those of a target, the first number down."""

BLOCKS_AHEAD = 5  # of each core: while they are computed the next ones have time to come
MOST_AHEAD = 64 << 20  # bytes that are read and not taken yet, of one layer of a run


class Window(Protocol):
    """A window of a file that was asked for."""

    def take(self) -> Pixels:
        """Return its pixels, shape (rows, columns), and where they could not be read; once."""


Ask: TypeAlias = Callable[[RasterFile, Area, float | None], Window]
"""Asks for a window of a file; with a fill for what cannot be read, or None to raise."""


class Together:
    """Runs that are computed as one: when the first begins, the others ask for their first block.

    Their turn may come late, and what they need has not been waited for by then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: weakref.WeakSet[_Run[Any]] = weakref.WeakSet()

    def join(self, run: _Run[Any]) -> None:
        """Be one of them."""
        with self._lock:
            self._waiting.add(run)

    def begin(self, first: _Run[Any], block: Block) -> None:
        """Begin with all of them, where the first has begun to know what a block needs."""
        with self._lock:
            waiting, self._waiting = [*self._waiting], weakref.WeakSet()
        for run in waiting:
            if run is not first:
                run.ask_first(block)


class ReadAhead(Generic[T]):
    """Reads what the blocks of one run need, each tile once, from the web before it is needed.

    Another process, to which a task is sent, does without: blocks come there in any order.

    Parameters
    ----------
    blocks : sequence of block
        Those that the run computes.
    plan : callable
        Takes a block and what asks for windows, and returns what the block is computed with.
    others : Together, optional
        Runs that are computed as one with this one.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        plan: Callable[[Block, Ask], T],
        others: Together | None = None,
    ) -> None:
        self._run = _Run(blocks, plan)
        self._others = Together() if others is None else others
        self._others.join(self._run)
        weakref.finalize(self, self._run.close)

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _nothing, ()

    def ask(self, block: Block) -> None:
        """Begin to read on the web what a block needs, before it is begun."""
        self._run.ask(block)

    def begin(self, block: Block) -> T:
        """Return the plan of a block; its windows are on their way, and those of the next."""
        self._others.begin(self._run, block)
        return self._run.begin(block)


def _nothing() -> None:
    """Be what another process does without."""


@dataclass(eq=False)
class _Coming:
    """A window that is announced, and maybe under way."""

    run: _Run[Any]
    tiles: Tiles
    size: int
    fetching: Future[bool] | None = None
    """Whether it was fetched."""
    is_ahead: bool = False

    def take(self) -> Pixels:
        """Wait for it, or read it if nobody has."""
        try:
            if not self._was_fetched():
                self.fetch()
            return self.tiles.take(self)
        except BaseException:
            # what else was asked for will not be needed
            self.run.close()
            raise
        finally:
            self.end()

    def fetch(self) -> bool:
        """Read it, as it is needed now."""
        self.tiles.fetch(self)
        self.run.read_ahead()
        return True

    def _was_fetched(self) -> bool:
        # what no thread has begun is not waited for, as these may all wait for one server
        if self.fetching is None or self.fetching.cancel():
            return False
        return self.fetching.result()

    def end(self) -> None:
        """Make room for others."""
        if self.is_ahead:
            self.is_ahead = False
            self.run.room.add(-self.size)


class _Run(Generic[T]):
    """The blocks of a run, which are mostly computed row by row, from either end."""

    def __init__(self, blocks: Sequence[Block], plan: Callable[[Block, Ask], T]) -> None:
        self._plan = plan
        self.room = _Room(MOST_AHEAD)
        self._lock = threading.RLock()
        self._blocks = sorted(blocks)
        self._left = set(blocks)  # those that are not begun
        self._begun_last = 0  # its place among the blocks
        self._planned: dict[Block, tuple[T, list[_Coming]]] = {}
        self._tiles: dict[tuple[int, float | None], Tiles] = {}
        self._is_closed = False

    def ask(self, block: Block) -> None:
        with self._lock:
            self._plan_one(block)
            for window in self._planned[block][1]:
                if window.fetching is None and _is_slow(window.tiles):
                    window.fetching = submitted(window.fetch)

    def ask_first(self, of_another: Block) -> None:
        """Ask for the block with which this run will begin, as another one has with its own."""
        if self._left and not self._is_closed:
            first = of_another if of_another in self._left else min(self._left)
            self._begun_last = bisect_left(self._blocks, first)
            self.ask(first)

    def begin(self, block: Block) -> T:
        with self._lock:
            self.ask(block)
            plan = self._planned.pop(block)[0]
            self._left.discard(block)
            self._begun_last = bisect_left(self._blocks, block)
            # tiles that the blocks of this row and the next ones share are kept for these
            for other in self._in_rows(block[0] - 1, block[0] + 1):
                self._plan_one(other)
            self.read_ahead()
        return plan

    def close(self) -> None:
        """Read nothing more ahead."""
        with self._lock:
            self._is_closed = True
            for _, windows in self._planned.values():
                for window in windows:
                    if window.fetching is not None:
                        window.fetching.cancel()
                    window.end()

    def _in_rows(self, first: int, last: int) -> list[Block]:
        start, stop = (bisect_left(self._blocks, (row,)) for row in (first, last + 1))
        return [block for block in self._blocks[start:stop] if block in self._left]

    def _next(self) -> list[Block]:
        """Return the blocks that are likely to be begun next, which are near the last one."""
        most, at = BLOCKS_AHEAD * core_count(), self._begun_last
        near = sorted(
            range(max(0, at - most), min(len(self._blocks), at + most + 1)),
            key=lambda place: abs(place - at),
        )
        return [self._blocks[k] for k in near if self._blocks[k] in self._left][:most]

    def _plan_one(self, block: Block) -> None:
        if block in self._planned:
            return
        windows: list[_Coming] = []

        def ask(file: RasterFile, area: Area, fill: float | None) -> _Coming:
            tiles = self._tiles.setdefault((id(file), fill), Tiles(file, fill))
            rows, columns = (part.stop - part.start for part in area)
            window = _Coming(self, tiles, rows * columns * file.dtype.itemsize)
            tiles.announce(window, area)
            windows.append(window)
            return window

        self._planned[block] = self._plan(block, ask), windows

    def read_ahead(self) -> None:
        """Begin to read for the next blocks, as far as there is room.

        Of files that answer: one that does not is asked by the block that needs it, alone.
        """
        with self._lock:
            if self._is_closed or not any(map(_is_slow, self._tiles.values())):
                return
            for block in self._next():
                self._plan_one(block)
                for window in self._planned[block][1]:
                    if window.fetching is not None or not _is_slow(window.tiles):
                        continue
                    if window.tiles.answers:
                        if not self.room.add(window.size):
                            return
                        window.is_ahead = True
                        fetch = functools.partial(window.tiles.fetch_ahead, window)
                        window.fetching = submitted(fetch)


def _is_slow(tiles: Tiles) -> bool:
    """Whether a file is waited for, more than the cores are."""
    return is_on_the_web(tiles.file.path)


class _Room:
    """How many bytes are read ahead, of how many that may be."""

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._lock = threading.Lock()

    def add(self, size: int) -> bool:
        """Take room, or give it back; False if there is not enough."""
        with self._lock:
            if size > 0 and self._taken + size > self._most:
                return False
            self._taken += size
            return True
