"""Attributes that say which files a result is from, and which catalogues and items a mask."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .conventions import without_grid_of_store
from .redaction import is_link, is_on_loopback, public
from .times import label_text

CATALOG, COLLECTION, ITEMS = "mask_catalog", "mask_collection", "mask_items"
ITEMS_FOUND = "mask_items_found"
ASSETS_MISSING = "mask_assets_missing"
OFFSETS = "mask_offsets"
LINKS = "mask_links"
JOB = "fusion_job"  # which job wrote a store: of what is made of it, it says nothing
FILES = "fusion_files_"  # and a sensor: the files that it was read from, without their folders
SCENE = "fusion_scene_"  # begins what is said of scenes that retrievals were made of
SCENE_CATALOG, SCENE_LINKS = f"{SCENE}catalog_", f"{SCENE}links_"  # and a sensor
SCENE_ITEMS = f"{SCENE}items_"
RETRIEVAL = "fusion_retrieval_"  # and a sensor: how its retrieval was made
BY_TIME = "mask_items_by_time"
WORDS = (CATALOG, COLLECTION, ITEMS)
TABLES = (ASSETS_MISSING, OFFSETS, LINKS)
# what a table has for each of its keys, by whomever it was written
KINDS: dict[str, type] = {ASSETS_MISSING: list, OFFSETS: str, LINKS: str, BY_TIME: list}


def mask_attrs(
    before: Mapping[Any, Any],
    *,
    catalog: str,
    collections: Sequence[str],
    items: Sequence[str],
    lacking: Mapping[str, Sequence[str]],
    offsets: Mapping[str, str],
    links: Mapping[str, str],
) -> dict[str, Any]:
    """Return attributes that say where a mask is from, added to those of masks before it.

    Parameters
    ----------
    before : mapping
        Attributes of the retrieval that the mask is attached to.
    catalog : str
    collections : sequence of str
        Where the items are from; without secrets.
    items : sequence of str
        Ids of all items found.
    lacking : mapping
        Id of an item -> assets that it lacks.
    offsets : mapping
        Id of an item -> what was added to its reflectance numbers, and why.
    links : mapping
        Id of an item -> where it is, if it says so; its secrets are left out.
    """
    attrs = {
        CATALOG: _joined(_public_words(before.get(CATALOG)), [catalog]),
        COLLECTION: _joined(before.get(COLLECTION), collections),
        ITEMS: _joined(before.get(ITEMS), items),
        ITEMS_FOUND: int(before.get(ITEMS_FOUND, 0)) + len(items),
        **missing_attrs(before, lacking),
    }
    if offsets:
        attrs[OFFSETS] = json.dumps(_table(before, OFFSETS) | dict(offsets))
    if links:
        public_links = {item: public(href) for item, href in links.items()}
        attrs[LINKS] = json.dumps(_table(before, LINKS) | public_links)
    return attrs


def missing_attrs(
    before: Mapping[Any, Any], lacking: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return the attribute that says which assets items lack, added to those known before."""
    missing = _table(before, ASSETS_MISSING)
    for item, assets in lacking.items():
        missing[item] = [*dict.fromkeys([*missing.get(item, []), *assets])]
    return {ASSETS_MISSING: json.dumps(missing)}


def merged_mask_attrs(attrs: Iterable[Mapping[Any, Any]]) -> dict[str, Any]:
    """Return the attributes of the masks of several retrievals as those of one.

    An item that masked several is counted once.
    """
    merged: dict[str, Any] = {}
    for each in attrs:
        for name in WORDS:
            if name in each:
                words = _public_words(each[name]) if name == CATALOG else str(each[name])
                merged[name] = _joined(merged.get(name), words.split())
        for name in TABLES:
            if name in each:
                merged[name] = json.dumps(_table(merged, name) | _table(each, name))
        if BY_TIME in each:
            by_time = _table(merged, BY_TIME)
            for time, items in _table(each, BY_TIME).items():
                by_time[time] = [*dict.fromkeys([*by_time.get(time, []), *items])]
            merged[BY_TIME] = json.dumps(by_time)
    if ITEMS in merged:
        merged[ITEMS_FOUND] = len(merged[ITEMS].split())
    return merged


