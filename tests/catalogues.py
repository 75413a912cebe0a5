"""Small scenes as the catalogues present them: files, items as dicts, and the masks they make."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import CRS

import xfusion as xf

Pixels = NDArray[Any]

DAY = "2023-06-20"
GRID = GeoBox((64, 64), rasterio.Affine(10, 0, 600_000, 0, -10, 5_200_000), "EPSG:32633")


def retrieval(
    geobox: GeoBox = GRID, *, time: str = DAY, chunks: dict[str, int] | None = None
) -> xr.Dataset:
    mu = xr.DataArray(np.full(geobox.shape, 0.5, np.float32), dims=geobox.dimensions)
    mu = mu.assign_coords(xr_coords(geobox))
    made = xf.retrieval(mu, mu * 0.1, sensor="a sensor", time=time)
    return made if chunks is None else made.chunk(chunks)


def write(
    path: Path, pixels: Pixels, geobox: GeoBox, nodata: float | None = None, **options: Any
) -> str:
    """Write a COG and return its path, as an href."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        **{"driver": "COG", "blocksize": 128} | options,
        width=geobox.width,
        height=geobox.height,
        count=1,
        dtype=pixels.dtype,
        crs=CRS(str(geobox.crs)).to_wkt(),
        transform=geobox.affine,
        nodata=nodata,
    ) as file:
        file.write(pixels, 1)
    return str(path)


def item(
    name: str,
    time: str,
    geobox: GeoBox,
    assets: Mapping[str, Any],
    properties: Mapping[str, Any],
    *,
    collection: str = "sentinel-2-l2a",
    version: str = "1.0.0",
) -> dict[str, Any]:
    extent = geobox.extent.to_crs("EPSG:4326")
    return {
        "type": "Feature",
        "stac_version": version,
        "id": name,
        "collection": collection,
        "geometry": extent.json,
        "bbox": list(extent.boundingbox.bbox),
        "properties": {"datetime": time, **properties},
        "links": [],
        "assets": dict(assets),
    }


def proj(geobox: GeoBox) -> dict[str, Any]:
    return {"proj:shape": list(geobox.shape), "proj:transform": list(geobox.affine)[:6]}


# Sentinel-2


@dataclass(frozen=True)
class Scene:
    """Reflectance times 10 000 on a grid, 0 where there is none, and classes at half of it."""

    red: Pixels
    nir: Pixels
    scl: Pixels
    geobox: GeoBox = GRID

    @property
    def coarse(self) -> GeoBox:
        return self.geobox.zoom_out(2)

    def mask(self, added: float = 0.0) -> Pixels:
        """The flags, pixel by pixel, with another number added to the reflectances."""
        classes = self.scl.repeat(2, 0).repeat(2, 1)
        rule = np.vectorize(s2_flags, otypes=[np.uint8])
        flags: Pixels = rule(self.red, self.nir, classes, added)
        return flags

    def ndvi(self) -> Pixels:
        index: Pixels = np.vectorize(ndvi)(self.red, self.nir, 0.0)
        return index


def ndvi(red: int, nir: int, added: float) -> float:
    if 0 in (red, nir):
        return np.nan
    red_value, nir_value = (max(0.0, v + added) if added else float(v) for v in (red, nir))
    return (nir_value - red_value) / (nir_value + red_value + 1e-6)


def s2_flags(red: int, nir: int, scl: int, added: float = 0.0, ndvi_max: float = 0.6) -> int:
    if scl > 11:
        return 32
    flags = {8: 1, 9: 1, 10: 1, 2: 2, 3: 2, 0: 8, 1: 8}.get(scl, 0)
    if 0 in (red, nir):
        return flags | 8
    return flags | (4 if ndvi(red, nir, added) > ndvi_max else 0)


