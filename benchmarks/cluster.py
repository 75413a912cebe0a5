"""The same run to Zarr by processes of a cluster and by threads, warmed by a small run and not."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.scenes import Scene, write_scene
from benchmarks.store_run import ONE_PROCESS, PROCESSES, THREADS, run
from benchmarks.tables import Row, Table, with_ratios

SIDES = (5000,)  # pixels of 10 m
SMALL = 1600  # more than one block, so that each worker has loaded what it needs
ROUNDS = 2


def main(*sides: int) -> Iterator[Table]:
    with tempfile.TemporaryDirectory(prefix="xfusion-bench-") as folder:
        small = write_scene(Path(folder) / "small", SMALL)
        run(THREADS, small)  # compiles
        for side in sides or SIDES:
            scene = write_scene(Path(folder) / str(side), side)
            yield compare(f"cluster {side}, warmed", "warmed by a small one", scene, small)
            yield compare(f"cluster {side}, first", "first in its processes", scene, None)
            shutil.rmtree(scene.folder)


def compare(name: str, how: str, scene: Scene, small: Scene | None) -> Table:
    best: dict[str, dict[str, Any]] = {}
    for _ in range(ROUNDS):
        for what in (THREADS, PROCESSES, ONE_PROCESS):
            found = run(what, scene, small)
            if what not in best or found["seconds"] < best[what]["seconds"]:
                best[what] = found
    rows: list[Row] = [{"what": what, **found} for what, found in best.items()]
    title = f"A run to Zarr, {how}: two sensors and their masks, as in the whole job"
    columns = ("Mpx", "seconds", "s/Mpx", "times", "memory")
    return Table(name, title, columns, with_ratios(rows, against=THREADS))
