"""Start-up: what the import costs, and the first fuse of a new process."""

import subprocess
import sys

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


def seconds(code: str, *, rounds: int = 5) -> float:
    command = [sys.executable, "-c", code]
    return min(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(rounds)
    )


def main() -> None:
    xarray, xfusion = (seconds(IMPORT.format(module=m)) for m in ("xarray", "xfusion"))
    seconds(FIRST_FUSE, rounds=1)  # compiles, if no process has done so yet
    print("\nStart-up of a new process")
    print(f"  {'import xarray':<44}{xarray:>9.3f} s")
    print(f"  {'import xfusion':<44}{xfusion:>9.3f} s  (+ {xfusion - xarray:.3f} s)")
    print(f"  {'first fuse, kernels cached on disk':<44}{seconds(FIRST_FUSE):>9.3f} s")
