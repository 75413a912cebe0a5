"""Which items show one acquisition: passes of a satellite, and frames that were made twice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from xfusion.stac.items import item_time
from xfusion.stac.processing import datatake_of, processing_of
from xfusion.stac.untrusted import stated_crs

if TYPE_CHECKING:
    import pystac

PASS_GAP = dt.timedelta(minutes=10)  # frames of one pass follow within seconds
ANOTHER_PASS = dt.timedelta(minutes=90)  # a satellite is back after about 100, over other ground


def grouped_by_pass(items: Iterable[pystac.Item]) -> list[list[pystac.Item]]:
    """Group items by pass of the satellite, of each the newest processing first.

    The frames of a pass show one acquisition, so that each pass is judged by itself. Items of one
    datatake are one pass, whenever they say to be from, as two processings of a scene do; those of
    two are not. Of others a gap of more than ten minutes begins another pass.
    """
    grouped: list[list[pystac.Item]] = []
    for item in sorted(items, key=lambda item: (item_time(item), item.id)):
        group = next((each for each in reversed(grouped) if _is_of(item, each)), None)
        if group is None:
            grouped.append([item])
        else:
            group.append(item)
    return [sorted(group, key=processing_of, reverse=True) for group in grouped]


def _is_of(item: pystac.Item, group: list[pystac.Item]) -> bool:
    """Whether an item is of the pass of items before it."""
    since = item_time(item) - item_time(group[-1])
    datatake = datatake_of(item)
    taken = {datatake_of(other) for other in group} - {None}
    if datatake is not None and taken:
        # what a stranger says of it joins no two days
        return datatake in taken and since <= ANOTHER_PASS
    return since <= PASS_GAP


def grouped_by_frame(items: Iterable[pystac.Item]) -> list[list[pystac.Item]]:
    """Group the items of a pass by what they show: what is one frame, processed twice, is one.

    Items of one moment and one grid are, if they say of their processing, and it is not the same.
    """
    frames: list[list[pystac.Item]] = []
    for item in items:
        processing = processing_of(item)
        for frame in frames:
            processings = [processing_of(other) for other in frame]
            known = processing.is_known and all(each.is_known for each in processings)
            if known and processing not in processings and _place(item) == _place(frame[0]):
                frame.append(item)
                break
        else:
            frames.append([item])
    return frames


def _place(item: pystac.Item) -> tuple[Any, ...]:
    """Return when and where an item says to be from."""
    fields = item.properties
    grid = stated_crs(fields), fields.get("proj:shape"), fields.get("proj:transform")
    tile = item.bbox if None in grid else grid
    return item_time(item), item.collection_id, fields.get("platform"), tile
