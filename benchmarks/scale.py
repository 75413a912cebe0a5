"""An area of 1 000 km a side: what it costs who calls, by simulation, and all others, on paper.

The simulation builds the real lazy result of files without pixels, and items whose files are asked
for with a wait, and begins to write it. What is on paper is the cost a pixel of a whole job that
is computed here, times the pixels; prices are assumptions, below.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fresh import in_process
from benchmarks.network import MARGINS, WAIT
from benchmarks.range_server import counted, serving
from benchmarks.scale_scene import EmptyScene
from benchmarks.scenes import FILES, write_scene
from benchmarks.store_run import THREADS, run
from benchmarks.tables import Row, Table

SIDES = (20_000, 100_000)  # pixels of 10 m
PIECE = 5000  # of the job that is computed
WORKERS = 20  # of two cores
CORE_HOUR = 0.05  # dollars, assumed: a small machine of a cloud
THOUSAND_REQUESTS = 0.0004  # dollars, assumed: GET of an object store
GB_MONTH = 0.023  # dollars, assumed: an object store


def main(*sides: int) -> Iterator[Table]:
    with tempfile.TemporaryDirectory(prefix="xfusion-bench-") as folder:
        yield simulated(Path(folder), sides or SIDES)
        yield on_paper(Path(folder), max(sides or SIDES))


def simulated(folder: Path, sides: tuple[int, ...]) -> Table:
    rows: list[Row] = []
    for side in sides:
        scene = EmptyScene(folder / f"empty-{side}", side).write()
        with serving(scene.folder, wait=WAIT) as url:
            found = in_process("benchmarks.scale_run", str(scene.folder), str(side), url, "caller")
        took = found.pop("took")
        rows.append(
            {
                "what": f"{side} × {side}",
                **found,
                "lazily": sum(took.values()) - took["pickle"] - took["optical"],
                "of_items": took["optical"],
            }
        )
        shutil.rmtree(scene.folder)
    title = (
        "The process that calls, two threads: seconds until the result is there, lazily, and with\n"
        f"looks at the items ({WAIT * 1e3:.0f} ms a request); then until a block is written"
    )
    columns = ("items", "s lazily", "s items", "asked", "blocks", "tasks", "tasks/block")
    return Table("scale", title, (*columns, "pickled", "s first block", "memory"), rows)


def on_paper(folder: Path, side: int) -> Table:
    scene = write_scene(folder / "piece", PIECE)
    run(THREADS, scene)  # compiles
    job = run(THREADS, scene)
    with serving(scene.folder, wait=0) as url:
        in_process("benchmarks.network", "xfusion", str(scene.folder), url, "masks")
        masks = counted(url)["masksa"]
    of_products = sum(scene.path(name).stat().st_size for name in FILES if name not in MARGINS)
    times = side * side / job["pixels"]
    seconds = job["seconds"] * times / WORKERS
    core_hours = job["cpu"] * times / 3600
    result = job["bytes"] * times
    amounts = {
        "result, Gpx": side * side / 1e9,
        "computing, core-hours": core_hours,
        "masks, GB read": masks["bytes"] * times / 1e9,
        "masks, thousand requests": masks["requests"] * times / 1e3,
        "retrievals, GB read": of_products * times / 1e9,
        "result, GB written": result / 1e9,
        f"{WORKERS} workers of two cores, minutes": seconds / 60,
        "of all of them, requests a second": masks["requests"] * times / seconds,
        "of each, MB read a second": (masks["bytes"] + of_products)
        * times
        / seconds
        / WORKERS
        / 1e6,
        f"computing, dollars at {CORE_HOUR} a core-hour": core_hours * CORE_HOUR,
        f"requests, dollars at {THOUSAND_REQUESTS} a thousand": (
            masks["requests"] * times / 1e3 * THOUSAND_REQUESTS
        ),
        f"result, dollars a month at {GB_MONTH} a GB": result / 1e9 * GB_MONTH,
    }
    rows = [{"what": what, "amount": amount} for what, amount in amounts.items()]
    title = f"{side} x {side} pixels, on paper, from a job of {PIECE} x {PIECE} on this machine"
    return Table("scale, on paper", title, ("amount",), rows)
