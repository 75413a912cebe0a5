"""Lazy arrays whose blocks are put at their places in the result as they are computed.

dask keeps all blocks until the last is done, and then copies them together in one thread. Imported
late, as dask takes a while to import.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.array.core import finalize
from dask.callbacks import Callback
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer
from numpy.typing import NDArray


def placed(array: Any) -> Any:
    """Return a dask array that comes into memory as one, not as blocks that are then joined.

    Parameters
    ----------
    array : dask array

    Returns
    -------
    dask array
        The same tasks by the same names. Once they are run by threads, for a task that takes all
        blocks at once (as that does which ends :func:`dask.compute`), each block moves to its
        place in one array. Whatever else is done with the array, and by whom, blocks are blocks.
    """
    if array.npartitions == 1 or math.isnan(array.size):
        return array
    layer = array.dask.layers[array.name]
    if not isinstance(layer, PlacingLayer):  # a place of its own for each would be one too many
        layer = PlacingLayer(layer, array.chunks, array.dtype)
    graph = HighLevelGraph({**array.dask.layers, array.name: layer}, array.dask.dependencies)
    result = da.Array(graph, array.name, array.chunks, meta=array._meta)  # noqa: SLF001  # as dask does
    # of this array alone: xarray does not mix a class of its own with plain dask arrays
    vars(result)["__dask_postcompute__"] = lambda: (_joined, ())
    return result


class PlacingLayer(Layer):
    """The tasks of the blocks of an array, which know their places once a run is to begin."""

    def __init__(
        self, layer: Layer, chunks: tuple[tuple[int, ...], ...], dtype: np.dtype[Any]
    ) -> None:
        super().__init__(layer.annotations, layer.collection_annotations)
        self.layer, self.chunks, self.dtype = layer, chunks, dtype

    def __getitem__(self, key: Any) -> Any:
        return self.layer[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layer)

    def __len__(self) -> int:
        return len(self.layer)

    def is_materialized(self) -> bool:
        """Tell whether its tasks are there already."""
        return self.layer.is_materialized()

    def get_output_keys(self) -> set[Any]:
        """Return the keys of the blocks."""
        return {*self.layer.get_output_keys()}

    def cull(
        self, keys: set[Any], all_hlg_keys: Collection[Any]
    ) -> tuple[Layer, Mapping[Any, set[Any]]]:
        """Return the tasks of these keys."""
        culled, dependencies = self.layer.cull(keys, all_hlg_keys)
        if len(culled) < math.prod(map(len, self.chunks)):
            return culled, dependencies
        place = Place([*culled], self.chunks, self.dtype)
        blocks: Any = culled.items()  # whose keys are tuples
        tasks = {key: (functools.partial(place.put, key[1:]), task) for key, task in blocks}
        return MaterializedLayer(tasks, annotations=self.annotations), dependencies


class Place:
    """Where the blocks of one run go, if one of its tasks takes all of them at once.

    Another process, to which a task is sent, hands them on.
    """

    def __init__(
        self, keys: Sequence[Any], chunks: tuple[tuple[int, ...], ...], dtype: np.dtype[Any]
    ) -> None:
        self.keys, self._dtype = keys, dtype
        self._edges = [[0, *itertools.accumulate(sizes)] for sizes in chunks]
        self._lock = threading.Lock()
        self._run: int | None = None
        self._array: NDArray[Any] | None = None
        _PLACES.add(self)

    def __reduce__(self) -> tuple[type[_Nowhere], tuple[()]]:
        return _Nowhere, ()

    def put(self, index: tuple[int, ...], block: Any) -> Any:
        """Return a block, which lies in the result if that is wanted."""
        if self._run is None or type(block) is not np.ndarray or block.dtype != self._dtype:
            return block
        region = tuple(slice(e[i], e[i + 1]) for e, i in zip(self._edges, index, strict=True))
        with self._lock:
            if self._array is None:
                self._array = np.empty([e[-1] for e in self._edges], self._dtype)
            part = self._array[region]
        if part.shape != block.shape:
            return block
        part[...] = block
        return part

    def take(self, blocks: Sequence[Any]) -> NDArray[Any] | None:
        """Return the result whose parts these are, once; None if there is none."""
        with self._lock:
            array = self._array
            if array is None or len(blocks) != len(self.keys):
                return None
            if any(getattr(block, "base", None) is not array for block in blocks):
                return None
            self._array = None
            return array

    def begin(self, tasks: Mapping[Any, Any], state: Mapping[str, Any]) -> None:
        """Look whether a run is that of these tasks, and takes all blocks at once."""
        takers = [state["dependents"].get(key, ()) for key in self.keys]
        if set.intersection(*map(set, takers)) and self in _places_in(tasks, self.keys[0]):
            self._run = id(state)

    def end(self, state: Mapping[str, Any]) -> None:
        """Forget what a run has left, if it was that of these tasks."""
        if self._run == id(state):
            self._run = self._array = None


class _Nowhere:
    """What a place is in another process, to which methods of a place may come with it."""

    _run: int | None = None

    def put(self, index: tuple[int, ...], block: Any) -> Any:
        del index
        return block


class _Places:
    """The places of runs that are to begin or under way, which dask tells when they do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: weakref.WeakSet[Place] = weakref.WeakSet()
        self._callback = Callback(start_state=self._begin, finish=self._end)

    def add(self, place: Place) -> None:
        with self._lock:
            self._places.add(place)
        # each time: runs at the same time can make dask forget it
        self._callback.register()

    def _begin(self, tasks: Mapping[Any, Any], state: Mapping[str, Any]) -> None:
        for place in self:
            place.begin(tasks, state)

    def _end(self, _: Mapping[Any, Any], state: Mapping[str, Any], __: bool) -> None:  # noqa: FBT001  # as dask calls it
        for place in self:
            place.end(state)

    def __iter__(self) -> Iterator[Place]:
        with self._lock:
            return iter([*self._places])


_PLACES = _Places()


def _joined(blocks: Any) -> Any:
    """Return the array that nested lists of blocks make."""
    flat = [*flatten(blocks, container=(list, tuple))]
    taken = (place.take(flat) for place in _PLACES)
    array = next((each for each in taken if each is not None), None)
    return finalize(blocks) if array is None else array


def _places_in(tasks: Mapping[Any, Any], key: Any) -> list[Place]:
    """Return the places that a task knows, which may be fused with others or an alias of it."""
    task = tasks.get(key)
    target = getattr(task, "target", None)
    return [*_places_of(task if target is None else tasks.get(target))]


def _places_of(part: Any) -> Iterator[Place]:
    inner: Any = ()
    if isinstance(part, Place):
        yield part
    elif isinstance(part, list | tuple):
        inner = part
    elif isinstance(part, dict):
        inner = part.values()
    elif callable(part):
        names = ("func", "args", "__self__")
        inner = [getattr(part, name) for name in names if hasattr(part, name)]
    for each in inner:
        yield from _places_of(each)
