"""What was measured on: machine, versions of what takes part, and the commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "numpy",
    "xarray",
    "dask",
    "distributed",
    "numba",
    "zarr",
    "rasterio",
    "rioxarray",
    "odc-geo",
    "odc-stac",
)


def machine() -> dict[str, Any]:
    """Return the processor, how many cores of it are there, and the memory in GiB."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30),
        "architecture": platform.machine(),
        "system": platform.system(),
    }


def processor() -> str:
    """Return the model of the processor, without marks, clock and empty words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return plain_model(names[0] if names else platform.processor() or platform.machine())


def plain_model(name: str) -> str:
    """Return a model without marks, clock and empty words.

    >>> plain_model("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz")
    'Intel Xeon Platinum 8481C'
    """
    bare = re.sub(r"\((R|TM)\)|@.*|\b(CPU|Processor|\d+-Core)\b", " ", name, flags=re.IGNORECASE)
    return " ".join(bare.split())


def versions() -> dict[str, str]:
    """Return the versions of Python, of GDAL and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    import rasterio

    return found | {"gdal": rasterio.__gdal_version__}


def commit() -> str:
    """Return the last commit that changed the package; a plus where it was changed since.

    "" without git.
    """
    try:
        head = _git("log", "-1", "--format=%h", "--abbrev=9", "--", "xfusion")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "xfusion")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
