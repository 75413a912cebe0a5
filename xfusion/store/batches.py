"""The blocks of a run, computed some at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xfusion.run.progress import Advance

from .cluster import Cluster
from .parts import in_one_task_each, needed_throughout
from .tasks import Block
from .workers import Local


class Batches:
    """The blocks of a run, and who computes them.

    Each block is one task, so that no array goes from one worker to another; but where there are
    fewer blocks than workers, these share the tasks of each. What all blocks need is computed with
    the first of them, and kept.
    """

    def __init__(
        self, blocks: Sequence[Block], graph: dict[Any, Any], workers: Local | Cluster
    ) -> None:
        self.workers = workers
        self._keys, self._graph = [block.task for block in blocks], graph
        self._lasting: list[Any] | None = None

    def run(self, numbers: Sequence[int], advance: Advance) -> None:
        """Compute some blocks."""
        from dask.optimization import cull

        if self._lasting is None:
            is_all = len(numbers) == len(self._keys)
            self._lasting = [] if is_all else needed_throughout(self._graph, self._keys)
        keys = [self._keys[number] for number in numbers]
        part = cull(self._graph, [*keys, *self._lasting])[0]
        if len(keys) >= self.workers.count():
            part = in_one_task_each(part, keys, self._lasting)
        self._graph.update(self.workers.run(part, keys, self._lasting, advance))
        self._lasting = []
