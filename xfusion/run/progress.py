"""How far a run is: a bar in Jupyter and on a terminal, lines in a log."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LARGE = 100_000  # units that are shown in thousands or millions
LINE_EVERY = 30.0  # seconds between the lines of a log


class Advance:
    """To be called with the number of units that are done, by any thread."""

    def __init__(
        self, done: Callable[[int], object] = lambda _: None, say: Callable[[str], object] = str
    ) -> None:
        self._done, self._say = done, say
        self._lock = threading.Lock()
        self._waits_for = ""

    def __call__(self, units: int) -> None:
        """Count units that are done."""
        with self._lock:
            if self._waits_for:
                self._say("")
                self._waits_for = ""
            self._done(units)

    def waits(self, what: str) -> None:
        """Show what the run waits for, until it goes on."""
        with self._lock:
            if what != self._waits_for:
                self._waits_for = what
                self._say(what)


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
    Advance
        To be called with the number of units that are done.
    """
    if not show:
        yield Advance()
        return
    if sys.stderr.isatty() or _in_jupyter():
        # without widgets tqdm's bar for notebooks is a warning
        widgets = _in_jupyter() and importlib.util.find_spec("ipywidgets") is not None
        tqdm: Any = importlib.import_module("tqdm.auto" if widgets else "tqdm").tqdm
        scale = total >= LARGE
        with tqdm(total=total, initial=done, desc=what, unit=f" {unit}s", unit_scale=scale) as bar:
            yield Advance(bar.update, bar.set_postfix_str)
        return
    lines = _Lines(total, what, done, unit)
    lines.say()
    yield Advance(lines.advance, lines.add)


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

    def add(self, text: str) -> None:
        if text:
            sys.stderr.write(f"{self.what}: {text}\n")
            sys.stderr.flush()

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
