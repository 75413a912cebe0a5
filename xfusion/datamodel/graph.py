"""What goes into the tasks of a dask graph, and says what it is: two runs are compared by it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


class InGraph:
    """A frozen dataclass that tasks hold; each of its fields is part of what it is."""

    def described(self) -> dict[str, Any]:
        """Return field -> value: a parameter, or a part that says itself what it is.

        Two runs in which any of these differ are runs of different jobs.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # each subclass is one
        return {field.name: getattr(self, field.name) for field in fields}


def tasks_of_layers(graph: Any) -> Iterator[list[Any]]:
    """Yield what each layer of a graph does with a block, and the arrays that it holds whole."""
    for layer in getattr(graph, "layers", {"": graph or {}}).values():
        # all blocks of a layer are alike
        yield [layer.task] if hasattr(layer, "task") else list(_first(layer))


def parts_of(part: Any) -> list[Any]:
    """Return what a task, or something in it, is made of."""
    if isinstance(part, dict):
        return list(part.values())
    if isinstance(part, list | tuple | set | frozenset):
        return list(part)
    if isinstance(part, functools.partial):
        return [part.func, *part.args, *part.keywords.values()]
    if isinstance(part, InGraph):
        return list(part.described().values())
    if isinstance(part, np.ndarray | np.generic | str | bytes | int | float | type):
        return []
    # tasks of dask, and methods of an object
    names = ("func", "args", "kwargs", "value", "__self__")
    inner = [getattr(part, name, None) for name in names]
    return [each for each in inner if each is not None and not _is_method(each, part)]


def _first(layer: Mapping[Any, Any]) -> Iterator[Any]:
    of_block = True
    for key, task in layer.items():
        if not isinstance(key, tuple) or of_block:
            yield task
        of_block = of_block and not isinstance(key, tuple)


def _is_method(inner: Any, owner: Any) -> bool:
    return getattr(inner, "__self__", None) is owner
