"""Write a lazy retrieval of any size to a Zarr store, in pieces that a later run can go on with."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import uuid
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from . import web
from .conventions import MASK, Exclusion, Retrieval, annotate, as_retrieval, rechunked
from .grid import spatial_dims
from .hrefs import local_path
from .job import JOB, describe, differences
from .kernels import parallel
from .progress import Advance, progress_of

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

StoreLike: TypeAlias = "str | os.PathLike[str] | ZarrStore"

CHUNK = 512  # pixels a side, at most, of what is compressed in one piece
BLOCKS_A_WORKER = 8  # of a batch
BLOCKS_ON_CLUSTER = 64  # of a batch, at least: workers come where there is work for them
SIDE = 1536  # pixels of a block, where a retrieval in memory has none

# Of a run that is not finished, inside the store. The root's own metadata are there as well until
# the end: without them nobody takes the half of a result for the whole.
STATE = ".xfusion"
JOB_KEY, READY_KEY, ROOT_KEY, RUN_KEY, DONE_KEY = (
    f"{STATE}/{name}" for name in ("job.json", "ready", "root.json", "run", "done")
)
ROOT = "zarr.json"
PARTIAL = ".partial"  # what zarr leaves of a file while it is killed

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS)


def to_zarr(
    dataset: Retrieval, store: StoreLike, *, resume: bool = True, progress: bool = True
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
        If the store cannot be written, or there is no room left. What is written stays, for
        the run to go on.

    Notes
    -----
    Zarr format 3. Each block of the retrieval is a shard, one file or object; a shard holds
    chunks of at most 512 pixels a side, so that a reader of a small part reads little. Memory is
    set by the blocks and the number of workers. Under a :class:`distributed.Client` the workers
    write, and must see the store under the same name.

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
    lazy = _in_blocks(as_retrieval(dataset))
    job = describe(lazy)
    place = _Place(store)
    with place.named_errors():
        state = place.state()
        if state == FINISHED:
            _same_result(place, job)
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


def _run(place: _Place, dataset: xr.Dataset, job: Mapping[str, str], *, progress: bool) -> None:
    if not place.has(ROOT):  # else all that is left is to tidy up
        run = uuid.uuid4().hex
        if not place.has(READY_KEY):
            place.clear()
            _begin(place, dataset, job)
        place.write(RUN_KEY, run.encode())
        _fill(place, dataset, run, progress=progress)
    place.finish()


def _same_job(place: _Place, job: Mapping[str, str]) -> None:
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
    place = _Place(store)
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
        import zarr  # noqa: F401
    except ImportError as error:
        msg = "Zarr stores need the package zarr: pip install 'xfusion[zarr]'"
        raise ImportError(msg) from error


def _in_blocks(dataset: xr.Dataset) -> xr.Dataset:
    """Return the retrieval lazily, all variables in blocks of one size, as Zarr's are."""
    dims = spatial_dims(dataset) or dataset["mu"].dims
    if not _lazy(dataset):
        dataset = dataset.chunk(dict.fromkeys(dims, SIDE))
    dataset = dataset.unify_chunks()
    sizes = {d: max(blocks) for d, blocks in dataset.chunksizes.items()}
    even = {d: _even(dataset.sizes[d], size) for d, size in sizes.items()}
    if dict(dataset.chunksizes) != even:
        dataset = rechunked(dataset, even)
    in_memory = [k for k, v in dataset.data_vars.items() if v.ndim and v.chunks is None]
    dataset = dataset.assign({k: _chunked(dataset[k], sizes) for k in in_memory})
    # what has no dims has no blocks
    dataset = dataset.assign({k: v.compute() for k, v in dataset.data_vars.items() if not v.ndim})
    dataset = dataset.drop_encoding()
    dataset.attrs.pop(JOB, None)
    return annotate(dataset)


def _chunked(array: xr.DataArray, sizes: Mapping[Hashable, int]) -> xr.DataArray:
    return array.chunk({d: sizes.get(d, n) for d, n in array.sizes.items()})


def _even(length: int, size: int) -> tuple[int, ...]:
    whole, rest = divmod(length, max(1, size))
    return (*[size] * whole, *[rest] * bool(rest))


def _same_result(place: _Place, job: Mapping[str, str]) -> None:
    attrs = json.loads(place.read(ROOT) or b"{}").get("attributes", {})
    before = attrs.get(JOB)
    if before is None:
        what = "a Zarr group that xf.to_zarr did not write"
    else:
        before = json.loads(before)
        if before == job:
            return
        what = f"the finished result of another job: {differences(before, job)}"
    msg = f"{place.name} holds {what}. Nothing was changed; choose another store, or delete it"
    raise FileExistsError(msg)