def scene_attrs(sensor: str, scene: xr.Dataset) -> dict[str, Any]:
    """Return attributes that say which scene a retrieval is of, those of its bands say it of masks.

    Parameters
    ----------
    sensor : str
    scene : Dataset
        Bands, as :func:`xfusion.load_bands` returns them, of one time.
    """
    attrs = scene.attrs
    told = {
        "time": label_text(scene.coords["time"]),
        "catalog": _public_words(attrs.get(CATALOG)),
        "collection": str(attrs.get(COLLECTION, "")),
        "items": str(attrs.get(ITEMS, "")),
        "lacking": json.dumps({k: v for k, v in _table(attrs, ASSETS_MISSING).items() if v}),
        "offsets": json.dumps(_table(attrs, OFFSETS)),
        "links": json.dumps(item_links(attrs)),
    }
    return {f"{SCENE}{k}_{sensor}": v for k, v in told.items() if v not in ("", "{}")}


def retrieval_attrs(sensor: str, dataset: xr.Dataset) -> dict[str, Any]:
    """Return the attribute that says how a retrieval was made: all that it says itself."""
    of_others = ("sensor", "Conventions", "title", "history", *WORDS, ITEMS_FOUND, *TABLES)
    own = {str(k): v for k, v in dataset.attrs.items() if k not in of_others}
    return {f"{RETRIEVAL}{sensor}": json.dumps(own, default=_plain)}


def scene_links(attrs: Mapping[Any, Any]) -> dict[str, dict[str, str]]:
    """Return where the scenes of each sensor are, as far as it is said: sensor -> id -> href."""
    found: dict[str, dict[str, str]] = {}
    for name, items in attrs.items():
        before, prefix, sensor = str(name).partition(SCENE_ITEMS)
        if prefix and not before:
            links = _table(attrs, SCENE_LINKS + sensor, as_of=LINKS)
            words = str(items).split()
            found[sensor] = {word: links.get(word.replace("%20", " "), "") for word in words}
    return found


def in_words(attrs: Mapping[Any, Any], *, without: Sequence[str]) -> dict[str, str]:
    """Return attributes as text, but for some, and for where scenes are."""
    told = {str(name): str(value) for name, value in attrs.items() if name not in without}
    return {name: text for name, text in told.items() if not name.startswith(SCENE_LINKS)}


