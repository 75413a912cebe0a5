"""Blocks as files or objects: which they are, and whether they are what was written."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .place import Place

INDEX_ENTRY, CHECKSUM = 16, 4  # bytes, of the index at the end of a shard
ABSENT_CHUNK = 2**64 - 1  # an offset
FRAME = b"\x28\xb5\x2f\xfd"  # begins what zstd has compressed; the next byte says how
CHECKED, OF_NO_USE = 0b100, 0b10000  # bits of that: it ends with a checksum of its content


@dataclass(frozen=True)
class BlockFile(ABC):
    """A block of a variable, as one file or object."""

    variable: str
    index: tuple[int, ...]

    @property
    def key(self) -> str:
        """Where it is in the store."""
        return "/".join([self.variable, "c", *map(str, self.index)])

    @abstractmethod
    def is_uncut(self, place: Place, key: str) -> bool:
        """Whether it is under a key of any store, and not cut short."""

    @abstractmethod
    def agrees(self, content: bytes) -> bool:
        """Whether some bytes are what was written, by their checksums."""


@dataclass(frozen=True)
class Shard(BlockFile):
    """A block of chunks with an index at their end; all of these have checksums."""

    chunks: int
    """For how many chunks it has room."""
    outside: int
    """How many of these lie outside the array, and are not there."""

    def is_uncut(self, place: Place, key: str) -> bool:
        """Look at the index alone: whoever reads pixels sees by their checksums what they are."""
        tail = place.tail(key, self._length)
        return tail is not None and self._index_of(tail) is not None

    def agrees(self, content: bytes) -> bool:
        """Look at the index, and at each chunk where it says that this is."""
        index = self._index_of(content[-self._length :])
        if index is None:
            return False
        places = [(int(o), int(o + n)) for o, n in index if o != ABSENT_CHUNK]
        return all(stop <= len(content) and _agrees(content[start:stop]) for start, stop in places)

    @property
    def _length(self) -> int:
        return self.chunks * INDEX_ENTRY + CHECKSUM

    def _index_of(self, tail: bytes) -> NDArray[np.uint64] | None:
        """Return offset and length of each chunk, None if they are not what was written."""
        if len(tail) != self._length or not _agrees(tail):
            return None
        index: NDArray[np.uint64] = np.frombuffer(tail[:-CHECKSUM], "<u8").reshape(-1, 2)
        return index if np.count_nonzero(index[:, 0] == ABSENT_CHUNK) == self.outside else None


@dataclass(frozen=True)
class Chunk(BlockFile):
    """A block that is compressed in one piece, as zstd writes it with its own checksum."""

    size: int
    """Bytes of its pixels."""

    def is_uncut(self, place: Place, key: str) -> bool:
        """Read all of it, as nothing less tells; an object is there whole or not at all."""
        if _is_of_objects(place):
            return place.has(key)
        content = place.read(key)
        return content is not None and self.agrees(content)

    def agrees(self, content: bytes) -> bool:
        """Decompress it, which compares the checksum."""
        from numcodecs.zstd import Zstd  # type: ignore[import-untyped]  # has no types

        how = content[len(FRAME) : len(FRAME) + 1]
        if content[: len(FRAME)] != FRAME or not how or how[0] & (CHECKED | OF_NO_USE) != CHECKED:
            return False
        try:
            return len(Zstd().decode(content)) == self.size
        except RuntimeError:
            return False


def file_of(array: Any, name: str, index: tuple[int, ...]) -> BlockFile:
    """Return a block of an array of zarr."""
    if array.shards is None:
        return Chunk(name, index, math.prod(array.chunks) * array.dtype.itemsize)
    sides = zip(array.shape, array.shards, array.chunks, index, strict=True)
    inside = math.prod(-(-min(s, n - i * s) // c) for n, s, c, i in sides)
    chunks = math.prod(array.shards) // math.prod(array.chunks)
    return Shard(name, index, chunks, chunks - inside)


def is_written(place: Place, file: BlockFile, *keys: str) -> bool:
    """Whether a block is under one of some keys, and not cut short."""
    return any(file.is_uncut(place, key) for key in keys)


def is_sound(place: Place, file: BlockFile, *keys: str) -> bool:
    """Whether a block is under one of some keys, and all of it what was written.

    On an object store, which has checksums of its own, not more than :func:`is_written`.
    """
    if _is_of_objects(place):
        return is_written(place, file, *keys)
    for key in keys:
        content = place.read(key)
        if content is not None:
            return file.agrees(content)
    return False


def _is_of_objects(place: Place) -> bool:
    from zarr.storage import ObjectStore

    return isinstance(place.zarr, ObjectStore)


def _agrees(content: bytes) -> bool:
    """Whether the checksum at the end of some bytes is theirs."""
    from numcodecs.checksum32 import CRC32C  # type: ignore[import-untyped]  # has no types

    return int(CRC32C.checksum(content[:-CHECKSUM])) == int.from_bytes(
        content[-CHECKSUM:], "little"
    )
