"""How far a run is: a bar in Jupyter and on a terminal, lines in a log."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Advance: TypeAlias = Callable[[int], None]

LARGE = 100_000  # units that are shown in thousands or millions
LINE_EVERY = 30.0  # seconds between the lines of a log


@contextmanager
def progress_of(
    total: int, what: str, *, done: int = 0, unit: str = "block", show: bool = True
) -> Iterator[Advance]:
    """Show how far a run is, with the time that is left.

    Parameters
    ----------
    total : int
        Units of the whole run.
    what : str
        What is done.
    done : int
        Units that a former run has done.
    unit : str
        What is counted.
    show : bool
        False for silence.

    Yields
    ------
    callable
        To be called with the number of units that are done.
    """
    if not show:
        yield lambda _: None
        return
    if sys.stderr.isatty() or _in_jupyter():
        # without widgets tqdm's bar for notebooks is a warning
        widgets = _in_jupyter() and importlib.util.find_spec("ipywidgets") is not None
        tqdm: Any = importlib.import_module("tqdm.auto" if widgets else "tqdm").tqdm
        scale = total >= LARGE
        with tqdm(total=total, initial=done, desc=what, unit=f" {unit}s", unit_scale=scale) as bar:
            yield _locked(bar.update)
        return
    lines = _Lines(total, what, done, unit)
    lines.say()
    yield _locked(lines.advance)


def _locked(advance: Callable[[int], object]) -> Advance:
    """Let any thread advance."""
    lock = threading.Lock()

    def one_at_a_time(units: int) -> None:
        with lock:
            advance(units)

    return one_at_a_time


class _Lines:
    """A line now and then: a bar that overwrites itself makes a log unreadable."""

    def __init__(self, total: int, what: str, done: int, unit: str) -> None:
        self.total, self.what, self.done, self.unit = total, what, done, unit
        self.before = done
        self.since = self.shown_at = time.monotonic()

    def advance(self, units: int) -> None:
        self.done += units
        if self.done >= self.total or time.monotonic() - self.shown_at >= LINE_EVERY:
            self.say()

    def say(self) -> None:
        self.shown_at = time.monotonic()
        took, new = self.shown_at - self.since, self.done - self.before
        left = f", {took / new * (self.total - self.done):.0f} s left" if new else ""
        share = 100 * self.done / max(1, self.total)
        line = f"{self.what}: {self.done} of {self.total} {self.unit}s ({share:.0f} %){left}"
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _in_jupyter() -> bool:
    shell = sys.modules.get("IPython")
    if shell is None:
        return False
    running = shell.get_ipython()
    return running is not None and "ZMQ" in type(running).__name__
