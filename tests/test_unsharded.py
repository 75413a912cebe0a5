"""Stores whose blocks are chunks, not shards: read by more programs, and no less sure."""

import shutil
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr
from affine import Affine
from zarr.storage import MemoryStore

import xfusion as xf
from tests.append_runs import days
from tests.damaged_bytes import DAMAGES, Damage, Reader, contents_of, damaged, in_memory
from tests.store_runs import break_off, contents, fused, small
from xfusion.store import overviews
from xfusion.store.block_files import FRAME, is_sound
from xfusion.store.place import Place
from xfusion.store.soundness import broken_blocks
from xfusion.store.tasks import blocks_of

GDAL = tuple(map(int, rasterio.__gdal_version__.split(".")[:2]))
TRANSFORM = Affine(10, 0, 500000, 0, -10, 5300000)  # of what fused makes


def two_blocks() -> xr.Dataset:
    part = small(4, 2).isel(x=slice(0, 2))
    return xf.retrieval(part.mu, part.sigma, mask=part.mask).chunk(2)


def write(dataset: xr.Dataset, store: Any, **options: Any) -> xr.Dataset:
    return xf.to_zarr(dataset, store, shards=False, progress=False, **options)


def test_each_block_is_one_chunk_and_no_codec_is_one_that_gdal_has_not(
    tmp_path: Path,
) -> None:
    water, store = small(16, 8), tmp_path / "w.zarr"
    back = write(water, store)
    xr.testing.assert_equal(back.load(), water.load())
    xr.testing.assert_equal(xr.open_zarr(store).load(), water.load())
    group: Any = zarr.open_group(store, mode="r")
    assert group["mu"].chunks == (8, 8)
    for _, array in group.arrays():
        assert array.shards is None
        codecs = [codec["name"] for codec in array.metadata.to_dict()["codecs"]]
        assert codecs in (["bytes", "zstd"], ["vlen-utf8", "zstd"])
    assert not xf.verify(store, progress=False)


@pytest.mark.skipif(GDAL < (3, 11), reason="GDAL 3.10 does not read Zarr's format 3")
def test_gdal_reads_each_pixel_and_where_it_lies(inputs: Path, tmp_path: Path) -> None:
    water = fused(inputs)
    write(water, tmp_path / "w.zarr")
    for name, layer in water.data_vars.items():
        with rasterio.open(f'ZARR:"{tmp_path / "w.zarr"}":/{name}') as file:
            assert file.transform == TRANSFORM
            assert file.crs == "EPSG:32633"
            np.testing.assert_array_equal(file.read(1), layer)


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damaged_byte_of_a_block_is_told_or_changes_no_pixel(
    damage: Damage,
) -> None:
    store = MemoryStore()
    with dask.config.set(scheduler="sync"):
        write(two_blocks(), store)
    whole = contents_of(store)
    reader = Reader(whole)
    arrays = Place(store)

    class Target:
        def __init__(self, name: str) -> None:
            self.array = arrays.array(name)

    blocks, _ = blocks_of(two_blocks(), Target)
    files = {file.key: file for block in blocks for file in block.files}
    assert len(files) == 6
    pixels = {key: whole[key] for key in whole if "/c/" in key}
    assert {*files} < {*pixels}
    for key, place, content in damaged(pixels, damage):
        name = key.partition("/")[0]
        held = Place(in_memory({**whole, key: content}))
        told = [*broken_blocks(held, [name], progress=False)] == [key]
        kept = key in files and is_sound(held, files[key], key)
        if not told or kept:
            # a bit of the head of zstd that changes no pixel
            assert place == len(FRAME), (key, place)
            found = reader.read(key, content)
            assert found is not None
            assert found[name].equals(reader.expected.variables[name])


def test_a_bit_of_no_use_that_is_flipped_makes_a_block_another(tmp_path: Path) -> None:
    store = MemoryStore()
    write(two_blocks(), store)
    place = Place(store)
    content = place.read("mu/c/0/0") or b""

    class Target:
        array = place.array("mu")

    block = blocks_of(two_blocks(), lambda _: Target())[0][0].files[0]
    assert is_sound(place, block, "mu/c/0/0")
    assert not block.agrees(content[:4] + bytes([content[4] ^ 0x10]) + content[5:])
    assert not block.agrees(content + content)


def test_a_run_that_broke_off_goes_on_to_the_same_bytes_and_computes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xfusion.store import tasks

    water = small(16, 4)
    break_off(water, tmp_path / "w.zarr", shards=False)
    with pytest.raises(ValueError, match="another job: shards was False, is True"):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    written = []

    def counted(target: Any, region: Any, block: Any) -> None:
        written.append(region)
        target[region] = block

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "_write", counted)
        write(water, tmp_path / "w.zarr")
    whole = 3 * (16 // 4) ** 2
    assert 0 < len(written) < whole
    write(water, tmp_path / "v.zarr")
    assert contents(tmp_path / "w.zarr") == contents(tmp_path / "v.zarr")
    with pytest.raises(FileExistsError, match="another job: shards was False, is True"):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)


def test_broken_blocks_of_a_finished_store_are_told_and_computed_again(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    write(small(), store)
    whole = contents(store)
    block = store / "mu/c/0/1"
    block.write_bytes(block.read_bytes()[:-1])
    (store / "sigma/c/1/0").unlink()
    assert {*xf.verify(store, progress=False)} == {"mu/c/0/1", "sigma/c/1/0"}
    with pytest.warns(UserWarning, match=r"mu/c/0/1, sigma/c/1/0 did not read"):
        write(small(), store)
    assert contents(store) == whole


def test_dates_that_are_added_are_written_as_the_store_was(tmp_path: Path) -> None:
    store, other = tmp_path / "w.zarr", tmp_path / "v.zarr"
    write(days(1, 3), store, append_dim="time")
    shutil.copytree(store, other)
    xf.to_zarr(days(7), store, append_dim="time", progress=False)
    write(days(7), other, append_dim="time")
    assert contents(store) == contents(other)
    group: Any = zarr.open_group(store, mode="r")
    assert group["mu"].shards is None
    xr.testing.assert_equal(xr.open_zarr(store).load(), days(1, 3, 7).load())
    assert not xf.verify(store, progress=False)
    write(days(1, 3), store, append_dim="time")
    assert contents(store) == contents(other)


def test_no_chunks_are_added_to_shards(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    xf.to_zarr(days(1, 3), store, append_dim="time", progress=False)
    before = contents(store)
    with pytest.raises(ValueError, match=r"shards=False, and the blocks of .* are shards"):
        write(days(7), store, append_dim="time")
    assert contents(store) == before


def test_levels_of_a_store_without_shards_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overviews, "SIDE", 3)
    write(small(), tmp_path / "w.zarr")
    for level in xf.add_overviews(tmp_path / "w.zarr", progress=False).values():
        group: Any = zarr.open_group(tmp_path / "w.zarr", path=level, mode="r")
        assert all(array.shards is None for _, array in group.arrays())
    assert not xf.verify(tmp_path / "w.zarr", progress=False)


def test_a_repository_of_icechunk_has_chunks_of_blocks(tmp_path: Path) -> None:
    icechunk = pytest.importorskip("icechunk", reason="an extra")
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    back = write(small(), repository)
    xr.testing.assert_equal(back.load(), small().load())
    group: Any = zarr.open_group(repository.readonly_session("main").store, mode="r")
    assert group["mu"].shards is None
    assert group["mu"].chunks == (4, 4)
