"""Files in an object store: made on this machine, and sent once they are whole."""

from __future__ import annotations

import errno
import functools
import re
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from xfusion.datamodel.redaction import public
from xfusion.run.objects import failure_of, is_of_an_object_store, object_store, patiently

from .collection import Look
from .scratch import aside

T = TypeVar("T")
# Given a folder, what refuses files of names that are there already, and what tells the content
# of those that are, it returns the files.
Write: TypeAlias = Callable[[Path, Callable[[Collection[Path]], None], Look], dict[str, Path]]


def to_objects(url: str, write: Write, *, overwrite: bool) -> dict[str, str]:
    """Write files to an address, and return their own.

    Parameters
    ----------
    url : str
        Such as ``s3://bucket/folder``.
    write : callable
        Makes the files.
    overwrite : bool
        Replace objects of their names.

    Raises
    ------
    FileExistsError
        If there is one, unless `overwrite`. Nothing is computed before.
    OSError
        If the store does not take them.
    """
    store = object_store(url)

    def refuse(paths: Collection[Path]) -> None:
        for path in paths:
            if not overwrite and _is_there(store, path.name, url):
                msg = (
                    f"{public(url)}/{path.name} exists: pass overwrite=True to replace it, or "
                    "another folder or prefix"
                )
                raise FileExistsError(errno.EEXIST, msg)

    def content(name: str) -> bytes:
        return _asked(url, lambda: bytes(store.get(name).bytes()))

    @functools.cache
    def look(names: re.Pattern[str]) -> Mapping[str, bytes]:
        listed: Any = _asked(url, store.list_with_delimiter)
        there = [str(found["path"]).rpartition("/")[2] for found in listed["objects"]]
        return {name: content(name) for name in there if names.fullmatch(name)}

    # what a killed run has left there is found, as it is beside results on a disk
    with aside(Path(tempfile.gettempdir()), ()) as local:
        files = write(local, refuse, look)
        # an item that is there has its files
        for path in sorted(files.values(), key=lambda path: path.suffix == ".json"):
            _asked(url, functools.partial(store.put, path.name, path))
    return {name: f"{public(url).rstrip('/')}/{path.name}" for name, path in files.items()}


def _is_there(store: Any, name: str, url: str) -> bool:
    try:
        _asked(url, functools.partial(store.head, name))
    except FileNotFoundError:
        return False
    return True


def _asked(url: str, ask: Callable[[], T]) -> T:
    try:
        return patiently(ask)
    except FileNotFoundError:
        raise
    except Exception as error:
        if not is_of_an_object_store(error):
            raise
        raise OSError(failure_of(error, url)) from None
