"""A synthetic scene with a known truth: two water retrievals and the items of their masks.

The place is a stretch of the Danube near 18 degrees east, where UTM zones 33 and 34 meet. Layout
and footprints are fixed, the seed decides the noise. Nothing here imitates a processor: the scene
puts every difficulty of the real workflow where a test can find it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
# Centre east and north, half axes (km of a full-size scene), degrees anticlockwise from east.
Ellipse = tuple[float, float, float, float, float]
# Direction in degrees anticlockwise from east, nearest and farthest kilometre along it.
Strip = tuple[float, float, float]

DATE = "2023-06-20"
CENTRE = (18.0, 47.75)
PLANE = f"+proj=tmerc +lon_0={CENTRE[0]} +lat_0={CENTRE[1]} +datum=WGS84 +units=m"

LAKES: tuple[Ellipse, ...] = (
    (2.9, 2.9, 0.9, 0.55, 30),
    (-5.7, -3.4, 0.8, 0.5, -20),
    (4.9, -2.9, 0.7, 0.45, 60),
    (-1.3, 3.0, 0.45, 0.3, 0),
    (0.9, -4.1, 0.5, 0.3, 15),
    (-6.4, 2.6, 0.3, 0.5, 10),
)
PONDS: tuple[Ellipse, ...] = tuple(
    (-2.9 + 0.4 * column, -4.2 + 0.4 * row, 0.15, 0.13, 0.0)
    for row in range(3)
    for column in range(3)
)
WETLANDS: tuple[Ellipse, ...] = ((-2.6, 1.5, 1.1, 0.6, 20), (3.6, -1.6, 0.9, 0.4, -30))
TOWNS: tuple[Ellipse, ...] = ((-0.9, -0.9, 0.9, 0.7, 0), (2.5, 0.3, 0.6, 0.5, 40))
HILLS: tuple[Ellipse, ...] = ((-3.2, 4.1, 1.4, 0.35, 20), (1.3, 4.3, 1.1, 0.35, 15))
SAND: tuple[Ellipse, ...] = ((5.3, -0.7, 0.5, 0.35, 0), (-4.6, -2.3, 0.5, 0.35, 30))
# Seen by the later GFM frame only: keeping the first frame that has data loses it.
LAYOVER: tuple[Ellipse, ...] = ((-5.2, -0.9, 0.45, 0.3, 0),)
FORESTS: tuple[Ellipse, ...] = (
    (1.2, -2.6, 1.1, 0.5, 10),
    (-4.0, 3.2, 0.9, 0.5, 40),
    (5.4, 1.2, 0.5, 0.7, 0),
)
CLOUDS: tuple[Ellipse, ...] = (
    (1.7, 0.7, 1.5, 0.8, 25),
    (-3.1, -0.5, 0.9, 0.7, -30),
    (4.3, -3.6, 0.7, 0.45, 0),
)
# The morning sun stands in the south-east.
SHADOWS: tuple[Ellipse, ...] = tuple((x - 0.5, y + 0.8, a, b, turn) for x, y, a, b, turn in CLOUDS)
CIRRUS: tuple[Ellipse, ...] = ((5.2, 3.6, 0.9, 0.6, -20),)
SATURATED: tuple[Ellipse, ...] = ((-1.2, -3.0, 0.35, 0.3, 0),)
GREENHOUSES: tuple[Ellipse, ...] = ((3.9, 0.2, 0.35, 0.25, 0), (-0.2, 2.2, 0.3, 0.25, 30))
UNCLASSIFIED: tuple[Ellipse, ...] = ((-2.0, -2.4, 0.4, 0.3, 0),)

S1_SWATH: tuple[Strip, ...] = ((12, -6.9, 5.9), (102, -5.5, 5.5))
S2_SWATH: tuple[Strip, ...] = ((-14, -4.7, 7.4), (76, -4.6, 4.9))
GFM_FRAMES: tuple[tuple[str, tuple[Strip, ...], tuple[Ellipse, ...]], ...] = (
    ("20230620T164500", ((12, -7.2, 5.7), (102, -7.5, 0.9)), TOWNS + HILLS + SAND),
    ("20230620T164525", ((12, -6.7, 6.2), (102, -0.6, 5.1)), TOWNS + HILLS + SAND + LAYOVER),
)

# A sensor errs only this far inside what its mask excludes (m): the masks are on other, coarser
# grids, so an error at the very outline would leak past the nearest mask pixel.
MARGIN = 45.0


@dataclass(frozen=True)
class Scene:
    """The files of a scene and the truth behind them."""

    folder: Path
    s1_mu: Path
    s1_sigma: Path
    s2_mu: Path
    s2_sigma: Path
    items: Path
    """A FeatureCollection of STAC items whose hrefs are absolute."""
    date: str = DATE
    """The acquisition day. The items also hold the next day, which is none of the products'."""
    size: float = 1.0
    """Scale of the layout; 1 is about 12 km by 10 km."""

    def truth(self, geobox: GeoBox) -> Floats:
        """Evaluate the true water fraction at the centres of a grid's pixels.

        Parameters
        ----------
        geobox
            Any grid with a CRS.

        Returns
        -------
        numpy.ndarray
            float64 in [0, 1], of the shape of `geobox`.

        Examples
        --------
        >>> scene = Scene(*[Path("unused")] * 6)
        >>> grid = GeoBox.from_bbox((17.99, 47.73, 18.01, 47.76), shape=(3, 2))
        >>> scene.truth(grid).round(3)
        array([[0.   , 0.958],
               [1.   , 0.   ],
               [0.   , 0.   ]])
        """
        return _Ground.under(geobox, self.size).truth


