"""One block as one task: what it has in common with other blocks, and what is its own."""

from __future__ import annotations

import functools
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from xfusion.run.allocation import keep_freed_memory
from xfusion.warp.from_files import asked_for, block_from

SMALL = 1 << 20  # bytes of a pattern that may go along with each block
RECENT = 16  # patterns that a worker keeps


class Result(NamedTuple):
    """Stands for what an earlier call has returned, or for an input."""

    number: int


class Call(NamedTuple):
    """A function and its arguments: literals, results and calls."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


class Step(NamedTuple):
    """How the leaves of a task make its call."""

    shape: Any
    """Nested as the task is, see :mod:`xfusion.store.parts`: a type or names, and what is inside;
    an int for a result, None for a leaf."""
    uses: tuple[int, ...]
    """Numbers of the results, in the order of the shape."""
    last: tuple[int, ...]
    """Numbers of those that no later step uses."""


@dataclass(frozen=True)
class Common:
    """What some blocks have in common."""

    inputs: int
    """How many results of other tasks a block takes; they are the first in number."""
    steps: tuple[Step, ...]
    leaves: tuple[Any, ...]
    """Functions and literals, step after step, in the order of the shapes."""
    holes: tuple[int, ...]
    """Which of the leaves differ from block to block."""


class Pattern:
    """What some blocks have in common, pickled once and loaded once by each process."""

    def __init__(self, common: Common | None, pickled: bytes | None = None) -> None:
        self._common, self._pickled = common, pickled
        self.name = uuid.uuid4().hex

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as bytes that a scheduler need not load."""
        return _received, (self.pickled(),)

    def pickled(self) -> bytes:
        """Return it as bytes."""
        if self._pickled is None:
            import cloudpickle

            self._pickled = zlib.compress(cloudpickle.dumps(self._common))
        return self._pickled

    def common(self) -> Common:
        """Return it as it was."""
        if self._common is None:
            import cloudpickle

            self._common = cloudpickle.loads(zlib.decompress(self.pickled()))
        return self._common

    def calls(self, own: Sequence[Any]) -> list[Call]:
        """Return what one block calls, one after the other.

        Parameters
        ----------
        own : sequence
            Its leaves in the holes of the pattern.
        """
        common = self.common()
        leaves = [*common.leaves]
        for place, leaf in zip(common.holes, own, strict=True):
            leaves[place] = leaf
        after = iter(leaves)
        # whoever looks at the calls before they run sees which files they read
        known: dict[int, Any] = {}
        calls = []
        for number, step in enumerate(common.steps, common.inputs):
            part = _filled(step, step.shape, after, known)
            if not isinstance(part, Call | Result):
                known[number] = part
            calls.append(part if isinstance(part, Call) else Call(_same, (part,), {}))
        return calls


def run_block(pattern: Pattern, own: Sequence[Any], *inputs: Any) -> Any:
    """Compute and write one block: the task of a worker.

    Parameters
    ----------
    pattern : Pattern
        What it has in common with other blocks.
    own : sequence
        What differs from these, in the order of the pattern: indices and slices.
    *inputs
        Results that several blocks need.

    Returns
    -------
    object
        What its last call returns.
    """
    keep_freed_memory()
    calls = [_asked_for(call) for call in pattern.calls(own)]
    results = dict(enumerate(inputs))
    steps = pattern.common().steps
    for number, (call, step) in enumerate(zip(calls, steps, strict=True), len(inputs)):
        results[number] = _called(call, results)
        # one after the other, not all at the end: they are arrays
        for used in step.last:
            del results[used]
    return results[len(inputs) + len(steps) - 1]


def _asked_for(call: Call) -> Call:
    """Ask for what a block needs of files before any of it is computed: all come together."""
    if call.function is not block_from:
        return call
    return call._replace(arguments=asked_for(*call.arguments))


def _called(part: Any, results: Mapping[int, Any]) -> Any:
    if isinstance(part, Result):
        return results[part.number]
    if isinstance(part, Call):
        arguments = [_called(argument, results) for argument in part.arguments]
        keywords = {name: _called(value, results) for name, value in part.keywords.items()}
        return part.function(*arguments, **keywords)
    return part


def _same(value: Any) -> Any:
    """Stand for a task that is a literal, or another name of a result."""
    return value


def _filled(step: Step, shape: Any, leaves: Iterator[Any], known: Mapping[int, Any]) -> Any:
    if shape is None:
        return next(leaves)
    if isinstance(shape, int):
        number = step.uses[shape]
        return known.get(number, Result(number))
    kind, *inner = shape
    if isinstance(kind, tuple):
        # the names of its keywords, which are the last of its arguments
        function, *arguments = (_filled(step, part, leaves, known) for part in inner)
        plain = len(arguments) - len(kind)
        named = dict(zip(kind, arguments[plain:], strict=True))
        return Call(function, tuple(arguments[:plain]), named)
    parts = [_filled(step, part, leaves, known) for part in inner]
    return dict(zip(parts[::2], parts[1::2], strict=True)) if kind is dict else kind(parts)


@functools.lru_cache(RECENT)
def _recent(pickled: bytes) -> Pattern:
    return Pattern(None, pickled)


def _received(pickled: bytes) -> Pattern:
    """Return a pattern, the same each time that it comes along with a block."""
    return _recent(pickled) if len(pickled) <= SMALL else Pattern(None, pickled)
