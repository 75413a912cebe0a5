"""Two numbers that lie side by side, such as mu and sigma of a pixel, loaded and summed as one.

For sums over the neighbours of a pixel. To gather the neighbours of many pixels at once takes AMD's
processors longer than to load them one by one, two numbers each time.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from .compile import compiled, inlined


def _intrinsics() -> tuple[Any, ...]:
    """Return what is made with internals of numba; raises where it lacks them."""
    # by name: that they, their attributes or their types are as today is promised by nobody
    ir: Any = importlib.import_module("llvmlite.ir")
    intrinsic: Any = importlib.import_module("numba.extending").intrinsic
    types: Any = numba.types
    double, number = ir.DoubleType(), ir.IntType(32)
    two = ir.VectorType(double, 2)
    of_python = types.UniTuple(types.float64, 2)

    def joined(builder: Any, first: Any, second: Any) -> Any:
        vector = builder.insert_element(ir.Constant(two, ir.Undefined), first, number(0))
        return builder.insert_element(vector, second, number(1))

    def of_tuple(builder: Any, pair: Any) -> Any:
        return joined(builder, *(builder.extract_value(pair, k) for k in (0, 1)))

    def as_tuple(context: Any, builder: Any, vector: Any) -> Any:
        each = [builder.extract_element(vector, number(k)) for k in (0, 1)]
        return context.make_tuple(builder, of_python, each)

    def pair_at(_: Any, array: Any, _place: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            view = context.make_array(array)(context, builder, arguments[0])
            element = context.get_data_type(array.dtype)
            both = ir.VectorType(element, 2)
            there = builder.bitcast(builder.gep(view.data, [arguments[1]]), both.as_pointer())
            read = builder.load  # an instruction, not a method of arrays
            pair = read(there, align=context.get_abi_sizeof(element))
            pair = pair if element == double else builder.fpext(pair, two)
            return as_tuple(context, builder, pair)

        return of_python(array, types.uint64), generate

    def scaled(_: Any, _weight: Any, _pair: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            weights = joined(builder, arguments[0], arguments[0])
            product = builder.fmul(weights, of_tuple(builder, arguments[1]))
            return as_tuple(context, builder, product)

        return of_python(types.float64, of_python), generate

    def added(_: Any, _one: Any, _other: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            both = (of_tuple(builder, pair) for pair in arguments)
            return as_tuple(context, builder, builder.fadd(*both))

        return of_python(of_python, of_python), generate

    return intrinsic(pair_at), intrinsic(scaled), intrinsic(added)


@inlined
def _pair_at(array: Any, place: Any) -> Any:
    return np.float64(array[place]), np.float64(array[place + np.uint64(1)])


@inlined
def _scaled(weight: Any, pair: Any) -> Any:
    return weight * pair[0], weight * pair[1]


@inlined
def _added(one: Any, other: Any) -> Any:
    return one[0] + other[0], one[1] + other[1]


@compiled
def _try_pairs(array: Any) -> Any:
    pair = pair_at(array, np.uint64(1))
    return added(pair, scaled(2.0, pair))


#: pair_at(array, place): two floats of an array, in double precision, from `place`, a uint64, on.
pair_at: Callable[[Any, Any], Any]

#: scaled(weight, pair): both times a number.
scaled: Callable[[Any, Any], Any]

#: added(pair, pair): the sums of the first and of the second ones.
added: Callable[[Any, Any], Any]

try:
    pair_at, scaled, added = _intrinsics()
    # what a release of numba has changed shows when code is generated, not before
    AS_ONE = _try_pairs(np.arange(3, dtype=np.float32)) == (3.0, 6.0)
except Exception:  # noqa: BLE001  # whatever it is, the same results can be had without
    AS_ONE = False
if not AS_ONE:
    pair_at, scaled, added = _pair_at, _scaled, _added
