"""Sums over the blocks of a grid, each of which sees some pixels around it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .rectangles import Pixels

T = TypeVar("T")


class Task(Protocol[T]):
    """What is done with a block, and then with the sum of all."""

    @property
    def reach(self) -> tuple[int, int]:
        """How many rows and columns around it a block has to see."""

    def of_block(
        self,
        centre: Sequence[NDArray[Any]],
        around: Sequence[NDArray[Any]],
        block: Pixels,
        seen: Pixels,
        known: NDArray[np.float64],
    ) -> T:
        """Return what a block adds to the sum, anything that has a plus.

        Parameters
        ----------
        centre : sequence of arrays, shape (retrievals, rows, columns)
        around : sequence of arrays, shape (retrievals, more rows, more columns)
            With the pixels within reach, as far as the grid goes; of a length of 1 where all
            retrievals have the same.
        block, seen : Pixels
            Where these are on the grid.
        known : array
            Numbers that all blocks are given.
        """

    def result(self, total: T) -> NDArray[np.float64]:
        """Return the result of a sum, of shape (retrievals, ...)."""


def summed_over_blocks(
    task: Task[Any],
    centre: Sequence[xr.DataArray],
    around: Sequence[xr.DataArray],
    known: Any,
    shape: tuple[int, ...],
) -> Any:
    """Return the result of a task, lazy where an array is.

    Parameters
    ----------
    task : Task
    centre, around : sequence of DataArrays, dims (..., rows, columns)
        On one grid; the first has all dims.
    known : array
        Numbers for all blocks, of one dim; may be lazy.
    shape : tuple of int
        Of the result for each retrieval.

    Returns
    -------
    array
        Of the dims of the first that are not spatial, and of that shape. One task reads a block
        with its surroundings, others add up a few sums each: memory and graph are those of blocks.
    """
    arrays = [*centre, *around]
    if all(array.chunks is None for array in arrays) and isinstance(known, np.ndarray):
        part = _of_block(*(a.to_numpy() for a in arrays), 0, 0, known, task=task, count=len(centre))
        return _Result(task)(part)
    return _lazy(task, arrays, len(centre), known, shape)


def _lazy(
    task: Task[Any], arrays: Sequence[xr.DataArray], count: int, known: Any, shape: tuple[int, ...]
) -> Any:
    import dask.array as da
    from dask.array.overlap import ensure_minimum_chunksize, overlap

    lazy: Any = xr.unify_chunks(*(a.chunk() if a.chunks is None else a for a in arrays))
    dims = lazy[0].dims
    reach = dict(zip(dims[-2:], task.reach, strict=True))
    blocks = dict(lazy[0].chunksizes)
    blocks |= {d: ensure_minimum_chunksize(max(1, n), blocks[d]) for d, n in reach.items()}
    number: dict[Any, int] = {dim: i for i, dim in enumerate(dims)}
    arguments: list[Any] = []
    for position, array in enumerate(lazy):
        data = array.chunk({d: blocks[d] for d in array.dims}).data
        if position >= count:
            depth = {array.get_axis_num(d): n for d, n in reach.items()}
            data = overlap(data, depth=depth, boundary="none", allow_rechunk=False)
        arguments += [data, tuple(number[d] for d in array.dims)]
    for dim in reach:
        starts = np.cumsum([0, *blocks[dim][:-1]])
        arguments += [da.from_array(starts, chunks=1), (number[dim],)]
    apart = len(dims) + len(shape)  # an index of no dim of the result
    arguments += [da.asarray(known).rechunk(-1), (apart,)]
    extra = {len(dims) + i: n for i, n in enumerate(shape)}
    parts = da.blockwise(
        _of_block,
        (*number.values(), *extra),
        *arguments,
        task=task,
        count=count,
        new_axes=extra,
        adjust_chunks=dict.fromkeys((number[d] for d in reach), lambda _: 1),
        concatenate=True,
        align_arrays=False,
        dtype=np.float64,
        meta=np.empty((0,) * apart),
    )
    return da.reduction(
        parts,
        chunk=_same,
        combine=_sum,
        aggregate=_Result(task),
        axis=tuple(number[d] for d in reach),
        concatenate=False,
        dtype=np.float64,
        meta=np.empty((0,) * (apart - len(reach))),
    )


class _Part(NamedTuple):
    """What a block adds, and how many retrievals it has along each dim."""

    lengths: tuple[int, ...]
    total: Any


def _of_block(*arguments: Any, task: Task[Any], count: int) -> _Part:
    *arrays, row, column, known = arguments
    lengths = arrays[0].shape[:-2]
    first = [int(np.ravel(start)[0]) for start in (row, column)]
    from_first = [max(0, start - n) for start, n in zip(first, task.reach, strict=True)]
    block = Pixels.at(first, arrays[0].shape[-2:])
    seen = Pixels.at(from_first, arrays[count].shape[-2:])
    number = math.prod(lengths)
    centre = [a.reshape(number, *a.shape[-2:]) for a in arrays[:count]]
    around = [a.reshape(-1, *a.shape[-2:])[:number] for a in arrays[count:]]
    return _Part(lengths, task.of_block(centre, around, block, seen, known))


def _same(part: Any, **_: Any) -> Any:
    return part


def _sum(parts: Any, **_: Any) -> _Part:
    first, *others = _each(parts)
    total = first.total
    for part in others:
        total = total + part.total
    return _Part(first.lengths, total)


def _each(parts: Any) -> Iterator[_Part]:
    """Yield the parts of a list of lists, as dask gives them."""
    if isinstance(parts, _Part):
        yield parts
        return
    for part in parts:
        yield from _each(part)


@dataclass(frozen=True)
class _Result:
    """The last step of a sum, under a name that dask can tell from others."""

    task: Task[Any]

    def __call__(self, parts: Any, **_: Any) -> NDArray[np.float64]:
        whole = _sum(parts)
        result = self.task.result(whole.total)
        return result.reshape(*whole.lengths, *result.shape[1:])
