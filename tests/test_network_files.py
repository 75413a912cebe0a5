"""Files of ONNX by strangers: of what they name as their weights nothing elsewhere is opened."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xfusion.models.external_weights import DEEPEST, content_of, external_files, files_of_weights

MODEL_GRAPH, GRAPH_TENSOR, GRAPH_NODE, NODE_ATTRIBUTE, ATTRIBUTE_GRAPH = 7, 5, 1, 5, 6


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def with_weights(location: bytes) -> bytes:
    """A network of one tensor, whose numbers are elsewhere."""
    entry = field(1, b"location") + field(2, location)
    return field(MODEL_GRAPH, field(GRAPH_TENSOR, field(13, entry)))


def nested(depth: int) -> bytes:
    """Branches within branches, three messages each."""
    content = b""
    for _ in range(depth):
        content = field(GRAPH_NODE, field(NODE_ATTRIBUTE, field(ATTRIBUTE_GRAPH, content)))
    return field(MODEL_GRAPH, content)


def test_weights_beside_a_network_are_found(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name in ("net.data", "more/net 2.data"):
        (tmp_path / name).write_bytes(b"1")
        found = files_of_weights(tmp_path / "net.onnx", with_weights(name.encode()))
        assert found == {name: tmp_path / name}


def test_weights_that_are_linked_to_beside_a_network_that_is_linked_to_are_found(
    tmp_path: Path,
) -> None:
    kept, shown = tmp_path / "blobs", tmp_path / "snapshots" / "1"  # as in a cache of a hub
    kept.mkdir()
    shown.mkdir(parents=True)
    content = with_weights(b"net.data")
    for name, blob, told in (("net.onnx", "3f", content), ("net.data", "a0", b"1")):
        (kept / blob).write_bytes(told)
        (shown / name).symlink_to(Path("../../blobs") / blob)
    assert files_of_weights(shown / "net.onnx", content) == {"net.data": shown / "net.data"}
    (shown / "net.data").unlink()
    (tmp_path / "secret").write_text("of somebody")
    (shown / "net.data").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="not opened: if you trust it"):
        files_of_weights(shown / "net.onnx", content)


@pytest.mark.parametrize(
    "location",
    [
        b"/dev/zero",
        b"/etc/passwd",
        b"../secret",
        b"more/../../secret",
        b"../../../../../../etc/passwd",
        b"C:\\secret",
        b"\\\\server\\secret",
        b"..\\secret",
        b"",
        b".",
        b"more",
        b"*/_ORT_MEM_ADDR_/*",
        b"net\x00.data",
        b"link",
        b"linked/secret",
        b"pipe",
    ],
)
def test_weights_that_do_not_lie_beside_a_network_are_refused_unopened(
    location: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "of_network"
    (folder / "more").mkdir(parents=True)
    (tmp_path / "secret").write_text("of somebody")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")

    def refuse(path: Path, *_: Any, **__: Any) -> None:
        msg = f"{path} was opened"
        raise AssertionError(msg)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match=r"not opened: if you trust it|is no file but a folder"):
        files_of_weights(folder / "net.onnx", with_weights(location))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (nested(400), f"more than {DEEPEST} messages within one another"),
        (nested(5000), f"more than {DEEPEST} messages within one another"),
        (field(MODEL_GRAPH, b"")[:1] + varint(1 << 62), "a field ends after its message"),
        (b"\xba" + b"\xff" * 100_000, "a number of more than 10 bytes"),
        (varint(MODEL_GRAPH << 3 | 2) + b"\xff", "ends within a number"),
        (bytes(1 << 20), "no field of a message has the number 0"),
        (varint(1 << 3 | 3), "no message of it has a field of type 3"),
        (b"\x08\x01" * 5_001, "more than 5000 fields"),
    ],
    ids=["deep", "deeper", "long", "number", "end", "zeros", "group", "many"],
)
def test_what_is_no_network_ends_soon_and_in_little_memory(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xfusion.models.external_weights.MOST_FIELDS", 5_000)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"net.onnx is no file of ONNX: .*{said}"):
            files_of_weights(tmp_path / "net.onnx", content)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_tag_is_read_as_protobuf_reads_it_and_hides_no_weights() -> None:
    # of the bits of a tag beyond the 32nd protobuf looks at none
    content = with_weights(b"hidden")
    longer = varint(1 << 34 | MODEL_GRAPH << 3 | 2) + content[1:]
    assert external_files(longer) == external_files(content) == ["hidden"]


def test_weights_in_the_defaults_of_a_function_are_found() -> None:
    entry = field(1, b"location") + field(2, b"of_default")
    attribute = field(5, field(13, entry))
    assert external_files(field(25, field(11, attribute))) == ["of_default"]


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match="is no file but a folder or a device"):
            content_of(path)


def test_a_file_larger_than_protobuf_can_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xfusion.models.external_weights.LARGEST", 1000)
    (tmp_path / "net.onnx").write_bytes(bytes(1001))
    with pytest.raises(ValueError, match="is larger than .* save its weights beside it"):
        content_of(tmp_path / "net.onnx")


def test_no_bytes_raise_anything_but_a_value_error() -> None:
    rng = np.random.default_rng(0)
    whole = with_weights(b"net.data") + nested(3)
    for _ in range(3000):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), 3):
            content[at] = rng.integers(0, 256)
        try:
            external_files(bytes(content[: rng.integers(1, len(content) + 1)]))
        except ValueError:
            continue