def landscape(shape: tuple[int, int] = (64, 64), seed: int = 0) -> Scene:
    """Dark and bright ground under some clouds, with nir above and below red, and gaps."""
    rng = np.random.default_rng(seed)
    half = shape[0] // 2, shape[1] // 2
    scl = rng.choice(np.arange(12, dtype=np.uint8), half)
    classes = scl.repeat(2, 0).repeat(2, 1)
    bright = np.isin(classes, (5, 7, 8, 9, 10, 11))
    red = np.where(bright, rng.integers(1200, 9000, shape), rng.integers(30, 700, shape))
    nir = np.where(rng.random(shape) < 0.5, red // 2 + 1, red * 5)
    for band in (red, nir):
        band[rng.random(shape) < 0.05] = 0
    geobox = GeoBox(shape, GRID.affine, GRID.crs)
    return Scene(red.astype(np.uint16), nir.astype(np.uint16), scl, geobox)


def flat(red: int, scl: int, shape: tuple[int, int] = (64, 64)) -> Scene:
    """One class, and an NDVI of 0.5."""
    reds = np.full(shape, red, np.uint16)
    half = np.full((shape[0] // 2, shape[1] // 2), scl, np.uint8)
    return Scene(reds, reds * 3, half, GeoBox(shape, GRID.affine, GRID.crs))


def stored(
    scene: Scene, folder: Path, *, raw: bool, nodata: float | None = 0, **options: Any
) -> Any:
    """Write a scene, with the 1 000 in its numbers or not, and return its hrefs."""
    folder.mkdir(parents=True, exist_ok=True)
    hrefs = {}
    for band in ("red", "nir"):
        pixels = getattr(scene, band)
        pixels = np.where(pixels > 0, pixels + 1000, 0).astype(np.uint16) if raw else pixels
        hrefs[band] = write(folder / f"{band}.tif", pixels, scene.geobox, nodata, **options)
    hrefs["scl"] = write(folder / "scl.tif", scene.scl, scene.coarse, nodata)
    return hrefs


def earth_search(
    scene: Scene,
    hrefs: Mapping[str, str],
    *,
    name: str = "S2A_33TXN_20230620_0_L2A",
    time: str = f"{DAY}T10:06:07.024000Z",
    applied: bool | None = None,
    declared: float | None = None,
    baseline: str | None = None,
) -> dict[str, Any]:
    facts = {"earthsearch:boa_offset_applied": applied, "s2:processing_baseline": baseline}
    band = {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": declared}
    grids = {"red": scene.geobox, "nir": scene.geobox, "scl": scene.coarse}
    assets = {key: {"href": href, **proj(grids[key])} for key, href in hrefs.items()}
    if declared is not None:
        for key in ("red", "nir"):
            assets[key]["raster:bands"] = [band]
    known = {key: value for key, value in facts.items() if value is not None}
    properties = {"proj:epsg": int(str(scene.geobox.crs).split(":")[1]), **known}
    return item(name, time, scene.geobox, assets, properties)


def planetary_computer(
    scene: Scene,
    hrefs: Mapping[str, str],
    *,
    name: str = "S2A_MSIL2A_20230620T100607_R022_T33TXN",
    baseline: str | None = None,
) -> dict[str, Any]:
    found = earth_search(scene, hrefs, name=name, baseline=baseline)
    keys = {"red": "B04", "nir": "B08", "scl": "SCL"}
    return found | {"assets": {keys[k]: asset for k, asset in found["assets"].items()}}


def cdse(scene: Scene, hrefs: Mapping[str, str]) -> dict[str, Any]:
    """As served: in s3, with an alternate, and with scale and offset in each asset."""
    assets = {}
    for band, key in (("red", "B04_10m"), ("nir", "B08_10m"), ("scl", "SCL_20m")):
        geobox = scene.coarse if band == "scl" else scene.geobox
        assets[key] = {
            "href": f"s3://eodata/Sentinel-2/MSI/L2A/{key}.jp2",
            "alternate": {"https": {"href": hrefs[band], "auth:refs": ["oidc"]}},
            "bands": [{"name": key[:3]}],
            "nodata": 0,
            "proj:code": str(geobox.crs),
            **proj(geobox),
        }
        if band != "scl":
            assets[key] |= {"data_type": "uint16", "raster:scale": 0.0001, "raster:offset": -0.1}
    properties = {"processing:version": "05.11", "proj:code": str(scene.geobox.crs)}
    name = "S2A_MSIL2A_20230620T100607_N0511_R022_T33TXN"
    return item(name, f"{DAY}T10:06:07Z", scene.geobox, assets, properties, version="1.1.0")


# Global Flood Monitoring

EQUI7 = GeoBox((48, 60), rasterio.Affine(20, 0, 5_100_000, 0, -20, 1_500_000), "EPSG:27704")


def part(geobox: GeoBox, rows: tuple[int, int], columns: tuple[int, int]) -> GeoBox:
    cut: GeoBox = geobox[slice(*rows), slice(*columns)]
    return cut


def gfm_item(
    time: str, geobox: GeoBox, *, tile: str = "E051N015T3", **hrefs: str
) -> dict[str, Any]:
    """As served: nothing but the WKT says which CRS it is."""
    instant = f"{DAY}T{time}Z"
    name = f"ENSEMBLE_FLOOD_{instant}_VV_EU020M_{tile}".replace(":", "").replace("-", "")
    properties = {"proj:wkt2": CRS(27704).to_wkt("WKT2_2019"), "gsd": 20, **proj(geobox)}
    assets = {key: {"href": href} for key, href in hrefs.items()}
    return item(name, instant, geobox, assets, properties, collection="GFM")


def gfm_flags(*frames: Pixels) -> Pixels:
    """Excluded where a frame says so, usable where one saw nothing to exclude, else unknown."""
    expected = np.full(frames[0].shape, 32, np.uint8)
    for place in np.ndindex(expected.shape):
        said = {int(frame[place]) for frame in frames} - {255}
        if said:
            expected[place] = 16 if 1 in said else 0
    return expected


def placed(pixels: Pixels, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
    """A frame on the whole grid, 255 outside."""
    whole = np.full(EQUI7.shape, 255, np.uint8)
    whole[slice(*rows), slice(*columns)] = pixels
    return whole


# Both


def warned(call: Callable[[], xr.Dataset]) -> tuple[xr.Dataset, list[str]]:
    """What a call returns, and what this package warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    return result, [str(w.message) for w in caught if w.category is UserWarning]


def attach_s2(
    items: Any, profile: xf.Catalog, like: xr.Dataset | None = None, **options: Any
) -> tuple[xr.Dataset, list[str]]:
    like = retrieval() if like is None else like
    options = {"allow_local": True} | options
    return warned(lambda: like.fusion.attach_s2_mask(catalog=profile, items=items, **options))


def attach_gfm(
    items: Any, time: str, *, chunks: dict[str, int] | None = None, **options: Any
) -> tuple[xr.Dataset, list[str]]:
    like = retrieval(EQUI7, time=time, chunks=chunks)
    options = {"allow_local": True} | options
    return warned(lambda: like.fusion.attach_gfm_mask(items=items, **options))
