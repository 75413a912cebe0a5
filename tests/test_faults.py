"""What is read from servers that misbehave: the right pixels, flagged pixels, or an error."""

import contextlib
import dataclasses
import functools
import itertools
import json
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
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
from pystac_client import Client
from pystac_client.stac_api_io import StacApiIO
from rasterio.env import get_gdal_config
from urllib3 import Retry

import xfusion as xf
from tests.asset_server import serve_folder
from tests.faulty import Fault
from tests.search_proxy import search_proxy
from xfusion import stac
from xfusion.demo.server import serve
from xfusion.raster import patience as web
from xfusion.raster import signing
from xfusion.stac import api as api_search
from xfusion.stac import bounds

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
SILENT = {"silent": Fault("stall", part=None, seconds=8)}
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
        paths = requests.get(f"{self.url}/__stats__", timeout=5).json()["paths"]
        return int(paths.get(f"{urlsplit(root).path}/{file}", 0))


# the file with the fault
FAULTY = {"s2": "red.tif", "gfm": "exclusion_mask.tif"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("faults")
    write_layers(folder / "well")
    faults = {}
    for (name, fault), file in itertools.product(ALL.items(), FAULTY.values()):
        there = dataclasses.replace(fault, location=fault.location.replace("{file}", file))
        faults[f"/{name.replace(' ', '_')}-*/{file}"] = there
    with serve_folder(folder, faults) as url:
        yield Served(url, folder)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs of a second, which each test would meet by itself; and no pause to speak of."""
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    monkeypatch.setattr(web, "ATTEMPT_DELAY", 0.01)
    web.WAITS.forget()
    monkeypatch.setattr(bounds, "DELAY", 0.01)


@pytest.fixture(params=["s2", "gfm"])
def sensor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[None, 160], ids=["eager", "lazy"])
def chunks(request: pytest.FixtureRequest) -> int | None:
    return request.param  # type: ignore[no-any-return]  # a number or None


# Pixels


@pytest.mark.parametrize(
    ("sensor", "mode", "chunks"),
    [("s2", "raise", None), ("s2", "flag", 160), ("gfm", "flag", None), ("gfm", "raise", 160)],
)
@pytest.mark.parametrize("case", PASSING)
def test_a_fault_that_passes_leaves_the_right_pixels(
    served: Served, sensor: str, case: str, mode: str, chunks: int | None
) -> None:
    root = served.root(case, sensor, mode, str(chunks))
    mask = mask_of(sensor, item(sensor, root), chunks=chunks, on_read_error=mode)
    np.testing.assert_array_equal(mask, around(expected(sensor)))
    assert served.asked(root, FAULTY[sensor]) > 1 or case == "moved"


@pytest.mark.parametrize(("sensor", "chunks"), [("s2", None), ("gfm", 160)])
@pytest.mark.parametrize("case", LASTING)
def test_a_lasting_fault_is_an_error_that_names_the_asset(
    served: Served, sensor: str, case: str, chunks: int | None
) -> None:
    root = served.root(case, sensor, "raise", str(chunks))
    with pytest.raises(OSError, match=f"{root}/{FAULTY[sensor]} could not be read"):
        mask_of(sensor, item(sensor, root), chunks=chunks)


@pytest.mark.parametrize(("sensor", "chunks"), [("s2", 160), ("gfm", None)])
@pytest.mark.parametrize("case", LASTING)
def test_a_lasting_fault_flags_the_whole_file_and_nothing_else(
    served: Served, sensor: str, case: str, chunks: int | None
) -> None:
    root = served.root(case, sensor, "flag", str(chunks))
    mask = mask_of(sensor, item(sensor, root), chunks=chunks, on_read_error="flag")
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))


@pytest.mark.parametrize("mode", ["raise", "flag"])
def test_a_server_that_does_not_answer_is_given_up_after_a_few_time_outs(
    served: Served, mode: str, chunks: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    root = served.root("silent", mode, str(chunks))
    start = time.monotonic()
    if mode == "raise":
        with pytest.raises(OSError, match=f"{root}/red.tif could not be read"):
            mask_of("s2", item("s2", root), chunks=chunks)
    else:
        mask = mask_of("s2", item("s2", root), chunks=chunks, on_read_error="flag")
        np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))
    assert time.monotonic() - start < 6


@pytest.mark.parametrize("case", PARTIAL)
def test_a_file_of_which_some_tiles_fail_raises_or_flags_them(
    served: Served, case: str, chunks: int | None
) -> None:
    fault, known = PARTIAL[case]
    root = served.root(case, "raise", str(chunks))
    with pytest.raises(OSError, match=f"{root}/red.tif could not be read"):
        mask_of("s2", item("s2", root), chunks=chunks)
    root = served.root(case, "flag", str(chunks))
    mask = mask_of("s2", item("s2", root), chunks=chunks, on_read_error="flag")
    failed = mask == READ_FAILED
    assert 0 < failed.sum() < GRID.shape[0] * GRID.shape[1]
    np.testing.assert_array_equal(mask[~failed], around(expected("s2"))[~failed])
    path = served.folder / "well" / "red.tif"
    first = int(path.stat().st_size * (fault.part or 0)) if case == "truncated" else fault.after
    beyond = in_tiles(tiles_beyond(path, first))
    if known:
        np.testing.assert_array_equal(failed, around(beyond, outside=False))


@pytest.mark.parametrize("key", ["nir", "scl"])
def test_one_of_several_assets_that_is_missing_spoils_the_pixel(
    served: Served, key: str, chunks: int | None
) -> None:
    one = item("s2", served.root("well"))
    one["assets"][key]["href"] = f"{served.url}/nowhere-{chunks}/{key}.tif"
    with pytest.raises(OSError, match=rf"/nowhere-{chunks}/{key}.tif could not be read"):
        mask_of("s2", one, chunks=chunks)
    mask = mask_of("s2", one, chunks=chunks, on_read_error="flag")
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))


def test_flags_do_not_depend_on_chunks(served: Served, sensor: str) -> None:
    """On a grid between the pixels, where the neighbours of a failed tile are interpolated."""
    like = AROUND.translate_pix(0.3, 0.4).crop((300, 410))
    one = item(sensor, served.root("truncated", sensor, "chunks"))
    eager = mask_of(sensor, one, like=target(like), on_read_error="flag")
    assert {0, READ_FAILED, UNKNOWN} <= {*np.unique(eager)}
    for chunks in (64, 129, 410):
        lazy = mask_of(sensor, one, like=target(like, chunks), on_read_error="flag")
        np.testing.assert_array_equal(lazy, eager)


def test_flags_on_a_coarser_grid_are_those_of_the_nearest_tile(served: Served) -> None:
    root = served.root("truncated", "coarse")
    like = GRID.zoom_out(4)
    mask = mask_of("s2", item("s2", root), like=target(like), on_read_error="flag")
    path = served.folder / "well" / "red.tif"
    beyond = in_tiles(tiles_beyond(path, int(path.stat().st_size * 0.55)))
    np.testing.assert_array_equal(mask == READ_FAILED, beyond[2::4, 2::4])


def test_an_item_without_a_grid_whose_file_is_missing_fails_everywhere(
    served: Served, sensor: str
) -> None:
    one = item(sensor, served.root("missing", sensor, "bare"))
    for asset in one["assets"].values():
        del asset["proj:shape"], asset["proj:transform"]
    with pytest.raises(OSError, match="missing-.*could not be read"):
        mask_of(sensor, one)
    mask = mask_of(sensor, one, on_read_error="flag")
    assert (mask == READ_FAILED).all()


# Several items


def shifted(one: dict[str, Any], columns: int) -> dict[str, Any]:
    """The item as if its files lay so many pixels farther east; they do not say otherwise."""
    for asset in one["assets"].values():
        step = asset["proj:transform"][0]
        asset["proj:transform"][2] += columns * 10 // step * step
    return one


def test_an_overlapping_tile_cures_what_could_not_be_read(
    served: Served, chunks: int | None
) -> None:
    failing = item("s2", served.root("truncated", "cured", str(chunks)), "failing")
    well = item("s2", served.root("well"), "well", "2023-06-20T12:00:20Z")
    for items in ((failing, well), (well, failing)):
        mask = mask_of("s2", *items, chunks=chunks, on_read_error="flag")
        np.testing.assert_array_equal(mask, around(expected("s2")))


def test_an_overlapping_tile_cures_no_more_than_it_has_seen(
    served: Served, tmp_path: Path, chunks: int | None
) -> None:
    """The well tile lies half on the failed one: three parts, each with another outcome."""
    half = SIDE // 2
    for key, pixels in LAYERS.items():
        grid = GRID.zoom_out(2) if key == "scl" else GRID
        step = half // 2 if key == "scl" else half
        dtype = "uint16" if key in ("red", "nir") else "uint8"
        write(tmp_path / f"{key}.tif", pixels.astype(dtype), grid.translate_pix(step, 0))
    failing = item("s2", served.root("missing", "half", str(chunks)), "failing")
    well = shifted(item("s2", tmp_path.as_uri(), "well"), half)
    like = target(GRID.expand((SIDE, SIDE + half + RIM)), chunks)
    options: dict[str, Any] = {"like": like, "on_read_error": "flag", "allow_local": True}
    mask = mask_of("s2", failing, well, **options)
    assert (mask[:, :half] == READ_FAILED).all()
    np.testing.assert_array_equal(mask[:, half : half + SIDE], expected("s2"))
    assert (mask[:, half + SIDE :] == UNKNOWN).all()


@pytest.mark.parametrize("apart", ["12:00:25", "17:00:00"], ids=["frames", "passes"])
def test_a_frame_that_could_not_be_read_is_not_outvoted_by_one_that_was(
    served: Served, apart: str, chunks: int | None
) -> None:
    failing = item("gfm", served.root("missing", apart[:2], str(chunks)), "failing")
    well = item("gfm", served.root("well"), "well", f"2023-06-20T{apart}Z")
    for items in ((failing, well), (well, failing)):
        with pytest.raises(OSError, match="missing-.*exclusion_mask.tif"):
            mask_of("gfm", *items, chunks=chunks)
        mask = mask_of("gfm", *items, chunks=chunks, on_read_error="flag")
        inside = mask[RIM:-RIM, RIM:-RIM]
        assert (inside & READ_FAILED).all()
        assert (around(np.zeros(GRID.shape), 1)[mask == UNKNOWN] == 1).all()
        assert not (mask == 0).any()


def test_another_acquisition_that_was_read_makes_a_pixel_usable(
    served: Served, chunks: int | None
) -> None:
    failing = item("s2", served.root("missing", "other", str(chunks)), "failing")
    well = item("s2", served.root("well"), "well", "2023-06-20T15:00:00Z")
    mask = mask_of("s2", failing, well, chunks=chunks, on_read_error="flag")
    usable = expected("s2") == 0
    np.testing.assert_array_equal(mask == 0, around(usable, outside=False))
    assert (mask[RIM:-RIM, RIM:-RIM][~usable] & READ_FAILED).all()


# What a result says of itself


def test_completeness_counts_what_could_not_be_read(served: Served, chunks: int | None) -> None:
    root = served.root("truncated", "complete", str(chunks))
    lacking = item("s2", served.root("well"), "lacking")
    del lacking["assets"]["nir"]
    with pytest.warns(UserWarning, match="lacks the assets"):
        masked = attach(
            "s2", item("s2", root), lacking, like=target(chunks=chunks), on_read_error="flag"
        )
    said = masked.fusion.completeness().compute()
    path = served.folder / "well" / "red.tif"
    beyond = in_tiles(tiles_beyond(path, int(path.stat().st_size * 0.55)))
    size = AROUND.shape[0] * AROUND.shape[1]
    assert (int(said.items_found), int(said.assets_missing)) == (2, 1)
    assert float(said.read_failed) == pytest.approx(beyond.sum() / size)
    assert float(said.unknown) == pytest.approx(1 - SIDE * SIDE / size)
    assert float(said.observed) == pytest.approx((~beyond).sum() / size)
    assert float(said.usable) == pytest.approx(((expected("s2") == 0) & ~beyond).sum() / size)


# Refused before their pixels are read


@pytest.mark.parametrize("what", ["shape", "place", "classes"])
def test_a_file_that_is_not_what_its_item_says_is_refused_or_flagged(
    served: Served, tmp_path: Path, what: str
) -> None:
    one = item("gfm", tmp_path.as_uri())
    pixels = LAYERS["exclusion_mask"].astype("uint8")
    # 256 is 0, not excluded, to who takes it for a class
    wide = np.full(GRID.shape, 256, "uint16")
    pixels, grid, said = {
        "shape": (pixels[:200], GRID[:200], "has .* pixels, not"),
        "place": (pixels, GRID.translate_pix(1, 0), "has the transform"),
        "classes": (wide, GRID, "holds uint16, not classes of uint8"),
    }[what]
    write(tmp_path / "exclusion_mask.tif", pixels, grid)
    with pytest.raises(ValueError, match=f"exclusion_mask.tif {said}"):
        mask_of("gfm", one, allow_local=True)
    mask = mask_of("gfm", one, allow_local=True, on_read_error="flag")
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))


def test_pixels_of_this_machine_do_not_come_through_a_redirect(
    served: Served, tmp_path: Path
) -> None:
    """Were it followed, the mask would be that of the file, not an error."""
    secret = tmp_path / "secret.tif"
    write(secret, np.zeros(GRID.shape, "uint8"), GRID)
    folder = tmp_path / "public"
    folder.mkdir()
    with serve_folder(folder, {"/*": Fault("redirect", location=secret.as_uri())}) as url:
        with pytest.raises(OSError, match="exclusion_mask.tif could not be read"):
            mask_of("gfm", item("gfm", url))
        assert (mask_of("gfm", item("gfm", url), on_read_error="flag") != 0).all()


# Secrets


def signed(href: str) -> str:
    return f"{href}?sig=S3CRET&se=2030"


@pytest.mark.parametrize("how", ["query", "signer", "user"])
@pytest.mark.parametrize("case", ["missing", "sign-in", "truncated", "moved to a file"])
def test_secrets_of_an_href_are_not_told(served: Served, case: str, how: str) -> None:
    root = served.root(case, "secret", how)
    options: dict[str, Any] = {}
    if how == "signer":
        profile = dataclasses.replace(xf.stac.EARTH_SEARCH, offset=0, signer=signed)
        options["catalog"] = profile
    if how == "user":
        root = root.replace("://", "://someone:S3CRET@")
    one = item("s2", root)
    if how == "query":
        for asset in one["assets"].values():
            asset["href"] = signed(asset["href"])
    with pytest.raises(OSError, match="red.tif could not be read") as raised:
        mask_of("s2", one, **options)
    told = "".join(traceback.format_exception(raised.value))
    masked = attach("s2", one, like=target(chunks=160), on_read_error="flag", **options)
    told += f"{masked!r}{masked._repr_html_()}{masked.attrs}{masked['mask'].data!r}"
    told += f"{masked['mask'].encoding}{masked.fusion.completeness()!r}"
    assert "S3CRET" not in told
    assert "someone" not in told
    assert (masked["mask"] != 0).any()


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("no token at https://sas/token?key=S3CRET"),
        requests.HTTPError("403 for url: /token?key=S3CRET (Caused by a signer)"),
        ValueError("no token"),
        KeyError("token"),
        TypeError("a slip of the signer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_signature_that_cannot_be_had_names_the_asset(
    served: Served, error: Exception, chunks: int | None
) -> None:
    def fails(href: str) -> str:
        raise error

    profile = dataclasses.replace(xf.stac.EODC, signer=fails)
    one = item("gfm", served.root("well"))
    one["assets"]["exclusion_mask"]["href"] += "?sig=S3CRET"
    said = f"{served.url}/well/exclusion_mask.tif could not be signed: {type(error).__name__}"
    with pytest.raises(OSError, match=said) as raised:
        mask_of("gfm", one, catalog=profile, chunks=chunks)
    assert "S3CRET" not in "".join(traceback.format_exception(raised.value))
    mask = mask_of("gfm", one, catalog=profile, on_read_error="flag", chunks=chunks)
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))


class SlowTokens:
    """In place of the package planetary_computer, whose request has no time-out."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.asked = seconds, 0

    def sign(self, href: str) -> str:
        self.asked += 1
        time.sleep(self.seconds)
        return href


def signed_by(package: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "planetary_computer", package)
    return dataclasses.replace(xf.stac.PLANETARY_COMPUTER, assets=xf.stac.EARTH_SEARCH.assets)


@pytest.mark.parametrize("mode", ["raise", "flag"])
def test_a_signature_that_does_not_come_is_not_waited_for(
    served: Served, mode: str, chunks: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "LONGEST", 0.3)
    package = SlowTokens(30)
    options = {"catalog": signed_by(package, monkeypatch), "on_read_error": mode, "offset": 0}
    one = item("s2", served.root("well"))
    start = time.monotonic()
    if mode == "raise":
        said = "/well/(red|nir|scl).tif could not be signed: TimeoutError: no answer within 0.3 s"
        with pytest.raises(OSError, match=said):
            mask_of("s2", one, chunks=chunks, **options)
    else:
        mask = mask_of("s2", one, chunks=chunks, **options)
        np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))
    assert time.monotonic() - start < 10
    # of nine blocks of three files, by two threads
    assert 3 <= package.asked <= 24 or mode == "raise"


