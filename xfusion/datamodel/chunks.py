"""Blocks of a lazy Dataset."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import xarray as xr


def rechunked(dataset: xr.Dataset, blocks: Mapping[Hashable, tuple[int, ...]]) -> xr.Dataset:
    """Return the Dataset in other blocks, without the chunks of the file it came from."""
    dataset = dataset.chunk(blocks)
    for array in dataset.data_vars.values():
        for stale in ("chunks", "preferred_chunks", "shards"):
            array.encoding.pop(stale, None)
    return dataset
