"""Find the items of a day that touch a grid, in an API or in a file of items."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from xfusion.datamodel.outline import search_boxes
from xfusion.datamodel.redaction import public
from xfusion.datamodel.times import Time, as_time

from .api import search_api
from .bounds import TooManyItemsError, TooMuchError
from .file_catalogue import items_of_file
from .interval import day_interval, of_each_interval, of_interval
from .items import without_repeats
from .profiles import Catalog, CatalogLike, Offset, catalog_profile

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

# Days between two acquisitions that are asked for together, with what lies between: Sentinel-1
# and -2 and Landsat are back on an orbit within as many
GAP = np.timedelta64(16, "D")
LONGEST = np.timedelta64(366, "D")  # of one search


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

    Examples
    --------
    >>> import tempfile, xfusion as xf
    >>> from xfusion.demo import write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> grid = xf.Sentinel2Product.open(scene.s2_mu, scene.s2_sigma).geobox
    >>> found = xf.stac.search(scene.items, grid, scene.date, default=xf.stac.EARTH_SEARCH)
    >>> [item.id for item in found]
    ['S2B_34TBT_20230620_0_L2A']
    """
    profile = catalog_profile(catalog, default)
    interval, boxes = day_interval(datetime), search_boxes(geobox)
    items = _found(catalog, profile, boxes, interval)
    if not items:
        raise nothing_found(profile, geobox, datetime)
    return items


def search_each(
    catalog: CatalogLike, geobox: GeoBox, datetimes: Sequence[Time], *, default: Catalog
) -> list[list[Any]]:
    """Find the items of each of several days or intervals, in as few searches as are bounded.

    What is no further apart than :data:`GAP` is asked for together, a year at a time, and items
    that are of none are left out. Where that is more than a search may be, each is asked for alone.

    Parameters
    ----------
    catalog, geobox, default
        As of :func:`search`.
    datetimes : sequence
        Each as of :func:`search`, with both ends.

    Returns
    -------
    list of lists of pystac.Item
        Those of each, none where there are none.

    Raises
    ------
    ConnectionError, ValueError
        As :func:`search` does.
    """
    profile = catalog_profile(catalog, default)
    boxes = search_boxes(geobox)
    intervals = [day_interval(each) for each in datetimes]
    found: list[list[Any]] = [[] for _ in intervals]
    for group in _together(intervals):
        whole = intervals[group[0]][0], max(intervals[n][1] for n in group)
        try:
            items = _found(catalog, profile, boxes, whole)
        except (TooManyItemsError, TooMuchError):
            if len(group) == 1:
                raise
            for n in group:
                found[n] = _found(catalog, profile, boxes, intervals[n])
            continue
        of_group = of_each_interval(items, ["/".join(intervals[n]) for n in group])
        for n, items in zip(group, of_group, strict=True):
            found[n] = items
    return found


def nothing_found(profile: Catalog, geobox: GeoBox, datetime: Time) -> LookupError:
    """Return the error of a day or an interval of which there are no items."""
    start, end = day_interval(datetime)
    boxes = search_boxes(geobox)
    rounded = " and ".join(str(tuple(round(b, 5) for b in box)) for box in boxes)
    msg = (
        f"no items of {profile.collection!r} in {public(profile.url)} from {start} to {end} "
        f"within {rounded}: check the date, or pass items= or catalog="
    )
    return LookupError(msg)


def _found(
    catalog: CatalogLike,
    profile: Catalog,
    boxes: Sequence[tuple[float, ...]],
    interval: tuple[str, str],
) -> list[Any]:
    if _is_file(profile.url):
        return _search_file(profile, boxes, interval)
    each = [search_api(catalog, profile, bbox, "/".join(interval)) for bbox in boxes]
    # an item on both sides of the antimeridian comes twice
    return without_repeats(item for some in each for item in some)


def _together(intervals: Sequence[tuple[str, str]]) -> list[list[int]]:
    """Return the positions of intervals that are asked for together."""
    ends = [(as_time(first), as_time(last)) for first, last in intervals]
    groups: list[list[int]] = []
    for n in sorted(range(len(ends)), key=ends.__getitem__):
        group = groups[-1] if groups else []
        until = max((ends[i][1] for i in group), default=ends[n][0])
        if group and ends[n][0] - until <= GAP and ends[n][1] - ends[group[0]][0] <= LONGEST:
            group.append(n)
        else:
            groups.append([n])
    return groups


def with_offset(catalog: Catalog, offset: Offset | None) -> Catalog:
    """Return a catalogue with another offset, if one is given.

    Examples
    --------
    >>> import xfusion as xf
    >>> xf.stac.with_offset(xf.stac.EARTH_SEARCH, -1000.0).offset
    -1000.0
    """
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
