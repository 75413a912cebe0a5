"""Runs to Zarr that were broken off: the same bytes in the end; and who may go on with them."""

import signal
import time
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import MemoryStore, WrapperStore

import xfusion as xf
from tests.forked import Forked
from tests.store_runs import BLOCK, SIDE, KilledError, break_off, contents, fused, write_inputs
from xfusion.store.fingerprint import differences, job_of


def run(pipe: Any, inputs: str, store: str) -> None:
    dataset = fused(Path(inputs), block=8)
    pipe.send("ready")
    pipe.recv()
    xf.to_zarr(dataset, store, progress=False)
    pipe.send("finished")


@pytest.mark.slow
@pytest.mark.parametrize("moments", [3, pytest.param(20, marks=pytest.mark.thorough)])
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(
    moments: int, inputs: Path, tmp_path: Path
) -> None:
    child = Forked(run, str(inputs), str(tmp_path / "whole.zarr"))
    begun = time.monotonic()
    child.go()
    assert child.said() == "finished"
    took = time.monotonic() - begun
    expected = contents(tmp_path / "whole.zarr")
    rng = np.random.default_rng(7)
    kills, runs = 0, 0
    store = tmp_path / "0.zarr"
    while kills < moments:
        child = Forked(run, str(inputs), str(store))
        child.go()
        time.sleep(rng.uniform(0, 0.4 * took))
        child.signal(signal.SIGKILL)
        finished = child.said() == "finished"
        kills += not finished
        if finished:
            assert contents(store) == expected
            runs += 1
            store = tmp_path / f"{runs}.zarr"
    xf.to_zarr(fused(inputs, block=8), store, progress=False)
    assert contents(store) == expected


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

    def with_read_only(self, read_only: bool = False) -> "Mortal":
        return Mortal(self._store.with_read_only(read_only))


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
    from xfusion.store import tasks as module

    break_off(fused(inputs), tmp_path / "w.zarr")
    written = []

    def write(target: Any, region: Any, block: Any) -> None:
        written.append(region)
        target[region] = block

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_write", write)
        xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)
    whole = 5 * (SIDE // BLOCK) ** 2
    assert 0 < len(written) < whole
    xf.to_zarr(fused(inputs), tmp_path / "v.zarr", progress=False)
    assert contents(tmp_path / "w.zarr") == contents(tmp_path / "v.zarr")


def test_an_unfinished_store_is_not_taken_for_a_result(inputs: Path, tmp_path: Path) -> None:
    break_off(fused(inputs), tmp_path / "w.zarr")
    with pytest.raises((FileNotFoundError, zarr.errors.GroupNotFoundError)):
        xr.open_zarr(tmp_path / "w.zarr")
    assert not (tmp_path / "w.zarr" / "mask").exists()
    (draft,) = (tmp_path / "w.zarr" / ".xfusion").glob("*/arrays")
    mask: Any = zarr.open_array(draft / "mask", mode="r")
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


def test_a_finished_result_of_another_parameter_is_told_though_no_attribute_has_it(
    inputs: Path, tmp_path: Path
) -> None:
    water = fused(inputs)
    grid = water.fusion.product.geobox.zoom_out(2)
    xf.to_zarr(water.fusion.coregister(grid), tmp_path / "w.zarr", progress=False)
    other = water.fusion.coregister(grid, error_correlation=0.5)
    with pytest.raises(
        FileExistsError, match="error_correlation of the co-registration was another, is 0.5"
    ):
        xf.to_zarr(other, tmp_path / "w.zarr", progress=False)


def test_another_nodata_of_the_files_is_told_in_words(inputs: Path, tmp_path: Path) -> None:
    files = inputs / "a_mu.tif", inputs / "a_sigma.tif"
    one, other = (xf.raster.open_retrieval(*files, nodata=n) for n in (None, -9999.0))
    xf.to_zarr(one, tmp_path / "w.zarr", progress=False)
    said = r"nodata of the files that are read was another, is -9999\.0\."
    with pytest.raises(FileExistsError, match=said):
        xf.to_zarr(other, tmp_path / "w.zarr", progress=False)


def test_a_finished_result_in_other_blocks_is_told(inputs: Path, tmp_path: Path) -> None:
    xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)
    named = r"another job: variable mu was .*\[16, 16\], is .*\[32, 32\]"
    with pytest.raises(FileExistsError, match=named):
        xf.to_zarr(fused(inputs, block=32), tmp_path / "w.zarr", progress=False)


def test_what_a_finished_store_cannot_name_is_another_job_all_the_same(tmp_path: Path) -> None:
    mu = xr.DataArray(np.ones((8, 8), np.float32), dims=("y", "x"))
    xf.to_zarr(xf.retrieval(mu, mu), tmp_path / "w.zarr", progress=False)
    with pytest.raises(FileExistsError, match="another job: values in memory, the folder of an"):
        xf.to_zarr(xf.retrieval(mu * 2, mu), tmp_path / "w.zarr", progress=False)


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


def test_another_run_on_the_same_store_is_noticed(inputs: Path, tmp_path: Path) -> None:
    from xfusion.store import tasks as module

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
