"""Inputs that change while they are read, or before a run goes on: an error, never a mixture."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import xfusion as xf
from tests.asset_server import serve_folder
from tests.store_runs import break_off, contents, fused, write_inputs
from xfusion.raster.state import ON_THE_WEB, differ, state_of
from xfusion.store import tasks


def after_the_first_write(patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something while a run is under way."""
    seen: list[Any] = []

    def write(target: Any, region: Any, block: Any) -> None:
        target[region] = block
        if not seen:
            seen.append(region)
            act()

    patch.setattr(tasks, "_write", write)


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("same_time", [True, False])
@pytest.mark.parametrize("how", ["replaced", "written to"])
def test_an_input_that_changes_during_a_run_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_time: bool, how: str
) -> None:
    inputs = write_inputs(tmp_path / "inputs")
    others = write_inputs(tmp_path / "others", seed=1)
    old = inputs / "a_mu.tif"

    def change() -> None:
        times = old.stat().st_atime_ns, old.stat().st_mtime_ns
        if how == "replaced":
            (others / "a_mu.tif").replace(old)
        else:
            old.write_bytes((others / "a_mu.tif").read_bytes())
        if same_time:
            os.utime(old, ns=times)

    after_the_first_write(monkeypatch, change)
    store = tmp_path / "w.zarr"
    with pytest.raises(OSError, match=r"w.zarr: inputs changed while .*a_mu.tif was .*, is "):
        xf.to_zarr(fused(inputs), store, progress=False)
    with pytest.raises(FileNotFoundError):
        xr.open_zarr(store)
    xf.to_zarr(fused(inputs), store, progress=False)
    xf.to_zarr(fused(inputs), tmp_path / "v.zarr", progress=False)
    assert contents(store) == contents(tmp_path / "v.zarr")


def test_an_input_that_changes_while_a_finished_store_is_mended_leaves_what_that_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, others = write_inputs(tmp_path / "in"), write_inputs(tmp_path / "others", seed=1)
    store = tmp_path / "w.zarr"
    xf.to_zarr(fused(inputs), store, progress=False)
    (store / "mu" / "c" / "0" / "0").unlink()
    before = contents(store)
    after_the_first_write(monkeypatch, lambda: (others / "a_mu.tif").replace(inputs / "a_mu.tif"))
    with (
        pytest.warns(UserWarning, match="did not read"),
        pytest.raises(OSError, match="inputs changed while they were read"),
    ):
        xf.to_zarr(fused(inputs), store, progress=False)
    after = {k: v for k, v in contents(store).items() if not k.startswith(".xfusion")}
    assert after == before


def test_an_input_on_the_web_that_changes_during_a_run_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = write_inputs(tmp_path / "inputs")
    others = write_inputs(tmp_path / "others", seed=1)
    with serve_folder(inputs) as url:
        water = xf.SensorProduct.open(f"{url}/a_mu.tif", f"{url}/a_sigma.tif", chunks=16)
        with monkeypatch.context() as patched:
            after_the_first_write(
                patched, lambda: (others / "a_mu.tif").replace(inputs / "a_mu.tif")
            )
            with pytest.raises(OSError, match=r"inputs changed while .*a_mu.tif was .*ETag"):
                water.to_zarr(tmp_path / "w.zarr", progress=False)
        water = xf.SensorProduct.open(f"{url}/b_mu.tif", f"{url}/b_sigma.tif", chunks=16)
        water.to_zarr(tmp_path / "w.zarr", progress=False)
        water.to_zarr(tmp_path / "w.zarr", progress=False)


def test_an_input_that_was_replaced_with_its_size_and_time_does_not_resume(
    tmp_path: Path,
) -> None:
    inputs = write_inputs(tmp_path / "inputs")
    break_off(fused(inputs), tmp_path / "w.zarr")
    others = write_inputs(tmp_path / "others", seed=1)
    old = inputs / "a_mu.tif"
    times = old.stat().st_atime_ns, old.stat().st_mtime_ns
    (others / "a_mu.tif").replace(old)
    os.utime(old, ns=times)
    with pytest.raises(ValueError, match=r"input .*a_mu.tif was \d+ bytes"):
        xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)


def test_a_server_that_says_nothing_of_its_files_changes_no_job() -> None:
    assert differ("37 bytes, ETag a", "37 bytes, ETag b")
    assert not differ("37 bytes, ETag a", ON_THE_WEB)
    assert state_of("http://127.0.0.1:9/gone.tif") == ON_THE_WEB
