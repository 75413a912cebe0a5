"""What STAC items say of themselves: when they are from, and where their assets lie."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .catalog import Catalog
from .hrefs import asset_href, local_path, stated_crs
from .rasterfile import look_into

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

PASS_GAP = dt.timedelta(minutes=10)  # frames of one pass follow within seconds
ANOTHER_PASS = dt.timedelta(minutes=90)  # a satellite is back after about 100, over other ground


def item_time(item: pystac.Item) -> dt.datetime:
    """Return the acquisition time of an item."""
    moment = item.datetime or item.common_metadata.start_datetime
    if moment is None:
        msg = f"item {item.id!r} has no datetime: leave it out of items="
        raise ValueError(msg)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def passes(items: Iterable[pystac.Item]) -> list[list[pystac.Item]]:
    """Group items by pass of the satellite.

    Frames and tiles of a pass show one acquisition; acquisitions are told apart by a gap of
    more than ten minutes, so that each is judged by itself.
    """
    grouped: list[list[pystac.Item]] = []
    last = None
    for item in sorted(items, key=lambda item: (item_time(item), item.id)):
        moment = item_time(item)
        if last is None or moment - last > PASS_GAP:
            grouped.append([])
        grouped[-1].append(item)
        last = moment
    return grouped


def asset_grid(item: pystac.Item, key: str, catalog: Catalog) -> GeoBox:
    """Return the grid of an asset: as its item says it, else as its file does."""
    from odc.geo.geobox import GeoBox

    where = f"asset {key!r} of item {item.id!r}"
    of_asset, of_item = item.assets[key].extra_fields, item.properties
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
        return GeoBox(file.shape, file.transform, file.crs.to_wkt())

    return look_into(local_path(asset_href(item, key)), catalog.signer, grid)


def stated_grid(item: pystac.Item) -> GeoBox | None:
    """Return the grid on which an item says to lie, None if it does not; opens nothing."""
    fields = item.properties
    crs = stated_crs(fields)
    shape, transform = fields.get("proj:shape"), fields.get("proj:transform")
    if crs is None or not shape or not transform:
        return None
    return _grid(shape, transform, crs, f"item {item.id!r}")


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
