"""A layer of a graph of dask whose blocks are read from files.

Imported late, as dask takes a while to import.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dask.highlevelgraph import Layer, MaterializedLayer

from xfusion.raster.ahead import Block, ReadAhead

from .from_files import FromFiles, Part, block_from, read_ahead


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
        del all_hlg_keys  # they need no other's
        wanted = {block: part for block, part in self.parts.items() if (self.name, *block) in keys}
        tasks = self._tasks(wanted, read_ahead(self.source, wanted))
        return MaterializedLayer(tasks, annotations=self.annotations), {k: set() for k in tasks}

    def _tasks(
        self, parts: Mapping[Block, Part], ahead: ReadAhead[Any] | None
    ) -> dict[Any, tuple[Any, ...]]:
        return {
            (self.name, *block): (block_from, self.source, part, block, ahead)
            for block, part in parts.items()
        }
