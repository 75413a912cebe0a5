"""Refuse answers of a catalogue that pystac-client would misread: items would be missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit


def check_address(source: Any) -> None:
    """Refuse what pystac-client would open as a file of this machine."""
    from pystac_client.exceptions import APIError

    if isinstance(source, str) and not urlsplit(source).netloc:
        msg = f"it leads to {source!r}, which is no address of the web"
        raise APIError(msg)


def check_answer(answer: Any) -> None:
    """Refuse what pystac-client would stumble over without saying what it is."""
    from pystac_client.exceptions import APIError

    fields = answer if isinstance(answer, Mapping) else {"links": [answer]}
    links, features = (fields.get(name) or [] for name in ("links", "features"))
    if not (_are_records(links, "rel", "href") and _are_records(features)):
        msg = "the answer is JSON, but not of a STAC API"
        raise APIError(msg)


def check_page(page: Any) -> None:
    """Refuse what pystac-client would take for the end of the pages."""
    from pystac_client.exceptions import APIError

    if not isinstance(page.get("features"), list):
        msg = "the answer is JSON, but no page of a search: it has no list of features"
        raise APIError(msg)
    links = page.get("links") or []
    following = [x for x in links if isinstance(x, Mapping) and x.get("rel") == "next"]
    if following and not page["features"] and page.get("numberMatched") != 0:
        msg = "a page without items leads to a next one, so items may be missing"
        raise APIError(msg)


def next_addresses(page: Any) -> list[str]:
    """Return the addresses to which a page leads."""
    links = page.get("links") or []
    return [str(x.get("href")) for x in links if isinstance(x, Mapping) and x.get("rel") == "next"]


def _are_records(many: Any, *fields: str) -> bool:
    return isinstance(many, list) and all(
        isinstance(one, Mapping) and {*fields} <= {*one} for one in many
    )
