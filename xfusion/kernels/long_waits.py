"""A line that says what happens while kernels are compiled, if that takes long."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time

PATIENCE = 2.0  # seconds of compiling without a word
LINE = (
    "xfusion compiles its kernels, once for this machine: some seconds more. "
    "`xfusion warm` does it ahead\n"
)


class Waiting:
    """Counts the time in which kernels are compiled, and says so once it is long."""

    def __init__(self) -> None:
        self.silent = False
        self.kernels = 0
        """How many were compiled, without their parts."""
        self._lock = threading.Lock()
        self._depth, self._spent, self._since = 0, 0.0, 0.0
        self._timer: threading.Timer | None = None

    def begins(self) -> bool:
        """Note that a kernel begins to be compiled; return whether it is no part of another."""
        with self._lock:
            self._depth += 1
            self.kernels += self._depth == 1
            if self._depth == 1 and not self.silent:
                self._since = time.monotonic()
                self._timer = threading.Timer(max(0.0, PATIENCE - self._spent), self._say)
                self._timer.daemon = True
                self._timer.start()
            return self._depth == 1

    def ends(self) -> bool:
        """Note that it is compiled, or failed to be; return whether it was no part of another."""
        with self._lock:
            self._depth -= 1
            if self._depth == 0 and self._timer is not None:
                self._timer.cancel()
                self._timer = None
                self._spent += time.monotonic() - self._since
            return self._depth == 0

    def _say(self) -> None:
        with self._lock:
            if self._depth == 0 or self.silent:
                return
            self.silent = True  # once is enough
        # of a pool of processes, or the workers of a cluster, each would say the same
        if multiprocessing.parent_process() is None and sys.stderr is not None:
            sys.stderr.write(LINE)
            sys.stderr.flush()


#: of this process; `silent` where nothing is to be said
waiting = Waiting()
