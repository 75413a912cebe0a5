"""Refuse answers of a catalogue that pystac-client would misread: items would be missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .network import network_of, reached_from

KINDS: dict[str, tuple[type, ...]] = {  # of the fields of a link that pystac-client follows
    "href": (str,),
    "method": (str, type(None)),
    "body": (Mapping, type(None)),
    "headers": (Mapping, type(None)),
}


def check_address(source: Any, origin: str | None = None) -> None:
    """Refuse what pystac-client would open as a file of this machine, or farther inwards.

    Parameters
    ----------
    source : str or other
        What is asked for; an object of pystac is known to be an address.
    origin : str, optional
        URL of the catalogue; it does not make us ask what is farther inwards than it is.
    """
    from pystac_client.exceptions import APIError

    if not isinstance(source, str):
        return
    try:
        parts = urlsplit(source)
        is_of_web = parts.netloc and parts.scheme in ("http", "https")
    except ValueError:
        is_of_web = False  # such as a bracket that is not closed
    if not is_of_web:
        msg = f"it leads to {source!r}, which is no address of the web"
        raise APIError(msg)
    if origin is None:
        return
    network = network_of(source)
    # the catalogue itself, which the caller has named, may be on the local link
    if network not in (network_of(origin), *reached_from(origin)):
        msg = (
            f"it leads to {source!r}, which is on {network}, and is not there itself: if you trust "
            "it, open it with pystac_client.Client, and pass that as catalog="
        )
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
    following = _next_links(page)
    for link in following:
        wrong = [name for name, kind in KINDS.items() if not isinstance(link.get(name), kind)]
        if wrong:
            said = {name: link.get(name) for name in wrong}
            msg = f"its link to the next page has {said}, which leads nowhere"
            raise APIError(msg)
    if following and not page["features"] and page.get("numberMatched") != 0:
        msg = "a page without items leads to a next one, so items may be missing"
        raise APIError(msg)


def next_addresses(page: Any) -> list[str]:
    """Return the addresses to which a page leads."""
    return [str(link.get("href")) for link in _next_links(page)]


def matched(page: Any) -> int:
    """Return how many items a page says that the search has, 0 if it does not say."""
    context = page.get("context")  # of APIs before 1.0
    of_context = context.get("matched") if isinstance(context, Mapping) else None
    said = page.get("numberMatched"), of_context
    return max(n if isinstance(n, int) and not isinstance(n, bool) else 0 for n in said)


def check_progress(number: int, page: Any, known: set[str]) -> None:
    """Refuse a page that leads on, but has nothing that the pages before it had not.

    Parameters
    ----------
    number : int
        Of the page, from 1.
    page : mapping
    known : set of str
        Ids of the pages before; those of this one are added.
    """
    from pystac_client.exceptions import APIError

    # an id is of one collection, and there may be several
    ids = {repr((one.get("collection"), one.get("id"))) for one in page["features"]}
    if ids and ids <= known and next_addresses(page):
        msg = (
            f"page {number} has only items of the pages before it and leads to a next one: its "
            "link leads to itself, or around, so items may be missing"
        )
        raise APIError(msg)
    known |= ids


def _next_links(page: Any) -> list[Mapping[str, Any]]:
    links = page.get("links") or []
    return [x for x in links if isinstance(x, Mapping) and x.get("rel") == "next"]


def _are_records(many: Any, *fields: str) -> bool:
    return isinstance(many, list) and all(
        isinstance(one, Mapping) and {*fields} <= {*one} for one in many
    )