def test_a_signature_that_comes_late_is_waited_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = SlowTokens(0.2)
    one = item("s2", served.root("well"))
    mask = mask_of("s2", one, catalog=signed_by(package, monkeypatch))
    np.testing.assert_array_equal(mask, around(expected("s2")))
    assert package.asked >= 3


@pytest.mark.parametrize("mode", ["raise", "flag"])
def test_a_package_that_is_missing_is_no_read_that_failed(
    served: Served, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = signed_by(None, monkeypatch)
    with pytest.raises(ModuleNotFoundError, match=r"xfusion\[planetary-computer\]"):
        mask_of("s2", item("s2", served.root("well")), catalog=profile, on_read_error=mode)


def test_a_signature_is_asked_for_anew_at_each_read(served: Served) -> None:
    hrefs: list[str] = []

    def sign(href: str) -> str:
        hrefs.append(href)
        return f"{href}?n={len(hrefs)}"

    profile = dataclasses.replace(xf.stac.EODC, signer=sign)
    one = item("gfm", served.root("well", "signer"))
    masked = attach("gfm", one, like=target(chunks=160), catalog=profile)
    assert not hrefs
    for _ in range(2):
        np.testing.assert_array_equal(masked["mask"], around(expected("gfm")))
    assert len(hrefs) == 2 * 9


# The options of GDAL


def in_a_thread(function: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join(timeout=30)
    return found[0]


def options_in_force() -> dict[str, Any]:
    return {name: get_gdal_config(name) for name in (*web.OPTIONS, "CPL_VSIL_CURL_NON_CACHED")}


@pytest.mark.parametrize("case", ["well", "truncated"])
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_reads_leave_the_options_of_the_process_as_they_were(
    served: Served, case: str, scheduler: Any
) -> None:
    import dask

    before = options_in_force()
    one = item("gfm", served.root(case, "options", scheduler))
    with dask.config.set(scheduler=scheduler):
        mask_of("gfm", one, chunks=160, on_read_error="flag")
    mask_of("gfm", one, on_read_error="flag")
    assert options_in_force() == before
    assert in_a_thread(options_in_force) == before
    with rasterio.Env(GDAL_HTTP_CONNECTTIMEOUT="7"):
        mask_of("gfm", one, on_read_error="flag")
        assert get_gdal_config("GDAL_HTTP_CONNECTTIMEOUT") == 7
    assert options_in_force() == before


def test_what_the_user_has_set_is_left_alone_in_every_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GDAL_HTTP_TIMEOUT")
    monkeypatch.delenv("GDAL_HTTP_RETRY_DELAY")
    assert web.gdal_options() == web.OPTIONS
    assert web.longest_silence() == 30
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "9")
    with rasterio.Env(GDAL_HTTP_TIMEOUT=5):
        for ours in (web.gdal_options(), in_a_thread(web.gdal_options)):
            assert {*web.OPTIONS} - {*ours} == {"GDAL_HTTP_MAX_RETRY", "GDAL_HTTP_TIMEOUT"}
        assert web.longest_silence() == in_a_thread(web.longest_silence) == 5
    # 0 is no limit
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "0")
    assert web.longest_silence() == 300


