"""Blocks of lazy results are put at their places as they are computed, whoever computes them."""

import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback

import xfusion as xf
from xfusion.run import placing
from xfusion.run.placing import placed

ROWS, COLUMNS = 37, 29
CHUNKS = (5, 20, 12), (29,), (13, 16)


def fused(chunks: Any) -> xr.Dataset:
    rng = np.random.default_rng(3)
    first, second = (
        xf.retrieval(
            rng.random((ROWS, COLUMNS), np.float32),
            rng.random((ROWS, COLUMNS), np.float32),
            rng.random((ROWS, COLUMNS)) < 0.2,
            sensor=name,
        )
        for name in ("a", "b")
    )
    if chunks is not None:
        first, second = first.chunk(chunks), second.chunk(chunks)
    water: xr.Dataset = first.fusion.gaussian(second)
    return water


LAZY = {"y": (5, 20, 12), "x": (13, 16)}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Addresses of the results that blocks were put into, not copied together."""
    addresses: list[int] = []
    take = placing.Place.take

    def noted(place: placing.Place, blocks: Any) -> Any:
        array = take(place, blocks)
        if array is not None:
            addresses.append(array.ctypes.data)
        return array

    monkeypatch.setattr(placing.Place, "take", noted)
    return addresses


def in_place(dataset: xr.Dataset, addresses: list[int]) -> bool:
    return all(v.to_numpy().ctypes.data in addresses for v in dataset.data_vars.values())


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
@pytest.mark.parametrize("way", ["compute", "load", "dask", "accessor", "array"])
def test_each_way_to_compute_puts_blocks_at_their_places(
    way: str, scheduler: str, taken: list[int]
) -> None:
    lazy, eager = fused(LAZY), fused(None)
    with dask.config.set(scheduler=scheduler):
        if way == "compute":
            found = lazy.compute()
        elif way == "load":
            found = lazy.copy().load()
        elif way == "dask":
            found, again = dask.compute(lazy, lazy.isel(y=slice(3)))
            xr.testing.assert_identical(again, eager.isel(y=slice(3)))
        elif way == "accessor":
            found = lazy.fusion.compute()
        else:
            found = lazy.copy(data={n: v.data.compute() for n, v in lazy.data_vars.items()})
    xr.testing.assert_identical(found, eager)
    assert in_place(found, taken)


def test_two_of_one_run_share_no_memory(taken: list[int]) -> None:
    lazy = fused(LAZY)
    both, mu, mean = dask.compute(lazy, lazy.mu, lazy.mu.mean())
    # which of them ends first is dask's choice
    assert sum(a.to_numpy().ctypes.data in taken for a in (both.mu, mu)) == 1
    xr.testing.assert_identical(both.mu, mu)
    assert not np.shares_memory(both.mu, mu)
    np.testing.assert_allclose(mean, mu.mean(), rtol=1e-6)


def test_what_knows_its_place_gets_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    places = []

    class Counted(placing.Place):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            places.append(self)

    monkeypatch.setattr(placing, "Place", Counted)
    lazy = fused(LAZY)
    lazy.fusion.compute()
    assert len(places) == len(lazy.data_vars)


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i2", "?", "M8[ns]", "c8"])
def test_any_dtype_in_uneven_chunks_of_a_cube(dtype: str, taken: list[int]) -> None:
    pixels = np.arange(37 * 29 * 29).reshape(37, 29, 29).astype(dtype)
    array = placed(da.from_array(pixels, chunks=CHUNKS))
    np.testing.assert_array_equal(array.compute(), pixels)
    assert len(taken) == 1


@pytest.mark.parametrize(("shape", "chunks"), [((), ()), ((4, 5), (4, 5)), ((0, 5), (1, 2))])
def test_what_has_one_block_or_nothing_is_as_before(shape: Any, chunks: Any) -> None:
    pixels = np.ones(shape)
    array = placed(da.from_array(pixels, chunks=chunks))
    np.testing.assert_array_equal(array.compute(), pixels)


def test_blocks_that_are_not_what_they_were_said_to_be_are_joined_by_dask(taken: list[int]) -> None:
    half = da.ones((4, 6), chunks=3).map_blocks(lambda b: b.astype("f4"), meta=np.ones((0, 0)))
    short = da.ones((4, 6), chunks=3).map_blocks(lambda b: b[:1], meta=np.ones((0, 0)))
    masked = da.ma.masked_less(da.arange(6, chunks=2), 3)
    assert placed(half).compute().dtype == np.float32
    assert placed(short).compute().shape == (2, 6)
    assert placed(masked).compute().mask.sum() == 3
    unknown = da.arange(6, chunks=2)
    unknown = placed(unknown[unknown > 2])
    np.testing.assert_array_equal(unknown.compute(), [3, 4, 5])
    assert not taken


@pytest.mark.parametrize(
    "further",
    [
        lambda ds: ds.mu + ds.sigma,
        lambda ds: ds.isel(y=slice(3, 30)),
        lambda ds: ds.chunk(y=7),
        lambda ds: ds.mu.where(xr.DataArray(da.ones((ROWS, COLUMNS)), dims=ds.mu.dims) > 0),
        lambda ds: ds.fusion.exclude(ds.mu > 0.5),
        lambda ds: ds.transpose("x", "y"),
        lambda ds: ds.copy(deep=True),
        lambda ds: pickle.loads(pickle.dumps(ds)),
        lambda ds: ds.persist(),
        lambda ds: dask.optimize(ds)[0],
        lambda ds: xr.apply_ufunc(np.add, ds.mu, ds.sigma.chunk(y=5, x=13), dask="allowed"),
    ],
)
def test_it_is_like_any_other_lazy_dataset(further: Any) -> None:
    lazy, eager = further(fused(LAZY)), further(fused(None).chunk(LAZY))
    xr.testing.assert_identical(lazy.compute(), eager.compute())
    # a graph that was made ready before can be run again
    xr.testing.assert_identical(lazy.compute(), eager.compute())


def test_no_result_is_made_for_what_needs_one_block_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lazy = fused(LAZY)
    (ready,) = dask.optimize(lazy)
    ready.compute()
    moved, put = [], placing.Place.put

    def noted(place: placing.Place, index: tuple[int, ...], block: Any) -> Any:
        part = put(place, index, block)
        moved.append(part is not block)
        return part

    monkeypatch.setattr(placing.Place, "put", noted)
    dask.compute(lazy.mu.mean(), ready.mu.mean(), da.histogram(lazy.mu.data, 3, (0, 1))[0])
    da.store(lazy.mu.data, np.zeros((ROWS, COLUMNS)))
    assert moved
    assert not any(moved)


def test_a_run_that_fails_leaves_nothing_for_the_next(taken: list[int]) -> None:
    pixels, fail = np.ones((4, 6)), [True]

    def block(part: Any) -> Any:
        if fail[0] and part.shape == (1, 3):
            msg = "broken"
            raise OSError(msg)
        return part

    source = da.from_array(pixels, chunks=3).map_blocks(block, meta=np.ones((0, 0)))
    (ready,) = dask.optimize(xr.Dataset({"a": (("y", "x"), placed(source))}))
    with pytest.raises(OSError, match="broken"):
        ready.compute()
    fail[0] = False
    np.testing.assert_array_equal(ready.compute().a, pixels)
    np.testing.assert_array_equal(ready.a.sum().compute(), 24)
    assert not taken  # what was made ready has dask's own arrays


def test_results_live_as_long_as_somebody_has_them() -> None:
    lazy = fused(LAZY)
    (found,) = dask.compute(lazy)
    result = weakref.ref(found.mu.to_numpy())
    assert found.mu.to_numpy().base is None
    del found
    gc.collect()
    assert result() is None
    gc.collect()
    assert not [*placing._PLACES]


def test_runs_at_one_time_do_not_mix() -> None:
    lazy, eager = fused(LAZY), fused(None)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: lazy.compute(), range(16)):
            xr.testing.assert_identical(found, eager)


def test_callbacks_of_others_are_still_called() -> None:
    seen: list[Any] = []
    with Callback(posttask=lambda key, *_: seen.append(key)):
        fused(LAZY).compute()
    assert seen
    before = len(seen)
    fused(LAZY).compute()
    assert len(seen) == before
