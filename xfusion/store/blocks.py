"""A retrieval as a store holds it: lazily, all variables in blocks of one size."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import xarray as xr

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.chunks import rechunked
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.provenance import lasting
from xfusion.run.scheduler import lazy_variables

SIDE = 1536  # pixels of a block, where a retrieval in memory has none


def in_blocks(dataset: xr.Dataset, asked: Mapping[Hashable, int] | None = None) -> xr.Dataset:
    """Return the retrieval lazily, all variables in blocks of one size, as Zarr's are.

    Parameters
    ----------
    dataset : Dataset
        A retrieval.
    asked : mapping, optional
        Dim -> size of blocks along it, instead of those that the retrieval has.
    """
    empty = [dim for dim, size in dataset["mu"].sizes.items() if size == 0]
    if empty:
        msg = f"there are no pixels along {empty[0]!r}: the selection misses the array, change it"
        raise ValueError(msg)
    for name, variable in dataset.variables.items():
        if 0 in variable.shape:
            msg = (
                f"{name} has no values, its sizes are {dict(variable.sizes)}, and so no blocks: "
                f"leave it out, .drop_vars({name!r})"
            )
            raise ValueError(msg)
    dims = spatial_dims(dataset) or dataset["mu"].dims
    # names of sensors, say: few, and of texts in blocks Zarr does not know how long they are
    texts = {k: v.variable for k, v in dataset.coords.items() if v.dtype.kind in "OUT"}
    if not lazy_variables(dataset):
        dataset = dataset.chunk(dict.fromkeys(dims, SIDE))
    dataset = dataset.unify_chunks()
    sizes = {d: max(blocks) for d, blocks in dataset.chunksizes.items()}
    sizes |= {d: size for d, size in (asked or {}).items() if d in sizes}
    even = {d: _even(dataset.sizes[d], size) for d, size in sizes.items()}
    if dict(dataset.chunksizes) != even:
        dataset = rechunked(dataset, even)
    in_memory = [k for k, v in dataset.data_vars.items() if v.ndim and v.chunks is None]
    dataset = dataset.assign({k: _chunked(dataset.variables[k], sizes) for k in in_memory})
    kept = {k: v for k, v in texts.items() if k not in dataset.indexes}
    # last: blocks of labels are of no use
    dataset = _with_plain_indexes(dataset.assign_coords(kept)).drop_encoding()
    return annotate(dataset.drop_attrs(deep=False).assign_attrs(lasting(dataset.attrs)))


def _with_plain_indexes(dataset: xr.Dataset) -> xr.Dataset:
    """Return the retrieval with the levels of a MultiIndex, which Zarr has not, as coordinates."""
    indexes = dataset.xindexes
    return dataset.reset_index(
        [d for d in dataset.dims if d in indexes and len(indexes.get_all_coords(d)) > 1]
    )


def _chunked(variable: xr.Variable, sizes: Mapping[Hashable, int]) -> xr.Variable:
    return variable.chunk({d: sizes.get(d, n) for d, n in variable.sizes.items()})


def _even(length: int, size: int) -> tuple[int, ...]:
    whole, rest = divmod(length, max(1, size))
    return (*[size] * whole, *[rest] * bool(rest))
