"""Results in Zarr: what a store holds, and that nothing is overwritten."""

import hashlib
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import obstore.store
import pytest
import rasterio
import rasterio.shutil
import xarray as xr
import zarr
from rasterio.vrt import WarpedVRT
from zarr.storage import MemoryStore, ObjectStore

import xfusion as xf
from tests.store_runs import break_off, contents, fused, write_inputs
from xfusion.store.arrays import opened_array
from xfusion.store.fingerprint import differences, job_of


def test_a_finished_store_opens_as_what_was_written_and_has_nothing_else(
    inputs: Path, tmp_path: Path
) -> None:
    water = fused(inputs)
    back = xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    plain = xr.open_zarr(tmp_path / "w.zarr", consolidated=True).load()
    expected = water.compute()
    for name, array in expected.variables.items():
        np.testing.assert_array_equal(plain[name], array, err_msg=str(name))
        assert plain[name].dtype == array.dtype
    assert plain.mask.attrs["flag_meanings"] == expected.mask.attrs["flag_meanings"]
    assert {*plain.coords} == {*expected.coords}
    assert str(plain.rio.crs) == "EPSG:32633"
    assert plain.attrs.pop("fusion_job")
    of_store = ("proj:", "spatial:", "zarr_conventions")  # tests/test_geozarr.py looks at these
    assert {k: str(v) for k, v in plain.attrs.items() if not k.startswith(of_store)} == {
        k: str(v) for k, v in expected.attrs.items()
    }
    assert back.fusion.usable.equals(water.fusion.usable)
    assert dict(back.chunksizes) == dict(water.chunksizes)
    known = {*map(str, expected.variables), "zarr.json"}
    assert {path.name for path in (tmp_path / "w.zarr").iterdir()} == known


def test_the_attributes_of_a_store_are_short_and_tell_no_folder_of_this_machine(
    inputs: Path, tmp_path: Path
) -> None:
    water = fused(inputs).assign_attrs(
        mask_catalog=f"{inputs}/items.json https://x.org http://127.0.0.1:7822",
        mask_links=f'{{"a": "{inputs}/a.json", "b": "https://x.org/b.json"}}',
    )
    store = tmp_path / "w.zarr"
    break_off(water, store)
    (root,) = (store / ".xfusion").glob("*/root.json")
    assert str(inputs) not in root.read_text()
    back = xf.to_zarr(water, store, progress=False)
    for metadata in store.rglob("zarr.json"):
        assert str(tmp_path) not in metadata.read_text()
    assert back.attrs["mask_catalog"] == "items.json https://x.org"
    assert back.attrs["mask_links"] == '{"b": "https://x.org/b.json"}'
    assert "a_mu.tif" in back.attrs["fusion_job"]
    assert all(len(str(value)) < 800 for value in back.attrs.values())


def test_the_files_of_a_long_series_are_not_all_noted(inputs: Path, tmp_path: Path) -> None:
    files = [inputs / f"{name}.tif" for name in ("a_mu", "a_sigma")]
    days = []
    for day in range(20):
        copies = [inputs / f"{day}_{file.name}" for file in files]
        for file, copy in zip(files, copies, strict=True):
            shutil.copy(file, copy)
        days.append(xf.raster.open_retrieval(*copies, chunks=96))
    series = xr.concat(days, "time", combine_attrs="override").assign_coords(time=range(20))
    back = xf.to_zarr(series, tmp_path / "w.zarr", progress=False)
    assert len(back.attrs["fusion_job"]) < 1500
    xf.to_zarr(series, tmp_path / "w.zarr", progress=False)


def test_a_result_that_is_written_again_does_not_claim_the_job_of_its_store(
    inputs: Path, tmp_path: Path
) -> None:
    back = xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)
    files = xf.to_cog(back, tmp_path, progress=False)
    assert "fusion_job" not in files["item"].read_text()
    with rasterio.open(files["mu"]) as file:
        assert "fusion_job" not in file.tags()