@pytest.mark.parametrize("how", ["environment", "rasterio.Env"])
def test_the_retries_that_the_user_has_set_are_made(
    served: Served, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "ATTEMPTS", 1)
    root = served.root("down", "retries", how)
    if how == "environment":
        monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    options = {} if how == "environment" else {"GDAL_HTTP_MAX_RETRY": "0"}
    with rasterio.Env(**options), pytest.raises(OSError, match="503"):
        mask_of("gfm", item("gfm", root))
    assert served.asked(root, "exclusion_mask.tif") == 1


def test_a_server_that_is_silent_is_known_by_its_speed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large window over a slow line takes long; that alone is no reason to give up."""
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "60")
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "1")
    root = served.root("silent", "speed")
    start = time.monotonic()
    with pytest.raises(OSError, match="could not be read"):
        mask_of("gfm", item("gfm", root))
    assert time.monotonic() - start < 16


def test_a_file_that_does_not_answer_is_not_asked_for_every_block(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    root = served.root("silent", "blocks")
    start = time.monotonic()
    mask = mask_of("gfm", item("gfm", root), chunks=32, on_read_error="flag")
    assert time.monotonic() - start < 8
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))
    asked = served.asked(root, "exclusion_mask.tif")
    assert asked < 20  # of 169 blocks


@pytest.mark.parametrize("case", ["down", "missing", "sign-in", "cut off"])
def test_a_file_that_never_opens_is_not_asked_anew_for_every_block(
    served: Served, case: str
) -> None:
    """Fast as its server refuses, one block of it does not wait for the other's attempts."""
    import dask

    root = served.root(case, "blocks")
    masked = attach("gfm", item("gfm", root), like=target(chunks=32), on_read_error="flag")
    with dask.config.set(scheduler="synchronous"):
        first = masked["mask"][:32, :32].values
        asked = served.asked(root, "exclusion_mask.tif")
        # three attempts and one that looks for blocks, each repeated thrice by GDAL
        assert 0 < asked <= 4 * (web.ATTEMPTS + 1) * 2
        mask = masked["mask"].values
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))
    np.testing.assert_array_equal(mask[:32, :32], first)
    assert served.asked(root, "exclusion_mask.tif") == asked
    # another chance, later; only of a 404 GDAL does not ask again
    web.WAITS._given_up.clear()
    assert masked["mask"][:64, :64].values.any()
    assert (served.asked(root, "exclusion_mask.tif") > asked) == (case != "missing")


