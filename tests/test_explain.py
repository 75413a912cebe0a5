"""What a run would read, compute and write: said before, and held to what it then does."""

import html
import math
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
import rasterio.shutil
import requests
import xarray as xr
from odc.geo.geobox import GeoBox

import xfusion as xf
from tests import catalogues as c
from tests.asset_server import serve_folder
from tests.laziness import nothing_computes
from tests.store_runs import BLOCK, SIDE, fused
from xfusion.demo.run import fuse_scene
from xfusion.demo.scene import Scene
from xfusion.fusion.block import FusionTask
from xfusion.raster.file import RasterFile
from xfusion.raster.tiling import tiles_of
from xfusion.view.explanation import Explanation, in_bytes

FACTOR = 1.3  # of the bytes of tiles; those of two rows of blocks may be dropped and read again


class Reality:
    """What is truly read and fused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes: dict[str, int] = defaultdict(int)
        self.rows: dict[str, list[int]] = defaultdict(list)
        self.blocks = 0
        lock = threading.Lock()
        pixels_of, fuse_block = RasterFile._pixels, FusionTask.fuse_block

        def noted(file: RasterFile, opened: Any, rows: slice, columns: slice) -> Any:
            sides = opened.block_shapes[file.band - 1]
            sizes = [
                int(opened.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=file.band) or 0)
                for y, x in tiles_of((rows, columns), sides)
            ]
            with lock:
                self.bytes[file.path] += sum(sizes)
                self.rows[file.path] += [rows.start, rows.stop]
            return pixels_of(file, opened, rows, columns)

        def counted(*args: Any, **kwargs: Any) -> Any:
            with lock:
                self.blocks += 1
            return fuse_block(*args, **kwargs)

        monkeypatch.setattr(RasterFile, "_pixels", noted)
        monkeypatch.setattr(FusionTask, "fuse_block", counted)


def explained(dataset: Any) -> Explanation:
    """Explain with nothing computed and no pixel read."""

    def refuse(*_: Any) -> None:
        msg = "a pixel was read"
        raise AssertionError(msg)

    with pytest.MonkeyPatch.context() as patch, nothing_computes():
        patch.setattr(RasterFile, "_pixels", refuse)
        return xf.explain(dataset)


@pytest.fixture(scope="module")
def water(scene: Scene) -> xf.SensorProduct:
    return fuse_scene(scene, str(scene.items), chunks=128)[2]


def test_a_run_reads_the_files_that_were_said_and_as_many_bytes(
    water: xf.SensorProduct, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = explained(water)
    real = Reality(monkeypatch)
    water.compute()
    assert {file.name for file in plan.files} == {*real.bytes}
    assert len(plan.files) == len(real.bytes)
    assert not any(file.is_estimate for file in plan.files)
    for file in plan.files:
        assert file.bytes is not None
        assert file.bytes <= real.bytes[file.name] <= FACTOR * file.bytes, file
        assert file.rows is not None
        # whole tiles are decoded, of which the windows take what they need
        assert min(real.rows[file.name]) <= file.rows[0]
        assert max(real.rows[file.name]) >= file.rows[1]
    assert plan.blocks == real.blocks
    assert plan.blocks == math.prod(map(len, water.mu.chunks or ()))


def test_layers_of_sensors_and_of_items_are_told_apart(water: xf.SensorProduct) -> None:
    plan = explained(water)
    layers = [(Path(file.name).name, file.layer) for file in plan.files]
    assert sorted(layers) == [
        ("exclusion_mask.tif", "exclusion_mask"),
        ("exclusion_mask.tif", "exclusion_mask"),
        ("nir.tif", "nir"),
        ("red.tif", "red"),
        ("s1_mu.tif", "mu"),
        ("s1_sigma.tif", "sigma"),
        ("s2_mu.tif", "mu"),
        ("s2_sigma.tif", "sigma"),
        ("scl.tif", "scl"),
    ]
    assert {*plan.items} == {*str(water.dataset.attrs["mask_items"]).split()}
    assert plan.variables == {str(n): str(v.dtype) for n, v in water.dataset.data_vars.items()}
    assert plan.bytes_of_result == water.dataset.nbytes


def test_files_of_a_fusion_on_one_grid_have_their_layers_too(inputs: Path) -> None:
    plan = explained(fused(inputs))
    layers = {Path(file.name).name: file.layer for file in plan.files}
    assert layers == {f"{s}_{n}.tif": n for s in "ab" for n in ("mu", "sigma")}


def test_each_operation_is_said_once_after_what_it_needs(water: xf.SensorProduct) -> None:
    steps = explained(water).steps
    assert len({*steps}) == len(steps)
    first = next(k for k, step in enumerate(steps) if step.startswith("co-registration: bilinear"))
    assert "EPSG:32633 at 20 m to EPSG:32634 at 10 m" in steps[first]
    assert any(step.startswith("bands red, nir: bilinear") for step in steps)
    assert any("ndvi_max=0.6" in step for step in steps)
    assert steps[-1] == "fusion: gaussian of 2 retrievals"


def test_parameters_of_a_fusion_are_said_where_they_are_not_the_default(inputs: Path) -> None:
    dataset = fused(inputs, correlation=0.3)
    assert explained(dataset).steps == ("fusion: gaussian of 2 retrievals, correlation=0.3",)


def test_a_part_of_a_result_reads_a_part_of_its_files(
    inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = fused(inputs).isel(y=slice(0, BLOCK), x=slice(5, 9))
    plan, whole = explained(part), explained(fused(inputs))
    assert plan.blocks == 1
    assert {file.rows for file in plan.files} == {(0, BLOCK)}
    assert plan.bytes_read < whole.bytes_read / 10
    real = Reality(monkeypatch)
    part.compute()
    assert plan.bytes_read == sum(real.bytes.values())
    assert {file.name for file in plan.files} == {*real.bytes}


def test_opened_files_are_layers_by_their_names(inputs: Path) -> None:
    water = xf.raster.open_retrieval(inputs / "a_mu.tif", inputs / "a_sigma.tif", chunks=40)
    plan = explained(water)
    assert [file.layer for file in plan.files] == ["mu", "sigma"]
    assert all(file.shape == (SIDE, SIDE) and file.windows == 9 for file in plan.files)


def test_a_file_that_was_deleted_is_said_to_be_gone(inputs: Path) -> None:
    water = fused(inputs)
    (inputs / "b_sigma.tif").unlink()
    plan = explained(water)
    assert [Path(file.name).name for file in plan.files if not file.is_there] == ["b_sigma.tif"]
    assert "it does not open" in str(plan)


def test_each_date_of_a_series_has_its_files(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mu", "sigma"):
        for number, sensor in enumerate("ab", 20):
            (inputs / f"{sensor}_{name}.tif").rename(inputs / f"202306{number}_{name}.tif")
    cube = xf.open_series(
        f"{inputs}/{{time:%Y%m%d}}_mu.tif", f"{inputs}/{{time:%Y%m%d}}_sigma.tif", chunks=32
    )
    grid = GeoBox.from_bbox((500000, 5299200, 500900, 5300000), "EPSG:32633", resolution=13)
    plan = explained(smooth := cube.fusion.coregister(grid).fusion.smooth(q=0.1))
    assert [file.layer for file in plan.files] == ["mu", "sigma"] * 2
    assert plan.steps[-1] == "smoother through time: random_walk, 2 dates seen, 2 given"
    real = Reality(monkeypatch)
    smooth.compute()
    assert {file.name for file in plan.files} == {*real.bytes}


@pytest.mark.parametrize("loader", ["xfusion", "odc"])
def test_the_assets_of_a_mask_are_found_whoever_reads_them(scene: Scene, loader: Any) -> None:
    s2 = xf.Sentinel2Product.open(scene.s2_mu, scene.s2_sigma, time=scene.date, chunks=128)
    plan = explained(s2.attach_mask(catalog=scene.items, offset=0.0, loader=loader))
    layers = {file.layer for file in plan.files}
    assert layers >= {"red", "nir", "scl"}
    assert any("by odc.stac.load" in step for step in plan.steps) == (loader == "odc")
    red = next(file for file in plan.files if file.layer == "red")
    assert red.rows is not None
    assert red.bytes == Path(red.name).stat().st_size or red.bytes


def test_files_of_a_cube_of_odc_stac_are_named(tmp_path: Path) -> None:
    pixels = np.ones(c.GRID.shape, np.uint16)
    href = c.write(tmp_path / "red.tif", pixels, c.GRID, 0)
    made = c.item("i", "2023-06-20T10:00:10Z", c.GRID, {"red": {"href": href}}, c.proj(c.GRID))
    item = pystac.Item.from_dict(made)
    cube = odc.stac.load([item], bands=["red"], geobox=c.GRID, chunks={"x": 20})
    [file] = explained(cube).files
    assert Path(file.name).name == "red.tif"
    assert file.rows is None
    assert "a part that only its reader knows" in str(explained(cube))


def test_stores_and_netcdf_files_are_named(inputs: Path, tmp_path: Path) -> None:
    store = xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)
    assert {file.name.rpartition("w.zarr/")[2] for file in explained(store).files} == {
        *map(str, store.data_vars)
    }
    plain = store[["mu"]].drop_attrs(deep=False)
    plain.to_netcdf(tmp_path / "w.nc")
    [file] = explained(xr.open_dataset(tmp_path / "w.nc", chunks={"y": 40})).files
    assert file.name == f"{tmp_path}/w.nc/mu"
    assert file.windows == 3


def test_weights_of_a_folder_are_named_by_their_file(inputs: Path, tmp_path: Path) -> None:
    one = fused(inputs)
    xf.gaussian(one, one, diagnostics=True).fusion.to_cog(tmp_path, item=False, progress=False)
    names = {Path(file.name).name for file in explained(xf.open_result(tmp_path)).files}
    assert {"weight.tif", "chi2.tif"} < names


def test_what_is_in_memory_needs_nothing(inputs: Path) -> None:
    water = fused(inputs).compute()
    plan = explained(water)
    assert (plan.files, plan.blocks, plan.bytes_read, plan.bytes_at_a_time) == ((), 0, 0, 0)
    assert plan.bytes_of_result == water.nbytes
    assert str(plan).startswith("nothing is to be done: all pixels are in memory")


def test_plain_arrays_of_dask_have_no_files() -> None:
    ones = da.ones((30, 40), chunks=(10, 20), dtype="f4")
    plan = explained(xf.retrieval(ones, ones + 1))
    assert (plan.files, plan.blocks, plan.block) == ((), 6, (10, 20))
    assert "read: no file" in str(plan)
    in_memory = xf.retrieval(np.ones((30, 40)), np.ones((30, 40))).chunk(y=10)
    assert explained(in_memory).files == ()


def test_bands_that_are_no_retrieval_are_explained_too(scene: Scene) -> None:
    s2 = xf.raster.open_retrieval(scene.s2_mu, scene.s2_sigma, time=scene.date, chunks=128)
    bands = s2.fusion.load_bands(catalog=scene.items, bands={"red": "bilinear"}, offset=0.0)
    assert [file.layer for file in explained(bands).files] == ["red"]


def test_a_store_gets_as_many_files_as_were_said(inputs: Path, tmp_path: Path) -> None:
    water = fused(inputs).isel(y=slice(3, None)).fusion.gaussian(diagnostics=True)
    water = water.assign(extra=("y", np.arange(water.sizes["y"])))
    plan = explained(water)
    xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    lazy = [*plan.variables, "extra"]
    files = [f for name in lazy for f in (tmp_path / "w.zarr" / name / "c").rglob("*")]
    assert plan.blocks_in_store == sum(file.is_file() for file in files)


def test_one_worker_is_one_block_at_a_time(inputs: Path) -> None:
    water = fused(inputs)
    with dask.config.set(scheduler="sync"):
        alone = xf.explain(water)
    with dask.config.set(num_workers=3):
        three = explained(water)
    assert (alone.workers, three.workers) == (1, 3)
    assert three.bytes_at_a_time == 3 * alone.bytes_at_a_time == 3 * alone.bytes_of_block
    # mu and sigma of two sensors as read, mu, sigma, mask, source and conflict as fused
    pixels = BLOCK**2
    assert alone.bytes_of_block == pixels * (4 * 4 + 4 + 11)
    few = explained(water.isel(y=slice(0, BLOCK), x=slice(0, BLOCK)))
    assert few.bytes_at_a_time == few.bytes_of_block


def test_secrets_are_told_to_nobody() -> None:
    file = RasterFile(
        "https://me:word@x.org/a.tif?sig=hidden", (20, 30), np.dtype("f4"), masked=True
    )
    mu = xr.DataArray(da.from_array(file, chunks=10, asarray=False), dims=("y", "x"))
    water = xf.retrieval(mu, mu).assign_attrs(mask_catalog="https://me:word@x.org/v1?key=hidden")
    plan = explained(water)
    assert [f.name for f in plan.files] == ["https://x.org/a.tif"]
    for text in (str(plan), repr(plan), plan._repr_html_()):
        assert "word" not in text
        assert "hidden" not in text


def test_what_is_shown_in_a_notebook_is_text_only(inputs: Path, tmp_path: Path) -> None:
    other = tmp_path / "<script>&.tif"
    rasterio.shutil.copy(inputs / "a_mu.tif", other)
    shown = explained(xf.raster.open_retrieval(other, inputs / "a_sigma.tif"))._repr_html_()
    assert "<script>" not in shown
    assert html.escape("<script>&.tif") in shown


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1 kB"), (1234567, "1.23 MB"), (10**17, "100 PB")],
)
def test_bytes_are_in_the_unit_that_suits_them(number: float, text: str) -> None:
    assert in_bytes(number) == text


# On the web


def served(url: str) -> dict[str, int]:
    """Return how many requests a server had, and how many bytes it sent."""
    answer: dict[str, int] = requests.get(f"{url}/__stats__", timeout=60).json()
    return answer


def test_of_the_web_nothing_is_asked_and_the_bytes_are_about_those_that_come(
    tmp_path: Path,
) -> None:
    grid = GeoBox((900, 900), rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
    pixels = np.random.default_rng(0).random(grid.shape, np.float32)
    for name in ("mu", "sigma"):
        with rasterio.open(
            tmp_path / f"{name}.tif",
            "w",
            driver="GTiff",
            height=900,
            width=900,
            count=1,
            dtype="float32",
            crs="EPSG:32633",
            transform=grid.affine,
            tiled=True,
            blockxsize=128,
            blockysize=128,
        ) as file:
            file.write(pixels, 1)
    with serve_folder(tmp_path) as url:
        water = xf.raster.open_retrieval(f"{url}/mu.tif", f"{url}/sigma.tif")
        moved = water.fusion.coregister(grid.to_crs("EPSG:32634"), chunks=300)
        before = served(url)
        plan = explained(moved)
        assert served(url)["requests"] == before["requests"]
        assert [(file.name, file.layer) for file in plan.files] == [
            (f"{url}/mu.tif", "mu"),
            (f"{url}/sigma.tif", "sigma"),
        ]
        assert all(file.is_estimate for file in plan.files)
        assert "about" in str(plan)
        moved.compute()
        sent = served(url)["bytes"] - before["bytes"]
    # of a file that is not compressed: windows overlap, and tiles reach beyond them
    assert 0.7 < plan.bytes_read / sent < 1.4