def without_scenes(attrs: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return attributes without those that say of which scenes a result is, as of several dates."""
    return {k: v for k, v in attrs.items() if not str(k).startswith(SCENE)}


def _plain(value: Any) -> Any:
    """Return an array or a number of numpy as JSON has it."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def with_time_of_items(dataset: xr.Dataset) -> dict[Any, Any]:
    """Return the attributes of a retrieval of one time, to be joined with those of other times.

    With them is said which items its mask is from.
    """
    attrs = of_its_time(dataset).attrs
    items = str(attrs.get(ITEMS, "")).split()
    return attrs | {BY_TIME: json.dumps({label_text(dataset.coords["time"]): items})}


def items_by_time(dataset: xr.Dataset) -> xr.DataArray | None:
    """Return how many items the masks of each time are from, None if it is not said by time."""
    if BY_TIME not in dataset.attrs or dataset.coords.get("time", xr.DataArray(0)).ndim != 1:
        return None
    table = _table(dataset.attrs, BY_TIME)
    times = dataset.coords["time"]
    return xr.full_like(times, 0, np.int64).copy(
        data=[len(table.get(label_text(time), ())) for time in times.to_numpy()]
    )


def of_its_time(dataset: xr.Dataset) -> xr.Dataset:
    """Return a retrieval without what a cube that it was selected from says of other times."""
    time = dataset.coords.get("time")
    if BY_TIME not in dataset.attrs or time is None or time.ndim > 0:
        return dataset
    by_time = _table(dataset.attrs, BY_TIME)
    if label_text(time) not in by_time:
        return dataset
    items = by_time[label_text(time)]
    attrs = {k: v for k, v in dataset.attrs.items() if k != BY_TIME}
    if items:
        attrs |= {ITEMS: " ".join(items), ITEMS_FOUND: len(items)}
        for name in TABLES:
            table = _table(attrs, name)
            kept = {k: v for k, v in table.items() if k.replace(" ", "%20") in items}
            attrs |= {name: json.dumps(kept)} if name in attrs else {}
    else:
        attrs = {k: v for k, v in attrs.items() if k not in (*WORDS, ITEMS_FOUND, *TABLES)}
    return dataset.drop_attrs(deep=False).assign_attrs(attrs)


def lasting(attrs: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return attributes without what means something on this machine only, as for publication.

    Addresses of its servers, gone when these stop, and folders of its files, and the job and
    grid of the store that a result was opened from.
    """
    kept = {k: v for k, v in without_grid_of_store(attrs).items() if k != JOB}
    places = [k for k in kept if k == CATALOG or str(k).startswith(SCENE_CATALOG)]
    for name in places:
        words = [w for w in _public_words(kept[name]).split() if not is_on_loopback(w)]
        kept[name] = " ".join(map(_without_folder, words))
    tables = [k for k in kept if k == LINKS or str(k).startswith(SCENE_LINKS)]
    for name in tables:
        links = {k: v for k, v in _table(kept, name, as_of=LINKS).items() if not is_on_loopback(v)}
        kept[name] = json.dumps({k: v for k, v in links.items() if _without_folder(v) == v})
    told = (*places, *tables)
    return {k: v for k, v in kept.items() if k not in told or v not in ("", "{}")}


def _without_folder(address: str) -> str:
    """Return an address, of a file on this machine its name."""
    scheme, separator, _ = address.partition("://")
    if separator and scheme != "file":
        return address
    return address.replace("\\", "/").rstrip("/").rpartition("/")[2]


def item_links(attrs: Mapping[Any, Any]) -> dict[str, str]:
    """Return where the items that masks are from are: id -> href, without secrets."""
    return _table(attrs, LINKS)


def assets_missing(attrs: Mapping[Any, Any]) -> int:
    """Return the number of pairs of an item and an asset that it lacks."""
    return sum(len(assets) for assets in _table(attrs, ASSETS_MISSING).values())


def _table(attrs: Mapping[Any, Any], name: str, *, as_of: str | None = None) -> dict[str, Any]:
    """Return a table of attributes, without what is none; of links what is public of them.

    Parameters
    ----------
    attrs : mapping
    name : str
    as_of : str, optional
        The name of a table that is of the same kind.
    """
    kind = name if as_of is None else as_of
    try:
        table = json.loads(attrs.get(name, "{}"))
    except (RecursionError, TypeError, ValueError):
        return {}  # of others, who call something else by this name
    pairs = table.items() if isinstance(table, dict) else ()
    known: dict[str, Any] = {key: value for key, value in pairs if isinstance(value, KINDS[kind])}
    if kind == LINKS:
        return {key: public(href) for key, href in known.items() if is_link(href)}
    return known


def _public_words(words: Any) -> str:
    """Return what is public of addresses, without those that hide what they are."""
    return " ".join(public(word) for word in str(words or "").split() if is_link(word))


def _joined(before: str | None, more: Sequence[str]) -> str:
    words = (before or "").split()
    # a blank in the path of a file would make two words of it
    more = [word.replace(" ", "%20") for word in more]
    return " ".join([*words, *(word for word in more if word not in words)])
