"""Whether what a store holds is what was written there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from xfusion.kernels import parallel
from xfusion.run.objects import is_of_an_object_store, patiently
from xfusion.run.progress import progress_of

from .arrays import needs_zarr
from .block_files import file_of, is_written
from .commits import is_repository, store_of
from .metadata import ARRAY, changed_metadata, key_of, kinds_of_nodes, root_of
from .notes import noted_digest
from .place import Place, StoreLike
from .span import Span

MISSING = "it is not there"
NOT_WHOLE = "it is not whole"
CHECKSUM = "checksum"  # of what codecs say of bytes that were changed
CHECKED = ("crc32c", "checksum=true")  # codecs of what xf.to_zarr writes have one of these


def verify(store: StoreLike, /, *, progress: bool = True) -> dict[str, str]:
    """Read a finished store, and tell what of it is not what was written.

    Parameters
    ----------
    store : path, URL, zarr store or icechunk.Repository
        As of :func:`~xfusion.to_zarr`.
    progress : bool
        Show how far it is.

    Returns
    -------
    dict
        Key of the store, such as ``mu/c/0/1`` for the block in the first row and second column
        of `mu` -> what is wrong with it, and which pixels it has. Empty where all is sound.
        :func:`~xfusion.to_zarr`, called again as it was, computes these anew.

    Raises
    ------
    ValueError
        If it is not finished, or there is none.

    Notes
    -----
    Chunks in shards and the index of these have a checksum, CRC-32C, blocks without shards that of
    zstd: any reader of Zarr looks at it. The metadata of the whole have a digest. What somebody has
    changed on purpose in the metadata, an attribute say, is told as well.

    Examples
    --------
    >>> import numpy as np, tempfile, xfusion as xf
    >>> mu = np.zeros((4, 4), np.float32)
    >>> folder = tempfile.mkdtemp()
    >>> store = xf.to_zarr(xf.retrieval(mu, mu + 1), f"{folder}/water.zarr", progress=False)
    >>> xf.verify(f"{folder}/water.zarr", progress=False)
    {}
    """
    needs_zarr()
    place = Place(store_of(store) if is_repository(store) else store)
    with place.named_errors():
        place.check_is_finished()
        root = root_of(place)
        broken = changed_metadata(place, root)
        kinds = kinds_of_nodes(place, root)
        broken |= {key_of(name): NOT_WHOLE for name, kind in kinds.items() if kind is None}
        arrays = [name for name, kind in kinds.items() if kind == ARRAY]
        if not arrays and not broken:
            msg = (
                f"{place.name} holds no arrays of Zarr's format 3: there is nothing to be verified"
            )
            raise ValueError(msg)
        read = [name for name in arrays if key_of(name) not in broken]
        faults = {name: fault for name in read if (fault := _fault_of_metadata(place, name))}
        broken |= {key_of(name): fault for name, fault in faults.items()}
        sound = [name for name in read if name not in faults]
        ours = noted_digest(root) is not None
        return broken | broken_blocks(place, sound, is_full=ours, progress=progress)


def broken_blocks(
    place: Place,
    names: Sequence[str],
    *,
    span: Span | None = None,
    is_full: bool = True,
    progress: bool,
) -> dict[str, str]:
    """Return the chunks or shards of some arrays that do not read, and why.

    One that is not there is broken where all were written, and else means that it has no values.
    With a span only those of its dates are read.
    """
    blocks = [
        block
        for name in names
        for block in _blocks(place, name)
        if span is None or span.holds(name, block.index)
    ]
    broken: dict[str, str] = {}
    what = f"checking {place.name}"
    with (
        progress_of(len(blocks), what, show=progress) as advance,
        ThreadPoolExecutor(parallel.core_count()) as pool,
    ):

        def check(block: _Block) -> None:
            fault = _fault_of(place, block, is_full=is_full)
            if fault:
                broken[block.key] = f"{fault}; it is {_words_of(block)}"
            advance(1)

        for _ in pool.map(check, blocks):
            pass
    return dict(sorted(broken.items()))


@dataclass(frozen=True)
class _Block:
    """What is one file or object of an array."""

    name: str
    array: Any
    index: tuple[int, ...]

    @property
    def key(self) -> str:
        key = self.array.metadata.encode_chunk_key(self.index)
        return f"{self.name}/{key}" if self.name else str(key)

    @property
    def region(self) -> tuple[slice, ...]:
        sides = self.array.shards or self.array.chunks
        return tuple(slice(i * s, (i + 1) * s) for i, s in zip(self.index, sides, strict=True))


def _opened(place: Place, name: str) -> Any:
    import zarr

    return zarr.open_array(place.zarr, path=name, mode="r", zarr_format=3)


def _blocks(place: Place, name: str) -> Iterator[_Block]:
    array = _opened(place, name)
    sides = array.shards or array.chunks
    counts = [-(-n // side) for n, side in zip(array.shape, sides, strict=True)]
    for index in np.ndindex(*counts):
        yield _Block(name, array, index)


def _fault_of(place: Place, block: _Block, *, is_full: bool) -> str | None:
    if not place.has(block.key):
        # what somebody has written again without our checksums may leave out what has no values
        codecs = repr(block.array.metadata.codecs).lower()
        return MISSING if is_full and any(each in codecs for each in CHECKED) else None
    if block.array.shards and is_full:
        shard = file_of(block.array, block.name, block.index)
        if not is_written(place, shard, shard.key):
            return "its index is not what was written"
    try:
        patiently(block.array.__getitem__, block.region)
    except Exception as error:
        # whatever a codec raises of damaged bytes
        if is_of_an_object_store(error):
            raise
        return _fault_said(error, is_full=is_full)
    return None


def _fault_said(error: Exception, *, is_full: bool) -> str:
    """Return what is wrong with a block, not in the words of those who decode it."""
    if isinstance(error, OSError):
        return f"it cannot be read, {error.strerror or error}"
    if is_full or CHECKSUM in str(error).lower():
        return "its bytes are not those that were written"
    # of others' stores nobody knows what it was
    return f"it cannot be decoded, {_line_of(error)}"


def _words_of(block: _Block) -> str:
    """Return which part of an array a block is."""
    name, shape = block.name.rpartition("/")[2] or "the array", block.array.shape
    dims = block.array.metadata.dimension_names or ()
    spans = [
        f"{dim or f'dim {k}'} {part.start} to {min(part.stop, length) - 1}"
        for k, (dim, part, length) in enumerate(
            itertools.zip_longest(dims, block.region, shape, fillvalue=None)
        )
        if part is not None and length is not None
    ]
    return f"{name} at {', '.join(spans)}" if spans else f"all of {name}"


def _fault_of_metadata(place: Place, name: str) -> str | None:
    try:
        # zarr takes any number for the side of a chunk
        return None if all(side > 0 for side in _opened(place, name).chunks) else NOT_WHOLE
    except Exception as error:
        # whatever zarr raises of metadata that are not what they should be
        if is_of_an_object_store(error):
            raise
        return _line_of(error)


def _line_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
