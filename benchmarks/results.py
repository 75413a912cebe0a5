"""Files of results: one for each run, and one for each kind of processor, which the docs show."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import commit, machine, versions
from benchmarks.tables import Table

HERE = Path(__file__).parent
RUNS = HERE / "runs"  # git ignores it
KEPT = HERE / "results"


def write_run(tables: Sequence[Table], folder: Path, note: str = "") -> Path:
    """Write all that one run measured to a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    found = _results(tables, note)
    (run,) = found["runs"].values()
    clock = dt.datetime.now(dt.UTC).strftime("%H%M%S")
    path = folder / f"{run['date']}-{clock}-{run['commit'].rstrip('+') or 'no-commit'}.json"
    path.write_text(as_text(found), encoding="utf-8")
    return path


def keep(tables: Sequence[Table], folder: Path, note: str = "") -> Path:
    """Put tables in the place of those of the same name in the file of this kind of processor.

    A table is kept or replaced as a whole: its ratios are of one run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = _results(tables, note)
    path = folder / f"{file_name(found['machine']['processor'])}.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(as_text(merged(before, found)), encoding="utf-8")
    return path


def merged(before: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return results with tables replaced by those of the same name; and the runs that are left."""
    tables = {**before.get("tables", {}), **found["tables"]}
    used = {table["run"] for table in tables.values()}
    runs = {**before.get("runs", {}), **found["runs"]}
    return {
        "machine": found["machine"],
        "runs": {name: run for name, run in runs.items() if name in used},
        "tables": dict(sorted(tables.items(), key=lambda named: in_order(named[0]))),
    }


def in_order(name: str) -> list[tuple[int, str]]:
    """Return what names of tables are sorted by: words, and sizes as numbers."""
    return [(int(w), "") if w.isdigit() else (-1, w) for w in name.split()]


def file_name(processor: str) -> str:
    """Return the name of the file of a kind of processor, without its suffix."""
    return "-".join("".join(c if c.isalnum() else " " for c in processor).lower().split())


def kept(folder: Path = KEPT) -> dict[str, dict[str, Any]]:
    """Return the results that are kept, by the name of the file."""
    return {
        p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.json"))
    }


def rows_of(results: Mapping[str, Any], table: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a table by what was measured, none if it is not there."""
    rows = results["tables"].get(table, {}).get("rows", [])
    return {row["what"]: row for row in rows}


def as_text(results: Mapping[str, Any]) -> str:
    """Return results as JSON that is read line by line: a row is a line."""
    tables = [
        f"    {json.dumps(name)}: {{\n"
        f'      "title": {json.dumps(table["title"])},\n'
        f'      "run": {json.dumps(table["run"])},\n'
        f'      "rows": [\n{_lines(map(json.dumps, table["rows"]), 8)}\n      ]\n'
        "    }"
        for name, table in results["tables"].items()
    ]
    runs = [f"{json.dumps(name)}: {json.dumps(run)}" for name, run in results["runs"].items()]
    return (
        f'{{\n  "machine": {json.dumps(results["machine"])},\n'
        f'  "runs": {{\n{_lines(runs, 4)}\n  }},\n'
        f'  "tables": {{\n' + ",\n".join(tables) + "\n  }\n}\n"
    )


def _lines(parts: Iterable[str], indent: int) -> str:
    return ",\n".join(" " * indent + part for part in parts)


def _results(tables: Sequence[Table], note: str) -> dict[str, Any]:
    date = dt.datetime.now(dt.UTC).date().isoformat()
    run = {"date": date, "commit": commit(), "versions": versions()}
    name = f"{date} {run['commit']}".strip()
    if note:
        run, name = {**run, "note": note}, f"{name}, {note}"
    return {
        "machine": machine(),
        "runs": {name: run},
        "tables": {
            table.name: {
                "title": table.title,
                "run": name,
                "rows": [{k: _rounded(v) for k, v in row.items()} for row in table.rows],
            }
            for table in tables
        },
    }


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
