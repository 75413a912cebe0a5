"""Serve a folder over HTTP, each answer after a wait, and count requests and bytes.

The first part of an address is the name of who asks: ``/ours/red.tif`` is the file ``red.tif``,
counted for "ours". ``/__counts__`` says what was counted. A process of its own, so that neither
the GIL nor a lock of GDAL is shared with who reads.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COUNTS = "/__counts__"


class RangeServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # readers open many connections at once

    def __init__(self, folder: Path, wait: float) -> None:
        super().__init__(("127.0.0.1", 0), RangeHandler)
        self.folder = folder.resolve()
        self.wait = wait
        self.counts: dict[str, dict[str, int]] = {}
        self.counting = threading.Lock()

    def count(self, who: str, sent: int) -> None:
        with self.counting:
            counts = self.counts.setdefault(who, {"requests": 0, "bytes": 0})
            counts["requests"] += 1
            counts["bytes"] += sent


class RangeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: RangeServer

    def do_GET(self) -> None:
        if self.path == COUNTS:
            with self.server.counting:
                self.answer(HTTPStatus.OK, json.dumps(self.server.counts).encode())
            return
        time.sleep(self.server.wait)
        who, _, name = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        path = (self.server.folder / name).resolve()
        if not path.is_relative_to(self.server.folder) or not path.is_file():
            self.server.count(who, 0)
            self.answer(HTTPStatus.NOT_FOUND, b"")
            return
        size = path.stat().st_size
        window = byte_range(self.headers.get("Range"), size)
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{path.stat().st_mtime_ns}"'}
        if window is not None:
            headers["Content-Range"] = f"bytes {window.start}-{window.stop - 1}/{size}"
        status = HTTPStatus.OK if window is None else HTTPStatus.PARTIAL_CONTENT
        if window is not None and not window:
            status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            headers["Content-Range"] = f"bytes */{size}"
        with path.open("rb") as file:
            part = window or range(0 if status != HTTPStatus.OK else size)
            content = os.pread(file.fileno(), len(part), part.start)
        self.server.count(who, len(content) if self.command == "GET" else 0)
        self.answer(status, content, headers)

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(
        self, status: HTTPStatus, content: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def byte_range(header: str | None, size: int) -> range | None:
    """Read a Range header: None asks for the whole, an empty range cannot be satisfied."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").strip())
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(int(last) + 1 if last else size, size))


@contextmanager
def serving(folder: Path, *, wait: float) -> Iterator[str]:
    """Serve a folder while the context lasts, at the URL that it yields."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.range_server", str(folder), str(wait)],
        stdin=subprocess.PIPE,  # the server ends with it
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def counted(url: str) -> dict[str, dict[str, int]]:
    """Return requests and bytes by who asked."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)  # past any proxy
    try:
        connection.request("GET", COUNTS)
        found: dict[str, dict[str, int]] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return found


def main(folder: str, wait: str) -> None:
    server = RangeServer(Path(folder), float(wait))
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
