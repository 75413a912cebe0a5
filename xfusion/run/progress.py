"""How far a run is: a bar in Jupyter and on a terminal, lines in a log."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

LARGE = 100_000  # units that are shown in thousands or millions
LINE_EVERY = 30.0  # seconds between the lines of a log
PATIENCE = 3.0  # seconds of computing into memory before anything is shown
SHOWN = "xfusion.progress"  # in the configuration of dask: False for silence everywhere


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

    def of_parts(self, parts: int, units: int) -> Advance:
        """Return what counts parts of units, such as pixels of layers of the blocks of a map."""
        done, lock = 0, threading.Lock()

        def add(more: int) -> None:
            nonlocal done
            with lock:
                before, done = done, done + more
                whole = done * units // parts - before * units // parts
            if whole:
                self(whole)

        return Advance(add)

    def waits(self, what: str) -> None:
        """Show what the run waits for, until it goes on."""
        with self._lock:
            if what != self._waits_for:
                self._waits_for = what
                self._say(what)


@contextmanager
def progress_of(
    total: int,
    what: str,
    *,
    done: int = 0,
    unit: str = "block",
    show: bool = True,
    after: float = 0.0,
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
        False for silence, which ``dask.config.set({"xfusion.progress": False})`` is for all runs.
    after : float
        Seconds before anything is shown.

    Yields
    ------
    Advance
        To be called with the number of units that are done.
    """
    if not (show and _is_wanted()):
        yield Advance()
        return
    if sys.stderr.isatty() or _in_jupyter():
        # without widgets tqdm's bar for notebooks is a warning
        widgets = _in_jupyter() and importlib.util.find_spec("ipywidgets") is not None
        tqdm: Any = importlib.import_module("tqdm.auto" if widgets else "tqdm").tqdm
        scale = total >= LARGE
        how = {"unit": f" {unit}s", "unit_scale": scale, "delay": after}
        with tqdm(total=total, initial=done, desc=what, **how) as bar:
            yield Advance(bar.update, bar.set_postfix_str)
        return
    lines = _Lines(total, what, done, unit, after)
    if not after:
        lines.say()
    yield Advance(lines.advance, lines.add)


@contextmanager
def progress_of_tasks(what: str, *, show: bool = True, after: float = PATIENCE) -> Iterator[None]:
    """Show how far the schedulers of this machine are with what is computed meanwhile.

    As :func:`progress_of` shows it; of a cluster its own dashboard does.

    Parameters
    ----------
    what, show, after
        As of :func:`progress_of`.
    """
    if not (show and _is_wanted()):
        yield
        return
    from dask.callbacks import Callback

    runs = _Runs(what, after)
    with Callback(start_state=runs.begin, posttask=runs.advance, finish=runs.end):
        try:
            yield
        finally:
            runs.close()


class _Runs:
    """Runs of dask, one after the other, each with its own bar; of runs within one, none."""

    def __init__(self, what: str, after: float) -> None:
        self.what, self.after = what, after
        self.lock = threading.Lock()
        self.shown = ExitStack()
        self.state: Any = None
        self.advance_by: Advance | None = None

    def begin(self, _: Any, state: Any) -> None:
        with self.lock:
            if self.state is not None:
                return
            self.state = state
            total = sum(len(state[part]) for part in ("ready", "waiting", "running"))
            bar = progress_of(total, self.what, unit="task", after=self.after)
            self.advance_by = self.shown.enter_context(bar)

    def advance(self, _: Any, __: Any, ___: Any, state: Any, ____: Any) -> None:
        if state is self.state and self.advance_by is not None:
            self.advance_by(1)

    def end(self, _: Any, state: Any, __: bool) -> None:  # noqa: FBT001  # as dask calls it
        if state is self.state:
            self.close()

    def close(self) -> None:
        """End the bar."""
        with self.lock:
            self.shown.close()
            self.state = self.advance_by = None


class _Lines:
    """A line now and then: a bar that overwrites itself makes a log unreadable."""

    def __init__(self, total: int, what: str, done: int, unit: str, after: float) -> None:
        self.total, self.what, self.done, self.unit = total, what, done, unit
        self.shown_at = time.monotonic()
        self.after = after
        # what the first unit waited for, such as compiling, those after it do not
        self.first: tuple[float, int] | None = None

    def advance(self, units: int) -> None:
        self.done += units
        now = time.monotonic()
        if self.first is None:
            self.first = now, self.done
        since = now - self.shown_at
        if self.after:
            # the first line comes once it is known to take long, and none at all if it does not
            if since < self.after:
                return
            self.after, since = 0.0, LINE_EVERY
        if self.done >= self.total or since >= LINE_EVERY:
            self.say()

    def add(self, text: str) -> None:
        if text:
            sys.stderr.write(f"{self.what}: {text}\n")
            sys.stderr.flush()

    def say(self) -> None:
        self.shown_at = time.monotonic()
        left, ahead = "", self.total - self.done
        if self.first is not None:
            since, before = self.first
            took, new = self.shown_at - since, self.done - before
            left = f", {took / max(1, new) * ahead:.0f} s left" if new or not ahead else ""
        share = 100 * self.done / max(1, self.total)
        units = f"{self.unit}{'s' * (self.total != 1)}"
        line = f"{self.what}: {self.done} of {self.total} {units} ({share:.0f} %){left}"
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _is_wanted() -> bool:
    import dask

    return bool(dask.config.get(SHOWN, True))


def _in_jupyter() -> bool:
    shell = sys.modules.get("IPython")
    if shell is None:
        return False
    running = shell.get_ipython()
    return running is not None and "ZMQ" in type(running).__name__
