"""A block is one task; what blocks share is computed once, what they have in common sent once."""

import functools
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback
from dask.delayed import delayed

import xfusion as xf
from tests.store_runs import contents, fused, small, write_inputs
from xfusion.raster.file import RasterFile
from xfusion.run.progress import Advance
from xfusion.store import workers
from xfusion.store.batches import Batches
from xfusion.store.parts import in_one_task_each, with_large_apart
from xfusion.store.pattern import Pattern
from xfusion.store.tasks import Block, blocks_of

SIDE, BLOCK = 32, 4
COUNT = (SIDE // BLOCK) ** 2
LARGE = np.random.default_rng(0).random((1, 400_000), np.float32)  # no smaller when packed


def retrieval(change: Callable[[Any], Any]) -> xr.Dataset:
    values = np.arange(1, SIDE * SIDE + 1, dtype=np.float32).reshape(SIDE, SIDE)
    mu = xr.DataArray(values, dims=("y", "x")).chunk(BLOCK)
    return xf.retrieval(mu.copy(data=change(mu.data).rechunk(BLOCK)), mu / 10)


def graph_of(dataset: xr.Dataset) -> tuple[list[Block], dict[Any, Any], dict[str, Any]]:
    """Return blocks and graph as a run has them, and where these write to."""
    targets = {str(name): np.zeros(v.shape, v.dtype) for name, v in dataset.data_vars.items()}

    class Target:
        def __init__(self, name: str) -> None:
            self.name = name
            self.array = targets[name]

        def __setitem__(self, region: Any, block: Any) -> None:
            self.array[region] = block

    def shard(*_: Any) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xfusion.store.tasks.file_of", shard)
        blocks, graph = blocks_of(dataset, Target)
    return blocks, graph, targets


def with_its_place(block: Any, block_info: Any = None, *, by: Any = None, more: Any = ()) -> Any:
    if not block.size:
        return block
    (top, _), (left, _) = block_info[0]["array-location"]
    return block + (100 * top + left) + by["a"][1] + sum(more)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "each block for itself": lambda array: array * 2,
    "numbers, lists and dicts": lambda array: array.map_blocks(
        with_its_place, dtype=np.float32, by={"a": [1, 2]}, more=(3, 4)
    ),
    "neighbours": lambda array: da.overlap.overlap(array, 1, "reflect").map_blocks(
        lambda block: block[1:-1, 1:-1], dtype=np.float32, chunks=array.chunks
    ),
    "other blocks": lambda array: array.rechunk(7) + 1,
    "the mean of all": lambda array: array - array.mean(),
    "something delayed": lambda array: array + da.from_delayed(
        delayed(float, pure=True)(3), (), np.float32
    ),
    "turned round": lambda array: array.T[::-1].T,
}  # fmt: skip


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_blocks_hold_what_dask_computes(
    change: Callable[[Any], Any], scheduler: str, tmp_path: Path
) -> None:
    water = retrieval(change)
    with dask.config.set(scheduler=scheduler, num_workers=2):
        found = xf.to_zarr(water, tmp_path / "w.zarr", progress=False).load()
        np.testing.assert_array_equal(found.mu, water.mu)
        np.testing.assert_array_equal(found.sigma, water.sigma)


def test_a_chain_of_tasks_may_be_long() -> None:
    graph: dict[Any, Any] = {("way", n): (abs, ("way", n - 1)) for n in range(1, 5000)}
    graph["block"] = (pow, ("way", 4999), 2)
    found = in_one_task_each(graph | {("way", 0): -3}, ["block"])
    assert {*found} == {"block"}
    assert dask.get(found, "block") == 9


def test_a_block_is_one_task_that_carries_what_is_its_own(tmp_path: Path) -> None:
    blocks, graph, _ = graph_of(fused(write_inputs(tmp_path)))
    keys = [block.task for block in blocks]
    found = in_one_task_each(graph, keys)
    assert len(graph) > 15 * len(keys)
    assert {*found} == {*keys}
    assert len({id(task.args[0]) for task in found.values()}) == 1  # one pattern
    for task in found.values():
        own = task.args[1]
        assert not task.dependencies
        assert all(isinstance(leaf, slice | int) for leaf in own)
        assert len(pickle.dumps(own)) < 500


def test_the_calls_of_a_block_tell_what_they_read_before_they_run(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path)
    blocks, graph, _ = graph_of(fused(inputs))
    found = in_one_task_each(graph, [block.task for block in blocks])
    pattern, own = found[blocks[-1].task].args
    read = {
        (Path(call.arguments[0].path).name, str(call.arguments[1]))
        for call in pattern.calls(own)
        if len(call.arguments) > 1 and isinstance(call.arguments[0], RasterFile)
    }
    window = str((slice(80, 96, None), slice(80, 96, None)))
    assert read == {(f"{s}_{name}.tif", window) for s in "ab" for name in ("mu", "sigma")}


