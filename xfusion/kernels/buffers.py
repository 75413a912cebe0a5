"""Buffers that kernels may vectorise with, made with internals of numba where these allow it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from .compile import compiled, inlined

LANES = 128  # elements of a stack buffer


def _intrinsics() -> tuple[Any, Any]:
    """Return `stack_buffer` and `borrowed`; raises where numba lacks what they are made with."""
    # by name: that they, their attributes or their types are as today is promised by nobody
    codegen: Any = importlib.import_module("numba.core.cgutils")
    numpy_arrays: Any = importlib.import_module("numba.np.arrayobj")
    intrinsic: Any = importlib.import_module("numba.extending").intrinsic

    def stack_buffer(_: Any, like: Any) -> Any:
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

    def borrowed(_: Any, array: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            view = context.make_array(array)(context, builder, arguments[0])
            for owner in ("meminfo", "parent"):
                setattr(view, owner, codegen.get_null_value(getattr(view, owner).type))
            return view._getvalue()  # noqa: SLF001  # numba's own way of ending a struct

        return array(array), generate

    return intrinsic(stack_buffer), intrinsic(borrowed)


@inlined
def _plain_buffer(like: Any) -> Any:
    return np.empty(LANES, like.dtype)


@inlined
def _itself(array: Any) -> Any:
    return array


@compiled
def _try_buffers(array: Any) -> Any:
    buffer = stack_buffer(array)
    buffer[0] = array[0]
    return borrowed(array)[0] - buffer[0]


#: stack_buffer(like): an array of LANES elements of the dtype of an array, on the stack, not
#: zeroed; it ends with the kernel. LLVM knows that a store to it changes no other array, which it
#: cannot know of arrays on the heap: only so it vectorises loops that gather pixels.
stack_buffer: Callable[[Any], Any]

#: borrowed(array): an argument array that is not reference counted, as the kernel's caller holds
#: it. To hand it to a function then costs nothing.
borrowed: Callable[[Any], Any]

try:
    stack_buffer, borrowed = _intrinsics()
    # what a release of numba has changed shows when code is generated, not before
    HAS_INTRINSICS = _try_buffers(np.ones(1)) == 0.0
except Exception:  # noqa: BLE001  # whatever it is, the same results can be had without
    HAS_INTRINSICS = False
if not HAS_INTRINSICS:
    stack_buffer, borrowed = _plain_buffer, _itself
