"""What a picture reads and computes of layers, and what it shows where it did not look."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from xfusion.datamodel.grid import geobox_of
from xfusion.raster import band_pixels
from xfusion.raster.overviews import thinned
from xfusion.view.looking import look
from xfusion.view.results import open_result

Place = tuple[int, int]


def counted(side: int, down: int, across: int, seen: list[Place]) -> da.Array:
    """Return an array of blocks that say where they are, and note that they are computed."""

    def block(block_info: Any) -> NDArray[np.float32]:
        i, j = block_info[None]["chunk-location"]
        seen.append((i, j))
        return np.full((side, side), 1000 * i + j, np.float32)

    chunks = ((side,) * down, (side,) * across)
    meta = np.empty((0, 0), "f4")
    array: da.Array = da.map_blocks(block, chunks=chunks, dtype="f4", meta=meta)
    return array


def test_of_a_large_lazy_layer_few_blocks_are_computed_and_put_in_their_place() -> None:
    seen: list[Place] = []
    mu = counted(500, 20, 12, seen)
    dataset = xr.Dataset({"mu": (("y", "x"), mu), "sigma": (("y", "x"), mu + 1)})
    dataset["mask"] = ("y", "x"), da.zeros_like(mu, np.uint8)
    shown = look(dataset, side=200, most=3e6)  # 12 of 240 blocks
    assert shown.attrs["look_every"] == 20
    assert len(seen) == len(set(seen)) == 12  # once for mu and sigma together
    assert max(shown["mu"].shape) <= 200
    step = shown.attrs["look_step"]
    rows, columns = (np.arange(step // 2, n, step) // 500 for n in (10_000, 6000))
    of_block = 1000.0 * rows[:, None] + columns
    was_seen = np.isin(of_block, [1000 * i + j for i, j in seen])
    np.testing.assert_array_equal(shown["looked"], was_seen)
    np.testing.assert_array_equal(shown["mu"], np.where(was_seen, of_block, np.nan))
    np.testing.assert_array_equal(shown["sigma"], shown["mu"] + 1)
    np.testing.assert_array_equal(shown["mask"], np.where(was_seen, 0, xf.Exclusion.UNKNOWN))
    assert all(shown[name].attrs["look_every"] == 20 for name in ("mu", "sigma", "mask"))


def test_the_blocks_that_are_looked_at_are_spread_over_the_whole_map() -> None:
    seen: list[Place] = []
    mu = counted(100, 30, 40, seen)
    look(xr.Dataset({"mu": (("y", "x"), mu)}), side=400, most=4e5)  # every 30th
    quarters = {(i // 15, j // 20) for i, j in seen}
    assert quarters == set(itertools.product(range(2), range(2)))
    assert len({j for _, j in seen}) == 40  # one in each column


def test_blocks_without_a_pixel_on_the_screen_are_not_computed_and_count_for_nothing() -> None:
    seen: list[Place] = []
    mu = counted(10, 60, 60, seen)
    shown = look(xr.Dataset({"mu": (("y", "x"), mu)}), side=20, most=40_000)
    assert shown.attrs == {"look_step": 30, "look_every": 1}
    assert len(seen) == 400  # of 3600: one for each pixel
    assert "looked" not in shown.coords


def test_a_lazy_layer_below_the_budget_is_computed_whole_and_thinned() -> None:
    values = np.arange(60.0 * 90).reshape(60, 90)
    lazy = xr.Dataset({"mu": (("y", "x"), da.from_array(values, chunks=16))})
    shown = look(lazy, side=30)
    np.testing.assert_array_equal(shown["mu"], values[1::3, 1::3])
    assert shown.attrs == {"look_step": 3, "look_every": 1}


def test_a_cube_is_thinned_in_space_and_its_budget_is_of_all_times() -> None:
    cube = da.zeros((50, 400, 400), chunks=(10, 100, 100))
    dataset = xr.Dataset({"mu": (("time", "y", "x"), cube + 3)})
    shown = look(dataset, side=100, most=1e6)  # of 8e6
    assert shown.attrs["look_every"] == 8
    assert shown["mu"].dims == ("time", "y", "x")
    np.testing.assert_array_equal(
        shown["mu"], np.broadcast_to(np.where(shown["looked"], 3, np.nan), (50, 100, 100))
    )


def test_one_block_larger_than_the_budget_is_computed_as_there_is_no_less() -> None:
    shown = look(xr.Dataset({"mu": (("y", "x"), da.ones((300, 300), chunks=-1))}), side=9, most=10)
    assert shown.attrs["look_every"] == 1
    assert bool((shown["mu"] == 1).all())


@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    chunk=st.integers(1, 40),
    side=st.integers(1, 30),
    most=st.integers(1, 9000),
)
def test_pixels_that_are_shown_are_those_of_their_labels(
    shape: Place, chunk: int, side: int, most: int
) -> None:
    values = np.random.default_rng(0).random(shape)
    dataset = xr.Dataset(
        {"mu": (("y", "x"), da.from_array(values, chunks=chunk)), "one": ((), 1.0)},
        {"y": np.arange(shape[0]), "x": np.arange(shape[1])},
    )
    shown = look(dataset, side=side, most=most)
    assert max(shown["mu"].shape) <= side
    assert min(shown["mu"].shape) >= 1
    expected = values[np.ix_(shown["y"].to_numpy(), shown["x"].to_numpy())]
    looked = shown["looked"] if "looked" in shown.coords else xr.ones_like(shown["mu"], bool)
    np.testing.assert_array_equal(shown["mu"], np.where(looked, expected, np.nan))
    assert bool(looked.any())


def test_a_dataset_without_rows_and_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="no rows and columns among the dims"):
        look(xr.Dataset({"mu": (("station",), np.ones(3))}))


# Files


@pytest.fixture
def read_shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Place, Place | None]]:
    """Return what is read of files: the window, and of how many pixels its picture is."""
    seen: list[tuple[Place, Place | None]] = []
    plain: Callable[..., NDArray[Any]] = band_pixels.pixels_of

    def noted(band: Any, file: Any, rows: slice, columns: slice, shape: Any = None) -> Any:
        seen.append(((rows.stop - rows.start, columns.stop - columns.start), shape))
        return plain(band, file, rows, columns, shape)

    for module in ("file", "overviews"):
        monkeypatch.setattr(f"xfusion.raster.{module}.pixels_of", noted)
    return seen


def written(folder: Path, shape: Place = (2100, 1700)) -> tuple[xr.Dataset, dict[str, Any]]:
    grid = GeoBox.from_bbox(
        (5e5, 5e6, 5e5 + 10 * shape[1], 5e6 + 10 * shape[0]), "EPSG:32633", shape=shape
    )
    rows, columns = np.indices(shape, np.float32)
    mu = xr_zeros(grid, dtype="f4").copy(data=rows + columns / 4096)
    mu[: shape[0] // 7] = np.nan
    mask = xr_zeros(grid, dtype="u1").copy(data=np.where(columns < shape[1] // 2, 1, 0))
    retrieval = xf.retrieval(mu, mu * 0 + 0.5, mask.astype("u1"), time="2023-06-20")
    return retrieval, retrieval.fusion.to_cog(folder, progress=False)


def test_of_a_file_with_overviews_these_are_read_and_no_pixel(
    tmp_path: Path, read_shapes: list[tuple[Place, Place | None]]
) -> None:
    retrieval, _ = written(tmp_path)
    read_shapes.clear()
    shown = look(open_result(tmp_path), side=250)
    step = shown.attrs["look_step"]
    assert step == 9
    assert read_shapes == [((2100, 1700), (263, 213))] * 3  # an overview of 8 x 8
    assert {shown[name].attrs["look_overview"] for name in ("mu", "sigma", "mask")} == {8}
    plain = look(retrieval, side=250)
    np.testing.assert_array_equal(shown["y"], plain["y"])
    # within the pixels that one of the overview is the mean of
    gap = np.abs(shown["mu"] - plain["mu"])
    assert float(gap.max()) <= 9
    assert float(np.isnan(shown["mu"]).sum()) == pytest.approx(
        float(np.isnan(plain["mu"]).sum()), rel=0.1
    )
    assert set(np.unique(shown["mask"])) == {0, 1}
    differs = (shown["mask"] != plain["mask"]).sum("y")
    assert int((differs > 0).sum()) <= 2  # columns that one pixel of the overview reaches into


def test_bytes_that_a_picture_reads_of_a_file_are_a_small_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (6000, 5000)
    profile = {"driver": "COG", "dtype": "float32", "count": 1, "crs": "EPSG:32633"}
    transform = rasterio.transform.from_origin(5e5, 5e6, 10, 10)
    noise = np.random.default_rng(0).random(shape, np.float32)  # which nothing compresses
    path = tmp_path / "noise.tif"
    with rasterio.open(
        path, "w", height=shape[0], width=shape[1], transform=transform, compress="none", **profile
    ) as file:
        file.write(noise, 1)
    read: list[int] = []

    class Counting(io.FileIO):
        """A file that counts what GDAL reads of it."""

        def read(self, size: int | None = -1) -> bytes:
            found = super().read(size)
            read.append(len(found))
            return found

    plain_open = rasterio.open
    monkeypatch.setattr(rasterio, "open", lambda p, **more: plain_open(p, opener=Counting, **more))
    raster = xf.raster.open_raster(path)
    read.clear()
    shown = look(raster.to_dataset(name="mu"), side=400)
    assert shown["mu"].shape == (400, 333)
    assert 0 < sum(read) < 0.05 * noise.nbytes
    assert float(shown["mu"].mean()) == pytest.approx(0.5, abs=0.01)
    assert float(shown["mu"].std()) < 0.1  # means of 8 x 8 pixels: of single ones it is 0.29


def test_a_file_without_overviews_is_looked_at_block_by_block(
    tmp_path: Path, read_shapes: list[tuple[Place, Place | None]]
) -> None:
    shape, path = (1024, 1024), tmp_path / "plain.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=shape[0],
        width=shape[1],
        count=1,
        dtype="float32",
        crs="EPSG:32633",
        transform=rasterio.transform.from_origin(5e5, 5e6, 10, 10),
    ) as file:
        file.write(np.ones(shape, np.float32), 1)
    layer = xf.raster.open_raster(path, chunks=128).to_dataset(name="mu")
    shown = look(layer, side=128, most=2**17)
    assert shown.attrs["look_every"] == 8
    assert len(read_shapes) == 8
    assert float(shown["mu"].sum()) == float(shown["looked"].sum()) == 128 * 128 / 8


def test_flags_whose_overviews_may_be_means_are_read_pixel_by_pixel(tmp_path: Path) -> None:
    path = tmp_path / "flags.tif"
    flags = np.tile(np.array([[0, 8], [8, 0]], np.uint8), (600, 600))
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=1200,
        width=1200,
        count=1,
        dtype="uint8",
        crs="EPSG:32633",
        transform=rasterio.transform.from_origin(5e5, 5e6, 10, 10),
        overview_resampling="average",
    ) as file:
        file.write(flags, 1)
    layer = xf.raster.open_raster(path, masked=False).to_dataset(name="mask")
    shown = look(layer, side=300)
    assert set(np.unique(shown["mask"])) <= {0, 8}
    assert "look_overview" not in shown["mask"].attrs


@pytest.mark.parametrize("declared", [True, False])
def test_no_data_is_in_no_mean_that_is_shown(tmp_path: Path, *, declared: bool) -> None:
    path = tmp_path / "packed.tif"
    numbers = np.full((1200, 1200), 5000, np.int16)
    numbers[:, ::2] = -9999
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=1200,
        width=1200,
        count=1,
        dtype="int16",
        nodata=-9999 if declared else None,
        crs="EPSG:32633",
        transform=rasterio.transform.from_origin(5e5, 5e6, 10, 10),
        overview_resampling="average",
    ) as file:
        file.write(numbers, 1)
    layer = xf.raster.open_raster(path, nodata=-9999, scale=1e-4).to_dataset(name="mu")
    shown = look(layer, side=300)["mu"]
    assert ("look_overview" in shown.attrs) is declared
    np.testing.assert_allclose(shown.to_numpy()[~np.isnan(shown)], 0.5)


def test_a_part_of_a_file_is_that_part(tmp_path: Path) -> None:
    retrieval, _ = written(tmp_path, (600, 500))
    part = {"y": slice(300, 600), "x": slice(100, 500)}
    shown = look(open_result(tmp_path).isel(part), side=100)
    np.testing.assert_array_equal(shown["mu"], look(retrieval.isel(part), side=100)["mu"])


def test_the_grid_of_a_picture_covers_the_grid_of_its_layers(tmp_path: Path) -> None:
    retrieval, _ = written(tmp_path, (600, 480))
    shown = geobox_of(look(retrieval, side=120))
    assert shown.shape == (120, 96)
    assert shown.resolution.x == pytest.approx(50)
    offset = np.subtract(shown.boundingbox.bbox, geobox_of(retrieval).boundingbox.bbox)
    assert np.abs(offset).max() <= 25


def test_overviews_of_every_date_of_a_cube_of_files_are_read(
    tmp_path: Path, read_shapes: list[tuple[Place, Place | None]]
) -> None:
    days = []
    for day in range(3):
        _, _files = written(tmp_path / str(day), (1100, 1000))
        time = f"2023-06-2{day}"
        files = (tmp_path / str(day) / f"{name}.tif" for name in ("mu", "sigma", "mask"))
        days.append(xf.raster.open_retrieval(*files, time=time))
    cube = xf.stack(days, dim="time")
    read_shapes.clear()
    shown = look(cube, side=250)
    assert {shape for _, shape in read_shapes} == {(275, 250)}
    assert len(read_shapes) == 9
    assert shown["mu"].shape == (3, 220, 200)


def test_an_overview_pixel_is_shown_at_its_place(tmp_path: Path) -> None:
    _, files = written(tmp_path, (1030, 515))
    raster = xf.raster.open_raster(files["mu"], masked=True)
    from xfusion.raster.origin import recall

    file = recall(raster.variable)
    assert file is not None
    rows, columns = np.arange(2, 1030, 5), np.arange(2, 515, 5)
    found = thinned(file, rows, columns, most=np.inf)
    assert found is not None
    assert found.factor == 4
    expected = rows[:, None] + columns / 4096
    gap = np.abs(found.pixels - expected)[rows > 1030 // 7 + 8]
    assert gap.max() <= 4
    assert thinned(file, rows, columns, most=1000) is None
