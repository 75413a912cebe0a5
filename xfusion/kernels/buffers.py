"""Buffers that kernels may vectorise with, made with internals of numba where these allow it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from .compile import compiled, inlined, inlined_with_memory

LANES = 128  # elements of a stack buffer
LINE = 64  # bytes of a cache
STRIP = 256  # of a long one, for loops so short that what is done once for each strip counts
STRIPS = 8  # of one for each sensor


def _intrinsics() -> tuple[Any, ...]:
    """Return what is made with internals of numba; raises where it lacks them."""
    # by name: that they, their attributes or their types are as today is promised by nobody
    codegen: Any = importlib.import_module("numba.core.cgutils")
    ir: Any = importlib.import_module("llvmlite.ir")
    long = ir.IntType(64)
    intrinsic: Any = importlib.import_module("numba.extending").intrinsic

    def buffer_of(length: int) -> Any:
        def buffer(_: Any, like: Any) -> Any:
            array = numba.types.Array(like.dtype, 1, "C")

            def generate(context: Any, builder: Any, *_: Any) -> Any:
                # only here: it takes long to import, and kernels that are kept do without
                numpy_arrays: Any = importlib.import_module("numba.np.arrayobj")
                element = context.get_data_type(like.dtype)
                size = context.get_constant(numba.types.intp, context.get_abi_sizeof(element))
                buffer = context.make_array(array)(context, builder)
                memory = codegen.alloca_once(builder, element, size=length)
                memory.align = LINE
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

    def add_pairs(_: Any, table: Any, _first: Any, _second: Any, pairs: Any, _number: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            two, short = ir.VectorType(long, 2), ir.IntType(32)
            read = builder.load  # an instruction, not a method of arrays

            def pair_at(array: Any, place: Any) -> Any:
                return builder.bitcast(builder.gep(array.data, [place]), two.as_pointer())

            cells, added = (
                context.make_array(a)(context, builder, arguments[k])
                for k, a in ((0, table), (3, pairs))
            )
            first, second = (pair_at(cells, builder.zext(arguments[k], long)) for k in (1, 2))
            number = builder.shl(arguments[4], long(1))
            here = pair_at(added, number), pair_at(added, builder.add(number, long(2)))
            # both cells are read before one is written: the second need not wait for the first
            before = read(first, align=8), read(second, align=8)
            one, other = read(here[0], align=8), read(here[1], align=8)
            builder.store(builder.add(before[0], one), first, align=8)
            same = builder.sext(builder.icmp_unsigned("==", arguments[1], arguments[2]), long)
            both = ir.Constant(two, ir.Undefined)
            for lane in range(2):
                both = builder.insert_element(both, same, short(lane))
            other = builder.add(other, builder.and_(one, both))
            builder.store(builder.add(before[1], other), second, align=8)
            return context.get_dummy_value()

        place = numba.types.uint32
        signature = numba.types.void(table, place, place, pairs, numba.types.int64)
        return signature, generate

    def fetch(_: Any, array: Any, _start: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            there = context.make_array(array)(context, builder, arguments[0]).data
            byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            hint = codegen.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            # to read, soon but not at once, and data
            how = [number(value) for value in (0, 2, 1)]
            element = context.get_abi_sizeof(context.get_data_type(array.dtype))
            for place in range(0, STRIP, LINE // element):
                element_there = builder.gep(there, [builder.add(arguments[1], long(place))])
                builder.call(hint, [builder.bitcast(element_there, byte), *how])
            return context.get_dummy_value()

        return numba.types.void(array, numba.types.int64), generate

    buffers = buffer_of(LANES), buffer_of(STRIP), buffer_of(STRIPS * STRIP), buffer_of(2 * STRIP)
    return *buffers, intrinsic(borrowed), intrinsic(add_pairs), intrinsic(fetch)


@inlined_with_memory
def _plain_buffer(like: Any) -> Any:
    return np.empty(LANES, like.dtype)


@inlined_with_memory
def _plain_strip(like: Any) -> Any:
    return np.empty(STRIP, like.dtype)


@inlined_with_memory
def _plain_strips(like: Any) -> Any:
    return np.empty(STRIPS * STRIP, like.dtype)


@inlined_with_memory
def _plain_pairs(like: Any) -> Any:
    return np.empty(2 * STRIP, like.dtype)


@inlined
def _add_one_by_one(table: Any, first: Any, second: Any, pairs: Any, number: Any) -> None:
    table[first] += pairs[2 * number]
    table[first + 1] += pairs[2 * number + 1]
    table[second] += pairs[2 * number + 2]
    table[second + 1] += pairs[2 * number + 3]


@inlined_with_memory
def _itself(array: Any) -> Any:
    return array


@inlined
def _let_it_come(array: Any, start: Any) -> None:
    pass


@compiled
def _try_buffers(array: Any, table: Any) -> Any:
    buffer, strip, strips = stack_buffer(array), strip_buffer(array), strips_buffer(array)
    buffer[0] = strip[0] = strips[0] = array[0]
    pairs = pair_buffer(table)
    pairs[2], pairs[3], pairs[4], pairs[5] = 1, 2, 3, 4
    add_pairs(table, np.uint32(2), np.uint32(2), pairs, np.int64(1))
    add_pairs(table, np.uint32(0), np.uint32(2), pairs, np.int64(1))
    fetch(array, np.int64(0))
    return (
        borrowed(array)[0] - buffer[0] * strip[0] * strips[0] + table[1] + table[2] + table[3] - 19
    )


#: stack_buffer(like): an array of LANES elements of the dtype of an array, on the stack, not
#: zeroed; it ends with the kernel. LLVM knows that a store to it changes no other array, which it
#: cannot know of arrays on the heap: only so it vectorises loops that gather pixels.
stack_buffer: Callable[[Any], Any]

#: strip_buffer(like): the same of STRIP elements.
strip_buffer: Callable[[Any], Any]

#: strips_buffer(like): the same of STRIPS strips, one after another.
strips_buffer: Callable[[Any], Any]

#: borrowed(array): an argument array that is not reference counted, as the kernel's caller holds
#: it. To hand it to a function then costs nothing.
borrowed: Callable[[Any], Any]

#: pair_buffer(like): the same of STRIP pairs, one after another.
pair_buffer: Callable[[Any], Any]

#: add_pairs(table, first, second, pairs, number): add the pair of that number to the two int64 of
#: a table from `first` on, and the next pair to those from `second` on, both uint32. What is added
#: to an address that a pixel chooses waits for what was added there before, and neighbours often
#: choose the same: so two wait once.
add_pairs: Callable[[Any, Any, Any, Any, Any], None]

#: fetch(array, start): begin to read STRIP elements from `start` on, which may lie beyond its end.
#: A kernel that works on a strip in many loops reads too seldom for the processor to foresee it.
fetch: Callable[[Any, Any], None]

try:
    buffers = _intrinsics()
    stack_buffer, strip_buffer, strips_buffer, pair_buffer, borrowed, add_pairs, fetch = buffers
    # what a release of numba has changed shows when code is generated, not before
    HAS_INTRINSICS = _try_buffers(np.ones(1), np.zeros(4, np.int64)) == 0.0
except Exception:  # noqa: BLE001  # whatever it is, the same results can be had without
    HAS_INTRINSICS = False
if not HAS_INTRINSICS:
    stack_buffer, strip_buffer = _plain_buffer, _plain_strip
    strips_buffer, pair_buffer = _plain_strips, _plain_pairs
    borrowed, add_pairs, fetch = _itself, _add_one_by_one, _let_it_come
