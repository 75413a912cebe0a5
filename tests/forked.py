"""Processes for runs that are killed, from one that has imported everything and has no threads.

Each starts in some milliseconds, where a new interpreter takes seconds to import all of it.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

# what a run imports when it needs it
IMPORTED_LATE = ["zarr.storage", "numcodecs.zarr3", "scipy.sparse", "dask.array", "distributed"]


class Forked:
    """A process that has begun ``target(pipe, *arguments)``, which sends "ready" first."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        processes = multiprocessing.get_context("forkserver")
        # once for all: the modules of the tests are imported by the first who need them
        processes.set_forkserver_preload(["xfusion", "tests.store_runs", *IMPORTED_LATE])
        self.pipe, theirs = processes.Pipe()
        self.process = processes.Process(target=target, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()  # else nobody notices that the process has ended
        assert self.pipe.recv() == "ready"

    def go(self) -> None:
        self.pipe.send("go")

    def signal(self, number: int) -> None:
        if self.process.is_alive():
            assert self.process.pid is not None
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it, also if it was frozen."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.process.join()

    def said(self, timeout: float = 120) -> str:
        """Wait for its end, and return what it said at last; nothing if it was killed."""
        self.process.join(timeout)
        assert self.process.exitcode is not None
        try:
            return str(self.pipe.recv())
        except (EOFError, ConnectionResetError):
            return ""
