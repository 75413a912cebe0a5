"""An S3 of moto behind a proxy that fails now and then, from a process of its own."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.faulty import served

BUCKET = "maps"


def s3_server(*, every: int = 0) -> AbstractContextManager[str]:
    """Serve a bucket; of its answers each so-many-th is lost, a 503, or a break in the body."""
    return served("tests.s3_server", str(every), stderr=subprocess.DEVNULL)


class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: int
    every: int
    count = itertools.count(1)

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        number = next(self.count)
        faulty = self.every and number % self.every == 0
        kind = number // self.every % 3 if faulty else -1
        if kind == 0:
            self.answer(503, {}, b"<Error><Code>SlowDown</Code></Error>")
            return
        upstream = HTTPConnection("127.0.0.1", self.upstream, timeout=30)
        upstream.request(self.command, self.path, body, dict(self.headers))
        response = upstream.getresponse()
        content = response.read()
        upstream.close()
        # what was asked for has been done, and nobody hears of it
        if kind == 1:
            self.close_connection = True
            return
        self.answer(response.status, dict(response.getheaders()), content, torn=kind == 2)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any  # noqa: N815  # http.server's names

    def answer(
        self, status: int, headers: dict[str, str], content: bytes, *, torn: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "date", "server"):
                self.send_header(name, value)
        length = headers.get("content-length", headers.get("Content-Length", len(content)))
        self.send_header("Content-Length", str(length if self.command == "HEAD" else len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if torn else content)
        self.close_connection = torn or self.close_connection

    def log_message(self, *_: Any) -> None:
        pass


def main() -> None:
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    Proxy.upstream, Proxy.every = moto.get_host_and_port()[1], int(sys.argv[1])
    bucket = HTTPConnection("127.0.0.1", Proxy.upstream)
    bucket.request("PUT", f"/{BUCKET}")
    bucket.getresponse().read()
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    print(proxy.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
