"""The tasks that compute and write the blocks of a retrieval."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.run.scheduler import lazy_variables

from .block_files import BlockFile, file_of


@dataclass(frozen=True)
class Block:
    """The same part of all variables."""

    task: tuple[Any, ...]
    """The key of what writes it."""
    files: tuple[BlockFile, ...]
    """What is written, of each variable."""


def blocks_of(
    dataset: xr.Dataset, target_of: Callable[[str], Any]
) -> tuple[list[Block], dict[Any, Any]]:
    """Return the blocks of a retrieval, and the graph of the tasks that write them.

    Parameters
    ----------
    dataset : Dataset
        A retrieval in blocks of one size.
    target_of : callable
        Returns of a variable's name what takes its blocks; its `array` is one of zarr.
    """
    from dask.highlevelgraph import HighLevelGraph

    dims = dataset["mu"].dims
    # xarray stores bool as int8, say
    arrays = {
        str(name): xr.conventions.encode_cf_variable(variable, name=name).data
        for name, variable in lazy_variables(dataset).items()
    }
    graph = dict(HighLevelGraph.merge(*(a.__dask_graph__() for a in arrays.values())))
    # no two runs on a cluster share a task
    write, block = (f"{what}-{uuid.uuid4().hex}" for what in ("write", "block"))
    tasks: dict[Any, list[Any]] = {}
    files: dict[Any, list[BlockFile]] = {}
    for name, array in arrays.items():
        target = target_of(name)
        own = dataset.variables[name].dims
        axes = [own.index(d) for d in dims if d in own]
        starts = [np.concatenate([[0], np.cumsum(c)]).tolist() for c in array.chunks]
        for index in np.ndindex(array.numblocks):
            region = tuple(slice(s[i], s[i + 1]) for s, i in zip(starts, index, strict=True))
            task = (f"{write}-{name}", *index)
            graph[task] = (_write, target, region, (array.name, *index))
            unit = tuple(index[axis] for axis in axes)
            tasks.setdefault(unit, []).append(task)
            files.setdefault(unit, []).append(file_of(target.array, name, index))
    for unit, written in tasks.items():
        graph[(block, *unit)] = (_all_written, written)
    return [Block((block, *unit), tuple(files[unit])) for unit in tasks], graph


def _write(target: Any, region: tuple[slice, ...], block: NDArray[Any]) -> None:
    target[region] = block


def _all_written(_: Sequence[None]) -> None:
    """End a block: each of its variables is in the store."""
