"""Runs to Zarr: the same bytes however often they are killed, and nothing overwritten."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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
from affine import Affine
from rasterio.vrt import WarpedVRT
from zarr.storage import MemoryStore, ObjectStore, WrapperStore

import xfusion as xf
from xfusion.store import workers
from xfusion.store.fingerprint import differences, job_of

SIDE, BLOCK = 96, 16


def write_inputs(folder: Path, *, side: int = SIDE, seed: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for sensor in ("a", "b"):
        for name in ("mu", "sigma"):
            pixels = rng.random((side, side), np.float32) + 0.1
            pixels[:10, :30] = np.nan
            with rasterio.open(
                folder / f"{sensor}_{name}.tif",
                "w",
                driver="GTiff",
                width=side,
                height=side,
                count=1,
                dtype="float32",
                crs="EPSG:32633",
                transform=Affine(10, 0, 500000, 0, -10, 5300000),
                nodata=np.nan,
                tiled=True,
                blockxsize=16,
                blockysize=16,
            ) as file:
                file.write(pixels, 1)
    return folder


def fused(folder: Path, *, correlation: float = 0.0, block: int = BLOCK) -> xr.Dataset:
    a, b = (
        xf.SensorProduct.open(
            folder / f"{s}_mu.tif", folder / f"{s}_sigma.tif", time="2023-06-20", chunks=block
        )
        for s in "ab"
    )
    b = b.exclude(b.mu > 1)
    return a.gaussian(b, correlation=correlation).dataset


def contents(store: Path) -> dict[str, str]:
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    return write_inputs(tmp_path / "in")


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
    assert {k: str(v) for k, v in plain.attrs.items()} == {
        k: str(v) for k, v in expected.attrs.items()
    }
    assert back.fusion.usable.equals(water.fusion.usable)
    assert dict(back.chunksizes) == dict(water.chunksizes)
    known = {*map(str, expected.variables), "zarr.json"}
    assert {path.name for path in (tmp_path / "w.zarr").iterdir()} == known


def test_a_block_is_one_shard_of_smaller_chunks(tmp_path: Path) -> None:
    mu = xr.DataArray(da.zeros((2000, 3100), np.float32, chunks=(1536, 1536)), dims=("y", "x"))
    xf.to_zarr(xf.retrieval(mu, mu + 1), tmp_path / "w.zarr", progress=False)
    array = zarr.open_array(tmp_path / "w.zarr" / "mu", mode="r")
    assert array.shards == (1536, 1536)
    assert array.chunks == (512, 512)


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.test_store import fused
import xfusion as xf

dataset = fused(Path({inputs!r}), block=8)
print("ready", flush=True)
sys.stdin.readline()
xf.to_zarr(dataset, {store!r}, progress=False)
print("finished", flush=True)
"""


def start(inputs: Path, store: Path) -> "subprocess.Popen[str]":
    code = CHILD.format(tests=str(Path(__file__).parents[1]), inputs=str(inputs), store=str(store))
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def go(child: "subprocess.Popen[str]") -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def test_a_run_killed_at_20_random_moments_ends_with_the_same_bytes(
    inputs: Path, tmp_path: Path
) -> None:
    child = start(inputs, tmp_path / "whole.zarr")
    begun = time.monotonic()
    go(child)
    assert child.communicate(timeout=100)[0] == "finished\n"
    took = time.monotonic() - begun
    expected = contents(tmp_path / "whole.zarr")
    rng = np.random.default_rng(7)
    kills, runs = 0, 0
    store = tmp_path / "0.zarr"
    while kills < 20:
        child = start(inputs, store)
        go(child)
        time.sleep(rng.uniform(0, 0.4 * took))
        child.send_signal(signal.SIGKILL)
        finished = child.communicate()[0] == "finished\n"
        kills += not finished
        if finished:
            assert contents(store) == expected
            runs += 1
            store = tmp_path / f"{runs}.zarr"
    xf.to_zarr(fused(inputs, block=8), store, progress=False)
    assert contents(store) == expected


class KilledError(Exception):
    pass


