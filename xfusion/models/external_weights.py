"""The files beside a file of ONNX in which its weights are, found without its library.

A file of a stranger may name any file of this machine as its weights: what does not lie beside it
is refused, before it is opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeAlias

# Of the messages of onnx.proto, the fields in which a tensor can be -> the kind of message there
Fields: TypeAlias = Mapping[int, str]
MESSAGES: Mapping[str, Fields] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
VARINT, EIGHT_BYTES, OF_LENGTH, FOUR_BYTES = 0, 1, 2, 5
SIZES = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
KEY, VALUE = 1, 2
LOCATION = b"location"
LARGEST = 1 << 31  # bytes of a message of protobuf
DEEPEST = 100  # messages within another, as many as protobuf reads
MOST_FIELDS = 2_000_000  # of the largest networks a few hundred thousand
LONGEST = 10  # bytes of a whole number
NUMBER = (1 << 32) - 1  # bits of a tag that protobuf looks at
IN_MEMORY = "*"  # onnxruntime takes a name with it for an address in memory


def content_of(path: Path) -> bytes:
    """Return what is in a file of ONNX.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is no file but a folder or a device, or larger than protobuf can be.
    """
    _check_is_file(path, path)
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        msg = (
            f"{path} is larger than {LARGEST >> 30} GiB, which no file of ONNX is: save its "
            "weights beside it, as external data"
        )
        raise ValueError(msg)
    return content


def files_of_weights(path: Path, content: bytes) -> dict[str, Path]:
    """Return the files with weights of a file of ONNX, by the names that it has for them.

    Parameters
    ----------
    path : Path
    content : bytes
        What is in it.

    Raises
    ------
    FileNotFoundError
        If one of them is missing.
    ValueError
        If it is no file of ONNX, or one of them does not lie in its folder, or is no file: none is
        opened.
    """
    try:
        names = external_files(content)
    except ValueError as error:
        msg = f"{path} is no file of ONNX: {error}"
        raise ValueError(msg) from error
    return {name: _beside(path, name) for name in names}


def external_files(content: bytes) -> list[str]:
    """Return the paths, from the folder of the file, of all files that have weights of it.

    Parameters
    ----------
    content : bytes
        Of the file: a message of protobuf.

    Raises
    ------
    ValueError
        If it is none: of one that cannot be read nobody knows which files it has.
    """
    try:
        return sorted({*_Reader().locations(memoryview(content), "model", 1)})
    except IndexError:
        msg = "it ends within a number"
        raise ValueError(msg) from None


def _beside(path: Path, name: str) -> Path:
    """Return the path of a file of weights, if it lies in the folder of the network."""
    kinds = PurePosixPath(name), PureWindowsPath(name)
    leaves = any(kind.anchor or ".." in kind.parts for kind in kinds)
    if leaves or not name or IN_MEMORY in name or not name.isprintable():
        raise ValueError(_lies_elsewhere(path, name))
    file = path.parent / name
    _check_is_file(file, path)
    # links lead elsewhere as well; but a cache of networks links to both where it keeps them
    folders = path.parent.resolve(), path.resolve().parent
    if not any(map(file.resolve().is_relative_to, folders)):
        raise ValueError(_lies_elsewhere(path, name))
    return file


def _lies_elsewhere(path: Path, name: str) -> str:
    return (
        f"{path} has its weights in {name[:200]!r}, which is no file in its folder and is not "
        "opened: if you trust it, save it with its weights beside it"
    )


def _check_is_file(file: Path, of: Path) -> None:
    if stat.S_ISREG(os.stat(file).st_mode):  # noqa: PTH116  # as Path says no kinds without it
        return
    role = "" if file == of else f", where {of} has its weights,"
    msg = f"{file}{role} is no file but a folder or a device: give a file of ONNX"
    raise ValueError(msg)


class _Reader:
    """Reads messages of protobuf, not more fields than a network has."""

    def __init__(self) -> None:
        self.fields = 0

    def locations(self, message: memoryview, kind: str, depth: int) -> Iterator[str]:
        """Yield where weights are by a message of a kind, and by all that is within."""
        if depth > DEEPEST:
            msg = f"it has more than {DEEPEST} messages within one another"
            raise ValueError(msg)
        wanted = MESSAGES[kind]
        for number, part in self._parts(message):
            inner = wanted.get(number)
            if inner == "entry":
                entry = {n: bytes(p) for n, p in self._parts(part)}
                if entry.get(KEY) == LOCATION:
                    yield entry.get(VALUE, b"").decode()
            elif inner is not None:
                yield from self.locations(part, inner, depth + 1)

    def _parts(self, message: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield number and bytes of the fields that have a length."""
        at = 0
        while at < len(message):
            self.fields += 1
            if self.fields > MOST_FIELDS:
                msg = f"it has more than {MOST_FIELDS} fields"
                raise ValueError(msg)
            tag, at = _varint(message, at)
            number, kind = (tag & NUMBER) >> 3, tag & 7
            if number == 0:
                msg = "no field of a message has the number 0"
                raise ValueError(msg)
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
                msg = f"no message of it has a field of type {kind}"
                raise ValueError(msg)


def _varint(message: Any, at: int) -> tuple[int, int]:
    value = message[at]
    if value < 128:  # noqa: PLR2004  # most have one byte
        return value, at + 1
    value &= 127
    for k in range(1, LONGEST):
        byte = message[at + k]
        value |= (byte & 127) << 7 * k
        if byte < 128:  # noqa: PLR2004  # the last has no eighth bit
            return value, at + k + 1
    msg = f"it has a number of more than {LONGEST} bytes"
    raise ValueError(msg)
