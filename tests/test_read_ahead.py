"""Windows of files that are read together and ahead: the same pixels, each tile once."""

import json
import math
import pickle
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import dask
import hypothesis.strategies as st
import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

import xfusion as xf
from tests.asset_server import serve_folder
from tests.faults import assets
from tests.faulty import Fault
from tests.waits import AT_MOST
from xfusion.kernels.parallel import core_count
from xfusion.raster import ahead
from xfusion.raster.ahead import Block, ReadAhead, Together
from xfusion.raster.file import Area, RasterFile
from xfusion.raster.patience import WAITS
from xfusion.raster.tiles import Tiles
from xfusion.raster.waiting import READS, submitted, together

SHAPE = (300, 420)
GRID = GeoBox(SHAPE, rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
PIXELS = np.random.default_rng(0).random(SHAPE, np.float32)


def write(path: Path, pixels: NDArray[Any], **layout: Any) -> Path:
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "count": 1,
        "dtype": pixels.dtype,
        "crs": str(GRID.crs),
        "transform": GRID.affine,
    }
    with rasterio.open(path, "w", **profile, **layout) as file:
        file.write(pixels, 1)
    return path


TILED: dict[str, Any] = {"tiled": True, "blockxsize": 64, "blockysize": 32, "compress": "deflate"}
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles": TILED,
    "one-tile": {"tiled": True, "blockxsize": 512, "blockysize": 512},
    "strips": {"tiled": False, "blockysize": 7},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("layouts")
    for name, layout in LAYOUTS.items():
        write(place / f"{name}.tif", PIXELS, **layout)
    return place


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with serve_folder(folder) as address:
        yield address


@st.composite
def windows(draw: st.DrawFn) -> list[Area]:
    def along(length: int) -> st.SearchStrategy[slice]:
        ends = st.lists(st.integers(0, length), min_size=2, max_size=2, unique=True)
        return ends.map(lambda pair: slice(min(pair), max(pair)))

    return draw(st.lists(st.tuples(along(SHAPE[0]), along(SHAPE[1])), min_size=1, max_size=12))


def file_at(path: str) -> RasterFile:
    return RasterFile(path, SHAPE, np.dtype(np.float32), masked=True)


def read_of(file: RasterFile, areas: list[Area], *, fill: float | None) -> list[Any]:
    """Return windows that two threads read, as the blocks of one run."""
    blocks: dict[Block, Area] = {(k // 3, k % 3): area for k, area in enumerate(areas)}
    reading = ReadAhead([*blocks], lambda block, ask: ask(file, blocks[block], fill))
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda block: reading.begin(block).take(), blocks))


@settings(deadline=None, max_examples=60)
@given(areas=windows(), layout=st.sampled_from([*LAYOUTS]), fill=st.sampled_from([None, -1.0]))
def test_windows_of_a_run_are_those_that_are_read_one_by_one(
    folder: Path, areas: list[Area], layout: str, fill: float | None
) -> None:
    read = read_of(file_at(str(folder / f"{layout}.tif")), areas, fill=fill)
    for area, (pixels, failed) in zip(areas, read, strict=True):
        assert failed is None
        np.testing.assert_array_equal(pixels, PIXELS[area])


@settings(deadline=None, max_examples=15)
@given(areas=windows(), layout=st.sampled_from([*LAYOUTS]), fill=st.sampled_from([None, -1.0]))
def test_windows_from_the_web_are_those_of_this_disk(
    url: str, areas: list[Area], layout: str, fill: float | None
) -> None:
    read = read_of(file_at(f"{url}/{layout}.tif"), areas, fill=fill)
    for area, (pixels, failed) in zip(areas, read, strict=True):
        assert failed is None
        np.testing.assert_array_equal(pixels, PIXELS[area])


