"""A dask scheduler that refuses to work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask


def _refuse(*_args: Any, **_kwargs: Any) -> None:
    msg = "something was computed that should have stayed lazy"
    raise AssertionError(msg)


@contextmanager
def nothing_computes() -> Iterator[None]:
    with dask.config.set(scheduler=_refuse):
        yield
