"""Search the catalogues of the layers that masks are made of."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import numpy as np

from .bands import item_time
from .catalog import (
    CDSE,
    EARTH_SEARCH,
    EODC,
    PLANETARY_COMPUTER,
    Catalog,
    CatalogLike,
    catalog_profile,
)
from .conventions import Time, as_time
from .hrefs import local_path

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
    "as_items",
    "catalog_profile",
    "complete_items",
    "day_interval",
    "search",
]

PAGE_SIZE = 100  # items a page: EODC takes a minute over its default of ten


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
        A day, or a moment, which stands for its day (UTC); an interval ``"start/end"`` is
        searched as it is.
    default : Catalog
        Collection and assets for a bare URL or Client.

    Returns
    -------
    list of pystac.Item

    Raises
    ------
    LookupError
        If there is no item; the message has collection, bounds, dates and catalogue.
    """
    profile = catalog_profile(catalog, default)
    start, end = day_interval(datetime)
    bbox = tuple(geobox.geographic_extent.boundingbox)
    if _is_file(profile.url):
        items = _search_file(profile, bbox, (start, end))
    else:
        client = _open(profile.url if isinstance(catalog, Catalog | str | os.PathLike) else catalog)
        found = client.search(
            collections=[profile.collection],
            bbox=bbox,
            datetime=f"{start}/{end}",
            limit=PAGE_SIZE,
            method="POST" if _posts(client) else "GET",
        )
        # all pages now: one that fails must not be met half-way through a load
        items = list(found.items())
    if not items:
        msg = (
            f"no items of {profile.collection!r} in {profile.url} from {start} to {end} within "
            f"{tuple(round(b, 5) for b in bbox)}: check the date, or pass items= or catalog="
        )
        raise LookupError(msg)
    return items


def day_interval(datetime: Time) -> tuple[str, str]:
    """Return the first and the last moment of a day; an interval "a/b" as it is.

    A day is closed with its own last microsecond: pystac-client takes "D/D+1" to the end
    of the next day.
    """
    if isinstance(datetime, str) and "/" in datetime:
        start, _, end = datetime.partition("/")
        return start, end
    day = np.datetime_as_string(as_time(datetime), unit="D")
    return f"{day}T00:00:00Z", f"{day}T23:59:59.999999Z"


def complete_items(items: Iterable[pystac.Item], catalog: Catalog) -> list[pystac.Item]:
    """Return the items that have every asset of a catalogue, warning of the others."""
    complete = []
    for item in items:
        missing = [key for key in catalog.assets.values() if key not in item.assets]
        if missing:
            warnings.warn(
                f"item {item.id!r} of {item.collection_id!r} lacks the assets {missing}; "
                "its pixels are UNKNOWN unless another item has them",
                stacklevel=4,
            )
        else:
            complete.append(item)
    return complete


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
    return [i if isinstance(i, pystac.Item) else pystac.Item.from_dict(dict(i)) for i in items]


def of_interval(items: Iterable[pystac.Item], datetime: Time) -> list[pystac.Item]:
    """Return the items of a day or an interval."""
    first, last = (as_time(moment) for moment in day_interval(datetime))
    return [item for item in items if first <= as_time(item_time(item)) <= last]


def _open(catalog: str | Client) -> Client:
    from pystac_client import Client

    return Client.open(catalog) if isinstance(catalog, str) else catalog


def _is_file(url: str) -> bool:
    return urlsplit(url).scheme in ("", "file")


def _search_file(
    profile: Catalog, bbox: tuple[float, ...], interval: tuple[str, str]
) -> list[pystac.Item]:
    import pystac

    west, south, east, north = bbox

    def matches(item: pystac.Item) -> bool:
        w, s, e, n = item.bbox or (-180.0, -90.0, 180.0, 90.0)
        touches = w <= east and e >= west and s <= north and n >= south
        return item.collection_id == profile.collection and touches

    items = pystac.ItemCollection.from_file(local_path(profile.url))
    return of_interval(filter(matches, items), "/".join(interval))


def _posts(client: Client) -> bool:
    # EODC answers GET searches that have parameters with nothing
    links = client.get_links("search")
    return any(link.extra_fields.get("method", "GET").upper() == "POST" for link in links)
