"""What the companion does, run as a program: compile some kernels, and say when one is on disk.

Kernels need numpy and numba alone; to import the package as well would take as long as to compile
a kernel.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


def compile_sums(dtype: Any, *, squared: bool) -> None:
    """Compile the part of co-registration that takes longest, as its kernel calls it."""
    import numba
    import numpy as np

    from xfusion.kernels.taps import footprint_sums

    typeof: Any = numba.typeof
    types: Any = numba.types
    pixels, floats = typeof(np.empty(0, dtype)), typeof(np.empty(0))
    places = types.Tuple((typeof(np.empty(0, np.int32)), floats, floats))
    widths, sums = types.UniTuple(types.float64, 2), types.UniTuple(floats, 3)
    kernel: Any = footprint_sums
    whole, squares = types.int64, types.literal(True) if squared else types.none  # noqa: FBT003  # a value of numba
    kernel.compile((pixels, whole, places, whole, widths, squares, sums))


def compile_footprint(dtype: Any, *, squared: bool) -> None:
    """Compile the part of co-registration for pixels at an edge, as its kernel calls it."""
    import numba
    import numpy as np

    from xfusion.kernels.resample import _joint_footprint

    typeof: Any = numba.typeof
    types: Any = numba.types
    pixels, flags = typeof(np.empty(0, dtype)), typeof(np.empty(0, np.uint8))
    window = types.UniTuple(types.UniTuple(types.int64, 2), 3)
    place, widths = types.float64, types.UniTuple(types.float64, 2)
    rho = types.float64 if squared else types.none
    kernel: Any = _joint_footprint
    kernel.compile((pixels, flags, window, place, place, widths, rho))


def compile_gaussian(dtype: Any, *, squared: bool) -> None:  # noqa: ARG001  # as the others
    """Compile the fusion of two sensors."""
    import numpy as np

    from xfusion.kernels.independent import gaussian

    ones = (np.ones(1, dtype),) * 2
    gaussian(
        ones,
        ones,
        (None, None),
        sigma_floor=1e-6,
        floor_nonfinite=False,
        unknown=0,
        threads=1,
    )


def main(dtype: str, squared: str) -> None:
    """Compile what was asked for."""
    gc.disable()  # it ends before it has much to collect
    package = ModuleType("xfusion")
    package.__path__ = [str(Path(__file__).parents[1])]
    sys.modules["xfusion"] = package
    from xfusion.kernels.long_waits import waiting
    from xfusion.kernels.second_process import KERNELS

    waiting.silent = True
    of_kernel: dict[str, Callable[..., None]] = {
        "footprint_sums": compile_sums,
        "_joint_footprint": compile_footprint,
        "_gaussian": compile_gaussian,
    }
    for kernel in KERNELS:
        of_kernel[kernel](dtype, squared=squared == "1")
        sys.stdout.write(f"{kernel}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
