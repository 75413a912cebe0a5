"""Find the items of a day that touch a grid, in an API or in a file of items."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from xfusion.datamodel.outline import search_boxes
from xfusion.datamodel.redaction import public
from xfusion.datamodel.times import Time

from .api import search_api
from .file_catalogue import items_of_file
from .interval import day_interval, of_interval
from .items import without_repeats
from .profiles import Catalog, CatalogLike, Offset, catalog_profile

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox


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

    An open Client searches with its own session, time-outs and repeats, and is left as it is. Its
    search takes 600 s at most as well. How much it receives meanwhile, and what it takes for the
    last page, are its own affair.
    """
    profile = catalog_profile(catalog, default)
    start, end = day_interval(datetime)
    boxes = search_boxes(geobox)
    if _is_file(profile.url):
        items = _search_file(profile, boxes, (start, end))
    else:
        each = [search_api(catalog, profile, bbox, f"{start}/{end}") for bbox in boxes]
        # an item on both sides of the antimeridian comes twice
        items = without_repeats(item for some in each for item in some)
    if not items:
        rounded = " and ".join(str(tuple(round(b, 5) for b in box)) for box in boxes)
        msg = (
            f"no items of {profile.collection!r} in {public(profile.url)} from {start} to {end} "
            f"within {rounded}: check the date, or pass items= or catalog="
        )
        raise LookupError(msg)
    return items


def with_offset(catalog: Catalog, offset: Offset | None) -> Catalog:
    """Return a catalogue with another offset, if one is given."""
    return catalog if offset is None else dataclasses.replace(catalog, offset=offset)


def _is_file(url: str) -> bool:
    return urlsplit(url).scheme in ("", "file")


def _search_file(
    profile: Catalog, boxes: Sequence[tuple[float, ...]], interval: tuple[str, str]
) -> list[pystac.Item]:
    def matches(item: pystac.Item) -> bool:
        touches = any(_touches(item, bbox) for bbox in boxes)
        return item.collection_id in profile.collections and touches

    return of_interval(filter(matches, items_of_file(profile.url)), "/".join(interval))


def _touches(item: pystac.Item, bbox: tuple[float, ...]) -> bool:
    """Whether an item may show something of a box, as it does if it has none of its own."""
    west, south, east, north = bbox
    box: Any = item.bbox or [-180.0, -90.0, 180.0, 90.0]
    if not (isinstance(box, list | tuple) and len(box) in (4, 6) and all(map(_is_number, box))):
        msg = f"item {item.id!r}: its bbox {box!r} has neither four nor six numbers: correct it"
        raise ValueError(msg)
    half = len(box) // 2  # of three dimensions, height is the third and the sixth
    (w, s), (e, n) = box[:2], box[half : half + 2]
    # across the antimeridian the west of a box is the greater
    beside = w <= east and e >= west if w <= e else w <= east or e >= west
    return bool(beside and s <= north and n >= south)


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)
