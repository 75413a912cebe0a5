"""A line says that kernels are compiled: once, where that takes long, by one process of many."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import numba
import pytest

from xfusion import console
from xfusion.kernels import compile as compiling
from xfusion.kernels import long_waits as waits
from xfusion.kernels.long_waits import LINE, Waiting
from xfusion.run.progress import SHOWN

REPOSITORY = Path(__file__).parents[1]
SHORT, LONG = 0.05, 0.4


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    monkeypatch.setattr(waits, "PATIENCE", SHORT)
    return Waiting()


def compile_for(waiting: Waiting, seconds: float) -> None:
    waiting.begins()
    waiting.begins()  # a part of it
    waiting.ends()
    time.sleep(seconds)
    waiting.ends()


def test_a_long_wait_is_told_once(waiting: Waiting, capsys: pytest.CaptureFixture[str]) -> None:
    compile_for(waiting, LONG)
    compile_for(waiting, LONG)
    assert capsys.readouterr().err == LINE
    assert waiting.kernels == 2


def test_a_short_one_is_not_told(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waits, "PATIENCE", 60.0)
    compile_for(waiting, SHORT)
    time.sleep(LONG)
    assert capsys.readouterr().err == ""


def test_many_short_ones_are_told(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waits, "PATIENCE", LONG)
    for _ in range(8):
        compile_for(waiting, LONG / 4)
    assert capsys.readouterr().err == LINE


def test_a_process_of_a_pool_says_nothing(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("multiprocessing.parent_process", object)
    compile_for(waiting, LONG)
    assert capsys.readouterr().err == ""


def test_silence_is_kept(waiting: Waiting, capsys: pytest.CaptureFixture[str]) -> None:
    waiting.silent = True
    compile_for(waiting, LONG)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("quiet", [True, False])
def test_a_quiet_command_is_silent(quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting()
    monkeypatch.setattr(console, "waiting", waiting)
    with console.warnings_in_lines(quiet=quiet):
        assert waiting.silent == quiet
        assert dask.config.get(SHOWN, True) is not quiet


def test_functions_of_the_user_are_not_ours() -> None:
    def of(function: Any) -> Any:
        return SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=function)})

    assert compiling._is_ours(of(compiling.compiled))
    assert not compiling._is_ours(of(numba.njit))
    assert not compiling._is_ours(SimpleNamespace(data={}))


def test_what_is_compiled_is_told_by_the_process_that_waits(tmp_path: Path) -> None:
    code = "from xfusion.kernels import long_waits\nlong_waits.PATIENCE = 0.0\n"
    code += "import gc, numba, numpy as np\nfrom xfusion.kernels.independent import gaussian\n"
    code += "one = (np.ones(1),)\n"
    code += "gaussian(one, one, (None,), sigma_floor=1e-6, floor_nonfinite=False, unknown=0,"
    code += " threads=1)\nassert gc.isenabled()"
    env = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    for told in (LINE, ""):  # the second process finds them on disk
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env
        )
        assert done.stderr == told
