"""Split arrays in memory into blocks and work on them in a pool of threads."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_SIZE = 1 << 21  # pixels; large enough that its pages are huge ones


def core_count() -> int:
    """Return the number of cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def map_blocks(
    function: Callable[..., None],
    arrays: Sequence[NDArray[Any] | None],
    shape: tuple[int, ...],
    *,
    threads: int | None = None,
) -> None:
    """Call `function` with matching blocks of all arrays.

    Parameters
    ----------
    function : callable
        Takes one block of each array, in order, and fills the outputs among them.
    arrays : sequence of arrays or None
        Arrays of one shape. None is handed on as None; outputs must be C-contiguous.
    shape : tuple of int
        That shape.
    threads : int, optional
        1 to stay in the calling thread (a dask task does); by default one per core.
    """

    def on_range(start: int, stop: int) -> None:
        function(*(None if a is None else pixels(a, start, stop) for a in arrays))

    map_ranges(on_range, math.prod(shape), threads=threads)


def pixels(array: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
    """Return pixels start to stop, counted in C order: a view where they lie so in memory."""
    if array.flags.c_contiguous:
        return array.reshape(-1)[start:stop]
    inner = array.size // len(array)
    first, last = start // inner, -(-stop // inner)
    start, stop = start - first * inner, stop - first * inner
    if last - first == 1:
        return pixels(array[first], start, stop)
    return np.ascontiguousarray(array[first:last]).reshape(-1)[start:stop]


def map_ranges(
    function: Callable[[int, int], None],
    size: int,
    *,
    threads: int | None = None,
    length: int = BLOCK_SIZE,
) -> None:
    """Call `function` with the start and stop of ranges of pixels that together are all.

    Parameters
    ----------
    function : callable
        Works on pixels start to stop of flat arrays it knows.
    size : int
        Number of pixels.
    threads : int, optional
        As in :func:`map_blocks`.
    length : int
        Pixels of a range, at most; fewer where the work on each takes much memory.
    """
    threads = threads or core_count()
    parts = -(-size // length)
    if parts > 1:  # as many for each thread, so that none works on the last one alone
        parts = -(-parts // threads) * threads
        length = -(-size // parts) + -(-size // parts) % -64  # whole lines of a cache
    _in_threads(
        lambda start: function(start, min(size, start + length)),
        range(0, size, length),
        threads,
    )


def _in_threads(function: Callable[[int], None], starts: range, threads: int | None) -> None:
    threads = min(threads or core_count(), len(starts))
    if threads <= 1:
        for start in starts:
            function(start)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(function, start) for start in starts]:
            done.result()
