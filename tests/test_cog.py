"""Results on disk: whole COGs that say what they hold, written block by block; or an error."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cf_xarray  # noqa: F401  # registers .cf
import dask
import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from rasterio.env import get_gdal_config
from rio_cogeo.cogeo import cog_validate

import xfusion as xf
from tests.laziness import nothing_computes
from xfusion.cog import write as cog
from xfusion.cog.block_file import check_whole

SHAPE = (700, 1300)


def on_grid(pixels: Any, shape: tuple[int, int] = SHAPE) -> xr.DataArray:
    grid = GeoBox(shape, rasterio.Affine(10, 0, 500000, 0, -10, 5000000), "EPSG:32633")
    return xr.DataArray(pixels, dims=grid.dimensions).assign_coords(xr_coords(grid))


def one(sensor: str, chunks: Any = (300, 500), shape: tuple[int, int] = SHAPE) -> xr.Dataset:
    rng = np.random.default_rng(ord(sensor[-1]))
    mu = on_grid(rng.random(shape, np.float32), shape)
    mu = mu.where(rng.random(shape) > 0.1)
    mask = on_grid(rng.choice(np.array([0, 0, 1, 6], np.uint8), shape), shape)
    made = xf.retrieval(mu, mu * 0 + 0.1, mask, sensor=sensor, time="2023-06-20T05:00")
    return made if chunks is None else made.chunk(dict(zip(("y", "x"), chunks, strict=True)))


def generated(sensor: str) -> xr.Dataset:
    """Pixels that tasks make, so that a graph holds none."""
    random = da.random.default_rng(ord(sensor[-1]))
    mu, sigma = (on_grid(random.random(SHAPE, np.float32, chunks=(300, 500))) for _ in "ms")
    return xf.retrieval(mu, sigma, mu > 0.9, sensor=sensor, time="2023-06-20T05:00")


def check(files: dict[str, Path], dataset: xr.Dataset) -> None:
    assert set(files) - {"item"} == set(map(str, dataset.data_vars))
    for name, array in dataset.data_vars.items():
        is_cog, errors, warnings = cog_validate(files[str(name)], strict=True, quiet=True)
        assert is_cog, (errors, warnings)
        with rasterio.open(files[str(name)]) as file:
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            np.testing.assert_array_equal(file.read().squeeze(), array)


@pytest.mark.some(one_in=2)
@pytest.mark.parametrize("chunks", [(300, 500), (700, 1300), (40, 1300), None])
def test_files_are_cogs_and_hold_every_pixel(chunks: Any, tmp_path: Path) -> None:
    sensors = one("s1", chunks), one("s2", chunks)
    fused = xf.gaussian(*sensors, diagnostics=True).fusion.flag_conflict()
    files = fused.fusion.to_cog(tmp_path / "new" / "folder")
    check(files, fused.compute())
    assert {p.name for p in (tmp_path / "new/folder").iterdir()} == {
        *(f"{name}.tif" for name in fused.data_vars),
        "item.json",
    }


def test_a_product_and_the_function_write_the_same(tmp_path: Path) -> None:
    fused = one("s1").fusion.gaussian(one("s2"))
    a = fused.fusion.product.to_cog(tmp_path / "a", prefix="x_")
    b = xf.to_cog(fused, tmp_path / "b", prefix="x_")
    assert [p.name for p in a.values()] == [p.name for p in b.values()]
    for name in a:
        assert a[name].read_bytes() == b[name].read_bytes()


def test_dims_in_another_order_are_written_upright(tmp_path: Path) -> None:
    dataset = one("s1")
    check(dataset.transpose("x", "y").fusion.to_cog(tmp_path), dataset.compute())


def test_pixels_are_computed_once_for_all_files(tmp_path: Path) -> None:
    computed: list[tuple[int, ...]] = []

    def count(block: Any) -> Any:
        computed.append(block.shape)
        return block

    dataset = one("s1")
    pixels = da.map_blocks(count, dataset.mu.data, meta=np.empty((0, 0), np.float32))
    dataset = dataset.assign(mu=dataset.mu.copy(data=pixels))
    with nothing_computes():
        fused = xf.gaussian(dataset, one("s2"))
    fused.fusion.to_cog(tmp_path)
    assert len(computed) == dataset.mu.data.npartitions == 9


@pytest.mark.some(one_in=2)
@pytest.mark.parametrize("scheduler", ["processes", "cluster"])
def test_workers_without_our_memory_write_the_same_files(scheduler: str, tmp_path: Path) -> None:
    fused = xf.gaussian(generated("s1"), generated("s2"), diagnostics=True)
    plain = fused.fusion.to_cog(tmp_path / "threads")
    if scheduler == "processes":
        with ProcessPoolExecutor(2) as pool, dask.config.set(pool=pool):
            files = fused.fusion.to_cog(tmp_path / "others")
    else:
        from distributed import Client

        with (
            Client(n_workers=2, threads_per_worker=1, dashboard_address=None),
            warnings.catch_warnings(),
        ):
            warnings.filterwarnings("error", "Sending large graph")
            files = fused.fusion.to_cog(tmp_path / "others")
    for name, path in files.items():
        if name != "item":
            assert path.read_bytes() == plain[name].read_bytes()


def test_overviews_suit_the_kind_of_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mu = on_grid(rng.random(SHAPE, np.float32))
    sigma = on_grid(rng.random(SHAPE, np.float32))
    flags = on_grid(rng.choice(np.array([0, 1, 6], np.uint8), SHAPE))
    dataset = xf.retrieval(mu, sigma, flags, sensor="s1", time="2023-06-20")
    dataset[("mu")][:2, :1] = np.nan
    files = dataset.fusion.to_cog(tmp_path)
    for name in ("mu", "sigma"):
        with rasterio.open(files[name], overview_level=0) as file:
            pixels = dataset[name].coarsen(y=2, x=2).mean()
            np.testing.assert_allclose(file.read(1), pixels, rtol=1e-6)
            assert file.read(1)[0, 0] == pytest.approx(float(dataset[name][:2, :2].mean()))
    with rasterio.open(files["mask"], overview_level=0) as file:
        assert set(np.unique(file.read(1))) == {0, 1, 6}


def test_missing_values_and_packing_are_declared(tmp_path: Path) -> None:
    dataset = one("s1")
    packed = xr.full_like(dataset["mask"], 7).assign_attrs(
        scale_factor=0.5, add_offset=2.0, _FillValue=np.uint8(255)
    )
    packed.attrs.pop("flag_masks")
    files = dataset.assign(packed=packed).fusion.to_cog(tmp_path)
    with rasterio.open(files["packed"]) as file:
        assert (file.scales, file.offsets, file.nodata) == ((0.5,), (2.0,), 255)
    np.testing.assert_array_equal(xf.raster.open_raster(files["packed"]), np.full(SHAPE, 5.5))
    with rasterio.open(files["mask"]) as file:
        assert file.nodata is None
    with rasterio.open(files["mu"]) as file:
        assert np.isnan(file.nodata)


def test_tags_say_where_the_mask_is_from(tmp_path: Path) -> None:
    dataset = one("s1").assign_attrs(mask_items="a b", mask_links='{"a": "https://x/a"}')
    files = dataset.fusion.to_cog(tmp_path)
    back = xf.SensorProduct.open(files["mu"], files["sigma"], files["mask"]).dataset
    assert back.attrs["mask_items"] == "a b"
    assert back.attrs["mask_links"] == '{"a": "https://x/a"}'


def test_source_has_colours_and_is_opened_as_flags_again(tmp_path: Path) -> None:
    files = xf.gaussian(one("s1"), one("s2")).fusion.to_cog(tmp_path)
    with rasterio.open(files["source"]) as file:
        table = file.colormap(1)
        assert file.descriptions == ("source",)
    assert len({table[value] for value in range(4)}) == 4
    assert table[0][:3] == (217, 217, 217)
    source = xf.raster.open_raster(files["source"], masked=False)
    assert set(source.cf.flags) == {"s1", "s2"}


def test_files_that_exist_are_kept_before_anything_is_computed(tmp_path: Path) -> None:
    kept = tmp_path / "water_sigma.tif"
    kept.write_text("mine")
    with (
        nothing_computes(),
        pytest.raises(FileExistsError, match="water_sigma.tif exists: pass overwrite=True"),
    ):
        one("s1").fusion.to_cog(tmp_path, prefix="water_")
    assert [p.name for p in tmp_path.iterdir()] == ["water_sigma.tif"]
    assert kept.read_text() == "mine"
    files = one("s1").fusion.to_cog(tmp_path, prefix="water_", overwrite=True)
    check(files, one("s1").compute())


def test_a_folder_in_the_place_of_a_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mu.tif").mkdir()
    with nothing_computes(), pytest.raises(FileExistsError, match="mu.tif exists"):
        one("s1").fusion.to_cog(tmp_path, overwrite=True)


def test_an_error_in_a_block_leaves_what_was_there(tmp_path: Path) -> None:
    before = {k: v.read_bytes() for k, v in one("s1").fusion.to_cog(tmp_path).items()}

    def broken(block: Any, block_info: Any = None) -> Any:
        if block_info and block_info[0]["chunk-location"] == (2, 2):
            msg = "this block is broken"
            raise LookupError(msg)
        return block

    dataset = one("s2")
    pixels = da.map_blocks(broken, dataset.mu.data, meta=np.empty((0, 0), np.float32))
    dataset = dataset.assign(mu=dataset.mu.copy(data=pixels))
    with pytest.raises(LookupError, match="this block is broken"):
        dataset.fusion.to_cog(tmp_path, overwrite=True)
    assert {p.name for p in tmp_path.iterdir()} == {"mu.tif", "sigma.tif", "mask.tif", "item.json"}
    for name, path in (("mu", "mu.tif"), ("item", "item.json")):
        assert (tmp_path / path).read_bytes() == before[name]


def test_a_folder_that_cannot_be_made_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with nothing_computes(), pytest.raises(NotADirectoryError, match="file/out cannot be written"):
        one("s1").fusion.to_cog(tmp_path / "file" / "out")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Any]:
    """Make a file system of some kB; only root may."""
    places: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(places)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if (
            sys.platform != "linux"
            or os.geteuid()
            or subprocess.run(command, check=False).returncode
        ):
            pytest.skip("file systems cannot be mounted here")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", str(place)], check=True)  # noqa: S607  # as mount


def test_a_read_only_folder_is_named_before_anything_is_computed(mounted: Any) -> None:
    place = mounted("ro")
    with nothing_computes(), pytest.raises(OSError, match="disk0.*Read-only.*another folder"):
        one("s1").fusion.to_cog(place)


def test_a_disk_too_small_is_known_before_anything_is_computed(mounted: Any) -> None:
    place = mounted("size=4m")
    with nothing_computes(), pytest.raises(OSError, match="4 MB free, the pixels take 8 MB"):
        one("s1").fusion.to_cog(place / "out")


@pytest.mark.parametrize("kilobytes", [3000, 6000, 10000, 13000, 15000, 16500])
def test_a_disk_that_fills_up_leaves_what_was_there_and_never_half_a_file(
    kilobytes: int, mounted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = mounted(f"size={kilobytes}k")
    small = one("s1", shape=(20, 30))
    before = {k: v.read_bytes() for k, v in small.fusion.to_cog(place).items()}
    monkeypatch.setattr(cog, "_check_space", lambda *_: None)  # as if others had filled it since
    with pytest.raises(OSError, match=r"disk0/\w+.tif could not be written, \d+ MB are free"):
        one("s2").fusion.to_cog(place, overwrite=True)
    assert {p.name for p in place.iterdir()} == {"mu.tif", "sigma.tif", "mask.tif", "item.json"}
    for name in ("mu", "sigma", "mask"):
        assert (place / f"{name}.tif").read_bytes() == before[name]


def test_a_file_cut_short_is_noticed(tmp_path: Path) -> None:
    path = one("s1").fusion.to_cog(tmp_path)["mu"]
    check_whole(path)
    os.truncate(path, path.stat().st_size - 1000)
    with pytest.raises(OSError, match="tile 1, 2 are not in it"):
        check_whole(path)


def test_the_cache_of_gdal_is_as_large_as_before(tmp_path: Path) -> None:
    with rasterio.Env():
        before = get_gdal_config("GDAL_CACHEMAX")
        one("s1").fusion.to_cog(tmp_path)
        assert get_gdal_config("GDAL_CACHEMAX") == before
        with pytest.raises(OSError, match="cannot be written"):
            one("s1").fusion.to_cog(tmp_path / "mu.tif" / "x")
    with rasterio.Env():
        assert get_gdal_config("GDAL_CACHEMAX") == before


PEAK = """
import resource, sys
import dask.array as da, numpy as np, xfusion as xf
from tests.test_cog import on_grid

