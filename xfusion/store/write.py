"""Write a lazy retrieval of any size to a Zarr store, in pieces that a later run can go on with."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.provenance import JOB
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.run.progress import progress_of
from xfusion.run.scheduler import lazy_variables

from .blocks import in_blocks
from .fingerprint import differences, job_of
from .notes import is_of, named_differences
from .place import (
    DONE_KEY,
    FINISHED,
    FOREIGN,
    JOB_KEY,
    READY_KEY,
    ROOT,
    RUN_KEY,
    UNFINISHED,
    Place,
    StoreLike,
)
from .template import begin
from .workers import workers_of


def to_zarr(
    dataset: Retrieval, /, store: StoreLike, *, resume: bool = True, progress: bool = True
) -> xr.Dataset:
    """Compute a retrieval block by block into a Zarr store.

    Blocks are computed in batches, and a note is made of each batch once its pixels are written.
    A run that was killed goes on after its last batch when it is called again in the same way.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, lazy for it to be larger than memory.
    store : path, URL or zarr store
        A folder of this machine; or an address such as ``s3://bucket/water.zarr``, for which
        ``xfusion[cloud]`` is needed, with credentials from the environment.
    resume : bool
        Go on with an unfinished run; False discards it and begins anew.
    progress : bool
        Show how far it is, with the time that is left.

    Returns
    -------
    Dataset
        The finished store, opened lazily.

    Raises
    ------
    FileExistsError
        If the store holds anything else: a finished result of other inputs or parameters (of
        the same ones it is returned), or data not of xfusion.
    ValueError
        If the unfinished run there has other inputs or parameters; it names the difference.
    OSError
        If the store cannot be written, there is no room left, or workers do not see it; if an
        input is not there. What is written stays, for the run to go on.
    RuntimeError
        If another run on the same store has begun meanwhile.
    TypeError
        If the store is in the memory of this process, and others compute.
    ImportError
        If zarr is not installed, or obstore for an address.

    Notes
    -----
    Zarr format 3. Each block of the retrieval is a shard, one file or object; a shard holds
    chunks of at most 512 pixels a side, so that a reader of a small part reads little. Memory is
    set by the blocks and the number of workers. Under a :class:`distributed.Client` the workers
    write, and must see the store under the same name.

    Of a MultiIndex the levels are written, as coordinates of its dim; ``.set_index`` makes it anew.

    An unfinished store has no metadata at its root and does not open; its blocks that are not
    written are NaN and UNKNOWN. It survives that the process is killed; after a loss of power
    the last batches may have to be written anew, with ``resume=False``.

    Examples
    --------
    >>> import numpy as np, tempfile, xfusion as xf
    >>> mu = np.zeros((4, 4), np.float32)
    >>> water = xf.retrieval(mu, mu + 1).chunk(2)
    >>> folder = tempfile.mkdtemp()
    >>> xf.to_zarr(water, f"{folder}/water.zarr", progress=False).sizes["y"]
    4
    """
    _needs_zarr()
    lazy = in_blocks(_with_lone_values(as_retrieval(dataset)))
    job = job_of(lazy)
    place = Place(store)
    with place.named_errors():
        state = place.state()
        if state == FINISHED:
            _same_result(place, job)
            if place.has(JOB_KEY):
                place.finish()
        elif state == FOREIGN:
            msg = (
                f"{place.name} holds data that xfusion did not write: nothing was changed; "
                "choose another store, or delete it"
            )
            raise FileExistsError(msg)
        else:
            if state == UNFINISHED and resume:
                _same_job(place, job)
            elif state == UNFINISHED:
                place.clear()
            _run(place, lazy, job, progress=progress)
        return place.opened(lazy.chunksizes)


def _run(place: Place, dataset: xr.Dataset, job: Mapping[str, str], *, progress: bool) -> None:
    run = uuid.uuid4().hex
    if not place.has(READY_KEY):
        place.clear()
        begin(place, dataset, job)
    place.write(RUN_KEY, run.encode())
    _fill(place, dataset, run, progress=progress)
    place.finish()


def _same_job(place: Place, job: Mapping[str, str]) -> None:
    before = place.job()
    # without pixels there is nothing to be mixed
    if before != job and place.has(READY_KEY):
        msg = (
            f"{place.name} holds an unfinished run of another job: "
            f"{differences(before, job)}. Nothing was changed; run that one, choose "
            "another store, or begin anew with resume=False"
        )
        raise ValueError(msg)
    if before != job:
        place.clear()


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether a path or URL is that of a Zarr store, by its name or by what is there."""
    text = os.fspath(path)
    if "://" in text:
        return not text.endswith((".tif", ".tiff"))
    return text.rstrip("/").endswith(".zarr") or (Path(text) / ROOT).exists()


