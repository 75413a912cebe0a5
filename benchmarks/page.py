"""Write the tables of the pages of the docs from the results that are kept.

``python -m benchmarks.page`` writes all. In a page a comment says what stands below it::

    <!-- table: fusion | seconds, ns/pixel, speed-up -->
    <!-- end -->

Also ``goals`` and ``machines``. All else in a page is text, and has no figure that was measured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.goals import GOALS
from benchmarks.results import KEPT, kept, rows_of
from benchmarks.tables import QUANTITIES, shown

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS / "performance.md", DOCS / "scaling.md")
BEFORE = KEPT / "before"
PART = re.compile(
    r"(?P<begin><!-- (?P<what>table|goals|machines)(?:: (?P<how>[^>]*))? -->\n)"
    r".*?(?P<end><!-- end -->)",
    re.DOTALL,
)

Results = Mapping[str, Mapping[str, Any]]
"""What is kept, by kind of processor."""


def write_page(path: Path) -> None:
    """Write the tables of a page anew."""
    text = path.read_text(encoding="utf-8")
    path.write_text(written(text, kept(), kept(BEFORE)), encoding="utf-8")


def written(text: str, results: Results, before: Results) -> str:
    """Return the text of a page with its tables as the results have them."""

    def part(found: re.Match[str]) -> str:
        if found["what"] == "table":
            name, _, columns = found["how"].partition("|")
            lines = table(name.strip(), [c.strip() for c in columns.split(",")], results)
        else:
            lines = goals(results, before) if found["what"] == "goals" else machines(results)
        return found["begin"] + "\n" + "\n".join(lines) + "\n\n" + found["end"]

    return PART.sub(part, text)


def text_alone(text: str) -> str:
    """Return what of a page is not written from results."""
    return PART.sub("", text)


def table(name: str, columns: list[str], results: Results) -> list[str]:
    """Return one table: what was measured, and for each kind of processor its quantities."""
    there = {k: rows_of(r, name) for k, r in results.items() if rows_of(r, name)}
    if not there:
        msg = f"no results of {name!r} are kept: measure them with python -m benchmarks --keep"
        raise LookupError(msg)
    measured = {
        kind: [c for c in columns if any(shown(c, row) for row in rows.values())]
        for kind, rows in there.items()
    }
    titles = [
        f"{_processor(results[kind])}: " + " · ".join(QUANTITIES[c].heading for c in some)
        for kind, some in measured.items()
    ]
    whats = dict.fromkeys(what for rows in there.values() for what in rows)
    lines = [_line(["", *titles]), _line(["---", *("---:" for _ in titles)])]
    for what in whats:
        cells = [
            " · ".join(shown(column, rows[what]) or "–" for column in measured[kind])
            if what in rows
            else ""
            for kind, rows in there.items()
        ]
        lines.append(_line([what, *cells]))
    return lines


def goals(results: Results, before: Results) -> list[str]:
    """Return what must be reached, and what is: before and now, for each kind of processor."""
    titles: list[str] = []
    columns: list[Mapping[str, Any]] = []
    for kind, found in results.items():
        for when, each in (("before", before.get(kind)), ("now", found)):
            if each is not None and any(goal.reached(each) for goal in GOALS):
                titles.append(f"{_processor(found)}, {when}")
                columns.append(each)
    lines = [_line(["", "must reach", "aim", *titles])]
    lines.append(_line(["---", *("---:" for _ in range(len(titles) + 2))]))
    lines += [
        _line([goal.what, goal.must, goal.aim, *(goal.reached(each) for each in columns)])
        for goal in GOALS
    ]
    return lines


def machines(results: Results) -> list[str]:
    """Return what was measured where, when and with which versions."""
    lines = []
    for found in results.values():
        of = found["machine"]
        lines.append(
            f"- **{_processor(found)}**: {of['cores']} cores, {of['architecture']}, "
            f"{of['memory_gib']} GiB."
        )
        for name, run in found["runs"].items():
            tables = [table for table, each in found["tables"].items() if each["run"] == name]
            versions = ", ".join(f"{k} {v}" for k, v in run["versions"].items())
            commit = f", commit {run['commit']}" if run["commit"] else ""
            note = f", {run['note']}" if run.get("note") else ""
            lines.append(f"  - {run['date']}{commit}{note}: {'; '.join(tables)}. {versions}.")
    return lines


def _processor(results: Mapping[str, Any]) -> str:
    name: str = results["machine"]["processor"]
    return name


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    for page in PAGES:
        write_page(page)
