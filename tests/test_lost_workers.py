"""Clusters that lose workers: word within seconds, an end in time, and a run that can go on."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from distributed import Client

import xfusion as xf
from tests.local_clusters import client_of_own_cluster, local_cluster
from tests.store_runs import contents
from tests.waits import AT_MOST, FOR_EVER
from xfusion.raster.deadline import within
from xfusion.store import cluster as module
from xfusion.store.draft import Draft

SIDE, BLOCK = 32, 4


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_AFTER", 3.0)
    monkeypatch.setattr(module, "NOTICE", 0.5)


@contextlib.contextmanager
def clients(workers: int = 2, **options: Any) -> Iterator[Client]:
    with client_of_own_cluster(workers, **options) as client:
        # what workers import at first takes longer than these tests wait
        client.run(slowly, 0, pause=0.0)
        yield client


def slowly(block: Any, pause: float = 0.05) -> Any:
    time.sleep(pause)
    return block


def retrieval(pause: float = 0.05) -> xr.Dataset:
    values = np.arange(1, SIDE * SIDE + 1, dtype=np.float32).reshape(SIDE, SIDE)
    mu = xr.DataArray(values, dims=("y", "x")).chunk(BLOCK)
    slow = mu.copy(data=mu.data.map_blocks(slowly, pause=pause, dtype=np.float32))
    return xf.retrieval(slow, mu / 10)


def right(store: Path) -> None:
    water = xr.open_zarr(store).load()
    np.testing.assert_array_equal(water.mu.to_numpy().ravel(), np.arange(1, SIDE * SIDE + 1))


@contextlib.contextmanager
def once_under_way(store: Path, act: Callable[[], object]) -> Iterator[None]:
    """Do something as soon as a run has written a block; not if the run ends before."""
    ended = threading.Event()

    def wait() -> None:
        while not ended.wait(0.01):
            if list(store.glob(".xfusion/*/arrays/mu/c/*/*")):
                act()
                break

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.thorough
@pytest.mark.slow
def test_blocks_of_a_worker_that_freezes_are_given_to_the_others(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    with clients() as client:
        pids = [*client.run(os.getpid).values()]
        try:
            with once_under_way(store, lambda: os.kill(pids[0], signal.SIGSTOP)):
                within(AT_MOST, lambda: xf.to_zarr(retrieval(), store, timeout=FOR_EVER))
        finally:
            os.kill(pids[0], signal.SIGCONT)
        right(store)


@pytest.mark.thorough
@pytest.mark.slow
def test_a_run_whose_workers_are_all_frozen_says_so_ends_and_can_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "w.zarr"
    with clients() as client:
        pids = [*client.run(os.getpid).values()]

        def freeze() -> None:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)

        said = r"w.zarr: no worker has answered for 4 s.* of 64 blocks .*to_zarr again"
        try:
            with once_under_way(store, freeze), pytest.raises(OSError, match=said):
                within(AT_MOST, lambda: xf.to_zarr(retrieval(), store, timeout=4))
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        assert "waiting for workers" in capsys.readouterr().err
        xf.to_zarr(retrieval(), store, progress=False)
        right(store)


@pytest.mark.slow
def test_a_run_whose_workers_have_gone_ends_and_can_go_on_with_others(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    with clients() as client:
        cluster: Any = client.cluster
        with (
            once_under_way(store, lambda: cluster.scale(0)),
            pytest.raises(OSError, match="no worker has answered for 3 s"),
        ):
            within(AT_MOST, lambda: xf.to_zarr(retrieval(), store, progress=False, timeout=3))
        cluster.scale(1)
        xf.to_zarr(retrieval(), store, progress=False)
        right(store)


def test_a_cluster_that_adapts_is_given_work_before_it_has_workers(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    with (
        local_cluster(0) as cluster,
        Client(cluster),
    ):
        cluster.adapt(minimum=0, maximum=1, interval="100ms")
        xf.to_zarr(retrieval(0.0), store, progress=False)
        right(store)


@pytest.mark.slow
def test_a_block_that_is_too_large_for_the_workers_is_told(tmp_path: Path) -> None:
    def greedy(block: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)  # as the nanny does, or the kernel
        return block

    water = retrieval(0.0)
    mu = water.mu.copy(data=water.mu.data.map_blocks(greedy, meta=np.empty((0, 0), np.float32)))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        clients(1),
        pytest.raises(OSError, match=r"w.zarr: a block was begun again .* memory"),
    ):
        xf.to_zarr(water.assign(mu=mu), tmp_path / "w.zarr", progress=False, timeout=30)


@contextlib.contextmanager
def scheduler_of_another_process(folder: Path) -> Iterator[tuple[Client, int]]:
    """Yield a client of a cluster with one worker, and the process of its scheduler."""
    address = folder / "scheduler.json"
    parts = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
             "--port", "0", "--no-dashboard", "--scheduler-file", str(address)],
            stderr=subprocess.DEVNULL,
        ),
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(address),
             "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)],
            stderr=subprocess.DEVNULL,
        ),
    ]  # fmt: skip
    try:
        # for so long the client looks for a scheduler that was lost
        client = Client(scheduler_file=str(address), timeout=FOR_EVER)
        try:
            client.wait_for_workers(1, timeout=60)
            client.run(slowly, 0, pause=0.0)
            yield client, parts[0].pid
        finally:
            client.close(timeout=1)
    finally:
        for part in parts:
            part.kill()
            part.wait()


@pytest.mark.some(one_in=3)
@pytest.mark.slow
@pytest.mark.parametrize("moment", ["in a batch", "between two batches", "while it submits"])
def test_a_run_whose_scheduler_is_killed_ends_and_can_go_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    store = tmp_path / "w.zarr"
    monkeypatch.setattr(module, "BLOCKS_ON_CLUSTER", 8)
    with scheduler_of_another_process(tmp_path) as (client, pid):

        def kill() -> None:
            os.kill(pid, signal.SIGKILL)
            while client.status == "running" and moment != "in a batch":
                time.sleep(0.01)

        def kill_and_note(draft: Draft, blocks: list[int]) -> None:
            kill()
            note(draft, blocks)

        def kill_and_tell(_: Any) -> set[str]:
            kill()
            return set()

        note, acts = Draft.note, contextlib.ExitStack()
        if moment == "in a batch":
            acts.enter_context(once_under_way(store, kill))
        elif moment == "between two batches":
            monkeypatch.setattr(Draft, "note", kill_and_note)
        else:
            # the last that it asks before
            monkeypatch.setattr(module._Workers, "silent", kill_and_tell)
        said = r"w.zarr: the scheduler .* is gone.*to_zarr again"
        with acts, pytest.raises(OSError, match=said):
            within(AT_MOST, lambda: xf.to_zarr(retrieval(), store, timeout=FOR_EVER))
    monkeypatch.undo()
    xf.to_zarr(retrieval(), store, progress=False)
    right(store)
    xf.to_zarr(retrieval(), tmp_path / "v.zarr", progress=False)
    assert contents(store) == contents(tmp_path / "v.zarr")


@pytest.mark.thorough
@pytest.mark.slow
def test_a_run_whose_scheduler_is_frozen_says_so_ends_and_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "w.zarr"
    monkeypatch.setattr(module, "ANSWER_WITHIN", 1.0)
    with scheduler_of_another_process(tmp_path) as (_, pid):
        said = r"w.zarr: the scheduler of the cluster has not answered for 3 s"
        freeze = once_under_way(store, lambda: os.kill(pid, signal.SIGSTOP))
        try:
            with freeze, pytest.raises(OSError, match=said):
                within(AT_MOST, lambda: xf.to_zarr(retrieval(), store, timeout=3))
        finally:
            os.kill(pid, signal.SIGCONT)
        assert "waiting for" in capsys.readouterr().err
        xf.to_zarr(retrieval(), store, progress=False)
        right(store)
