"""What must be reached, beside what is: one row for each thing that users wait for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.results import rows_of
from benchmarks.tables import number

Rows = Mapping[str, Mapping[str, Any]]
OURS, BOTH = "xfusion", "xfusion, masked and unmasked"
NOTEBOOK, DECODING = "plain notebook, masked and unmasked", "decoding the files only"
THREADS, CLUSTER = "two threads", "a cluster of two processes with one thread"


@dataclass(frozen=True)
class Goal:
    what: str
    must: str
    aim: str
    suffix: str
    tables: tuple[str, ...]
    of: Callable[[Rows], float]
    """Of the rows of each table."""

    def reached(self, results: Mapping[str, Any]) -> str:
        """Return what was measured, "" where it was not."""
        found = []
        for table in self.tables:
            try:
                found.append(number(float(self.of(rows_of(results, table)))) + self.suffix)
            except KeyError:
                return ""
        return " and ".join(found)


def faster(one: str, other: str) -> Callable[[Rows], float]:
    """How many times as fast one row is as another."""
    return lambda rows: rows[other]["seconds"] / rows[one]["seconds"]


def share(quantity: str, one: str, other: str) -> Callable[[Rows], float]:
    """What part one row has of the quantity of another."""
    return lambda rows: rows[one][quantity] / rows[other][quantity]


def stored(quantity: str, row: str) -> Callable[[Rows], float]:
    return lambda rows: rows[row][quantity]


FROM_10_AND_20 = ("coregistration, 10 m", "coregistration, 20 m")
GDAL = "rasterio.warp.reproject, 2 threads"
COREGISTERING = "co-registration of 25 Mpx from 10 m and from 20 m, {}, against GDAL"
FIRST = "first co-registration and fusion on a machine"

GOALS: Sequence[Goal] = [
    Goal(
        "masks of 5 000 × 5 000 over HTTP, 100 ms a request, against odc.stac.load",
        "3×",
        "6×",
        "×",
        ("network 5000",),
        stored("ratio", OURS),
    ),
    Goal(
        "bytes read for them, of those of the tiles needed",
        "1.15",
        "1.0",
        "",
        ("network 5000",),
        stored("share", OURS),
    ),
    Goal(
        "the whole job, masked and unmasked, first in its process, 5 000 × 5 000, "
        "against the notebook",
        "10×",
        "",
        "×",
        ("job 5000",),
        faster(BOTH, NOTEBOOK),
    ),
    Goal(
        "its time, of that of decoding the files once",
        "",
        "2",
        "",
        ("job 5000",),
        share("seconds", BOTH, DECODING),
    ),
    Goal(
        "its peak memory, of the notebook's",
        "0.30",
        "",
        "",
        ("job 5000",),
        share("memory", BOTH, NOTEBOOK),
    ),
    Goal("the same of 1 000 × 1 000", "4×", "", "×", ("job 1000",), faster(BOTH, NOTEBOOK)),
    Goal(
        FIRST,
        "4 s",
        "2 s",
        " s",
        ("cold",),
        stored("seconds", "first on a machine (kernels are compiled)"),
    ),
    *(
        Goal(
            COREGISTERING.format(masked),
            "10×",
            "20×",
            "×",
            FROM_10_AND_20,
            faster(row, GDAL),
        )
        for masked, row in {
            "masked in clouds": OURS,
            "a random tenth masked": f"{OURS}, a random tenth masked",
            "without a mask": f"{OURS}, no mask",
        }.items()
    ),
    Goal(
        "fusing two masked sensors, of the speed of copying their bytes",
        "0.85",
        "0.95",
        "",
        ("fusion",),
        faster("xfusion, 2 sensors", "copying the bytes of 2 sensors"),
    ),
    Goal(
        "fusing four sensors with `correlation=0.3`, a pixel",
        "20 ns",
        "8 ns",
        " ns",
        ("fusion",),
        lambda rows: (
            rows["xfusion, 4 sensors, correlation=0.3"]["seconds"]
            / rows["xfusion, 4 sensors, correlation=0.3"]["pixels"]
            * 1e9
        ),
    ),
    Goal(
        "a run to Zarr by a cluster of two processes, of the time of two threads",
        "1.2",
        "1.0",
        "",
        ("cluster 5000, warmed",),
        share("seconds", CLUSTER, THREADS),
    ),
]