def write_scene(
    folder: Path | str, *, size: float = 1.0, seed: int = 0, asset_root: str | None = None
) -> Scene:
    """Write the scene's rasters (COG) and STAC items into a folder.

    Equal arguments give equal bytes, and each file appears whole or not at all, so that any number
    of processes may write one scene into one folder.

    Parameters
    ----------
    folder
        Created if it is missing; files of an earlier run are replaced.
    size
        Scale of the layout, at least 0.2; 1 is about 12 km by 10 km.
    seed
        Of the noise. The truth and the footprints do not depend on it.
    asset_root
        What the hrefs of the assets start with, such as ``"http://127.0.0.1:8000"``, where `folder`
        is served there; None points at the files themselves.

    Returns
    -------
    Scene
        Sentinel-1 at 20 m in EPSG:32633 (nodata NaN) and Sentinel-2 at 10 m in EPSG:32634 (nodata
        -9999), on different extents. Sigma is 0 where the truth is certain and NaN, with a
        meaningless mu, where a retrieval broke; elsewhere mu is the truth plus sigma times white
        noise, not clipped to [0, 1] because that would bias it. Both err with a small sigma where
        their masks exclude them.

    Raises
    ------
    ValueError
        If `size` is too small for the layout to have all its parts.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     scene = write_scene(folder, size=0.2)
    ...     rasterio.open(scene.s1_mu).crs.to_epsg()
    32633
    """
    if not size >= 0.2:
        message = f"size is {size}, but below 0.2 the layout loses its parts"
        raise ValueError(message)
    root = Path(folder).resolve()
    root.mkdir(parents=True, exist_ok=True)
    prefix = root.as_uri() if asset_root is None else asset_root.rstrip("/")
    items = root / "items.json"
    with ThreadPoolExecutor() as pool:
        s1 = pool.submit(_write_sentinel1, root, size, np.random.default_rng([seed, 1]))
        s2 = pool.submit(_write_sentinel2, root, prefix, size, np.random.default_rng([seed, 2]))
        gfm = pool.submit(_write_gfm, root, prefix, size)
    s2_paths, features = s2.result()
    features += gfm.result()
    with _aside(items) as path:
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}, indent=1))
    return Scene(root, *s1.result(), *s2_paths, items, size=size)


