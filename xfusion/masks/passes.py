"""Which items of a catalogue show what a retrieval shows, pass by pass, and what they lack."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.datamodel.grid import geobox_of
from xfusion.datamodel.redaction import public
from xfusion.datamodel.times import Time, as_time
from xfusion.stac.interval import of_interval
from xfusion.stac.items import Items, as_items, complete_items, item_time, own_address
from xfusion.stac.network import is_local
from xfusion.stac.profiles import Catalog, CatalogLike, catalog_profile
from xfusion.stac.redirects import guarded
from xfusion.stac.searching import nothing_found
from xfusion.stac.searching import search as find_items
from xfusion.stac.untrusted import check_hrefs

from .grouping import ANOTHER_PASS, PASS_GAP, grouped_by_pass

if TYPE_CHECKING:
    import pystac


@dataclass(frozen=True)
class Search:
    """Where the items of a mask are looked for, and of which day."""

    catalog: CatalogLike | None
    """Instead of the recipe's own."""
    items: Items | None
    """Instead of a search."""
    datetime: Time | None
    """Instead of the time of the retrieval."""
    allow_local: bool
    """Whether items may have files of this machine or its networks read, whatever their
    catalogue."""

    def where(self, default: Catalog) -> CatalogLike:
        """Return what is searched: the catalogue, or a default if none is named."""
        return default if self.catalog is None else self.catalog

    def profile(self, default: Catalog) -> Catalog:
        """Return the profile of the catalogue, like a default where only its address is known."""
        return catalog_profile(self.catalog, default)


@dataclass(frozen=True)
class Passes:
    """The items of the passes of a satellite that show what a retrieval shows, whole or not."""

    items: list[list[pystac.Item]]
    """Pass by pass."""
    catalog: Catalog
    """What they are from, or are as if from."""
    source: str
    """Where they are from, without secrets."""
    allow_local: bool
    """Whether they may have files of this machine read, whatever their catalogue."""
    origin: str | None
    """URL of the catalogue that they are from, None if not known."""

    @property
    def may_name_files(self) -> bool:
        """Whether its items may have files of this machine read."""
        return self.allow_local or (self.origin is not None and is_local(self.origin))

    @property
    def ids(self) -> list[str]:
        """Ids of all items."""
        return [item.id for each in self.items for item in each]

    @property
    def links(self) -> dict[str, str]:
        """Id of each item that says where it is to its address; secrets may be in its query."""
        hrefs = {item.id: own_address(item) for each in self.items for item in each}
        return {item: href for item, href in hrefs.items() if href is not None}


@dataclass(frozen=True)
class CheckedPasses:
    """The items of passes, told apart by whether they have what is to be read."""

    complete: list[list[pystac.Item]]
    """Items that have all assets and may be read, pass by pass."""
    missing_assets: Mapping[str, list[str]]
    """Id of each of the others to the assets that it lacks."""


def find_passes(
    dataset: xr.Dataset,
    default: Catalog,
    search: Search,
    *,
    found: Sequence[pystac.Item] | None = None,
) -> Passes:
    """Find the passes for a retrieval, by one search.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, or anything on a grid with a CRS.
    default : Catalog
        That is searched if no other is named.
    search : Search
    found : sequence of pystac.Item, optional
        What a search for many has found for this one, of what :func:`searched_of` says.

    Raises
    ------
    LookupError
        If there are no items; or, of a retrieval whose time is more than a day, if the nearest
        pass is an orbit away.
    ValueError
        If there is no date.

    Warns
    -----
    UserWarning
        If the nearest pass is more than ten minutes away.
    """
    profile = search.profile(default)
    origin: str | None = profile.url
    if search.items is None:
        items, source = _search(dataset, default, search, found), profile.url
    else:
        items, source = _choose(dataset, profile, search), "items"
        # a catalogue beside items says what their assets are; only of a local one they are
        local = search.catalog is not None and is_local(profile.url)
        origin = profile.url if local else None
    # of all items: what lacks its asset is unknown, and another pass is no replacement
    passes = _nearest(grouped_by_pass(items), profile, _instant(dataset, search.datetime))
    catalog = guarded(profile, origin, allow_local=search.allow_local)
    return Passes(passes, catalog, public(source), search.allow_local, origin)


