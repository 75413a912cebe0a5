"""A call that is given up after a time."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlineError(TimeoutError):
    """A call took longer than it may; what it waits for may have time-outs of its own."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises, if it ends in time.

    Raises
    ------
    DeadlineError
        If it does not. It goes on in a thread of its own, since Python cannot stop it.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001  # raised again below
            errors.append(error)

    # a daemon, or Python would wait for it when it ends
    thread = threading.Thread(target=contextvars.copy_context().run, args=[run], daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        msg = f"no answer within {seconds:g} s"
        raise DeadlineError(msg)
    return results[0]
