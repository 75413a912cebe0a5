"""What STAC items say of themselves: when they are from, what they have, and where it lies."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from xfusion.datamodel.components import local_path
from xfusion.datamodel.redaction import is_link, public
from xfusion.raster.asset import look_into
from xfusion.raster.georeference import check_place

from .asset_bands import asset_of, has_asset
from .profiles import Catalog
from .records import check_id, item_of, malformed, name_of
from .untrusted import asset_href, is_relative, stated_crs

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

Items: TypeAlias = "Iterable[pystac.Item | Mapping[str, Any]]"


def complete_items(
    items: Iterable[pystac.Item], catalog: Catalog, *, bands: Collection[str] | None = None
) -> tuple[list[pystac.Item], dict[str, list[str]]]:
    """Return the items that have every asset of a catalogue, and what the others lack.

    The latter as ids of items to keys of assets.

    Parameters
    ----------
    items : iterable of pystac.Item
    catalog : Catalog
    bands : collection of str, optional
        Those that matter, ``["red", "nir", "scl"]`` for the mask of Sentinel-2. By default all of
        the catalogue.

    Raises
    ------
    ValueError
        If the catalogue has no such band.

    Examples
    --------
    >>> import json, tempfile, xfusion as xf
    >>> from xfusion.demo import write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> items = xf.stac.as_items(json.loads(scene.items.read_text()))
    >>> s2 = [item for item in items if item.collection_id == "sentinel-2-l2a"]
    >>> del s2[0].assets["scl"]
    >>> complete, lacking = xf.stac.complete_items(
    ...     s2, xf.stac.EARTH_SEARCH, bands=["red", "nir", "scl"]
    ... )
    >>> len(s2) - len(complete), lacking
    (1, {'S2B_34TBT_20230620_0_L2A': ['scl']})
    """
    wanted = [*catalog.assets] if bands is None else [*bands]
    if unknown := sorted({*wanted} - {*catalog.assets}):
        msg = f"bands has {unknown}, and the catalogue {[*catalog.assets]}: name some of these"
        raise ValueError(msg)
    complete, lacking = [], {}
    for item in items:
        keys = catalog.keys_of(item.collection_id)
        missing = [keys[band] for band in wanted if not has_asset(item, keys[band])]
        if missing:
            lacking[item.id] = missing
        else:
            complete.append(item)
    return complete, lacking


def without_repeats(items: Iterable[pystac.Item]) -> list[pystac.Item]:
    """Return the items without those that came before; another one of the same id is none."""
    different: dict[Any, pystac.Item] = {}
    for item in items:
        # signatures differ from one answer to the next
        hrefs = {key: public(asset.href) for key, asset in item.assets.items()}
        said = json.dumps([item.properties, hrefs], sort_keys=True, default=str)
        different.setdefault((item.collection_id, item.id, said), item)
    return [*different.values()]


def as_items(items: Items) -> list[pystac.Item]:
    """Return pystac Items from Items or their dictionaries.

    Examples
    --------
    >>> import json, tempfile, xfusion as xf
    >>> from xfusion.demo import write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> items = xf.stac.as_items(json.loads(scene.items.read_text()))
    >>> sorted({item.collection_id for item in items})
    ['GFM', 'sentinel-2-l2a']
    """
    import pystac

    if isinstance(items, str | bytes | os.PathLike):
        msg = f"items={str(items)!r} is a path: pass it as catalog=, or read its items first"
        raise TypeError(msg)
    if isinstance(items, pystac.Item):
        return [items]
    if isinstance(items, Mapping):
        items = items.get("features", [items])
    given: Any = items
    if not isinstance(given, Iterable):
        msg = f"items= takes pystac Items or their dictionaries, not a {type(given).__name__}"
        raise TypeError(msg)
    return [_as_item(record) for record in given]


def _as_item(record: Any) -> pystac.Item:
    import pystac

    try:
        if not isinstance(record, pystac.Item):
            return item_of(record)
        check_id(record.id)
    except ValueError as error:
        said = f"{name_of({'id': record.id})}, {error}" if hasattr(record, "id") else error
        msg = f"items= has {said}: correct it, or leave it out"
        raise ValueError(msg) from error
    return record


def item_time(item: pystac.Item) -> dt.datetime:
    """Return the acquisition time of an item: of one that is of a span, when this begins."""
    return item_span(item)[0]


def item_span(item: pystac.Item) -> tuple[dt.datetime, dt.datetime]:
    """Return when the acquisition of an item begins and ends: a moment, if it is of one.

    Raises
    ------
    ValueError
        If it does not say.
    """
    try:
        if item.datetime is not None:
            return _in_utc(item.datetime), _in_utc(item.datetime)
        of_item = item.common_metadata
        start, end = of_item.start_datetime, of_item.end_datetime
    except malformed() as error:
        msg = f"item {item.id!r}: its times are none, {error}: correct them, or leave it out"
        raise ValueError(msg) from error
    if start is None or end is None:
        msg = (
            f"item {item.id!r} has neither a datetime nor both start_datetime and end_datetime: "
            "correct it, or leave it out of items="
        )
        raise ValueError(msg)
    start, end = _in_utc(start), _in_utc(end)
    if end < start:
        msg = f"item {item.id!r} starts at {start} and ends at {end}, before that: correct it"
        raise ValueError(msg)
    return start, end


def _in_utc(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def own_address(item: pystac.Item) -> str | None:
    """Return where an item says that it is, None if it does not; secrets may be in its query."""
    link = item.get_single_link("self")
    # as it is written: what is relative pystac resolves to the working directory
    place = None if link is None else link.target
    if not (isinstance(place, str) and is_link(place)) or is_relative(place):
        return None
    return place


def asset_grid(
    item: pystac.Item, key: str, catalog: Catalog, *, any_format: bool = False
) -> GeoBox:
    """Return the grid of an asset: as its item says it, else as its file does."""
    from odc.geo.geobox import GeoBox

    where = f"asset {key!r} of item {item.id!r}"
    of_asset, of_item = asset_of(item, key).extra_fields, item.properties
    crs = next((c for c in map(stated_crs, (of_asset, of_item)) if c is not None), None)
    # shape and transform of one level: the bands of an item differ in resolution
    for fields in (of_asset, of_item):
        shape, transform = fields.get("proj:shape"), fields.get("proj:transform")
        if shape and transform and crs is not None:
            return _grid(shape, transform, crs, where)
        if shape or transform:
            break

    def grid(file: Any) -> GeoBox:
        if file.crs is None:
            msg = f"{where} has no CRS, nor has its file: leave it out"
            raise ValueError(msg)
        check_place(file, f"the file of {where}")
        return GeoBox(file.shape, file.transform, file.crs.to_wkt())

    path = local_path(asset_href(item, key))
    return look_into(path, catalog.signer, grid, any_format=any_format)


def _grid(shape: Any, transform: Any, crs: Any, where: str) -> GeoBox:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    try:
        rows, columns = shape
        affine = Affine(*(float(number) for number in transform[:6]))
        if not (math.isfinite(affine.determinant) and affine.determinant):
            msg = f"the transform {tuple(affine)[:6]} has no inverse"
            raise ValueError(msg)  # noqa: TRY301  # as those of others
        return GeoBox((rows, columns), affine, crs)
    except (RuntimeError, TypeError, ValueError) as error:
        msg = f"{where}: its proj: fields are no grid, {error}: correct them, or delete them"
        raise ValueError(msg) from error
