"""What a network in PyTorch is, as a digest: of its layers, weights and the code of its classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.nn import Module

PLAIN = (bool, int, float, complex, str, bytes, type(None))
OF_TORCH = "torch."


def module_digest(module: Module) -> str:
    """Return a digest of a module.

    Of its structure, its weights and buffers, plain attributes of each layer, and what the methods
    of classes that are not torch's are compiled to. Functions that these call are not looked at.
    """
    found = hashlib.sha256(repr(module).encode())
    for name, value in module.state_dict().items():
        found.update(name.encode())
        if hasattr(value, "detach"):
            import torch as library

            whole = value.detach().cpu().contiguous().reshape(-1).view(library.uint8)
            found.update(whole.numpy().data)
    for part in _own_parts(module):
        found.update(part.encode())
    return found.hexdigest()


def code_digest(function: Any) -> str:
    """Return a digest of what a function is compiled to; of what else can be called, of nothing."""
    return hashlib.sha256("".join(_of_function(function)).encode()).hexdigest()


def _own_parts(module: Module) -> Iterator[str]:
    """Yield texts that say what classes of others do, and the plain values of their objects."""
    kinds: set[type] = set()
    for name, layer in module.named_modules():
        own = [kind for kind in type(layer).__mro__ if not _is_of_torch(kind)]
        for key, value in sorted(vars(layer).items()):
            if key == "forward" or (own != [object] and key[0] != "_" and key != "training"):
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


def _of_value(value: Any) -> Iterator[str]:
    """Yield the text of a plain value, or of what a function is compiled to; of others nothing."""
    if isinstance(value, PLAIN):
        yield repr(value)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _of_value(each)
    else:
        for name in ("fget", "__func__", "__wrapped__"):  # properties, static and decorated methods
            value = getattr(value, name, None) or value
        yield from _of_function(value)


def _of_function(function: Any) -> Iterator[str]:
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        yield from _of_code(code)
        yield repr([d for d in function.__defaults__ or () if isinstance(d, PLAIN)])


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
