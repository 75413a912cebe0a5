"""How the kernels are compiled, and kept on disk from one process to the next."""

from __future__ import annotations

import gc
import hashlib
import itertools
import os
import pickle
from collections.abc import Callable
from importlib import import_module, resources
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import uuid4

import numba

from .folders import folders_of, implementation
from .long_waits import waiting
from .second_process import companion

DIGEST = hashlib.sha256().digest_size

FOR_KERNELS = {"no_cpython_wrapper": True}

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(function: Kernel, *, inline: bool = False) -> Kernel:
    """Compile a kernel: serial, without the GIL, kept on disk where that is possible.

    Parameters
    ----------
    function : callable
        A function of numpy arrays and scalars.
    inline : bool
        Compile it into its callers, so that their constants and buffers are known in it.

    Returns
    -------
    callable
        The same function, compiled at its first call for each set of dtypes.
    """
    return _compiled(function, forceinline=inline, _nrt=True)


def part(function: Kernel) -> Kernel:
    """Compile a part of kernels, which they call; called by Python it runs as it is written.

    What Python would call it by is a tenth of all that is compiled of co-registration.
    """
    return _of_kernels_alone(_compiled(function, forceinline=False, _nrt=True, **FOR_KERNELS))


def inlined(function: Kernel) -> Kernel:
    """Compile a part of a kernel, which neither makes nor returns arrays, into each of its callers.

    Nothing in it is reference counted, which is less to compile. An array that it returned
    would be released once too often.
    """
    return _of_kernels_alone(_compiled(function, forceinline=True, _nrt=False, **FOR_KERNELS))


def inlined_with_memory(function: Kernel) -> Kernel:
    """Compile a part that makes or returns arrays, or has a buffer, into each of its callers."""
    return compiled(function, inline=True)


def spliced(function: Kernel) -> Kernel:
    """Copy the source of a part of a kernel into each of its callers, before these are compiled.

    It so costs what it would if it were written there; `inlined` parts are compiled one by one.
    """
    return cast("Kernel", numba.njit(inline="always")(function))


def _compiled(function: Kernel, **how: bool) -> Kernel:
    njit: Any = numba.njit  # whose types lack some of its options
    # no_cfunc_wrapper: nothing calls kernels as functions of C
    kernel = njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, **how)(function)
    _keep(kernel, function)
    return cast("Kernel", kernel)


def _of_kernels_alone(kernel: Kernel) -> Kernel:
    """Let Python call the source of a part, of whose machine code it has no address."""
    dispatcher: Any = kernel

    def add(compiled_version: Any) -> None:
        # numba's own would also name it to Python
        dispatcher.overloads[tuple(compiled_version.signature.args)] = compiled_version

    dispatcher.add_overload = add
    dispatcher._compile_for_args = lambda *_, **__: dispatcher.py_func  # noqa: SLF001  # there is no option
    return kernel


def _keep(kernel: Any, function: Callable[..., object]) -> None:
    """Let a kernel keep what it compiles; without numba's internals it compiles in each process."""
    try:
        cache = _cache_of(function)
        cache._cache_file = _versions_of(cache)  # noqa: SLF001  # there is no option
        kernel._cache = cache  # noqa: SLF001  # as above
    except (ImportError, RuntimeError, AttributeError, TypeError):
        return  # nowhere to write, neither beside the package nor at home; or another numba


def _cache_of(function: Callable[..., object]) -> Any:
    """Return numba's own cache of the compiled versions of a function."""
    caching: Any = import_module("numba.core.caching")
    runtime: Any = import_module("numba.core.runtime.nrt").rtsys

    class Kept(caching.FunctionCache):  # type: ignore[misc]  # its base is Any
        _impl_class = implementation(caching.FunctionCache._impl_class)  # noqa: SLF001  # there is no option

        def load_overload(self, signature: Any, context: Any) -> Any:
            # numba's own readies all that it compiles with before it looks, a quarter of a second
            runtime.initialize(context)
            with self._guard_against_spurious_io_errors():
                found = self._load_overload(signature, context)
                keeps = os.access(self.cache_path, os.W_OK)
                if found is None and keeps and companion.has_compiled(function.__name__):
                    found = self._load_overload(signature, context)
                return found

        def save_overload(self, signature: Any, data: Any) -> None:
            try:
                super().save_overload(signature, data)
            except OSError:
                return  # the folder is gone, or can only be read

    return Kept(function)


