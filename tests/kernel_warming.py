"""Compile the kernels that many tests need once, before workers start.

Else each worker, and each program that a test starts meanwhile, would compile the same ones. A run
without workers compiles what its tests need, no more.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from numba.core.caching import IndexDataCacheFile

REPOSITORY = Path(__file__).parents[1]


def pytest_configure() -> None:
    save_one_at_a_time()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.pluginmanager.has_plugin("dsession"):  # which starts the workers, later
        warm()


def save_one_at_a_time() -> None:
    """Keep two processes from saving versions of one kernel at the same moment.

    numba reads the index of a kernel, chooses a name that is not in it, and writes index and code.
    Two processes that do so at once with different dtypes choose the same name: the entry of one
    is lost, which only costs time, but the other may from then on lead to the wrong code.
    """
    save: Any = IndexDataCacheFile.save

    def save_alone(self: Any, key: Any, data: Any) -> None:
        with FileLock(Path(self._cache_path) / "kernels.lock"):
            save(self, key, data)

    IndexDataCacheFile.save = save_alone  # type: ignore[method-assign]  # numba has no option


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
    save_one_at_a_time()
    compile_for(sys.argv[1])
