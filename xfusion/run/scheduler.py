"""Who computes: the scheduler of dask, how many workers it has, whether they share our memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from xfusion.kernels import parallel


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
