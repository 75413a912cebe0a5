"""Where a run writes to: a Zarr store, and the state of the run in it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import warnings
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import xarray as xr

from xfusion.datamodel.redaction import public, without_secrets
from xfusion.stac.untrusted import local_path

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

StoreLike: TypeAlias = "str | os.PathLike[str] | ZarrStore"

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

ABSENT, FINISHED, UNFINISHED, FOREIGN = "absent", "finished", "unfinished", "foreign"


@dataclass(init=False)
class Place:
    """A store as keys and bytes, and what a run leaves in it until it is finished."""

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
            self.name = public(str(store))
            with self.named_errors():
                self.zarr = _object_store(str(store))
        else:
            path = Path(local_path(os.fspath(store)))
            if path.exists() and not path.is_dir():
                msg = f"{path} is a file, and a Zarr store a folder: choose another path"
                raise FileExistsError(msg)
            self.name, self.zarr = str(path), LocalStore(path.absolute())

    def read(self, key: str) -> bytes | None:
        """Return the content of a key, None if there is none."""
        from zarr.core.buffer import default_buffer_prototype

        content = _sync(self.zarr.get(key, default_buffer_prototype()))
        return None if content is None else content.to_bytes()

    def has(self, key: str) -> bool:
        """Whether there is a key."""
        return bool(_sync(self.zarr.exists(key)))

    def write(self, key: str, content: bytes) -> None:
        """Set the content of a key."""
        from zarr.core.buffer import default_buffer_prototype

        _sync(self.zarr.set(key, default_buffer_prototype().buffer.from_bytes(content)))

    def delete(self, key: str) -> None:
        """Delete a key."""
        _sync(self.zarr.delete(key))

    def listed(self, prefix: str = "") -> list[str]:
        """Return the keys below a prefix."""

        async def gathered() -> list[str]:
            return [key async for key in self.zarr.list_prefix(prefix)]

        return sorted(_sync(gathered()))

    def state(self) -> str:
        """Return what is there."""
        if self.has(ROOT):  # perhaps not tidied up yet
            return FINISHED
        if self.has(JOB_KEY):
            return UNFINISHED
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
            names = {n.removeprefix("variable ") for n in self.job() if n.startswith("variable ")}
        except ValueError:
            names = {key.partition("/")[0] for key in self.listed() if key.endswith(f"/{ROOT}")}
        for name in names:
            _sync(self.zarr.delete_dir(name))
        if self.has(JOB_KEY):
            self.delete(JOB_KEY)
            _sync(self.zarr.delete_dir(STATE))

    def done(self) -> set[int]:
        """Return the numbers of the blocks that are noted as written."""
        notes = (self.read(key) for key in self.listed(f"{DONE_KEY}/") if not key.endswith(PARTIAL))
        return {number for note in notes for number in json.loads(note or b"[]")}

    def array(self, name: str) -> Any:
        """Open one of the arrays."""
        import zarr

        return zarr.open_array(self.zarr, path=name, mode="r+", zarr_format=3)

    def finish(self) -> None:
        """Write what tells a finished store, and tidy up; may be called again."""
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
        with quiet_zarr():
            zarr.consolidate_metadata(self.zarr, zarr_format=3)
        for key in sorted(self.listed(f"{STATE}/"), key=JOB_KEY.__eq__):
            self.delete(key)
        _sync(self.zarr.delete_dir(STATE))

    def opened(self, blocks: Mapping[Hashable, tuple[int, ...]]) -> xr.Dataset:
        """Open it lazily."""
        with warnings.catch_warnings():
            # of labels along a dim, which are in one piece; pixels are in these blocks
            warnings.filterwarnings("ignore", "The specified chunks separate the stored chunks")
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
            message = str(error).partition("Debug source")[0]
            message = " ".join(message.split()).replace(self.address, self.name)
            msg = f"{self.name}: {without_secrets(message, self.address)}"
            raise OSError(msg) from None


def _object_store(url: str) -> ZarrStore:
    try:
        import obstore.store
    except ImportError as error:
        msg = f"{public(url)} needs the package obstore: pip install 'xfusion[cloud]'"
        raise ImportError(msg) from error
    from zarr.storage import ObjectStore

    return ObjectStore(obstore.store.from_url(url))


@contextlib.contextmanager
def quiet_zarr() -> Iterator[None]:
    """Without warnings of what is meant: our state in the store, and consolidated metadata."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr")
        warnings.filterwarnings("ignore", message="Consolidated metadata is")
        yield


def _sync(awaited: Any) -> Any:
    from zarr.core.sync import sync

    return sync(awaited)


def run_of(store: ZarrStore) -> str | None:
    """Return which run a worker finds in a store."""
    run = Place(store).read(RUN_KEY)
    return None if run is None else run.decode()