def test_a_file_that_opens_again_is_read_again(served: Served) -> None:
    root = served.root("well", "opens again")
    web.WAITS.give_up(f"{root}/exclusion_mask.tif")
    one = item("gfm", root)
    assert (mask_of("gfm", one, on_read_error="flag")[RIM:-RIM, RIM:-RIM] == READ_FAILED).all()
    # who wants an error gets the pixels, or one
    np.testing.assert_array_equal(mask_of("gfm", one), around(expected("gfm")))
    mask = mask_of("gfm", one, on_read_error="flag")
    np.testing.assert_array_equal(mask, around(expected("gfm")))


# What is read before the pixels of a mask: grids, and the offset


BRIEF = ["unavailable", "closed at once", "sign-in once", "busy"]


@pytest.mark.parametrize("case", BRIEF)
def test_a_fault_that_passes_when_a_grid_is_read_leaves_the_right_pixels(
    served: Served, sensor: str, case: str
) -> None:
    one = item(sensor, served.root(case, sensor, "grid"))
    for asset in one["assets"].values():
        del asset["proj:shape"], asset["proj:transform"]
    np.testing.assert_array_equal(mask_of(sensor, one), around(expected(sensor)))


def undecided(served: Served, *case: str) -> tuple[Any, dict[str, Any]]:
    """An item whose statements contradict each other, and whose pixels say 0."""
    one = item("s2", served.root(*case))
    one["properties"] |= {
        "s2:processing_baseline": "05.09",
        "earthsearch:boa_offset_applied": False,
    }
    return dataclasses.replace(xf.stac.EARTH_SEARCH, offset="auto"), one


