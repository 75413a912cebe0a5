"""Blocks of a target from windows of files: what dask is told, and what a task does."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.chunks import Blocks
from xfusion.datamodel.graph import InGraph
from xfusion.kernels import parallel
from xfusion.kernels.control import ControlGrid
from xfusion.kernels.control import Window as OfSource
from xfusion.raster.ahead import Ask, Block, ReadAhead, Together, Window
from xfusion.raster.file import RasterFile
from xfusion.run.allocation import keep_freed_memory

from .on_block import Warp, slices

Part: TypeAlias = tuple[slice, slice]
"""Rows and columns of a target."""


class FromFiles(Protocol):
    """What computes the blocks of a target from files."""

    def plan(self, rows: slice, columns: slice, ask: Ask) -> Any:
        """Ask for the windows that a block needs, and return them with what else it needs."""

    def on(self, rows: slice, columns: slice, plan: Any) -> tuple[NDArray[Any], ...]:
        """Return the layers of a block."""


@dataclass(frozen=True)
class PlannedBlock:
    """Where a block lies in files of one grid, and what was asked of them."""

    grid: ControlGrid
    window: OfSource | None
    """None where it misses them."""
    files: tuple[Window, ...]


@dataclass(frozen=True)
class WarpedFiles(InGraph):
    """The layers of a retrieval in files of one grid, on another grid."""

    warp: Warp
    files: tuple[RasterFile, ...]

    def plan(self, rows: slice, columns: slice, ask: Ask) -> PlannedBlock:
        """See :class:`FromFiles`."""
        grid = self.warp.mapping.control_grid(rows, columns)
        window = self.warp.mapping.window(grid)
        asked = () if window is None else tuple(ask(f, window.slices, None) for f in self.files)
        return PlannedBlock(grid, window, asked)

    def on(self, rows: slice, columns: slice, plan: PlannedBlock) -> tuple[NDArray[Any], ...]:
        """See :class:`FromFiles`."""
        keep_freed_memory()
        shape = rows.stop - rows.start, columns.stop - columns.start
        layers = [window.take()[0] for window in plan.files]
        outputs = tuple(np.empty(shape, file.dtype) for file in self.files)
        self.warp.on(layers, plan.window, plan.grid, outputs)
        return outputs


def lazy_blocks(
    name: str, source: FromFiles, blocks: Blocks, dtypes: Sequence[np.dtype[Any]]
) -> list[Any]:
    """Return the layers of a target as dask arrays, one task for each block.

    Parameters
    ----------
    name : str
        That tells what is computed.
    source : FromFiles
    blocks : pair of tuples of int
        Rows and columns of the blocks.
    dtypes : sequence of dtype
        Of the layers.
    """
    from dask.highlevelgraph import HighLevelGraph

    from .reading_layer import ReadingLayer

    layer = ReadingLayer(name, source, parts_of(blocks))
    graph = HighLevelGraph({name: layer}, {name: set()})
    return [picked(graph, name, layer, k, blocks, dtype) for k, dtype in enumerate(dtypes)]


def blocks_at_once(source: FromFiles, blocks: Blocks) -> list[tuple[NDArray[Any], ...]]:
    """Return the layers of each block, row by row, computed now in threads."""
    parts = parts_of(blocks)
    ahead: ReadAhead[Any] = read_ahead(source, parts)

    def on_part(block: Block) -> tuple[NDArray[Any], ...]:
        return source.on(*parts[block], ahead.begin(block))

    with ThreadPoolExecutor(min(parallel.core_count(), max(1, len(parts)))) as pool:
        return list(pool.map(on_part, parts))


def parts_of(blocks: Blocks) -> dict[Block, Part]:
    """Return where all blocks lie, by their places, row by row."""
    down, across = (enumerate(slices(sizes)) for sizes in blocks)
    return {(i, j): (r, c) for (i, r), (j, c) in itertools.product(down, across)}


def read_ahead(
    source: FromFiles, parts: Mapping[Block, Part], others: Together | None = None
) -> ReadAhead[Any]:
    """Return what reads for blocks that one run computes, as one with others."""
    return ReadAhead(list(parts), lambda block, ask: source.plan(*parts[block], ask), others)


def block_from(
    source: FromFiles, part: Part, block: Block, ahead: ReadAhead[Any] | None
) -> tuple[NDArray[Any], ...]:
    """Return the layers of a block; the task of dask."""
    # in another process than that of the run, what this one block needs is still read together
    reading = read_ahead(source, {block: part}) if ahead is None else ahead
    return source.on(*part, reading.begin(block))


def asked_for(
    source: FromFiles, part: Part, block: Block, ahead: ReadAhead[Any] | None
) -> tuple[FromFiles, Part, Block, ReadAhead[Any]]:
    """Ask for what a block needs of files, and return what :func:`block_from` then takes."""
    reading = read_ahead(source, {block: part}) if ahead is None else ahead
    reading.ask(block)
    return source, part, block, reading


def with_reading_ahead(graph: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a graph whose tasks that read files do so for each other, as all of it runs here."""
    of_source: dict[int, list[Any]] = {}
    for key, task in graph.items():
        if isinstance(task, tuple) and task[0] is block_from:
            of_source.setdefault(id(task[1]), []).append(key)
    tasks, others = dict(graph), Together()
    for keys in of_source.values():
        function, source, *_ = graph[keys[0]]
        parts = {block: part for _, _, part, block, _ in (graph[key] for key in keys)}
        ahead = read_ahead(source, parts, others)
        tasks |= {
            key: (function, source, part, block, ahead)
            for key, (_, _, part, block, _) in ((key, graph[key]) for key in keys)
        }
    return tasks


def picked(
    graph: Any, name: str, tasks: Mapping[Any, Any], k: int, chunks: Any, dtype: np.dtype[Any]
) -> Any:
    """Return layer k of the tasks' results as a dask array."""
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

    from xfusion.run.placing import placed

    part = f"{name}-{k}"
    picks = MaterializedLayer({(part, *key[1:]): (_pick, key, k) for key in tasks})
    layers = {**graph.layers, part: picks}
    picked = HighLevelGraph(layers, {**graph.dependencies, part: {name}})
    return placed(da.Array(picked, part, chunks, dtype=dtype))


def _pick(block: tuple[NDArray[Any], ...], k: int) -> NDArray[Any]:
    return block[k]
