"""How the kernels are compiled, and buffers that they may vectorise with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

Kernel = TypeVar("Kernel", bound=Callable[..., object])


codegen: Any = cgutils  # neither has types
numpy_arrays: Any = arrayobj

LANES = 128  # elements of a stack buffer


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


def _stack_buffer(_: Any, like: Any) -> Any:
    array = numba.types.Array(like.dtype, 1, "C")

    def generate(context: Any, builder: Any, *_: Any) -> Any:
        element = context.get_data_type(like.dtype)
        size = context.get_constant(numba.types.intp, context.get_abi_sizeof(element))
        buffer = context.make_array(array)(context, builder)
        memory = codegen.alloca_once(builder, element, size=LANES)
        numpy_arrays.populate_array(
            buffer,
            data=builder.bitcast(memory, buffer.data.type),
            shape=[context.get_constant(numba.types.intp, LANES)],
            strides=[size],
            itemsize=size,
            meminfo=None,
        )
        return buffer._getvalue()  # noqa: SLF001  # numba's own way of ending a struct

    return array(like), generate


def _borrowed(_: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        view = context.make_array(array)(context, builder, arguments[0])
        for owner in ("meminfo", "parent"):
            setattr(view, owner, codegen.get_null_value(getattr(view, owner).type))
        return view._getvalue()  # noqa: SLF001  # numba's own way of ending a struct

    return array(array), generate


#: stack_buffer(like): an array of LANES elements of the dtype of an array, on the stack, not
#: zeroed; it ends with the kernel. LLVM knows that a store to it changes no other array, which it
#: cannot know of arrays on the heap: only so it vectorises loops that gather pixels.
stack_buffer = cast("Callable[[Any], Any]", intrinsic(_stack_buffer))

#: borrowed(array): an argument array that is not reference counted, as the kernel's caller holds
#: it. To hand it to a function then costs nothing.
borrowed = cast("Callable[[Any], Any]", intrinsic(_borrowed))
