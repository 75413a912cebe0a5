"""Progress of a run: a bar with the time left on a terminal, lines in a log, nothing if unasked."""

import inspect
import itertools
import os
import pty
import re
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from xfusion.run import progress
from xfusion.run.progress import Advance, progress_of, progress_of_tasks

CODE = """
import time
from typing import Any
from xfusion.run.progress import progress_of
with progress_of(20, "writing", done=5) as advance:
    for _ in range(15):
        time.sleep(0.02)
        advance(1)
"""


def on_a_terminal(code: str) -> str:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 100))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        said += part
    assert child.wait(timeout=60) == 0
    return said.decode()


def test_a_terminal_has_a_bar_with_the_time_that_is_left() -> None:
    said = on_a_terminal(CODE)
    assert "writing:  25%|" in said
    assert "20/20" in said
    assert "<00:0" in said


def test_a_log_has_a_line_now_and_then_and_the_time_that_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    with progress_of(12, "writing", done=2) as advance:
        for _ in range(10):
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "writing: 2 of 12 blocks (17 %)"
    assert 3 <= len(lines) <= 7
    assert lines[1].startswith("writing: 5 of 12 blocks (42 %), ")
    assert lines[1].endswith(" s left")
    assert lines[-1] == "writing: 12 of 12 blocks (100 %), 0 s left"


def test_what_only_the_first_block_waits_for_is_not_expected_of_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with progress_of(300, "writing") as advance:
        for number in range(40):
            now[0] += 60 if number == 0 else 1  # it compiles
            advance(1)
    first, second = capsys.readouterr().err.splitlines()[1:]
    assert first == "writing: 1 of 300 blocks (0 %)"
    assert second == "writing: 31 of 300 blocks (10 %), 269 s left"


def test_one_block_is_no_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of(1, "writing") as advance:
        advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["writing: 0 of 1 block (0 %)", "writing: 1 of 1 block (100 %), 0 s left"]


def test_files_count_the_blocks_of_the_map_as_a_store_does(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    grid = GeoBox.from_bbox((16, 48, 17, 49), "EPSG:4326", shape=(40, 60))
    placed = xr_zeros(grid, dtype="f4", chunks=(20, 20))
    retrieval = xf.retrieval(placed, placed + 1, placed > 1, time="2023-06-20")
    retrieval.fusion.to_cog(tmp_path / "w")
    of_files = capsys.readouterr().err.splitlines()
    xf.to_zarr(retrieval, tmp_path / "w.zarr")
    of_store = capsys.readouterr().err.splitlines()
    for lines in (of_files, of_store):
        assert lines[0].endswith(": 0 of 6 blocks (0 %)")
        assert lines[-1].endswith(": 6 of 6 blocks (100 %), 0 s left")


def test_parts_of_units_add_up_whatever_their_sizes() -> None:
    counted: list[int] = []
    advance = Advance(counted.append).of_parts(70, 3)
    for part in (1, 9, 20, 0, 39, 1):
        advance(part)
    assert sum(counted) == 3
    assert all(counted)


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of(2, "writing", show=False) as advance:
        advance(2)
    assert capsys.readouterr().err == ""


def test_a_notebook_has_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_in_jupyter", lambda: True)
    with progress_of(4, "writing") as advance:
        advance(4)
    assert "4/4" in capsys.readouterr().err


# What is computed into memory


SLOW = """
import time, dask.array as da, numpy as np, xarray as xr, xfusion as xf
from xfusion.run import progress
def slowly(block):
    time.sleep(0.05)
    return block
mu = da.zeros((8, 8), chunks=2).map_blocks(slowly, meta=np.empty((0, 0)))
with progress.progress_of_tasks("computing", after={after}):
    xf.retrieval(mu, mu + 1).compute(scheduler="{scheduler}")
"""


@pytest.mark.some(one_in=2)
@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_a_terminal_has_a_bar_of_what_comes_into_memory(scheduler: str) -> None:
    said = on_a_terminal(SLOW.format(after=0.1, scheduler=scheduler))
    assert "computing:" in said
    assert "100%|" in said
    assert "tasks/s]" in said


def test_what_is_done_soon_has_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert on_a_terminal(SLOW.format(after=1000, scheduler="threads")).strip() == ""
    lazy = xf.retrieval(np.ones((4, 4)), np.ones((4, 4))).chunk(2)
    with progress_of_tasks("computing", after=1000):
        lazy.compute()
    assert capsys.readouterr().err == ""


def test_a_log_has_lines_of_what_comes_into_memory_and_no_carriage_return(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 7)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    lazy = xf.retrieval(np.ones((8, 8)), np.ones((8, 8))).chunk(2)
    xf.compute(lazy)
    said = capsys.readouterr().err
    lines = said.splitlines()
    assert "\r" not in said
    assert 2 <= len(lines) < 32
    told = re.compile(r"computing: \d+ of \d+ tasks \(\d+ %\)(, \d+ s left)?$")
    assert all(told.match(line) for line in lines)
    assert lines[-1].endswith(" s left")
    done, total = re.findall(r"\d+", lines[-1])[:2]
    assert done == total


def test_each_of_two_runs_has_its_own_count_and_an_error_ends_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(_: object) -> None:
        raise OSError

    ones = da.ones((4, 4), chunks=2)
    with progress_of_tasks("computing", after=0):
        ones.compute(scheduler="sync")
        with pytest.raises(OSError, match="^$"):
            ones.map_blocks(fails, meta=np.empty((0, 0))).compute(scheduler="sync")
        ones.compute(scheduler="sync")
    lines = capsys.readouterr().err.splitlines()
    begun = [line for line in lines if ": 0 of " in line]
    ended = [line for line in lines if "(100 %)" in line]
    assert (len(begun), len(ended)) == (3, 2)


@pytest.mark.parametrize("way", ["argument", "setting"])
def test_whoever_wants_silence_has_it(
    way: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 100)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    lazy = xf.retrieval(np.ones((4, 4)), np.ones((4, 4))).chunk(2)
    with dask.config.set({progress.SHOWN: way != "setting"}):
        xf.compute(lazy, progress=way != "argument")
        with progress_of(3, "writing", show=way != "argument") as advance:
            advance(3)
    assert capsys.readouterr().err == ""


def test_progress_is_the_same_argument_wherever_there_is_one() -> None:
    found: dict[str, Any] = {}
    for name in xf.__all__:
        thing = getattr(xf, name)
        if inspect.isfunction(thing):
            parameter = inspect.signature(thing).parameters.get("progress")
            found |= {} if parameter is None else {name: (parameter.kind, parameter.default)}
    assert {"compute", "to_cog", "to_zarr", "verify", "warm"} <= {*found}
    assert {*found.values()} == {(inspect.Parameter.KEYWORD_ONLY, True)}
