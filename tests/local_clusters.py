"""Clusters of processes on this machine, without a dashboard, for tests of runs on them."""

import contextlib
from collections.abc import Iterator
from typing import Any

from distributed import Client, LocalCluster


def local_cluster(workers: int = 2, **options: Any) -> LocalCluster:
    """Return a cluster of workers with a thread each."""
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
        **options,
    )


@contextlib.contextmanager
def client_of_own_cluster(workers: int = 2, **options: Any) -> Iterator[Client]:
    """Give a client of a cluster that ends with it, once all workers are there."""
    with local_cluster(workers, **options) as cluster, Client(cluster) as client:
        client.wait_for_workers(workers, timeout=60)
        yield client
