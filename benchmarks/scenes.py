"""Scenes of any size for the whole job: the files of two sensors and of their mask layers."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from xfusion.demo.items import band_asset, gfm_item, sentinel2_item

DATE = "2023-06-20"
CENTRE = (16.3, 48.2)
FILES = ("s1_mu", "s1_sigma", "s2_mu", "s2_sigma", "red", "nir", "scl", "exclusion_mask")


@dataclass(frozen=True)
class Scene:
    """Where the files are."""

    folder: Path

    def path(self, name: str) -> Path:
        """The file of a layer, one of FILES."""
        return self.folder / f"{name}.tif"

    def items(self, collection: str) -> list[dict[str, Any]]:
        """The STAC items of "GFM" or "sentinel-2-l2a"."""
        features = json.loads((self.folder / "items.json").read_text())["features"]
        return [f for f in features if f["collection"] == collection]

    def grid(self) -> GeoBox:
        """The target: the bounds of the Sentinel-2 product in EPSG:4326 at 0.0001 degrees."""
        with rasterio.open(self.path("s2_mu")) as file:
            product = GeoBox(file.shape, file.transform, str(file.crs))
        bounds = product.extent.to_crs("EPSG:4326").boundingbox
        return GeoBox.from_bbox(bounds, resolution=0.0001)


def write_scene(folder: Path, side: int) -> Scene:
    """Write a scene whose Sentinel-2 product has `side` pixels of 10 m a side.

    Sentinel-1 has pixels of 20 m, the GFM layer as well; the extents differ. Smooth fields with
    noise on top, as tiled COGs, deflated.
    """
    metres = 10.0 * side
    fine = _grid("EPSG:32633", 10, metres)
    coarse = _grid("EPSG:32633", 20, 1.05 * metres)
    rng = [np.random.default_rng([side, k]) for k in range(3)]

    def sentinel1() -> None:
        mu, sigma = _retrieval(coarse, rng[0])
        _write(folder / "s1_mu.tif", mu, coarse, np.nan)
        _write(folder / "s1_sigma.tif", sigma, coarse, np.nan)

    def sentinel2() -> None:
        mu, sigma = _retrieval(fine, rng[1])
        lost = _waves(fine, 9e3, 1.0) < -1.6
        for name, layer in (("s2_mu", mu), ("s2_sigma", sigma)):
            layer[lost] = -9999
            _write(folder / f"{name}.tif", layer, fine, -9999)

    def bands() -> None:
        wet = _waves(fine, 4e3, 0.0)
        for name, level, by_water in (("red", 900, -150), ("nir", 1900, -700)):
            noise = 60 * rng[2].standard_normal(fine.shape, np.float32)
            pixels = np.clip(level + by_water * wet + noise, 1, 10000)
            _write(folder / f"{name}.tif", pixels.astype(np.uint16), fine, 0)
        of_classes = fine.zoom_out(2)
        wet, cloudy = _waves(of_classes, 4e3, 0.0), _waves(of_classes, 7e3, 2.0)
        scl = np.where(wet > 0.6, 6, np.where(wet < -0.5, 4, 5))
        scl[cloudy > 1.2] = 9
        scl[(cloudy > 1.05) & (cloudy <= 1.2)] = 3
        _write(folder / "scl.tif", scl.astype(np.uint8), of_classes, 0)

    def gfm() -> None:
        excluded = (_waves(equi7, 5e3, 3.0) > 1.1).astype(np.uint8)
        excluded[:, :20] = 255
        _write(folder / "exclusion_mask.tif", excluded, equi7, 255)

    equi7 = _grid("EPSG:27704", 20, 1.15 * metres)
    folder.mkdir(parents=True)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work) for work in (sentinel2, bands, sentinel1, gfm)]:
            done.result()
    scene = Scene(folder)
    uris = {name: scene.path(name).as_uri() for name in FILES}
    assets = {
        name: band_asset(name, uris[name], fine.zoom_out(2) if name == "scl" else fine)
        for name in ("red", "nir", "scl")
    }
    s2 = sentinel2_item("S2B_33UWP_20230620_0_L2A", f"{DATE}T09:50:31Z", fine, 10.0, assets)
    s2["properties"]["proj:epsg"] = 32633
    radar = gfm_item("ENSEMBLE_FLOOD", "20230620T164500", equi7, uris["exclusion_mask"])
    (folder / "items.json").write_text(json.dumps({"features": [s2, radar]}))
    return scene


def _grid(crs: str, pixel: int, metres: float) -> GeoBox:
    side = round(metres / pixel / 2) * 2
    place = GeoBox.from_bbox((*CENTRE, CENTRE[0] + 1e-6, CENTRE[1] + 1e-6), "EPSG:4326", shape=1)
    x, y = (round(c, -2) for c in place.extent.to_crs(crs).centroid.coords[0])
    half = side * pixel / 2
    return GeoBox.from_bbox((x - half, y - half, x + half, y + half), crs, resolution=pixel)


def _waves(geobox: GeoBox, length: float, phase: float) -> NDArray[np.float32]:
    """A smooth field from -2 to 2 that repeats itself only after many wavelengths (m)."""
    y, x = (c.values.astype(np.float32) for c in geobox.coordinates.values())
    x, y = (x - x.mean())[None, :], (y - y.mean())[:, None]
    turn = np.float32(2 * np.pi / length)
    wave: Callable[[Any], Any] = np.sin
    return wave(turn * x + np.float32(phase)) * wave(turn * y) + wave(turn * 0.37 * (x + y))


def _retrieval(geobox: GeoBox, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    water = 1 / (1 + np.exp(-4 * _waves(geobox, 4e3, 0.0)))
    sigma = 0.05 + 0.3 * water * (1 - water)
    sigma *= 1 + 0.2 * rng.random(geobox.shape, np.float32)
    return [water + sigma * rng.standard_normal(geobox.shape, np.float32), sigma]


def _write(path: Path, pixels: NDArray[Any], geobox: GeoBox, nodata: float) -> None:
    with rasterio.open(
        path,
        "w",
        driver="COG",
        width=geobox.width,
        height=geobox.height,
        count=1,
        dtype=pixels.dtype,
        crs=str(geobox.crs),
        transform=geobox.affine,
        nodata=nodata,
        blocksize=512,
        compress="DEFLATE",
        overviews="NONE",
        BIGTIFF="IF_SAFER",
    ) as file:
        file.write(pixels, 1)
