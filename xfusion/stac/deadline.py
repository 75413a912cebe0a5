"""A search as a whole is bounded in time and in bytes, whatever its server sends."""

from __future__ import annotations

import contextlib
import copy
import math
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pystac_client import Client
    from requests import Session

LONGEST = 600.0  # seconds: a time-out is for each byte, and there are pages and repeats
MOST_BYTES = 2**29  # of all answers, unpacked: ten thousand items of 50 kB
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between bytes of an answer, of who has none
CHUNK = 2**16


class Exceeded(Exception):  # noqa: N818  # a bound, no error of a class that urllib3 would repeat
    """A search took longer, or its answers were larger, than any search should."""


class Deadline:
    """Bounds the requests of a client while the context lasts.

    A time-out of requests starts anew with each byte, of headers, of a TLS handshake and of a body
    alike. So the connections themselves are shut when the time is over.
    """

    def __init__(self) -> None:
        self._seconds, self._most_bytes = LONGEST, float(MOST_BYTES)
        self._received = 0
        self._until = math.inf
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(self._seconds, self._shut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Let the time begin."""
        self._until = time.monotonic() + self._seconds
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the client without bounds: an item may know it, and ask it later."""
        self._timer.cancel()
        self._until = self._most_bytes = math.inf
        with self._lock:
            for duplicate in self._sockets:
                duplicate.close()
            self._sockets.clear()

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self._until - time.monotonic())

    def check(self) -> None:
        """Raise if the time is over or too much has come."""
        if not self.left:
            msg = f"it took more than {self._seconds:g} s in all"
            raise Exceeded(msg)
        if self._received > self._most_bytes:
            msg = f"it sent more than {self._most_bytes:.0f} bytes in all"
            raise Exceeded(msg)

    def client(self, client: Client) -> Client:
        """Return a client that asks as another does, but within the bounds."""
        from pystac_client.stac_api_io import StacApiIO

        bounded, asked = copy.copy(client), client._stac_io or StacApiIO()  # noqa: SLF001  # no other way to it
        bounded._stac_io = self.io(asked)  # noqa: SLF001  # as above
        # a search may follow the link to the root, by the requests of whose link it is
        bounded.links = [copy.copy(link).set_owner(bounded) for link in client.links]
        return bounded

    def io(self, asked: Any) -> Any:
        """Return a StacApiIO like another, with a bounded session, that knows what is no answer."""
        from pystac_client.exceptions import APIError

        io = copy.copy(asked)
        io.session = self._session(asked.session)

        def read_json(source: Any, *args: Any, **kwargs: Any) -> Any:
            _check_address(source)
            try:
                answer = type(asked).read_json(io, source, *args, **kwargs)
            except (RecursionError, ValueError) as error:
                # a thousand brackets, or a number of thousands of digits, are JSON as well
                msg = f"the answer is no JSON that can be read, {type(error).__name__}: {error}"
                raise APIError(msg) from error
            _check_answer(answer)
            if "parameters" in kwargs:
                # which are given with each page of a search, and with nothing else
                _check_page(answer)
            return answer

        io.read_json = read_json
        return io

    def watch(self, connected: socket.socket) -> None:
        """Have a connection shut when the time is over."""
        with self._lock:
            self.check()
            # TLS takes the file descriptor from the socket that it wraps
            self._sockets.append(connected.dup())

    def _shut(self) -> None:
        with self._lock:
            for duplicate in self._sockets:
                with contextlib.suppress(OSError):  # the server was faster
                    duplicate.shutdown(socket.SHUT_RDWR)

    def _session(self, asked: Session) -> Session:
        # not copy.copy, which takes what a pickle would: a subclass may have more
        session = object.__new__(type(asked))
        session.__dict__.update(asked.__dict__)
        session.adapters = OrderedDict(
            (prefix, self._adapter(adapter)) for prefix, adapter in asked.adapters.items()
        )
        return session

    def _adapter(self, asked: Any) -> Any:
        """Return an adapter like another, of connections that are all its own."""
        from requests.adapters import HTTPAdapter

        adapter = object.__new__(type(asked))
        adapter.__dict__.update(asked.__dict__)
        if isinstance(adapter, HTTPAdapter):
            adapter.proxy_manager = {}
            # as its own __setstate__ does
            sizes = asked._pool_connections, asked._pool_maxsize  # noqa: SLF001  # no other way
            adapter.init_poolmanager(*sizes, block=asked._pool_block)  # noqa: SLF001  # nor here
            adapter.max_retries = self._retry(asked.max_retries)
        adapter.__class__ = _bounded_adapter(type(asked), self)
        return adapter

    def receive(self, response: Any) -> None:
        """Read a response to its end, within the bounds."""
        parts = []
        for part in response.iter_content(CHUNK):
            self._received += len(part)
            self.check()
            parts.append(part)
        self.check()  # a body without a length ends where its connection does
        # as Response.content itself does, which would read without bounds
        response._content = b"".join(parts)  # noqa: SLF001  # no other way

    def _retry(self, asked: Any) -> Any:
        """Return a rule of repeats like another that does not wait beyond the time."""
        deadline = self

        class Bounded(type(asked)):  # type: ignore[misc]  # whatever theirs is
            def get_retry_after(self, response: Any) -> float | None:
                seconds = super().get_retry_after(response)
                return None if seconds is None else min(seconds, deadline.left)

            def get_backoff_time(self) -> float:
                return min(float(super().get_backoff_time()), deadline.left)

        retry = copy.copy(asked)
        retry.__class__ = Bounded
        return retry


