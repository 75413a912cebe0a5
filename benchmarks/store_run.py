"""One run to Zarr in a fresh process, by threads or by the processes of a cluster.

The clock starts once the libraries are imported and the workers are there; these import theirs
while it runs, unless a small run has warmed them.
"""

from __future__ import annotations

import logging
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.fresh import clocked, in_process, peak_memory, tell
from benchmarks.scenes import DATE, Scene

THREADS = "two threads"
ONE_PROCESS = "a cluster of one process with one thread"
PROCESSES = "a cluster of two processes with one thread"
WORKERS = {ONE_PROCESS: 1, PROCESSES: 2}


def run(name: str, scene: Scene, warmed_by: Scene | None = None) -> dict[str, Any]:
    """Return seconds, memory and pixels of a run, which another one may warm."""
    folders = [str(each.folder) for each in (scene, warmed_by) if each is not None]
    return in_process("benchmarks.store_run", name, *folders)


def write(scene: Scene, store: Path) -> None:
    """Fuse the masked sensors of a scene into a store."""
    import xfusion as xf

    s1 = xf.Sentinel1Product.open(scene.path("s1_mu"), scene.path("s1_sigma"), time=DATE)
    s2 = xf.Sentinel2Product.open(scene.path("s2_mu"), scene.path("s2_sigma"), time=DATE)
    grid = scene.grid()
    s1 = s1.coregister(grid).attach_mask(items=scene.items("GFM"), allow_local=True)
    s2 = s2.coregister(grid).attach_mask(items=scene.items("sentinel-2-l2a"), allow_local=True)
    s1.gaussian(s2).to_zarr(store, progress=False)


def run_alone(name: str, folder: str, *warming: str) -> None:
    """What the fresh process does."""
    import dask
    import dask.array  # before the clock starts
    import numba.np.linalg  # noqa: F401  # before the clock starts
    import odc.geo.xr  # noqa: F401  # before the clock starts
    import pystac  # noqa: F401  # before the clock starts
    import rioxarray  # noqa: F401  # before the clock starts
    import zarr  # noqa: F401  # before the clock starts

    import xfusion  # noqa: F401  # before the clock starts

    scene = Scene(Path(folder))
    with ExitStack() as ending, dask.config.set(num_workers=2):
        if name in WORKERS:
            from distributed import Client, LocalCluster

            how = {
                "n_workers": WORKERS[name],
                "threads_per_worker": 1,
                "dashboard_address": None,
                "silence_logs": logging.ERROR,
            }
            cluster = ending.enter_context(LocalCluster(**how))
            ending.enter_context(Client(cluster))
        for other in warming:
            write(Scene(Path(other)), Path(other) / "run.zarr")
            shutil.rmtree(Path(other) / "run.zarr")
        store = scene.folder / "run.zarr"
        _, found = clocked(lambda: write(scene, store))
        found["memory"] = peak_memory()
        rows, columns = scene.grid().shape
    if name in WORKERS:
        del found["cpu"]  # of the caller alone
    written = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    shutil.rmtree(store)
    tell(**found, pixels=rows * columns, bytes=written)


if __name__ == "__main__":
    run_alone(*sys.argv[1:])
