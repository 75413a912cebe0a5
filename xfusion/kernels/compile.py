"""How the kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(function: Kernel, *, inline: bool = False) -> Kernel:
    """Compile a kernel: serial, without the GIL, kept on disk where that is possible.

    Parameters
    ----------
    function : callable
        A function of numpy arrays and scalars.
    inline : bool
        Compile it into its callers, so that their constants and buffers are known in it.

    Returns
    -------
    callable
        The same function, compiled at its first call for each set of dtypes.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    options["forceinline"] = inline
    kernel: Any
    try:
        kernel = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        # numba refuses cache=True where neither the package nor the home is writable
        kernel = numba.njit(**options)(function)
    return cast("Kernel", kernel)


def inlined(function: Kernel) -> Kernel:
    """Compile a part of a kernel into each of its callers."""
    return compiled(function, inline=True)


def spliced(function: Kernel) -> Kernel:
    """Copy the source of a part of a kernel into each of its callers, before these are compiled.

    It so costs what it would if it were written there; `inlined` parts are compiled one by one.
    """
    return cast("Kernel", numba.njit(inline="always")(function))
