"""What is kept of compiled kernels is what was compiled, of these dtypes and this source."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xfusion.kernels import compile as compiling

REPOSITORY = Path(__file__).parents[1]


def kernel(values: Any) -> Any:
    return values


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    return compiling._cache_of(kernel)


def test_processes_that_save_at_once_do_not_find_each_others_code(
    cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = compiling._versions_of(cache), compiling._versions_of(cache)
    # both have read the index before either has written its own
    for versions in (one, other):
        monkeypatch.setattr(versions, "_load_index", dict)
    one.save("float32", "code for float32")
    overwritten = one._cache_path, one._index_name
    other.save("float64", "code for float64")
    assert Path(*overwritten).exists()
    third = compiling._versions_of(cache)
    assert third.load("float32") in (None, "code for float32")
    assert third.load("float64") == "code for float64"


def test_code_is_not_used_for_another_source_of_any_kernel(
    cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiling._versions_of(cache).save("float32", "code")
    assert compiling._versions_of(cache).load("float32") == "code"
    monkeypatch.setattr(compiling, "SOURCES", "another")
    assert compiling._versions_of(cache).load("float32") is None


def test_a_change_of_a_spliced_formula_reaches_the_kernels_that_hold_it(tmp_path: Path) -> None:
    package = tmp_path / "xfusion"
    without = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(REPOSITORY / "xfusion", package, ignore=without)
    cells = package / "kernels" / "cells.py"
    source = cells.read_text()
    assert run(tmp_path) == "1.0 0.5"
    cells.write_text(source.replace("(stop - start) / step", "(stop - start) / step + 7"))
    assert run(tmp_path) == "1.0 7.5"


def run(folder: Path) -> str:
    (folder / "caller.py").write_text(
        "import numpy as np\n"
        "from xfusion.kernels.compile import compiled\n"
        "from xfusion.kernels.cells import line_through_cell\n"
        "@compiled\n"
        "def line(nodes):\n"
        "    return line_through_cell(nodes, 0, 0, 0.5, 2)\n"
        "if __name__ == '__main__':\n"
        "    print(*line(np.array([[0.0, 1.0], [2.0, 3.0]])))\n"
    )
    env = {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, str(folder / "caller.py")],
        check=True,
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )
    assert any((folder / "cache").rglob("*.nbc"))
    return done.stdout.strip()
