"""Runs to Zarr: memory and cost a pixel at 5 000 and 20 000 pixels a side, one process against two.

The clock starts once the libraries are imported and the workers are there; these import theirs
while it runs. Each run is a process of its own; the peak is that of the process that calls.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.job import peak_memory
from benchmarks.scenes import DATE, Scene, write_scene

SIDES = (5000, 20000)  # pixels of 10 m
NAMES = ("two threads", "one process", "two processes")


def main(*sides: int) -> None:
    with tempfile.TemporaryDirectory(prefix="xfusion-bench-") as folder:
        run("two threads", write_scene(Path(folder) / "small", 300))  # compiles
        before: dict[str, Any] = {}
        for side in sides or SIDES:
            start = time.perf_counter()
            scene = write_scene(Path(folder) / str(side), side)
            took = time.perf_counter() - start
            print(f"\n{side} x {side} pixels of 10 m, written in {took:.0f} s")
            print("two sensors and their masks, from files to one Zarr store, two cores")
            print(f"  {'':<26}{'Mpx':>8}{'seconds':>10}{'s/Mpx':>8}{'MiB':>8}")
            for name in NAMES if side == (sides or SIDES)[0] else NAMES[:1]:
                found = run(name, scene)
                per_pixel = found["seconds"] / found["pixels"] * 1e6
                print(
                    f"  {name:<26}{found['pixels'] / 1e6:>8.1f}{found['seconds']:>10.1f}"
                    f"{per_pixel:>8.3f}{found['peak'] / 2**20:>8.0f}"
                )
                if name == "two threads" and before:
                    print(f"  peak memory {found['peak'] / before['peak']:.2f} times, ", end="")
                    print(f"cost a pixel {per_pixel / before['per_pixel']:.2f} times")
                if name == "two threads":
                    before = {"peak": found["peak"], "per_pixel": per_pixel}
            shutil.rmtree(scene.folder)


def run(name: str, scene: Scene) -> dict[str, float]:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.store", name, str(scene.folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def run_alone(name: str, folder: str) -> None:
    """What the fresh process does."""
    import dask.array  # noqa: F401  # before the clock starts
    import numba.np.linalg  # noqa: F401  # before the clock starts
    import odc.geo.xr  # noqa: F401  # before the clock starts
    import pystac  # noqa: F401  # before the clock starts
    import rioxarray  # noqa: F401  # before the clock starts
    import zarr  # noqa: F401  # before the clock starts

    import xfusion as xf

    scene = Scene(Path(folder))
    cluster: Any = None
    if name.endswith(("process", "processes")):
        from distributed import Client, LocalCluster

        workers = 1 if name == "one process" else 2
        cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        Client(cluster)
    start = time.perf_counter()
    s1 = xf.Sentinel1Product.open(scene.path("s1_mu"), scene.path("s1_sigma"), time=DATE)
    s2 = xf.Sentinel2Product.open(scene.path("s2_mu"), scene.path("s2_sigma"), time=DATE)
    grid = scene.grid()
    s1 = s1.coregister(grid).attach_mask(items=scene.items("GFM"), allow_local=True)
    s2 = s2.coregister(grid).attach_mask(items=scene.items("sentinel-2-l2a"), allow_local=True)
    target = scene.folder / f"{name}.zarr"
    s1.gaussian(s2).to_zarr(target, progress=False)
    seconds = time.perf_counter() - start
    peak = peak_memory()
    if cluster is not None:
        cluster.close()
    shutil.rmtree(target)
    rows, columns = grid.shape
    print(json.dumps({"seconds": seconds, "peak": peak, "pixels": rows * columns}))


if __name__ == "__main__":
    run_alone(*sys.argv[1:])
