"""Compile the kernels that many tests need once, before workers start.

Else each worker, and each program that a test starts meanwhile, would compile the same ones. A run
without workers compiles what its tests need, no more.
"""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.pluginmanager.has_plugin("dsession"):  # which starts the workers, later
        warm()


def warm() -> None:
    """Compile in two processes, about as much in each."""
    command = [sys.executable, "-m", "tests.kernel_warming"]
    processes = [
        subprocess.Popen([*command, dtype], cwd=REPOSITORY) for dtype in ("float32", "float64")
    ]
    for process in processes:
        process.wait()  # one that fails has said why, and the tests will as well


def compile_for(dtype: str) -> None:
    """Call functions of the package with arrays of a dtype, so that their kernels are compiled."""
    import numpy as np
    import xarray as xr

    import xfusion as xf
    from tests.resampling_oracle import grid, on

    ones = np.ones((8, 8), dtype)
    one, two, three = (on(grid("EPSG:32633", (5e5, 5e6), 10.0, (8, 8)), ones) for _ in range(3))
    xf.coregister(one, grid("EPSG:32633", (5e5, 5e6), 12.0, (4, 4)))
    xf.gaussian(one, two)
    xf.fuse(one, two, rule="mixture")
    if dtype == "float32":
        # of masks, whose bands are digital numbers
        red, scl = xr.DataArray(ones.astype("uint16")), xr.DataArray(ones.astype("uint8"))
        xf.s2_exclusion(xr.Dataset({"red": red, "nir": red, "scl": scl}))
        xf.gaussian(one, two, three)


if __name__ == "__main__":
    compile_for(sys.argv[1])