def _begin(place: _Place, dataset: xr.Dataset, job: Mapping[str, str]) -> None:
    """Write everything but the pixels."""
    from zarr.storage import MemoryStore

    _check_attrs(dataset)
    encoding: dict[Any, dict[str, Any]] = {
        name: {
            "chunks": tuple(_chunk(c[0]) if d in dims else c[0] for d, c in _blocks(variable)),
            "shards": tuple(c[0] for _, c in _blocks(variable)),
        }
        for dims in [spatial_dims(dataset) or ()]
        for name, variable in _lazy(dataset).items()
    }
    if MASK in encoding:
        encoding[MASK] |= {"fill_value": int(Exclusion.UNKNOWN)}
    # aside, as the root's metadata must not be seen yet
    template: Any = MemoryStore()
    with _quiet_zarr():
        _without_blocks(dataset).assign_attrs({JOB: json.dumps(job)}).to_zarr(
            template,
            mode="w",
            compute=False,
            consolidated=False,
            zarr_format=3,
            encoding=encoding,
            safe_chunks=False,  # blocks are shards
        )
    place.write(JOB_KEY, json.dumps(job).encode())
    for key, content in _contents(template).items():
        place.write(ROOT_KEY if key == ROOT else key, content)
    place.write(READY_KEY, b"")


def _contents(store: ZarrStore) -> dict[str, bytes]:
    held = _Place(store)
    return {key: held.read(key) or b"" for key in held.listed()}


def _without_blocks(dataset: xr.Dataset) -> xr.Dataset:
    """Return what has the same metadata: xarray would make a task for each block."""
    import dask.array as da

    empty = {
        name: variable.copy(data=da.zeros(variable.shape, dtype=variable.dtype, chunks=-1))
        for name, variable in _lazy(dataset).items()
        if variable.dtype.kind in "biufc"
    }
    return dataset.assign({k: v for k, v in empty.items() if k in dataset.data_vars}).assign_coords(
        {k: v for k, v in empty.items() if k in dataset.coords}
    )


def _check_attrs(dataset: xr.Dataset) -> None:
    """Refuse attributes that a store cannot hold, by their names."""
    owners: list[tuple[str, Mapping[Any, Any]]] = [("the retrieval", dataset.attrs)]
    owners += [(str(name), variable.attrs) for name, variable in dataset.variables.items()]
    for owner, attrs in owners:
        for name, said in attrs.items():
            try:
                json.dumps(said, default=_listed)
            except TypeError as error:
                msg = (
                    f"attribute {name!r} of {owner} is a {type(said).__name__}, which Zarr does "
                    f"not hold: .assign_attrs({name}=str(...))"
                )
                raise ValueError(msg) from error


def _listed(said: Any) -> Any:
    if isinstance(said, np.ndarray | np.generic) and said.dtype.kind in "biufU":
        return said.tolist()
    raise TypeError


def _lazy(dataset: xr.Dataset) -> dict[Hashable, xr.Variable]:
    return {name: v for name, v in dataset.variables.items() if v.chunks is not None}


def _blocks(variable: xr.Variable) -> Iterator[tuple[Any, tuple[int, ...]]]:
    return zip(variable.dims, variable.chunks or (), strict=True)


