"""Search the catalogues of the layers that masks are made of."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Iterable, Mapping
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import numpy as np

from .catalog import (
    CDSE,
    EARTH_SEARCH,
    EODC,
    PLANETARY_COMPUTER,
    Catalog,
    CatalogLike,
    Offset,
    catalog_profile,
)
from .conventions import Time, as_time
from .deadline import Deadline, Exceeded
from .hrefs import local_path
from .items import item_time
from .retry import malformed, open_client
from .web import public, without_secrets

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox
    from pystac_client import Client

__all__ = [
    "CDSE",
    "EARTH_SEARCH",
    "EODC",
    "PLANETARY_COMPUTER",
    "Catalog",
    "CatalogLike",
    "Items",
    "Offset",
    "as_items",
    "catalog_profile",
    "complete_items",
    "day_interval",
    "search",
    "with_offset",
]

PAGE_SIZE = 100  # items a page: EODC takes a minute over its default of ten
MOST_ITEMS = 10_000  # a catalogue whose last page leads to itself has more
OPEN, END_OF_DAY = "..", "T23:59:59.999999Z"  # of an interval
LONGEST_TEXT = 300  # characters of what a server says of an error; some send a page of HTML


Items: TypeAlias = "Iterable[pystac.Item | Mapping[str, Any]]"


def search(catalog: CatalogLike, geobox: GeoBox, datetime: Time, *, default: Catalog) -> list[Any]:
    """Find the items of one day, or of a given interval, that touch a grid.

    Parameters
    ----------
    catalog : Catalog, URL or pystac_client.Client
        Where to search. A URL or Client is searched as `default` would be.
    geobox : GeoBox
        Its bounds, in longitude and latitude, are searched.
    datetime : str, datetime64 or datetime
        A day, or a moment, which stands for its day (UTC); or an interval ``"start/end"``, whose
        last day belongs to it, with ``".."`` for a start or an end that is open.
    default : Catalog
        Collection and assets for a bare URL or Client.

    Returns
    -------
    list of pystac.Item

    Raises
    ------
    LookupError
        If there is no item; the message has collection, bounds, dates and catalogue.
    ConnectionError
        If the catalogue does not answer, or answers with an error, after several attempts.
    ValueError
        If there are 10 000 items or more; or if `datetime` is no date, time or interval of them.

    Notes
    -----
    A page has 100 items; all pages are fetched before any is used. A request is given up after 10 s
    without a connection, or 60 s without a byte of its answer. Answers 429, 500 and 502 to 504 are
    asked for again five times, GET and POST alike, waiting as the server asks but no longer than
    30 s each time; requests without an answer, or without the whole of it, twice. All of a search
    takes 600 s and 512 MiB at most, whatever the server sends.

    An open Client is asked with its own session, time-outs and repeats, which stay as they are.
    Where it has no time-out it gets ours, and its search as a whole is bounded likewise.
    """
    profile = catalog_profile(catalog, default)
    start, end = day_interval(datetime)
    bbox = tuple(geobox.geographic_extent.boundingbox)
    if _is_file(profile.url):
        items = _search_file(profile, bbox, (start, end))
    else:
        items = _search_api(catalog, profile, bbox, f"{start}/{end}")
    if not items:
        msg = (
            f"no items of {profile.collection!r} in {public(profile.url)} from {start} to {end} "
            f"within {tuple(round(b, 5) for b in bbox)}: check the date, or pass items= or catalog="
        )
        raise LookupError(msg)
    return items


def with_offset(catalog: Catalog, offset: Offset | None) -> Catalog:
    """Return a catalogue with another offset, if one is given."""
    return catalog if offset is None else dataclasses.replace(catalog, offset=offset)


def day_interval(datetime: Time) -> tuple[str, str]:
    """Return the first and the last moment of a day, or of an interval "a/b".

    A day is closed with its own last microsecond: pystac-client takes "D/D+1" to the end
    of the next day. An interval is open, "..", where it has no start or no end.

    Raises
    ------
    ValueError
        If it is no date, no time and no interval of them.
    """
    if not (isinstance(datetime, str) and "/" in datetime):
        day = np.datetime_as_string(as_time(datetime), unit="D")
        return f"{day}T00:00:00Z", f"{day}{END_OF_DAY}"
    start, _, end = datetime.partition("/")
    first, last = _moment(start, ""), _moment(end, END_OF_DAY)
    if first == last == OPEN or (OPEN not in (first, last) and as_time(first) > as_time(last)):
        msg = (
            f"{datetime=} is no interval from a start to an end: say it as "
            "'2023-06-20/2023-06-22', '2023-06-20/..' or '../2023-06-20'"
        )
        raise ValueError(msg)
    return first, last


def _moment(said: str, end_of_day: str) -> str:
    if said in ("", OPEN):
        return OPEN
    try:
        return f"{dt.date.fromisoformat(said)}{end_of_day}"
    except ValueError:
        return f"{np.datetime_as_string(as_time(said), unit='us')}Z"


def complete_items(
    items: Iterable[pystac.Item], catalog: Catalog
) -> tuple[list[pystac.Item], dict[str, list[str]]]:
    """Return the items that have every asset of a catalogue, and what the others lack.

    The latter as ids of items to keys of assets.
    """
    complete, lacking = [], {}
    for item in items:
        missing = [key for key in catalog.assets.values() if key not in item.assets]
        if missing:
            lacking[item.id] = missing
        else:
            complete.append(item)
    return complete, lacking


def as_items(items: Items) -> list[pystac.Item]:
    """Return pystac Items from Items or their dictionaries."""
    import pystac

    if isinstance(items, str | os.PathLike):
        msg = f"items={str(items)!r} is a path: pass it as catalog=, or read its items first"
        raise TypeError(msg)
    if isinstance(items, pystac.Item):
        return [items]
    if isinstance(items, Mapping):
        items = items.get("features", [items])
    return [i if isinstance(i, pystac.Item) else _given(i) for i in items]


def _given(record: Any) -> pystac.Item:
    import pystac

    try:
        return pystac.Item.from_dict(dict(record))
    except malformed() as error:
        name = record.get("id") if isinstance(record, Mapping) else record
        msg = (
            f"items= has {str(name)[:60]!r}, which is no STAC item, {type(error).__name__}: "
            f"{error}: correct it, or leave it out"
        )
        raise ValueError(msg) from error


def of_interval(items: Iterable[pystac.Item], datetime: Time) -> list[pystac.Item]:
    """Return the items of a day or an interval."""
    first, last = day_interval(datetime)

    def belongs(item: pystac.Item) -> bool:
        moment = as_time(item_time(item))
        begun = first == OPEN or as_time(first) <= moment
        return bool(begun and (last == OPEN or moment <= as_time(last)))

    return [item for item in items if belongs(item)]


def _search_api(
    catalog: CatalogLike, profile: Catalog, bbox: tuple[float, ...], interval: str
) -> list[pystac.Item]:
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


def _is_file(url: str) -> bool:
    return urlsplit(url).scheme in ("", "file")


def _search_file(
    profile: Catalog, bbox: tuple[float, ...], interval: tuple[str, str]
) -> list[pystac.Item]:
    import pystac

    try:
        items = pystac.ItemCollection.from_file(local_path(profile.url))
    except malformed() as error:
        msg = (
            f"{profile.url} is no item collection of STAC, {type(error).__name__}: {error}: "
            "correct it, or pass its items as items="
        )
        raise ValueError(msg) from error

    def matches(item: pystac.Item) -> bool:
        return item.collection_id == profile.collection and _touches(item, bbox)

    return of_interval(filter(matches, items), "/".join(interval))


def _touches(item: pystac.Item, bbox: tuple[float, ...]) -> bool:
    """Whether an item may show something of a box, as it does if it has none of its own."""
    west, south, east, north = bbox
    box = item.bbox or [-180.0, -90.0, 180.0, 90.0]
    if len(box) not in (4, 6):
        msg = f"item {item.id!r}: its bbox {box} has neither four nor six numbers: correct it"
        raise ValueError(msg)
    half = len(box) // 2  # of three dimensions, height is the third and the sixth
    (w, s), (e, n) = box[:2], box[half : half + 2]
    # across the antimeridian the west of a box is the greater
    beside = w <= east and e >= west if w <= e else w <= east or e >= west
    return bool(beside and s <= north and n >= south)


def _posts(client: Client) -> bool:
    # EODC answers GET searches that have parameters with nothing
    links = client.get_links("search")
    return any(str(link.extra_fields.get("method")).upper() == "POST" for link in links)
