"""Blocks as files or objects: which they are, and whether they are what was written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .place import Place

INDEX_ENTRY, CHECKSUM = 16, 4  # bytes, of the index at the end of a shard
ABSENT_CHUNK = 2**64 - 1  # an offset


@dataclass(frozen=True)
class Shard:
    """A block of a variable, as one file or object."""

    variable: str
    index: tuple[int, ...]
    chunks: int
    """For how many chunks it has room."""
    outside: int
    """How many of these lie outside the array, and are not there."""

    @property
    def key(self) -> str:
        """Where it is in the store."""
        return "/".join([self.variable, "c", *map(str, self.index)])


def is_written(place: Place, shard: Shard, *keys: str) -> bool:
    """Whether a shard is under one of some keys, and not cut short, by its index.

    Of the pixels it reads nothing: these have checksums, which whoever reads them sees.
    """
    return any(_has_index(place, key, shard) for key in keys)


def shard_of(array: Any, name: str, index: tuple[int, ...]) -> Shard:
    """Return a shard of an array of zarr."""
    sides = zip(array.shape, array.shards, array.chunks, index, strict=True)
    inside = math.prod(-(-min(s, n - i * s) // c) for n, s, c, i in sides)
    chunks = math.prod(array.shards) // math.prod(array.chunks)
    return Shard(name, index, chunks, chunks - inside)


def is_sound(place: Place, shard: Shard, *keys: str) -> bool:
    """Whether a shard is under one of some keys, and each of its chunks what was written.

    On an object store, which has checksums of its own, not more than :func:`is_written`.
    """
    from zarr.storage import ObjectStore

    if isinstance(place.zarr, ObjectStore):
        return is_written(place, shard, *keys)
    for key in keys:
        content = place.read(key)
        if content is not None:
            return _has_sound_chunks(content, shard)
    return False


def _has_sound_chunks(content: bytes, shard: Shard) -> bool:
    index = _index_of(content[-_length(shard) :], shard)
    if index is None:
        return False
    places = [(int(o), int(o + n)) for o, n in index if o != ABSENT_CHUNK]
    return all(stop <= len(content) and _agrees(content[start:stop]) for start, stop in places)


def _has_index(place: Place, key: str, shard: Shard) -> bool:
    tail = place.tail(key, _length(shard))
    return tail is not None and _index_of(tail, shard) is not None


def _index_of(tail: bytes, shard: Shard) -> NDArray[np.uint64] | None:
    """Return offset and length of each chunk, None if they are not what was written."""
    if len(tail) != _length(shard) or not _agrees(tail):
        return None
    index: NDArray[np.uint64] = np.frombuffer(tail[:-CHECKSUM], "<u8").reshape(-1, 2)
    return index if np.count_nonzero(index[:, 0] == ABSENT_CHUNK) == shard.outside else None


def _length(shard: Shard) -> int:
    return shard.chunks * INDEX_ENTRY + CHECKSUM


def _agrees(content: bytes) -> bool:
    """Whether the checksum at the end of some bytes is theirs."""
    from numcodecs.checksum32 import CRC32C  # type: ignore[import-untyped]  # has no types

    return int(CRC32C.checksum(content[:-CHECKSUM])) == int.from_bytes(
        content[-CHECKSUM:], "little"
    )
