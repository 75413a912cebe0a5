"""The blocks of a run, computed some at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xfusion.run.progress import Advance
from xfusion.warp.from_files import with_reading_ahead

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
        self,
        blocks: Sequence[Block],
        left: Sequence[int],
        graph: Mapping[Any, Any],
        workers: Local | Cluster,
    ) -> None:
        from dask.optimization import cull

        self.workers = workers
        self._keys = [block.task for block in blocks]
        # only those that are left read ahead for each other
        keys = self._left = [self._keys[number] for number in left]
        self._graph: dict[Any, Any] = with_reading_ahead(cull(graph, keys)[0])
        self._lasting: list[Any] | None = None

    def run(self, numbers: Sequence[int], advance: Advance) -> None:
        """Compute some blocks, of those that were left."""
        from dask.optimization import cull

        if self._lasting is None:
            is_all = len(numbers) == len(self._left)
            self._lasting = [] if is_all else needed_throughout(self._graph, self._left)
        keys = [self._keys[number] for number in numbers]
        part = cull(self._graph, [*keys, *self._lasting])[0]
        if len(keys) >= self.workers.count():
            part = in_one_task_each(part, keys, self._lasting)
        self._graph.update(self.workers.run(part, keys, self._lasting, advance))
        self._lasting = []
