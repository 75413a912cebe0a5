"""Bring a lazy retrieval into memory, each block at its place as soon as it is done."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .scheduler import lazy_variables, shares_memory


def compute(dataset: xr.Dataset, /) -> xr.Dataset:
    """Return a Dataset with its pixels in memory.

    Parameters
    ----------
    dataset : Dataset
        A retrieval or any other, lazy or not.

    Returns
    -------
    Dataset
        The same as ``dataset.compute()``, in half its memory: that one keeps all blocks until
        the last is done and then copies them together in one thread.

    Notes
    -----
    The scheduler is dask's own choice or the one that is set. Where its workers share no
    memory with this process (processes, a cluster), this is ``dataset.compute()``.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> lazy = xf.retrieval(np.full((2, 2), 0.8), np.full((2, 2), 0.1)).chunk(1)
    >>> xf.compute(lazy).mu.chunks is None
    True
    """
    lazy = lazy_variables(dataset)
    if not lazy or not shares_memory(lazy.values()):
        return dataset.compute()
    import dask.array as da

    results = {name: np.empty(v.shape, v.dtype) for name, v in lazy.items()}
    targets: Any = [_Target(result) for result in results.values()]
    da.store([v.data for v in lazy.values()], targets, lock=False)  # blocks do not overlap
    # as variables: with coordinates, the levels of a MultiIndex would be assigned again
    filled = dataset.assign(
        {name: dataset.variables[name].copy(data=r) for name, r in results.items()}
    )
    return filled.compute()  # what is lazy without dask, as of a file that is open


class _Target:
    """An array to be filled, that dask need not read to give it a name."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __setitem__(self, region: tuple[slice, ...], block: NDArray[Any]) -> None:
        self.array[region] = block

    def __dask_tokenize__(self) -> int:
        return id(self.array)