def check_passes(passes: Passes, profile: Catalog, *, otherwise: str) -> CheckedPasses:
    """Check what items would make us read, and what they lack.

    Parameters
    ----------
    passes : Passes
    profile : Catalog
        With the assets that are needed.
    otherwise : str
        What becomes of the pixels of an item that lacks one, for the warning.

    Raises
    ------
    ValueError
        If there is an href that may not be read, or a grid that cannot be.

    Warns
    -----
    UserWarning
        If an item lacks an asset.
    """
    complete: list[list[pystac.Item]] = []
    missing_assets: dict[str, list[str]] = {}
    for items in passes.items:
        whole, missing = complete_items(items, profile)
        check_hrefs(whole, profile, allow_local=passes.allow_local, origin=passes.origin)
        complete += [whole] if whole else []
        missing_assets |= missing
    for item, assets in missing_assets.items():
        warn(f"item {item!r} of {profile.collection!r} lacks the assets {assets}: {otherwise}")
    return CheckedPasses(complete, missing_assets)


def _search(
    dataset: xr.Dataset, default: Catalog, search: Search, found: Sequence[pystac.Item] | None
) -> list[pystac.Item]:
    interval = searched_of(dataset, search.datetime)
    if found is None:
        return find_items(search.where(default), geobox_of(dataset), interval, default=default)
    if not found:
        raise nothing_found(search.profile(default), geobox_of(dataset), interval)
    return [*found]


def _choose(dataset: xr.Dataset, profile: Catalog, search: Search) -> list[pystac.Item]:
    """Return the items of the caller that are of the day, all if there is none."""
    items = as_items(search.items or [])
    if not items:
        msg = (
            f"items= is empty, a mask takes at least one item of {profile.collection!r}: give "
            f"some, or leave items= out to search {public(profile.url)}"
        )
        raise LookupError(msg)
    datetime = search.datetime
    if datetime is None:
        return items
    of_day = of_interval(items, searched_of(dataset, datetime))
    if not of_day:
        days = sorted({f"{item_time(item):%Y-%m-%d}" for item in items})
        msg = (
            f"none of the {len(items)} items= of {profile.collection!r} is of {datetime=}, they "
            f"are of {days}: give one of these as datetime=, or leave it out to use them all"
        )
        raise LookupError(msg)
    return of_day


def _moment(dataset: xr.Dataset, datetime: Time | None) -> Time:
    if datetime is not None:
        return datetime
    if "time" not in dataset.coords:
        msg = (
            "the retrieval has no `time`, so the day of its mask is unknown: pass "
            "datetime='2023-06-20', or time= when it is opened"
        )
        raise ValueError(msg)
    moment: Any = dataset.coords["time"].to_numpy()[()]
    return as_time(moment)


def _instant(dataset: xr.Dataset, datetime: Time | None) -> dt.datetime | None:
    """Return when a retrieval was acquired, None if not more than its day is known."""
    if datetime is None and "time" not in dataset.coords:
        return None
    moment = _moment(dataset, datetime)
    if isinstance(moment, str) and "/" in moment:
        return None
    at = as_time(moment)
    if at == at.astype("datetime64[D]"):
        return None
    since: Any = at - np.datetime64(0, "us")
    return dt.datetime.fromtimestamp(since / np.timedelta64(1, "s"), dt.UTC)


def searched_of(dataset: xr.Dataset, datetime: Time | None) -> Time:
    """Return the day of a retrieval; of an instant also what is in reach of it beyond midnight.

    The frames of one pass may lie on either side of midnight.
    """
    # the pass that is nearest must be whole, or a frame that excludes might be left out
    reach = ANOTHER_PASS + PASS_GAP
    instant = _instant(dataset, datetime)
    if instant is None:
        return _moment(dataset, datetime)
    start = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    end = start + dt.timedelta(days=1, microseconds=-1)
    first, last = min(start, instant - reach), max(end, instant + reach)
    return f"{first:%Y-%m-%dT%H:%M:%S.%fZ}/{last:%Y-%m-%dT%H:%M:%S.%fZ}"


def _nearest(
    passes: list[list[pystac.Item]], profile: Catalog, time: dt.datetime | None
) -> list[list[pystac.Item]]:
    """Return the pass that is nearest to a time, all if there is none."""
    if time is None:
        return passes

    def apart(item: pystac.Item) -> dt.timedelta:
        return abs(item_time(item) - time)

    nearest = min(passes, key=lambda items: min(map(apart, items)))
    item = min(nearest, key=apart)
    if apart(item) > PASS_GAP:
        situation = (
            f"of {profile.collection!r} the nearest of {len(passes)} passes is {apart(item)} from "
            f"the acquisition at {time:%Y-%m-%d %H:%M:%S}, at {item_time(item):%Y-%m-%d %H:%M:%S}"
        )
        all_of_day = f"datetime='{item_time(item):%Y-%m-%d}' uses all passes of that day"
        if apart(item) > ANOTHER_PASS:
            msg = (
                f"{situation}: it shows another acquisition. Correct the time, in UTC; {all_of_day}"
            )
            raise LookupError(msg)
        warn(f"{situation}: it is used; {all_of_day}")
    return [nearest]
