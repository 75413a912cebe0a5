"""Load the bands of catalogue items onto the grid of a retrieval, lazily."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import numpy as np
import xarray as xr

from .catalog import Catalog
from .grid import geobox_of, grid_coords, spatial_dims
from .hrefs import asset_href, local_path
from .mapping import Mapping as GridMapping
from .warp_bands import WarpedBands, warp_bands

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

PASS_GAP = dt.timedelta(minutes=10)  # frames of one pass follow within seconds


def planes(items: Iterable[pystac.Item], catalog: Catalog) -> list[list[pystac.Item]]:
    """Group items into planes, each of one pass of the satellite and one offset.

    Frames and tiles of a pass show one acquisition and are mosaicked; acquisitions are
    told apart by a gap of more than ten minutes, so that each is judged by itself.
    """
    grouped: dict[tuple[int, float], list[pystac.Item]] = {}
    number, last = 0, None
    for item in sorted(items, key=lambda item: (item_time(item), item.id)):
        moment = item_time(item)
        if last is not None and moment - last > PASS_GAP:
            number += 1
        last = moment
        # two processings of one scene may differ in offset: never in one plane
        grouped.setdefault((number, _offset(item, catalog)), []).append(item)
    return list(grouped.values())


def load_bands(
    items: Sequence[pystac.Item],
    like: xr.Dataset,
    catalog: Catalog,
    resampling: Mapping[str, str],
) -> xr.Dataset:
    """Load the bands of one plane on the grid of a retrieval.

    Parameters
    ----------
    items : sequence of pystac.Item
        Of one pass and one offset, see :func:`planes`, with all assets of `catalog`.
    like : Dataset
        A retrieval; its grid and blocks. Lazy where its `mu` is.
    catalog : Catalog
        Which asset is which band, their nodata and offset.
    resampling : mapping
        Band to "nearest" (loaded as uint8) or "bilinear" (as float32, nodata as NaN).

    Returns
    -------
    Dataset
        The bands, with the spatial dims of `like`; nodata outside every footprint.
    """
    grids = [_asset_grid(items[0], key) for key in catalog.assets.values()]
    # one scene on its own grid needs no mosaic: our kernel is exact to 0.001 pixel, and faster
    if len(items) == 1 and None not in grids:
        return _load_natively(items[0], like, catalog, resampling)
    return _load_mosaic(items, like, catalog, resampling)


def _load_natively(
    item: pystac.Item, like: xr.Dataset, catalog: Catalog, resampling: Mapping[str, str]
) -> xr.Dataset:
    target = geobox_of(like)
    dims, coords = grid_coords(like)
    sizes = like["mu"].chunksizes
    blocks = (sizes[dims[0]], sizes[dims[1]]) if sizes else None
    layers: dict[str, Any] = {}
    for alike in _of_one_grid(item, catalog, resampling):
        band = alike[0]
        nearest = resampling[band] == "nearest"
        hrefs = (local_path(asset_href(item, catalog.assets[b])) for b in alike)
        source = _asset_grid(item, catalog.assets[band])
        assert source is not None  # noqa: S101  # load_bands saw to it
        bands = WarpedBands(
            paths=tuple(hrefs if catalog.signer is None else map(catalog.signer, hrefs)),
            mapping=GridMapping.between(source, target),
            resampling=resampling[band],
            nodata=tuple(catalog.nodata_of(b) for b in alike),
            offset=0.0 if nearest else _offset(item, catalog),
            dtype=np.dtype(np.uint8 if nearest else np.float32),
        )
        layers |= {b: (dims, a) for b, a in zip(alike, warp_bands(bands, blocks), strict=True)}
    return xr.Dataset(layers, coords)


def _of_one_grid(
    item: pystac.Item, catalog: Catalog, resampling: Mapping[str, str]
) -> list[list[str]]:
    """Group the bands that lie on one grid and are resampled in one way."""
    groups: dict[Any, list[str]] = {}
    for band, key in catalog.assets.items():
        groups.setdefault((_asset_grid(item, key), resampling[band]), []).append(band)
    return list(groups.values())


def _load_mosaic(
    items: Sequence[pystac.Item],
    like: xr.Dataset,
    catalog: Catalog,
    resampling: Mapping[str, str],
) -> xr.Dataset:
    import odc.stac

    from .reader import OVERLAP, NodataDriver

    geobox = geobox_of(like)
    dims, coords = grid_coords(like)
    names = {key: band for band, key in catalog.assets.items()}
    dtypes = {b: "uint8" if how == "nearest" else "float32" for b, how in resampling.items()}
    config = {
        key: {"data_type": dtypes[band], "nodata": catalog.nodata_of(band)}
        for key, band in names.items()
    }
    loaded: xr.Dataset = odc.stac.load(
        [_bare(item, catalog) for item in items],
        bands=list(names),
        geobox=geobox,
        groupby=lambda *_: 0,
        resampling={key: resampling[band] for key, band in names.items()},
        chunks=_odc_chunks(like, geobox),
        stac_cfg={"*": {"assets": config}},
        driver=NodataDriver(),
        fuse_func={key: OVERLAP.get(band) for key, band in names.items()},
        patch_url=catalog.signer,
        # an overview of classes is a mixture of classes
        use_overviews=False,
    )
    bands = loaded.isel(time=0, drop=True).rename(names)
    if geobox.dimensions != dims:
        bands = bands.rename(dict(zip(geobox.dimensions, dims, strict=True)))
    bands = bands.drop_vars(list(bands.coords)).assign_coords(coords)
    for band in [b for b in bands.data_vars if resampling[str(b)] != "nearest"]:
        observed = bands[band] != catalog.nodata_of(str(band))
        shifted = bands[band] + np.float32(_offset(items[0], catalog))
        bands[band] = shifted.where(observed).drop_attrs(deep=False)
    return bands


def _asset_grid(item: pystac.Item, key: str) -> GeoBox | None:
    """Return the grid that an item says an asset has, None if it does not say or is not read so."""
    from affine import Affine
    from odc.geo.geobox import GeoBox

    fields = item.properties | item.assets[key].extra_fields
    shape, transform = fields.get("proj:shape"), fields.get("proj:transform")
    crs = fields.get("proj:code") or fields.get("proj:epsg") or fields.get("proj:wkt2")
    on_the_web_or_here = urlsplit(asset_href(item, key)).scheme in ("", "file", "http", "https")
    if not (shape and transform and crs and on_the_web_or_here):
        return None
    return GeoBox(tuple(shape), Affine(*transform[:6]), crs)


def item_time(item: pystac.Item) -> dt.datetime:
    """Return the acquisition time of an item."""
    moment = item.datetime or item.common_metadata.start_datetime
    if moment is None:
        msg = f"item {item.id!r} has no datetime: leave it out of items="
        raise ValueError(msg)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _bare(item: pystac.Item, catalog: Catalog) -> pystac.Item:
    """Copy an item with only the assets to be read, without what they say of nodata."""
    hrefs = {key: local_path(asset_href(item, key)) for key in catalog.assets.values()}
    item = item.clone()
    item.remove_links("self")  # nothing is left to resolve
    item.assets = {key: item.assets[key] for key in hrefs}
    for key, asset in item.assets.items():
        asset.href = hrefs[key]
        for said in ("raster:bands", "bands", "nodata", "data_type"):
            asset.extra_fields.pop(said, None)
    return item


def _offset(item: pystac.Item, catalog: Catalog) -> float:
    """Return what to add to the reflectance numbers of an item."""
    if catalog.offset != "auto":
        return float(catalog.offset)
    if item.properties.get("earthsearch:boa_offset_applied"):
        return 0.0
    asset = item.assets[next(iter(catalog.assets.values()))]
    declared = [asset.extra_fields, *asset.extra_fields.get("raster:bands", [])]
    for said in declared:
        scale = said.get("raster:scale", said.get("scale"))
        offset = said.get("raster:offset", said.get("offset"))
        if scale and offset is not None:
            return round(float(offset) / float(scale), 6)
    baseline = str(item.properties.get("s2:processing_baseline", "0"))
    return -1000.0 if float(baseline) >= 4 else 0.0  # noqa: PLR2004  # baseline 04.00


def _odc_chunks(like: xr.Dataset, geobox: GeoBox) -> dict[str, int | Literal["auto"]] | None:
    dims = spatial_dims(like)
    sizes = like["mu"].chunksizes
    if not sizes or dims is None:
        return None
    return {a: max(sizes[b]) for a, b in zip(geobox.dimensions, dims, strict=True)}
