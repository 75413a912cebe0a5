"""The passes for each time of a cube: all are looked for before the first is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr

from xfusion.datamodel.grid import geobox_of
from xfusion.datamodel.times import as_time, label_text
from xfusion.stac.items import as_items
from xfusion.stac.profiles import Catalog
from xfusion.stac.searching import search_each

from .passes import Passes, Search, find_passes, searched_of

if TYPE_CHECKING:
    import pystac


def search_of_each(cube: xr.Dataset, search: Search) -> Search:
    """Return a search that can be asked for each time of a cube.

    Raises
    ------
    ValueError
        If it is for one time, or the cube has no labels along time.
    """
    if search.datetime is not None:
        msg = (
            f"datetime={search.datetime!r} is of one acquisition, the retrieval has "
            f"{cube.sizes['time']} along 'time': leave it out, each has its own"
        )
        raise ValueError(msg)
    if "time" not in cube.coords or not cube.sizes["time"]:
        msg = (
            f"the retrieval has {cube.sizes['time']} acquisitions along 'time' and no labels "
            "there, so the days of their masks are unknown: .assign_coords(time=...)"
        )
        raise ValueError(msg)
    # once, as they may be read only once
    items = None if search.items is None else as_items(search.items)
    return dataclasses.replace(search, items=items)


def find_passes_of_each(
    slices: Sequence[xr.Dataset], default: Catalog, search: Search
) -> list[Passes]:
    """Find the passes for each of the retrievals along time, in as few searches as are bounded.

    Raises
    ------
    LookupError
        Naming all the times that have no items, and what goes on without them.
    """
    of_each: Sequence[list[pystac.Item] | None] = [None] * len(slices)
    if search.items is None:
        intervals = [searched_of(each, None) for each in slices]
        where, geobox = search.where(default), geobox_of(slices[0])
        of_each = search_each(where, geobox, intervals, default=default)
    found: list[Passes] = []
    lacking: dict[str, LookupError] = {}
    for each, items in zip(slices, of_each, strict=True):
        moment: Any = each.coords["time"].to_numpy()[()]
        own = None if search.items is None else as_time(moment)
        of_its_own = dataclasses.replace(search, datetime=own)
        try:
            found.append(find_passes(each, default, of_its_own, found=items))
        except LookupError as error:
            if type(error) is not LookupError:  # a key that is missing is no answer
                raise
            lacking[label_text(moment)] = error
    if len(slices) == 1 and lacking:
        raise next(iter(lacking.values()))
    if lacking:
        times, first = [*lacking], next(iter(lacking.values()))
        msg = (
            f"{len(times)} of {len(slices)} times have no items to mask them: {', '.join(times)}. "
            f"Leave them out, .drop_sel(time={times}), or pass items= that have them. "
            f"Of the first: {first}"
        )
        raise LookupError(msg) from first
    return found
