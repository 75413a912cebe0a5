"""Hrefs are signed by functions of others, which may fail, wait for ever, or tell secrets."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

from xfusion.datamodel.redaction import public, without_secrets

T = TypeVar("T")

LONGEST = 30.0  # seconds: the signer of the Planetary Computer has no time-out of its own


def signed(path: str, signer: Callable[[str], str]) -> str:
    """Return what a signer makes of an href.

    Raises
    ------
    RasterioIOError
        If it raises, or takes too long; the message names the href.
    ImportError
        If it needs a package that is not installed.
    """
    from rasterio.errors import RasterioIOError

    try:
        return _within(LONGEST, lambda: signer(path))
    except ImportError:
        # what is not installed is no fault of the file
        raise
    except Exception as error:  # noqa: BLE001  # signers are those of others
        # the address of a token may hold a key as well
        said = without_secrets(f"{type(error).__name__}: {error}", path)
        msg = f"{public(path)} could not be signed: {said}"
        raise RasterioIOError(msg) from None


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or leave it to itself, as it cannot be stopped."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:  # noqa: BLE001  # raised again below
            failed.append(error)

    # as a daemon, lest Python waits for it in the end
    thread = threading.Thread(target=contextvars.copy_context().run, args=[run], daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        msg = f"no answer within {seconds:g} s"
        raise TimeoutError(msg)
    return done[0]
