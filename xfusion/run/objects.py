"""Object stores by their address."""

from __future__ import annotations

from typing import Any

from xfusion.datamodel.redaction import public, without_secrets


def is_address(path: str) -> bool:
    """Whether a path is an address, not a folder or a file of this machine."""
    return "://" in path and not path.startswith("file://")


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