@pytest.mark.parametrize("case", ["well", *BRIEF, "closed", "reset"])
def test_a_fault_that_passes_does_not_change_the_offset(served: Served, case: str) -> None:
    profile, one = undecided(served, case, "offset")
    with pytest.warns(UserWarning, match="not certain"):
        masked = attach("s2", one, like=target(chunks=160), catalog=profile)
    (decided,) = json.loads(masked.attrs["mask_offsets"]).values()
    assert decided.startswith("0 (")
    assert "its darkest pixels are" in decided


@pytest.mark.parametrize("case", ["missing", "down", "cut off", "truncated"])
def test_an_offset_whose_pixels_could_not_be_read_says_so(served: Served, case: str) -> None:
    profile, one = undecided(served, case, "offset")
    with pytest.warns(UserWarning, match="its pixels could not be read"):
        masked = attach("s2", one, like=target(chunks=160), catalog=profile, on_read_error="flag")
    (decided,) = json.loads(masked.attrs["mask_offsets"]).values()
    assert "its pixels could not be read: boa_offset_applied is followed" in decided
    assert decided.startswith("-1000 (")


# Object stores


@pytest.fixture
def s3(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", urlsplit(served.url).netloc)
    monkeypatch.setenv("AWS_HTTPS", "NO")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")


def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    from xfusion.stac.untrusted import S3_CREDENTIALS

    for name in S3_CREDENTIALS:
        monkeypatch.delenv(name, raising=False)


def in_bucket(served: Served, sensor: str, *name: str) -> dict[str, Any]:
    return item(sensor, f"s3://{urlsplit(served.root(*name)).path[1:]}")


def test_assets_in_s3_are_read(
    served: Served, s3: None, sensor: str, chunks: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_credentials(monkeypatch)
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    one = in_bucket(served, sensor, "well", "s3", str(chunks))
    np.testing.assert_array_equal(mask_of(sensor, one, chunks=chunks), around(expected(sensor)))


@pytest.mark.parametrize("case", ["missing", "truncated", "closed"])
def test_faults_of_s3_end_as_those_of_http(
    served: Served, s3: None, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_credentials(monkeypatch)
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    one = in_bucket(served, "s2", case, "s3", "flag")
    mask = mask_of("s2", one, on_read_error="flag")
    failed = mask == READ_FAILED
    np.testing.assert_array_equal(mask[~failed], around(expected("s2"))[~failed])
    assert failed.any() == (case != "closed")
    if case != "closed":
        one = in_bucket(served, "s2", case, "s3", "raise")
        with pytest.raises(OSError, match=f"s3://{case}-s3-raise/red.tif could not be read"):
            mask_of("s2", one)


def test_the_https_alternate_is_read_where_there_are_no_credentials(
    served: Served, s3: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_credentials(monkeypatch)
    one = in_bucket(served, "gfm", "well", "alternate")
    there = f"{served.root('well', 'https')}/exclusion_mask.tif"
    one["assets"]["exclusion_mask"]["alternate"] = {"https": {"href": there}}
    np.testing.assert_array_equal(mask_of("gfm", one), around(expected("gfm")))
    assert served.asked(served.root("well", "https"), "exclusion_mask.tif") > 0
    assert served.asked(served.root("well", "alternate"), "exclusion_mask.tif") == 0
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    np.testing.assert_array_equal(mask_of("gfm", one), around(expected("gfm")))
    assert served.asked(served.root("well", "alternate"), "exclusion_mask.tif") > 0


# Searches

IDS = ["frame 1", "frame 2", "frame 3"]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("api") / "items.json"
    items = [item("gfm", "http://127.0.0.1:9", name) for name in IDS]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with serve(path) as url:
        yield url


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_search, "PAGE_SIZE", 1)


def search(catalog: Any, day: str = DAY) -> list[str]:
    return sorted(found.id for found in stac.search(catalog, AROUND, day, default=xf.stac.EODC))


def stats(url: str) -> dict[str, Any]:
    counts: dict[str, Any] = requests.get(f"{url}/__stats__", timeout=5).json()
    return counts


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=503, times=3),
        Fault("status", status=429, headers={"Retry-After": "1"}, times=1),
        Fault("close", times=1),
        Fault("close", part=None, times=1),
        Fault("reset", times=1),
        Fault("status", status=500, after=1, times=1),
        Fault("close", after=1, times=1),
    ],
    ids=["503", "429", "broken", "closed", "reset", "page two", "page two broken"],
)
def test_a_search_that_fails_at_first_finds_all_items(
    api: str, small_pages: None, fault: Fault
) -> None:
    with search_proxy(api, {"/search": fault}) as url:
        assert search(url) == IDS
        counts = stats(url)
    assert counts["faults"] == fault.times
    assert counts["methods"]["POST"] == len(IDS) + (fault.times or 0)