def _versions_of(cache: Any) -> Any:
    """Return the files of a cache, in which versions are kept apart more carefully.

    numba's own differ in three things. Two end in wrong numbers without an error: it counts the
    files of a kernel, so that two processes that save versions for two dtypes at once choose one
    name, and either finds the code of the other behind it; and it looks at the source of the
    kernel alone, not at what is compiled into it from other files. The third ends in an error at
    each call, for ever: it takes a file that is empty or cut, by a full disk or a loss of power,
    for a whole one. And these look in the folders that numba has passed over as well.
    """
    caching: Any = import_module("numba.core.caching")

    class Versions(caching.IndexDataCacheFile):  # type: ignore[misc]  # its base is Any
        def _data_name(self, number: int) -> str:
            name: str = self._data_name_pattern.format(number=number)
            return name.replace(".nbc", f".{uuid4().hex[:16]}.nbc")

        def load(self, key: Any) -> Any:
            found = (files.found(key) for files in (self, *passed_over))
            return next((data for data in found if data is not None), None)

        def found(self, key: Any) -> Any:
            name = self._load_index().get(key)
            try:
                return None if name is None else self._load_data(name)
            except OSError:
                return None

        def save(self, key: Any, data: Any) -> None:
            try:
                super().save(key, data)
            except OSError:
                return  # such as a full disk: what is compiled is used, and compiled again

        def _dump(self, obj: Any) -> bytes:
            dumped: bytes = super()._dump(obj)
            return hashlib.sha256(dumped).digest() + dumped

        def _save_index(self, overloads: dict[Any, str]) -> None:
            index = self._dump((self._version, self._source_stamp, overloads))
            with self._open_for_write(self._index_path) as file:
                file.write(index)

        def _load_index(self) -> dict[Any, str]:
            try:
                *of_what, names = _loaded(Path(self._index_path).read_bytes())
            except Exception:  # noqa: BLE001  # pickle raises anything, of what is cut
                return {}  # there is none, or none that can be used
            return dict(names) if of_what == [self._version, self._source_stamp] else {}

        def _load_data(self, name: str) -> Any:
            try:
                return _loaded(Path(self._data_path(name)).read_bytes())
            except Exception as error:
                raise OSError(name) from error  # which numba takes for a file that is missing

    name, function = cache._impl.filename_base, cache._py_func  # noqa: SLF001  # no public ones
    before = itertools.takewhile(Path(cache.cache_path).__ne__, folders_of(function))
    passed_over = [Versions(folder, name, SOURCES) for folder in before]
    return Versions(cache.cache_path, name, SOURCES)


def _loaded(data: bytes) -> Any:
    """Return what was dumped, if it is as it was."""
    digest, dumped = data[:DIGEST], data[DIGEST:]
    if hashlib.sha256(dumped).digest() != digest:
        msg = "it is not as it was written"
        raise pickle.UnpicklingError(msg)
    return pickle.loads(dumped)  # noqa: S301  # as numba does


def _sources() -> str:
    """Digest of all the kernels, since they are compiled into each other."""
    digest = hashlib.sha256()
    # in an archive, as one that is sent to the workers of a cluster, they are no files of a folder
    files = resources.files(__package__).iterdir()
    for file in sorted(files, key=lambda file: file.name):
        if file.name.endswith((".py", ".pyc")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _listen() -> None:
    """Let `waiting` know when kernels are compiled; without numba's internals nothing is said."""
    try:
        events: Any = import_module("numba.core.event")

        class Listener(events.Listener):  # type: ignore[misc]  # its base is Any
            resumes = False

            def on_start(self, event: Any) -> None:
                if _is_ours(event) and waiting.begins() and gc.isenabled():
                    gc.disable()  # a tenth of the time, and little of it is garbage
                    self.resumes = True

            def on_end(self, event: Any) -> None:
                if _is_ours(event) and waiting.ends() and self.resumes:
                    gc.enable()
                    self.resumes = False

        events.register("numba:compile", Listener())
    except (ImportError, AttributeError, TypeError, ValueError):
        return


def _is_ours(event: Any) -> bool:
    """Whether what is compiled is a kernel of this package, and no other function of the user."""
    function = getattr(event.data.get("dispatcher"), "py_func", None)
    return str(getattr(function, "__module__", "")).startswith(f"{__package__}.")


SOURCES = _sources()
_listen()
