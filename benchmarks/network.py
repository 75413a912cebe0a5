"""Masks over HTTP with a wait before each answer, by two threads, against odc.stac.load.

Red, near infrared and the scene classes of Sentinel-2 and the exclusion mask of GFM, on the grid
of the whole job. A server of our own counts what it is asked. Each reader has a process of its
own, without anything that an earlier one has fetched; it reads twice, from addresses that differ.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.fresh import clocked, in_process, tell
from benchmarks.needed_tiles import needed_bytes
from benchmarks.range_server import counted, serving
from benchmarks.scenes import DATE, Scene, write_scene
from benchmarks.tables import Row, Table

SIDES = (5000,)  # pixels of 10 m
WAIT = 0.1  # seconds before each answer
ROUNDS = 2
THREADS = 2
BLOCK = 1536
MARGINS = {"red": 0.5, "nir": 0.5, "scl": 0.0, "exclusion_mask": 0.0}
BANDS = {"GFM": ["exclusion_mask"], "sentinel-2-l2a": ["red", "nir", "scl"]}
RESAMPLING = {"red": "bilinear", "nir": "bilinear", "scl": "nearest", "exclusion_mask": "nearest"}


def main(*sides: int) -> Iterator[Table]:
    with tempfile.TemporaryDirectory(prefix="xfusion-bench-") as folder:
        small = write_scene(Path(folder) / "small", 300)
        with serving(small.folder, wait=0) as url:  # compiles, if no process has done so yet
            in_process("benchmarks.network", "xfusion", str(small.folder), url, "warm")
        for side in sides or SIDES:
            scene = write_scene(Path(folder) / str(side), side)
            with serving(scene.folder, wait=WAIT) as url:
                yield compare(scene, side, url)


def compare(scene: Scene, side: int, url: str) -> Table:
    grid = scene.grid()
    needed = sum(needed_bytes(scene.path(n), grid, margin=m) for n, m in MARGINS.items())
    best: dict[str, dict[str, Any]] = {}
    for attempt in range(ROUNDS):
        for number, name in enumerate(READERS):
            who = f"{attempt}{number}"
            found = in_process("benchmarks.network", name, str(scene.folder), url, who)
            found |= counted(url)[f"{who}a"]
            if name not in best or found["seconds"] < best[name]["seconds"]:
                best[name] = found
    peers = {name: found["seconds"] for name, found in best.items() if name != "xfusion"}
    against = min(peers, key=lambda name: peers[name])
    rows: list[Row] = [
        {
            "what": name,
            **found,
            "pixels": grid.shape[0] * grid.shape[1],
            "share": found["bytes"] / needed,
            "against": against,
            "ratio": peers[against] / found["seconds"],
        }
        for name, found in best.items()
    ]
    rows.append({"what": "the tiles that are needed", "bytes": needed, "share": 1.0})
    title = (
        f"Masks of {side} x {side} pixels of 10 m over HTTP, {WAIT * 1e3:.0f} ms a request, "
        f"{THREADS} threads;\nfirst in a process, and again from another address"
    )
    columns = ("seconds", "again", "cpu", "speed-up", "requests", "MB", "of the tiles")
    return Table(f"network {side}", title, columns, rows)


def items_at(scene: Scene, collection: str, url: str) -> list[dict[str, Any]]:
    """The items of a collection with the addresses of the server."""
    items = scene.items(collection)
    for asset in [asset for item in items for asset in item["assets"].values()]:
        asset["href"] = f"{url}/{asset['href'].rpartition('/')[2]}"
    return items


def with_xfusion(scene: Scene, url: str) -> Any:
    """Flags of both sensors, lazy: found, read, judged."""
    import dask.array as da
    import xarray as xr
    from odc.geo.xr import xr_coords

    import xfusion as xf

    grid = scene.grid()
    zeros = da.zeros(grid.shape.yx, dtype="float32", chunks=BLOCK)
    pixels = xr.DataArray(zeros, xr_coords(grid, "spatial_ref"), grid.dimensions)
    blank = xf.retrieval(pixels, pixels, time=DATE)
    gfm, s2 = (items_at(scene, collection, url) for collection in BANDS)
    return (
        xf.attach_gfm_mask(blank, items=gfm, allow_local=True)["mask"],
        xf.attach_s2_mask(blank, items=s2, allow_local=True)["mask"],
    )


def with_odc(scene: Scene, url: str, **how: Any) -> Any:
    """The bands alone; ``configure_rio`` as the documentation has it for files in a cloud."""
    import odc.stac
    import pystac

    odc.stac.configure_rio(cloud_defaults=True)
    return tuple(
        odc.stac.load(
            [pystac.Item.from_dict(item) for item in items_at(scene, collection, url)],
            bands=bands,
            geobox=scene.grid(),
            resampling={band: RESAMPLING[band] for band in bands},
            **how,
        )
        for collection, bands in BANDS.items()
    )


def with_odc_in_dask(scene: Scene, url: str) -> Any:
    return with_odc(scene, url, chunks={"latitude": 2048, "longitude": 2048})


def with_odc_in_pool(scene: Scene, url: str) -> Any:
    return with_odc(scene, url, pool=THREADS)


READERS: dict[str, Callable[[Scene, str], Any]] = {
    "odc.stac.load, dask": with_odc_in_dask,
    "odc.stac.load, pool=2": with_odc_in_pool,
    "xfusion": with_xfusion,
}


def run_alone(name: str, folder: str, url: str, who: str) -> None:
    """What the fresh process does."""
    import dask
    import odc.stac  # noqa: F401  # before the clock starts
    import pystac_client  # noqa: F401  # before the clock starts
    import rioxarray  # noqa: F401  # before the clock starts

    import xfusion.kernels.resample  # noqa: F401  # before the clock starts, with numba

    scene = Scene(Path(folder))

    def read(address: str) -> Any:
        return dask.compute(*READERS[name](scene, address))

    with dask.config.set(scheduler="threads", num_workers=THREADS):
        _, found = clocked(lambda: read(f"{url}/{who}a"))
        again = clocked(lambda: read(f"{url}/{who}b"))[1]["seconds"]
    tell(**found, again=again)


if __name__ == "__main__":
    run_alone(*sys.argv[1:])