class Mortal(WrapperStore[MemoryStore]):
    """A store whose process dies after some operations."""

    left = 10**9

    def _one(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KilledError

    async def set(self, key: str, value: Any) -> None:
        self._one()
        await super().set(key, value)

    async def delete(self, key: str) -> None:
        self._one()
        await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        self._one()
        await super().delete_dir(prefix)


def test_a_run_that_ends_after_any_operation_can_be_resumed() -> None:
    mu = xr.DataArray(np.arange(16.0).reshape(4, 4) + 1, dims=("y", "x")).chunk(2)
    dataset = xf.retrieval(mu, mu)
    with dask.config.set(scheduler="sync", num_workers=1):
        whole = MemoryStore()
        xf.to_zarr(dataset, whole, progress=False)
        expected = {key: value.to_bytes() for key, value in whole._store_dict.items()}
        for operations in range(1000):
            memory = MemoryStore()
            mortal = Mortal(memory)
            mortal.left = operations
            try:
                xf.to_zarr(dataset, mortal, progress=False)
            except KilledError:
                pass
            else:
                break
            xf.to_zarr(dataset, memory, progress=False)
            found = {key: value.to_bytes() for key, value in memory._store_dict.items()}
            assert found == expected, operations
    assert 10 < operations < 999


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"correlation": 0.3}, "fusion_correlation was 0.0, is 0.3"),
        ({"block": 32}, r"variable mu was .*\[16, 16\], is .*\[32, 32\]"),
    ],
)
def test_a_resume_with_another_parameter_is_refused_by_its_name(
    inputs: Path, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    break_off(fused(inputs), tmp_path / "w.zarr")
    before = contents(tmp_path / "w.zarr")
    with pytest.raises(ValueError, match=named):
        xf.to_zarr(fused(inputs, **change), tmp_path / "w.zarr", progress=False)
    assert contents(tmp_path / "w.zarr") == before


def break_off(dataset: xr.Dataset, store: Path) -> None:
    """Leave an unfinished run of a Dataset: its last batch is never written."""
    from xfusion.store import write as module

    written = iter(range(10**6))

    def write(target: Any, region: Any, block: Any) -> None:
        if next(written) > 10:
            raise KilledError
        target[region] = block

    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="sync"):
        patch.setattr(module, "_write", write)
        patch.setattr(workers, "BLOCKS_A_WORKER", 1)
        with pytest.raises(KilledError):
            xf.to_zarr(dataset, store, progress=False)


def test_a_resume_with_a_changed_input_is_refused_by_its_name(inputs: Path, tmp_path: Path) -> None:
    break_off(fused(inputs), tmp_path / "w.zarr")
    write_inputs(inputs, seed=1)
    with pytest.raises(ValueError, match=r"input .*a_mu.tif was \d+ bytes, written"):
        xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)


def test_a_run_whose_input_is_gone_does_not_begin(inputs: Path, tmp_path: Path) -> None:
    water = fused(inputs)
    (inputs / "b_sigma.tif").unlink()
    with pytest.raises(FileNotFoundError, match="b_sigma.tif"):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    assert not (tmp_path / "w.zarr").exists()


def test_a_resume_with_other_values_in_memory_is_refused(tmp_path: Path) -> None:
    mu = xr.DataArray(np.ones((8, 8), np.float32), dims=("y", "x"))
    break_off(xf.retrieval(mu, mu).chunk(2), tmp_path / "w.zarr")
    with pytest.raises(ValueError, match="values in memory, or a function"):
        xf.to_zarr(xf.retrieval(mu * 2, mu).chunk(2), tmp_path / "w.zarr", progress=False)


def test_a_resumed_run_does_not_compute_again_what_is_done(inputs: Path, tmp_path: Path) -> None:
    from xfusion.store import write as module

    break_off(fused(inputs), tmp_path / "w.zarr")
    written = []

    def write(target: Any, region: Any, block: Any) -> None:
        written.append(region)
        target[region] = block

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_write", write)
        xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)
    whole = 4 * (SIDE // BLOCK) ** 2
    assert 0 < len(written) < whole
    xf.to_zarr(fused(inputs), tmp_path / "v.zarr", progress=False)
    assert contents(tmp_path / "w.zarr") == contents(tmp_path / "v.zarr")


def test_an_unfinished_store_is_not_taken_for_a_result(inputs: Path, tmp_path: Path) -> None:
    break_off(fused(inputs), tmp_path / "w.zarr")
    with pytest.raises((FileNotFoundError, zarr.errors.GroupNotFoundError)):
        xr.open_zarr(tmp_path / "w.zarr")
    mask: Any = zarr.open_array(tmp_path / "w.zarr" / "mask", mode="r")
    assert (mask[-BLOCK:, -BLOCK:] == xf.Exclusion.UNKNOWN).all()


def test_resume_false_begins_anew(inputs: Path, tmp_path: Path) -> None:
    break_off(fused(inputs, correlation=0.5), tmp_path / "w.zarr")
    xf.to_zarr(fused(inputs), tmp_path / "w.zarr", resume=False, progress=False)
    xf.to_zarr(fused(inputs), tmp_path / "v.zarr", progress=False)
    assert contents(tmp_path / "w.zarr") == contents(tmp_path / "v.zarr")


@pytest.mark.parametrize("resume", [True, False])
def test_a_finished_result_is_never_overwritten(inputs: Path, tmp_path: Path, resume: bool) -> None:
    store = tmp_path / "w.zarr"
    xf.to_zarr(fused(inputs), store, progress=False)
    before = contents(store)
    with pytest.raises(FileExistsError, match="fusion_correlation was 0.0, is 0.5"):
        xf.to_zarr(fused(inputs, correlation=0.5), store, resume=resume, progress=False)
    assert contents(store) == before


def test_the_same_job_again_returns_what_is_there(inputs: Path, tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    first = xf.to_zarr(fused(inputs), store, progress=False)
    written = (store / "zarr.json").stat().st_mtime_ns
    again = xf.to_zarr(fused(inputs), store, progress=False)
    xr.testing.assert_identical(first, again)
    assert (store / "zarr.json").stat().st_mtime_ns == written


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


def test_each_time_of_a_series_is_a_block_of_its_own(tmp_path: Path) -> None:
    mu = xr.DataArray(np.ones((20, 4, 4), np.float32), dims=("time", "y", "x"))
    dataset = xf.retrieval(mu, mu).chunk(time=1)
    break_off(dataset, tmp_path / "w.zarr")
    assert list((tmp_path / "w.zarr" / ".xfusion" / "done").iterdir())
    xf.to_zarr(dataset, tmp_path / "w.zarr", progress=False)


def test_units_are_part_of_a_job(inputs: Path, tmp_path: Path) -> None:
    water = fused(inputs)
    xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    other = water.copy()
    other["mu"] = other.mu.assign_attrs(units="m")
    with pytest.raises(FileExistsError, match=r"attribute mu.units was none, is m"):
        xf.to_zarr(other, tmp_path / "w.zarr", progress=False)


def test_a_finished_result_of_other_inputs_is_told_by_their_names(
    inputs: Path, tmp_path: Path
) -> None:
    xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)
    write_inputs(inputs, seed=1)
    with pytest.raises(FileExistsError, match=r"input .*a_mu.tif was \d+ bytes"):
        xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)


