"""Which process of which machine did something, and whether it has ended."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path


def this_process() -> dict[str, str]:
    """Return what tells this process from all others: host, pid, when it began, and its machine."""
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": str(pid),
        "begun": _begun(pid) or "",
        "machine": _machine(),
    }


def has_ended(process: Mapping[str, str]) -> bool:
    """Whether a process has ended for certain; of another machine nobody here knows.

    Parameters
    ----------
    process : mapping
        As :func:`this_process` described it.
    """
    machine = _machine()
    if not machine or process.get("machine") != machine:
        return False
    try:
        return _begun(int(process.get("pid", ""))) != process.get("begun")
    except ValueError:
        return False


def _machine() -> str:
    """Return what two processes have in common that see each other by their numbers."""
    if os.name != "posix":
        return ""
    if not sys.platform.startswith("linux"):
        return socket.gethostname()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # containers of one machine number their processes each for itself
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _begun(pid: int) -> str | None:
    """Return when a process of this machine began, None if there is none: numbers recur."""
    if not sys.platform.startswith("linux"):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except OSError:
            return "alive"
        return "alive"
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # behind the name, which may hold anything
    fields = status.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
