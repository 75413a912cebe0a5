"""Which tasks of a graph only one block needs: they become one task of a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MethodType
from typing import Any, NamedTuple

from .pattern import SMALL, Common, Pattern, Step, run_block

LITTLE = 1 << 16  # bytes of a literal that each block may have for itself
# of which equal ones are the same to whoever is given them; of numbers with a point 0.0 equals -0.0
PLAIN = (int, bool, str, bytes, slice, MethodType)


class _Task(NamedTuple):
    """A task of the graph, taken apart."""

    shape: Any
    leaves: list[Any]
    uses: list[Any]
    """Keys of the results that it uses."""


class _Part(NamedTuple):
    """What only one block needs."""

    inputs: tuple[Any, ...]
    """Keys of what others need as well, or a cluster has."""
    steps: tuple[Step, ...]
    leaves: tuple[Any, ...]


def in_one_task_each(
    graph: Mapping[Any, Any], blocks: Sequence[Any], apart: Iterable[Any] = ()
) -> dict[Any, Any]:
    """Return a graph in which each block is one task.

    What several blocks need is computed once, and remains a task.

    Parameters
    ----------
    graph : mapping
        Without what no block needs.
    blocks : sequence of keys
        None of them needs another.
    apart : iterable of keys
        What other blocks need, and remains a task as well.
    """
    from dask._task_spec import convert_legacy_graph
    from dask.task_spec import Task, TaskRef

    nodes = convert_legacy_graph(graph)
    shared = _needed_by_several(nodes, blocks, apart)
    alike: dict[Any, dict[Any, _Part]] = {}
    for block in blocks:
        part = _part(nodes, block, shared)
        alike.setdefault((len(part.inputs), part.steps), {})[block] = part
    tasks = {key: nodes[key] for key in shared}
    for (inputs, steps), parts in alike.items():
        leaves = [part.leaves for part in parts.values()]
        is_one = [_are_one(each) for each in zip(*leaves, strict=True)]
        holes = tuple(place for place, one in enumerate(is_one) if not one)
        kept = (leaf if one else None for leaf, one in zip(leaves[0], is_one, strict=True))
        pattern = Pattern(Common(inputs, steps, tuple(kept), holes))
        for block, part in parts.items():
            own = tuple(part.leaves[place] for place in holes)
            tasks[block] = Task(block, run_block, pattern, own, *map(TaskRef, part.inputs))
    return tasks


def needed_throughout(graph: Mapping[Any, Any], blocks: Sequence[Any]) -> list[Any]:
    """Return the keys of what all blocks need and take from elsewhere, as a mean of the whole is.

    What the first and the last need, which lie farthest apart, is taken for that. What neighbours
    share, they share mostly within a batch, and nobody would have the room to keep all of it.
    """
    from dask._task_spec import convert_legacy_graph
    from dask.optimization import cull
    from dask.task_spec import DataNode

    parts = [cull(graph, [block])[0] for block in (blocks[0], blocks[-1])]
    nodes = convert_legacy_graph(parts[0])
    common = nodes.keys() & parts[1].keys()
    taken = (key for own in nodes.keys() - common for key in nodes[own].dependencies)
    return [key for key in {*taken} & common if not isinstance(nodes[key], DataNode)]


def _needed_by_several(
    nodes: Mapping[Any, Any], blocks: Sequence[Any], apart: Iterable[Any]
) -> set[Any]:
    """Return the keys of what several blocks need, and of what that needs."""
    owners: dict[Any, Any] = {}
    several: list[Any] = [*apart]
    for block in blocks:
        way = [block]
        while way:
            for key in nodes[way.pop()].dependencies:
                if key not in nodes or _is_little(nodes[key]):
                    continue
                if key not in owners:
                    owners[key] = block
                    way.append(key)
                elif owners[key] != block:
                    several.append(key)
    shared: set[Any] = set()
    while several:
        key = several.pop()
        if key in nodes and key not in shared:
            shared.add(key)
            several.extend(nodes[key].dependencies)
    return shared


def with_large_apart(graph: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a graph in which what blocks have in common is a task of its own, if it is large.

    Each worker is sent it once, not with each block.
    """
    from dask.task_spec import DataNode, Task, TaskRef

    tasks: dict[Any, Any] = {}
    for key, task in graph.items():
        tasks[key] = task
        if isinstance(task, Task) and task.func is run_block:
            pattern, *others = task.args
            if len(pattern.pickled()) > SMALL:
                apart = f"pattern-{pattern.name}"
                tasks[apart] = DataNode(apart, pattern)
                tasks[key] = Task(key, run_block, TaskRef(apart), *others)
    return tasks


