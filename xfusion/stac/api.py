"""Ask a STAC API for items: all pages, within bounds, whoever has opened the client."""

from __future__ import annotations

import os
from http import HTTPStatus
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, TypeAlias

from xfusion.datamodel.caller import warn
from xfusion.datamodel.redaction import public, without_secrets
from xfusion.raster.deadline import DeadlineError, within

from . import bounds
from .items import without_repeats
from .pages import (
    check_address,
    check_answer,
    check_page,
    check_progress,
    matched,
    next_addresses,
)
from .profiles import Catalog, CatalogLike
from .records import item_of, malformed

if TYPE_CHECKING:
    import pystac

Found: TypeAlias = "tuple[list[pystac.Item], int]"  # and how many the catalogue says there are

PAGE_SIZE = 100  # items a page: EODC takes a minute over its default of ten
MOST_ITEMS = 10_000  # a catalogue whose last page leads to itself has more
LONGEST_TEXT = 300  # characters of what a server says of an error; some send a page of HTML
MENDS: dict[int, str] = {  # of answers that are the same the next time
    HTTPStatus.BAD_REQUEST: "check its collection and dates",
    HTTPStatus.UNAUTHORIZED: "give it credentials, in a pystac_client.Client of yours",
    HTTPStatus.FORBIDDEN: "check that your credentials are for it",
    HTTPStatus.NOT_FOUND: "check its address",
    HTTPStatus.METHOD_NOT_ALLOWED: "check that it is a STAC API with a search",
    HTTPStatus.GONE: "check its address",
}


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
            items, promised = within(bounds.LONGEST, lambda: search(catalog, profile, query))
        except DeadlineError:
            raise bounds.too_long(bounds.LONGEST) from None
    except failures as error:
        # pystac says that a link leads nowhere, and not why
        cause = (isinstance(error, STACError) and error.__cause__) or error
        said, mend = _explained(cause)
        message = without_secrets(said, profile.url)
        msg = (
            f"the search for {profile.collection!r} in {public(profile.url)} failed, "
            f"{message[:LONGEST_TEXT]}: {mend}, or pass items= or catalog="
        )
        exceeded = isinstance(cause, bounds.ExceededError)
        raise (bounds.TooMuchError if exceeded else ConnectionError)(msg) from None
    when = interval.replace("/", " to ")
    if len(items) == MOST_ITEMS:
        msg = (
            f"{public(profile.url)} has {MOST_ITEMS} items of {profile.collection!r} or more from "
            f"{when}: ask for fewer days, or pass items="
        )
        raise bounds.TooManyItemsError(msg)
    found = len(without_repeats(items))
    if promised > found:
        warn(
            f"{public(profile.url)} says that it has {promised} items of {profile.collection!r} "
            f"from {when}, but gave {found} and no link to more: some may be missing; ask for "
            "fewer days, or pass items="
        )
    return items


def _explained(error: BaseException) -> tuple[str, str]:
    """Return what went wrong in a search, and what mends it."""
    status = getattr(error, "status_code", None)
    text = f"{type(error).__name__}: {error}"
    if not isinstance(status, int):
        return text, "try again"
    known = {each.value: each.phrase for each in HTTPStatus}
    said = f"it answered {status} {known.get(status, '')}".rstrip()
    if str(error).strip():
        said = f"{said}, {text}"
    return said, MENDS.get(status, "try again")


def _search_of_ours(catalog: Any, profile: Catalog, query: dict[str, Any]) -> Found:
    """Search with a client of our own, bounded in time and bytes."""
    from pystac_client import Client
    from pystac_client.exceptions import APIError

    from .bounded_io import BoundedIO

    del catalog  # the profile has its address
    limits = bounds.Bounds()
    try:
        # the client sets the time-out anew, to None without one
        io = BoundedIO(limits, profile.url)
        client = Client.open(profile.url, stac_io=io, timeout=bounds.TIMEOUT)
    except malformed() as error:
        msg = f"the answer is not that of a STAC API, {type(error).__name__}: {error}"
        raise APIError(msg) from error
    found = _search(client, profile, query)
    limits.lift()
    return found


def _search(client: Any, profile: Catalog, query: dict[str, Any]) -> Found:
    """Search with an open client, page by page."""
    from pystac_client.exceptions import APIError

    links = client.get_links("search")
    for link in links:
        check_address(link.get_absolute_href() or link.href, profile.url)
    posts = any(str(link.extra_fields.get("method")).upper() == "POST" for link in links)
    search = client.search(
        **query,
        limit=PAGE_SIZE,
        max_items=MOST_ITEMS,
        # EODC answers GET searches that have parameters with nothing
        method="POST" if posts else "GET",
    )
    features: list[Any] = []
    known: set[str] = set()
    promised = 0
    # all pages now: one that fails must not be met half-way through a load
    for number, page in enumerate(search.pages_as_dicts(), 1):
        check_answer(page)
        check_page(page)
        check_progress(number, page, known)
        for address in next_addresses(page):
            check_address(address, profile.url)
        features += page["features"]
        promised = max(promised, matched(page))
    try:
        return [item_of(feature, client) for feature in features], promised
    except ValueError as error:
        msg = f"its item {error}"
        raise APIError(msg) from error
