"""Serve a folder over HTTP with range requests, from a process of its own.

GDAL reads from it, and a server in the reading process could wait for a lock that GDAL holds.

Run as ``python asset_server.py FOLDER``; the first line of output is the port. It ends with its
standard input. ``/__stats__`` counts what it was asked.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class AssetServer(ThreadingHTTPServer):
    daemon_threads = True
    # GDAL opens many connections at once.
    request_queue_size = 128

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), AssetHandler)
        self.folder = folder.resolve()
        self.counts = {"requests": 0, "ranges": 0}
        self.counting = threading.Lock()

    def count(self, **seen: int) -> None:
        with self.counting:
            for name, number in seen.items():
                self.counts[name] += number


class AssetHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: AssetServer

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/__stats__":
            self.answer(HTTPStatus.OK, json.dumps(self.server.counts).encode(), "application/json")
            return
        content = self.asset()
        if content is None:
            self.server.count(requests=1)
            self.answer(HTTPStatus.NOT_FOUND)
            return
        window = byte_range(self.headers.get("Range"), len(content))
        self.server.count(requests=1, ranges=int(window is not None))
        if window is None:
            self.answer(HTTPStatus.OK, content)
        elif len(window) == 0:
            self.answer(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, content_range=f"bytes */{len(content)}"
            )
        else:
            self.answer(
                HTTPStatus.PARTIAL_CONTENT,
                content[window.start : window.stop],
                content_range=f"bytes {window[0]}-{window[-1]}/{len(content)}",
            )

    def do_HEAD(self) -> None:
        self.do_GET()

    def asset(self) -> bytes | None:
        path = (self.server.folder / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
        if not path.is_relative_to(self.server.folder) or not path.is_file():
            return None
        return path.read_bytes()

    def answer(
        self,
        status: HTTPStatus,
        body: bytes = b"",
        media_type: str = "application/octet-stream",
        content_range: str = "",
    ) -> None:
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


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


@contextmanager
def serve_folder(folder: Path | str) -> Iterator[str]:
    """Serve a folder while the context lasts, at the URL that it yields."""
    with subprocess.Popen(
        [sys.executable, __file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def main() -> None:
    server = AssetServer(Path(sys.argv[1]))
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
