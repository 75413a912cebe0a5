"""Items of a catalogue that is a file of this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xfusion.datamodel.components import local_path

from .records import item_of
from .untrusted import check_file_url, is_relative

if TYPE_CHECKING:
    import pystac


def items_of_file(url: str) -> list[pystac.Item]:
    """Return the items of an item collection, hrefs that are relative to its file resolved.

    Raises
    ------
    ValueError
        If it is none; the message names the file, and the item that is none.
    OSError
        If it cannot be read.
    """
    check_file_url(url, "catalog")
    path = Path(local_path(url)).absolute()
    try:
        collection = json.loads(path.read_bytes())
        features = _features(collection)
        items = [item_of(feature, folder=path.parent) for feature in features]
    except (RecursionError, ValueError) as error:
        msg = (
            f"{url} is no item collection of STAC, {type(error).__name__}: {error}: "
            "correct it, or pass its items as items="
        )
        raise ValueError(msg) from error
    for item in items:
        _resolve(item, path.parent)
    return items


def _features(collection: Any) -> list[Any]:
    of_type = isinstance(collection, Mapping) and collection.get("type") == "FeatureCollection"
    features = collection.get("features") if of_type else None
    if not isinstance(features, list):
        msg = "it has no list of features"
        raise ValueError(msg)  # noqa: TRY004  # it is the content that is wrong
    return features


def _resolve(item: pystac.Item, folder: Path) -> None:
    """Make hrefs absolute that are relative to the file, as the item says no place of its own."""
    if item.get_single_link("self") is not None:
        return
    for asset in item.assets.values():
        if is_relative(asset.href):
            asset.href = os.path.normpath(folder / asset.href)
