"""Bring a lazy retrieval into memory, each block at its place as soon as it is done."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .kernels import parallel


def compute(dataset: xr.Dataset) -> xr.Dataset:
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
    """
    lazy = lazy_variables(dataset)
    if not lazy or not shares_memory(lazy.values()):
        return dataset.compute()
    import dask.array as da

    results = {name: np.empty(v.shape, v.dtype) for name, v in lazy.items()}
    targets: Any = [_Target(result) for result in results.values()]
    da.store([v.data for v in lazy.values()], targets, lock=False)  # blocks do not overlap
    filled = dataset.assign({name: dataset[name].copy(data=r) for name, r in results.items()})
    return filled.compute()  # what is lazy without dask, as of a file that is open


def lazy_variables(dataset: xr.Dataset) -> dict[Hashable, xr.Variable]:
    """Return the variables and coordinates that are on dask."""
    return {name: v for name, v in dataset.variables.items() if v.chunks is not None}


def scheduler_of(lazy: Iterable[xr.Variable]) -> tuple[Any, Any]:
    """Return what computes these, dask's own choice or what is set, and its Client if it has one.

    A Client is that of a cluster, :class:`distributed.Client`.
    """
    from dask.base import get_scheduler

    scheduler: Any = get_scheduler(collections=[v.data for v in lazy])
    client = getattr(scheduler, "__self__", None)
    return scheduler, client if hasattr(client, "nthreads") else None


def worker_count(client: Any) -> int:
    """Return how many blocks are computed at a time, by a cluster or, for None, this machine."""
    import dask

    if client is not None:
        return max(1, sum(map(int, client.nthreads().values())))
    return int(dask.config.get("num_workers", None) or parallel.core_count())


def shares_memory(lazy: Iterable[xr.Variable]) -> bool:
    """Tell whether dask computes these in this process, into what is open in it."""
    from concurrent.futures import ThreadPoolExecutor
    from multiprocessing.pool import ThreadPool

    import dask
    import dask.array as da
    from dask import local, threaded

    lazy = list(lazy)
    arrays = [v.data for v in lazy]
    plain = all(isinstance(a, da.Array) and not np.isnan(a.shape).any() for a in arrays)
    pool = dask.config.get("pool", None)
    threads = pool is None or isinstance(pool, ThreadPoolExecutor | ThreadPool)
    scheduler, _ = scheduler_of(lazy)
    return plain and threads and scheduler in (threaded.get, local.get_sync)


class _Target:
    """An array to be filled, that dask need not read to give it a name."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __setitem__(self, region: tuple[slice, ...], block: NDArray[Any]) -> None:
        self.array[region] = block

    def __dask_tokenize__(self) -> int:
        return id(self.array)
