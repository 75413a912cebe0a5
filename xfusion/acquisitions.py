"""Which items of a catalogue show what a retrieval shows, pass by pass, and what they lack."""

from __future__ import annotations

import datetime as dt
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from . import stac
from .conventions import Time, as_time
from .grid import geobox_of
from .hrefs import check_hrefs, is_local
from .items import PASS_GAP, item_time, passes
from .web import public

if TYPE_CHECKING:
    import pystac


@dataclass(frozen=True)
class Acquisitions:
    """The items of the passes of a satellite that show what a retrieval shows."""

    passes: list[list[pystac.Item]]
    """Items that have all assets and may be read, pass by pass."""
    lacking: Mapping[str, list[str]]
    """Id of each other item to the assets that it lacks."""
    items: list[str]
    """Ids of both."""
    links: Mapping[str, str]
    """Id of each of them that says where it is to its address; secrets may be in it."""
    source: str
    """Where they are from, without secrets."""


def find_acquisitions(
    dataset: xr.Dataset,
    profile: stac.Catalog,
    *,
    default: stac.Catalog,
    catalog: stac.CatalogLike | None,
    items: stac.Items | None,
    datetime: Time | None,
    allow_local: bool,
    nearest: bool,
) -> Acquisitions:
    """Find the items for a retrieval, and check what they would make us read.

    Parameters
    ----------
    dataset : Dataset
        A retrieval with a CRS.
    profile : Catalog
        The catalogue, with the assets that are needed.
    nearest : bool
        Whether of several passes the one nearest to the time of the retrieval counts, if that
        is more than a day.
    default, catalog, items, datetime, allow_local
        As in :func:`xfusion.attach_mask`.

    Raises
    ------
    LookupError
        If there are no items.
    ValueError
        If there is no date, or an href that may not be read.

    Warns
    -----
    UserWarning
        If an item lacks an asset, or the nearest pass is more than ten minutes away.
    """
    found, local = _find(dataset, profile, default, catalog, items, datetime)
    chosen = passes(found)
    if nearest:
        # of all items: what lacks its asset is unknown, and another pass is no replacement
        chosen = _nearest(chosen, dataset, datetime)
    complete: list[list[pystac.Item]] = []
    lacking: dict[str, list[str]] = {}
    for each in chosen:
        whole, missing = stac.complete_items(each, profile)
        check_hrefs(whole, profile, allow_local=allow_local or local)
        complete += [whole] if whole else []
        lacking |= missing
    _warn_of(lacking, profile, any_left=bool(complete))
    ids = [item.id for each in chosen for item in each]
    hrefs = {item.id: item.get_self_href() for each in chosen for item in each}
    links = {item: href for item, href in hrefs.items() if href}
    source = public(profile.url) if items is None else "items"
    return Acquisitions(complete, lacking, ids, links, source)


def warn(message: str) -> None:
    """Warn at the line that called this package, through an accessor or not."""
    here, level = str(Path(__file__).parent), 1
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # inspect.stack reads sources
    while frame is not None and frame.f_code.co_filename.startswith(here):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def _find(
    dataset: xr.Dataset,
    profile: stac.Catalog,
    default: stac.Catalog,
    catalog: stac.CatalogLike | None,
    items: stac.Items | None,
    datetime: Time | None,
) -> tuple[list[pystac.Item], bool]:
    """Return the items, and whether their catalogue is on this machine."""
    if items is None:
        where = default if catalog is None else catalog
        moment = _moment(dataset, datetime)
        found = stac.search(where, geobox_of(dataset), moment, default=default)
        return found, is_local(profile.url)
    given = stac.as_items(items)
    chosen = given if datetime is None else stac.of_interval(given, datetime)
    if not chosen:
        days = sorted({f"{item_time(item):%Y-%m-%d}" for item in given})
        msg = f"none of the {len(given)} items= is of datetime={datetime!r}, they are of {days}"
        raise LookupError(msg)
    return chosen, catalog is not None and is_local(profile.url)


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


def _nearest(
    acquisitions: list[list[pystac.Item]], dataset: xr.Dataset, datetime: Time | None
) -> list[list[pystac.Item]]:
    """Return the pass that is nearest to the time of the retrieval, all if only a day is known."""
    said = datetime if datetime is not None else dataset.coords.get("time")
    if said is None or (isinstance(said, str) and "/" in said):
        return acquisitions
    moment = as_time(_moment(dataset, datetime))
    if moment == moment.astype("datetime64[D]"):
        return acquisitions
    since: Any = moment - np.datetime64(0, "us")
    time = dt.datetime.fromtimestamp(since / np.timedelta64(1, "s"), dt.UTC)

    def apart(frames: list[pystac.Item]) -> dt.timedelta:
        return min(abs(item_time(item) - time) for item in frames)

    nearest = min(acquisitions, key=apart)
    if apart(nearest) > PASS_GAP:
        warn(
            f"the nearest of {len(acquisitions)} passes is {apart(nearest)} from the acquisition "
            f"at {time:%Y-%m-%d %H:%M:%S}: it is used; datetime={f'{time:%Y-%m-%d}'!r} uses all"
        )
    return [nearest]


def _warn_of(lacking: Mapping[str, list[str]], profile: stac.Catalog, *, any_left: bool) -> None:
    for item, missing in lacking.items():
        warn(
            f"item {item!r} of {profile.collection!r} lacks the assets {missing}; "
            "its pixels are UNKNOWN unless another item has them"
        )
    if not any_left:
        warn(f"no item of {profile.collection!r} has all assets: all pixels are UNKNOWN")
