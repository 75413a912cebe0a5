"""Memory that one block has freed, for the next."""

from __future__ import annotations

import ctypes
import functools
import sys

KEPT = 32 << 20  # bytes of the largest array that glibc can keep the memory of
AT_THE_TOP = 2 * KEPT  # bytes that a thread keeps at most, as glibc sets it by itself
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's numbers


@functools.cache
def keep_freed_memory() -> None:
    """Let the arrays of a block live in the memory of the last one.

    glibc gives the memory of a large array back to the system when it is freed, and each page is
    cleared anew for the next. By itself it learns to keep that of arrays up to 32 MiB, but not
    where the environment says anything of malloc, as it does to the workers of a cluster: their
    system would clear two thirds as long as they compute.
    """
    if sys.platform == "linux":
        # another libc has none
        limit = getattr(ctypes.CDLL(None), "mallopt", None)
        if limit is not None:
            limit(MMAP_THRESHOLD, KEPT)
            limit(TRIM_THRESHOLD, AT_THE_TOP)
