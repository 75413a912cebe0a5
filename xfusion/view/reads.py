"""Which windows of which files the tasks of a graph read, by the tasks and without running them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from xfusion.datamodel.graph import InGraph, parts_of
from xfusion.datamodel.names import MASK, MU, SIGMA
from xfusion.masks.odc_bands import OdcBands
from xfusion.raster.ahead import Ask
from xfusion.raster.file import Area, RasterFile
from xfusion.raster.tiles import Pixels
from xfusion.warp.from_files import FromFiles, Part, WarpedFiles, block_from

GETTERS = ("getter", "getter_nofancy", "getter_inline", "getitem")
MOST_DIMS = 2  # of a window of a raster


class Read(NamedTuple):
    """A window of a file, or of an array of another library, that a task reads."""

    source: Any
    """A RasterFile, or an array that is no numpy array."""
    area: Area | None
    """Rows and columns; None where that is not known."""
    layer: str
    """What is in it, "" where the graph does not say."""
    is_shared: bool
    """Whether what it has in common with other windows is read once."""
    size: int
    """Bytes in memory."""


class TaskReads(NamedTuple):
    """What one task reads, and how many bytes it makes of it."""

    reads: tuple[Read, ...]
    made: int
    at_once: int
    """Bytes of the windows that it needs at the same time."""


def reads_of(graph: Mapping[Any, Any]) -> dict[Any, TaskReads]:
    """Return what each task reads, of those that read something.

    Parameters
    ----------
    graph : mapping
        Key to task, as dask would run them.
    """
    found: dict[Any, TaskReads] = {}
    for key, task in graph.items():
        each = [*_reads(task, graph)]
        if each:
            reads = tuple(read for one in each for read in one.reads)
            made = sum(one.made for one in each)
            found[key] = TaskReads(reads, made, max(one.at_once for one in each))
    return found


def inputs_of(task: Any) -> set[Any]:
    """Return the keys of the tasks whose results a task takes."""
    return set(getattr(task, "dependencies", ()))


class _Noted:
    """A window that nobody will take."""

    def take(self) -> Pixels:
        raise NotImplementedError


def _reads(task: Any, known: Mapping[Any, Any]) -> Iterator[TaskReads]:
    """Yield what a task reads, and the tasks within it."""
    function, arguments = _call_of(task)
    if function is None:
        return
    name = getattr(function, "__name__", "")
    if function is block_from:
        source, part, *_ = (_value(each, known) for each in arguments)
        yield _of_block(source, part)
    elif name in GETTERS and len(arguments) > 1:
        array, index = (_value(each, known) for each in arguments[:2])
        yield from _of_index(array, index)
    elif name == "_execute_subgraph":
        yield from _within(arguments, known)
    else:
        for inner in arguments:
            yield from _reads(inner, known)
        yield from _of_others(arguments)


def _within(arguments: Sequence[Any], known: Mapping[Any, Any]) -> Iterator[TaskReads]:
    """Yield what tasks read that dask has joined to one."""
    inner, _, names, *given = arguments
    inside = dict(zip(names, (_value(each, known) for each in given), strict=False)) | inner
    for task in inner.values():
        yield from _reads(task, inside)


def _call_of(task: Any) -> tuple[Any, Sequence[Any]]:
    """Return the function of a task and its arguments, (None, ()) of what is no task."""
    if isinstance(task, tuple) and task and callable(task[0]):
        return task[0], task[1:]
    function = getattr(task, "func", None)
    if function is None or not hasattr(task, "key"):
        return None, ()
    return function, [*task.args, *task.kwargs.values()]


def _value(part: Any, known: Mapping[Any, Any]) -> Any:
    """Return what an argument is before anything runs; a task, or None, where that is made."""
    for _ in range(len(known) + 1):
        name = type(part).__name__
        if name == "DataNode":
            return part.value
        if name not in ("Alias", "TaskRef"):
            return part
        part = known.get(part.target if name == "Alias" else part.key)
    return None


def _of_block(source: FromFiles, part: Part) -> TaskReads:
    """Return what a block of a target needs, as it is planned when it is begun."""
    layers = _layers_of(source)
    reads: list[Read] = []

    def ask(file: RasterFile, area: Area, fill: float | None) -> _Noted:
        del fill  # whatever becomes of what cannot be read
        reads.append(_read(file, area, layers.get(id(file), ""), is_shared=True))
        return _Noted()

    asking: Ask = ask
    source.plan(*part, asking)
    for bands in _all_of(OdcBands, source):
        areas = bands.windows(*part)
        reads += [
            _read(file, area, layers.get(id(file), ""), is_shared=False)
            for file in bands.files
            for area in areas
        ]
    pixels = (part[0].stop - part[0].start) * (part[1].stop - part[1].start)
    made = pixels * sum(dtype.itemsize for dtype in _dtypes_of(source))
    return TaskReads(tuple(reads), made, sum(read.size for read in reads))


def _read(file: RasterFile, area: Area, layer: str, *, is_shared: bool) -> Read:
    rows, columns = area
    pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Read(file, area, layer, is_shared, pixels * file.dtype.itemsize)


def _dtypes_of(source: Any) -> list[np.dtype[Any]]:
    """Return the dtypes of the layers that a block is made of."""
    if isinstance(source, WarpedFiles):
        return [file.dtype for file in source.files]
    return [*source.dtypes]


def _layers_of(source: Any) -> dict[int, str]:
    """Return which layer is in which file, by the identities of these."""
    if isinstance(source, WarpedFiles):
        names: Sequence[str] = (MU, SIGMA, MASK) if len(source.files) > 1 else ("flags",)
        return {id(file): name for file, name in zip(source.files, names, strict=False)}
    named = _all_of(InGraph, source)
    return {
        id(file): name
        for bands in named
        if hasattr(bands, "names") and hasattr(bands, "files")
        for file, name in zip(bands.files, bands.names, strict=True)
    }


def _all_of(kind: Callable[..., Any], part: Any) -> list[Any]:
    """Return all parts of a kind, in their order."""
    if not isinstance(part, InGraph | tuple):
        return []
    found = [part] if isinstance(part, kind) else []  # type: ignore[arg-type]  # a class
    return [*found, *(each for inner in parts_of(part) for each in _all_of(kind, inner))]


def _of_index(array: Any, index: Any) -> Iterator[TaskReads]:
    """Yield what is read of an array where dask takes a part of it."""
    if array is None or isinstance(array, np.ndarray) or _call_of(array)[0] is not None:
        return  # in memory, or made by another task
    shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
    if shape is None or dtype is None or type(array).__module__.startswith("pandas"):
        return
    along = index if isinstance(index, tuple) else (index,)
    spans = [_span(part, n) for part, n in zip(along, shape, strict=False)]
    spans += [slice(0, n) for n in shape[len(spans) :]]
    size = int(np.prod([s.stop - s.start for s in spans], dtype=np.int64)) * dtype.itemsize
    area = (spans[-2], spans[-1]) if len(spans) >= MOST_DIMS else None
    yield TaskReads((Read(array, area, "", is_shared=False, size=size),), size, size)


def _span(part: Any, length: int) -> slice:
    """Return the window that is read for a selection, which may be of single rows."""
    if isinstance(part, slice):
        positions: Any = range(*part.indices(length))
        ends = (positions[0], positions[-1]) if positions else (0, -1)
        return slice(min(ends), max(ends) + 1)
    chosen = np.asarray(part) % max(1, length)
    return slice(int(chosen.min(initial=length)), int(chosen.max(initial=-1)) + 1)


def _of_others(arguments: Sequence[Any]) -> Iterator[TaskReads]:
    """Yield the files that tasks of other readers name, such as those of odc.stac.load."""
    for part in arguments:
        if isinstance(getattr(part, "uri", None), str):
            yield TaskReads((Read(part.uri, None, "", is_shared=True, size=0),), 0, 0)