def test_a_block_is_one_shard_of_smaller_chunks(tmp_path: Path) -> None:
    mu = xr.DataArray(da.zeros((2000, 3100), np.float32, chunks=(1536, 1536)), dims=("y", "x"))
    xf.to_zarr(xf.retrieval(mu, mu + 1), tmp_path / "w.zarr", progress=False)
    array = zarr.open_array(tmp_path / "w.zarr" / "mu", mode="r")
    assert array.shards == (1536, 1536)
    assert array.chunks == (512, 512)


def test_other_data_stay_untouched(inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("all of it")
    with pytest.raises(FileExistsError, match="mine holds data that xfusion did not write"):
        xf.to_zarr(fused(inputs), folder, resume=False, progress=False)
    with pytest.raises(FileExistsError, match="is a file"):
        xf.to_zarr(fused(inputs), folder / "thesis.txt", progress=False)
    xr.Dataset({"a": 1}).to_zarr(tmp_path / "other.zarr")
    with pytest.raises(FileExistsError, match="a Zarr group that xf.to_zarr did not write"):
        xf.to_zarr(fused(inputs), tmp_path / "other.zarr", progress=False)
    assert contents(folder) == {"thesis.txt": hashlib.sha256(b"all of it").hexdigest()}


def mount(*arguments: str) -> bool:
    command = shutil.which("mount")
    if command is None or os.geteuid():
        return False
    return subprocess.run([command, *arguments], check=False, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)):
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run([shutil.which("umount") or "umount", str(disk)], check=True)


@pytest.mark.thorough
def test_a_full_disk_is_named_and_the_run_goes_on_once_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    inputs = write_inputs(tmp_path / "in", side=256)
    with pytest.raises(OSError, match=r"disk/w.zarr: No space left .*: make room and call"):
        xf.to_zarr(fused(inputs), small_disk / "w.zarr", progress=False)
    assert mount("-o", "remount,size=64m", str(small_disk))
    xf.to_zarr(fused(inputs), small_disk / "w.zarr", progress=False)
    xf.to_zarr(fused(inputs), tmp_path / "v.zarr", progress=False)
    assert contents(small_disk / "w.zarr") == contents(tmp_path / "v.zarr")


def test_a_target_that_is_read_only_is_named(small_disk: Path, inputs: Path) -> None:
    assert mount("-o", "remount,ro", str(small_disk))
    with pytest.raises(OSError, match=r"disk/w.zarr: Read-only .*: choose a store that may be"):
        xf.to_zarr(fused(inputs), small_disk / "w.zarr", progress=False)


def test_an_object_store_gets_the_same_objects(inputs: Path, tmp_path: Path) -> None:
    bucket = obstore.store.MemoryStore()
    back = xf.to_zarr(fused(inputs), ObjectStore(bucket), progress=False)
    xf.to_zarr(fused(inputs), (tmp_path / "v.zarr").as_uri(), progress=False)
    objects = {
        each["path"]: hashlib.sha256(bucket.get(each["path"]).bytes()).hexdigest()
        for page in bucket.list()
        for each in page
    }
    assert objects == contents(tmp_path / "v.zarr")
    np.testing.assert_array_equal(back.mu, fused(inputs).mu)


def test_the_secrets_of_an_address_are_not_told() -> None:
    mu = xr.DataArray(np.ones((4, 4), np.float32), dims=("y", "x"))
    url = "https://user:hunter2@127.0.0.1:9/bucket/w.zarr?sig=hunter3"
    with pytest.raises(OSError, match=r"127.0.0.1:9/bucket/w.zarr") as caught:
        xf.to_zarr(xf.retrieval(mu, mu), url, progress=False)
    assert "hunter" not in str(caught.value)


def test_further_variables_dims_and_uneven_blocks_are_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    mu = xr.DataArray(rng.random((3, 10, 11)), dims=("time", "y", "x"))
    dataset = xf.retrieval(mu, mu + 1, mu > 0.9).chunk(time=2, y=(3, 4, 3), x=5)
    dataset["conflict"] = dataset.mu > 0.5
    dataset["weight"] = ("sensor", [0.5, 0.5])
    dataset = dataset.assign_coords(height=(("y", "x"), da.ones((10, 11), chunks=4)))
    back = xf.to_zarr(dataset, tmp_path / "w.zarr", progress=False).load()
    for name, variable in dataset.compute().variables.items():
        np.testing.assert_array_equal(back[name], variable, err_msg=str(name))
        assert back[name].dtype == variable.dtype


