"""What is verified: stores of ours, of others and of no one, and what is said of each."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from click.testing import CliRunner
from zarr.storage import LocalStore, MemoryStore, ZipStore

import xfusion as xf
from tests.store_runs import break_off, small
from xfusion.cli import main


def test_verify_reads_groups_of_others(tmp_path: Path) -> None:
    for separator in ("/", "."):
        store = tmp_path / f"{ord(separator)}.zarr"
        group = zarr.open_group(store, mode="w", zarr_format=3)
        inner = group.create_group("inner")
        for place in (group, inner):
            array = place.create_array(
                "a",
                shape=(4,),
                chunks=(2,),
                dtype="f4",
                fill_value=0,
                chunk_key_encoding={"name": "default", "separator": separator},
            )
            array[2:] = 1
        # a chunk of the fill value is not written
        assert xf.verify(store, progress=False) == {}
        (store / f"inner/a/c{separator}1").write_bytes(b"xx")
        assert {*xf.verify(store, progress=False)} == {f"inner/a/c{separator}1"}
    (tmp_path / "none.zarr").mkdir()
    (tmp_path / "none.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(ValueError, match="holds no arrays"):
        xf.verify(tmp_path / "none.zarr", progress=False)


@pytest.mark.parametrize("consolidated", [True, False])
def test_a_group_of_format_2_is_named(tmp_path: Path, consolidated: bool) -> None:
    small().to_zarr(tmp_path / "w.zarr", zarr_format=2, consolidated=consolidated)
    with pytest.raises(ValueError, match=r"Zarr store of format 2, and no finished one"):
        xf.verify(tmp_path / "w.zarr", progress=False)


def test_what_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_text("x")
    for none in (tmp_path, tmp_path / "photos", tmp_path / "gone", MemoryStore()):
        with pytest.raises(ValueError, match="is no finished Zarr store"):
            xf.verify(none, progress=False)
    with pytest.raises(FileExistsError, match="is a file, and a Zarr store a folder"):
        xf.verify(tmp_path / "photos" / "1.jpg", progress=False)
    nothing: Any
    for nothing in (7, None, xr.Dataset()):
        with pytest.raises(TypeError, match="is no store: give a path"):
            xf.verify(nothing, progress=False)


def test_an_unfinished_store_is_said_to_be_one(tmp_path: Path) -> None:
    break_off(small(16, 4), tmp_path / "w.zarr")
    with pytest.raises(ValueError, match=r"is an unfinished run: call xf.to_zarr again"):
        xf.verify(tmp_path / "w.zarr", progress=False)


def of_another(folder: Path, change: Callable[[str], str]) -> Path:
    """Return a store that others have written, one of whose arrays is another."""
    store = folder / "w.zarr"
    small().to_zarr(store, zarr_format=3, consolidated=False)
    path = store / "mu" / "zarr.json"
    path.write_text(change(path.read_text()))
    return store


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:20],
        lambda _: "[]",
        lambda text: text.replace('"zstd"', '"zzzz"'),
        lambda text: text.replace('"zarr_format": 3', '"zarr_format": 2'),
        lambda text: text.replace('"node_type": "array"', '"node_type": 7'),
        lambda text: json.dumps(json.loads(text) | {
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 4]}}
        }),
    ],
)  # fmt: skip
def test_metadata_that_are_none_are_told_and_the_rest_is_verified(
    tmp_path: Path, change: Callable[[str], str]
) -> None:
    store = of_another(tmp_path, change)
    assert {*xf.verify(store, progress=False)} == {"mu/zarr.json"}
    (store / "sigma" / "c" / "0" / "0").write_bytes(b"xx")
    assert {*xf.verify(store, progress=False)} == {"mu/zarr.json", "sigma/c/0/0"}


def test_a_root_of_no_kind_is_told(tmp_path: Path) -> None:
    store = of_another(tmp_path, str)
    root = json.loads((store / "zarr.json").read_text())
    (store / "zarr.json").write_text(json.dumps({**root, "node_type": 7}))
    assert {*xf.verify(store, progress=False)} == {"zarr.json"}


def test_arrays_of_all_kinds_are_verified(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "w.zarr", mode="w", zarr_format=3)
    group.create_array("none", shape=(0,), chunks=(1,), dtype="f4")
    group.create_array("one", shape=(), dtype="f4")[...] = 3
    group.create_array("texts", shape=(3,), chunks=(2,), dtype=str)[:] = np.array(["a", "b", "c"])
    group.create_array("sharded", shape=(8,), chunks=(2,), shards=(4,), dtype="f4")[:3] = 1
    assert xf.verify(tmp_path / "w.zarr", progress=False) == {}
    zarr.create_array(tmp_path / "a.zarr", shape=(9,), chunks=(4,), dtype="f8")[:] = np.arange(9.0)
    assert xf.verify(tmp_path / "a.zarr", progress=False) == {}


def test_a_copy_that_leaves_out_what_has_no_values_misses_nothing(tmp_path: Path) -> None:
    xf.to_zarr(small(), tmp_path / "w.zarr", progress=False)
    xr.open_zarr(tmp_path / "w.zarr").drop_encoding().to_zarr(tmp_path / "v.zarr", zarr_format=3)
    assert len([*(tmp_path / "v.zarr").glob("mask/c/*/*")]) == 1
    # it says that it is the result of that job, which it is not as it was written
    assert {*xf.verify(tmp_path / "v.zarr", progress=False)} == {"zarr.json"}


def test_a_store_that_is_open_for_reading_or_packed_is_verified(tmp_path: Path) -> None:
    xf.to_zarr(small(), tmp_path / "w.zarr", progress=False)
    shutil.make_archive(str(tmp_path / "w"), "zip", tmp_path / "w.zarr")
    for store in (
        LocalStore(tmp_path / "w.zarr", read_only=True),
        ZipStore(tmp_path / "w.zip", mode="r"),
    ):
        assert xf.verify(store, progress=False) == {}
        with pytest.raises((TypeError, ValueError), match=r"cannot be changed|for reading only"):
            xf.to_zarr(small(), store, progress=False)


@pytest.mark.parametrize("shards", [True, False])
@pytest.mark.parametrize("end", [slice(8, 9), slice(-1, None)])
def test_damage_is_told_without_words_of_codecs_and_with_the_pixels_that_it_hits(
    shards: bool, end: slice, tmp_path: Path
) -> None:
    mu = np.random.default_rng(0).random((40, 50), np.float32)
    xf.to_zarr(
        xf.retrieval(mu, mu + 1).chunk(32), tmp_path / "w.zarr", shards=shards, progress=False
    )
    block = tmp_path / "w.zarr" / "mu" / "c" / "1" / "1"
    content = bytearray(block.read_bytes())
    content[end] = bytes([content[end][0] ^ 255])
    block.write_bytes(content)
    ((key, fault),) = xf.verify(tmp_path / "w.zarr", progress=False).items()
    assert key == "mu/c/1/1"
    said, _, where = fault.partition("; ")
    assert said in (
        "its bytes are not those that were written",
        "its index is not what was written",
    )
    assert where == "it is mu at y 32 to 39, x 32 to 49"


def test_a_store_of_others_is_opened_with_one_line_of_warning(tmp_path: Path) -> None:
    small().to_zarr(tmp_path / "w.zarr", zarr_format=3, consolidated=False)
    for command in (["info"], ["plot", "--out", str(tmp_path / "p.png")]):
        arguments = [command[0], str(tmp_path / "w.zarr"), *command[1:]]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        (line,) = result.stderr.splitlines()
        assert line.startswith("Warning: the metadata of ")
        assert "zarr.consolidate_metadata mends that" in line
