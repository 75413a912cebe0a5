"""Ask a STAC API: with a time-out, and again where it was busy or broke off."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from xfusion.datamodel.redaction import public, without_secrets

from .deadline import Deadline, Exceeded
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
    of_requests = APIError, RequestException, Exceeded
    failures = *of_requests, JSONDecodeError, DoesNotConformTo, STACError
    try:
        with Deadline() as deadline:
            client, asked = _clients(catalog, profile, deadline)
            found = asked.search(
                collections=[profile.collection],
                bbox=bbox,
                datetime=interval,
                limit=PAGE_SIZE,
                max_items=MOST_ITEMS,
                method="POST" if _posts(asked) else "GET",
            )
            # all pages now: one that fails must not be met half-way through a load
            features = [each for page in found.pages_as_dicts() for each in page["features"]]
        items = [_item(each, client) for each in features]
    except failures as error:
        # pystac says that a link leads nowhere, and not why
        cause = (isinstance(error, STACError) and error.__cause__) or error
        said = without_secrets(f"{type(cause).__name__}: {cause}", profile.url)
        msg = (
            f"the search for {profile.collection!r} in {public(profile.url)} failed, "
            f"{said[:LONGEST_TEXT]}: try again, or pass items= or catalog="
        )
        raise ConnectionError(msg) from None
    if len(items) == MOST_ITEMS:
        msg = (
            f"{public(profile.url)} has {MOST_ITEMS} items of {profile.collection!r} or more from "
            f"{interval.replace('/', ' to ')}: ask for fewer days, or pass items="
        )
        raise ValueError(msg)
    return items


def _clients(catalog: CatalogLike, profile: Catalog, deadline: Deadline) -> tuple[Any, Any]:
    """Return the client of a catalogue, and one like it that asks within the deadline."""
    if isinstance(catalog, Catalog | str | os.PathLike):
        client = open_client(profile.url, deadline)
        return client, client
    return catalog, deadline.client(catalog)


def _item(feature: Any, client: Any) -> pystac.Item:
    import pystac
    from pystac_client.exceptions import APIError

    try:
        return pystac.Item.from_dict(feature, root=client, preserve_dict=False)
    except malformed() as error:
        name = feature.get("id") if isinstance(feature, Mapping) else None
        msg = f"its item {name!r} is not one of STAC, {type(error).__name__}: {error}"
        raise APIError(msg) from error


def _posts(client: Client) -> bool:
    # EODC answers GET searches that have parameters with nothing
    links = client.get_links("search")
    return any(str(link.extra_fields.get("method")).upper() == "POST" for link in links)


REPEATS = 5  # where it was busy
BUSY = (429, 500, 502, 503, 504)
ATTEMPTS = 3  # where there was no answer, or not the whole of it
DELAY = 0.5  # seconds, doubled each time
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between bytes of an answer
LONGEST_WAIT = 30.0  # seconds, whatever a server asks for


def open_client(url: str, deadline: Deadline) -> Client:
    """Open an API with a client that neither waits for ever nor gives up at once.

    That of pystac-client has no time-out, and repeats neither a POST nor a request that was
    answered with an error, nor one whose answer broke off.
    """
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    class Patient(Retry):
        """Waits as long as the server asks, within bounds."""

        def get_retry_after(self, response: Any) -> float | None:
            """Return the seconds that an answer asks to wait."""
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, LONGEST_WAIT)

    class Persistent(StacApiIO):
        """Asks again where there was no whole answer; urllib3 has no part in reading its body."""

        def request(self, href: str, *args: Any, **kwargs: Any) -> str:
            """Return the text of an answer."""
            for attempt in range(1, ATTEMPTS):
                try:
                    return super().request(href, *args, **kwargs)
                except APIError as error:
                    if getattr(error, "status_code", None) is not None:
                        raise
                    deadline.check()
                time.sleep(DELAY * 2 ** (attempt - 1))
            return super().request(href, *args, **kwargs)

    again = Patient(
        total=REPEATS,
        connect=0,
        read=0,
        other=0,  # such as a certificate that is not trusted
        status_forcelist=BUSY,
        allowed_methods={"GET", "POST"},  # a search changes nothing
        backoff_factor=DELAY,
        backoff_max=LONGEST_WAIT,
        raise_on_status=False,
    )
    stac_io = deadline.io(Persistent(max_retries=again))
    try:
        # the client sets the time-out anew, to None if it is not told
        return Client.open(url, stac_io=stac_io, timeout=TIMEOUT)
    except malformed() as error:
        msg = f"the answer is not that of a STAC API, {type(error).__name__}: {error}"
        raise APIError(msg) from error


def malformed() -> tuple[type[Exception], ...]:
    """Return what pystac raises where an answer lacks a field, or is something else."""
    from pystac import STACError, STACTypeError
    from pystac_client.errors import ClientTypeError

    of_pystac = STACError, STACTypeError, ClientTypeError
    return AttributeError, KeyError, TypeError, ValueError, *of_pystac
