"""Calls that wait for files on the web, in threads of their own, of which there are so many."""

from __future__ import annotations

import contextvars
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from .patience import with_options_of_here

T = TypeVar("T")

READS = "xfusion.reads"  # of dask's configuration: files on the web that are read at a time
DEFAULT_READS = 16


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Return what calls that wait for files return; some may call this themselves.

    Raises
    ------
    Exception
        What the first of those raises that do.
    """
    futures = [submitted(call) for call in calls[1:]]
    try:
        # what no thread has begun is done in this one, as these may all wait for their own calls
        return [
            call() if future is None or future.cancel() else future.result()
            for call, future in zip(calls, [None, *futures], strict=False)
        ]
    finally:
        for future in futures:
            future.cancel()


def submitted(call: Callable[[], T]) -> Future[T]:
    """Call in a thread of those that wait for the web, with the options of this one."""
    context = contextvars.copy_context()
    readers = _readers(_read_count(), os.getpid())
    return readers.submit(context.run, with_options_of_here(call))


def _read_count() -> int:
    import dask

    count = dask.config.get(READS, DEFAULT_READS)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        msg = (
            f"{READS} of dask's configuration is {count!r}: must be a whole number of files that "
            f'are read at a time, such as dask.config.set({{"{READS}": {DEFAULT_READS}}})'
        )
        raise ValueError(msg)
    return count


@functools.lru_cache(maxsize=1)
def _readers(count: int, process: int) -> ThreadPoolExecutor:
    del process  # a process that was forked has none of the threads
    return ThreadPoolExecutor(count, "xfusion-read")
