"""The whole job, files to fused arrays, against the plain notebook workflow.

Each runs in a process of its own, so that its peak memory is its own. The clock starts when the
libraries are imported, also those that others import at their first use, and the files are in the
page cache of the operating system.
"""

import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scenes import Scene, write_scene

SIDE = 5000  # pixels of 10 m
NAMES = {"notebook": "plain notebook", "xfusion": "xfusion", "decode": "decoding the files only"}
SAMPLE = 7  # rows and columns from one pixel that is compared to the next
LATE_IMPORTS = ("numba.np.linalg", "pint", "pystac", "scipy.linalg")  # by xarray, numba and us
MEMORY = 80  # bytes a pixel that the notebook was seen to need


def main(*sides: int) -> None:
    with tempfile.TemporaryDirectory(prefix="xfusion-bench-") as folder:
        # compiles, if no process has done so yet
        alternative("xfusion", write_scene(Path(folder) / "small", 300))
        for side in sides or (SIDE,):
            scene = write_scene(Path(folder) / str(side), side)
            rows, columns = scene.grid().shape
            needed = rows * columns * MEMORY
            names = list(NAMES)
            if needed > available():
                print(f"\nThe notebook would need {needed / 2**30:.0f} GiB: left out")
                names.remove("notebook")
            compare(scene, side, names, rounds=1 if side > SIDE else 2)


def compare(scene: Scene, side: int, names: list[str], *, rounds: int) -> None:
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for name in names:
            found = alternative(name, scene)
            if name not in best or found["seconds"] < best[name]["seconds"]:
                best[name] = found
    rows, columns = scene.grid().shape
    pixels = rows * columns
    print(f"\nThe whole job: {side} x {side} pixels of 10 m, two sensors and their masks,")
    print(f"to fused arrays of {rows} x {columns} ({pixels / 1e6:.1f} Mpx) of 0.0001 degrees")
    print(f"  {'':<26}{'seconds':>9}{'s/Mpx':>8}{'speed-up':>10}{'with imports':>14}{'MiB':>8}")
    baseline = best.get("notebook", {}).get("seconds", np.nan)
    for name, found in best.items():
        seconds = found["seconds"]
        print(
            f"  {NAMES[name]:<26}{seconds:>9.2f}{seconds / pixels * 1e6:>8.3f}"
            f"{baseline / seconds:>9.1f}x{found['process']:>14.2f}{found['peak'] / 2**20:>8.0f}"
        )
    if "notebook" in best:
        share = best["xfusion"]["peak"] / best["notebook"]["peak"]
        print(f"  peak memory of xfusion: {share:.2f} of the notebook's; {agreement(scene)}")


def agreement(scene: Scene) -> str:
    """Say how alike the results are; the tools differ in where and what they interpolate."""
    ours, theirs = (np.load(scene.folder / f"{n}.npy") for n in ("xfusion", "notebook"))
    usable = np.isfinite(ours[0]), np.isfinite(theirs[0])
    both = usable[0] & usable[1]
    same = 100 * (usable[0] == usable[1]).mean()
    middle = np.median(np.abs(ours - theirs)[:, both], axis=1)
    assert same > 98, same
    assert middle[0] < 0.02, middle
    return f"{same:.1f} % of pixels agree on usable, mu to {middle[0]:.4f} (median)"


def alternative(name: str, scene: Scene) -> dict[str, float]:
    """Run one alternative in a fresh process."""
    start = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.job", name, str(scene.folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    process = time.perf_counter() - start
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found | {"process": process - found.pop("saving")}


def run_alone(name: str, folder: str) -> None:
    """What the fresh process does."""
    scene = Scene(Path(folder))
    job: Any = importlib.import_module(f"benchmarks.job_{name}")
    for library in LATE_IMPORTS if name != "decode" else ():
        importlib.import_module(library)
    start = time.perf_counter()
    result = job.run(scene)
    end = time.perf_counter()
    peak = peak_memory()
    if len(result[0]):
        np.save(scene.folder / name, np.stack([a[::SAMPLE, ::SAMPLE] for a in result]))
    saving = time.perf_counter() - end
    print(json.dumps({"seconds": end - start, "peak": peak, "saving": saving}))


def peak_memory() -> int:
    """Largest resident memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of Linux remembers the process that this one was forked from
        peak = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def available() -> float:
    """Memory that is free, in bytes; unknown means enough."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return np.inf
    free = next(s for s in info.read_text().splitlines() if s.startswith("MemAvailable"))
    return int(free.split()[1]) * 1024


if __name__ == "__main__":
    run_alone(*sys.argv[1:])