@dataclass(frozen=True)
class _Ground:
    """Pixel centres in kilometres east and north of the centre, on a scene of full size."""

    x: Floats
    y: Floats
    size: float
    depths: dict[tuple[Ellipse, ...], Floats] = field(default_factory=dict)

    @classmethod
    def under(cls, geobox: GeoBox, size: float) -> _Ground:
        if geobox.crs is None:
            message = "the grid has no CRS, so its pixels lie nowhere"
            raise ValueError(message)
        rows, columns = np.indices(geobox.shape, dtype="float64") + 0.5
        a, b, c, d, e, f = list(geobox.affine)[:6]
        to_plane = Transformer.from_crs(geobox.crs.proj, PLANE, always_xy=True)
        x, y = to_plane.transform(a * columns + b * rows + c, d * columns + e * rows + f)
        return cls(x / (1000 * size), y / (1000 * size), size)

    def metres(self, kilometres: Floats) -> Floats:
        return 1000 * self.size * kilometres

    @cached_property
    def wobbled(self) -> tuple[Floats, Floats]:
        """East and north, bent so that no outline is a plain ellipse."""
        east = self.x + 0.10 * np.sin(2.3 * self.y + 1) + 0.04 * np.sin(5.1 * self.x)
        north = self.y + 0.10 * np.sin(2.1 * self.x) + 0.04 * np.sin(4.7 * self.y + 2)
        return east, north

    def depth(self, ellipses: tuple[Ellipse, ...]) -> Floats:
        """Metres inside the nearest outline, negative outside."""
        if ellipses not in self.depths:
            deepest = np.full(self.x.shape, -np.inf)
            for x, y, a, b, turn in ellipses:
                cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
                east, north = self.wobbled[0] - x, self.wobbled[1] - y
                along, across = (east * cos + north * sin) / a, (north * cos - east * sin) / b
                radius = np.sqrt(along * along + across * across)
                np.maximum(deepest, min(a, b) * (1 - radius), out=deepest)
            self.depths[ellipses] = self.metres(deepest)
        return self.depths[ellipses]

    def inside(self, strips: tuple[Strip, ...]) -> Flags:
        """Where all the strips overlap."""
        flags = np.ones(self.x.shape, dtype=bool)
        for direction, near, far in strips:
            angle = math.radians(direction)
            along = self.x * math.cos(angle) + self.y * math.sin(angle)
            flags &= (near <= along) & (along <= far)
        return flags

    def wave(self, pace: float, phase: float) -> Floats:
        """Vary smoothly between 0 and 1."""
        wave = np.sin(pace * self.x + phase) * np.cos(1.3 * pace * self.y - phase)
        return 0.5 + 0.3 * wave + 0.2 * np.sin(1.9 * pace * (self.x + self.y))

    @cached_property
    def truth(self) -> Floats:
        """The true water fraction: sharp banks, and swamps between."""
        x, y = self.x, self.y
        river = -0.6 + np.sin(0.55 * x + 0.5) + 0.3 * np.sin(1.4 * x)
        slope = 0.55 * np.cos(0.55 * x + 0.5) + 0.42 * np.cos(1.4 * x)
        branch = -2.6 + 0.5 * np.sin(0.9 * x + 1)
        oxbow = np.sqrt((x + 3.4) ** 2 + (y - 2.0) ** 2)
        depth = self.depth(LAKES + PONDS).copy()
        for bank in (
            0.32 + 0.08 * np.sin(0.8 * x) - np.abs(y - river) / np.sqrt(1 + slope**2),
            0.07 - np.abs(y - branch),
            np.minimum(0.1 - np.abs(oxbow - 0.8), -2.9 - x),
        ):
            np.maximum(depth, self.metres(bank), out=depth)
        shore = 20.0
        water = 0.5 + 0.5 * np.tanh(depth / (2 * shore))
        swamp = 0.45 + 0.45 * np.tanh(self.depth(WETLANDS) / (150 * self.size))
        truth: Floats = np.maximum(water, swamp * self.wave(2.5, 0.8))
        return truth