def open_store(store: StoreLike) -> xr.Dataset:
    """Open a finished store lazily.

    Raises
    ------
    ValueError
        If it is not finished, or there is none.
    """
    _needs_zarr()
    place = Place(store)
    with place.named_errors():
        state = place.state()
        if state == UNFINISHED:
            msg = f"{place.name} is an unfinished run of {len(place.done())} blocks: go on with it"
            raise ValueError(msg)
        if state != FINISHED:
            msg = f"{place.name} is no finished Zarr store"
            raise ValueError(msg)
        return place.opened({})


def _needs_zarr() -> None:
    try:
        import zarr  # noqa: F401  # whether it is there
    except ImportError as error:
        msg = "Zarr stores need the package zarr: pip install 'xfusion[zarr]'"
        raise ImportError(msg) from error


def _with_lone_values(dataset: xr.Dataset) -> xr.Dataset:
    """Return the retrieval with what has no dims, and texts, computed: these have no blocks."""
    lazy = lazy_variables(dataset).items()
    lone = [name for name, v in lazy if not v.ndim or v.dtype.kind in "OUT"]
    return dataset.assign({name: dataset[name].compute() for name in lone})


def _same_result(place: Place, job: Mapping[str, str]) -> None:
    attrs = json.loads(place.read(ROOT) or b"{}").get("attributes", {})
    before = attrs.get(JOB)
    if before is None:
        what = "a Zarr group that xf.to_zarr did not write"
    else:
        if is_of(before, job):
            return
        what = f"the finished result of another job: {named_differences(before, place, job)}"
    msg = f"{place.name} holds {what}. Nothing was changed; choose another store, or delete it"
    raise FileExistsError(msg)


def _fill(place: Place, dataset: xr.Dataset, run: str, *, progress: bool) -> None:
    """Compute what no former run has, batch by batch."""
    units, graph = _written_by(dataset, place)
    done = place.done()
    left = [number for number in range(len(units)) if number not in done]
    workers = workers_of(dataset)
    workers.check(place, run)
    total, before = len(units), len(units) - len(left)
    with progress_of(total, f"writing {place.name}", done=before, show=progress) as advance:
        while left:
            size = workers.batch()
            batch, left = left[:size], left[size:]
            workers.run(*_part(graph, [units[number] for number in batch]), advance)
            place.check_run(run)
            # only now: what is marked is there
            place.write(f"{DONE_KEY}/{batch[0]}.json", json.dumps(batch).encode())
        place.check_run(run)


def _written_by(dataset: xr.Dataset, place: Place) -> tuple[list[Any], dict[Any, Any]]:
    """Return the task that writes each block of all variables, and the graph of them all."""
    from dask.highlevelgraph import HighLevelGraph

    dims = dataset["mu"].dims
    # xarray stores bool as int8, say
    arrays = {
        name: xr.conventions.encode_cf_variable(variable, name=name).data
        for name, variable in lazy_variables(dataset).items()
    }
    graph = dict(HighLevelGraph.merge(*(a.__dask_graph__() for a in arrays.values())))
    # no two runs on a cluster share a task
    write, block = (f"{what}-{uuid.uuid4().hex}" for what in ("write", "block"))
    units: dict[Any, list[Any]] = {}
    for name, array in arrays.items():
        target = place.array(str(name))
        own = dataset.variables[name].dims
        axes = [own.index(d) for d in dims if d in own]
        starts = [np.concatenate([[0], np.cumsum(c)]).tolist() for c in array.chunks]
        for index in np.ndindex(array.numblocks):
            region = tuple(slice(s[i], s[i + 1]) for s, i in zip(starts, index, strict=True))
            task = (f"{write}-{name}", *index)
            graph[task] = (_write, target, region, (array.name, *index))
            units.setdefault(tuple(index[axis] for axis in axes), []).append(task)
    for unit, tasks in units.items():
        graph[(block, *unit)] = (_all_written, tasks)
    return [(block, *unit) for unit in units], graph


def _write(target: Any, region: tuple[slice, ...], block: NDArray[Any]) -> None:
    target[region] = block


def _all_written(_: Sequence[None]) -> None:
    """End a block: each of its variables is in the store."""


def _part(graph: Mapping[Any, Any], keys: list[Any]) -> tuple[dict[Any, Any], list[Any]]:
    from dask.optimization import cull

    return cull(graph, keys)[0], keys
