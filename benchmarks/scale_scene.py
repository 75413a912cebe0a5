"""A scene of any size that takes no room: files whose pixels are all missing, and their items.

Of a file without pixels a GeoTIFF has the metadata, and a table of tiles that are not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS

from benchmarks.scenes import DATE
from xfusion.demo.items import band_asset, gfm_item, sentinel2_item

EPSG = 3035  # equal area, of Europe: one grid for all items
CORNER = 4.2e6, 3.2e6
STEP, TILE = 10_000, 10_980  # pixels of 10 m between tiles of Sentinel-2, which overlap
OF_GFM = 15_000  # pixels of 20 m of a tile of GFM


@dataclass(frozen=True)
class EmptyScene:
    folder: Path
    side: int
    """Pixels of 10 m."""

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.tif"

    def grid(self) -> GeoBox:
        """The target: half a pixel off Sentinel-2, so that all is resampled."""
        return _grid(self.side, 10, shift=5)

    def items(self, url: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The items of GFM and of Sentinel-2, their files at a URL."""
        crs = CRS(EPSG).to_wkt("WKT2_2019")
        radar = [
            gfm_item(f"GFM_{name}", "20230620T164500", grid, f"{url}/{name}.tif")
            for name, grid in self._tiles_of_gfm()
        ]
        for item in radar:
            item["properties"]["proj:wkt2"] = crs
        optical = []
        for name, grid in self._tiles():
            assets = {
                band: band_asset(band, f"{url}/{name}_{band}.tif", _of_band(band, grid))
                for band in ("red", "nir", "scl")
            }
            item = sentinel2_item(f"S2B_{name}", f"{DATE}T09:50:31Z", grid, 10.0, assets)
            item["properties"]["proj:epsg"] = EPSG
            for field in ("utm_zone", "latitude_band", "grid_square"):
                del item["properties"][f"mgrs:{field}"]
            item["properties"]["grid:code"] = f"MGRS-{name}"
            optical.append(item)
        return radar, optical

    def write(self) -> EmptyScene:
        """Write its files."""
        self.folder.mkdir(parents=True)
        for name in ("mu", "sigma"):
            _write(self.path(f"s1_{name}"), _grid(self.side // 2 + 100, 20, shift=-1000))
            _write(self.path(f"s2_{name}"), _grid(self.side, 10))
        for name, grid in self._tiles_of_gfm():
            _write(self.path(name), grid, np.uint8, 255)
        for name, grid in self._tiles():
            for band in ("red", "nir", "scl"):
                dtype = np.uint8 if band == "scl" else np.uint16
                _write(self.path(f"{name}_{band}"), _of_band(band, grid), dtype, 0)
        return self

    def _tiles(self) -> Iterator[tuple[str, GeoBox]]:
        for down in range(0, self.side, STEP):
            for across in range(0, self.side, STEP):
                name = f"33U{chr(65 + down // STEP)}{chr(65 + across // STEP)}"
                yield name, _grid(TILE, 10, down=down, across=across)

    def _tiles_of_gfm(self) -> Iterator[tuple[str, GeoBox]]:
        for down in range(0, self.side, 2 * OF_GFM):
            for across in range(0, self.side, 2 * OF_GFM):
                name = f"E{across:06d}N{down:06d}"
                yield name, _grid(OF_GFM, 20, down=down, across=across)


def _grid(side: int, pixel: float, *, shift: float = 0, down: int = 0, across: int = 0) -> GeoBox:
    x, y = CORNER[0] + 10 * across + shift, CORNER[1] - 10 * down - shift
    return GeoBox((side, side), Affine(pixel, 0, x, 0, -pixel, y), f"EPSG:{EPSG}")


def _of_band(band: str, grid: GeoBox) -> GeoBox:
    return grid.zoom_out(2) if band == "scl" else grid


def _write(path: Path, grid: GeoBox, dtype: Any = np.float32, nodata: float = np.nan) -> None:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=grid.width,
        height=grid.height,
        count=1,
        dtype=dtype,
        crs=str(grid.crs),
        transform=grid.affine,
        nodata=nodata,
        tiled=True,
        blockxsize=512,
        blockysize=512,
        compress="DEFLATE",
        SPARSE_OK=True,
        BIGTIFF="YES",
    ):
        pass
