"""Files of two sensors, in which each pixel is known, and servers with a fault in one of them."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import rasterio
import requests
import xarray as xr
from odc.geo.geobox import GeoBox
from pyproj import CRS

import xfusion as xf
from tests.faulty import Fault
from tests.waits import AT_MOST, FOR_EVER

DAY, NOON = "2023-06-20", "2023-06-20T12:00:00Z"
SIDE, TILE, RIM = 384, 128, 16  # pixels: of a file, of its tiles, of the target around it
READ_FAILED, UNKNOWN = int(xf.Exclusion.READ_FAILED), int(xf.Exclusion.UNKNOWN)
GRID = GeoBox((SIDE, SIDE), rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32634")
AROUND = GRID.pad(RIM)
KEYS = {"s2": ("red", "nir", "scl"), "gfm": ("exclusion_mask",)}
HEADER = 2**15  # bytes that are read when a file is opened
A_FILE = "file:///etc/passwd"

# what is well in the end
PASSING = {
    "busy": Fault("status", status=429, headers={"Retry-After": "1"}, times=1),
    "unavailable": Fault("status", status=503, times=3),
    "reset": Fault("reset", after=HEADER, times=1),
    "closed": Fault("close", after=HEADER, times=1),
    "closed at once": Fault("close", part=None, times=1),
    "silent once": Fault("stall", after=HEADER, times=1, seconds=8),
    "sign-in once": Fault("wrong", times=1),
    "moved": Fault("redirect", location="/well/{file}"),
}
# what gives nothing of the file
LASTING = {
    "missing": Fault("status", status=404),
    "forbidden": Fault("status", status=403),
    "down": Fault("status", status=503),
    "cut off": Fault("reset", part=None),
    "sign-in": Fault("wrong"),
    "moved to a file": Fault("redirect", location=A_FILE),
    "empty": Fault("truncate", part=0),
}
# what gives some of its tiles; True where it depends on the file alone which
PARTIAL = {
    "truncated": (Fault("truncate", part=0.55), True),
    "garbled": (Fault("garble", after=150_000), True),
    "broken late": (Fault("close", after=150_000), False),
    "sign-in late": (Fault("wrong", after=150_000), False),
}
SLOW = ("busy", "silent once")  # of those that pass: seconds are waited for
SILENT = {"silent": Fault("stall", part=None, seconds=FOR_EVER)}
ALL = PASSING | LASTING | SILENT | {name: fault for name, (fault, _) in PARTIAL.items()}


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def layers() -> dict[str, np.ndarray]:
    """Each pixel another: no wrong one can be taken for the right one at many places."""
    red = random(1).integers(500, 1500, (SIDE, SIDE)).astype("uint16")
    return {
        "red": red,
        "nir": red * random(2).choice([1, 2, 6], red.shape).astype("uint16"),
        "scl": random(3).choice([1, 3, 4, 5, 6, 7, 8, 11], (SIDE // 2, SIDE // 2)).astype("uint8"),
        "exclusion_mask": random(4).choice([0, 1, 255], red.shape, p=[0.5, 0.4, 0.1]),
    }


LAYERS = layers()


def expected(sensor: str) -> np.ndarray:
    """The mask on `GRID` if all is well, by the rules alone."""
    if sensor == "gfm":
        gfm = xr.DataArray(LAYERS["exclusion_mask"].astype("uint8"))
        return np.asarray(gfm.fusion.gfm_exclusion())
    scl = LAYERS["scl"].repeat(2, axis=0).repeat(2, axis=1)
    planes = {"red": LAYERS["red"], "nir": LAYERS["nir"], "scl": scl}
    bands = xr.Dataset({name: (("y", "x"), plane) for name, plane in planes.items()})
    return np.asarray(bands.fusion.s2_exclusion())


def around(inside: np.ndarray, outside: int = UNKNOWN) -> np.ndarray:
    """On `AROUND` what is `inside` on `GRID`."""
    return np.pad(inside, RIM, constant_values=outside)


def write(path: Path, pixels: np.ndarray, geobox: GeoBox) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    with rasterio.open(
        path,
        "w",
        driver="COG",
        count=1,
        dtype=pixels.dtype,
        height=pixels.shape[0],
        width=pixels.shape[1],
        crs=str(geobox.crs),
        transform=geobox.affine,
        blocksize=TILE,
        compress="DEFLATE",
        overviews="NONE",
    ) as file:
        file.write(pixels, 1)


def write_layers(folder: Path) -> None:
    for key, pixels in LAYERS.items():
        grid = GRID.zoom_out(2) if key == "scl" else GRID
        write(
            folder / f"{key}.tif",
            pixels.astype("uint16" if key in KEYS["s2"][:2] else "uint8"),
            grid,
        )


def item(
    sensor: str, root: str, name: str = "one", when: str = NOON, **fields: Any
) -> dict[str, Any]:
    """An item that lies on `GRID`, with its files below a root."""
    assets = {}
    for key in KEYS[sensor]:
        grid = GRID.zoom_out(2) if key == "scl" else GRID
        assets[key] = {"href": f"{root}/{key}.tif"} | projection(grid) | fields
    box = GRID.extent.to_crs("EPSG:4326")
    wkt = CRS(32634).to_wkt("WKT2_2019")
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": {"s2": "sentinel-2-l2a", "gfm": "GFM"}[sensor],
        "bbox": list(box.boundingbox.bbox),
        "geometry": box.json,
        "properties": {"datetime": when, "proj:wkt2": wkt, "s2:processing_baseline": "03.01"},
        "links": [],
        "assets": assets,
    }


def projection(grid: GeoBox) -> dict[str, Any]:
    return {"proj:shape": list(grid.shape), "proj:transform": list(grid.affine)[:6]}


def target(grid: GeoBox = AROUND, chunks: int | None = None) -> xr.Dataset:
    from odc.geo.xr import xr_coords

    ones = xr.DataArray(np.ones(grid.shape, "float32"), xr_coords(grid), ("y", "x"))
    ds = xf.retrieval(ones, ones, time=DAY)
    return ds if chunks is None else ds.chunk(chunks)


def attach(sensor: str, *items: dict[str, Any], like: xr.Dataset, **options: Any) -> xr.Dataset:
    method = {"s2": "attach_s2_mask", "gfm": "attach_gfm_mask"}[sensor]
    masked: xr.Dataset = getattr(like.fusion, method)(items=list(items), **options)
    return masked


def mask_of(sensor: str, *items: dict[str, Any], chunks: int | None = None, **options: Any) -> Any:
    like = options.pop("like", target(chunks=chunks))
    return attach(sensor, *items, like=like, **options)["mask"].values


def in_tiles(failed: np.ndarray) -> np.ndarray:
    """Pixel by pixel what is known tile by tile."""
    return failed.repeat(TILE, axis=0).repeat(TILE, axis=1)[:SIDE, :SIDE]


def tiles_beyond(path: Path, first: int) -> np.ndarray:
    """The tiles of a file that do not end before a byte of it."""
    rows, columns = (range(-(-n // TILE)) for n in GRID.shape)
    failed = np.zeros((len(rows), len(columns)), bool)
    with rasterio.open(path) as file:
        for row, column in itertools.product(rows, columns):
            start, size = (
                int(file.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1))
                for what in ("OFFSET", "SIZE")
            )
            failed[row, column] = start + size > first
    return failed


class Served:
    """A server with a folder of the same files for each case, with its fault in one of them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    def root(self, case: str, *more: str) -> str:
        """The address of a folder that no other test has read from: GDAL remembers."""
        name = "-".join([case, *more]).replace(" ", "_")
        link = self.folder / name
        if not link.exists():
            link.symlink_to(self.folder / "well", target_is_directory=True)
        return f"{self.url}/{name}"

    def asked(self, root: str, file: str) -> int:
        paths = requests.get(f"{self.url}/__stats__", timeout=AT_MOST).json()["paths"]
        return int(paths.get(f"{urlsplit(root).path}/{file}", 0))


# the file with the fault
FAULTY = {"s2": "red.tif", "gfm": "exclusion_mask.tif"}


def each_of(cases: Iterable[str]) -> list[Any]:
    """Cases as parameters, marked where they take seconds."""
    return [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in cases]
