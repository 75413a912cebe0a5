"""Start-up: what the import costs, and the first fuse of a new process."""

import subprocess
import sys

from benchmarks.tables import Table

IMPORT = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
FIRST_FUSE = """
import time
import numpy as np, xfusion as xf
ones = np.ones((1000, 1000), np.float32)
s1, s2 = xf.retrieval(ones, ones), xf.retrieval(ones, ones)
start = time.perf_counter()  # the first DataArray has made xarray import dask
s1.fusion.gaussian(s2)
print(time.perf_counter() - start)
"""
ROWS = {
    "import xarray": IMPORT.format(module="xarray"),
    "import xfusion": IMPORT.format(module="xfusion"),
    "first fuse, kernels cached on disk": FIRST_FUSE,
}


def seconds(code: str) -> float:
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def best(*, rounds: int = 5) -> dict[str, float]:
    for code in ROWS.values():
        seconds(code)  # fills the caches: files in memory, bytecode, kernels
    times = [{name: seconds(code) for name, code in ROWS.items()} for _ in range(rounds)]
    return {name: min(each[name] for each in times) for name in ROWS}


def main() -> list[Table]:
    rows = [{"what": name, "seconds": taken} for name, taken in best().items()]
    return [Table("startup", "Start-up of a new process", ("seconds",), rows)]
