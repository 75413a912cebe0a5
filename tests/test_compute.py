"""compute fills memory block by block, and gives what dask's own compute gives."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import xfusion as xf


def lazy_retrieval() -> xr.Dataset:
    rng = np.random.default_rng(0)
    mu = xr.DataArray(rng.random((7, 9)), dims=("y", "x"), attrs={"units": "1"})
    dataset = xf.retrieval(mu, mu * 0 + 0.1, rng.random((7, 9)) < 0.2).chunk(y=2, x=4)
    dataset.mu.encoding["dtype"] = "float32"
    return dataset.assign_coords(height=(("y", "x"), da.ones((7, 9), chunks=3)))


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_compute_equals_that_of_dask_with_its_schedulers(scheduler: str) -> None:
    dataset = lazy_retrieval()
    with dask.config.set(scheduler=scheduler):
        computed = dataset.fusion.compute()
        xr.testing.assert_identical(computed, dataset.compute())
    assert all(v.chunks is None for v in computed.variables.values())
    assert computed.mu.encoding == dataset.mu.encoding
    assert dataset.mu.chunks is not None


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_a_pool_of_processes_leaves_no_pixel_unwritten(pool: Any) -> None:
    dataset = lazy_retrieval()
    with pool(2) as workers, dask.config.set(pool=workers):
        computed = xf.compute(dataset)
    xr.testing.assert_identical(computed, dataset.compute(scheduler="sync"))


def test_what_is_in_an_open_file_is_read_too(tmp_path: Path) -> None:
    dataset = lazy_retrieval().compute().drop_vars("height")
    dataset.drop_encoding().to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as opened:
        computed = xf.compute(opened.assign(mask=opened["mask"].chunk(y=2)))
    np.testing.assert_array_equal(computed.mu, dataset.mu)


def test_an_error_in_a_block_is_raised() -> None:
    def broken(block: Any) -> Any:
        msg = "this block is broken"
        raise OSError(msg)

    dataset = lazy_retrieval()
    mu = dataset.mu.copy(data=da.map_blocks(broken, dataset.mu.data, meta=np.empty((0, 0))))
    with pytest.raises(OSError, match="this block is broken"):
        xf.compute(dataset.assign(mu=mu))


def test_a_product_is_computed_as_its_dataset_is() -> None:
    product = xf.SensorProduct(dataset=lazy_retrieval())
    xr.testing.assert_identical(xf.compute(product), product.dataset.compute())


def test_what_is_neither_a_dataset_nor_a_product_is_told_by_its_kind() -> None:
    with pytest.raises(TypeError, match=r"a DataArray is neither .*: call its \.compute\(\)"):
        xf.compute(xf.retrieval(np.ones((2, 2)), 0.1).mu)
