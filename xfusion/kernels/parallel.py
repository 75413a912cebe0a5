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
        Takes one block of each array, in order, and fills the outputs among them. Blocks
        of a C-contiguous array are views; outputs must be C-contiguous.
    arrays : sequence of arrays or None
        Arrays of one shape. None is handed on as None.
    shape : tuple of int
        That shape.
    threads : int, optional
        1 to stay in the calling thread (a dask task does); by default one per core.
    """
    if all(a is None or a.flags.c_contiguous for a in arrays):
        arrays = [None if a is None else a.reshape(-1) for a in arrays]
        shape = (math.prod(shape),)
    axis = int(np.argmax(shape)) if shape else 0
    length = shape[axis] if shape else 1
    step = max(1, BLOCK_SIZE * length // max(1, math.prod(shape)))

    def on_block(start: int) -> None:
        block = (slice(None),) * axis + (slice(start, start + step),)
        function(*(None if a is None else a[block] for a in arrays))

    _in_threads(on_block, range(0, length, step), threads)


def map_ranges(
    function: Callable[[int, int], None], size: int, *, threads: int | None = None
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
    """
    _in_threads(
        lambda start: function(start, min(size, start + BLOCK_SIZE)),
        range(0, size, BLOCK_SIZE),
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
