"""Ask a STAC API for items: all pages, within bounds, whoever has opened the client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from xfusion.datamodel.redaction import public, without_secrets
from xfusion.raster.deadline import DeadlineError, within

from . import bounds
from .pages import check_address, check_answer, check_page, next_addresses
from .profiles import Catalog, CatalogLike

if TYPE_CHECKING:
    import pystac
    from pystac_client import Client

PAGE_SIZE = 100  # items a page: EODC takes a minute over its default of ten
MOST_ITEMS = 10_000  # a catalogue whose last page leads to itself has more
LONGEST_TEXT = 300  # characters of what a server says of an error; some send a page of HTML


def search_api(
    catalog: CatalogLike, profile: Catalog, bbox: tuple[float, ...], interval: str
) -> list[pystac.Item]:
    """Return the items of a collection in a box and an interval, of all pages."""
    from pystac import STACError
    from pystac_client.exceptions import APIError
    from pystac_client.warnings import DoesNotConformTo
    from requests import RequestException

    # what a server can be to blame for
    of_requests = APIError, RequestException, bounds.ExceededError
    failures = *of_requests, JSONDecodeError, DoesNotConformTo, STACError
    search = _search_of_ours if isinstance(catalog, Catalog | str | os.PathLike) else _search
    query = {"collections": [*profile.collections], "bbox": bbox, "datetime": interval}
    try:
        try:
            items = within(bounds.LONGEST, lambda: search(catalog, profile, query))
        except DeadlineError:
            raise bounds.too_long(bounds.LONGEST) from None
    except failures as error:
        # pystac says that a link leads nowhere, and not why
        cause = (isinstance(error, STACError) and error.__cause__) or error
        message = without_secrets(f"{type(cause).__name__}: {cause}", profile.url)
        msg = (
            f"the search for {profile.collection!r} in {public(profile.url)} failed, "
            f"{message[:LONGEST_TEXT]}: try again, or pass items= or catalog="
        )
        raise ConnectionError(msg) from None
    if len(items) == MOST_ITEMS:
        msg = (
            f"{public(profile.url)} has {MOST_ITEMS} items of {profile.collection!r} or more from "
            f"{interval.replace('/', ' to ')}: ask for fewer days, or pass items="
        )
        raise ValueError(msg)
    return items


def _search_of_ours(catalog: Any, profile: Catalog, query: dict[str, Any]) -> list[pystac.Item]:
    """Search with a client of our own, bounded in time and bytes."""
    from pystac_client import Client
    from pystac_client.exceptions import APIError

    from .bounded_io import BoundedIO

    del catalog  # the profile has its address
    limits = bounds.Bounds()
    try:
        # the client sets the time-out anew, to None without one
        client = Client.open(profile.url, stac_io=BoundedIO(limits), timeout=bounds.TIMEOUT)
    except malformed() as error:
        msg = f"the answer is not that of a STAC API, {type(error).__name__}: {error}"
        raise APIError(msg) from error
    items = _search(client, profile, query)
    limits.lift()
    return items


def _search(client: Any, profile: Catalog, query: dict[str, Any]) -> list[pystac.Item]:
    """Search with an open client, page by page."""
    del profile
    links = client.get_links("search")
    for link in links:
        check_address(link.get_absolute_href() or link.href)
    posts = any(str(link.extra_fields.get("method")).upper() == "POST" for link in links)
    search = client.search(
        **query,
        limit=PAGE_SIZE,
        max_items=MOST_ITEMS,
        # EODC answers GET searches that have parameters with nothing
        method="POST" if posts else "GET",
    )
    features: list[Any] = []
    # all pages now: one that fails must not be met half-way through a load
    for page in search.pages_as_dicts():
        check_answer(page)
        check_page(page)
        for address in next_addresses(page):
            check_address(address)
        features += page["features"]
    return [_item(feature, client) for feature in features]


def _item(feature: Any, client: Client) -> pystac.Item:
    import pystac
    from pystac_client.exceptions import APIError

    try:
        return pystac.Item.from_dict(feature, root=client, preserve_dict=False)
    except malformed() as error:
        name = feature.get("id") if isinstance(feature, Mapping) else None
        msg = f"its item {name!r} is not one of STAC, {type(error).__name__}: {error}"
        raise APIError(msg) from error


def malformed() -> tuple[type[Exception], ...]:
    """Return what pystac raises where an answer lacks a field, or is something else."""
    from pystac import STACError, STACTypeError
    from pystac_client.errors import ClientTypeError

    of_pystac = STACError, STACTypeError, ClientTypeError
    return AttributeError, KeyError, TypeError, ValueError, *of_pystac
