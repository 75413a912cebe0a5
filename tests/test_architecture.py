"""The layers of DESIGN section 6, read from the imports; laziness, read from the calls."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "xfusion"
MODULES = sorted(PACKAGE.rglob("*.py"))

# who may import whom: a module imports from the layers below its own, never upwards
LAYERS = [
    {"__init__"},
    {"__main__"},
    {"cli"},
    {"demo", "workflow", "summary"},
    {"accessor", "scene", "server"},
    {"products", "scene_items"},
    {"attach_gfm", "landscape"},
    {"attach"},
    {"store"},
    {"template"},
    {"job", "workers"},
    {"place"},
    {"acquisitions", "bands"},
    {"stac"},
    {"items", "offset"},
    {"hrefs"},
    {"fusion", "coregister", "raster", "exclusion", "catalog", "warp_bands", "completeness"},
    {"rules", "sensors", "merge_mask", "conflict", "probability", "cog"},
    {"blocks"},
    {"retrieval", "warp", "compute", "stac_item"},
    {"conventions", "mapping", "rasterfile", "footprint", "provenance"},
    {"signing"},
    {"grid", "units", "retry", "web", "progress"},
    {"kernels", "deadline"},
]
HEAVY = {"rasterio", "rioxarray", "numba", "pystac_client", "odc.stac", "odc.loader"}
READS = {"compute", "load", "persist"}
# writing files and drawing pictures is where pixels are wanted
MAY_COMPUTE = {"compute", "blocks", "store", "demo", "scene", "cli", "summary"}


def layer_of(module: str) -> int:
    return next(i for i, names in enumerate(LAYERS) if module in names)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node, node.module or ""
        elif isinstance(node, ast.ImportFrom):
            inside = path.relative_to(PACKAGE).parts[:-1]
            base = ["xfusion", *inside[: len(inside) - node.level + 1]]
            for name in [node.module] if node.module else [a.name for a in node.names]:
                yield node, ".".join([*base, name])


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_point_down(path: Path) -> None:
    here = name_of(path)
    for node, target in imports(path):
        if target.split(".")[0] != "xfusion":
            continue
        other = target.split(".")[1] if "." in target else "__init__"
        inside = other == here == "kernels" or here == "__init__"
        of_all = other in ("__init__", "__version__")  # what the package says of itself
        if inside or (of_all and here in ("cli", "demo", "job", "stac_item")):
            continue
        assert layer_of(other) > layer_of(here), f"{path.name}:{node.lineno} imports {other}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "kernels").glob("*.py")), ids=lambda p: p.name)
def test_kernels_know_numpy_and_numba_only(path: Path) -> None:
    allowed = {"numpy", "numba", "xfusion", *sys.stdlib_module_names}
    assert {target.split(".")[0] for _, target in imports(path)} <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_computes_or_prints_where_laziness_would_break(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    for call in calls:
        called = ast.unparse(call.func)
        where = f"{path.name}:{call.lineno} calls {called}("
        assert called != "print", where
        if name_of(path) not in MAY_COMPUTE:
            # functions of a module, not methods of an array
            allowed = called == "compute"
            assert allowed or called.split(".")[-1] not in READS, where
    methods = {id(call.func) for call in calls}  # dict.values()
    for node in nodes:
        if not isinstance(node, ast.Attribute) or node.attr != "values":
            continue
        if id(node) not in methods and name_of(path) not in MAY_COMPUTE:
            # the labels of a dim are metadata
            of_labels = "coords[" in ast.unparse(node) or ast.unparse(node) == "expected.values"
            assert of_labels, f"{path.name}:{node.lineno} reads .values"


def test_a_function_that_products_or_accessors_repeat_stays_a_delegation() -> None:
    for name in ("accessor", "products"):
        tree = ast.parse((PACKAGE / f"{name}.py").read_text())
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                statements = [s for s in function.body if not _is_docstring(s)]
                assert len(statements) <= 3, f"{name}.{function.name} holds logic"


def test_importing_the_package_imports_nothing_costly() -> None:
    code = "import sys, xfusion; print('\\n'.join(sys.modules))"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.split()
    )
    assert not HEAVY & loaded
    assert not {"pint", "matplotlib", "rustac", "dask.array", "zarr", "obstore", "tqdm"} & loaded


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
