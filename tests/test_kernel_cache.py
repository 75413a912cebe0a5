"""What is kept of compiled kernels is what was compiled, of these dtypes and this source."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba.core import caching

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


@pytest.mark.thorough
def test_sources_in_an_archive_are_told_apart(tmp_path: Path) -> None:
    package = tmp_path / "xfusion"
    without = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(REPOSITORY / "xfusion", package, ignore=without)
    said = [sources_of(tmp_path), sources_of(zipped(package, "one"))]
    cells = package / "kernels" / "cells.py"
    cells.write_text(cells.read_text() + "# another")
    said += [sources_of(tmp_path), sources_of(zipped(package, "other"))]
    assert said[0] == said[1] != said[2] == said[3]


def zipped(package: Path, name: str) -> Path:
    where = str(package.parent)
    return Path(shutil.make_archive(f"{where}/{name}", "zip", where, package.name))


def sources_of(path: Path) -> str:
    command = [sys.executable, "-c", "from xfusion.kernels import compile; print(compile.SOURCES)"]
    env = {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env, timeout=120)
    return done.stdout.strip()


CALLER = """
import numpy as np
import xfusion as xf
ones = np.ones((4, 4), "float32")
fused = xf.gaussian(xf.retrieval(ones, ones), xf.retrieval(ones, ones))
print(fused.sigma.values.round(3)[0, 0])
"""


def fused(cache: Path) -> str:
    """What a process of its own fuses, with kernels that are kept in a folder."""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", CALLER]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=env, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def kept_in(cache: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in cache.rglob("*.nb[ic]")}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda content: content[: len(content) // 2],
    "cut late": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 16]) + content[-8:],
    "noise": lambda content: bytes(range(256)) * (len(content) // 256 + 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("what", ["index", "code"])
def test_a_version_that_is_damaged_is_compiled_and_kept_anew(
    cache: Any, what: str, damage: str
) -> None:
    versions = compiling._versions_of(cache)
    versions.save("float32", "code for float32")
    versions.save("float64", "code for float64")
    (index,) = Path(versions._cache_path).glob("*.nbi")
    files = [index] if what == "index" else [*Path(versions._cache_path).glob("*.nbc")]
    for file in files:
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert versions.load("float32") is None
    assert versions.load("float64") is None
    versions.save("float32", "code anew")
    assert compiling._versions_of(cache).load("float32") == "code anew"
    assert compiling._versions_of(cache).load("float64") is None


@pytest.mark.parametrize("length", [0, 1, 7, 40, 60])
def test_an_index_of_any_length_is_no_error(cache: Any, length: int) -> None:
    versions = compiling._versions_of(cache)
    versions.save("float32", "code")
    index = Path(versions._index_path)
    index.write_bytes(index.read_bytes()[:length])
    assert versions.load("float32") is None


@pytest.mark.parametrize("home", ["can be written to", "is none"])
@pytest.mark.parametrize("image", ["named", "beside the source"])
def test_a_folder_that_can_only_be_read_is_looked_in(
    image: str, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "image" / "kernels.py"
    source.parent.mkdir()
    source.write_text("def kernel(values):\n    return values\n")
    of_image: dict[str, Any] = {}
    exec(compile(source.read_text(), source, "exec"), of_image)  # noqa: S102  # our own
    named = str(tmp_path / "image") if image == "named" else ""
    monkeypatch.setattr("numba.core.config.CACHE_DIR", named)
    compiling._versions_of(compiling._cache_of(of_image["kernel"])).save("float32", "code")
    before = kept_in(tmp_path / "image")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    write: Any = caching._CacheLocator.ensure_cache_path

    def as_another_user(locator: Any) -> None:
        place = Path(locator.get_cache_path())
        if home == "is none" or place.is_relative_to(tmp_path / "image"):
            raise PermissionError
        write(locator)

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", as_another_user)
    versions = compiling._versions_of(compiling._cache_of(of_image["kernel"]))
    assert versions.load("float32") == "code"
    assert versions.load("float64") is None
    if home == "can be written to":
        versions.save("float64", "other code")
        assert compiling._versions_of(compiling._cache_of(of_image["kernel"])).load("float64")
    assert kept_in(tmp_path / "image") == before


def test_what_cannot_be_kept_is_used_all_the_same(cache: Any) -> None:
    versions = compiling._versions_of(cache)
    Path(versions._index_path).mkdir(parents=True)
    versions.save("float32", "code")
    assert versions.load("float32") is None


@pytest.mark.slow
def test_a_cache_that_was_cut_off_by_a_loss_of_power_is_rebuilt(tmp_path: Path) -> None:
    """A new process, with what numba itself finds: as users meet it."""
    assert fused(tmp_path) == "0.707"
    whole = kept_in(tmp_path)
    assert any(name.endswith(".nbc") for name in whole)
    for number, file in enumerate(sorted(tmp_path.rglob("*.nb[ic]"))):
        file.write_bytes(file.read_bytes()[: number % 2 * 100])
    assert fused(tmp_path) == "0.707"
    # what was damaged is whole, and a third process need not compile it
    again = kept_in(tmp_path)
    assert {name for name in again if name.endswith(".nbi") and len(again[name]) < 101} == set()
    assert fused(tmp_path) == "0.707"
    assert kept_in(tmp_path) == again
