"""What STAC items say of themselves: when they are from, what they have, and where it lies."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from xfusion.datamodel.redaction import public
from xfusion.raster.asset import look_into
from xfusion.raster.georeference import check_place

from .api import malformed
from .asset_bands import asset_of, has_asset
from .profiles import Catalog
from .untrusted import asset_href, local_path, stated_crs

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

Items: TypeAlias = "Iterable[pystac.Item | Mapping[str, Any]]"


def complete_items(
    items: Iterable[pystac.Item], catalog: Catalog
) -> tuple[list[pystac.Item], dict[str, list[str]]]:
    """Return the items that have every asset of a catalogue, and what the others lack.

    The latter as ids of items to keys of assets.
    """
    complete, lacking = [], {}
    for item in items:
        keys = catalog.keys_of(item.collection_id).values()
        missing = [key for key in keys if not has_asset(item, key)]
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
    """Return pystac Items from Items or their dictionaries."""
    import pystac

    if isinstance(items, str | os.PathLike):
        msg = f"items={str(items)!r} is a path: pass it as catalog=, or read its items first"
        raise TypeError(msg)
    if isinstance(items, pystac.Item):
        return [items]
    if isinstance(items, Mapping):
        items = items.get("features", [items])
    return [i if isinstance(i, pystac.Item) else _as_item(i) for i in items]


def _as_item(record: Any) -> pystac.Item:
    import pystac

    try:
        return pystac.Item.from_dict(dict(record))
    except malformed() as error:
        name = record.get("id") if isinstance(record, Mapping) else record
        msg = (
            f"items= has {str(name)[:60]!r}, which is no STAC item, {type(error).__name__}: "
            f"{error}: correct it, or leave it out"
        )
        raise ValueError(msg) from error


def item_time(item: pystac.Item) -> dt.datetime:
    """Return the acquisition time of an item."""
    moment = item.datetime or item.common_metadata.start_datetime
    if moment is None:
        msg = f"item {item.id!r} has no datetime: leave it out of items="
        raise ValueError(msg)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def asset_grid(item: pystac.Item, key: str, catalog: Catalog) -> GeoBox:
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

    return look_into(local_path(asset_href(item, key)), catalog.signer, grid)


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