def _write_sentinel1(root: Path, size: float, noise: np.random.Generator) -> tuple[Path, Path]:
    geobox = _grid(32633, 20, 14, 12, -0.8, 0, size)
    ground = _Ground.under(geobox, size)
    errors = (
        (ground.depth(TOWNS) > MARGIN, 0.05),
        (ground.depth(HILLS + LAYOVER) > MARGIN, 0.93),
        (ground.depth(SAND) > MARGIN, 0.88),
    )
    spread = 0.07 + 0.09 * ground.wave(0.9, 0.3)
    mu, sigma = _retrieve(ground, spread, errors, (35, 1.3, 1.36), noise)
    inside = ground.inside(S1_SWATH)
    return (
        _write(root / "s1_mu.tif", np.where(inside, mu, np.nan), geobox, np.nan),
        _write(root / "s1_sigma.tif", np.where(inside, sigma, np.nan), geobox, np.nan),
    )


def _write_sentinel2(
    root: Path, prefix: str, size: float, noise: np.random.Generator
) -> tuple[tuple[Path, Path], list[dict[str, Any]]]:
    fine = _grid(32634, 10, 12.6, 10.6, 1, 0, size)
    ground = _Ground.under(fine, size)
    wooded = (ground.depth(FORESTS) > MARGIN) & (ground.truth < 0.3)
    errors = (
        (wooded, 0.4),
        (ground.depth(SATURATED) > MARGIN, 0.6),
        (ground.depth(SHADOWS) > MARGIN, 0.92),
        (ground.depth(CIRRUS) > MARGIN, 0.3),
        (ground.depth(CLOUDS) > MARGIN, 0.06),
    )
    spread = 0.05 + 0.10 * ground.wave(0.7, 2.1)
    mu, sigma = _retrieve(ground, spread, errors, (-35, 3.0, 3.03), noise)
    inside = ground.inside(S2_SWATH)
    rim = round(30 * size)
    product = np.s_[rim:-rim, rim:-rim]
    paths = (
        _write(root / "s2_mu.tif", np.where(inside, mu, -9999)[product], fine[product], -9999),
        _write(
            root / "s2_sigma.tif", np.where(inside, sigma, -9999)[product], fine[product], -9999
        ),
    )
    return paths, _write_bands(root, prefix, ground, fine, noise)


