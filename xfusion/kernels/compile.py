"""How the kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(function: Kernel) -> Kernel:
    """Compile a kernel: serial, without the GIL, kept on disk where that is possible.

    Parameters
    ----------
    function : callable
        A function of numpy arrays and scalars.

    Returns
    -------
    callable
        The same function, compiled at its first call for each set of dtypes.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    kernel: Any
    try:
        kernel = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        # numba refuses cache=True where neither the package nor the home is writable
        kernel = numba.njit(**options)(function)
    return cast("Kernel", kernel)