@pytest.mark.parametrize("begun", [0, 13, 39])
def test_what_comes_first_is_what_is_near_the_block_that_a_run_is_at(
    url: str, monkeypatch: pytest.MonkeyPatch, begun: int
) -> None:
    blocks: dict[Block, Area] = {(k, 0): (slice(7 * k, 7 * k + 7), slice(0, 60)) for k in range(40)}
    asked: list[int] = []

    def noted(tiles: Tiles, key: Any) -> bool:
        asked.append(tiles._announced[key][0].start // 7)
        return False

    monkeypatch.setattr(Tiles, "fetch_ahead", noted)
    file = file_at(f"{url}/tiles.tif")
    with dask.config.set({READS: 1}):  # so they are read as they were asked for
        reading = ReadAhead([*blocks], lambda block, ask: ask(file, blocks[block], None))
        reading.begin((begun, 0)).take()
        submitted(lambda: None).result()
    nearest = sorted(range(40), key=lambda k: abs(k - begun))[1:]
    most = ahead.BLOCKS_AHEAD * core_count()
    assert [abs(k - begun) for k in asked] == [abs(k - begun) for k in nearest[:most]]


def test_each_tile_is_decoded_once_in_a_run_and_then_forgotten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Area] = []
    kept: list[Tiles] = []
    pixels_of, init = RasterFile._pixels, Tiles.__init__

    def noted(self: RasterFile, file: Any, rows: slice, columns: slice) -> Any:
        decoded.append((rows, columns))
        return pixels_of(self, file, rows, columns)

    def remembered(self: Tiles, *what: Any) -> None:
        kept.append(self)
        init(self, *what)

    monkeypatch.setattr(RasterFile, "_pixels", noted)
    monkeypatch.setattr(Tiles, "__init__", remembered)
    path = str(folder / "tiles.tif")
    water = xf.raster.open_retrieval(path, path, chunks=50)
    moved = water.fusion.coregister(GRID.to_crs("EPSG:32634").zoom_out(1.3), chunks=60)
    eager = water.compute().fusion.coregister(GRID.to_crs("EPSG:32634").zoom_out(1.3))
    decoded.clear()
    xr.testing.assert_identical(moved.compute(), eager)
    pixels = sum((r.stop - r.start) * (c.stop - c.start) for r, c in decoded)
    assert pixels <= 2 * math.prod(SHAPE)  # mu and sigma
    assert kept
    assert not any(tiles._parts or tiles._announced for tiles in kept)


def test_a_part_of_a_result_reads_no_more_than_it_needs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Area] = []
    pixels_of = RasterFile._pixels

    def noted(self: RasterFile, file: Any, rows: slice, columns: slice) -> Any:
        decoded.append((rows, columns))
        return pixels_of(self, file, rows, columns)

    monkeypatch.setattr(RasterFile, "_pixels", noted)
    path = str(folder / "tiles.tif")
    water = xf.raster.open_retrieval(path, path, chunks=50)
    moved = water.fusion.coregister(GRID.zoom_out(1.5), chunks=40)
    moved.mu[:40, :40].compute()
    # 192 pixels a side of a control cell of 128, and a few beyond, in tiles of 32 x 64
    assert decoded
    assert all(rows.stop <= 224 and columns.stop <= 256 for rows, columns in decoded)


