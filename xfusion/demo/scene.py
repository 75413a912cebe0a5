"""A synthetic scene with a known truth: two water retrievals and the items of their masks.

Layout and footprints are fixed (:mod:`xfusion.demo.landscape`), the seed decides the noise. Nothing
here imitates a processor: the scene puts every difficulty of the real workflow where a test can
find it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from .items import band_asset, gfm_item, sentinel2_item
from .landscape import (
    CIRRUS,
    CLOUDS,
    FORESTS,
    GFM_FRAMES,
    HILLS,
    LAYOVER,
    S1_SWATH,
    S2_SWATH,
    SAND,
    SATURATED,
    SHADOWS,
    TOWNS,
    Flags,
    Floats,
    Ground,
    Strip,
    lay_grid,
    reflectances,
    scene_classes,
)

DATE = "2023-06-20"

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
        return Ground.under(geobox, self.size).truth


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
    with written_aside(items) as path:
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}, indent=1))
    return Scene(root, *s1.result(), *s2_paths, items, size=size)


def _write_sentinel1(root: Path, size: float, noise: np.random.Generator) -> tuple[Path, Path]:
    geobox = lay_grid(32633, 20, 14, 12, -0.8, 0, size)
    ground = Ground.under(geobox, size)
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
    fine = lay_grid(32634, 10, 12.6, 10.6, 1, 0, size)
    ground = Ground.under(fine, size)
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
    ground: Ground,
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
    root: Path, prefix: str, ground: Ground, fine: GeoBox, noise: np.random.Generator
) -> list[dict[str, Any]]:
    coarse = fine.zoom_out(2)
    red, nir = reflectances(ground, noise)
    scl = scene_classes(Ground.under(coarse, ground.size))
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
            assets[name] = band_asset(name, _href(prefix, root, path), geobox)
        seen = layers[2][layers[2] > 0]
        cloud_cover = round(100 * float(np.isin(seen, (8, 9, 10)).mean()), 6)
        items.append(sentinel2_item(item_id, time, coarse, cloud_cover, assets))
    return items


def _write_gfm(root: Path, prefix: str, size: float) -> list[dict[str, Any]]:
    geobox = lay_grid(27704, 20, 16.2, 15.6, -0.8, 0, size)
    ground = Ground.under(geobox, size)
    masks = {
        time: np.where(ground.inside(swath), ground.depth(excluded) > 0, 255)
        for time, swath, excluded in GFM_FRAMES
    }
    masks["20230621T001000"] = np.ones(geobox.shape)
    items = []
    for time, mask in masks.items():
        item_id = f"ENSEMBLE_FLOOD_{time}_VV_EU020M_E051N015T3"
        path = _write(root / item_id / "exclusion_mask.tif", mask.astype("uint8"), geobox, 255)
        items.append(gfm_item(item_id, time, geobox, _href(prefix, root, path)))
    return items


def _href(prefix: str, root: Path, path: Path) -> str:
    return f"{prefix}/{path.relative_to(root).as_posix()}"


def _write(path: Path, pixels: NDArray[Any], geobox: GeoBox, nodata: float) -> Path:
    """Write a COG: floating point as float32, classes with overviews that keep them classes."""
    pixels = pixels.astype("float32") if pixels.dtype == np.float64 else pixels
    path.parent.mkdir(exist_ok=True)
    with (
        written_aside(path) as unfinished,
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
def written_aside(path: Path) -> Iterator[Path]:
    """Lend a path to write to, which takes the place of `path` only after success."""
    unfinished = path.with_name(f".{os.getpid()}-{uuid4().hex}-{path.name}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
