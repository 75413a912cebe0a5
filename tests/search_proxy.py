"""A STAC API behind a proxy with faults, from a process of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.faulty import Fault, FaultyHandler, FaultyServer, Reply, arguments, run, started

PASSED_ON = ("Accept", "Content-Type")


def search_proxy(
    upstream: str, faults: Mapping[str, Fault] | None = None
) -> AbstractContextManager[str]:
    """Stand in for an API while the context lasts, at the URL that it yields.

    A fault meets the paths that match its pattern, such as ``"/search"``; with ``after=1`` only
    the second and later pages.
    """
    return started("tests.search_proxy", upstream, faults)


class ProxyServer(FaultyServer):
    def __init__(self, upstream: str, faults: Mapping[str, Fault]) -> None:
        super().__init__(ProxyHandler, faults)
        self.upstream = upstream.rstrip("/")
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        # Tokens differ from API to API: a page is known by the link that led to it.
        self.pages: dict[str, int] = {}


class ProxyHandler(FaultyHandler):
    server: ProxyServer

    def do_POST(self) -> None:  # noqa: N802  # http.server asks for this name
        self.do_GET()

    def reach(self) -> int:
        return self.server.pages.get(page_key(self.command, self.path, parsed(self.body)), 1)

    def reply(self, fault: Fault) -> Reply:
        upstream = urlsplit(self.server.upstream)
        connection = HTTPConnection(upstream.netloc, timeout=60)
        try:
            headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
            connection.request(self.command, upstream.path + self.path, self.body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            return Reply(HTTPStatus.BAD_GATEWAY, str(error).encode(), "text/plain")
        finally:
            connection.close()
        media_type = response.getheader("Content-Type", "")
        if "json" in media_type:
            # Not followed by a digit: else it is another port.
            address = re.escape(self.server.upstream.encode()) + rb"(?!\d)"
            content = re.sub(address, self.server.url.encode(), content)
            self.remember(parsed(content))
        return Reply(response.status, fault.spoil(content), media_type)

    def remember(self, answer: Any) -> None:
        """Note the number of the page that a link leads to."""
        links = answer.get("links", []) if isinstance(answer, dict) else []
        for link in links:
            if link.get("rel") == "next":
                asked = parsed(self.body) if link.get("merge") else None
                body = {**(asked or {}), **link["body"]} if link.get("body") else None
                key = page_key(link.get("method", "GET"), link["href"], body)
                self.server.pages[key] = self.reach() + 1


def page_key(method: str, href: str, body: Any) -> str:
    parts = urlsplit(href)
    return json.dumps(
        [method.upper(), parts.path, sorted(parse_qsl(parts.query)), body], sort_keys=True
    )


def parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


if __name__ == "__main__":
    run(ProxyServer(*arguments()))
