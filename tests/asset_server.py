"""Serve a folder over HTTP with range requests, well or with faults, from a process of its own."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.faulty import Fault, FaultyHandler, FaultyServer, Reply, arguments, run, started


def serve_folder(
    folder: Path | str, faults: Mapping[str, Fault] | None = None
) -> AbstractContextManager[str]:
    """Serve a folder while the context lasts, at the URL that it yields.

    A fault meets the paths that match its pattern, such as ``"/*/B04.tif"``; of several the first
    that is due.
    """
    return started("tests.asset_server", str(Path(folder).resolve()), faults)


class AssetServer(FaultyServer):
    def __init__(self, folder: Path, faults: Mapping[str, Fault]) -> None:
        super().__init__(AssetHandler, faults)
        self.folder = folder


class AssetHandler(FaultyHandler):
    server: AssetServer

    def reach(self) -> int:
        if self.command == "HEAD":
            return 0
        window = byte_range(self.headers.get("Range"), sys.maxsize)
        return sys.maxsize if window is None else window.stop

    def reply(self, fault: Fault) -> Reply:
        content = self.asset()
        if content is None:
            return Reply(HTTPStatus.NOT_FOUND)
        content = fault.spoil(content)
        tag = hashlib.sha256(content).hexdigest()[:16]
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{tag}"'}
        window = byte_range(self.headers.get("Range"), len(content))
        if window is None:
            return Reply(HTTPStatus.OK, content, headers=headers)
        self.server.count("ranges")
        if len(window) == 0:
            headers["Content-Range"] = f"bytes */{len(content)}"
            return Reply(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
        headers["Content-Range"] = f"bytes {window[0]}-{window[-1]}/{len(content)}"
        body = content[window.start : window.stop]
        return Reply(HTTPStatus.PARTIAL_CONTENT, body, headers=headers)

    def asset(self) -> bytes | None:
        path = (self.server.folder / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
        if not path.is_relative_to(self.server.folder) or not path.is_file():
            return None
        return path.read_bytes()


def byte_range(header: str | None, length: int) -> range | None:
    """Read a Range header: None asks for the whole, an empty range cannot be satisfied."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").strip())
    # A server may ignore what it does not support, such as several ranges at once.
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, length - int(last)), length)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1 if last else length, length))


if __name__ == "__main__":
    folder, faults = arguments()
    run(AssetServer(Path(folder), faults))