def _chunk(block: int) -> int:
    """Return the largest part of a block that is a whole fraction of it and no larger than 512."""
    parts = -(-block // CHUNK)
    while block % parts:
        parts += 1
    side = block // parts
    return side if side > CHUNK // 4 else block


def _fill(place: _Place, dataset: xr.Dataset, run: str, *, progress: bool) -> None:
    """Compute what no former run has, batch by batch."""
    units, graph = _written_by(dataset, place)
    done = place.done()
    left = [number for number in range(len(units)) if number not in done]
    scheduler = _scheduler(dataset)
    scheduler.check(place, run)
    total, before = len(units), len(units) - len(left)
    with progress_of(total, f"writing {place.name}", done=before, show=progress) as advance:
        while left:
            size = scheduler.batch()
            batch, left = left[:size], left[size:]
            scheduler.run(*_part(graph, [units[number] for number in batch]), advance)
            place.check_run(run)
            # only now: what is marked is there
            place.write(f"{DONE_KEY}/{batch[0]}.json", json.dumps(batch).encode())
        place.check_run(run)


def _written_by(dataset: xr.Dataset, place: _Place) -> tuple[list[Any], dict[Any, Any]]:
    """Return the task that writes each block of all variables, and the graph of them all."""
    from dask.highlevelgraph import HighLevelGraph

    dims = dataset["mu"].dims
    # xarray stores bool as int8, say
    arrays = {
        name: xr.conventions.encode_cf_variable(variable, name=name).data
        for name, variable in _lazy(dataset).items()
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


class _Local:
    """The scheduler of this machine: threads, processes or none."""

    def __init__(self, get: Any) -> None:
        self.get = get

    def check(self, place: _Place, run: str) -> None:
        """Refuse workers that do not see the store."""
        from dask import local, threaded
        from zarr.storage import MemoryStore

        del run  # all processes of one machine see its files
        if isinstance(place.zarr, MemoryStore) and self.get not in (threaded.get, local.get_sync):
            raise TypeError(IN_MEMORY.format(place.name))

    def batch(self) -> int:
        """Return how many blocks are computed before a note is made."""
        import dask

        workers = int(dask.config.get("num_workers", None) or parallel.core_count())
        return BLOCKS_A_WORKER * workers

    def run(self, graph: Mapping[Any, Any], keys: list[Any], advance: Advance) -> None:
        """Compute some blocks."""
        from dask.callbacks import Callback

        wanted = set(keys)

        def ended(key: Any, *_: Any) -> None:
            if key in wanted:
                advance(1)

        with Callback(posttask=ended):
            self.get(graph, keys)


class _Cluster:
    """The workers of a :class:`distributed.Client`."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def check(self, place: _Place, run: str) -> None:
        """Refuse workers that do not see the store."""
        from zarr.storage import MemoryStore

        if isinstance(place.zarr, MemoryStore):
            raise TypeError(IN_MEMORY.format(place.name))
        seen = self.client.run(_run_of, place.zarr)
        blind = sorted(str(worker) for worker, found in seen.items() if found != run)
        if blind:
            msg = (
                f"{place.name} is another one, or none, for the workers {', '.join(blind)}: choose "
                "a store that all see under this name, on a shared disk or an object store"
            )
            raise OSError(msg)

    def batch(self) -> int:
        """Return how many blocks are computed before a note is made."""
        workers = sum(map(int, self.client.nthreads().values()))
        return max(BLOCKS_ON_CLUSTER, BLOCKS_A_WORKER * workers)

    def run(self, graph: Mapping[Any, Any], keys: list[Any], advance: Advance) -> None:
        """Compute some blocks."""
        from distributed import as_completed

        futures = self.client.get(graph, keys, sync=False)
        try:
            for future in as_completed(futures):
                future.result()
                advance(1)
        finally:
            # an error that is kept would keep these, and the cluster its failed tasks for a retry
            self.client.cancel(futures)


IN_MEMORY = "{} is in the memory of this process, its workers are others: choose a folder"


def _run_of(store: ZarrStore) -> str | None:
    """Return which run a worker finds in a store."""
    said = _Place(store).read(RUN_KEY)
    return None if said is None else said.decode()


def _scheduler(dataset: xr.Dataset) -> _Local | _Cluster:
    from dask.base import get_scheduler

    arrays = [variable.data for variable in _lazy(dataset).values()]
    get: Any = get_scheduler(collections=arrays)
    client: Any = getattr(get, "__self__", None)
    return _Cluster(client) if hasattr(client, "nthreads") else _Local(get)


ABSENT, FINISHED, UNFINISHED, FOREIGN = "absent", "finished", "unfinished", "foreign"


@dataclass(init=False)
class _Place:
    """A store, as keys and bytes."""

    name: str
    """For people: without secrets."""
    address: str
    """As it was given."""
    zarr: ZarrStore

    def __init__(self, store: StoreLike) -> None:
        from zarr.abc.store import Store as ZarrStore
        from zarr.storage import LocalStore

        self.address = str(store)
        if isinstance(store, ZarrStore):
            self.name, self.zarr = str(store), store
        elif "://" in os.fspath(store) and not str(store).startswith("file://"):
            self.name = web.public(str(store))
            with self.named_errors():
                self.zarr = _object_store(str(store))
        else:
            path = Path(local_path(os.fspath(store)))
            if path.exists() and not path.is_dir():
                msg = f"{path} is a file, and a Zarr store a folder: choose another path"
                raise FileExistsError(msg)
            self.name, self.zarr = str(path), LocalStore(path.absolute())

    def read(self, key: str) -> bytes | None:
        from zarr.core.buffer import default_buffer_prototype

        found = _sync(self.zarr.get(key, default_buffer_prototype()))
        return None if found is None else found.to_bytes()

    def has(self, key: str) -> bool:
        return self.read(key) is not None

    def write(self, key: str, content: bytes) -> None:
        from zarr.core.buffer import default_buffer_prototype

        _sync(self.zarr.set(key, default_buffer_prototype().buffer.from_bytes(content)))

    def delete(self, key: str) -> None:
        _sync(self.zarr.delete(key))

    def listed(self, prefix: str = "") -> list[str]:
        async def gathered() -> list[str]:
            return [key async for key in self.zarr.list_prefix(prefix)]

        return sorted(_sync(gathered()))

    def state(self) -> str:
        if self.has(JOB_KEY):
            return UNFINISHED
        if self.has(ROOT):
            return FINISHED
        return FOREIGN if self.listed() else ABSENT

    def job(self) -> dict[str, str]:
        """Return the job of an unfinished run."""
        try:
            job: dict[str, str] = json.loads(self.read(JOB_KEY) or b"")
        except ValueError as error:
            msg = (
                f"{self.name}: {JOB_KEY} is not whole, so nobody knows what was begun there: "
                "begin anew with resume=False"
            )
            raise ValueError(msg) from error
        return job

    def check_run(self, run: str) -> None:
        """Raise where another run has begun meanwhile: two would undo each other's work."""
        if self.read(RUN_KEY) != run.encode():
            msg = f"another run has taken over {self.name}: let it finish, then call again"
            raise RuntimeError(msg)

    def clear(self) -> None:
        """Delete an unfinished run; last what tells that it was one."""
        for key in self.listed(f"{STATE}/"):
            if key != JOB_KEY:
                self.delete(key)
        try:
            job = self.job()
        except ValueError:
            job = {}
        for name in job:
            if name.startswith("variable "):
                _sync(self.zarr.delete_dir(name.removeprefix("variable ")))
        if self.has(JOB_KEY):
            self.delete(JOB_KEY)
            _sync(self.zarr.delete_dir(STATE))

    def done(self) -> set[int]:
        notes = (self.read(key) for key in self.listed(f"{DONE_KEY}/") if not key.endswith(PARTIAL))
        return {number for note in notes for number in json.loads(note or b"[]")}

    def array(self, name: str) -> Any:
        import zarr

        return zarr.open_array(self.zarr, path=name, mode="r+", zarr_format=3)

    def finish(self) -> None:
        import zarr

        for key in self.listed():
            if key.endswith(PARTIAL):
                self.delete(key)
        if not self.has(ROOT):
            root = self.read(ROOT_KEY)
            if root is None:
                msg = f"{self.name} was changed by another run: call again"
                raise RuntimeError(msg)
            self.write(ROOT, root)
        with _quiet_zarr():
            zarr.consolidate_metadata(self.zarr, zarr_format=3)
        for key in sorted(self.listed(f"{STATE}/"), key=JOB_KEY.__eq__):
            self.delete(key)
        _sync(self.zarr.delete_dir(STATE))

    def opened(self, blocks: Mapping[Hashable, tuple[int, ...]]) -> xr.Dataset:
        finished: xr.Dataset = xr.open_zarr(self.zarr, chunks=dict(blocks))
        return finished

    @contextlib.contextmanager
    def named_errors(self) -> Iterator[None]:
        """Say of errors of the store which it is and what mends them."""
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM:
                mend = "make room and call to_zarr again, it goes on from the last batch"
            elif error.errno in NOT_OURS:
                mend = "choose a store that may be written"
            else:
                raise
            msg = f"{self.name}: {os.strerror(error.errno)}: {mend}"
            raise OSError(error.errno, msg) from error
        except Exception as error:
            if not type(error).__module__.startswith("obstore"):
                raise
            said = str(error).partition("Debug source")[0]
            said = " ".join(said.split()).replace(self.address, self.name)
            msg = f"{self.name}: {web.without_secrets(said, self.address)}"
            raise OSError(msg) from None


def _object_store(url: str) -> ZarrStore:
    try:
        import obstore.store
    except ImportError as error:
        msg = f"{web.public(url)} needs the package obstore: pip install 'xfusion[cloud]'"
        raise ImportError(msg) from error
    from zarr.storage import ObjectStore

    return ObjectStore(obstore.store.from_url(url))


@contextlib.contextmanager
def _quiet_zarr() -> Iterator[None]:
    """Without warnings of what is meant: our state in the store, and consolidated metadata."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr")
        warnings.filterwarnings("ignore", message="Consolidated metadata is")
        yield


def _sync(awaited: Any) -> Any:
    from zarr.core.sync import sync

    return sync(awaited)