def _retrieve(
    ground: _Ground,
    spread: Floats,
    errors: tuple[tuple[Flags, float], ...],
    broken: Strip,
    noise: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Mu and sigma: honest but for the errors, certain in places, broken in a strip and specks."""
    truth = ground.truth
    sigma = spread + 0.15 * np.sqrt(truth * (1 - truth))
    agreed = (np.minimum(truth, 1 - truth) < 1e-4) & (ground.wave(1.7, 1.1) > 0.72)
    sigma[agreed] = 0
    mu = truth + sigma * noise.standard_normal(truth.shape)
    for where, value in errors:
        sigma[where] = 0.02
        mu[where] = value + 0.02 * noise.standard_normal(np.count_nonzero(where))
    lost = ground.inside((broken,)) | (noise.random(truth.shape) < 5e-4)
    sigma[lost] = np.nan
    mu[lost] = noise.random(np.count_nonzero(lost))
    return mu, sigma


def _write_bands(
    root: Path, prefix: str, ground: _Ground, fine: GeoBox, noise: np.random.Generator
) -> list[dict[str, Any]]:
    coarse = fine.zoom_out(2)
    red, nir = _reflectances(ground, noise)
    scl = _classes(_Ground.under(coarse, ground.size))
    bright, cloud = np.full(fine.shape, 6000, "uint16"), np.full(coarse.shape, 9, "uint8")
    items = []
    for item_id, time, layers in (
        ("S2B_34TBT_20230620_0_L2A", "2023-06-20T09:50:31.024000Z", (red, nir, scl)),
        ("S2A_34TBT_20230621_0_L2A", "2023-06-21T00:10:00.000000Z", (bright, bright, cloud)),
    ):
        assets = {}
        for name, pixels in zip(("red", "nir", "scl"), layers, strict=True):
            geobox = coarse if name == "scl" else fine
            path = _write(root / item_id / f"{name}.tif", pixels, geobox, 0)
            assets[name] = _asset(prefix, root, path) | _projection(geobox) | BAND_FIELDS[name]
        seen = layers[2][layers[2] > 0]
        properties = {
            "platform": f"sentinel-{item_id[1:3].lower()}",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "eo:cloud_cover": round(100 * float(np.isin(seen, (8, 9, 10)).mean()), 6),
            "proj:epsg": 32634,
            "mgrs:utm_zone": 34,
            "mgrs:latitude_band": "T",
            "mgrs:grid_square": "BT",
            "grid:code": "MGRS-34TBT",
            "s2:product_type": "S2MSI2A",
            "s2:processing_baseline": "05.09",
            "s2:sequence": "0",
            # As served: the offset that raster:bands declares is already in the pixels.
            "earthsearch:boa_offset_applied": True,
        }
        items.append(
            _item("sentinel-2-l2a", item_id, time, coarse, properties, assets)
            | {"stac_extensions": [SCHEMA.format(name) for name in ("eo/v1.0.0", "raster/v1.1.0")]}
        )
    return items


def _reflectances(ground: _Ground, noise: np.random.Generator) -> tuple[Any, Any]:
    """Red and near infrared as Earth Search serves them: reflectance x 10 000, no offset."""
    meadow = ground.wave(1.1, 0.2)
    red, nir = 0.15 - 0.10 * meadow, 0.20 - 0.02 * meadow
    for outlines, surface in (
        (FORESTS, (0.025, 0.30)),
        (TOWNS + SAND, (0.16, 0.20)),
        (GREENHOUSES, (0.60, 0.62)),
    ):
        where = ground.depth(outlines) > 0
        red[where], nir[where] = surface
    red += ground.truth * (0.030 - red)
    nir += ground.truth * (0.015 - nir)
    for outlines, sky in ((SHADOWS, (0.03, 0.04)), (CIRRUS, (0.25, 0.30)), (CLOUDS, (0.55, 0.58))):
        where = ground.depth(outlines) > 0
        red[where], nir[where] = sky
    seen = ground.inside(S2_SWATH)
    bands = []
    for reflectance in (red, nir):
        texture = 1 + 0.02 * noise.standard_normal(reflectance.shape)
        bands.append(np.where(seen, np.maximum(1e4 * reflectance * texture, 1), 0).astype("uint16"))
    return bands[0], bands[1]


def _classes(ground: _Ground) -> NDArray[np.uint8]:
    """Scene Classification; where layers overlap the later one is on top."""
    scl = np.where(ground.wave(1.1, 0.2) > 0.5, 4, 5).astype("uint8")
    scl[ground.depth(TOWNS + SAND) > 0] = 5
    for code, where in (
        (4, ground.depth(FORESTS) > 0),
        (7, ground.depth(UNCLASSIFIED) > 0),
        (11, ground.depth(GREENHOUSES) > 0),
        (6, ground.truth > 0.5),
        (1, ground.depth(SATURATED) > 0),
        (3, ground.depth(SHADOWS) > 0),
        (10, ground.depth(CIRRUS) > 0),
        (8, ground.depth(CLOUDS) > 0),
        (9, ground.depth(CLOUDS) > 150 * ground.size),
        (0, ~ground.inside(S2_SWATH)),
    ):
        scl[where] = code
    return scl


def _write_gfm(root: Path, prefix: str, size: float) -> list[dict[str, Any]]:
    geobox = _grid(27704, 20, 16.2, 15.6, -0.8, 0, size)
    ground = _Ground.under(geobox, size)
    masks = {
        time: np.where(ground.inside(swath), ground.depth(excluded) > 0, 255)
        for time, swath, excluded in GFM_FRAMES
    }
    masks["20230621T001000"] = np.ones(geobox.shape)
    items = []
    for time, mask in masks.items():
        item_id = f"ENSEMBLE_FLOOD_{time}_VV_EU020M_E051N015T3"
        path = _write(root / item_id / "exclusion_mask.tif", mask.astype("uint8"), geobox, 255)
        properties = _projection(geobox) | {
            # Nothing but the WKT says which CRS it is, as in the real collection.
            "proj:wkt2": CRS(27704).to_wkt("WKT2_2019"),
            "gsd": 20,
            "Equi7Tile": "EU020M_E051N015T3",
        }
        day, clock = time[:8], time[9:]
        instant = f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}Z"
        assets = {"exclusion_mask": _asset(prefix, root, path)}
        items.append(_item("GFM", item_id, instant, geobox, properties, assets))
    return items


SCHEMA = "https://stac-extensions.github.io/{}/schema.json"
_REFLECTANCE = {"data_type": "uint16", "bits_per_sample": 15, "spatial_resolution": 10}
_REFLECTANCE_SCALE = {"nodata": 0, "scale": 0.0001, "offset": -0.1}
BAND_FIELDS: dict[str, dict[str, Any]] = {
    "red": {
        "eo:bands": [{"name": "red", "common_name": "red", "center_wavelength": 0.665}],
        "gsd": 10,
        "raster:bands": [_REFLECTANCE | _REFLECTANCE_SCALE],
    },
    "nir": {
        "eo:bands": [{"name": "nir", "common_name": "nir", "center_wavelength": 0.842}],
        "gsd": 10,
        "raster:bands": [_REFLECTANCE | _REFLECTANCE_SCALE],
    },
    "scl": {"raster:bands": [{"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}]},
}


def _item(
    collection: str,
    item_id: str,
    time: str,
    geobox: GeoBox,
    properties: dict[str, Any],
    assets: dict[str, Any],
) -> dict[str, Any]:
    extent = geobox.extent.to_crs("EPSG:4326")
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [SCHEMA.format("projection/v1.0.0")],
        "id": item_id,
        "collection": collection,
        "geometry": extent.json,
        "bbox": list(extent.boundingbox.bbox),
        "properties": {"datetime": time} | properties,
        "links": [],
        "assets": assets,
    }


def _projection(geobox: GeoBox) -> dict[str, Any]:
    return {"proj:shape": list(geobox.shape), "proj:transform": list(geobox.affine)[:6]}


def _asset(prefix: str, root: Path, path: Path) -> dict[str, Any]:
    return {
        "href": f"{prefix}/{path.relative_to(root).as_posix()}",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
    }


def _grid(
    epsg: int, resolution: int, width: float, height: float, east: float, north: float, size: float
) -> GeoBox:
    """Lay a north-up grid around a point of the scene, on Sentinel-2's lattice of 60 m."""
    from_plane = Transformer.from_crs(PLANE, epsg, always_xy=True)
    x, y = from_plane.transform(1000 * size * east, 1000 * size * north)
    columns, rows = (max(1, round(1000 * size * side / 60)) for side in (width, height))
    left, top = 60 * round(x / 60 - columns / 2), 60 * round(y / 60 + rows / 2)
    affine = Affine(resolution, 0, left, 0, -resolution, top)
    return GeoBox((rows * 60 // resolution, columns * 60 // resolution), affine, epsg)


def _write(path: Path, pixels: NDArray[Any], geobox: GeoBox, nodata: float) -> Path:
    """Write a COG: floating point as float32, classes with overviews that keep them classes."""
    pixels = pixels.astype("float32") if pixels.dtype == np.float64 else pixels
    path.parent.mkdir(exist_ok=True)
    with (
        _aside(path) as unfinished,
        rasterio.open(
            unfinished,
            "w",
            driver="COG",
            width=geobox.width,
            height=geobox.height,
            count=1,
            dtype=pixels.dtype,
            crs=str(geobox.crs),
            transform=geobox.affine,
            nodata=nodata,
            blocksize=256,
            compress="DEFLATE",
            predictor="YES",
            overview_resampling="NEAREST" if pixels.dtype == np.uint8 else "AVERAGE",
        ) as file,
    ):
        file.write(pixels, 1)
    return path


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """Lend a path to write to, which takes the place of `path` only after success."""
    unfinished = path.with_name(f".{os.getpid()}-{uuid4().hex}-{path.name}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
