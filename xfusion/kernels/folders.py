"""The folders in which compiled kernels are kept, also those that can only be read."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def folders_of(function: Callable[..., object]) -> list[Path]:
    """Return where kernels may lie that another user has compiled, as for an image.

    The folder that the environment names, and that beside the source. numba passes over both
    where it cannot write to them, and would compile anew what is there.
    """
    caching: Any = import_module("numba.core.caching")
    named: str = import_module("numba.core.config").CACHE_DIR
    source = inspect.getfile(function)
    beside = Path(source).parent / "__pycache__"
    if not named:
        return [beside]
    part: str = caching._CacheLocator.get_suitable_cache_subpath(source)  # noqa: SLF001  # as numba names it
    return [Path(named, part), beside]


def implementation(base: Any) -> Any:
    """Return how numba keeps a kernel, where it would not as no folder can be written to."""
    caching: Any = import_module("numba.core.caching")

    class ReadOnly(caching._SourceFileBackedLocatorMixin, caching._CacheLocator):  # type: ignore[misc]  # noqa: SLF001  # there is no other
        def __init__(self, function: Callable[..., object], source: str) -> None:
            self._py_file, self._lineno = source, function.__code__.co_firstlineno
            self._folder = next(filter(Path.is_dir, folders_of(function)), None)

        def get_cache_path(self) -> str | None:
            return None if self._folder is None else str(self._folder)

        def ensure_cache_path(self) -> None:
            if self._folder is None:
                raise OSError

    class WithReadOnly(base):  # type: ignore[misc]  # its base is Any
        _locator_classes = (*base._locator_classes, ReadOnly)  # noqa: SLF001  # there is no option

    return WithReadOnly
