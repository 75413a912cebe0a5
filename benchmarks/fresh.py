"""Run a function in a process of its own, so that memory, caches and first uses are its own."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def in_process(
    module: str, *arguments: str, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what `tell` printed in ``python -m module``, and "process", its seconds in all."""
    start = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )
    process = time.perf_counter() - start
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return {"process": process - found.pop("aside", 0.0), **found}


def tell(**found: Any) -> None:
    """Hand the process that waits what was found; "aside" are seconds that do not count."""
    print(json.dumps(found))


def clocked(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what some work returns, with its seconds, and those of processors in all threads."""
    start, before = time.perf_counter(), cpu_seconds()
    result = work()
    return result, {"seconds": time.perf_counter() - start, "cpu": cpu_seconds() - before}


def cpu_seconds() -> float:
    """Return what processors have worked for this process and its children that have ended."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def peak_memory() -> int:
    """Return the largest resident memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of Linux remembers the process that this one was forked from
        peak = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