def test_a_catalogue_that_is_busy_when_it_is_opened_is_asked_again(api: str) -> None:
    with search_proxy(api, {"/": Fault("status", status=503, times=2)}) as url:
        assert search(url) == IDS


@pytest.mark.parametrize("part", ["/", "/search"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=503),
        Fault("status", status=400),
        Fault("close"),
        Fault("reset", part=None),
        Fault("wrong"),
        Fault("truncate"),
        Fault("redirect", location=A_FILE),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status or ''}",
)
def test_a_search_that_fails_is_an_error_and_never_no_items(
    api: str, part: str, fault: Fault
) -> None:
    with search_proxy(api, {part: fault}) as url:
        with pytest.raises(
            ConnectionError, match=rf"search for 'GFM' in {url} failed.*items="
        ) as e:
            search(url)
        assert len(str(e.value)) < 600


def test_a_second_page_that_fails_is_an_error_and_not_the_first(
    api: str, small_pages: None
) -> None:
    with search_proxy(api, {"/search": Fault("status", status=500, after=1)}) as url:
        ds = target()
        with pytest.raises(ConnectionError, match=rf"search for 'GFM' in {url} failed"):
            ds.fusion.attach_gfm_mask(catalog=url)


@pytest.mark.parametrize("after", [0, 1], ids=["page one", "page two"])
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"message": "Endpoint request timed out"},
        {"type": "FeatureCollection", "features": None},
    ],
    ids=["nothing", "message", "null"],
)
def test_a_page_that_is_none_is_an_error_and_not_the_end_of_the_items(
    api: str, small_pages: None, answer: Any, after: int
) -> None:
    """Some servers say of an error that all is well."""
    fault = Fault("answer", body=json.dumps(answer), after=after)
    with search_proxy(api, {"/search": fault}) as url:
        with pytest.raises(ConnectionError, match=rf"{url} failed.*no page of a search"):
            search(url)


def test_an_open_client_that_gets_no_page_finds_no_items_but_does_not_invent_any(api: str) -> None:
    """What it takes for the end of the pages is its own affair, as its documentation says."""
    with search_proxy(api, {"/search": Fault("answer", body="{}")}) as url:
        with pytest.raises(LookupError, match="no items of 'GFM'"):
            search(Client.open(url))


def test_a_search_that_stalls_ends_with_its_time_out(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "TIMEOUT", (1.0, 0.3))
    with search_proxy(api, {"/search": Fault("stall", part=None, seconds=10)}) as url:
        start = time.monotonic()
        with pytest.raises(ConnectionError, match="failed.*timed out"):
            search(url)
        assert 0.8 < time.monotonic() - start < 3
        assert stats(url)["faults"] == bounds.ATTEMPTS


DRIPS = {
    "body": Fault("drip", seconds=0.02),
    "headers": Fault("drip", part=None, seconds=0.02),
}


def asked_by(who: str, url: str, **options: Any) -> Any:
    """The catalogue as an address, or as a Client that its user has opened."""
    return url if who == "ours" else Client.open(url, **options)


@pytest.mark.parametrize("who", ["ours", "theirs"])
@pytest.mark.parametrize("drips", DRIPS)
def test_a_search_that_drips_ends_with_its_deadline(
    api: str, drips: str, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No byte is late, and the last would come after a minute."""
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    with search_proxy(api, {"/search": DRIPS[drips]}) as url:
        catalog = asked_by(who, url)
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=rf"{url} failed.* more than 0.7 s in all"):
            search(catalog)
        assert 0.6 < time.monotonic() - start < 5


@pytest.mark.parametrize("drips", DRIPS)
def test_a_catalogue_that_drips_when_it_is_opened_ends_with_its_deadline(
    api: str, drips: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    with search_proxy(api, {"/": DRIPS[drips]}) as url:
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=rf"{url} failed.* more than 0.7 s in all"):
            search(url)
        assert 0.6 < time.monotonic() - start < 5


def test_a_handshake_that_fails_is_no_server_that_is_busy(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of the attempts is repeated five times, after pauses of up to eight seconds."""
    monkeypatch.setattr(bounds, "DELAY", 0.5)
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="failed.*SSL"):
        search(api.replace("http:", "https:"))
    assert time.monotonic() - start < 10


def test_a_handshake_that_drips_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)

    def drip(listening: socket.socket) -> None:
        with listening.accept()[0] as connection, contextlib.suppress(OSError):
            for byte in b"\x16\x03\x03\x3f\xff\x02" + bytes(1000):
                connection.sendall(bytes([byte]))
                time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, args=[listening], daemon=True).start()
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=r"failed.* more than 0.7 s in all"):
            search(f"https://127.0.0.1:{listening.getsockname()[1]}")
        assert 0.6 < time.monotonic() - start < 5


