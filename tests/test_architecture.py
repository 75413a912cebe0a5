"""The rooms of docs/rooms.py, read from the imports; laziness, read from the calls; names."""

import ast
import functools
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xfusion

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "xfusion"


def from_docs(name: str) -> ModuleType:
    """Import a module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


rooms = from_docs("rooms")
rooms_figure = from_docs("rooms_figure")

MODULES: list[Path] = rooms.modules()
PACKAGES = [path.parent for path in MODULES if path.name == "__init__.py"]
EVERY_MODULE = pytest.mark.parametrize(
    "path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES]
)
EVERY_PACKAGE = pytest.mark.parametrize(
    "folder", PACKAGES, ids=[str(folder.relative_to(ROOT)) for folder in PACKAGES]
)


@functools.cache  # and not above: each worker collects this file, one or two run it
def imports_of() -> dict[Path, list[Any]]:
    found: dict[Path, list[Any]] = {path: [] for path in MODULES}
    for statement in rooms.imports():
        found[statement.path].append(statement)
    return found


HEAVY = {"rasterio", "rioxarray", "numba", "pystac_client", "odc.stac", "odc.loader", "scipy"}
OPTIONAL = {"pint", "matplotlib", "rustac", "dask.array", "zarr", "obstore", "tqdm"}
READS = {"compute", "load", "persist"}
# Where pixels are wanted: what computes and writes them, what shows them, odc.stac.load in a task;
# and labels of zones, as a result has a place for each
MAY_COMPUTE = {
    "run.memory",
    "store.write",
    "cog.block_file",
    "demo",
    "view.summary",
    "raster.by_odc",
    "assessment.zones",
}
LONGEST = 300  # lines
NO_NAMES = {"utils", "util", "helpers", "common", "misc", "options"}
MOST_ROOMS = 15


def place_of(path: Path) -> set[str]:
    """Return a module as MAY_COMPUTE may name it: by its room or in full."""
    inside = path.relative_to(PACKAGE).with_suffix("").parts
    return {inside[0], ".".join(inside)}


def names_beside(folder: Path) -> set[str]:
    """Return the names of the modules and packages in a package."""
    inside = {path.stem for path in folder.glob("*.py")}
    return inside | {path.parent.name for path in folder.glob("*/__init__.py")}


def defined(tree: ast.Module) -> set[str]:
    """Return the functions, classes and variables at the top level of a module."""
    found: set[str] = set()
    for statement in tree.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(statement.name)
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        found |= {
            name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
        }
    return found


# Who may import whom


def test_every_room_is_in_one_row_and_every_row_holds_rooms_that_exist() -> None:
    named = [room for row in rooms.ROWS for room in row]
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert sorted(named) == sorted(folders | {rooms.FACE})
    faces = [name for row in rooms.FACES for name in row]
    assert {path.stem for path in PACKAGE.glob("*.py")} <= set(faces)
    assert len(set(faces)) == len(faces)


@EVERY_MODULE
def test_imports_lead_down_the_rows(path: Path) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.target}"
        for found in imports_of()[path]
        if not rooms.is_allowed(found)
    ]
    assert not wrong


def test_every_exception_has_a_reason_and_is_needed() -> None:
    every = [found for imports in imports_of().values() for found in imports]
    needed = {rooms.ends(found) for found in every if not rooms.leads_down(found)}
    assert needed == set(rooms.EXCEPTIONS)
    assert all(rooms.EXCEPTIONS.values())


@pytest.mark.parametrize(
    ("module", "line", "target"),
    [
        ("masks/attach.py", "from xfusion.stac import items", "xfusion.stac.items"),
        ("masks/attach.py", "from xfusion.stac.items import Items", "xfusion.stac.items"),
        ("masks/attach.py", "from ..stac.items import Items", "xfusion.stac.items"),
        ("masks/attach.py", "from .passes import Passes", "xfusion.masks.passes"),
        ("masks/attach.py", "from . import passes", "xfusion.masks.passes"),
        ("masks/attach.py", "import xfusion.store.write as w", "xfusion.store.write"),
        ("masks/attach.py", "import xfusion as xf", "xfusion"),
        ("masks/attach.py", "from xfusion import fuse", "xfusion"),
        ("stac/__init__.py", "from .items import Items", "xfusion.stac.items"),
        ("__init__.py", "from . import stac", "xfusion.stac"),
        ("cli.py", "def f():\n    from .demo.run import x", "xfusion.demo.run"),
        ("cli.py", "if TYPE_CHECKING:\n    from .demo.run import x", "xfusion.demo.run"),
    ],
)
def test_an_import_is_found_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, line: str, target: str
) -> None:
    package = tmp_path / "xfusion"
    for path in MODULES:
        copy = package / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    (package / module).write_text(line)
    monkeypatch.setattr(rooms, "PACKAGE", package)
    assert [found for _, found in rooms.imported(package / module)] == [target]


@pytest.mark.parametrize(
    ("source", "target", "down"),
    [
        ("xfusion.masks.attach", "xfusion.stac.items", True),
        ("xfusion.masks.attach", "xfusion.masks.passes", True),
        ("xfusion.stac.items", "xfusion.masks.attach", False),
        ("xfusion.masks.attach", "xfusion.store.write", False),
        ("xfusion.stac.items", "xfusion.__init__", False),
        ("xfusion.accessor", "xfusion.products", True),
        ("xfusion.products", "xfusion.accessor", False),
        ("xfusion.products", "xfusion.__init__", False),
        ("xfusion.workflow", "xfusion.warming", False),
    ],
)
def test_the_rows_tell_down_from_up(source: str, target: str, *, down: bool) -> None:
    assert rooms.leads_down(rooms.Import(PACKAGE, 1, source, target)) is down


@pytest.mark.parametrize("path", sorted((PACKAGE / "kernels").glob("*.py")), ids=lambda p: p.name)
def test_kernels_know_numpy_and_numba_only(path: Path) -> None:
    allowed = {"numpy", "numba", "xfusion", *sys.stdlib_module_names}
    assert {target.split(".")[0] for _, target in rooms.imported(path)} <= allowed


def test_importing_the_package_imports_nothing_costly() -> None:
    code = "import sys, xfusion; print('\\n'.join(sys.modules))"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.split()
    )
    assert not (HEAVY | OPTIONAL) & loaded


# What is lazy stays so


@EVERY_MODULE
def test_nothing_computes_or_prints_where_laziness_would_break(path: Path) -> None:
    may_compute = bool(place_of(path) & MAY_COMPUTE)
    nodes = list(ast.walk(ast.parse(path.read_text())))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    for call in calls:
        called = ast.unparse(call.func)
        where = f"{path.relative_to(ROOT)}:{call.lineno} calls {called}("
        assert called != "print", where
        # the function of that name, not the method of an array
        computes = called != "compute" and called.split(".")[-1] in READS
        assert may_compute or not computes, where
    methods = {id(call.func) for call in calls}  # dict.values()
    for node in nodes:
        if not isinstance(node, ast.Attribute) or node.attr != "values" or id(node) in methods:
            continue
        # the labels of a dim are metadata
        of_labels = "coords[" in ast.unparse(node) or ast.unparse(node) == "expected.values"
        where = f"{path.relative_to(ROOT)}:{node.lineno} reads .values"
        assert may_compute or of_labels, where


def test_every_place_that_may_compute_exists() -> None:
    assert set().union(*map(place_of, MODULES)) >= MAY_COMPUTE


@pytest.mark.parametrize("name", ["accessor", "products"])
def test_a_function_that_products_or_accessors_repeat_stays_a_delegation(name: str) -> None:
    tree = ast.parse((PACKAGE / f"{name}.py").read_text())
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            statements = [s for s in function.body if not is_docstring(s)]
            assert len(statements) <= 3, f"{name}.{function.name} holds logic"


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


# Names and sizes


@EVERY_PACKAGE
def test_nothing_has_the_name_of_a_module_beside_it(folder: Path) -> None:
    beside = names_beside(folder)
    clashes = [
        f"{path.relative_to(ROOT)} defines {name}, as a module beside it is called"
        for path in sorted(folder.glob("*.py"))
        for name in sorted(defined(ast.parse(path.read_text())) & beside)
    ]
    for statement in ast.parse((folder / "__init__.py").read_text()).body:
        # "from . import stac" hands out the module itself
        if isinstance(statement, ast.ImportFrom) and statement.module is not None:
            names = {alias.asname or alias.name for alias in statement.names}
            clashes += [f"{folder.name} exports {name}" for name in sorted(names & beside)]
    assert not clashes


@EVERY_MODULE
def test_the_address_of_a_module_leads_to_the_module(path: Path) -> None:
    module = importlib.import_module(rooms.module_name(path).removesuffix(".__init__"))
    found: Any = xfusion
    for part in module.__name__.split(".")[1:]:
        found = getattr(found, part)
    assert found is module


def test_dir_shows_public_names_and_rooms_only() -> None:
    code = "import xfusion; print('\\n'.join(dir(xfusion)))"
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    named = {room for row in rooms.ROWS for room in row} - {rooms.FACE}
    faces = {name for row in rooms.FACES for name in row}
    others = {n for n in shown if not n.startswith("__")} - set(xfusion.__all__)
    assert others <= named | faces
    assert len(named) <= MOST_ROOMS


@EVERY_MODULE
def test_no_file_is_long_or_has_a_name_that_says_nothing(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST
    assert not {*path.relative_to(PACKAGE).with_suffix("").parts} & NO_NAMES


@EVERY_PACKAGE
def test_each_package_says_in_one_sentence_what_it_is(folder: Path) -> None:
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    first = said.partition("\n\n")[0]
    assert re.fullmatch(r"[A-Z][^.!?]+\.", first)


# The pages


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_a_page_names_files_that_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(re.findall(r"`([\w./-]+\.(?:py|md|toml))`", text))
    named |= set(re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text))
    places = [ROOT, PACKAGE, (ROOT / page).parent]
    assert named
    assert not [name for name in named if not any((place / name).exists() for place in places)]


def test_the_sensor_of_contributing_can_be_defined() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, names)  # noqa: S102  # the page is ours
    bands = xr.Dataset({"quality": ("x", np.array([0, 2], np.uint8))})
    flags = names["LandsatProduct"].recipe.exclusion(bands)
    assert flags.dtype == np.uint8
    assert flags.to_numpy().tolist() == [0, int(xfusion.Exclusion.DEFECTIVE)]


def test_the_figure_and_the_table_show_every_room_without_a_network() -> None:
    figure, table = rooms_figure.figure(), rooms.table()
    for row in rooms.ROWS:
        for room in row:
            assert f">{room}</text>" in figure
            assert f"| {rooms.shown(room)} |" in table
            assert rooms.purpose(room) in table
    assert "http" not in figure
    assert "<script" not in figure
    assert "\n\n" not in figure  # where Markdown would end it


def test_an_arrow_is_left_out_of_the_figure_only_where_others_lead_there() -> None:
    imported = {"masks": {"stac", "raster"}, "stac": {"raster"}, "raster": set()}
    assert rooms_figure.implied("masks", "raster", imported)
    assert not rooms_figure.implied("masks", "stac", imported)
    assert not rooms_figure.implied("stac", "raster", imported)


def test_the_citation_has_the_version_of_the_package() -> None:
    text = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.+)$", text, re.MULTILINE) == [xfusion.__version__]