def test_small_variables_in_memory_go_beside_even_blocks(tmp_path: Path) -> None:
    mu = xr.DataArray(np.arange(64.0).reshape(8, 8), dims=("y", "x"))
    dataset = xf.retrieval(mu, mu + 1).chunk(4).assign(q=("y", np.arange(8)), lone=da.zeros(()) + 3)
    back = xf.to_zarr(dataset, tmp_path / "w.zarr", progress=False)
    np.testing.assert_array_equal(back.q, np.arange(8))
    assert float(back.lone) == 3


def cube() -> xr.Dataset:
    mu = xr.DataArray(np.arange(60.0).reshape(3, 4, 5), dims=("time", "y", "x"))
    return xf.retrieval(mu, mu + 1).assign_coords(
        time=np.array(["2023-06-01", "2023-06-03", "NaT"], "M8[ns]"),
        wait=("time", np.array([1, 2, 5], "m8[s]").astype("m8[ns]")),
        row=("y", list("abcd")),
        orbit=7,
        moment=np.datetime64("2023-06-01T05:00:00.123456789", "ns"),
    )


@pytest.mark.parametrize("chunks", [None, {"time": 1, "y": 3, "x": 2}, {"y": (1, 3), "x": (3, 2)}])
def test_times_texts_and_flags_are_read_as_they_were_written(tmp_path: Path, chunks: Any) -> None:
    dataset = cube().assign(seen=cube().mu > 5, count=cube().mu.astype("uint16"))
    dataset["when"] = dataset.time.expand_dims(x=5)
    dataset = dataset if chunks is None else dataset.chunk(chunks)
    back = xf.to_zarr(dataset, tmp_path / "w.zarr", progress=False)
    xr.testing.assert_equal(back.load().drop_attrs(), dataset.compute().drop_attrs())
    assert xf.verify(tmp_path / "w.zarr", progress=False) == {}
    again = xf.to_zarr(dataset, tmp_path / "w.zarr", progress=False)
    xr.testing.assert_identical(again.load(), back)


@pytest.mark.parametrize("name", ["time", "wait", "moment"])
def test_times_whose_file_is_gone_are_none(tmp_path: Path, name: str) -> None:
    xf.to_zarr(cube(), tmp_path / "w.zarr", progress=False)
    for path in [*(tmp_path / "w.zarr" / name).rglob("*")]:
        if path.is_file() and path.name != "zarr.json":
            path.unlink()
    assert np.isnat(xr.open_zarr(tmp_path / "w.zarr")[name]).all()
    assert f"{name}/c" in " ".join(xf.verify(tmp_path / "w.zarr", progress=False))


@pytest.mark.parametrize("dims", [("q",), ("q", "y", "x")])
def test_a_variable_without_values_is_named_before_anything_is_written(
    tmp_path: Path, dims: tuple[str, ...]
) -> None:
    empty = np.zeros([{"q": 0, "y": 4, "x": 5}[dim] for dim in dims])
    with pytest.raises(ValueError, match=r"extra has no values, .*\.drop_vars\('extra'\)"):
        xf.to_zarr(cube().assign(extra=(dims, empty)), tmp_path / "w.zarr", progress=False)
    assert not (tmp_path / "w.zarr").exists()


def test_each_time_of_a_series_is_a_block_of_its_own(tmp_path: Path) -> None:
    mu = xr.DataArray(np.ones((20, 4, 4), np.float32), dims=("time", "y", "x"))
    dataset = xf.retrieval(mu, mu).chunk(time=1)
    break_off(dataset, tmp_path / "w.zarr")
    assert [*(tmp_path / "w.zarr" / ".xfusion").glob("*/done/*.json")]
    xf.to_zarr(dataset, tmp_path / "w.zarr", progress=False)