def _is_little(node: Any) -> bool:
    """Whether something is a literal, which costs nothing to have twice: a file, not its pixels."""
    from dask.sizeof import sizeof
    from dask.task_spec import DataNode

    return isinstance(node, DataNode) and sizeof(node.value) <= LITTLE


def _part(nodes: Mapping[Any, Any], block: Any, shared: set[Any]) -> _Part:
    """Return what only one block needs, each task after those that it uses."""
    inputs: dict[Any, int] = {}
    tasks: dict[Any, _Task] = {}
    order: dict[Any, int] = {}
    way = [block]
    # not by calls: a chain of tasks may be longer than these may be deep
    while way:
        key = way[-1]
        if key in tasks:
            order.setdefault(way.pop(), len(order))
        elif key not in nodes or (key in shared and not _is_little(nodes[key])):
            inputs.setdefault(way.pop(), len(inputs))
        else:
            tasks[key] = _task(nodes[key])
            # the last is the next
            way.extend(use for use in reversed(tasks[key].uses) if use not in tasks)
    numbers = inputs | {key: len(inputs) + place for key, place in order.items()}
    last = {number: place for key, place in order.items() for number in _uses(tasks[key], numbers)}
    steps = []
    for key, place in order.items():
        uses = _uses(tasks[key], numbers)
        done = tuple(n for n in dict.fromkeys(uses) if last[n] == place)
        steps.append(Step(tasks[key].shape, uses, done))
    leaves = (leaf for key in order for leaf in tasks[key].leaves)
    return _Part(tuple(inputs), tuple(steps), tuple(leaves))


def _uses(task: _Task, numbers: Mapping[Any, int]) -> tuple[int, ...]:
    return tuple(numbers[key] for key in task.uses)


def _task(node: Any) -> _Task:
    leaves: list[Any] = []
    uses: list[Any] = []
    return _Task(_shape(node, leaves, uses), leaves, uses)


def _shape(node: Any, leaves: list[Any], uses: list[Any]) -> Any:
    """Return how a task, or an argument of one, is nested; note its leaves and what it uses."""
    from dask.task_spec import Alias, DataNode, Task, TaskRef

    if isinstance(node, TaskRef | Alias):
        uses.append(node.key if isinstance(node, TaskRef) else node.target)
        return len(uses) - 1
    if isinstance(node, DataNode):
        return _shape_of_literal(node.value, leaves)
    if isinstance(node, Task):
        leaves.append(node.func)
        arguments = [*node.args, *node.kwargs.values()]
        inner = [_shape(argument, leaves, uses) for argument in arguments]
        return (tuple(node.kwargs), None, *inner)
    return _shape_of_literal(node, leaves)


def _shape_of_literal(literal: Any, leaves: list[Any]) -> Any:
    """Return how a literal is nested, as deep as dask looks into none: slices of two dims, say."""
    if type(literal) in (tuple, list):
        return (type(literal), *(_shape_of_literal(part, leaves) for part in literal))
    if type(literal) is dict:
        parts = (part for item in literal.items() for part in item)
        return (dict, *(_shape_of_literal(part, leaves) for part in parts))
    leaves.append(literal)
    return None


def _are_one(leaves: Sequence[Any]) -> bool:
    """Whether a leaf is the same in several blocks; of one alone nobody knows."""
    first = leaves[0]
    plain = type(first) in PLAIN
    return len(leaves) > 1 and all(
        leaf is first or (plain and type(leaf) is type(first) and leaf == first) for leaf in leaves
    )
