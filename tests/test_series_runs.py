"""States through time on their way to a store: resumed, on a cluster, from any model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from distributed import Client

import xfusion as xf
from tests.local_clusters import client_of_own_cluster
from tests.store_runs import break_off, contents

CHUNKS = {"time": 1, "y": 3, "x": 4}


@dataclass(frozen=True)
class Leaking:
    """Loses a share of itself each day, while its variance grows."""

    loss: float = 0.01
    q: float = 1e-3

    def predict(self, mu: Any, sigma: Any, days: Any) -> tuple[Any, Any]:
        kept = np.exp(-self.loss * days)
        return mu * kept, np.sqrt((sigma * kept) ** 2 + self.q * days)

    def update(self, mu: Any, sigma: Any, seen: Any, seen_sigma: Any) -> tuple[Any, Any]:
        gain = sigma**2 / (sigma**2 + seen_sigma**2)
        return mu + gain * (seen - mu), seen_sigma * np.sqrt(gain)


def series(sensor: str, days: list[int], seed: int) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    shape = len(days), 7, 10
    mu = rng.uniform(0.05, 0.95, shape).astype(np.float32)
    mu[rng.random(shape) < 0.2] = np.nan
    times = np.datetime64("2023-01-01", "ns") + np.array(days) * np.timedelta64(1, "D")
    coords = {"time": times, "y": np.arange(7.0) * -10, "x": np.arange(10.0) * 10}
    mask = (rng.random(shape) < 0.2).astype(np.uint8) * int(xf.Exclusion.CLOUD)
    one, two = (
        xr.DataArray(v, coords, ("time", "y", "x"))
        for v in (mu, rng.uniform(0.05, 0.3, shape).astype(np.float32))
    )
    return xf.retrieval(one, two, mask, sensor=sensor)


S1, S2 = series("sentinel-1", [0, 6, 12, 18, 24], 1), series("sentinel-2", [1, 6, 26], 2)

Call = Callable[..., xr.Dataset]
CALLS: dict[str, Call] = {
    "filter": lambda a, b: xf.filter(a, b, q=0.002, times="3D"),
    "smooth": lambda a, b: xf.smooth(a, b, q=0.002, correlation=0.3),
    "two states": lambda a, b: xf.smooth(a, b, model="two_state", rates=(0.01, 0.05), prior=0.3),
    "most likely rates": lambda a, b: xf.filter(a, b, model="two_state", rates="ml"),
    "a map of q": lambda a, b: xf.smooth(a, b, q=abs(a.mu.isel(time=0, drop=True).fillna(0.5))),
    "a model of one's own": lambda a, b: xf.filter(a, b, model=Leaking()),
    "update": lambda a, b: xf.update(xf.filter(a, q=0.002), b.isel(time=[2]), q=0.002),
}


def lazy(call: str) -> xr.Dataset:
    return CALLS[call](S1.chunk(CHUNKS), S2.chunk(CHUNKS))


def same(found: xr.Dataset, call: str) -> None:
    expected = CALLS[call](S1, S2)
    for name, layer in expected.data_vars.items():
        np.testing.assert_array_equal(found[name].values, layer.values, err_msg=str(name))
        assert found[name].dtype == layer.dtype
    np.testing.assert_array_equal(found.time.values, expected.time.values)


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("call", CALLS)
def test_a_state_whose_run_broke_off_is_gone_on_with_to_the_last_bit(
    call: str, tmp_path: Path
) -> None:
    store = tmp_path / "state.zarr"
    break_off(lazy(call), store, after=30)
    with pytest.raises(FileNotFoundError):
        xr.open_zarr(store)
    same(xf.to_zarr(lazy(call), store, progress=False), call)
    once = tmp_path / "once.zarr"
    xf.to_zarr(lazy(call), once, progress=False)
    assert contents(store) == contents(once)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"q": 0.003}, "q"),
        ({"q": 0.002, "times": "3D"}, "time"),
        ({"model": "two_state", "rates": (0.01, 0.05)}, "model"),
        ({"model": Leaking()}, "model"),
    ],
)
def test_a_run_of_another_model_is_not_gone_on_with(
    change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    store = tmp_path / "state.zarr"
    break_off(xf.filter(S1.chunk(CHUNKS), q=0.002), store, after=30)
    with pytest.raises(ValueError, match=told):
        xf.to_zarr(xf.filter(S1.chunk(CHUNKS), **change), store, progress=False)


def test_a_model_of_ones_own_with_another_number_is_another_run(tmp_path: Path) -> None:
    store = tmp_path / "state.zarr"
    break_off(xf.filter(S1.chunk(CHUNKS), model=Leaking()), store, after=30)
    with pytest.raises(ValueError, match="unfinished run of another job"):
        xf.to_zarr(xf.filter(S1.chunk(CHUNKS), model=Leaking(0.02)), store, progress=False)


def test_a_stored_state_is_carried_on_as_the_one_in_memory(tmp_path: Path) -> None:
    early, late = S1.isel(time=slice(3)), S1.isel(time=slice(3, None))
    store = tmp_path / "state.zarr"
    xf.to_zarr(xf.filter(early.chunk(CHUNKS), q=0.002), store, progress=False)
    state = xr.open_zarr(store).isel(time=-1)
    found = xf.update(state, late, q=0.002)
    expected = xf.filter(S1, q=0.002).isel(time=-1)
    for name in ("mu", "sigma", "mask", "age", "count"):
        np.testing.assert_array_equal(found[name].values.squeeze(), expected[name].values)


def test_when_it_came_is_found_of_a_store_block_by_block(tmp_path: Path) -> None:
    call = "smooth"
    stored = xf.to_zarr(lazy(call), tmp_path / "state.zarr", progress=False)
    of_store, of_memory = (
        xr.Dataset({"onset": xf.onset(state, 0.5), "duration": xf.duration(state, 0.5)})
        for state in (stored, CALLS[call](S1, S2))
    )
    assert dask.is_dask_collection(of_store)
    xr.testing.assert_equal(of_store.compute(), of_memory)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with client_of_own_cluster() as client:
        yield client


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("call", ["smooth", "a model of one's own", "update"])
def test_a_cluster_writes_the_same_bytes_as_one_process(
    call: str, client: Client, tmp_path: Path
) -> None:
    same(xf.to_zarr(lazy(call), tmp_path / "two.zarr", progress=False), call)
    with dask.config.set(scheduler="threads"):
        xf.to_zarr(lazy(call), tmp_path / "one.zarr", progress=False)
    assert contents(tmp_path / "two.zarr") == contents(tmp_path / "one.zarr")
