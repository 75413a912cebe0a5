"""What a network in PyTorch is, as a digest: of its layers, weights and the code of its classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch.nn import Module

PLAIN = (bool, int, float, complex, str, bytes, type(None))
OF_TORCH = "torch."


def module_digest(module: Module) -> str:
    """Return a digest of a module.

    Of its structure, its weights and buffers, the attributes of each layer that are plain values,
    arrays or tensors, or hold such, and what the methods of classes that are not torch's are
    compiled to. Functions that these call, and other objects, are not looked at.
    """
    found = hashlib.sha256(repr(module).encode())
    # of buffers some are not saved
    saved = module.state_dict()
    held = saved | {name: b for name, b in module.named_buffers() if name not in saved}
    for name, value in held.items():
        found.update(name.encode())
        if hasattr(value, "detach"):
            found.update(_bytes_of(value))
    for part in _own_parts(module):
        found.update(part.encode())
    return found.hexdigest()


def code_digest(function: Any) -> str:
    """Return a digest of what a function is compiled to; of what else can be called, of nothing."""
    return hashlib.sha256("".join(_of_function(function, ())).encode()).hexdigest()


def _own_parts(module: Module) -> Iterator[str]:
    """Yield texts that say what classes of others do, and the values in their objects."""
    from torch.jit import ScriptModule
    from torch.nn import Module as Plain

    kinds: set[type] = set()
    of_all = {*vars(Plain())}
    for name, layer in module.named_modules():
        if isinstance(layer, ScriptModule):
            yield f"{name}: {getattr(layer, 'code', '')}"
        own = [kind for kind in type(layer).__mro__ if not _is_of_torch(kind)]
        for key, value in sorted(vars(layer).items()):
            if key in of_all:
                continue
            # layers of torch say in their repr most of what they are, but not all
            if key == "forward" or own != [object] or (key[0] != "_" and isinstance(value, PLAIN)):
                yield from (f"{name}.{key}={text}" for text in _of_value(value))
        for kind in own:
            if kind is not object and kind not in kinds:
                kinds.add(kind)
                for key, value in sorted(vars(kind).items()):
                    # what Python says of a class by itself is where it stands, not what it does
                    if callable(value) or key[:2] != "__":
                        yield from (f"{kind.__qualname__}.{key}={t}" for t in _of_value(value))


def _is_of_torch(kind: type) -> bool:
    return f"{kind.__module__}.".startswith(OF_TORCH)


def _bytes_of(array: Any) -> Any:
    """Return the bytes of a tensor, wherever it is, or of an array."""
    import torch as library

    if isinstance(array, np.ndarray | np.generic):
        # those of objects say where they are
        return repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
    whole = array.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return whole.reshape(-1).view(library.uint8).numpy().data


def _of_value(value: Any, within: tuple[int, ...] = ()) -> Iterator[str]:
    """Yield the text of a value, or of what a function is compiled to; of other objects nothing.

    Parameters
    ----------
    value : object
    within : tuple of int
        What holds it: it may hold itself.
    """
    if id(value) in within:
        return
    inside = (*within, id(value))
    if isinstance(value, PLAIN):
        yield repr(value)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _of_value(each, inside)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from (f"{key!r}: {text}" for text in _of_value(each, inside))
    elif isinstance(value, set | frozenset):  # whose order differs from process to process
        yield repr(sorted(text for each in value for text in _of_value(each, inside)))
    elif isinstance(value, np.ndarray | np.generic) or hasattr(value, "detach"):
        content = _bytes_of(value)
        yield f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(content).hexdigest()}"
    else:
        for name in ("fget", "__func__", "__wrapped__"):  # properties, static and decorated methods
            value = getattr(value, name, None) or value
        yield from _of_function(value, inside)


def _of_function(function: Any, within: tuple[int, ...]) -> Iterator[str]:
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        yield from _of_code(code)
        yield repr([d for d in function.__defaults__ or () if isinstance(d, PLAIN)])
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # of one that holds nothing yet
                yield from _of_value(cell.cell_contents, within)


def _of_code(code: CodeType) -> Iterator[str]:
    """Yield what says what code does: not its lines, nor its comments."""
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant)
        elif isinstance(constant, frozenset):  # whose order differs from process to process
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)
