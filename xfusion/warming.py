"""Compile the kernels that usual work needs ahead of it: for an image, or for each machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from .datamodel.building import retrieval
from .kernels import parallel
from .kernels.folders import folders_of
from .kernels.long_waits import waiting
from .kernels.second_process import companion, is_python

DType = Literal["float32", "float64"]
DTYPES: tuple[DType, ...] = ("float32", "float64")
SIDE = 8  # pixels


def warm(*, dtypes: Sequence[DType] = DTYPES, progress: bool = True) -> dict[str, int]:
    """Compile the kernels that usual work needs, and keep them on disk.

    Else the first co-registration and the first fusion on a machine wait for it, for seconds.
    These are co-registration, fusion of two and of three sensors, all rules with two, correlated
    errors and diagnostics among them, and masks of Sentinel-1 and Sentinel-2. Others are compiled
    when they are needed first.

    Parameters
    ----------
    dtypes : sequence of {"float32", "float64"}
        Of the pixels. Rasters are mostly float32, arrays of numpy float64.
    progress : bool
        Say on standard error what is compiled, and how long it took.

    Returns
    -------
    dict
        How many kernels were compiled for each purpose; 0 where all were on disk before.

    Raises
    ------
    OSError
        If kernels cannot be kept on disk, or there is no Python that compiles them.

    Notes
    -----
    They are kept in the folder of the environment variable ``NUMBA_CACHE_DIR``, else beside the
    package or, where that is read-only, in the home of the user; what is in a folder that can only
    be read, as of an image, is used. They are of this version of the package, of numba and of
    Python, and of this kind of processor: another compiles its own.

    Examples
    --------
    >>> import xfusion as xf
    >>> sum(xf.warm(dtypes=["float32"], progress=False).values()) >= 0
    True
    """
    unknown = set(dtypes) - {*DTYPES}
    if unknown:
        msg = f"dtypes={list(dtypes)}: there are kernels for {list(DTYPES)} only"
        raise ValueError(msg)
    if not is_python():
        msg = f"{sys.executable or 'this program'} is no Python: call `python -m xfusion warm`"
        raise OSError(msg)
    jobs = [(purpose, dtype) for purpose in PURPOSES for dtype in dict.fromkeys(dtypes)]
    with ThreadPoolExecutor(min(parallel.core_count(), max(1, len(jobs)))) as pool:
        counts = list(pool.map(lambda job: _in_a_process(*job, progress=progress), jobs))
    return {_named(*job): count for job, count in zip(jobs, counts, strict=True)}


def _named(purpose: str, dtype: str) -> str:
    return f"{purpose}, {dtype}"


def _in_a_process(purpose: str, dtype: str, *, progress: bool) -> int:
    """Compile for one purpose in a process of its own, as numba compiles one kernel at a time."""
    began = time.monotonic()
    root = str(Path(__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {root!r}); from xfusion import warming; "
    code += f"warming.compile_for({purpose!r}, {dtype!r})"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # this package, by this Python
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        msg = f"kernels of {_named(purpose, dtype)} could not be compiled: {last}"
        raise OSError(msg)
    count = int(done.stdout.split()[-1])
    if progress:
        what = f"{count} compiled" if count else "on disk already"
        took = time.monotonic() - began
        sys.stderr.write(f"kernels of {_named(purpose, dtype)}: {what} ({took:.1f} s)\n")
        sys.stderr.flush()
    return count


def compile_for(purpose: str, dtype: str) -> None:
    """Compile for one purpose, in this process, and write how many kernels it were."""
    if not hasattr(_a_kernel(), "stats"):
        msg = "numba is told not to compile: unset NUMBA_DISABLE_JIT"
        raise OSError(msg)
    companion.alone = waiting.silent = True
    PURPOSES[purpose](dtype)
    if not _are_kept(anew=waiting.kernels > 0):
        wanted = os.environ.get("NUMBA_CACHE_DIR")
        msg = (
            f"kernels cannot be kept in {wanted or kept_at() or 'any folder'}: set NUMBA_CACHE_DIR "
            "to one that can be written to"
        )
        raise OSError(msg)
    sys.stdout.write(f"{waiting.kernels}\n")


def _are_kept(*, anew: bool) -> bool:
    """Whether other processes find what was compiled now, or before."""
    place = kept_at()
    if place is None:
        return False
    # numba takes another folder where it cannot write to the one that is set, or beside the source
    first = folders_of(_a_kernel().py_func)[0]
    wanted = {first} if os.environ.get("NUMBA_CACHE_DIR") else {place, first}
    if anew and (place not in wanted or not os.access(place, os.W_OK)):
        return False
    return any(any(folder.glob("*.nbi")) for folder in wanted)


def kept_at() -> Path | None:
    """Return the folder in which kernels are kept, None if there is none."""
    place = _a_kernel().stats.cache_path
    return None if place is None else Path(place)


def _a_kernel() -> Any:
    """Return a kernel that there is in each process."""
    from .kernels import buffers

    return buffers._try_buffers  # noqa: SLF001  # nothing is lighter


def _sensors(dtype: str, number: int) -> list[xr.Dataset]:
    from affine import Affine
    from odc.geo.geobox import GeoBox
    from odc.geo.xr import xr_coords

    grid = GeoBox((SIDE, SIDE), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
    ones = xr.DataArray(np.ones((SIDE, SIDE), dtype), dims=("y", "x"))
    layer = ones.assign_coords(xr_coords(grid))
    mask = np.zeros((SIDE, SIDE), np.uint8)
    return [retrieval(layer, layer, mask, sensor=f"sensor {k}") for k in range(number)]


def _coregister(dtype: str) -> None:
    from odc.geo.geobox import GeoBox

    from .warp.coregistration import coregister

    (one,) = _sensors(dtype, 1)
    target = GeoBox.from_bbox((500010, 4999930, 500070, 4999990), "EPSG:32633", resolution=12)
    for resampling in ("bilinear", "nearest"):
        coregister(one, target, resampling=resampling)


def _fuse(dtype: str) -> None:
    from .fusion.combine import fuse, gaussian

    sensors = _sensors(dtype, 3)
    gaussian(*sensors[:2])
    gaussian(*sensors)
    fuse(*sensors[:2], rule="mixture")
    _mask(dtype)


def _mask(dtype: str) -> None:
    from .masks.exclusion import s2_exclusion

    # digital numbers as catalogues have them, and reflectances
    kind = "uint16" if dtype == "float32" else dtype
    red = xr.DataArray(np.ones((SIDE, SIDE), kind))
    s2_exclusion(xr.Dataset({"red": red, "nir": red, "scl": red.astype(np.uint8)}))


PURPOSES: dict[str, Callable[[str], None]] = {
    "co-registration": _coregister,
    "fusion and masks": _fuse,  # about as long
}
