"""Progress of a run: a bar with the time left on a terminal, lines in a log, nothing if unasked."""

import os
import pty
import subprocess
import sys
import termios
import time

import pytest

from xfusion.run import progress
from xfusion.run.progress import progress_of

CODE = """
import time
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
