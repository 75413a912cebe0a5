"""Who computes the blocks of a run: this machine or a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from xfusion.run.progress import Advance
from xfusion.run.scheduler import lazy_variables, scheduler_of, worker_count

from .lease import Lease, holder_of

BLOCKS_A_WORKER = 8  # of a batch
BLOCKS_ON_CLUSTER = 64  # of a batch, at least: workers come where there is work for them

IN_MEMORY = "{} is in the memory of this process, its workers are others: choose a folder"


class Local:
    """The scheduler of this machine: threads, processes or none."""

    def __init__(self, get: Any) -> None:
        self.get = get

    def check(self, lease: Lease) -> None:
        """Refuse workers that do not see the store."""
        from dask import local, threaded
        from zarr.storage import MemoryStore

        # all processes of one machine see its files
        if isinstance(lease.zarr, MemoryStore) and self.get not in (threaded.get, local.get_sync):
            raise TypeError(IN_MEMORY.format(lease.name))

    def batch(self) -> int:
        """Return how many blocks are computed before a note is made."""
        return BLOCKS_A_WORKER * worker_count(None)

    def run(self, graph: Mapping[Any, Any], keys: list[Any], advance: Advance) -> None:
        """Compute some blocks."""
        from dask.callbacks import Callback

        wanted = set(keys)

        def ended(key: Any, *_: Any) -> None:
            if key in wanted:
                advance(1)

        with Callback(posttask=ended):
            self.get(graph, keys)


class Cluster:
    """The workers of a :class:`distributed.Client`."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def check(self, lease: Lease) -> None:
        """Refuse workers that do not see the store."""
        from zarr.storage import MemoryStore

        if isinstance(lease.zarr, MemoryStore):
            raise TypeError(IN_MEMORY.format(lease.name))
        runs = self.client.run(holder_of, lease.zarr)
        blind = sorted(str(worker) for worker, visible in runs.items() if visible != lease.run)
        if blind:
            msg = (
                f"{lease.name} is another one, or none, for the workers {', '.join(blind)}: choose "
                "a store that all see under this name, on a shared disk or an object store"
            )
            raise OSError(msg)

    def batch(self) -> int:
        """Return how many blocks are computed before a note is made."""
        return max(BLOCKS_ON_CLUSTER, BLOCKS_A_WORKER * worker_count(self.client))

    def run(self, graph: Mapping[Any, Any], keys: list[Any], advance: Advance) -> None:
        """Compute some blocks."""
        from distributed import as_completed

        futures = self.client.get(graph, keys, sync=False)
        try:
            for future in as_completed(futures):
                future.result()
                advance(1)
        finally:
            # an error that is kept would keep these, and the cluster its failed tasks for a retry
            self.client.cancel(futures)


def workers_of(dataset: xr.Dataset, timeout: float) -> Local | Cluster:
    """Return who computes a Dataset; a cluster is waited for so long."""
    scheduler, client = scheduler_of(lazy_variables(dataset).values())
    return Local(scheduler) if client is None else Cluster(client)
