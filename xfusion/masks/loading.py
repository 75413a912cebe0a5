"""Load the bands of catalogue items onto the grid of a retrieval, lazily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.grid import geobox_of, grid_coords
from xfusion.raster.asset import READ_ERRORS
from xfusion.raster.file import RasterFile
from xfusion.stac.items import asset_grid, stated_grid
from xfusion.stac.profiles import Catalog
from xfusion.stac.untrusted import asset_href, local_path
from xfusion.warp.blocks import Blocks
from xfusion.warp.pixel_mapping import PixelMapping

from .mosaic import (
    ALL,
    NOTHING,
    PART,
    Bands,
    Footprints,
    Mosaic,
    Observed,
    OnReadError,
    WarpedBands,
    WarpedItem,
    warp_mosaic,
)

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

READ_FAILED = "read_failed"  # a layer beside the bands: where they could not be read

ItemAndOffset: TypeAlias = "tuple[pystac.Item, float]"


@dataclass(frozen=True)
class BandsObserved(InGraph):
    """Where items of any sensor overlap, the one with values in all its bands wins."""

    fills: Mapping[str, float]
    """What stands for "not observed" in each band."""

    def __call__(self, bands: Bands) -> NDArray[np.uint8]:
        """Return ALL, PART or NOTHING, pixel by pixel."""
        seen = [
            np.isfinite(bands[band]) & (bands[band] != fill) for band, fill in self.fills.items()
        ]
        every, some = np.all(seen, axis=0), np.any(seen, axis=0)
        return np.where(every, ALL, np.where(some, PART, NOTHING)).astype(np.uint8)


@dataclass(frozen=True)
class Loading:
    """How the bands of a sensor are loaded."""

    catalog: Catalog
    """Which asset is which band, and their nodata; it has no assets but these."""
    resampling: Mapping[str, str]
    """Band to "nearest" (loaded as uint8) or "bilinear" (as float32, nodata as NaN)."""
    observed: Observed | None = None
    """How much of a pixel an item has observed; None is all where each band has a value."""
    on_read_error: OnReadError = "raise"
    each_counts: bool = False
    """Whether it takes all items that cover a pixel to judge it."""
    union: bool = False
    """Whether bands hold bit flags, and a pixel has those of all items."""

    def fill(self, band: str) -> float:
        """Return what stands for "not observed" in a loaded band."""
        nearest = self.resampling[band] == "nearest"
        return float(self.catalog.nodata_of(band)) if nearest else np.nan

    def dtype(self, band: str) -> np.dtype[Any]:
        """Return the dtype of a loaded band."""
        return np.dtype(np.uint8 if self.resampling[band] == "nearest" else np.float32)


def load_bands(items: Sequence[ItemAndOffset], like: xr.Dataset, loading: Loading) -> xr.Dataset:
    """Load the bands of one pass on the grid of a retrieval.

    Parameters
    ----------
    items : sequence of (pystac.Item, float)
        Items of one pass with all assets of the catalogue, and what to add to the reflectance
        numbers of each.
    like : Dataset
        A retrieval; its grid and blocks. Lazy where its `mu` is.
    loading : Loading

    Returns
    -------
    Dataset
        The bands, with the spatial dims of `like`; nodata outside every footprint. With
        `on_read_error` "flag" also `read_failed`, bool.
    """
    target = geobox_of(like)
    dims, coords = grid_coords(like)
    names = list(loading.catalog.assets)
    mosaic = Mosaic(
        items=tuple(_warped(item, offset, target, loading) for item, offset in items),
        bands=tuple((band, loading.fill(band), loading.dtype(band)) for band in names),
        target=target.shape.yx,
        observed=loading.observed or BandsObserved({b: loading.fill(b) for b in names}),
        on_read_error=loading.on_read_error,
        each_counts=loading.each_counts,
        union=loading.union,
    )
    layers = warp_mosaic(mosaic, _blocks(like))
    if loading.on_read_error == "flag":
        names.append(READ_FAILED)
    return xr.Dataset({b: (dims, a) for b, a in zip(names, layers, strict=True)}, coords)


def may_show(items: Sequence[pystac.Item], like: xr.Dataset) -> xr.DataArray:
    """Return which pixels of a retrieval items may show, by the grids on which they say to lie.

    Parameters
    ----------
    items : sequence of pystac.Item
        One that states no grid may show any pixel.
    like : Dataset
        A retrieval; its grid and blocks.

    Returns
    -------
    DataArray of bool
        Lazy where `mu` of the retrieval is.
    """
    target = geobox_of(like)
    dims, coords = grid_coords(like)
    grids = [*dict.fromkeys(stated_grid(item) for item in items)]
    stated = [grid for grid in grids if grid is not None]
    if len(stated) < len(grids):
        return xr.full_like(like["mu"], fill_value=True, dtype=np.bool_)
    mappings = tuple(PixelMapping.between(grid, target) for grid in stated)
    (layer,) = warp_mosaic(Footprints(mappings, target.shape.yx), _blocks(like))
    return xr.DataArray(layer, coords, dims)


def _blocks(like: xr.Dataset) -> Blocks | None:
    rows, columns = grid_coords(like)[0]
    sizes = like["mu"].chunksizes
    return (sizes[rows], sizes[columns]) if sizes else None


def _warped(item: pystac.Item, offset: float, target: GeoBox, loading: Loading) -> WarpedItem:
    catalog = loading.catalog
    try:
        grids = {band: asset_grid(item, key, catalog) for band, key in catalog.assets.items()}
    except READ_ERRORS:
        # it does not say where it lies, and its file does not open
        if loading.on_read_error == "raise":
            raise
        return WarpedItem(())
    alike: dict[Any, list[str]] = {}
    for band in catalog.assets:
        alike.setdefault((grids[band], loading.resampling[band]), []).append(band)
    return WarpedItem(
        tuple(
            WarpedBands(
                names=tuple(bands),
                files=tuple(_file(item, catalog, band, grid, loading) for band in bands),
                mapping=PixelMapping.between(grid, target),
                resampling=resampling,
                nodata=tuple(catalog.nodata_of(band) for band in bands),
                offset=0.0 if resampling == "nearest" else offset,
                dtype=loading.dtype(bands[0]),
                on_read_error=loading.on_read_error,
            )
            for (grid, resampling), bands in alike.items()
        )
    )


def _file(
    item: pystac.Item, catalog: Catalog, band: str, grid: GeoBox, loading: Loading
) -> RasterFile:
    return RasterFile(
        local_path(asset_href(item, catalog.assets[band])),
        grid.shape.yx,
        loading.dtype(band),
        masked=False,
        missing=catalog.nodata_of(band),
        trusted=False,
        grid=grid,
        signer=catalog.signer,
    )
