"""Count the pixels of a retrieval and its reference, in memory or block by block."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.kernels.parallel import map_ranges, pixels

from .bootstrap_blocks import BootstrapBlocks
from .group_counts import Counts, in_order, together
from .grouping import unknown_value
from .truth import as_truth, check_truth
from .weighing import Weighing

if TYPE_CHECKING:
    from xfusion.kernels.weight_lines import WeightLines

RANGE = 1 << 20  # pixels that are counted at a time: the kernels have room for as many
LONG_RANGE = 1 << 23  # of one group, which needs no room for each
MOST_CODES = 1 << 16  # that are counted at a time
TOGETHER = 8  # counts that one task adds

Layers = Mapping[str, Any]


@dataclass(frozen=True)
class Counting(InGraph):
    """What is counted of a block, with all its arguments, checked; picklable."""

    binary: bool
    threshold: float
    sigma_floor: float
    stand_in: float | None
    """What mu of a pixel that is not usable is taken to be; None for what it is."""
    nodata: tuple[float, ...]
    """Of the reference."""
    weighing: Weighing
    groups: int
    """How many numbers of groups there are."""
    table: NDArray[np.int32]
    """Of each value of `groups` from `least` on, the number of its group."""
    least: int
    blocks: BootstrapBlocks | None
    """What is counted apart; None if all is together."""

    def of_block(
        self,
        layers: Layers,
        rows: slice,
        columns: slice,
        largest: float,
        threads: int | None,
    ) -> Counts:
        """Count a block.

        Parameters
        ----------
        layers : mapping of str to array, shape (..., rows, columns)
            `mu`, `sigma`, `reference` and, where there are such, `mask`, `groups` and `weights`.
        rows, columns : slice
            Where in the grid it is.
        largest : float
            The largest weight.
        threads : int or None
            1 to stay in the calling thread, None for one per core.
        """
        size, shape = layers["mu"].size, layers["mu"].shape[-2:]
        if not size:
            return self._none()
        lines = self.weighing.lines(rows, columns, layers.get("weights"), largest)
        total, lock = self._none(), Lock()

        def on_range(start: int, stop: int) -> None:
            nonlocal total
            some = {name: pixels(array, start, stop) for name, array in layers.items()}
            slots, codes = self._slots(some, (rows, columns), shape, start)
            if len(codes) > MOST_CODES:
                middle = (start + stop) // 2
                on_range(start, middle)
                on_range(middle, stop)
                return
            counts = in_order(codes, *self._tally(some, slots, len(codes), lines, shape[1], start))
            with lock:  # sums of whole numbers are the same in any order
                total = together([total, counts])

        is_one = self.blocks is None and "groups" not in layers
        map_ranges(on_range, size, threads=threads, length=LONG_RANGE if is_one else RANGE)
        return total

    def _none(self) -> Counts:
        """Return the counts of no pixels."""
        from xfusion.kernels.weight_lines import WeightLines  # as in `_slots`

        floats = {name: np.empty(0, np.float64) for name in ("mu", "sigma", "reference")}
        lines = WeightLines(np.ones((1, 1)), 1)
        return in_order(np.empty(0, np.int64), *self._tally(floats, None, 0, lines, 1, 0))

    def _slots(
        self, some: Layers, where: tuple[slice, slice], shape: tuple[int, int], start: int
    ) -> tuple[NDArray[np.int32] | None, NDArray[np.int64]]:
        from xfusion.kernels.group_slots import (  # numba takes half a second to import
            NOT_KNOWN,
            slots,
        )

        if self.blocks is None and "groups" not in some:
            return None, np.zeros(1, np.int64)
        side, corner, parts = max(1, *shape), (0, 0), np.zeros((1, 1), np.int64)
        if self.blocks is not None:
            side, parts = self.blocks.side, self.blocks.of_block(*where)
            corner = where[0].start % side, where[1].start % side
        values = some.get("groups")
        found, codes, strangers = slots(
            None if values is None else np.ascontiguousarray(values, np.int64),
            self.table,
            self.least,
            self.groups,
            parts,
            side=side,
            corner=corner,
            shape=shape,
            start=start,
            size=some["mu"].size,
        )
        if strangers and values is not None:
            numbers = np.flatnonzero(self.table != NOT_KNOWN) + self.least
            raise unknown_value(values[~np.isin(values, numbers)].flat[0])
        return found, codes

    def _tally(
        self,
        some: Layers,
        slots: NDArray[np.int32] | None,
        number: int,
        lines: WeightLines,
        columns: int,
        start: int,
    ) -> tuple[Any, tuple[NDArray[np.int64], ...]]:
        from xfusion.kernels import binary_tally, continuous_tally

        mu, sigma = some["mu"], some["sigma"]
        shared: dict[str, Any] = {
            "number": number,
            "lines": lines,
            "columns": columns,
            "start": start,
            "sigma_floor": self.sigma_floor,
        }
        truth, nodata = as_truth(some["reference"], self.nodata, binary=self.binary)
        arguments = mu, sigma, some.get("mask"), truth, slots
        if not self.binary:
            cells, *others = continuous_tally.tally(*arguments, **shared)
            return cells, tuple(others)
        counts, neither, outside = binary_tally.tally(
            *arguments,
            **shared,
            nodata=nodata,
            threshold=self.threshold,
            stand_in=self.stand_in,
        )
        if neither or outside:
            check_truth(some["reference"], self.nodata, mu, sigma, some.get("mask"))
        return counts.cells, (counts.sums, counts.words)


Finish: TypeAlias = Callable[[Counts, float], Mapping[str, NDArray[Any]]]


def counted(
    counting: Counting,
    layers: Mapping[str, xr.Variable],
    largest: Any,
    finish: Finish,
    results: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]],
) -> Mapping[str, Any]:
    """Return what is made of the counts of all pixels, lazy where a layer is.

    Parameters
    ----------
    counting : Counting
    layers : mapping of str to Variable
        As :meth:`Counting.of_block` takes them.
    largest : float, or dask array without dims
        The largest weight.
    finish : callable
        Makes the results, of the counts and the largest weight; picklable.
    results : mapping
        Name -> shape and dtype of what it makes.
    """
    lazy = [layer.chunksizes for layer in layers.values() if layer.chunks is not None]
    if not lazy:
        arrays = {name: layer.to_numpy() for name, layer in layers.items()}
        rows, columns = (slice(0, length) for length in arrays["mu"].shape[-2:])
        return finish(counting.of_block(arrays, rows, columns, largest, None), largest)
    blocks = {
        name: layer.chunk(lazy[0]).data if layer.chunks is None else layer.data
        for name, layer in layers.items()
    }
    return _counted_lazily(counting, blocks, largest, finish, results)


def _counted_lazily(
    counting: Counting,
    layers: Mapping[str, Any],
    largest: Any,
    finish: Finish,
    results: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]],
) -> dict[str, Any]:
    """Return dask arrays: a task counts each block, and a seventh as many add the counts."""
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

    axes = tuple(range(layers["mu"].ndim))
    _, arrays = da.core.unify_chunks(*itertools.chain(*((a, axes) for a in layers.values())))
    chunks = arrays[0].chunks
    names = tuple(layers)
    lazy_weight = isinstance(largest, da.Array)
    weight = (largest.name,) if lazy_weight else largest
    token = tokenize(counting, names, [a.name for a in arrays], weight, finish)
    name = f"assess-{token}"
    starts = [[0, *itertools.accumulate(sizes)] for sizes in chunks]
    tasks: dict[Any, Any] = {}
    for place in itertools.product(*(range(len(sizes)) for sizes in chunks)):
        row, column = (
            slice(starts[k][place[k]], starts[k][place[k] + 1]) for k in (len(place) - 2, -1)
        )
        blocks = [(array.name, *place) for array in arrays]
        tasks[(name, 0, len(tasks))] = (_on_block, counting, names, blocks, row, column, weight)
    level, count = 0, len(tasks)
    while count > 1:
        for k, start in enumerate(range(0, count, TOGETHER)):
            some = [(name, level, i) for i in range(start, min(count, start + TOGETHER))]
            tasks[(name, level + 1, k)] = (together, some)
        level, count = level + 1, -(-count // TOGETHER)
    last = f"{name}-scores"
    tasks[last] = (_finished, finish, (name, level, 0), weight)
    dependencies = [*arrays, *([largest] if lazy_weight else [])]
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=dependencies)
    return {
        result: _picked(graph, MaterializedLayer, da, (name, last, result), shape, dtype)
        for result, (shape, dtype) in results.items()
    }


def _picked(
    graph: Any,
    layer: Any,
    da: Any,
    names: tuple[str, str, str],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> Any:
    name, last, result = names
    part = f"{last}-{result}"
    pick = layer({(part, *([0] * len(shape))): (_pick, last, result)})
    layers = {**graph.layers, part: pick}
    picked = type(graph)(layers, {**graph.dependencies, part: {name}})
    return da.Array(picked, part, tuple((n,) for n in shape), dtype=dtype)


def _on_block(
    counting: Counting,
    names: tuple[str, ...],
    blocks: list[NDArray[Any]],
    rows: slice,
    columns: slice,
    largest: float,
) -> Counts:
    layers = dict(zip(names, blocks, strict=True))
    return counting.of_block(layers, rows, columns, float(largest), 1)


def _finished(finish: Finish, counts: Counts, largest: float) -> Mapping[str, NDArray[Any]]:
    return finish(counts, float(largest))


def _pick(results: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    return results[name]
