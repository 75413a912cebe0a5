"""Where a run writes to: a Zarr store, and the state of the run in it."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import xarray as xr

from xfusion.datamodel.redaction import public
from xfusion.run.objects import (
    failure_of,
    folder_of,
    is_address,
    is_of_an_object_store,
    object_store,
    patiently,
)

from .arrays import opened_array, quiet_opening
from .origin import opened_from

if TYPE_CHECKING:
    from icechunk import Repository
    from zarr.abc.store import Store as ZarrStore

T = TypeVar("T")
StoreLike: TypeAlias = "str | os.PathLike[str] | ZarrStore | Repository"

# Of what is not finished, inside the store. The root's own metadata are there as well until the
# end: without them nobody takes the half of a result for the whole.
STATE = ".xfusion"
JOB_KEY = f"{STATE}/job.json"
ROOT = "zarr.json"
OF_AN_ARRAY = re.compile(r"zarr\.json|c(/\d+)*")  # its keys
AT_A_TIME = 16  # requests to an object store

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS)
OF_ANOTHER_KIND = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST)

OF_A_SESSION = (
    "a session of Icechunk is committed by who opened it, once: give the repository itself, "
    "to_zarr(repository), and each batch is a commit"
)
NO_STORE = "a {} is no store: give a path, an address or a store of zarr"
OF_FORMAT_2 = (".zgroup", ".zarray", ".zmetadata")
ATTEMPTS, PAUSE = 20, 0.05  # seconds between them

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
        from zarr.storage import LocalStore, ObjectStore

        self.address = str(store)
        if isinstance(store, ZarrStore):
            self.name, self.zarr = str(store), store
        elif not isinstance(store, str | os.PathLike):
            of_icechunk = type(store).__module__.startswith("icechunk")
            raise TypeError(OF_A_SESSION if of_icechunk else NO_STORE.format(type(store).__name__))
        elif is_address(path := os.fspath(store)):
            self.name = public(str(store))
            self.zarr = ObjectStore(object_store(str(store)))
        else:
            folder = folder_of(path)
            if folder.exists() and not folder.is_dir():
                msg = f"{folder} is a file, and a Zarr store a folder: choose another path"
                raise FileExistsError(msg)
            self.name, self.zarr = str(folder), LocalStore(folder.absolute())

    def check_is_changeable(self) -> None:
        """Refuse a store in which a run cannot keep its state, or go on after another."""
        kind = type(self.zarr).__name__
        if type(self.zarr).__module__.startswith("icechunk"):
            raise TypeError(OF_A_SESSION)
        can = (self.zarr.supports_writes, self.zarr.supports_deletes, self.zarr.supports_listing)
        if not all(can):
            msg = (
                f"a {kind} cannot be changed once it is written, so no run could go on with it: "
                "write a folder, and pack that when it is finished"
            )
            raise TypeError(msg)
        if self.zarr.read_only:
            msg = f"the {kind} is open for reading only: open it with read_only=False"
            raise ValueError(msg)

    def read(self, key: str) -> bytes | None:
        """Return the content of a key, None if there is none."""
        from zarr.core.buffer import default_buffer_prototype

        content = _sync(self.zarr.get, key, default_buffer_prototype())
        return None if content is None else content.to_bytes()

    def json(self, key: str) -> dict[str, Any] | None:
        """Return the JSON object that a key holds, None if there is none or it is not whole."""
        try:
            content = json.loads(self.read(key) or b"null")
        except (ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def has(self, key: str) -> bool:
        """Whether there is a key."""
        return bool(_sync(self.zarr.exists, key))

    def write(self, key: str, content: bytes) -> None:
        """Set the content of a key."""
        from zarr.core.buffer import default_buffer_prototype

        _sync(self.zarr.set, key, default_buffer_prototype().buffer.from_bytes(content))

    def delete(self, key: str) -> None:
        """Delete a key."""
        _sync(self.zarr.delete, key)

    def listed(self, prefix: str = "") -> list[str]:
        """Return the keys below a prefix."""

        async def gathered() -> list[str]:
            return [key async for key in self.zarr.list_prefix(prefix)]

        return sorted(_sync(gathered))

    def tail(self, key: str, length: int) -> bytes | None:
        """Return the last bytes of what a key holds, None if there is none."""
        from zarr.abc.store import SuffixByteRequest
        from zarr.core.buffer import default_buffer_prototype

        part = _sync(self.zarr.get, key, default_buffer_prototype(), SuffixByteRequest(length))
        return None if part is None else part.to_bytes()

    def children(self, prefix: str = "") -> list[str]:
        """Return the names right below a prefix."""

        async def gathered() -> list[str]:
            return [name async for name in self.zarr.list_dir(prefix)]

        return sorted(name.strip("/") for name in _sync(gathered))

    def move(self, source: str, target: str) -> None:
        """Move what a key holds to another key; what was there is replaced, at once.

        Raises
        ------
        FileNotFoundError
            If the key holds nothing.
        """
        from zarr.storage import LocalStore, ObjectStore

        if isinstance(self.zarr, LocalStore):
            path = self.zarr.root / target
            path.parent.mkdir(parents=True, exist_ok=True)
            (self.zarr.root / source).replace(path)
        elif isinstance(self.zarr, ObjectStore):
            import obstore

            patiently(obstore.copy, self.zarr.store, source, target)
        else:
            content = self.read(source)
            if content is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
            self.write(target, content)

    def for_each(self, keys: Sequence[T], act: Callable[[T], object]) -> None:
        """Do something with each of many keys, on an object store with some at a time."""
        from zarr.storage import LocalStore, MemoryStore

        if isinstance(self.zarr, LocalStore | MemoryStore):
            for key in keys:
                act(key)
            return
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for _ in pool.map(act, keys):
                pass

    def delete_folder(self, prefix: str) -> None:
        """Delete all below a prefix, also while another run still adds to it."""
        for attempt in itertools.count():
            try:
                _sync(self.zarr.delete_dir, prefix)
            except OSError as error:
                if error.errno not in NOT_EMPTY or attempt == ATTEMPTS:
                    raise
                time.sleep(PAUSE)
            else:
                return

    def delete_array(self, name: str) -> None:
        """Delete an array at the root, if that is what is there."""
        keys = [key.removeprefix(f"{name}/") for key in self.listed(f"{name}/")]
        if keys and all(OF_AN_ARRAY.fullmatch(key) for key in keys):
            self.delete_folder(name)

    def state(self) -> str:
        """Return what is there."""
        if self.has(ROOT):  # perhaps not tidied up yet
            return FINISHED
        if self.has(JOB_KEY):
            return UNFINISHED
        names = {*self.children()} - {STATE}
        # another run may have ended meanwhile
        return FINISHED if ROOT in names else FOREIGN if names else ABSENT

    def check_is_finished(self) -> None:
        """Refuse a store that is not finished, or none.

        Raises
        ------
        ValueError
            It says what there is, and what to do.
        """
        import zarr

        if not self.zarr.supports_deletes:
            # a zip file is opened by what reads it as zarr does
            zarr.open(self.zarr, mode="r")
        state = self.state()
        if state == FINISHED:
            return
        what = "is no finished Zarr store: give the path of one"
        if state == UNFINISHED:
            what = "is an unfinished run: call xf.to_zarr again as it was, and it goes on"
        elif any(self.has(key) for key in OF_FORMAT_2):
            what = "is a Zarr store of format 2, and no finished one: open it with xr.open_zarr"
        msg = f"{self.name} {what}"
        raise ValueError(msg)

    def array(self, name: str) -> Any:
        """Open one of the arrays, to be written whole block by whole block."""
        return opened_array(self.zarr, name)

    def tidy(self) -> None:
        """Delete what a finished run has left of its state."""
        if self.has(ROOT) and self.children(STATE):
            with contextlib.suppress(OSError):
                self.delete_folder(STATE)

    def opened(self, blocks: Mapping[Hashable, tuple[int, ...]]) -> xr.Dataset:
        """Open it lazily, in blocks as long as the first of some along each dim."""
        sides = {dim: sizes[0] for dim, sizes in blocks.items()}
        with quiet_opening():
            finished: xr.Dataset = patiently(
                lambda: xr.open_zarr(self.zarr, chunks=sides, zarr_format=3)
            )
        return opened_from(self, finished)

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
            elif error.errno in OF_ANOTHER_KIND:
                path = error.filename2 or error.filename
                mend = (
                    f"{path} or what is above it is a file for a folder, or the reverse: remove it"
                )
            else:
                raise
            msg = f"{self.name}: {os.strerror(error.errno)}: {mend}"
            raise OSError(error.errno, msg) from error
        except Exception as error:
            if not is_of_an_object_store(error):
                raise
            raise OSError(failure_of(error, self.address)) from None


def _sync(ask: Callable[..., Any], *arguments: Any) -> Any:
    from zarr.core.sync import sync

    return patiently(lambda: sync(ask(*arguments)))
