"""The files beside a file of ONNX in which its weights are, found without its library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

# Of the messages of onnx.proto, the fields in which a tensor can be -> the kind of message there
Fields: TypeAlias = Mapping[int, str]
MESSAGES: Mapping[str, Fields] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
VARINT, EIGHT_BYTES, OF_LENGTH, FOUR_BYTES = 0, 1, 2, 5
SIZES = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
KEY, VALUE = 1, 2
LOCATION = b"location"


def external_files(content: bytes) -> list[str]:
    """Return the paths, from the folder of the file, of all files that have weights of it.

    Parameters
    ----------
    content : bytes
        Of the file: a message of protobuf. Of what is none, nothing: onnxruntime says that.
    """
    try:
        return sorted({*_locations(memoryview(content), "model")})
    except (IndexError, ValueError):
        return []


def _locations(message: memoryview, kind: str) -> Iterator[str]:
    wanted = MESSAGES[kind]
    for number, part in _parts(message):
        inner = wanted.get(number)
        if inner == "entry":
            entry = {n: bytes(p) for n, p in _parts(part)}
            if entry.get(KEY) == LOCATION:
                yield entry.get(VALUE, b"").decode()
        elif inner is not None:
            yield from _locations(part, inner)


def _parts(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and bytes of the fields that have a length."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, at = _varint(message, at)
        elif kind == OF_LENGTH:
            length, at = _varint(message, at)
            if at + length > len(message):
                msg = "a field ends after its message"
                raise ValueError(msg)
            yield number, message[at : at + length]
            at += length
        elif kind in SIZES:
            at += SIZES[kind]
        else:
            msg = f"no message of protobuf has a field of type {kind}"
            raise ValueError(msg)


def _varint(message: Any, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:  # noqa: PLR2004  # the last has no eighth bit
            return value, at
        shift += 7
