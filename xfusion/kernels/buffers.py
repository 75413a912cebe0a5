"""Buffers that kernels may vectorise with, made with internals of numba where these allow it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from .compile import compiled, inlined

LANES = 128  # elements of a stack buffer
STRIP = 256  # of a long one, for loops so short that what is done once for each strip counts


def _intrinsics() -> tuple[Any, Any, Any, Any]:
    """Return what is made with internals of numba; raises where it lacks them."""
    # by name: that they, their attributes or their types are as today is promised by nobody
    codegen: Any = importlib.import_module("numba.core.cgutils")
    numpy_arrays: Any = importlib.import_module("numba.np.arrayobj")
    ir: Any = importlib.import_module("llvmlite.ir")
    intrinsic: Any = importlib.import_module("numba.extending").intrinsic

    def buffer_of(length: int) -> Any:
        def buffer(_: Any, like: Any) -> Any:
            array = numba.types.Array(like.dtype, 1, "C")

            def generate(context: Any, builder: Any, *_: Any) -> Any:
                element = context.get_data_type(like.dtype)
                size = context.get_constant(numba.types.intp, context.get_abi_sizeof(element))
                buffer = context.make_array(array)(context, builder)
                memory = codegen.alloca_once(builder, element, size=length)
                numpy_arrays.populate_array(
                    buffer,
                    data=builder.bitcast(memory, buffer.data.type),
                    shape=[context.get_constant(numba.types.intp, length)],
                    strides=[size],
                    itemsize=size,
                    meminfo=None,
                )
                return buffer._getvalue()  # noqa: SLF001  # numba's own way of ending a struct

            return array(like), generate

        return intrinsic(buffer)

    def borrowed(_: Any, array: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            view = context.make_array(array)(context, builder, arguments[0])
            for owner in ("meminfo", "parent"):
                setattr(view, owner, codegen.get_null_value(getattr(view, owner).type))
            return view._getvalue()  # noqa: SLF001  # numba's own way of ending a struct

        return array(array), generate

    def add_two(_: Any, pairs: Any, _row: Any, _first: Any, _second: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            array = context.make_array(pairs)(context, builder, arguments[0])
            both = ir.VectorType(ir.IntType(64), 2)
            index = builder.shl(builder.zext(arguments[1], ir.IntType(64)), ir.IntType(64)(1))
            place = builder.bitcast(builder.gep(array.data, [index]), both.as_pointer())
            added = ir.Constant(both, ir.Undefined)
            for k in range(2):
                added = builder.insert_element(added, arguments[2 + k], ir.IntType(32)(k))
            read = builder.load  # an instruction, not a method of arrays
            builder.store(builder.add(read(place, align=8), added), place, align=8)
            return context.get_dummy_value()

        long = numba.types.int64
        return numba.types.void(pairs, numba.types.uint32, long, long), generate

    return buffer_of(LANES), buffer_of(STRIP), intrinsic(borrowed), intrinsic(add_two)


@inlined
def _plain_buffer(like: Any) -> Any:
    return np.empty(LANES, like.dtype)


@inlined
def _plain_strip(like: Any) -> Any:
    return np.empty(STRIP, like.dtype)


@inlined
def _add_both(pairs: Any, row: Any, first: Any, second: Any) -> None:
    pairs[2 * row] += first
    pairs[2 * row + 1] += second


@inlined
def _itself(array: Any) -> Any:
    return array


@compiled
def _try_buffers(array: Any) -> Any:
    buffer, strip = stack_buffer(array), strip_buffer(array)
    buffer[0] = strip[0] = array[0]
    pairs = np.zeros(2, np.int64)
    add_two(pairs, np.uint32(0), np.int64(1), np.int64(2))
    return borrowed(array)[0] - buffer[0] * strip[0] + pairs[0] + pairs[1] - 3


#: stack_buffer(like): an array of LANES elements of the dtype of an array, on the stack, not
#: zeroed; it ends with the kernel. LLVM knows that a store to it changes no other array, which it
#: cannot know of arrays on the heap: only so it vectorises loops that gather pixels.
stack_buffer: Callable[[Any], Any]

#: strip_buffer(like): the same of STRIP elements.
strip_buffer: Callable[[Any], Any]

#: borrowed(array): an argument array that is not reference counted, as the kernel's caller holds
#: it. To hand it to a function then costs nothing.
borrowed: Callable[[Any], Any]

#: add_two(pairs, row, first, second): add to two int64 that lie side by side, of the pair with
#: the number `row`, a uint32: at once, which two sums at an address that a pixel chooses are not.
add_two: Callable[[Any, Any, Any, Any], None]

try:
    stack_buffer, strip_buffer, borrowed, add_two = _intrinsics()
    # what a release of numba has changed shows when code is generated, not before
    HAS_INTRINSICS = _try_buffers(np.ones(1)) == 0.0
except Exception:  # noqa: BLE001  # whatever it is, the same results can be had without
    HAS_INTRINSICS = False
if not HAS_INTRINSICS:
    stack_buffer, strip_buffer, borrowed, add_two = _plain_buffer, _plain_strip, _itself, _add_both
