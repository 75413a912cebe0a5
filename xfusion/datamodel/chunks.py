"""Blocks of a lazy Dataset."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

import xarray as xr

from .grid import SPATIAL_DIMS

Chunks: TypeAlias = int | Mapping[Any, int] | tuple[int, int] | None


def block_sides(chunks: Any, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of a block, as asked by a number, a pair or a mapping.

    Raises
    ------
    ValueError
        If it is none of these, or a side is no positive number nor -1, for the whole length.
    """
    pair: Any = ()
    if isinstance(chunks, int):
        pair = chunks, chunks
    elif isinstance(chunks, tuple):
        pair = chunks
    elif isinstance(chunks, Mapping):
        names = next((d for d in SPATIAL_DIMS if {*d} & {*chunks}), ())
        pair = tuple(chunks.get(name, -1) for name in names)
    whole = tuple(n if size == -1 else size for size, n in zip(pair, shape, strict=False))
    if len(pair) != len(shape) or not all(isinstance(n, int) and n > 0 for n in whole):
        msg = f"{chunks=}: give the rows and columns of a block, e.g. {{'y': 2048, 'x': 2048}}"
        raise ValueError(msg)
    return whole[0], whole[1]


def check_known(name: str, array: Any) -> None:
    """Refuse a dask array of blocks whose size only computing would tell."""
    blocks = getattr(array, "chunks", None)
    if not blocks:
        return
    dims = getattr(array, "dims", range(len(blocks)))
    for dim, sizes in zip(dims, blocks, strict=True):
        # arrays of other libraries have one size of all blocks
        if isinstance(sizes, tuple) and any(math.isnan(size) for size in sizes):
            msg = (
                f"{name} has blocks of unknown size along {dim!r}, as a selection of dask by a "
                "condition leaves them: call .compute_chunk_sizes() on its dask array first"
            )
            raise ValueError(msg)


def rechunked(dataset: xr.Dataset, blocks: Mapping[Hashable, tuple[int, ...]]) -> xr.Dataset:
    """Return the Dataset in other blocks, without the chunks of the file it came from."""
    dataset = dataset.chunk(blocks)
    for array in dataset.data_vars.values():
        for stale in ("chunks", "preferred_chunks", "shards"):
            array.encoding.pop(stale, None)
    return dataset
