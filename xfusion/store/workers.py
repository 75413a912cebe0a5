"""Who computes the blocks of a run: this machine or a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from xfusion.run.progress import Advance
from xfusion.run.scheduler import lazy_variables, scheduler_of, worker_count

from .cluster import BLOCKS_A_WORKER, IN_MEMORY, Cluster
from .lease import Lease


class Local:
    """The scheduler of this machine: threads, processes or none."""

    def __init__(self, get: Any) -> None:
        self.get = get

    def check(self, lease: Lease, advance: Advance) -> None:
        """Refuse workers that do not see the store."""
        from .inside import is_in_memory

        del advance  # nobody is waited for; all processes of one machine see its files
        if is_in_memory(lease.zarr) and not self.shares_memory():
            raise TypeError(IN_MEMORY.format(lease.name))

    def shares_memory(self) -> bool:
        """Whether the workers are threads of this process."""
        from dask import local, threaded

        return self.get in (threaded.get, local.get_sync)

    def count(self) -> int:
        """Return how many blocks are computed at a time."""
        return worker_count(None)

    def batch(self) -> int:
        """Return how many blocks are computed before a note is made."""
        return BLOCKS_A_WORKER * self.count()

    def run(
        self, graph: Mapping[Any, Any], keys: list[Any], lasting: list[Any], advance: Advance
    ) -> dict[Any, Any]:
        """Compute some blocks; return what others need, to take its place in their graph."""
        from dask.callbacks import Callback
        from dask.task_spec import DataNode

        wanted = set(keys)

        def ended(key: Any, *_: Any) -> None:
            if key in wanted:
                advance(1)

        with Callback(posttask=ended):
            _, results = self.get(graph, [keys, lasting])
        return {k: DataNode(k, result) for k, result in zip(lasting, results, strict=True)}


def workers_of(dataset: xr.Dataset, timeout: float) -> Local | Cluster:
    """Return who computes a Dataset; a cluster is waited for so long."""
    scheduler, client = scheduler_of(lazy_variables(dataset).values())
    return Local(scheduler) if client is None else Cluster(client, timeout)