def test_what_several_blocks_need_is_computed_once_in_a_batch(tmp_path: Path) -> None:
    calls: list[Any] = []

    def counted(block: Any) -> Any:
        calls.append(block.shape)
        return block

    # blocks of 4 from some of 8, which each four of them need
    water = retrieval(lambda a: a.rechunk(8).map_blocks(counted, meta=np.empty((0, 0), np.float32)))
    with dask.config.set(scheduler="threads", num_workers=COUNT // 8):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    assert calls == [(8, 8)] * (COUNT // 4)


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_what_all_blocks_need_is_computed_once_in_a_run(scheduler: str, tmp_path: Path) -> None:
    sums = []

    def summed(block: Any) -> Any:
        sums.append(block.shape)
        return block.sum(keepdims=True)

    def change(array: Any) -> Any:
        parts = array.map_blocks(summed, meta=np.empty((0, 0), np.float32), chunks=(1, 1))
        return array - parts.sum()

    water = retrieval(change)
    with dask.config.set(scheduler=scheduler, num_workers=1):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)  # in eight batches
    assert sums == [(BLOCK, BLOCK)] * COUNT


def test_fewer_blocks_than_workers_are_shared_by_these() -> None:
    blocks, graph, targets = graph_of(small())
    with dask.config.set(scheduler="threads", num_workers=4):
        local = workers.workers_of(small(), 0.0)
        for count in (1, 3, 4):
            tasks: list[Any] = []
            with Callback(posttask=lambda key, *_, tasks=tasks: tasks.append(key)):
                Batches(blocks, range(count), graph, local).run(range(count), Advance())
            assert len(tasks) == count if count == 4 else len(tasks) > 3 * count
    np.testing.assert_array_equal(targets["mu"], small().mu)


def test_an_array_that_is_in_memory_goes_to_the_blocks_that_need_it() -> None:
    noise = np.random.default_rng(1).random((64, 64)).astype(np.float32)
    mu = xr.DataArray(noise, dims=("y", "x")).chunk(16)
    blocks, graph, _ = graph_of(xf.retrieval(mu, mu + 1))
    keys = [block.task for block in blocks]
    found = in_one_task_each(graph, keys)
    assert {*found} == {*keys}
    for task in found.values():
        assert len(task.args[0].pickled()) < 5_000
        assert len(pickle.dumps(task)) < 4 * 16 * 16 + 10_000


def test_what_is_large_and_common_is_a_task_of_its_own() -> None:
    def change(array: Any) -> Any:
        plus = functools.partial(lambda block, by: block + by[0, 5], by=LARGE)
        return array.map_blocks(plus, meta=np.empty((0, 0), np.float32))

    blocks, graph, targets = graph_of(retrieval(change))
    keys = [block.task for block in blocks]
    found = in_one_task_each(graph, keys)
    sent = with_large_apart(found)
    assert len(sent) == len(found) + 1
    own = [task for key, task in sent.items() if key in {*keys}]
    assert sum(len(pickle.dumps(task)) for task in own) < 1000 * COUNT
    dask.get(sent, keys)
    np.testing.assert_array_equal(targets["mu"], retrieval(change).mu)
    little, graph, _ = graph_of(retrieval(lambda array: array + 1))
    found = in_one_task_each(graph, [block.task for block in little])
    assert with_large_apart(found) == found


def test_a_pattern_is_loaded_once_by_a_worker() -> None:
    blocks, graph, _ = graph_of(retrieval(lambda array: array + 1))
    found = in_one_task_each(graph, [block.task for block in blocks[:2]])
    first, second = (pickle.loads(pickle.dumps(task)) for task in found.values())
    assert isinstance(first.args[0], Pattern)
    assert first.args[0].common() is second.args[0].common()


def test_processes_of_this_machine_write_the_same_bytes(tmp_path: Path) -> None:
    water = fused(write_inputs(tmp_path / "in"), block=48)
    for scheduler in ("threads", "processes"):
        with dask.config.set(scheduler=scheduler, num_workers=2):
            xf.to_zarr(water, tmp_path / f"{scheduler}.zarr", progress=False)
    assert contents(tmp_path / "threads.zarr") == contents(tmp_path / "processes.zarr")


FAULTS = """
import resource, sys
import numpy as np
from xfusion.run.allocation import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

cleared = faults()
keep_freed_memory()
faults()
print(cleared, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc that is told")
def test_a_worker_keeps_the_memory_of_a_block_for_the_next() -> None:
    if os.confstr("CS_GNU_LIBC_VERSION") is None:
        pytest.skip("it is glibc that is told")
    # as distributed sets it
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    ran = subprocess.run(
        [sys.executable, "-c", FAULTS], env=environment, check=True, capture_output=True, text=True
    )
    cleared, kept = map(int, ran.stdout.split())
    assert kept < cleared / 10
