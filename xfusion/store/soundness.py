"""Whether what a store holds is what was written there."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from xfusion.datamodel.caller import warn
from xfusion.kernels import parallel
from xfusion.run.objects import is_of_an_object_store, patiently
from xfusion.run.progress import progress_of

from .notes import digest_of, noted_digest
from .place import FINISHED, ROOT, Place, StoreLike

INDEX_ENTRY, CHECKSUM = 16, 4  # bytes, of the index at the end of a shard
ABSENT_CHUNK = 2**64 - 1  # an offset
MISSING = "it is not there"


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


def is_written(place: Place, shard: Shard, *folders: str) -> bool:
    """Whether a shard is in one of some folders, and not cut short, by its index.

    Of the pixels it reads nothing: these have checksums, which whoever reads them sees.
    """
    return any(_has_index(place, f"{folder}{shard.key}", shard) for folder in folders)


def shard_of(array: Any, name: str, index: tuple[int, ...]) -> Shard:
    """Return a shard of an array of zarr."""
    sides = zip(array.shape, array.shards, array.chunks, index, strict=True)
    inside = math.prod(-(-min(s, n - i * s) // c) for n, s, c, i in sides)
    chunks = math.prod(array.shards) // math.prod(array.chunks)
    return Shard(name, index, chunks, chunks - inside)


def _has_index(place: Place, key: str, shard: Shard) -> bool:
    from numcodecs.checksum32 import CRC32C  # type: ignore[import-untyped]  # has no types

    length = shard.chunks * INDEX_ENTRY + CHECKSUM
    tail = place.tail(key, length)
    if tail is None or len(tail) != length:
        return False
    offsets = np.frombuffer(tail[:-CHECKSUM], "<u8")[::2]
    whole = int(CRC32C.checksum(tail[:-CHECKSUM])) == int.from_bytes(tail[-CHECKSUM:], "little")
    return whole and np.count_nonzero(offsets == ABSENT_CHUNK) == shard.outside


def verify(store: StoreLike, /, *, progress: bool = True) -> dict[str, str]:
    """Read a finished store, and tell what of it is not what was written.

    Parameters
    ----------
    store : path, URL or zarr store
        As of :func:`~xfusion.to_zarr`.
    progress : bool
        Show how far it is.

    Returns
    -------
    dict
        Key of the store, such as ``mu/c/0/1`` for the block in the first row and second column
        of `mu` -> what is wrong with it. Empty where all is sound. :func:`~xfusion.to_zarr`, called
        again as it was, computes these anew.

    Raises
    ------
    ValueError
        If it is not finished, or there is none.

    Notes
    -----
    Chunks and the index of shards have a checksum, CRC-32C, that any reader of Zarr looks at; the
    metadata of the whole have a digest. What somebody has changed on purpose in the metadata, an
    attribute say, is told as well.

    Examples
    --------
    >>> import numpy as np, tempfile, xfusion as xf
    >>> mu = np.zeros((4, 4), np.float32)
    >>> folder = tempfile.mkdtemp()
    >>> store = xf.to_zarr(xf.retrieval(mu, mu + 1), f"{folder}/water.zarr", progress=False)
    >>> xf.verify(f"{folder}/water.zarr", progress=False)
    {}
    """
    place = Place(store)
    with place.named_errors():
        if place.state() != FINISHED:
            msg = f"{place.name} is no finished Zarr store: there is nothing to be verified"
            raise ValueError(msg)
        root = root_of(place)
        broken = _changed_metadata(place, root)
        arrays = root.get("consolidated_metadata", {}).get("metadata", {})
        sound = [name for name in arrays if f"{name}/{ROOT}" not in broken]
        return broken | broken_blocks(place, sound, progress=progress)


def root_of(place: Place) -> dict[str, Any]:
    """Return the metadata at the root of a finished store.

    Raises
    ------
    ValueError
        If they are not whole.
    """
    root = place.json(ROOT)
    if root is None or not isinstance(root.get("attributes", {}), dict):
        msg = (
            f"{place.name}: {ROOT} is not whole, so nobody knows what is there: delete the store, "
            "or restore that file"
        )
        raise ValueError(msg)
    return root


def check_root(place: Place) -> None:
    """Warn where the metadata of a store are not those that were written with it."""
    root = root_of(place)
    noted = noted_digest(root)
    if noted is not None and noted != digest_of(root):
        warn(
            f"the metadata of {place.name} are not what was written: changed since, or damaged, "
            "which xf.verify or `xfusion verify` tells more of"
        )


def broken_blocks(place: Place, names: Sequence[str], *, progress: bool) -> dict[str, str]:
    """Return the chunks or shards of some arrays that do not read, and why."""
    blocks = [block for name in names for block in _blocks(place, name)]
    broken: dict[str, str] = {}
    what = f"checking {place.name}"
    with (
        progress_of(len(blocks), what, show=progress) as advance,
        ThreadPoolExecutor(parallel.core_count()) as pool,
    ):

        def check(block: _Block) -> None:
            fault = _fault_of(place, block)
            if fault:
                broken[block.key] = fault
            advance(1)

        for _ in pool.map(check, blocks):
            pass
    return dict(sorted(broken.items()))


def changed_files(place: Place, template: Mapping[str, bytes]) -> dict[str, str]:
    """Return which metadata and coordinates are not as they were written."""
    changed = {}
    for key, content in template.items():
        found = place.read(key)
        if found is None:
            changed[key] = MISSING
        elif not (_arrays(found) == _arrays(content) if key == ROOT else found == content):
            changed[key] = "it is not what was written"
    return changed


def _arrays(root: bytes) -> Any:
    """Return what is at the root for the arrays; attributes of the whole may be given later."""
    return json.loads(root).get("consolidated_metadata")


def _changed_metadata(place: Place, root: Mapping[str, Any]) -> dict[str, str]:
    changed = {}
    noted = noted_digest(root)
    if noted is not None and noted != digest_of(root):
        changed[ROOT] = "the metadata are not what was written, or were changed afterwards"
    arrays = root.get("consolidated_metadata", {}).get("metadata", {})
    for name, consolidated in arrays.items():
        if place.json(f"{name}/{ROOT}") != consolidated:
            changed[f"{name}/{ROOT}"] = "it is not what the root says of it, or not there"
    return changed


@dataclass(frozen=True)
class _Block:
    """What is one file or object of an array."""

    name: str
    array: Any
    index: tuple[int, ...]

    @property
    def key(self) -> str:
        return "/".join([self.name, "c", *map(str, self.index)])

    @property
    def region(self) -> tuple[slice, ...]:
        sides = self.array.shards or self.array.chunks
        return tuple(slice(i * s, (i + 1) * s) for i, s in zip(self.index, sides, strict=True))


def _blocks(place: Place, name: str) -> Iterator[_Block]:
    import zarr

    array: Any = zarr.open_array(place.zarr, path=name, mode="r", zarr_format=3)
    sides = array.shards or array.chunks
    counts = [-(-n // side) for n, side in zip(array.shape, sides, strict=True)]
    for index in np.ndindex(*counts):
        yield _Block(name, array, index)


def _fault_of(place: Place, block: _Block) -> str | None:
    if not place.has(block.key):
        return MISSING
    if block.array.shards:
        shard = shard_of(block.array, block.name, block.index)
        if not is_written(place, shard, ""):
            return "its index is not what was written"
    try:
        patiently(block.array.__getitem__, block.region)
    except Exception as error:
        # whatever a codec raises of damaged bytes
        if is_of_an_object_store(error):
            raise
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None
