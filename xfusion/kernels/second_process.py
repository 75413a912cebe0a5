"""A second process that compiles some kernels while this one compiles others.

numba compiles one function at a time in a process. What the other one has compiled is found where
kernels are kept on disk.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

from .parallel import core_count

LONGEST = 60.0  # seconds to wait for what it compiles; then it is compiled here
WORK = Path(__file__).with_name("companion_work.py")
#: kernels that it compiles, in this order: half of co-registration, and what comes after it
KERNELS = ("footprint_sums", "_joint_footprint", "_gaussian")


class Companion:
    """The process, and which of its kernels are compiled."""

    def __init__(self) -> None:
        self.alone = False
        """Whether this process is to compile all by itself."""
        self._wanted: tuple[str, ...] = ()
        self._of = os.getpid()
        self._compiled: dict[str, threading.Event] = {}

    def expect(self, dtype: str, *, squared: bool) -> None:
        """Say what will be wanted; the process is started where a kernel is not on disk."""
        self._wanted = (dtype, str(int(squared)))

    def has_compiled(self, kernel: str) -> bool:
        """Wait for a kernel that is not on disk, if the process compiles it."""
        if os.getpid() != self._of:
            return False  # a fork, which has no such process
        if not self._compiled and self._wanted and not self.alone and _pays():
            self._start()
        event = self._compiled.get(kernel)
        return event is not None and not event.is_set() and event.wait(LONGEST)

    def _start(self) -> None:
        self._compiled = {kernel: threading.Event() for kernel in KERNELS}
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()

    def _read(self) -> None:
        command = [sys.executable, "-P", str(WORK), *self._wanted]
        nothing = subprocess.DEVNULL
        try:
            with subprocess.Popen(  # noqa: S603  # a file of this package, by this Python
                command, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing, text=True
            ) as process:
                for line in process.stdout or ():
                    if line.strip() in self._compiled:
                        self._compiled[line.strip()].set()
        except OSError:
            pass  # where no process can be started, all is compiled here
        finally:
            for event in self._compiled.values():
                event.set()  # it has ended, and what it lacks is compiled here


def _pays() -> bool:
    """Whether there is a core for it; processes of a pool or a cluster compile side by side."""
    return core_count() > 1 and multiprocessing.parent_process() is None and is_python()


def is_python() -> bool:
    """Whether another Python can be started; not where it is part of a program, as of QGIS."""
    name = Path(sys.executable or "none").name.lower()
    return name.startswith("python") and not getattr(sys, "frozen", False)


companion = Companion()
