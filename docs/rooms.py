# ruff: noqa: INP001  # Sphinx and the tests import it by its path
"""The folders of xfusion, called rooms: who may import whom, and who does.

The table below is the rule. ``tests/test_architecture.py`` holds the code to it, and the page
``docs/architecture.md`` shows it together with the imports that there are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1] / "xfusion"

# An import leads down these rows. A new room is one word; "faces" are the modules of no folder.
ROWS = [
    ["demo", "faces"],
    ["view"],
    ["masks", "store", "assessment", "series"],
    ["stac", "warp", "fusion", "cog", "models"],
    ["raster", "run"],
    ["datamodel", "kernels"],
]
# Among the faces, too, an import leads down.
FACES = [
    ["__init__", "__main__"],
    ["cli"],
    ["cli_fuse", "cli_map", "cli_plot", "cli_report", "cli_update", "cli_warm"],
    ["cli_options", "today", "water_map"],
    ["scene_retrieval"],
    ["scenes"],
    ["console", "workflow", "warming"],
    ["wording"],
    ["accessor"],
    ["products"],
    ["methods"],
]
# What else may import: rooms, or faces by their own names, each with the reason.
EXCEPTIONS = {
    ("cli", "demo"): "`xfusion demo` is one of the commands",
    ("demo", "products"): "the demo fuses its scene as a user would",
    (
        "stac",
        "masks",
    ): "`xf.stac.load` is where a user looks, and loads as masks are",
    ("methods", "products"): "what it fuses is a product, whose methods these are",
}
FACE = "faces"
ABOUT_FACES = "Where a user comes in: functions, methods, products and commands."


class Import(NamedTuple):
    """A statement that imports a module of the package."""

    path: Path
    line: int
    source: str
    """The importing module, such as "xfusion.masks.attach"."""
    target: str


def modules() -> list[Path]:
    """Return the files of all modules."""
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the name of a module, "xfusion.__init__" of the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    of_room = len(parts) > 1 and parts[-1] == "__init__"
    return ".".join([PACKAGE.name, *(parts[:-1] if of_room else parts)])


def room_of(module: str) -> str:
    """Return the room in which a module is."""
    _, *rest = module.split(".")
    return rest[0] if rest and (PACKAGE / rest[0] / "__init__.py").exists() else FACE


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of all that a module imports, wherever in it the statement is."""
    package = [PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *([node.module] if node.module else [])]
            for alias in node.names:
                # of a package, a module or what is in its __init__
                of_package = _file(".".join([*base, alias.name])) is not None
                yield node.lineno, ".".join([*base, alias.name] if of_package else base)


def imports() -> list[Import]:
    """Return all imports of the package from itself."""
    return [
        Import(path, line, module_name(path), "xfusion.__init__" if name == "xfusion" else name)
        for path in modules()
        for line, name in imported(path)
        if name.split(".")[0] == PACKAGE.name
    ]


def ends(statement: Import) -> tuple[str, str]:
    """Return the two ends of an import as EXCEPTIONS has them: rooms, or faces by their names."""
    return _end(statement.source), _end(statement.target)


def is_allowed(statement: Import) -> bool:
    """Whether an import leads down, stays in its room, or is one of the exceptions."""
    return leads_down(statement) or ends(statement) in EXCEPTIONS


def leads_down(statement: Import) -> bool:
    """Whether an import stays in its room, or leads down the rows; among faces, down theirs."""
    here, there = room_of(statement.source), room_of(statement.target)
    if here == there == FACE:
        return _row(FACES, _end(statement.source)) < _row(FACES, _end(statement.target))
    return here == there or _row(ROWS, here) < _row(ROWS, there)


def purpose(room: str) -> str:
    """Return what a room is for: the first paragraph of its docstring, one sentence."""
    if room == FACE:
        return ABOUT_FACES
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " ")


def shown(room: str) -> str:
    """Return a room as the page writes it."""
    return room if room == FACE else f"`{room}/`"


def arrows() -> dict[str, set[str]]:
    """Return which rooms each room imports from."""
    targets: dict[str, set[str]] = {room: set() for row in ROWS for room in row}
    for each in imports():
        here, there = room_of(each.source), room_of(each.target)
        if here != there:
            targets[here].add(there)
    return targets


def table() -> str:
    """Return the five rows as a table in Markdown: each room, its purpose, what it imports."""
    drawn = arrows()
    order = [room for row in ROWS for room in row]
    lines = ["| row | room | what lies there | imports from |", "|---:|---|---|---|"]
    for number, row in enumerate(ROWS, 1):
        for room in row:
            from_rooms = ", ".join(sorted(drawn[room], key=order.index)) or "no other room"
            lines.append(f"| {number} | {shown(room)} | {purpose(room)} | {from_rooms} |")
    return "\n".join(lines)


def exceptions() -> str:
    """Return the exceptions as a list in Markdown."""
    return "\n".join(f"- {a} → {b}: {why}." for (a, b), why in EXCEPTIONS.items())


def faces() -> str:
    """Return the order of the faces that there are, in a line."""
    there = {path.stem for path in PACKAGE.glob("*.py")}
    rows = [[f"`{name}`" for name in row if name in there] for row in FACES]
    return " > ".join(", ".join(row) for row in rows if row)


def _end(module: str) -> str:
    room = room_of(module)
    return module.split(".")[1] if room == FACE else room


def _row(rows: list[list[str]], name: str) -> int:
    for number, row in enumerate(rows):
        if name in row:
            return number
    msg = f"{name!r} is in no row: add the word to a row of ROWS or FACES in docs/rooms.py"
    raise LookupError(msg)


def _file(module: str) -> Path | None:
    """Return the file of a module of the package, None if there is no such module."""
    first, *rest = module.split(".")
    if first != PACKAGE.name:
        return None
    place = PACKAGE.joinpath(*rest)
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in files if file.exists()), None)
