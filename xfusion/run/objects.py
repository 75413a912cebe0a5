"""Object stores by their address."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from xfusion.datamodel.components import local_path
from xfusion.datamodel.redaction import public, without_secrets

T = TypeVar("T")
ONE_SLASH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")
ATTEMPTS, PAUSE = 4, 0.25  # seconds between them, doubled each time
AT_ONCE = 10.0  # seconds: what failed later was tried again by obstore, for as long as it does


def is_address(path: str) -> bool:
    """Whether a path is an address, not a folder or a file of this machine."""
    return "://" in path and not path.startswith("file://")


def folder_of(path: str) -> Path:
    """Return the folder of this machine that a path or a ``file:`` URL names.

    Raises
    ------
    ValueError
        If it is an address that has lost a slash, as pathlib makes of one, or the URL of a folder
        of another machine: both would make a folder of a name that nobody meant.
    """
    parts = urlsplit(path)
    # one letter is a drive
    if ONE_SLASH.match(path) and parts.scheme != "file":
        scheme, rest = path.split(":/", 1)
        msg = (
            f"{public(path)} is neither an address nor a folder: give an address as text, "
            f"{public(f'{scheme}://{rest}')!r}, since pathlib.Path takes a slash from it"
        )
        raise ValueError(msg)
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        msg = (
            f"{public(path)} is on the machine {parts.hostname!r}: mount its folder and give the "
            "path, or write 'file:///' before a path of this machine"
        )
        raise ValueError(msg)
    return Path(local_path(path))


def object_store(url: str) -> Any:
    """Return the store of obstore behind an address, s3://bucket/prefix and the like.

    Credentials and region come from the environment.

    Raises
    ------
    ImportError
        If obstore is not installed.
    OSError
        If there is none for such an address.
    """
    try:
        import obstore.store
    except ImportError as error:
        msg = f"{public(url)} needs the package obstore: pip install 'xfusion[cloud]'"
        raise ImportError(msg) from error
    try:
        return obstore.store.from_url(url)
    except Exception as error:  # noqa: BLE001  # its own classes, of which some versions differ
        raise OSError(failure_of(error, url)) from None


def is_of_an_object_store(error: BaseException) -> bool:
    """Whether an error is one of obstore."""
    return type(error).__module__.startswith("obstore")


def failure_of(error: BaseException, url: str) -> str:
    """Return what failed, without what is secret in the address."""
    message = str(error).partition("Debug source")[0]
    message = " ".join(message.split()).replace(url, public(url))
    return f"{public(url)}: {without_secrets(message, url)}"


def patiently(ask: Callable[..., T], *arguments: Any) -> T:
    """Return what a request gives, asked again where the connection broke within the answer.

    Obstore asks again by itself where there was no answer at all. The request must be one that may
    be done twice.
    """
    for attempt in range(1, ATTEMPTS):
        begun = time.monotonic()
        try:
            return ask(*arguments)
        except Exception as error:
            broke = is_of_an_object_store(error) and type(error).__name__ == "GenericError"
            if not broke or time.monotonic() - begun > AT_ONCE:
                raise
        time.sleep(PAUSE * 2**attempt)
    return ask(*arguments)
