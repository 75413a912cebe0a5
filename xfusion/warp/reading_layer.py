"""A layer of a graph of dask whose blocks are read from files.

Imported late, as dask takes a while to import.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Mapping
from typing import Any

from dask.highlevelgraph import Layer, MaterializedLayer

from xfusion.raster.ahead import Block, ReadAhead, Together

from .from_files import FromFiles, Part, block_from, read_ahead

_last: list[Any] = [lambda: None, Together()]
"""The keys of the graph that was culled last, weakly, and its runs."""


def _of_graph(keys: Collection[Any]) -> Together:
    """Return the runs of a graph, by the keys with which dask culls each of its layers."""
    if _last[0]() is not keys:
        try:
            _last[:] = weakref.ref(keys), Together()
        except TypeError:
            return Together()  # they are no set
    together: Together = _last[1]
    return together


class ReadingLayer(MaterializedLayer):
    """Tasks that know what else is read in their run, once it is known which of them run.

    Parameters
    ----------
    name : str
        Of the layer, with which its keys begin.
    source : FromFiles
    parts : mapping
        Place of each block to its rows and columns.
    """

    def __init__(self, name: str, source: FromFiles, parts: Mapping[Block, Part]) -> None:
        self.name, self.source, self.parts = name, source, parts
        super().__init__(self._tasks(parts, None))

    def cull(
        self, keys: set[Any], all_hlg_keys: Collection[Any]
    ) -> tuple[Layer, Mapping[Any, set[Any]]]:
        """Return the tasks of these keys, which read ahead for each other."""
        wanted = {block: part for block, part in self.parts.items() if (self.name, *block) in keys}
        tasks = self._tasks(wanted, read_ahead(self.source, wanted, _of_graph(all_hlg_keys)))
        return MaterializedLayer(tasks, annotations=self.annotations), {k: set() for k in tasks}

    def _tasks(
        self, parts: Mapping[Block, Part], ahead: ReadAhead[Any] | None
    ) -> dict[Any, tuple[Any, ...]]:
        return {
            (self.name, *block): (block_from, self.source, part, block, ahead)
            for block, part in parts.items()
        }