def test_the_files_of_a_vrt_are_inputs(inputs: Path) -> None:
    vrt = inputs / "mosaic.vrt"
    with rasterio.open(inputs / "a_mu.tif") as file, WarpedVRT(file, crs=file.crs) as warped:
        rasterio.shutil.copy(warped, vrt, driver="VRT")
    water = xf.raster.open_retrieval(vrt, inputs / "a_sigma.tif", chunks=16)
    before = job_of(water)
    os.utime(inputs / "a_mu.tif", (0, 0))
    assert "mosaic.vrt was" in differences(before, job_of(water))


def test_an_attribute_that_zarr_cannot_hold_is_named_before_anything_is_written(
    inputs: Path, tmp_path: Path
) -> None:
    water = fused(inputs).assign_attrs(made=Path("x"))
    with pytest.raises(ValueError, match=r"attribute 'made' of the retrieval is a PosixPath"):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)


def test_a_store_has_no_groups_but_its_own(inputs: Path, tmp_path: Path) -> None:
    xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)
    assert list(xr.open_datatree(tmp_path / "w.zarr", engine="zarr").children) == []


def test_the_memory_of_another_process_is_no_store(inputs: Path) -> None:
    with (
        dask.config.set(scheduler="processes"),
        pytest.raises(TypeError, match="is in the memory of this process"),
    ):
        xf.to_zarr(fused(inputs), MemoryStore(), progress=False)


def test_a_retrieval_in_memory_is_written(tmp_path: Path) -> None:
    mu = np.random.default_rng(0).random((5, 7))
    back = xf.to_zarr(xf.retrieval(mu, mu), tmp_path / "w.zarr", progress=False)
    np.testing.assert_array_equal(back.mu, mu)


def test_product_and_accessor_write_the_same(inputs: Path, tmp_path: Path) -> None:
    water = fused(inputs)
    product = water.fusion.product.to_zarr(tmp_path / "p.zarr", progress=False)
    water.fusion.to_zarr(tmp_path / "a.zarr", progress=False)
    assert isinstance(product, xf.SensorProduct)
    assert contents(tmp_path / "p.zarr") == contents(tmp_path / "a.zarr")


def test_a_log_has_lines_of_progress(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xf.to_zarr(fused(inputs), tmp_path / "w.zarr")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("w.zarr: 0 of 36 blocks (0 %)")
    assert lines[-1].endswith("w.zarr: 36 of 36 blocks (100 %), 0 s left")


def test_the_retrieval_that_is_written_stays_as_it_is(inputs: Path, tmp_path: Path) -> None:
    water = fused(inputs).assign_attrs(fusion_job="of another store")
    water = water.assign_coords(height=da.ones(()) * 2)  # lazy, and without dims
    attrs, encoding = dict(water.attrs), dict(water.mu.encoding)
    back = xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    assert water.attrs == attrs
    assert water.mu.encoding == encoding
    assert water.height.chunks is not None
    assert float(back.height) == 2


def test_only_what_a_job_names_as_a_variable_is_deleted(inputs: Path, tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    break_off(fused(inputs).assign_attrs({"of variable mine": 1}), store)
    (store / "attribute of variable mine").mkdir()
    (store / "attribute of variable mine" / "thesis.txt").write_text("all of it")
    xf.to_zarr(fused(inputs), store, resume=False, progress=False)
    assert (store / "attribute of variable mine" / "thesis.txt").exists()


def test_arrays_opened_by_many_threads_leave_the_settings_of_zarr_as_they_were(
    tmp_path: Path,
) -> None:
    zarr.create_array(tmp_path / "w.zarr", name="mu", shape=(4,), dtype="f4")
    store = zarr.storage.LocalStore(tmp_path / "w.zarr")
    before, filters = zarr.config.get("array.write_empty_chunks"), warnings.filters[:]
    with ThreadPoolExecutor(8) as pool:
        arrays = [*pool.map(lambda _: opened_array(store, "mu"), range(400))]
    assert len(arrays) == 400
    assert zarr.config.get("array.write_empty_chunks") == before
    assert warnings.filters[:] == filters
