"""Runs to Zarr: memory and cost a pixel at 5 000 and 20 000 pixels a side.

Each run is a process of its own; the peak is that of the process that calls.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.scenes import write_scene
from benchmarks.store_run import THREADS, run
from benchmarks.tables import Row, Table

SIDES = (5000, 20000)  # pixels of 10 m


def main(*sides: int) -> Iterator[Table]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="xfusion-bench-") as folder:
        run(THREADS, write_scene(Path(folder) / "small", 300))  # compiles
        for side in sides or SIDES:
            scene = write_scene(Path(folder) / str(side), side)
            rows.append({"what": f"{side} x {side}, {THREADS}", **run(THREADS, scene)})
            shutil.rmtree(scene.folder)
    title = "From files to one Zarr store: two sensors and their masks, pixels of 10 m"
    yield Table("store", title, ("Mpx", "seconds", "s/Mpx", "cpu", "memory"), rows)
