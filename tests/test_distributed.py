"""On a cluster: the same calls, the same bytes, workers that die, and nothing large sent about."""

import functools
import logging
import os
import pickle
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster
from zarr.storage import MemoryStore

import xfusion as xf
from tests.local_clusters import local_cluster
from tests.store_runs import contents, fused, write_inputs
from xfusion.store import cluster as module


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 10}),
        local_cluster() as cluster,
    ):
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    return write_inputs(tmp_path / "in")


def test_two_processes_write_the_same_bytes_as_one(
    client: Client, inputs: Path, tmp_path: Path
) -> None:
    water = fused(inputs)
    back = xf.to_zarr(water, tmp_path / "two.zarr", progress=False)
    np.testing.assert_array_equal(back.mu, water.mu)  # read by the cluster as well
    with dask.config.set(scheduler="threads"):
        xf.to_zarr(water, tmp_path / "one.zarr", progress=False)
    assert contents(tmp_path / "two.zarr") == contents(tmp_path / "one.zarr")


@pytest.mark.thorough
def test_a_worker_that_is_killed_changes_nothing(
    client: Client, inputs: Path, tmp_path: Path
) -> None:
    water = fused(inputs, block=8)
    with dask.config.set(scheduler="threads"):
        xf.to_zarr(water, tmp_path / "one.zarr", progress=False)
    killed = []

    def kill() -> None:
        # as soon as the run is under way
        while not list((tmp_path / "two.zarr").glob("**/mu/c/*/*")):
            time.sleep(0.005)
        pid = next(iter(client.run(os.getpid).values()))
        os.kill(pid, signal.SIGKILL)
        killed.append(len(list((tmp_path / "two.zarr").glob("**/mu/c/*/*"))))

    killer = threading.Thread(target=kill)
    killer.start()
    xf.to_zarr(water, tmp_path / "two.zarr", progress=False)
    killer.join()
    assert killed[0] < water.mu.data.npartitions
    assert contents(tmp_path / "two.zarr") == contents(tmp_path / "one.zarr")


def test_compute_on_a_cluster_equals_that_in_threads(client: Client, inputs: Path) -> None:
    water = fused(inputs)
    there = xf.compute(water)
    with dask.config.set(scheduler="threads"):
        xr.testing.assert_identical(there, xf.compute(water))


def test_workers_that_do_not_see_the_store_are_refused(
    client: Client, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match="is in the memory of this process"):
        xf.to_zarr(fused(inputs), MemoryStore(), progress=False)


def test_a_worker_that_finds_another_run_is_named(
    client: Client, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "holder_of", lambda _: "another")
    with pytest.raises(OSError, match=r"w.zarr is another one, or none, for the workers tcp://"):
        xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)


def test_a_persisted_retrieval_is_written(client: Client, inputs: Path, tmp_path: Path) -> None:
    water = fused(inputs)
    back = xf.to_zarr(water.persist(), tmp_path / "w.zarr", progress=False)
    np.testing.assert_array_equal(back.mu, water.mu)


def noted(folder: Path, block: Any) -> Any:
    if block.size:
        (folder / uuid.uuid4().hex).touch()
    return block


@pytest.mark.parametrize("shared", ["by neighbours", "by all", "by all, and large"])
def test_what_blocks_share_is_computed_once_by_a_cluster(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: str
) -> None:
    monkeypatch.setattr(module, "BLOCKS_ON_CLUSTER", 1)
    (calls := tmp_path / "calls").mkdir()
    note = functools.partial(noted, calls)
    mu = xr.DataArray(np.arange(1.0, 2305, dtype=np.float32).reshape(48, 48), dims=("y", "x"))
    mu = mu.chunk(12 if shared == "by neighbours" else 6)
    mu = mu.copy(data=mu.data.map_blocks(note, meta=np.empty((0, 0), np.float32)))
    if shared == "by all, and large":
        large = np.random.default_rng(0).random(400_000, np.float32)
        plus = functools.partial(lambda block, by: block + by[3], by=large)
        mu = mu.copy(data=mu.data.map_blocks(plus, meta=np.empty((0, 0), np.float32)))
    # 64 blocks in four batches of 16, a row of 12 by 12 each
    water = xf.retrieval(
        (mu if shared == "by neighbours" else mu - mu.mean()).chunk(6), mu.chunk(6)
    )
    xf.to_zarr(water, tmp_path / "two.zarr", progress=False)
    counted = len([*calls.iterdir()])
    # for the mean, which the first batch computes and keeps, then by each block for itself
    assert counted == (16 if shared == "by neighbours" else 64 + 48)
    with dask.config.set(scheduler="threads"):
        xf.to_zarr(water, tmp_path / "one.zarr", progress=False)
    assert contents(tmp_path / "two.zarr") == contents(tmp_path / "one.zarr")


def fails_while(flag: str, block: Any, block_id: Any = None) -> Any:
    if block_id == (3, 3) and Path(flag).exists():
        msg = "the archive is closed"
        raise OSError(msg)
    return block


def test_an_error_on_a_worker_is_told_and_the_run_goes_on_later(
    client: Client, inputs: Path, tmp_path: Path
) -> None:
    water = fused(inputs)
    flag = tmp_path / "closed"
    flag.touch()
    fragile = functools.partial(fails_while, str(flag))
    mu = da.map_blocks(fragile, water.mu.data, meta=np.empty((0, 0), np.float32))
    water = water.assign(mu=water.mu.copy(data=mu))
    with pytest.raises(OSError, match="the archive is closed"):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    flag.unlink()
    xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    with dask.config.set(scheduler="threads"):
        xf.to_zarr(water, tmp_path / "v.zarr", progress=False)
    assert contents(tmp_path / "w.zarr") == contents(tmp_path / "v.zarr")


def test_what_a_task_carries_does_not_grow_with_the_area(tmp_path: Path) -> None:
    sizes = []
    for side in (96, 384):
        water = fused(write_inputs(tmp_path / str(side), side=side))
        graph = dict(water.__dask_graph__())
        sizes.append(max(len(pickle.dumps(task)) for task in graph.values()))
    assert sizes[1] < 1.1 * sizes[0] < 20_000


def test_an_error_of_a_block_leaves_the_client_what_it_has(
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "BLOCKS_ON_CLUSTER", 16)
    monkeypatch.setattr(logging.getLogger("distributed"), "propagate", True)

    def failing(block: Any) -> Any:
        if block.min() == 0:
            raise ValueError(block.shape)
        return block

    values = np.arange(16.0 * 16).reshape(16, 16)
    mu = xr.DataArray(values, dims=("y", "x")).chunk(2)
    mu = mu.copy(data=mu.data.map_blocks(np.copy, meta=np.empty((0, 0))))
    # the mean of the whole is kept, and of the first block what the mean was made of as well
    mu = mu + mu.mean() * 0
    mu = mu.copy(data=mu.data.map_blocks(failing, meta=np.empty((0, 0))))
    own = client.submit(sum, [1, 2])
    assert own.result(timeout=30) == 3
    with pytest.raises(ValueError, match="2, 2"):
        xf.to_zarr(xf.retrieval(mu, mu * 0 + 1), tmp_path / "w.zarr", progress=False)
    assert client.submit(sum, [3, 4]).result(timeout=30) == 7
    assert own.status == "finished"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