def pixels(block_info=None):
    (first, _), (last, _) = block_info[None]["array-location"]
    return np.full((256, 256), first + last, np.float32)

def peak(n, folder):
    mu = da.map_blocks(pixels, chunks=((256,) * n, (256,) * n), meta=np.empty((0, 0), np.float32))
    mu = on_grid(mu, (256 * n, 256 * n))
    ds = xf.retrieval(mu, mu + 1, mu > 300, sensor="s", time="2023-06-20")
    xf.gaussian(ds, ds).fusion.to_cog(folder)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

small = peak(6, sys.argv[1] + "/small")
print(small, peak(16, sys.argv[1] + "/large"))
"""


def test_memory_does_not_grow_with_the_area(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    small, large = map(float, ran.stdout.split())
    # the pixels of the large one are 144 MB more than those of the small one
    assert large - small < 80


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.expand_dims(run=1), r"mu has the dims \['run'\]"),
        (lambda ds: ds.assign(n=1), r"n has the dims \(\).*drop_vars\('n'\)"),
        (lambda ds: ds.assign(z=ds.mu.expand_dims(a=1, b=1)), r"z has the dims .*drop_vars\('z'\)"),
        (lambda ds: ds.assign(t=ds.mu.astype("M8[ns]")), "t is datetime64.*no GeoTIFF holds"),
        (lambda ds: ds.assign(item=ds.mu), "called 'item'"),
    ],
)
def test_what_no_file_holds_is_refused_before_anything_is_computed(
    change: Any, message: str, tmp_path: Path
) -> None:
    dataset = change(one("s1", shape=(4, 5), chunks=(4, 5)))
    with nothing_computes(), pytest.raises(ValueError, match=message):
        dataset.fusion.to_cog(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_prefix_with_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no folder"):
        one("s1").fusion.to_cog(tmp_path, prefix="../water_")
