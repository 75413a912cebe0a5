"""HTTP servers that misbehave as they are told, each in a process of its own.

GDAL reads from them, and a server in the reading process could wait for a lock that GDAL holds.
``/__stats__`` counts what a server was asked.
"""

from __future__ import annotations

import json
import random
import select
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b""
    media_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What is wrong with the replies to some requests."""

    kind: Literal[
        "none",
        "status",  # another status, with headers such as Retry-After
        "redirect",  # to the location, which may be relative
        "wrong",  # status 200 with a page of HTML
        "answer",  # status 200 with other JSON
        "truncate",  # the content ends early, and its length says so
        "garble",  # random bytes from `after` on
        "close",  # the connection ends within the body
        "late close",  # the same, after a pause of some seconds
        "reset",  # the same, by a TCP reset
        "stall",  # a pause of some seconds within the body, which then goes on
        "drip",  # the same after each further byte
    ]
    _: KW_ONLY
    times: int | None = None
    """How many requests of each path are spoilt before all is well; None for all."""
    after: int = 0
    """Only requests that reach beyond this byte of a file, or this page of a search."""
    part: float | None = 0.5
    """What is sent of the body before a break, or left of the content that is truncated. None
    breaks before the headers."""
    status: int | None = None
    """By default 503, or 302 of a redirect."""
    headers: Mapping[str, str] = field(default_factory=dict)
    location: str = ""
    body: str = ""
    seconds: float = 60

    def reply(self) -> Reply | None:
        """Return what is answered without a look at the content."""
        if self.kind == "status":
            return Reply(self.status or HTTPStatus.SERVICE_UNAVAILABLE, headers=self.headers)
        if self.kind == "redirect":
            headers = {**self.headers, "Location": self.location}
            return Reply(self.status or HTTPStatus.FOUND, headers=headers)
        if self.kind == "wrong":
            page = b"<!DOCTYPE html><title>Sign in</title><p>Please sign in to go on."
            return Reply(HTTPStatus.OK, page, "text/html", self.headers)
        if self.kind == "answer":
            return Reply(HTTPStatus.OK, self.body.encode(), "application/json", self.headers)
        return None

    def spoil(self, content: bytes) -> bytes:
        """Return what is left of the content."""
        if self.kind == "truncate":
            return content[: int(len(content) * (self.part or 0))]
        if self.kind == "garble":
            noise = random.Random(0).randbytes(max(0, len(content) - self.after))  # noqa: S311  # the same rubbish each time
            return content[: self.after] + noise
        return content


WELL = Fault("none")


class FaultyServer(ThreadingHTTPServer):
    daemon_threads = True
    # GDAL opens many connections at once.
    request_queue_size = 128

    def __init__(self, handler: type[FaultyHandler], faults: Mapping[str, Fault]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.faults = faults
        self.spoilt: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter(requests=0, ranges=0, bytes=0, faults=0)
        self.methods: Counter[str] = Counter()
        self.paths: Counter[str] = Counter()
        self.counting = threading.Lock()

    def count(self, what: str, number: int = 1) -> None:
        with self.counting:
            self.counts[what] += number

    def stats(self) -> dict[str, Any]:
        with self.counting:
            return {**self.counts, "methods": dict(self.methods), "paths": dict(self.paths)}

    def receive(self, method: str, path: str, reach: int) -> Fault:
        """Count a request and tell which fault meets it: the first that matches and is due."""
        with self.counting:
            self.counts["requests"] += 1
            self.methods[method] += 1
            self.paths[path] += 1
            for pattern, fault in self.faults.items():
                if not fnmatchcase(path, pattern) or (fault.after and reach <= fault.after):
                    continue
                if fault.times is None or self.spoilt[pattern, path] < fault.times:
                    self.spoilt[pattern, path] += 1
                    self.counts["faults"] += fault != WELL
                    return fault
        return WELL

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that has gone is part of the game.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FaultyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FaultyServer
    body: bytes

    def reach(self) -> int:
        """Tell how far the request reaches: the end of its bytes, or its page."""
        raise NotImplementedError

    def reply(self, fault: Fault) -> Reply:
        """Answer the request, with content as the fault spoils it."""
        raise NotImplementedError

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/__stats__":
            stats = json.dumps(self.server.stats()).encode()
            self.send(Reply(HTTPStatus.OK, stats, "application/json"), WELL)
            return
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.receive(self.command, path, self.reach())
        self.send(fault.reply() or self.reply(fault), fault)

    def do_HEAD(self) -> None:
        self.do_GET()

    def send(self, reply: Reply, fault: Fault) -> None:
        body = b"" if self.command == "HEAD" else reply.body
        self.server.count("bytes", len(body))
        head = self.head(reply)
        message = head + body
        if fault.kind in {"close", "late close", "reset", "stall", "drip"}:
            sent = 0 if fault.part is None else len(head) + int(len(body) * fault.part)
            self.wfile.write(message[:sent])
            message = message[sent:]
            if fault.kind == "stall":
                # Readable is also what a connection is that the client has closed.
                select.select([self.connection], [], [], fault.seconds)
            elif fault.kind == "drip":
                for byte in message:
                    self.wfile.write(bytes([byte]))
                    if select.select([self.connection], [], [], fault.seconds)[0]:
                        return
                return
            else:
                if fault.kind == "late close":
                    select.select([self.connection], [], [], fault.seconds)
                self.hang_up(reset=fault.kind == "reset")
                return
        self.wfile.write(message)

    def head(self, reply: Reply) -> bytes:
        phrase = responses.get(reply.status, "")
        headers = {
            "Content-Type": reply.media_type,
            "Content-Length": str(len(reply.body)),
            **reply.headers,
        }
        lines = [f"{self.protocol_version} {reply.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            # A linger of 0 s; and closed here, as the server would shut it down in good order.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.rfile.close()
            self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


def run(server: FaultyServer) -> None:
    """Tell the port and serve until standard input ends."""
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


@contextmanager
def served(module: str, *arguments: str, stderr: int | None = None) -> Iterator[str]:
    """Run a module that tells its port and ends with its input; its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def started(
    module: str, target: str, faults: Mapping[str, Fault] | None
) -> AbstractContextManager[str]:
    """Run a module whose main calls `run`, with faults."""
    records = json.dumps({pattern: asdict(fault) for pattern, fault in (faults or {}).items()})
    return served(module, target, records)


def arguments() -> tuple[str, dict[str, Fault]]:
    """Read what `started` passed on the command line."""
    _, target, records = sys.argv
    return target, {pattern: Fault(**record) for pattern, record in json.loads(records).items()}