def _bounded_adapter(kind: type[Any], deadline: Deadline) -> type[Any]:
    class Bounded(kind):  # type: ignore[misc]  # whatever theirs is
        def send(self, request: Any, *_: Any, timeout: Any = None, **kwargs: Any) -> Any:
            deadline.check()
            kwargs["stream"] = True
            try:
                response = super().send(request, timeout=_timeout(timeout), **kwargs)
                deadline.receive(response)
            except OSError:
                # a connection that was shut looks as if its server had broken it off
                deadline.check()
                raise
            return response

        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **kwargs)
            if not hasattr(pool.ConnectionCls, "deadline"):
                pool.ConnectionCls = _bounded_connection(pool.ConnectionCls, deadline)
            return pool

    return Bounded


def _bounded_connection(kind: type[Any], of: Deadline) -> type[Any]:
    class Bounded(kind):  # type: ignore[misc]  # HTTP or HTTPS, straight or by a proxy
        deadline = of

        def _new_conn(self) -> socket.socket:
            of.check()
            connected: socket.socket = super()._new_conn()
            of.watch(connected)
            return connected

    return Bounded


def _timeout(asked: Any) -> Any:
    """Return a time-out that has no part without end."""
    if asked is None or isinstance(asked, tuple):
        parts = asked or (None, None)
        return tuple(ours if own is None else own for own, ours in zip(parts, TIMEOUT, strict=True))
    return asked


def _check_address(source: Any) -> None:
    """Refuse what pystac-client would open as a file of this machine."""
    from pystac_client.exceptions import APIError

    if isinstance(source, str) and not urlsplit(source).netloc:
        msg = f"it leads to {source!r}, which is no address of the web"
        raise APIError(msg)


def _check_answer(answer: Any) -> None:
    """Refuse what pystac-client would stumble over without saying what it is."""
    from pystac_client.exceptions import APIError

    said = answer if isinstance(answer, Mapping) else {"links": [answer]}
    links, features = (said.get(name) or [] for name in ("links", "features"))
    if not (_are_records(links, "rel", "href") and _are_records(features)):
        msg = "the answer is JSON, but not of a STAC API"
        raise APIError(msg)


def _check_page(answer: Any) -> None:
    """Refuse what pystac-client would take for the end of the pages: items would be missing."""
    from pystac_client.exceptions import APIError

    if not isinstance(answer.get("features"), list):
        msg = "the answer is JSON, but no page of a search: it has no list of features"
        raise APIError(msg)
    links = answer.get("links") or []
    more = any(isinstance(link, Mapping) and link.get("rel") == "next" for link in links)
    if more and not answer["features"] and answer.get("numberMatched") != 0:
        msg = "a page without items leads to a next one, so items may be missing"
        raise APIError(msg)


def _are_records(many: Any, *fields: str) -> bool:
    return isinstance(many, list) and all(
        isinstance(one, Mapping) and {*fields} <= {*one} for one in many
    )
