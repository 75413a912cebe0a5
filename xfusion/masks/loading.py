"""Load the bands of catalogue items onto the grid of a retrieval, lazily."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import xarray as xr

from xfusion.datamodel.chunks import Blocks
from xfusion.datamodel.components import local_path
from xfusion.datamodel.grid import geobox_of, grid_coords, spatial_dims
from xfusion.datamodel.names import MU, READ_FAILED
from xfusion.raster.asset import READ_ERRORS, check_bands, look_into
from xfusion.raster.file import RasterFile
from xfusion.raster.waiting import together
from xfusion.stac.asset_bands import AssetBand, asset_band, asset_of
from xfusion.stac.items import asset_grid
from xfusion.stac.profiles import Catalog
from xfusion.stac.untrusted import asset_href
from xfusion.warp.pixel_mapping import PixelMapping

from .mosaic import (
    BandsObserved,
    Mosaic,
    Observed,
    OnReadError,
    WarpedBands,
    WarpedItem,
    warp_mosaic,
)
from .named_bits import stated_by_all
from .odc_bands import OdcBands

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

Loader: TypeAlias = Literal["xfusion", "odc"]
ItemAndOffset: TypeAlias = "tuple[pystac.Item, float]"
DtypeAndFill: TypeAlias = tuple[np.dtype[Any], float]


@dataclass(frozen=True)
class Loading:
    """How the bands of a sensor are loaded."""

    catalog: Catalog
    """Which asset is which band, and their nodata; it has no assets but these."""
    resampling: Mapping[str, str]
    """Band to "nearest" or "bilinear" (loaded as float32, nodata as NaN)."""
    observed: Observed | None
    """How much of a pixel an item has observed; None is all where each band has a value."""
    dtypes: Mapping[str, str]
    """Dtypes in which "nearest" bands are loaded, instead of those of their files."""
    on_read_error: OnReadError = "raise"
    loader: Loader = "xfusion"
    """Who reads them: we, or odc.stac.load."""
    any_format: bool = False
    """Whether odc.stac.load may read formats that can name other files."""

    @property
    def reads_any_format(self) -> bool:
        """Whether formats are read that can name other files."""
        return self.any_format and self.loader == "odc"


def check_choices(on_read_error: str, loader: str) -> None:
    """Raise a ValueError unless both are one of their choices."""
    if on_read_error not in get_args(OnReadError):
        msg = f"{on_read_error=}: must be 'raise' or 'flag'"
        raise ValueError(msg)
    if loader not in get_args(Loader):
        msg = f"{loader=}: must be 'xfusion' or 'odc'"
        raise ValueError(msg)


def load_pass(
    items: Sequence[ItemAndOffset], like: xr.Dataset, loading: Loading, blocks: Blocks | None
) -> xr.Dataset:
    """Load the bands of one pass on the grid of a retrieval.

    Parameters
    ----------
    items : sequence of (pystac.Item, float)
        Items of one pass with all assets of the catalogue, and what to add to the reflectance
        numbers of each; of those that observed a pixel alike the first is taken.
    like : Dataset
        Its grid.
    loading : Loading
    blocks : pair of tuples of int, or None
        Rows and columns of the result's blocks, None to read now.

    Returns
    -------
    Dataset
        The bands, with the spatial dims of `like`; nodata outside every footprint. With
        `on_read_error` "flag" also `read_failed`, bool. Attributes of "nearest" bands say what
        nodata is, and what the items say that the numbers mean.

    Raises
    ------
    ValueError
        If an asset has several bands and none is the one, or classes that would be interpolated.
    OSError
        If an item does not say where its bands lie or what they hold, and its file does not open,
        unless `on_read_error` is "flag".
    """
    target = geobox_of(like)
    dims, coords = grid_coords(like)
    names = list(loading.catalog.assets)
    # where an item does not say where its files lie, these do
    located = together([functools.partial(_located, *each, loading) for each in items])
    stored = {band: _stored_as(band, located, loading) for band in names}
    dtypes = {band: dtype for band, (dtype, _) in stored.items()}
    fills = {band: fill for band, (_, fill) in stored.items()}
    mosaic = Mosaic(
        items=tuple(_warped(each, target, loading, stored) for each in located),
        bands=tuple((band, fills[band], dtypes[band]) for band in names),
        target=target.shape.yx,
        observed=loading.observed or BandsObserved(fills),
        on_read_error=loading.on_read_error,
    )
    layers = warp_mosaic(mosaic, blocks)
    if loading.on_read_error == "flag":
        names.append(READ_FAILED)
    attrs = {band: _attrs(band, items, loading, fills[band]) for band in fills}
    return xr.Dataset(
        {b: (dims, a, attrs.get(b, {})) for b, a in zip(names, layers, strict=True)}, coords
    )


def _attrs(
    band: str, items: Sequence[ItemAndOffset], loading: Loading, fill: float
) -> dict[str, Any]:
    """Return what is known of the numbers of a band, as :func:`xfusion.flags` reads it."""
    if loading.resampling[band] != "nearest":
        return {}
    assets = [
        (item.id, asset_of(item, loading.catalog.keys_of(item.collection_id)[band]))
        for item, _ in items
    ]
    return {**stated_by_all(assets, band), "nodata": fill}


def blocks_of_retrieval(dataset: xr.Dataset) -> Blocks | None:
    """Return the rows and columns of the blocks of a retrieval, None of one in memory."""
    sizes = dataset[MU].chunksizes
    if not sizes:
        return None
    dims = spatial_dims(dataset)
    assert dims is not None  # noqa: S101  # it is on a grid
    return sizes[dims[0]], sizes[dims[1]]


@dataclass(frozen=True)
class Located:
    """An item, and what is known of its bands before any pixel is read."""

    item: pystac.Item
    offset: float
    grids: Mapping[str, GeoBox]
    bands: Mapping[str, AssetBand]
    stored: Mapping[str, np.dtype[Any]]
    """Dtypes of the files of "nearest" bands, where `Loading.dtypes` does not say one."""


def _located(item: pystac.Item, offset: float, loading: Loading) -> Located | None:
    """Return where the bands of an item are and what they hold, None if that cannot be read."""
    catalog = loading.catalog
    keys = catalog.keys_of(item.collection_id)
    bands = {band: asset_band(item, key, band) for band, key in keys.items()}
    for band, found in bands.items():
        if found.holds_classes and loading.resampling[band] == "bilinear":
            msg = (
                f"asset {keys[band]!r} of item {item.id!r} holds classes, which have no "
                f"mean: bands={{{band!r}: 'nearest'}} in the recipe, not 'bilinear'"
            )
            raise ValueError(msg)
    of_any = loading.reads_any_format
    try:
        grids = {b: asset_grid(item, key, catalog, any_format=of_any) for b, key in keys.items()}
        classes = [b for b, how in loading.resampling.items() if how == "nearest"]
        unknown = [band for band in classes if band not in loading.dtypes]
        stored = {b: _stored_dtype(item, loading, keys[b], bands[b]) for b in unknown}
    except READ_ERRORS:
        # it does not say where it lies, or what it holds, and its file does not open
        if loading.on_read_error == "raise":
            raise
        return None
    return Located(item, offset, grids, bands, stored)


def _stored_dtype(item: pystac.Item, loading: Loading, key: str, found: AssetBand) -> np.dtype[Any]:
    """Return the dtype of a band as its item says it, else as its file does."""
    if found.dtype is not None:
        return found.dtype
    path = local_path(asset_href(item, key))

    def dtype(file: Any) -> str:
        check_bands(file, found.count, path)
        return str(file.dtypes[found.number - 1])

    signer, any_format = loading.catalog.signer, loading.reads_any_format
    return np.dtype(look_into(path, signer, dtype, any_format=any_format))


def _stored_as(band: str, items: Iterable[Located | None], loading: Loading) -> DtypeAndFill:
    """Return a dtype that holds what all files of a band hold, and what means "not observed".

    Raises
    ------
    ValueError
        If there is none.
    """
    if loading.resampling[band] == "bilinear":
        return np.dtype(np.float32), np.nan
    stated, nodata = loading.dtypes.get(band), loading.catalog.nodata_of(band)
    known = {item.stored[band] for item in items if item is not None} if stated is None else ()
    # where no file opens, one that has whatever a rule asks of it
    nothing = np.int64 if nodata is not None else np.int32
    kinds = sorted(known or {np.dtype(stated or nothing)}, key=str)
    if nodata is None:
        # a number that none of them holds
        common = np.result_type(*kinds)
        if common.kind == "f":
            return common, np.nan
        nodata = -1 if common.kind == "u" else int(np.iinfo(common).min) - 1
    dtype = np.result_type(*kinds, np.min_scalar_type(nodata))
    if dtype.kind not in "iu" and all(kind.kind != "f" for kind in kinds):
        msg = (
            f"the files of the band {band!r} hold {[str(kind) for kind in kinds]}, nodata is "
            f"{nodata:g}: no dtype of integers holds them all; give another nodata"
        )
        raise ValueError(msg)
    return dtype, nodata


def _warped(
    located: Located | None,
    target: GeoBox,
    loading: Loading,
    stored: Mapping[str, DtypeAndFill],
) -> WarpedItem:
    if located is None:
        return WarpedItem(())
    catalog, grids = loading.catalog, located.grids
    alike: dict[Any, list[str]] = {}
    for band in catalog.assets:
        kind = (grids[band], loading.resampling[band], stored[band][0])
        alike.setdefault(kind, []).append(band)
    reader = OdcBands if loading.loader == "odc" else WarpedBands
    return WarpedItem(
        tuple(
            reader(
                names=tuple(bands),
                files=tuple(_file(located, loading, band, *stored[band]) for band in bands),
                mapping=PixelMapping.between(grid, target),
                resampling=resampling,
                nodata=tuple(_number(catalog.nodata_of(b), stored[b][1]) for b in bands),
                offset=0.0 if resampling == "nearest" else located.offset,
                dtype=dtype,
                on_read_error=loading.on_read_error,
            )
            for (grid, resampling, dtype), bands in alike.items()
        )
    )


def _number(nodata: float | None, fill: float) -> float:
    return fill if nodata is None else nodata


def _file(
    located: Located, loading: Loading, band: str, dtype: np.dtype[Any], fill: float
) -> RasterFile:
    catalog = loading.catalog
    return RasterFile(
        local_path(asset_href(located.item, catalog.keys_of(located.item.collection_id)[band])),
        located.grids[band].shape.yx,
        dtype,
        masked=False,
        declares=catalog.leaves_nodata_to_file(band),
        missing=_number(catalog.nodata_of(band), fill),
        trusted=False,
        any_format=loading.reads_any_format,
        grid=located.grids[band],
        band=located.bands[band].number,
        bands=located.bands[band].count,
        signer=catalog.signer,
    )
