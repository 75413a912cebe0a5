"""The whole workflow on the example scene, against a running STAC API."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import rasterio
import requests
import xarray as xr
from pyproj import Transformer

import xfusion as xf
from tests.asset_server import serve_folder
from tests.laziness import nothing_computes
from tests.waits import AT_MOST
from xfusion.demo import serve
from xfusion.demo.scene import Scene, write_scene


class Served(NamedTuple):
    scene: Scene
    catalog: str
    assets: str | None


@pytest.fixture(scope="module", params=["disk", "http"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("scene")
    with ExitStack() as stack:
        assets = stack.enter_context(serve_folder(folder)) if request.param == "http" else None
        scene = write_scene(folder, size=0.25, asset_root=assets)
        yield Served(scene, stack.enter_context(serve(scene.items)), assets)


@pytest.fixture(scope="module")
def products(served: Served) -> tuple[xf.SensorProduct, xf.SensorProduct]:
    """Both on the grid of Sentinel-2, with their masks, lazy."""
    scene = served.scene
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date, chunks=128)
    s2 = xf.Sentinel2Product.open(scene.s2_mu, scene.s2_sigma, time=scene.date, chunks=128)
    with nothing_computes():
        s1 = s1.coregister(s2).attach_mask(catalog=served.catalog)
        s2 = s2.attach_mask(catalog=served.catalog)
    return s1, s2


def asset_files(scene: Scene, day: str, key: str) -> list[Path]:
    features = json.loads(scene.items.read_text())["features"]
    hrefs = [
        f["assets"][key]["href"]
        for f in features
        if key in f["assets"] and f["properties"]["datetime"].startswith(day)
    ]
    return [scene.folder.joinpath(*href.split("/")[-2:]) for href in hrefs]


def nearest(path: Path, like: xr.Dataset, outside: int) -> np.ndarray:
    """The pixel of a file that holds each pixel centre of a grid, by the exact transform."""
    xx, yy = np.meshgrid(like.x, like.y)
    with rasterio.open(path) as file:
        to_file = Transformer.from_crs(like.rio.crs, file.crs, always_xy=True)
        a, b, c, d, e, f = (~file.transform)[:6]
        x, y = (axis.ravel() for axis in to_file.transform(xx, yy))
        columns, rows = a * x + b * y + c, d * x + e * y + f
        columns, rows = np.floor(columns).astype(int), np.floor(rows).astype(int)
        inside = (rows >= 0) & (rows < file.height) & (columns >= 0) & (columns < file.width)
        values = np.full(columns.shape, outside)
        values[inside] = file.read(1)[rows[inside], columns[inside]]
    return values.reshape(xx.shape)


def test_sentinel_2_mask_is_that_of_the_day(
    served: Served, products: tuple[xf.SensorProduct, xf.SensorProduct]
) -> None:
    ds = products[1].dataset
    layers = {
        key: nearest(asset_files(served.scene, served.scene.date, key)[0], ds, fill)
        for key, fill in {"red": 0, "nir": 0, "scl": 255}.items()
    }
    bands = xr.Dataset({k: (("y", "x"), v.astype("uint16")) for k, v in layers.items()})
    np.testing.assert_array_equal(ds["mask"], bands.fusion.s2_exclusion())
    assert {0, 1, 2, 4, 8} <= set(np.unique(ds["mask"]))


def test_gfm_mask_merges_the_frames_of_the_day_only(
    served: Served, products: tuple[xf.SensorProduct, xf.SensorProduct]
) -> None:
    ds = products[0].dataset
    frames = [
        nearest(path, ds, 255)
        for path in asset_files(served.scene, served.scene.date, "exclusion_mask")
    ]
    assert len(frames) == 2
    gfm = np.where(np.max([np.where(f == 255, -1, f) for f in frames], 0) < 0, 255, 0)
    gfm = np.where(np.any([f == 1 for f in frames], 0), 1, gfm)
    expected = np.array([0, 16] + [32] * 254)[gfm]
    # GDAL's warper approximates coordinates: pixels on the edge of another may differ
    assert (ds["mask"].values != expected).mean() < 0.005
    assert {0, 16} <= set(np.unique(ds["mask"]))


def test_fusion_beats_both_sensors_and_masks_help(
    served: Served, products: tuple[xf.SensorProduct, xf.SensorProduct]
) -> None:
    s1, s2 = products
    with nothing_computes():
        water, unmasked = s1.gaussian(s2), s1.gaussian(s2, use_mask=False)
    truth = served.scene.truth(s2.geobox)
    fused = water.dataset.compute()

    def rmse(mu: xr.DataArray, where: np.ndarray) -> float:
        return float(np.sqrt(np.mean((mu.values - truth)[where] ** 2)))

    both = fused.source.values == 3
    assert both.mean() > 0.1
    assert rmse(fused.mu, both) < min(rmse(s1.mu, both), rmse(s2.mu, both))
    seen = fused.source.values > 0
    assert rmse(fused.mu, seen) < 0.8 * rmse(unmasked.mu, seen)


def test_no_overlapping_pixel_is_lost(
    products: tuple[xf.SensorProduct, xf.SensorProduct],
) -> None:
    s1, s2 = products
    fused = s1.gaussian(s2, use_mask=False).dataset.compute()
    finite = [np.isfinite(p.mu.values) & np.isfinite(p.sigma.values) for p in products]
    np.testing.assert_array_equal(fused.source, finite[0] + 2 * finite[1])
    assert (fused.source == 3).mean() > 0.3
    assert {0, 1, 2, 3} == set(np.unique(fused.source))
    assert fused.sizes == s2.dataset.sizes


def test_both_on_a_third_grid_fuse_alike(served: Served) -> None:
    from odc.geo.geobox import GeoBox

    scene = served.scene
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date)
    s2 = xf.Sentinel2Product.open(scene.s2_mu, scene.s2_sigma, time=scene.date)
    box = s1.geobox.geographic_extent.boundingbox.bbox
    grid = GeoBox.from_bbox(box, "EPSG:4326", resolution=0.0001)
    water = (
        s1.coregister(grid)
        .attach_mask(catalog=served.catalog)
        .gaussian(s2.coregister(grid).attach_mask(catalog=served.catalog))
    )
    assert water.mu.dims == ("latitude", "longitude")
    assert water.geobox == grid
    assert {1, 2, 3} <= set(np.unique(water.dataset.source))


def test_pixels_are_read_in_ranges_and_not_before_they_are_wanted(served: Served) -> None:
    if served.assets is None:
        pytest.skip("these assets are on disk")

    def count(what: str) -> int:
        return int(requests.get(f"{served.assets}/__stats__", timeout=AT_MOST).json()[what])

    scene = served.scene
    before = count("requests")
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date)
    lazy = s1.attach_mask(catalog=served.catalog)
    assert count("requests") == before
    lazy.dataset["mask"].compute()
    assert count("ranges") > 0


def test_products_are_pickled_with_their_lazy_masks(
    products: tuple[xf.SensorProduct, xf.SensorProduct],
) -> None:
    import pickle

    s1 = products[0]
    again = pickle.loads(pickle.dumps(s1))
    xr.testing.assert_equal(again.dataset.compute(), s1.dataset.compute())


def test_accessor_and_product_attach_the_same(served: Served) -> None:
    scene = served.scene
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date)
    ds = s1.dataset.fusion.attach_gfm_mask(catalog=served.catalog)
    xr.testing.assert_equal(ds, s1.attach_mask(catalog=served.catalog).dataset)
    bare = s1.dataset.drop_vars("time")
    with pytest.raises(ValueError, match="no `time`.*datetime="):
        bare.fusion.attach_gfm_mask(catalog=served.catalog)
    dated = bare.fusion.attach_gfm_mask(catalog=served.catalog, datetime=scene.date)
    xr.testing.assert_equal(dated.drop_vars("spatial_ref"), ds.drop_vars(["spatial_ref", "time"]))


def test_a_day_without_items_is_an_error_that_says_where_it_looked(served: Served) -> None:
    scene = served.scene
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time="2019-01-01")
    with pytest.raises(LookupError, match="GFM.*127.0.0.1.*2019-01-01"):
        s1.attach_mask(catalog=served.catalog)


def test_open_client_and_profile_find_the_same(served: Served) -> None:
    import dataclasses

    from pystac_client import Client

    scene = served.scene
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date, chunks=None)
    profile = dataclasses.replace(xf.stac.EODC, url=served.catalog)
    masks = [
        s1.attach_mask(catalog=catalog).dataset["mask"]
        for catalog in (served.catalog, profile, Client.open(served.catalog))
    ]
    xr.testing.assert_equal(masks[0], masks[1])
    xr.testing.assert_equal(masks[0], masks[2])
