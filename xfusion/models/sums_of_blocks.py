"""Sums of what a function says of blocks, of arrays in memory or of dask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.kernels.parallel import pixels
from xfusion.run.memory import compute

T = TypeVar("T")
LENGTH = 1 << 18  # pixels at a time of arrays in memory


def summed(arrays: Mapping[str, Any], function: Callable[[dict[str, Any]], T]) -> T:
    """Return the sum of what a function says of all blocks.

    Parameters
    ----------
    arrays : mapping of arrays of one shape
        Some may be of dask: then one task reads a block, others add up.
    function : callable
        Of the arrays by name, each of one dim; it returns anything that has a plus.
    """
    if any(hasattr(array, "chunks") for array in arrays.values()):
        return _summed_lazily(arrays, function)
    size = next(iter(arrays.values())).size
    parts = (
        function({k: pixels(a, start, min(size, start + LENGTH)) for k, a in arrays.items()})
        for start in range(0, max(size, 1), LENGTH)
    )
    return reduce(_plus, parts)


def _summed_lazily(arrays: Mapping[str, Any], function: Callable[[dict[str, Any]], T]) -> T:
    import dask.array as da
    from dask.array.core import unify_chunks

    some = [a if hasattr(a, "chunks") else da.from_array(a, name=False) for a in arrays.values()]
    axes = tuple(range(some[0].ndim))
    _, blocks = unify_chunks(*(part for array in some for part in (array, axes)))
    sums = da.map_blocks(
        _in_object,
        *blocks,
        function=function,
        names=tuple(arrays),
        dtype=object,
        chunks=tuple((1,) * n for n in blocks[0].numblocks),
        meta=np.empty((0,) * len(axes), object),
    )
    total = da.reduction(
        sums,
        chunk=_added_objects,
        aggregate=_added_objects,
        dtype=object,
        keepdims=True,  # an element of an array is set to what it is, an array to what is in it
        meta=np.empty((0,) * len(axes), object),
        split_every=8,
    )
    dims = [f"dim_{axis}" for axis in axes]
    found = compute(xr.Dataset({"sum": (dims, total)}), progress=False)["sum"]
    result: T = found.to_numpy().flat[0]
    return result


def _in_object(
    *blocks: NDArray[Any], function: Callable[[dict[str, Any]], Any], names: Sequence[str]
) -> NDArray[Any]:
    named = {name: block.reshape(-1) for name, block in zip(names, blocks, strict=True)}
    return _as_object(function(named), blocks[0].ndim)


def _added_objects(sums: NDArray[Any], axis: Any, *, keepdims: bool) -> NDArray[Any]:
    return _as_object(reduce(_plus, sums.reshape(-1)), len(axis) if keepdims else 0)


def _as_object(value: Any, ndim: int) -> NDArray[Any]:
    result = np.empty((1,) * ndim, object)
    result[(0,) * ndim] = value
    return result


def _plus(one: Any, other: Any) -> Any:
    return one + other
