"""Blocks of a lazy Dataset."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from .grid import SPATIAL_DIMS

Blocks: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
Side: TypeAlias = int | str | tuple[int, ...] | None
Chunks: TypeAlias = int | str | Mapping[Any, Side] | tuple[Side, Side] | None


def blocks_of(chunks: Any, shape: tuple[int, int]) -> Blocks:
    """Return the rows and columns of each block, as asked in the ways of dask and xarray.

    Parameters
    ----------
    chunks : int, str, pair or mapping
        Of each dim a number, -1 or None for the whole length, "auto" or a size such as "16MiB",
        or the lengths of all blocks.
    shape : (int, int)

    Raises
    ------
    ValueError
        If it is none of these, or blocks are not as long as the array.
    """
    from dask.array.core import normalize_chunks

    pair: Any = chunks
    if isinstance(chunks, Mapping):
        names = next((d for d in SPATIAL_DIMS if {*d} & {*chunks}), ())
        pair = tuple(chunks.get(name, -1) for name in names)
    elif isinstance(chunks, int | np.integer | str):
        pair = chunks, chunks
    is_pair = isinstance(pair, tuple | list) and len(pair) == len(shape)
    if is_pair and all(map(_is_side, pair)):
        try:
            # of one type, so that mu, sigma and mask have the same
            rows, columns = normalize_chunks(tuple(pair), shape, dtype=np.float32)
        except (TypeError, ValueError):
            pass
        else:
            return tuple(map(int, rows)), tuple(map(int, columns))
    msg = (
        f"{chunks=} of {shape} pixels: give the rows and columns of a block, e.g. {{'y': 2048, "
        "'x': 2048}, 'auto', or the lengths of all blocks along each dim, which add up"
    )
    raise ValueError(msg)


def _is_side(side: Any) -> bool:
    if isinstance(side, tuple | list):
        return bool(side) and all(_is_count(n) for n in side)
    return side is None or isinstance(side, str) or side == -1 or _is_count(side)


def _is_count(number: Any) -> bool:
    is_whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    return is_whole and number > 0


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
