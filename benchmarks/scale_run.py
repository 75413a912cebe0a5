"""What a scene of any size costs the process that calls, until its first block is written."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.fresh import clocked, peak_memory, tell
from benchmarks.range_server import counted
from benchmarks.scale_scene import EmptyScene
from benchmarks.scenes import DATE


def run_alone(folder: str, side: str, url: str, who: str) -> None:
    """What the fresh process does."""
    import cloudpickle
    import dask.array  # noqa: F401  # before the clock starts
    import odc.geo.xr  # noqa: F401  # before the clock starts
    import pystac_client  # noqa: F401  # before the clock starts
    import rioxarray  # noqa: F401  # before the clock starts
    import zarr  # noqa: F401  # before the clock starts

    import xfusion as xf

    scene = EmptyScene(Path(folder), int(side))
    grid = scene.grid()
    gfm, optical = scene.items(f"{url}/{who}")
    took: dict[str, float] = {}

    def timed(what: str, work: Callable[[], Any]) -> Any:
        result, found = clocked(work)
        took[what] = found["seconds"]
        return result

    def opened(of: Any, name: str) -> Any:
        files = scene.path(f"{name}_mu"), scene.path(f"{name}_sigma")
        return of.open(*files, time=DATE).coregister(grid)

    start = peak_memory()
    s1 = timed("open", lambda: opened(xf.Sentinel1Product, "s1"))
    s2 = timed("open", lambda: opened(xf.Sentinel2Product, "s2"))
    s1 = timed("gfm", lambda: s1.attach_mask(items=gfm, allow_local=True))
    before = _requests(url, who)
    s2 = timed("optical", lambda: s2.attach_mask(items=optical, allow_local=True))
    asked = _requests(url, who) - before
    water = timed("fuse", lambda: s1.gaussian(s2).dataset)
    graph = water.__dask_graph__()
    pickled = timed("pickle", lambda: len(cloudpickle.dumps(graph)))
    lazy = peak_memory() - start
    blocks = water["mu"].data.npartitions
    found = {"tasks": len(graph), "blocks": blocks, "pickled": pickled, "lazy": lazy}
    first = _first_block(water, scene.folder / "run.zarr")
    tell(**found, took=took, asked=asked, items=len(optical) + len(gfm), **first)
    sys.stdout.flush()
    os._exit(0)  # the run goes on in its thread


def _first_block(water: Any, store: Path) -> dict[str, float]:
    """Write a result to a store until there is a block, and return seconds and peak memory."""
    import xfusion as xf

    failed: list[BaseException] = []

    def write() -> None:
        try:
            xf.to_zarr(water, store, progress=False)
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            failed.append(error)

    start = time.perf_counter()
    threading.Thread(target=write, daemon=True).start()
    while not any(store.glob("**/c/*/*")):  # a block in rows and columns, of any variable
        if failed:
            raise failed[0]
        time.sleep(0.05)
    return {"seconds": time.perf_counter() - start, "memory": peak_memory()}


def _requests(url: str, who: str) -> int:
    return counted(url).get(who, {}).get("requests", 0)


if __name__ == "__main__":
    run_alone(*sys.argv[1:])
