"""The synthetic scene: its files, its retrievals, the layers behind the masks, its items."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pystac
import pytest
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.warp import Resampling, reproject

from tests.conftest import SIZE_OF_SCENE
from xfusion.demo.scene import Scene, write_scene


@dataclass
class Raster:
    pixels: NDArray[Any]
    geobox: GeoBox
    epsg: int
    nodata: float

    @classmethod
    def read(cls, path: Path) -> "Raster":
        with rasterio.open(path) as file:
            geobox = GeoBox(file.shape, file.transform, file.crs.to_wkt())
            return cls(file.read(1), geobox, file.crs.to_epsg(), file.nodata)

    def on(self, geobox: GeoBox, resampling: Resampling = Resampling.nearest) -> NDArray[Any]:
        warped = np.full(geobox.shape, self.nodata, self.pixels.dtype)
        reproject(
            self.pixels,
            warped,
            src_crs=str(self.geobox.crs),
            src_transform=self.geobox.affine,
            src_nodata=self.nodata,
            dst_crs=str(geobox.crs),
            dst_transform=geobox.affine,
            dst_nodata=self.nodata,
            resampling=resampling,
        )
        return warped


def seen(raster: Raster) -> NDArray[Any]:
    missing = np.isnan(raster.pixels) if np.isnan(raster.nodata) else raster.pixels == raster.nodata
    return np.asarray(~missing)


def items_of(scene: Scene) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in json.loads(scene.items.read_text())["features"]}


def asset(scene: Scene, start: str, name: str) -> Raster:
    (folder,) = scene.folder.glob(f"{start}*")
    return Raster.read(folder / f"{name}.tif")


def gfm_clear(scene: Scene, geobox: GeoBox) -> NDArray[Any]:
    frames = [
        asset(scene, f"ENSEMBLE_FLOOD_{time}", "exclusion_mask").on(geobox)
        for time in ("20230620T164500", "20230620T164525")
    ]
    # 255 is the greatest value, so it must not take part in the maximum.
    verdict = np.max([np.where(frame == 255, -1, frame.astype(int)) for frame in frames], axis=0)
    return np.asarray(verdict == 0)


def s2_clear(scene: Scene, geobox: GeoBox) -> NDArray[Any]:
    scl = asset(scene, "S2B", "scl").on(geobox)
    red = asset(scene, "S2B", "red").on(geobox, Resampling.bilinear).astype("float64")
    nir = asset(scene, "S2B", "nir").on(geobox, Resampling.bilinear).astype("float64")
    ndvi = (nir - red) / (nir + red + 1e-6)
    return np.asarray(np.isin(scl, (4, 5, 6, 7, 11)) & (ndvi <= 0.6))


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


# The files


def test_equal_arguments_give_equal_bytes(scene: Scene, tmp_path: Path) -> None:
    again = write_scene(tmp_path, size=SIZE_OF_SCENE)
    first, second = contents(scene.folder), contents(again.folder)
    first.pop("items.json"), second.pop("items.json")
    assert first == second


def test_seed_changes_the_noise_but_neither_truth_nor_footprint(
    scene: Scene, tmp_path: Path
) -> None:
    other = write_scene(tmp_path, size=SIZE_OF_SCENE, seed=1)
    for path, other_path in ((scene.s1_mu, other.s1_mu), (scene.s2_mu, other.s2_mu)):
        ours, theirs = Raster.read(path), Raster.read(other_path)
        assert not np.array_equal(ours.pixels, theirs.pixels, equal_nan=True)
        np.testing.assert_array_equal(seen(ours), seen(theirs))
        np.testing.assert_array_equal(scene.truth(ours.geobox), other.truth(theirs.geobox))


def test_rerun_in_the_same_folder_changes_nothing_and_leaves_no_debris(tmp_path: Path) -> None:
    write_scene(tmp_path, size=0.2)
    before = contents(tmp_path)
    write_scene(tmp_path, size=0.2)
    assert contents(tmp_path) == before


def test_two_runs_in_one_folder_never_show_a_torn_file(tmp_path: Path) -> None:
    scene = write_scene(tmp_path, size=0.2)
    whole = scene.s2_mu.read_bytes()
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(write_scene, tmp_path, size=0.2) for _ in range(2)]
        while not all(run.done() for run in runs):
            assert scene.s2_mu.read_bytes() == whole
            json.loads(scene.items.read_text())


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = write_scene(tmp_path, size=0.2)
    before = contents(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rasterio.io.BufferedDatasetWriter, "write", fail)
    with pytest.raises(OSError, match="No space left"):
        write_scene(tmp_path, size=0.2, seed=1)
    assert contents(scene.folder) == before


def test_scene_too_small_for_its_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"size is 0\.1"):
        write_scene(tmp_path, size=0.1)


# The retrievals


@pytest.mark.parametrize(
    ("mu", "sigma", "epsg", "metres"),
    [("s1_mu", "s1_sigma", 32633, 20), ("s2_mu", "s2_sigma", 32634, 10)],
)
def test_mu_and_sigma_share_grid_and_footprint(
    scene: Scene, mu: str, sigma: str, epsg: int, metres: int
) -> None:
    mean, error = Raster.read(getattr(scene, mu)), Raster.read(getattr(scene, sigma))
    assert mean.geobox == error.geobox
    assert (mean.epsg, mean.geobox.resolution.x) == (epsg, metres)
    assert mean.pixels.dtype == error.pixels.dtype == np.float32
    broken = seen(mean) & np.isnan(error.pixels)
    np.testing.assert_array_equal(seen(mean), seen(error) | broken)
    assert broken.any()
    assert np.isfinite(mean.pixels[broken]).all()
    assert (error.pixels == 0).any()


def test_products_declare_their_different_nodata(scene: Scene) -> None:
    assert np.isnan(Raster.read(scene.s1_mu).nodata)
    assert np.isnan(Raster.read(scene.s1_sigma).nodata)
    assert Raster.read(scene.s2_mu).nodata == Raster.read(scene.s2_sigma).nodata == -9999


def test_each_sensor_sees_ground_that_the_other_does_not(scene: Scene) -> None:
    s1, s2 = Raster.read(scene.s1_mu), Raster.read(scene.s2_mu)
    s1_there = np.isfinite(s1.on(s2.geobox))
    s2_there = s2.on(s1.geobox) != s2.nodata
    assert 0.02 < np.mean(~s1_there[seen(s2)]) < 0.5
    assert 0.1 < np.mean(~s2_there[seen(s1)]) < 0.6


def test_swath_edges_are_slanted(scene: Scene) -> None:
    for path in (scene.s1_mu, scene.s2_mu):
        inside = seen(Raster.read(path))
        starts = [row.argmax() for row in inside if row.any()]
        assert len(set(starts)) > 10
        assert 0.5 < inside.mean() < 0.95


def test_mu_is_within_its_sigma_of_the_truth_where_the_masks_are_clear(scene: Scene) -> None:
    for mu, sigma, clear in (
        (scene.s1_mu, scene.s1_sigma, gfm_clear),
        (scene.s2_mu, scene.s2_sigma, s2_clear),
    ):
        mean, error = Raster.read(mu), Raster.read(sigma)
        usable = clear(scene, mean.geobox) & seen(mean) & seen(error) & np.isfinite(error.pixels)
        off = (mean.pixels - scene.truth(mean.geobox))[usable]
        spread = error.pixels[usable]
        assert (np.abs(off) <= 5.5 * spread + 1e-6).all()
        np.testing.assert_allclose(np.std(off[spread > 0] / spread[spread > 0]), 1, atol=0.03)
        assert np.abs(off[spread == 0]).max() < 1e-7


def test_sensors_are_confidently_wrong_where_their_masks_exclude(scene: Scene) -> None:
    for mu, sigma, clear in (
        (scene.s1_mu, scene.s1_sigma, gfm_clear),
        (scene.s2_mu, scene.s2_sigma, s2_clear),
    ):
        mean, error = Raster.read(mu), Raster.read(sigma)
        excluded = ~clear(scene, mean.geobox) & seen(mean) & (error.pixels > 0)
        off = np.abs(mean.pixels - scene.truth(mean.geobox))[excluded]
        assert np.mean((off > 0.2) & (error.pixels[excluded] < 0.05)) > 0.1


def test_masked_fusion_beats_both_sensors_and_the_unmasked_fusion(scene: Scene) -> None:
    s2_mu, s2_sigma = Raster.read(scene.s2_mu), Raster.read(scene.s2_sigma)
    s1_mu, s1_sigma = Raster.read(scene.s1_mu), Raster.read(scene.s1_sigma)
    grid = s2_mu.geobox
    # What lacks sigma is broken; its mu must not reach a neighbour through the interpolation.
    s1_mu.pixels[np.isnan(s1_sigma.pixels)] = np.nan
    mu = [s1_mu.on(grid, Resampling.bilinear), s2_mu.pixels]
    sigma = [s1_sigma.on(grid, Resampling.bilinear), s2_sigma.pixels]
    covered = np.isfinite(sigma[0]) & np.isfinite(sigma[1]) & seen(s2_mu)
    truth = scene.truth(grid)

    def fuse(usable: list[NDArray[Any]]) -> NDArray[Any]:
        weights = [
            np.where(use, np.maximum(error, 1e-6).astype("float64") ** -2.0, 0)
            for use, error in zip(usable, sigma, strict=True)
        ]
        sums = weights[0] * mu[0] + weights[1] * mu[1], weights[0] + weights[1]
        return np.asarray(sums[0][either] / sums[1][either])

    def rmse(estimate: NDArray[Any], where: NDArray[Any]) -> float:
        return float(np.sqrt(np.mean((estimate - truth[where]) ** 2)))

    clear = [gfm_clear(scene, grid), s2_clear(scene, grid)]
    either = covered & (clear[0] | clear[1])
    masked = rmse(fuse(clear), either)
    assert masked < 0.7 * rmse(fuse([covered, covered]), either)
    assert masked < 0.7 * rmse(mu[0][either], either)
    assert masked < 0.7 * rmse(mu[1][either], either)
    either = covered & clear[0] & clear[1]
    on_common_ground = rmse(fuse(clear), either)
    assert on_common_ground < 0.9 * min(rmse(mean[either], either) for mean in mu)


def test_truth_is_one_function_of_place_on_any_grid(scene: Scene) -> None:
    utm = Raster.read(scene.s2_mu).geobox
    geographic = GeoBox.from_bbox((17.99, 47.74, 18.01, 47.76), resolution=0.00005)
    truth = scene.truth(geographic)
    assert truth.dtype == np.float64
    assert truth.min() >= 0
    assert truth.max() <= 1
    assert ((truth > 0.2) & (truth < 0.8)).any()
    warped = Raster(truth, geographic, 4326, np.nan).on(utm, Resampling.bilinear)
    inside = np.isfinite(warped)
    off = np.abs(warped - scene.truth(utm))[inside]
    assert np.quantile(off, 0.99) < 0.02
    # Where two banks meet the truth has an edge, which the interpolation blunts.
    assert off.max() < 0.1


def test_truth_needs_a_crs(scene: Scene) -> None:
    with pytest.raises(ValueError, match="no CRS"):
        scene.truth(GeoBox((2, 2), Raster.read(scene.s1_mu).geobox.affine, None))


# The layers behind the masks


def test_scene_classification_has_every_kind_of_pixel(scene: Scene) -> None:
    scl = asset(scene, "S2B", "scl")
    assert (scl.epsg, scl.nodata, scl.pixels.dtype.name) == (32634, 0, "uint8")
    assert set(np.unique(scl.pixels)) == {0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11}


def test_bands_cover_the_product_of_their_sensor_but_not_the_other(scene: Scene) -> None:
    red, scl = asset(scene, "S2B", "red"), asset(scene, "S2B", "scl")
    assert (red.epsg, red.nodata, red.pixels.dtype.name) == (32634, 0, "uint16")
    assert red.geobox.extent == scl.geobox.extent
    s1, s2 = Raster.read(scene.s1_mu), Raster.read(scene.s2_mu)
    assert red.geobox.extent.contains(s2.geobox.extent)
    assert (red.on(s2.geobox)[seen(s2)] > 0).all()
    assert np.mean(red.on(s1.geobox)[seen(s1)] == 0) > 0.1


def test_ndvi_tells_water_from_meadow_from_forest(scene: Scene) -> None:
    red, nir = asset(scene, "S2B", "red"), asset(scene, "S2B", "nir")
    scl = asset(scene, "S2B", "scl").on(red.geobox)
    ndvi = (nir.pixels - 1.0 * red.pixels) / (nir.pixels + red.pixels + 1e-6)
    assert (ndvi[(scl == 6) & (scene.truth(red.geobox) > 0.99)] < 0).all()
    assert 0.05 < np.mean(ndvi[scl == 4] > 0.6) < 0.9
    assert np.mean(ndvi[scl == 5] > 0.6) < 0.05


def test_gfm_frames_overlap_and_differ_in_footprint_and_verdict(scene: Scene) -> None:
    first = asset(scene, "ENSEMBLE_FLOOD_20230620T164500", "exclusion_mask")
    second = asset(scene, "ENSEMBLE_FLOOD_20230620T164525", "exclusion_mask")
    for frame in (first, second):
        assert (frame.epsg, frame.nodata, frame.pixels.dtype.name) == (27704, 255, "uint8")
        assert set(np.unique(frame.pixels)) == {0, 1, 255}
    both = seen(first) & seen(second)
    assert both.any()
    assert (seen(first) & ~seen(second)).any()
    assert (seen(second) & ~seen(first)).any()
    assert ((first.pixels == 0) & (second.pixels == 1)).any()
    assert not ((first.pixels == 1) & (second.pixels == 0)).any()


def test_next_day_would_be_visible_in_a_result(scene: Scene) -> None:
    assert (asset(scene, "ENSEMBLE_FLOOD_20230621", "exclusion_mask").pixels == 1).all()
    assert (asset(scene, "S2A", "scl").pixels == 9).all()


# The items


def test_items_are_valid_and_describe_the_grids_of_their_assets(scene: Scene) -> None:
    items = items_of(scene)
    assert len(items) == 5
    for item in items.values():
        parsed = pystac.Item.from_dict(item)
        assert parsed.datetime is not None
        for name, described in item["assets"].items():
            path = Path(unquote(urlsplit(described["href"]).path))
            assert described["href"].startswith("file:///")
            assert path == scene.folder / item["id"] / f"{name}.tif"
            fields = item["properties"] | described
            raster = Raster.read(path)
            assert fields["proj:shape"] == list(raster.geobox.shape)
            assert fields["proj:transform"] == list(raster.geobox.affine)[:6]


def test_gfm_items_name_their_crs_by_wkt_alone_and_declare_no_bands(scene: Scene) -> None:
    for item in items_of(scene).values():
        if item["collection"] == "GFM":
            assert {"proj:epsg", "proj:code"}.isdisjoint(item["properties"])
            assert rasterio.crs.CRS.from_wkt(item["properties"]["proj:wkt2"]).to_epsg() == 27704
            assert "raster:bands" not in item["assets"]["exclusion_mask"]


def test_sentinel2_items_contradict_themselves_as_the_real_ones_do(scene: Scene) -> None:
    item = items_of(scene)["S2B_34TBT_20230620_0_L2A"]
    assert item["properties"]["proj:epsg"] == 32634
    assert item["properties"]["earthsearch:boa_offset_applied"] is True
    (band,) = item["assets"]["red"]["raster:bands"]
    assert (band["nodata"], band["scale"], band["offset"]) == (0, 0.0001, -0.1)


def test_hrefs_start_with_the_asset_root(tmp_path: Path) -> None:
    scene = write_scene(tmp_path, size=0.2, asset_root="http://127.0.0.1:1/")
    hrefs = [a["href"] for item in items_of(scene).values() for a in item["assets"].values()]
    assert "http://127.0.0.1:1/S2B_34TBT_20230620_0_L2A/red.tif" in hrefs
    assert all(href.startswith("http://127.0.0.1:1/") for href in hrefs)
