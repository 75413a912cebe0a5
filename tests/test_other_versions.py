"""Stores and calibrations that another version of xfusion has begun or written."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import xarray as xr

import xfusion as xf
from tests.append_runs import add, days, scene
from tests.store_runs import break_off, contents, fused
from xfusion.store import fingerprint

OTHER = "0.1.0"
WRITTEN = Path(__file__).parent / "stores" / f"written_by_{OTHER}.zip"  # of add(days(1, 2), ...)
DIFFERENCE = rf"xfusion was {OTHER}, is {xf.__version__}"


@contextmanager
def another_version() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "__version__", OTHER)
        yield


def test_an_unfinished_run_of_another_version_is_refused_by_its_name_and_can_be_begun_anew(
    inputs: Path, tmp_path: Path
) -> None:
    water, store = fused(inputs), tmp_path / "w.zarr"
    with another_version():
        break_off(water, store)
    before = contents(store)
    with pytest.raises(ValueError, match=rf"{DIFFERENCE}.*resume=False"):
        xf.to_zarr(water, store, progress=False)
    assert contents(store) == before
    back = xf.to_zarr(water, store, progress=False, resume=False)
    xr.testing.assert_equal(back.load(), water.load())


def test_a_result_of_another_version_opens_is_whole_and_is_not_overwritten(
    inputs: Path, tmp_path: Path
) -> None:
    water, store = fused(inputs), tmp_path / "w.zarr"
    with another_version():
        xf.to_zarr(water, store, progress=False)
    before = contents(store)
    assert not xf.verify(store, progress=False)
    with pytest.raises(FileExistsError, match=DIFFERENCE):
        xf.to_zarr(water, store, progress=False, resume=False)
    assert contents(store) == before
    xr.testing.assert_equal(xr.open_zarr(store).load(), water.load())


def test_dates_are_added_to_a_store_of_another_version_but_none_of_them_twice(
    tmp_path: Path,
) -> None:
    store = tmp_path / "w.zarr"
    with another_version():
        add(days(1, 2), store)
    with pytest.raises(ValueError, match=r"2023-06-02T05:00:00 is in .* or by another version"):
        add(scene(2), store)
    assert add(scene(3), store).sizes["time"] == 3
    assert not xf.verify(store, progress=False)
    found = xr.open_zarr(store).load()
    xr.testing.assert_equal(found, days(1, 2, 3).load())


def test_what_another_version_did_write_opens_is_whole_and_grows(tmp_path: Path) -> None:
    shutil.unpack_archive(WRITTEN, tmp_path / "w.zarr")
    assert not xf.verify(tmp_path / "w.zarr", progress=False)
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "w.zarr").load(), days(1, 2).load())
    add(scene(3), tmp_path / "w.zarr")
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "w.zarr").load(), days(1, 2, 3).load())
    assert not xf.verify(tmp_path / "w.zarr", progress=False)