RULE = """
import xfusion as xf

THRESHOLD = {threshold}

def rule(mus, sigmas):
    return mus[0] + THRESHOLD, sigmas[0]
"""


def test_a_rule_that_is_edited_is_another_job(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_rules.py").write_text(RULE.format(threshold=1))
    import my_rules  # type: ignore[import-not-found]  # written above

    a, b = (
        xf.raster.open_retrieval(inputs / f"{s}_mu.tif", inputs / f"{s}_sigma.tif", chunks=16)
        for s in "ab"
    )

    def job() -> dict[str, str]:
        return job_of(a.fusion.fuse(b, rule=my_rules.rule))

    before = job()
    assert job() == before
    (tmp_path / "my_rules.py").write_text(RULE.format(threshold=22))
    assert "my_rules.py was" in differences(before, job())


def test_the_files_of_a_vrt_are_inputs(inputs: Path) -> None:
    vrt = inputs / "mosaic.vrt"
    with rasterio.open(inputs / "a_mu.tif") as file, WarpedVRT(file, crs=file.crs) as warped:
        rasterio.shutil.copy(warped, vrt, driver="VRT")
    water = xf.raster.open_retrieval(vrt, inputs / "a_sigma.tif", chunks=16)
    before = job_of(water)
    os.utime(inputs / "a_mu.tif", (0, 0))
    assert "mosaic.vrt was" in differences(before, job_of(water))


def test_another_run_on_the_same_store_is_noticed(inputs: Path, tmp_path: Path) -> None:
    from xfusion.store import write as module

    water, store = fused(inputs), tmp_path / "w.zarr"

    def write(target: Any, region: Any, block: Any) -> None:
        target[region] = block
        (store / ".xfusion" / "run").write_text("another")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_write", write)
        with pytest.raises(RuntimeError, match="another run has taken over"):
            xf.to_zarr(water, store, progress=False)
    xf.to_zarr(water, store, progress=False)
    xf.to_zarr(water, tmp_path / "v.zarr", progress=False)
    assert contents(store) == contents(tmp_path / "v.zarr")


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


def test_a_job_that_is_torn_is_told(inputs: Path, tmp_path: Path) -> None:
    break_off(fused(inputs), tmp_path / "w.zarr")
    (tmp_path / "w.zarr" / ".xfusion" / "job.json").write_text("{")
    with pytest.raises(ValueError, match=r"job.json is not whole.*resume=False"):
        xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)
    xf.to_zarr(fused(inputs), tmp_path / "w.zarr", resume=False, progress=False)


def test_what_others_put_beside_an_unfinished_run_stays(inputs: Path, tmp_path: Path) -> None:
    break_off(fused(inputs), tmp_path / "w.zarr")
    (tmp_path / "w.zarr" / "thesis.txt").write_text("all of it")
    xf.to_zarr(fused(inputs), tmp_path / "w.zarr", resume=False, progress=False)
    assert (tmp_path / "w.zarr" / "thesis.txt").read_text() == "all of it"


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


def test_a_finished_result_whose_run_was_killed_while_tidying_up_stays(
    inputs: Path, tmp_path: Path
) -> None:
    store = tmp_path / "w.zarr"
    water = fused(inputs)
    xf.to_zarr(water, store, progress=False)
    before = contents(store)
    (store / ".xfusion").mkdir()
    (store / ".xfusion" / "job.json").write_text("{}")
    for resume in (True, False):
        with pytest.raises(FileExistsError, match="finished result of another job"):
            xf.to_zarr(fused(inputs, correlation=0.5), store, resume=resume, progress=False)
    xf.to_zarr(water, store, progress=False)
    assert contents(store) == before


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
