"""The whole job, files to fused arrays, against the plain notebook workflow.

Each runs in a process of its own, so that its peak memory is its own. The clock starts when the
libraries are imported, also those that others import at their first use, and the files are in the
page cache of the operating system.
"""

import importlib
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fresh import clocked, in_process, peak_memory, tell
from benchmarks.scenes import Scene, write_scene
from benchmarks.tables import Row, Table, with_ratios

SIDES = (1000, 5000)  # pixels of 10 m
NAMES = {
    "notebook": "plain notebook, masked",
    "notebook both": "plain notebook, masked and unmasked",
    "xfusion": "xfusion, masked",
    "xfusion both": "xfusion, masked and unmasked",
    "decode": "decoding the files only",
}
SAMPLE = 7  # rows and columns from one pixel that is compared to the next
# by numba, xarray, us, and by dask.compute, which looks for a cluster
LATE_IMPORTS = ("distributed", "numba.np.linalg", "pint", "pystac", "scipy.linalg")
LATE_PLUGINS = "pystac.extensions"  # which pystac imports with its first item
MEMORY = 80  # bytes a pixel that the notebook was seen to need
COLUMNS = ("seconds", "s/Mpx", "speed-up", "again", "cpu", "process", "memory")


def main(*sides: int) -> Iterator[Table]:
    with tempfile.TemporaryDirectory(prefix="xfusion-bench-") as folder:
        # compiles, if no process has done so yet
        alternative("xfusion both", write_scene(Path(folder) / "small", 300))
        for side in sides or SIDES:
            scene = write_scene(Path(folder) / str(side), side)
            rows, columns = scene.grid().shape
            needed = rows * columns * MEMORY
            names = list(NAMES)
            if needed > available():
                print(f"\nThe notebook would need {needed / 2**30:.0f} GiB: left out")
                names = [name for name in names if not name.startswith("notebook")]
            yield compare(scene, side, names, rounds=1 if side > max(SIDES) else 2)


def compare(scene: Scene, side: int, names: list[str], *, rounds: int) -> Table:
    rows, columns = scene.grid().shape
    best: dict[str, Row] = {}
    for _ in range(rounds):
        for name in names:
            found = alternative(name, scene)
            if name not in best or found["seconds"] < best[name]["seconds"]:
                best[name] = {"what": NAMES[name], "pixels": rows * columns, **found}
    if "notebook" in best:
        print(f"\n{agreement(scene)}")
    title = (
        f"The whole job: {side} x {side} pixels of 10 m, two sensors and their masks,\n"
        f"to fused arrays of {rows} x {columns} of 0.0001 degrees; first in a process, and again"
    )
    found = with_ratios([*best.values()], against=NAMES["notebook"])
    return Table(f"job {side}", title, COLUMNS, found)


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
    return in_process("benchmarks.job", name, str(scene.folder))


def run_alone(name: str, folder: str) -> None:
    """What the fresh process does."""
    scene = Scene(Path(folder))
    library, _, both = name.partition(" ")
    job: Any = importlib.import_module(f"benchmarks.job_{library}")
    for late in LATE_IMPORTS if library != "decode" else ():
        importlib.import_module(late)
    for plugin in entry_points(group=LATE_PLUGINS) if library != "decode" else ():
        plugin.load()
    result, found = clocked(lambda: job.run(scene, unmasked=bool(both)))
    found["memory"] = peak_memory()
    end = time.perf_counter()
    if len(result[0]):
        np.save(scene.folder / library, np.stack([a[::SAMPLE, ::SAMPLE] for a in result]))
    del result
    if library == "xfusion":
        found["again"] = clocked(lambda: job.run(scene, unmasked=bool(both)))[1]["seconds"]
    tell(**found, aside=time.perf_counter() - end)


def available() -> float:
    """Memory that is free, in bytes; unknown means enough."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return np.inf
    free = next(s for s in info.read_text().splitlines() if s.startswith("MemAvailable"))
    return int(free.split()[1]) * 1024


if __name__ == "__main__":
    run_alone(*sys.argv[1:])