@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_pages_that_each_come_in_time_do_not_add_up_without_end(
    api: str, small_pages: None, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.9)
    with search_proxy(api, {"/search": Fault("stall", part=None, seconds=0.4)}) as url:
        with pytest.raises(ConnectionError, match=r"failed.* more than 0.9 s in all"):
            search(asked_by(who, url))
        assert stats(url)["faults"] == 3


def test_answers_without_end_are_not_kept(
    api: str, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with search_proxy(api) as url:
        # the catalogue itself, and each page, are some kB
        monkeypatch.setattr(bounds, "MOST_BYTES", 5000)
        with pytest.raises(ConnectionError, match=r"failed.* sent more than 5000 bytes in all"):
            search(url)
        assert 1 <= stats(url)["methods"]["POST"] < len(IDS)
        monkeypatch.setattr(bounds, "MOST_BYTES", 100_000)
        assert search(url) == IDS


def test_a_root_that_an_open_client_is_led_to_is_bounded_as_well(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    faults = {"/": Fault("none", times=1), "/*": DRIPS["headers"]}
    with search_proxy(api, faults) as url:
        client = Client.open(url)
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=r"failed.* more than 0.7 s in all"):
            search(client)
        assert 0.6 < time.monotonic() - start < 5
        assert stats(url)["paths"]["/"] == 2


def test_an_open_client_without_time_outs_does_not_wait_for_ever(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    with search_proxy(api, {"/search": Fault("stall", part=None, seconds=10)}) as url:
        client = Client.open(url, stac_io=StacApiIO(max_retries=None))
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=r"failed.* more than 0.7 s in all"):
            search(client)
        assert 0.2 < time.monotonic() - start < 3


def test_an_open_client_does_not_wait_beyond_the_deadline_for_a_server_that_asks_it_to(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    busy = Fault("status", status=503, headers={"Retry-After": "3600"})
    with search_proxy(api, {"/search": busy}) as url:
        again = Retry(5, status_forcelist=[503], allowed_methods=None)
        client = Client.open(url, stac_io=StacApiIO(max_retries=again))
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=r"failed.* more than 0.7 s in all"):
            search(client)
        assert 0.6 < time.monotonic() - start < 5


class ByToken(requests.adapters.HTTPAdapter):
    """An adapter of a user, with a state of its own."""

    def __init__(self, token: str) -> None:
        super().__init__(max_retries=2)
        self.token = token

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.headers["X-Token"] = self.token
        return super().send(request, *args, **kwargs)


def noted(sent: list[Any], send: Any) -> Any:
    def note(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        headers = request.headers
        sent.append((headers.get("X-Token"), headers.get("X-Session"), kwargs["timeout"]))
        return send(self, request, *args, **kwargs)

    return note


def test_an_open_client_asks_as_its_user_has_set_it_and_is_left_as_it_was(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    sent: list[Any] = []
    kind = requests.adapters.HTTPAdapter
    monkeypatch.setattr(kind, "send", noted(sent, kind.send))
    with search_proxy(api, {"/search": Fault("drip", times=1, seconds=0.02)}) as url:
        io = StacApiIO(max_retries=None)
        io.session.mount("http://", adapter := ByToken("secret"))
        client = Client.open(url, stac_io=io, headers={"X-Session": "mine"})
        before = [dict(vars(known)) for known in (client, io, io.session, adapter)]
        with pytest.raises(ConnectionError, match="more than 0.7 s in all"):
            search(client)
        assert [dict(vars(known)) for known in (client, io, io.session, adapter)] == before
        assert search(client) == IDS
        # it has no deadline and no time-out of ours
        assert len(list(client.search(collections=["GFM"]).items())) == len(IDS)
    assert {(token, session) for token, session, _ in sent} == {("secret", "mine")}
    assert {timeout for _, _, timeout in sent} == {None}


def test_items_of_a_search_know_the_client_of_the_user(api: str) -> None:
    client = Client.open(api)
    for found in stac.search(client, AROUND, DAY, default=xf.stac.EODC):
        assert found.get_root() is client


@pytest.mark.parametrize("who", ["ours", "theirs"])
@pytest.mark.parametrize(
    "error", [TypeError("a slip"), KeyError("a slip"), ValueError("a slip"), KeyboardInterrupt()]
)
def test_an_error_in_the_program_is_not_taken_for_one_of_the_catalogue(
    api: str, who: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = asked_by(who, api)

    def slip(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(Client, "search", slip)
    with pytest.raises(type(error), match="" if isinstance(error, KeyboardInterrupt) else "a slip"):
        search(catalog)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        7,
        {"features": 7},
        {"features": [7]},
        {"features": [{"type": "Feature"}]},
        {"features": [{}], "links": [{"rel": "next"}]},
        {"features": [{}], "links": {}},
    ],
)
@pytest.mark.parametrize("part", ["/", "/search"])
def test_json_that_is_not_of_a_stac_api_is_an_error_that_names_the_catalogue(
    api: str, part: str, answer: Any
) -> None:
    json_of = Fault("answer", body=json.dumps(answer))
    with (
        search_proxy(api, {part: json_of}) as url,
        pytest.raises(ConnectionError, match=rf"search for 'GFM' in {url} failed"),
    ):
        search(url)


@pytest.mark.parametrize("body", ["[" * 20_000, f'{{"features": [{"1" * 5000}]}}', "NaN", "{"])
@pytest.mark.parametrize("part", ["/", "/search"])
def test_json_that_breaks_its_reader_is_an_error_that_names_the_catalogue(
    api: str, part: str, body: str
) -> None:
    with (
        search_proxy(api, {part: Fault("answer", body=body)}) as url,
        pytest.raises(ConnectionError, match=rf"search for 'GFM' in {url} failed.*JSON"),
    ):
        search(url)


def test_an_item_that_is_none_is_named(api: str) -> None:
    without = item("gfm", "http://127.0.0.1:9", "frame 4")
    without["properties"]["datetime"] = None
    body = json.dumps({"type": "FeatureCollection", "features": [without]})
    with (
        search_proxy(api, {"/search": Fault("answer", body=body)}) as url,
        pytest.raises(ConnectionError, match=rf"{url} failed.*'{without['id']}'.*datetime"),
    ):
        search(url)


@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_a_search_that_leads_to_a_file_is_refused(who: str, api: str) -> None:
    said = requests.get(api, timeout=5).json()
    for link in said["links"]:
        if link["rel"] == "search":
            link["href"] = "file:///etc/passwd"
    with search_proxy(api, {"/": Fault("answer", body=json.dumps(said))}) as url:
        catalog = asked_by(who, url)
        with pytest.raises(ConnectionError, match="leads to 'file:.*which is no address"):
            search(catalog)


def test_a_server_that_asks_for_an_hour_is_not_waited_for(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST_WAIT", 0.1)
    fault = Fault("status", status=429, headers={"Retry-After": "3600"}, times=2)
    with search_proxy(api, {"/search": fault}) as url:
        start = time.monotonic()
        assert search(url) == IDS
        assert time.monotonic() - start < 5


def test_a_catalogue_without_end_is_refused(
    api: str, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_search, "MOST_ITEMS", 2)
    with pytest.raises(ValueError, match=f"{api} has 2 items of 'GFM' or more"):
        search(api)


def test_the_last_day_of_an_interval_belongs_to_it(api: str, tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    items = [item("gfm", "http://127.0.0.1:9", name) for name in IDS]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    for where in (api, str(path)):
        assert search(where, f"2023-06-19/{DAY}") == IDS
        with pytest.raises(LookupError, match="no items"):
            search(where, "2023-06-18/2023-06-19")


@pytest.mark.parametrize("where", ["api", "file", "items", "client"])
@pytest.mark.parametrize(
    ("interval", "found"),
    [
        (f"{DAY}/..", True),
        (f"../{DAY}", True),
        (f"{DAY}/", True),
        (f"/{NOON}", True),
        ("2023-06-21/..", False),
        ("../2023-06-19", False),
        ("../2023-06-20T11:59:59", False),
    ],
)
def test_open_intervals_are_understood_by_every_kind_of_catalogue(
    api: str, where: str, interval: str, found: bool, tmp_path: Path
) -> None:
    items = [item("gfm", "http://127.0.0.1:9", name) for name in IDS]
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    known: dict[str, Any] = {
        "api": {"catalog": api},
        "file": {"catalog": str(path)},
        "items": {"items": items},
        "client": {"catalog": Client.open(api)},
    }
    attached = functools.partial(
        target(chunks=160).fusion.attach_gfm_mask, datetime=interval, **known[where]
    )
    if found:
        assert attached().attrs["mask_items"].count("frame") == len(IDS)
    else:
        with pytest.raises(LookupError):
            attached()


def test_no_items_is_an_error_with_all_that_was_asked_for(api: str) -> None:
    ds = target()
    west = AROUND.geographic_extent.boundingbox.left
    with pytest.raises(LookupError) as raised:
        ds.fusion.attach_gfm_mask(catalog=api, datetime="2019-01-01")
    for part in ("'GFM'", api, "2019-01-01T00:00:00Z", "2019-01-01T23:59:59", f"{west:.5f}"):
        assert part in str(raised.value)
    profile = dataclasses.replace(xf.stac.EARTH_SEARCH, url=api)
    with pytest.raises(LookupError, match="'sentinel-2-l2a'"):
        ds.fusion.attach_s2_mask(catalog=profile)


@pytest.mark.parametrize("day", [DAY, "2019-01-01"], ids=["fails", "finds nothing"])
def test_secrets_of_a_catalogue_are_not_told(api: str, day: str) -> None:
    faults = {"/search": Fault("close")} if day == DAY else {}
    with search_proxy(api, faults) as url:
        secret = f"{url}?token=S3CRET".replace("://", "://someone:S3CRET@")
        with pytest.raises((ConnectionError, LookupError), match=url) as raised:
            search(secret, day)
    told = "".join(traceback.format_exception(raised.value))
    assert "S3CRET" not in told
    assert "someone" not in told


def test_a_key_that_a_client_adds_is_not_told(api: str) -> None:
    with search_proxy(api) as url:
        catalog = Client.open(url, parameters={"key": "S3CRET"})
    with pytest.raises(ConnectionError, match=rf"{url} failed.*refused") as raised:
        search(catalog)
    assert "S3CRET" not in "".join(traceback.format_exception(raised.value))


def test_a_key_that_a_redirect_adds_is_not_told(api: str) -> None:
    elsewhere = "http://someone:S3CRET@127.0.0.1:9/?key=S3CRET"
    with (
        search_proxy(api, {"/": Fault("redirect", location=elsewhere)}) as url,
        pytest.raises(ConnectionError, match=rf"{url} failed.*refused") as raised,
    ):
        search(url)
    assert "S3CRET" not in "".join(traceback.format_exception(raised.value))


def test_secrets_of_a_catalogue_are_not_kept(api: str) -> None:
    secret = f"{api}?token=S3CRET".replace("://", "://someone:S3CRET@")
    masked = target(chunks=160).fusion.attach_gfm_mask(catalog=secret)
    assert masked.attrs["mask_catalog"] == api
    assert "S3CRET" not in f"{masked!r}{masked._repr_html_()}{masked.attrs}"