LARGE = GeoBox((1536, 1536), rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32634")
EXCLUDED = np.random.default_rng(1).integers(0, 2, LARGE.shape).astype(np.uint8)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 144 tiles, in folders of their own: GDAL remembers what it has read."""
    place = tmp_path_factory.mktemp("large")
    for name in ("once", "whole", "part", "few", "late"):
        assets.write(place / name / "exclusion_mask.tif", EXCLUDED, LARGE)
    return place


@pytest.fixture(scope="module")
def served(large: Path) -> Iterator[str]:
    # one of the tiles in the middle, when it is first asked for
    faults = {"/late/*": Fault("close", after=150_000, times=1)}
    with serve_folder(large, faults) as address:
        yield address


def mask_over(root: str, chunks: int = 200) -> xr.DataArray:
    """A mask in lazy blocks, which lie across the tiles of its file."""
    one = assets.item("gfm", root)
    one["assets"]["exclusion_mask"] |= assets.projection(LARGE)
    masked = assets.target(LARGE, chunks).fusion.attach_gfm_mask(items=[one])
    mask: xr.DataArray = masked["mask"]
    return mask


def asked(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}/__stats__", timeout=AT_MOST) as answer:  # noqa: S310  # ours
        stats: dict[str, Any] = json.load(answer)
    return stats


def test_each_byte_of_a_file_on_the_web_is_asked_for_once(served: str, large: Path) -> None:
    before = asked(served)["bytes"]
    mask = mask_over(f"{served}/whole").compute(num_workers=2)
    np.testing.assert_array_equal(mask, EXCLUDED * 16)
    size = (large / "whole" / "exclusion_mask.tif").stat().st_size
    # its head, and pages of 16 KB where one of its tiles is read alone
    assert asked(served)["bytes"] - before <= 1.15 * size + 2**16


def test_of_blocks_that_nobody_computes_nothing_is_read_ahead(served: str, large: Path) -> None:
    before = asked(served)["bytes"]
    mask = mask_over(f"{served}/part")[:400, 200:400].compute()
    np.testing.assert_array_equal(mask, EXCLUDED[:400, 200:400] * 16)
    time.sleep(0.3)  # for what would be under way
    size = (large / "part" / "exclusion_mask.tif").stat().st_size
    assert asked(served)["bytes"] - before <= size / 8 + 2**16  # 16 of 144 tiles


@pytest.mark.parametrize("reads", [1, 3])
def test_no_more_is_read_at_a_time_than_is_set(
    served: str, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, most, lock = 0, 0, threading.Lock()
    pixels_of = RasterFile._pixels

    def counted(*what: Any) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        try:
            return pixels_of(*what)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(RasterFile, "_pixels", counted)
    with dask.config.set({READS: reads}):
        mask = mask_over(f"{served}/few").compute(scheduler="sync")
    np.testing.assert_array_equal(mask, EXCLUDED * 16)
    # what the block itself needs does not wait for what is read ahead; one reader may be just ahead
    assert min(reads, 2) <= most <= reads + 1


def test_what_fails_ahead_of_time_is_read_when_it_is_needed(
    served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xfusion.raster import patience

    monkeypatch.setattr(patience, "ATTEMPTS", 1)
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    WAITS.forget()
    mask = mask_over(f"{served}/late").compute(scheduler="sync")
    np.testing.assert_array_equal(mask, EXCLUDED * 16)
    assert asked(served)["faults"] == 1


def test_a_file_that_has_not_answered_is_asked_by_who_needs_it_alone(tmp_path: Path) -> None:
    began: list[int] = []
    waiting, go_on = threading.Event(), threading.Event()

    class Slow(RasterFile):
        def read_some(self, take: Any, seconds: float) -> Any:
            began.append(1)
            waiting.set()
            assert go_on.wait(30)
            return super().read_some(take, seconds)

    assets.write(tmp_path / "exclusion_mask.tif", EXCLUDED, LARGE)
    with serve_folder(tmp_path) as address:
        path = f"{address}/exclusion_mask.tif"
        file = Slow(path, LARGE.shape.yx, np.dtype(np.uint8), masked=False)
        areas: dict[Block, Area] = {
            (k, 0): (slice(k * 128, k * 128 + 128), slice(0, 1536)) for k in range(12)
        }
        reading = ReadAhead([*areas], lambda block, ask: ask(file, areas[block], None))
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(lambda: reading.begin((0, 0)).take()[0])
            assert waiting.wait(30)
            time.sleep(0.1)
            assert len(began) == 1
            go_on.set()
            np.testing.assert_array_equal(first.result(30), EXCLUDED[:128])
            deadline = time.monotonic() + 30
            # those that are near, which nobody has begun
            while len(began) <= ahead.BLOCKS_AHEAD:
                assert time.monotonic() < deadline
                time.sleep(0.01)


def test_another_process_reads_what_it_is_given_and_nothing_ahead(folder: Path) -> None:
    file = file_at(str(folder / "tiles.tif"))
    reading = ReadAhead([(0, 0)], lambda _, ask: ask(file, (slice(0, 9), slice(0, 9)), None))
    assert pickle.loads(pickle.dumps(reading)) is None  # our own
    path = str(folder / "tiles.tif")
    water = xf.raster.open_retrieval(path, path, chunks=100)
    moved = water.fusion.coregister(GRID.zoom_out(1.5), chunks=100)
    xr.testing.assert_identical(moved.compute(scheduler="processes"), moved.compute())


def test_layers_that_are_computed_as_one_begin_to_read_at_one_time(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_of: list[str] = []
    read = RasterFile.read_some

    def noted(self: RasterFile, *how: Any) -> Any:
        asked_of.append(self.path)
        return read(self, *how)

    monkeypatch.setattr(RasterFile, "read_some", noted)
    area = (slice(0, 9), slice(0, 9))
    one, two, alone = (f"{url}/{name}.tif" for name in LAYOUTS)
    others = Together()
    first, last = (
        ReadAhead([(0, 0), (0, 1)], partial(ask_for, file_at(path), area), others)
        for path in (one, two)
    )
    another = ReadAhead([(0, 0)], partial(ask_for, file_at(alone), area))
    first.begin((0, 0)).take()
    deadline = time.monotonic() + 30
    while two not in asked_of:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert alone not in asked_of
    for reading in (last, another):
        np.testing.assert_array_equal(reading.begin((0, 0)).take()[0], PIXELS[area])


def ask_for(file: RasterFile, area: Area, _: Block, ask: Any) -> Any:
    return ask(file, area, None)


def test_calls_that_wait_do_so_at_one_time_and_return_in_order() -> None:
    all_there = threading.Barrier(5)

    def call(number: int) -> int:
        all_there.wait(30)
        return number

    with dask.config.set({READS: 4}):
        assert together([partial(call, k) for k in range(5)]) == [*range(5)]
    assert together([]) == []


@pytest.mark.parametrize("reads", [0, -1, "many", True, 1.5])
def test_a_count_of_reads_that_is_none_is_named(reads: Any) -> None:
    with dask.config.set({READS: reads}), pytest.raises(ValueError, match=r"xfusion\.reads .* is "):
        together([lambda: None, lambda: None])


def test_calls_that_wait_for_calls_of_their_own_come_to_an_end() -> None:
    def call(number: int, depth: int) -> int:
        return sum(together([partial(call, k, depth - 1) for k in range(3)])) if depth else number

    with dask.config.set({READS: 1}):
        assert call(0, 3) == 9 * 3


def test_of_calls_that_fail_the_error_of_the_first_is_raised() -> None:
    def call(number: int) -> int:
        if number > 1:
            raise OSError(str(number))
        return number

    with pytest.raises(OSError, match="2"):
        together([partial(call, k) for k in range(4)])
