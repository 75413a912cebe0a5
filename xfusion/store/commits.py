"""A result in an Icechunk repository: a commit for each batch, which the engine keeps apart.

Arrays are there from the first commit on, the group that holds them only with the last: until
then nobody can open the half of a result.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.conventions import as_opened
from xfusion.datamodel.provenance import JOB
from xfusion.run.progress import progress_of

from .arrays import opened_array, quiet_zarr
from .batches import Batches
from .draft import VARIABLE
from .fingerprint import changed_inputs, differences
from .notes import is_of, with_digest
from .origin import opened_from
from .place import ROOT, Place
from .tasks import Block, blocks_of
from .template import template_of
from .workers import Local, workers_of

BRANCH = "main"
OURS = "xfusion"  # in the metadata of a commit: what it is of a run
BEGUN, BLOCKS, FINISHED = "begun", "blocks", "finished"


def is_repository(store: object) -> bool:
    """Whether something is a repository of Icechunk."""
    return type(store).__module__.startswith("icechunk") and hasattr(store, "writable_session")


def store_of(repository: Any) -> Any:
    """Return what is at the tip of the branch, for reading."""
    return repository.readonly_session(BRANCH).store


def write_commits(
    dataset: xr.Dataset,
    job: Mapping[str, str],
    repository: Any,
    *,
    shards: bool,
    resume: bool,
    progress: bool,
) -> xr.Dataset:
    """Compute a retrieval into a repository.

    Parameters
    ----------
    dataset : Dataset
        A retrieval in blocks of one size.
    job : mapping
        As :func:`~xfusion.store.fingerprint.job_of` describes it.
    repository : icechunk.Repository
        Its branch ``main`` is written to.
    shards, resume, progress : bool
        As of :func:`~xfusion.to_zarr`.

    Raises
    ------
    FileExistsError, ValueError, OSError, RuntimeError, TypeError
        As of :func:`~xfusion.to_zarr`.
    """
    branch = Branch(repository)
    template = template_of(dataset, job, shards=shards)
    root = branch.read(ROOT)
    if root is not None:
        if not is_of(str(_attributes(root).get(JOB, "")), job):
            msg = (
                f"{branch.name} holds another result, or data that xfusion did not write: nothing "
                "was changed; choose another repository"
            )
            raise FileExistsError(msg)
        return branch.opened(dataset)
    before, done = branch.found()
    if before is not None and before != job:
        if resume and done:
            msg = (
                f"{branch.name} holds an unfinished run of another job: "
                f"{differences(before, job)}. Nothing was changed; run that one, choose another "
                "repository, or begin anew with resume=False"
            )
            raise ValueError(msg)
        resume = False
    if before is None and branch.names():
        msg = f"{branch.name} holds data that xfusion did not write: choose another repository"
        raise FileExistsError(msg)
    if before is None or not resume:
        done = set()
        branch.begin(template, job, before or {})
    blocks, graph = blocks_of(dataset, branch.target)
    fill(branch, dataset, blocks, graph, done & {*range(len(blocks))}, progress=progress)
    changed = changed_inputs(dataset, job)
    if changed:
        msg = (
            f"{branch.name}: inputs changed while they were read: {changed}. Once they are all "
            "there, begin anew with resume=False"
        )
        raise OSError(msg)
    branch.finish(template[ROOT])
    return branch.opened(dataset)


def fill(
    branch: Branch,
    dataset: xr.Dataset,
    blocks: list[Block],
    graph: dict[Any, Any],
    done: set[int],
    *,
    progress: bool,
    in_one: bool = False,
) -> None:
    """Compute blocks into a branch, with a commit for each batch, or in the open session."""
    workers = workers_of(dataset, 0.0)
    if not isinstance(workers, Local) or not workers.shares_memory():
        msg = (
            f"{branch.name} is written by the threads of this process, which hold its session: "
            "set dask.config.set(scheduler='threads'), or write a folder or an object store"
        )
        raise TypeError(msg)
    left = [number for number in range(len(blocks)) if number not in done]
    batches = Batches(blocks, left, graph, workers)
    what = f"writing {branch.name}"
    with progress_of(len(blocks), what, done=len(done), show=progress) as advance:
        while left:
            size = workers.batch()
            batch, left = left[:size], left[size:]
            if not in_one:
                branch.open()
            batches.run(batch, advance)
            if not in_one:
                branch.commit(f"{len(batch)} blocks", {BLOCKS: batch})


@dataclass
class Branch:
    """The branch of a repository, and the session that is open on it."""

    repository: Any
    name: str = "the Icechunk repository"
    _tip: str = ""
    """Snapshot that this run has read or committed last: it goes on from that, and no other."""
    _session: Any = None
    _arrays: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Note where the branch is."""
        self._tip = self.repository.lookup_branch(BRANCH)

    def open(self) -> None:
        """Open a session for what is to be committed next."""
        self._session = self.repository.writable_session(BRANCH)
        # what is committed between two sessions is no conflict to the engine
        if self._session.snapshot_id != self._tip:
            raise RuntimeError(self._of_another_run)
        self._arrays = {}

    def commit(self, message: str, ours: Mapping[str, Any]) -> None:
        """Commit what was written, unless another has committed since the session was opened."""
        import icechunk

        try:
            self._tip = self._session.commit(f"xfusion: {message}", metadata={OURS: dict(ours)})
        except icechunk.ConflictError as error:
            raise RuntimeError(self._of_another_run) from error

    @property
    def _of_another_run(self) -> str:
        return (
            f"another run has committed to {self.name}, and this one has stopped: let the other "
            "finish, then call to_zarr again"
        )

    def target(self, name: str) -> _Target:
        """Return what takes the blocks of a variable, in whichever session is open."""
        if self._session is None or self._session.read_only:
            self.open()
        return _Target(self, name, self.array(name))

    def array(self, name: str) -> Any:
        """Return an array of the open session."""
        if name not in self._arrays:
            self._arrays[name] = opened_array(self._session.store, name)
        return self._arrays[name]

    def read(self, key: str) -> bytes | None:
        """Return what a key of the branch holds."""
        from zarr.core.buffer import default_buffer_prototype
        from zarr.core.sync import sync

        store = self.repository.readonly_session(snapshot_id=self._tip).store
        content = sync(store.get(key, default_buffer_prototype()))
        return None if content is None else content.to_bytes()

    def names(self) -> list[str]:
        """Return what is at the root of the branch."""
        from zarr.core.sync import sync

        store = self.repository.readonly_session(snapshot_id=self._tip).store

        async def gathered() -> set[str]:
            # without a group at the root it lists no children
            return {key.partition("/")[0] async for key in store.list()}

        return sorted(sync(gathered()))

    def found(self) -> tuple[dict[str, str] | None, set[int]]:
        """Return the job of an unfinished run, None if there is none, and what it has done."""
        done: set[int] = set()
        for commit in self.repository.ancestry(snapshot_id=self._tip):
            ours = (commit.metadata or {}).get(OURS)
            if not isinstance(ours, dict):
                return None, set()
            done.update(int(number) for number in ours.get(BLOCKS, ()))
            if BEGUN in ours:
                return dict(ours[BEGUN]), done
        return None, set()

    def begin(
        self, template: Mapping[str, bytes], job: Mapping[str, str], before: Mapping[str, str]
    ) -> None:
        """Commit everything but the pixels and the root, instead of what another run has left."""
        self.open()
        there = self.names()
        for name in before:
            variable = name.removeprefix(VARIABLE)
            if variable != name and variable in there:
                self.delete(variable)
        # an array is there before its chunks
        for key in sorted({*template} - {ROOT}, key=lambda key: not key.endswith(ROOT)):
            self.write(key, template[key])
        self.commit("begin", {BEGUN: dict(job)})

    def finish(self, root: bytes) -> None:
        """Commit what makes a store of it."""
        self.open()
        plain = json.loads(root)
        plain.pop("consolidated_metadata", None)  # Icechunk has all metadata in one place itself
        self.write(ROOT, json.dumps(with_digest(plain)).encode())
        self.commit("finish", {FINISHED: True})

    def opened(self, dataset: xr.Dataset) -> xr.Dataset:
        """Open the finished result."""
        store = self.repository.readonly_session(snapshot_id=self._tip).store
        return self._opened(store, "", {dim: n[0] for dim, n in dataset.chunksizes.items()})

    def opened_level(self, group: str, chunks: Mapping[Any, int]) -> xr.Dataset:
        """Open a group of the open session, which may not be committed."""
        return self._opened(self._session.store, group, chunks)

    def _opened(self, store: Any, group: str, chunks: Mapping[Any, int]) -> xr.Dataset:
        with quiet_zarr():
            # of labels along a dim, which are in one piece
            warnings.filterwarnings("ignore", "The specified chunks separate the stored chunks")
            finished: xr.Dataset = xr.open_zarr(
                store, group=group, consolidated=False, chunks=dict(chunks)
            )
        return opened_from(Place(store), finished) if not group else as_opened(finished)

    def write(self, key: str, content: bytes) -> None:
        """Set the content of a key, in the open session."""
        from zarr.core.buffer import default_buffer_prototype
        from zarr.core.sync import sync

        sync(self._session.store.set(key, default_buffer_prototype().buffer.from_bytes(content)))

    def delete(self, name: str) -> None:
        """Delete all below a name, in the open session."""
        from zarr.core.sync import sync

        sync(self._session.store.delete_dir(name))


@dataclass(frozen=True)
class _Target:
    branch: Branch
    name: str
    array: Any

    def __setitem__(self, region: tuple[slice, ...], block: NDArray[np.generic]) -> None:
        self.branch.array(self.name)[region] = block


def _attributes(root: bytes) -> dict[str, Any]:
    attributes = json.loads(root).get("attributes", {})
    return attributes if isinstance(attributes, dict) else {}
