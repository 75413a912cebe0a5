"""Blocks that are lost or broken: noticed, named, and computed again, and nothing else is."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests.store_runs import break_off, contents, read, small
from xfusion.store import tasks


def flip(path: Path, place: int) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 0x01
    path.write_bytes(bytes(damaged))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("whole") / "w.zarr"
    xf.to_zarr(small(), store, progress=False)
    return store


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("shards", [True, False])
@pytest.mark.parametrize("damage", ["gone", "empty", "short", "zeros"])
def test_a_block_that_was_lost_with_the_power_is_computed_again(
    tmp_path: Path, damage: str, shards: bool
) -> None:
    store = tmp_path / "w.zarr"
    break_off(small(16, 2), store, shards=shards)
    blocks = [p for p in store.glob(".xfusion/*/arrays/*/c/*/*") if p.is_file()]
    assert len(blocks) > 3
    for block in blocks:
        size = block.stat().st_size
        if damage == "gone":
            block.unlink()
        else:
            block.write_bytes(
                {"empty": b"", "short": block.read_bytes()[:-9], "zeros": bytes(size)}[damage]
            )
    xf.to_zarr(small(16, 2), store, shards=shards, progress=False)
    xf.to_zarr(small(16, 2), tmp_path / "v.zarr", shards=shards, progress=False)
    assert contents(store) == contents(tmp_path / "v.zarr")


def test_a_block_that_is_lost_while_the_run_goes_on_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Path] = []

    def write(target: Any, region: Any, block: Any) -> None:
        target[region] = block
        for path in tmp_path.glob("w.zarr/.xfusion/*/arrays/mu/c/0/0"):
            if not lost:
                lost.append(path)
                path.unlink()

    monkeypatch.setattr(tasks, "_write", write)
    with dask.config.set(scheduler="sync"):
        xf.to_zarr(small(16, 2), tmp_path / "w.zarr", progress=False)
    assert lost
    xr.testing.assert_equal(read(tmp_path / "w.zarr"), small(16, 2).compute().drop_attrs())


def test_a_disk_that_loses_what_is_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_write", lambda *_: None)
    with pytest.raises(OSError, match=r"w.zarr: 4 blocks that were written are not there"):
        xf.to_zarr(small(), tmp_path / "w.zarr", progress=False)
    assert not (tmp_path / "w.zarr" / "zarr.json").exists()


def test_verify_names_the_blocks_that_do_not_read(whole: Path, tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    assert xf.verify(store, progress=False) == {}
    flip(store / "mu" / "c" / "0" / "1", 5)
    (store / "sigma" / "c" / "1" / "0").unlink()
    found = xf.verify(store, progress=False)
    assert {*found} == {"mu/c/0/1", "sigma/c/1/0"}
    assert found["mu/c/0/1"].startswith(
        "its bytes are not those that were written; it is mu at y 0"
    )
    with pytest.warns(UserWarning, match=r"mu/c/0/1, sigma/c/1/0 did not read"):
        xf.to_zarr(small(), store, progress=False)
    assert contents(store) == contents(whole)


def test_only_broken_blocks_are_computed_again(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    flip(store / "mu" / "c" / "0" / "1", 5)
    regions = []

    def write(target: Any, region: Any, block: Any) -> None:
        regions.append(region)
        target[region] = block

    monkeypatch.setattr(tasks, "_write", write)
    with pytest.warns(UserWarning, match="computed again"):
        xf.to_zarr(small(), store, progress=False)
    assert regions == [(slice(0, 4), slice(4, 8))] * 3
    assert contents(store) == contents(whole)


def test_attributes_that_a_user_has_given_a_store_stay(whole: Path, tmp_path: Path) -> None:
    import zarr

    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["title"] = "my lake"
    (store / "zarr.json").write_text(json.dumps(root))
    assert {*xf.verify(store, progress=False)} == {"zarr.json"}
    xf.to_zarr(small(), store, progress=False)
    assert zarr.open_group(store, mode="r").attrs["title"] == "my lake"


def test_a_store_that_has_become_anothers_is_not_mended(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xfusion.store import filling

    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    (store / "mu" / "c" / "0" / "0").unlink()
    look: Any = filling.__dict__["broken_blocks"]
    other = small().assign(mu=small().mu + 5)

    def looked(*arguments: Any, **options: Any) -> dict[str, str]:
        found: dict[str, str] = look(*arguments, **options)
        monkeypatch.setattr(filling, "broken_blocks", look)
        shutil.rmtree(store)
        xf.to_zarr(other, store, progress=False)
        return found

    monkeypatch.setattr(filling, "broken_blocks", looked)
    with pytest.raises(FileExistsError, match="another job"):
        xf.to_zarr(small(), store, progress=False)
    xr.testing.assert_equal(read(store), other.compute().drop_attrs())


def test_a_block_that_is_lost_while_it_is_mended_is_told(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    (store / "mu" / "c" / "0" / "0").unlink()
    monkeypatch.setattr(tasks, "_write", lambda *_: None)
    with (
        pytest.warns(UserWarning, match="did not read"),
        pytest.raises(OSError, match="1 blocks that were written are not there"),
    ):
        xf.to_zarr(small(), store, progress=False)


def test_what_a_user_adds_to_a_finished_store_stays(whole: Path, tmp_path: Path) -> None:
    import zarr

    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    group = zarr.open_group(store)
    extra = group.create_array("extra", shape=(8,), chunks=(8,), dtype="f4", dimension_names=["y"])
    extra[:] = 1
    group.attrs["title"] = "mine"
    group["mu"].attrs["mine"] = "x"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(store)
    (store / "mu" / "c" / "0" / "0").unlink()
    with pytest.warns(UserWarning, match="did not read"):
        xf.to_zarr(small(), store, progress=False)
    found = xr.open_zarr(store).load()
    assert found.attrs["title"] == "mine"
    assert found.mu.attrs["mine"] == "x"
    assert (found.extra == 1).all()
    np.testing.assert_array_equal(found.mu, small().mu)


@pytest.mark.parametrize("held", [None, 7, [], {"metadata": None}])
def test_consolidated_metadata_that_are_none_are_mended(
    whole: Path, tmp_path: Path, held: Any
) -> None:
    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    root = json.loads((store / "zarr.json").read_text())
    (store / "zarr.json").write_text(json.dumps({**root, "consolidated_metadata": held}))
    assert "zarr.json" in xf.verify(store, progress=False)
    with pytest.warns(UserWarning, match="zarr.json changed"):
        xf.to_zarr(small(), store, progress=False)
    assert xf.verify(store, progress=False) == {}
