"""What a benchmark measured, row by row: printed, written to files and shown in the docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""What was measured of one thing: its name as "what", and quantities, in seconds and bytes."""


@dataclass(frozen=True)
class Table:
    """Things that were measured side by side, in one run."""

    name: str
    """In files of results, such as "job 5000"."""
    title: str
    columns: tuple[str, ...]
    """Which of QUANTITIES are printed."""
    rows: Sequence[Row]


@dataclass(frozen=True)
class Quantity:
    heading: str
    of: Callable[[Row], float]
    suffix: str = ""


def _stored(name: str, *, unit: float = 1) -> Callable[[Row], float]:
    return lambda row: row[name] / unit


QUANTITIES = {
    "seconds": Quantity("seconds", _stored("seconds")),
    "again": Quantity("s again", _stored("again")),  # the second time in a process
    "cpu": Quantity("CPU s", _stored("cpu")),
    "process": Quantity("s with imports", _stored("process")),
    "ns/pixel": Quantity("ns/pixel", lambda row: row["seconds"] / row["pixels"] * 1e9),
    "s/Mpx": Quantity("s/Mpx", lambda row: row["seconds"] / row["pixels"] * 1e6),
    "Mpx": Quantity("Mpx", _stored("pixels", unit=1e6)),
    "speed-up": Quantity("speed-up", _stored("ratio"), "×"),
    "times": Quantity("times", lambda row: 1 / row["ratio"], "×"),
    "same tiles": Quantity("of the same tiles", _stored("of_tiles"), "×"),
    "memory": Quantity("MiB", _stored("memory", unit=2**20)),
    "extra": Quantity("of the result", _stored("extra")),
    "requests": Quantity("requests", _stored("requests")),
    "MB": Quantity("MB", _stored("bytes", unit=1e6)),
    "of the tiles": Quantity("of the tiles", _stored("share")),
    "position": Quantity("position", _stored("position")),
    "smooth": Quantity("smooth field", _stored("smooth")),
    "random": Quantity("random field", _stored("random")),
    "amount": Quantity("amount", _stored("amount")),
    "items": Quantity("items", _stored("items")),
    "s lazily": Quantity("s lazily", _stored("lazily")),
    "s items": Quantity("s at items", _stored("of_items")),
    "asked": Quantity("requests", _stored("asked")),
    "s first block": Quantity("s to a block", _stored("seconds")),
    "tasks": Quantity("tasks", _stored("tasks")),
    "blocks": Quantity("blocks", _stored("blocks")),
    "tasks/block": Quantity("tasks/block", lambda row: row["tasks"] / row["blocks"]),
    "pickled": Quantity("MB pickled", _stored("pickled", unit=1e6)),
}


def shown(quantity: str, row: Row) -> str:
    """Return a quantity of a row as it is printed, "" where it was not measured."""
    try:
        return number(QUANTITIES[quantity].of(row)) + QUANTITIES[quantity].suffix
    except KeyError:
        return ""


def number(value: float) -> str:
    """Return a number with three digits, or as a whole one with a space between thousands."""
    if abs(value) >= 99.95:
        return f"{value:,.0f}".replace(",", " ")
    if isinstance(value, int) or value == 0:
        return f"{value:.0f}"
    if abs(value) < 1e-3:
        return f"{value:.6f}"[: 2 + 6].rstrip("0").rstrip(".") or "0"
    return f"{value:.3g}"


def timed(name: str, title: str, times: Mapping[str, float], *, against: str, pixels: int) -> Table:
    """Return seconds as a table with the ratio to one of the rows."""
    rows = [{"what": what, "seconds": taken, "pixels": pixels} for what, taken in times.items()]
    columns = ("seconds", "ns/pixel", "speed-up")
    return Table(name, title, columns, with_ratios(rows, against=against))


def with_ratios(rows: Sequence[Row], *, against: str) -> list[Row]:
    """Add how many times as fast as one of them each row is."""
    baseline = next((row["seconds"] for row in rows if row["what"] == against), None)
    if baseline is None:
        return [*rows]
    return [
        {**row, "against": against, "ratio": baseline / row["seconds"]} if "seconds" in row else row
        for row in rows
    ]


def print_table(table: Table) -> None:
    """Print the columns of a table."""
    headings = [QUANTITIES[column].heading for column in table.columns]
    widths = [max(10, len(heading) + 2) for heading in headings]
    print(f"\n{table.title}")
    print(" " * 46 + "".join(f"{h:>{w}}" for h, w in zip(headings, widths, strict=True)))
    for row in table.rows:
        cells = [shown(column, row) for column in table.columns]
        line = "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        print(f"  {row['what']:<44}{line}", flush=True)
