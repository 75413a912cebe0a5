"""What a run would read, compute and write, before anything is."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from xfusion.datamodel.names import MU, SIGMA
from xfusion.datamodel.provenance import CATALOG, ITEMS
from xfusion.datamodel.redaction import public
from xfusion.datamodel.validation import Retrieval
from xfusion.raster.file import RasterFile
from xfusion.raster.origin import recall, recall_each
from xfusion.raster.patience import is_on_the_web
from xfusion.raster.stored import stored_bytes
from xfusion.run.scheduler import lazy_variables, scheduler_of, worker_count
from xfusion.store.blocks import in_blocks

from .explanation import Explanation, FileRead
from .reads import Read, TaskReads, inputs_of, reads_of
from .steps import steps_of

TRIED = 24  # blocks whose memory is estimated, evenly among all


def explain(dataset: Retrieval, /) -> Explanation:
    """Say what would be read, computed and written, before anything is.

    Files and windows are those of the tasks that dask would run, not a guess from attributes. No
    task is run and no pixel is read. Of GeoTIFFs on this machine the index is looked at; nothing
    on the web is asked for.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, bands or any other; what is in memory needs nothing.

    Returns
    -------
    Explanation
        Printed, or shown in Jupyter, it says: which files are read, which of their rows and
        columns, and how many bytes that is; how many blocks and tasks there are; what is done in
        words; how much memory the blocks need that are computed at a time, and the result; and
        what writing it would take. Each is a field as well.

    Notes
    -----
    Bytes that are read are those of the tiles that the windows touch, where the index of the file
    says them; else those of the pixels of the windows in memory, which is said to be about so
    many: stored, they are mostly fewer, while tiles reach beyond a window. Memory is that of the
    layers of a block of each input, of the largest window beside them, and of the result.

    It takes as long as dask takes to prepare the run.

    Examples
    --------
    >>> import tempfile, xfusion as xf
    >>> from xfusion.demo import write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> s1 = xf.raster.open_retrieval(scene.s1_mu, scene.s1_sigma)
    >>> s2 = xf.raster.open_retrieval(scene.s2_mu, scene.s2_sigma)
    >>> water = xf.gaussian(s1.fusion.coregister(s2), s2)
    >>> plan = xf.explain(water)
    >>> plan.blocks, len(plan.files), plan.steps[-1]
    (1, 4, 'fusion: gaussian of 2 retrievals')
    """
    dataset = dataset if isinstance(dataset, xr.Dataset) else dataset.dataset
    lazy = lazy_variables(dataset)
    arrays = {str(name): variable for name, variable in lazy.items()}
    size = sum(v.nbytes for v in dataset.variables.values())
    if not lazy:
        return Explanation(
            variables={},
            sizes={str(d): n for d, n in dataset.sizes.items()},
            blocks=0,
            block=(),
            tasks=0,
            files=(),
            items=(),
            catalogs=(),
            steps=(),
            workers=1,
            bytes_of_block=0,
            bytes_of_result=size,
            blocks_in_store=0,
        )
    import dask

    [optimised] = dask.optimize(dataset)
    graph: dict[Any, Any] = dict(optimised.__dask_graph__())
    reads = reads_of(graph)
    first = max(arrays.values(), key=lambda v: v.data.npartitions)
    return Explanation(
        variables={name: str(v.dtype) for name, v in arrays.items()},
        sizes={str(d): n for d, n in first.sizes.items()},
        blocks=first.data.npartitions,
        block=tuple(max(sizes) for sizes in first.data.chunks),
        tasks=len(graph),
        files=_files(reads, _layers(arrays)),
        items=tuple(str(dataset.attrs.get(ITEMS, "")).split()),
        catalogs=tuple(map(public, str(dataset.attrs.get(CATALOG, "")).split())),
        steps=tuple(steps_of(dataset.__dask_graph__())),
        workers=_workers(lazy.values()),
        bytes_of_block=_bytes_of_block(graph, reads, lazy_variables(optimised)),
        bytes_of_result=size,
        blocks_in_store=_blocks_in_store(dataset),
    )


def _blocks_in_store(dataset: xr.Dataset) -> int:
    stored = dataset
    if {MU, SIGMA} <= {*dataset.data_vars}:
        with contextlib.suppress(ValueError):  # of no pixels there is no store
            stored = in_blocks(dataset)
    return sum(v.data.npartitions for v in lazy_variables(stored).values())


def _workers(lazy: Iterable[xr.Variable]) -> int:
    from dask.local import get_sync

    scheduler, client = scheduler_of(lazy)
    return 1 if scheduler is get_sync else worker_count(client)


def _layers(arrays: Mapping[str, xr.Variable]) -> dict[str, str]:
    """Return which layer is in which file, of those that are as they were opened."""
    layers = {}
    for name, variable in arrays.items():
        alone = recall(variable)
        for file in (recall_each(variable) or ()) if alone is None else (alone,):
            layers[file.path] = name
    return layers


def _files(reads: Mapping[Any, TaskReads], layers: Mapping[str, str]) -> tuple[FileRead, ...]:
    by_source: dict[Any, list[Read]] = {}
    for of_task in reads.values():
        for read in of_task.reads:
            by_source.setdefault(_identity(read.source), []).append(read)
    files = [_file(of_one, layers) for of_one in by_source.values()]
    # tasks are in another order in each process
    return tuple(sorted(files, key=lambda file: (file.name, file.layer)))


def _identity(source: Any) -> Any:
    if isinstance(source, RasterFile):
        return source.path, source.band
    return source if isinstance(source, str) else id(source)


def _file(reads: list[Read], layers: Mapping[str, str]) -> FileRead:
    source = reads[0].source
    areas = [read.area for read in reads if read.area is not None]
    ends = [
        (min(area[k].start for area in areas), max(area[k].stop for area in areas))
        for k in range(2 * bool(areas))
    ]
    path = source.path if isinstance(source, RasterFile) else _name(source)
    own = source.layer if isinstance(source, RasterFile) else ""
    layer = next((read.layer for read in reads if read.layer), layers.get(path, own))
    size: tuple[int | None, bool, bool] = sum(read.size for read in reads), True, True
    if isinstance(source, RasterFile):
        size = stored_bytes(source, areas, is_shared=all(read.is_shared for read in reads))
    elif isinstance(source, str):
        size = _whole(source)
    return FileRead(
        name=public(path),
        layer=layer,
        windows=len(reads),
        rows=ends[0] if areas else None,
        columns=ends[1] if areas else None,
        shape=getattr(source, "shape", None),
        pixels=sum(read.size for read in reads) // _itemsize(source),
        bytes=size[0],
        is_estimate=size[1],
        is_there=size[2],
    )


def _itemsize(source: Any) -> int:
    dtype = getattr(source, "dtype", None)
    return 1 if dtype is None else int(dtype.itemsize)


def _whole(path: str) -> tuple[int | None, bool, bool]:
    """Return the size of a file that another reader reads, of which the windows are not known."""
    if is_on_the_web(path):
        return None, True, True
    file = Path(path)
    return (file.stat().st_size, True, True) if file.is_file() else (None, True, False)


def _name(source: Any) -> str:
    """Return what an array of another library calls its file, else its class."""
    if isinstance(source, str):
        return source
    inner = source
    while hasattr(inner, "array"):  # the wrappers of xarray
        inner = inner.array
    in_zarr = getattr(getattr(inner, "_array", inner), "store_path", None)
    if in_zarr is not None:
        return str(in_zarr)
    file = getattr(getattr(inner, "datastore", None), "_filename", None)
    if file is not None:
        return f"{file}/{inner.variable_name}"
    # rioxarray keeps the path as what its manager of files opens
    opened = getattr(getattr(inner, "manager", None), "_args", None)
    return str(opened[0]) if opened else type(inner).__name__


def _bytes_of_block(
    graph: Mapping[Any, Any],
    reads: Mapping[Any, TaskReads],
    lazy: Mapping[Any, xr.Variable],
) -> int:
    """Estimate the memory of the block that needs most, of some that are spread over the result."""
    keys: dict[tuple[int, ...], list[Any]] = {}
    result: dict[tuple[int, ...], int] = {}
    for variable in lazy.values():
        array = variable.data
        for index in _some(array.numblocks):
            keys.setdefault(index, []).append((array.name, *index))
            shape = (sizes[k] for sizes, k in zip(array.chunks, index, strict=True))
            size = math.prod(shape) * array.dtype.itemsize
            result[index] = result.get(index, 0) + size
    return max(size + _bytes_of_inputs(graph, reads, keys[index]) for index, size in result.items())


def _some(counts: tuple[int, ...]) -> list[tuple[int, ...]]:
    import numpy as np

    total = math.prod(counts)
    places = range(0, total, -(-total // TRIED))
    return [tuple(map(int, np.unravel_index(place, counts))) for place in places]


def _bytes_of_inputs(
    graph: Mapping[Any, Any], reads: Mapping[Any, TaskReads], keys: list[Any]
) -> int:
    """Return the bytes of what is read for a block: all layers of it, and the largest window."""
    seen: set[Any] = set()
    left = [*keys]
    made = largest = 0
    while left:
        key = left.pop()
        if key in seen:
            continue
        seen.add(key)
        found = reads.get(key)
        if found is not None:
            made += found.made
            largest = max(largest, found.at_once)
        left += inputs_of(graph.get(key))
    return made + largest
