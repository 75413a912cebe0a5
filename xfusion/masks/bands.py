"""Bands of a catalogue for anyone: found, checked and loaded as those of masks are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xfusion.datamodel.chunks import Blocks, Chunks, blocks_of
from xfusion.datamodel.earth import check_is_on_earth
from xfusion.datamodel.grid import geobox_of, grid_coords
from xfusion.datamodel.names import READ_FAILED
from xfusion.datamodel.provenance import mask_attrs
from xfusion.datamodel.slices import slices_along
from xfusion.datamodel.times import Time, as_time
from xfusion.datamodel.validation import HasDataset, with_spatial_ref
from xfusion.stac.items import Items, item_time
from xfusion.stac.profiles import EARTH_SEARCH, Catalog, CatalogLike, Offset
from xfusion.stac.searching import with_offset
from xfusion.warp.coregistration import CHUNK
from xfusion.warp.on_block import split

from .band_metadata import ORBIT, Scale, check_reflectances, nodata_of, orbits_of, scale_of
from .decisions import decided
from .exclusion import SCL
from .footprints import COVERED, covered_shares
from .loading import Loader, Loading, check_choices, load_pass
from .mosaic import OnReadError
from .passes import Passes, Search, check_passes, find_passes
from .passes_of_cube import find_passes_of_each, search_of_each
from .recipe import BandResampling, check_resampling
from .sentinel import GFM_MASK, S2_MASK

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

TIME = "time"
# bands of classes, whatever their items say of them
CLASSES: Mapping[str, str] = {**S2_MASK.dtypes, **GFM_MASK.dtypes, "advisory_flags": "uint8"}


def load_bands(
    like: xr.Dataset | xr.DataArray | HasDataset | GeoBox,
    /,
    bands: str | Sequence[str] | Mapping[str, BandResampling],
    *,
    catalog: CatalogLike | None = None,
    items: Items | None = None,
    datetime: Time | None = None,
    nodata: float | Mapping[str, float | None] | None = None,
    offset: Offset | None = None,
    scale: Scale | None = None,
    chunks: Chunks = None,
    on_read_error: OnReadError = "raise",
    allow_local: bool = False,
    loader: Loader = "xfusion",
) -> xr.Dataset:
    """Load bands of a catalogue on the grid of a retrieval, pass by pass, lazily.

    Parameters
    ----------
    like : GeoBox, Dataset, DataArray or product
        The grid, and the `time`; of a cube with a dim `time` each has its passes.
    bands : str, sequence or mapping of str
        Bands as the catalogue's `assets` name them, or keys of assets; or band to "nearest"
        (classes and bits) or "bilinear" (float32, nodata as NaN). By default `scl`,
        `exclusion_mask` and `advisory_flags` are "nearest", all others "bilinear".
    catalog : Catalog, URL or pystac_client.Client, optional
        Where to search; a URL or Client as Earth Search is, which is the default.
    items : iterable of pystac.Item, optional
        Use these, do not search; all of them, or those of `datetime` if it is given.
    datetime : str, datetime64 or datetime, optional
        Day, moment or interval of acquisition, UTC, by default the time of `like`, as in
        :func:`attach_mask`. Of a moment the pass that is nearest is loaded, else all.
    nodata : float or mapping, optional
        What means "not observed", of all bands or band by band, instead of what the catalogue
        says; NaN where every number is an observation. Of bands that the catalogue does not name
        it is what the items say.
    offset : float, "auto" or "metadata", optional
        What to add to the numbers of "bilinear" bands, instead of what the catalogue says, see
        :func:`xfusion.masks.offset.offset_of`.
    scale : float or "metadata", optional
        What to multiply them by after that; "metadata" is what items declare. By default nothing:
        they stay digital numbers.
    chunks : int, str, pair or mapping, optional
        Rows and columns of a block; by default those of `like`, else 2048 a side.
    on_read_error : {"raise", "flag"}
        When pixels cannot be read: raise, or be True in the coordinate `read_failed` of all
        bands, by which retrievals made of them exclude the pixel.
    allow_local : bool
        Also read assets on this machine or on its networks, although the catalogue is not.
    loader : {"xfusion", "odc"}
        Who reads the pixels: our own reader, or odc.stac.load, see the notes.

    Returns
    -------
    Dataset, dims (time, y, x)
        The bands, lazy, one time for each pass, when its first item is from; items of a pass that
        overlap fill each other's gaps. The coordinate `covered` is the share of the grid that the
        footprints of a pass cover; `orbit` and `orbit_state` are there where items say them.
        "nearest" bands say in their attributes what nodata is.
        The attributes ``mask_*`` say what was found, as those of a mask.

    Raises
    ------
    ValueError
        If there is no date, or no CRS; if an href may not be read; if neither catalogue nor items
        say what nodata is, or that a band holds reflectances, to which an offset belongs that is
        not given as a number. When pixels are read as in :func:`attach_mask`.
    LookupError
        If there are no items, or none with all assets.
    ConnectionError, OSError
        As in :func:`attach_mask`.

    Notes
    -----
    With `loader` "odc" search, checks, passes, nodata, offsets, time-outs and repeats are the
    same, and a read that fails is raised or flagged, here tile by tile of 512 pixels. It reads
    other formats than GeoTIFF and JPEG 2000 as well, but as these may name any file of this
    machine, as a VRT does, only with `allow_local` or from a catalogue on it. What it cannot
    promise: positions are GDAL's approximation, off by up to an eighth of a pixel, and half a
    pixel where scales differ by less than a thousandth; beside gaps "bilinear" has the mean of
    what is left; coarser grids are weighed by distance, not by area. A file with a mask of its
    own, or without a CRS, cannot be read with it.

    Where frames of the GFM overlap, :func:`attach_gfm_mask` lets excluded win; here a pixel is from
    one of them.

    Examples
    --------
    >>> import xfusion as xf
    >>> from tempfile import TemporaryDirectory
    >>> from xfusion.demo import write_scene
    >>> with TemporaryDirectory() as folder:
    ...     scene = write_scene(folder, size=0.2)
    ...     s2 = xf.raster.open_retrieval(scene.s2_mu, scene.s2_sigma, time=scene.date)
    ...     bands = s2.fusion.load_bands(["red", "nir"], catalog=scene.items, offset=0)
    ...     index = bands.fusion.ndvi().compute()
    >>> index.dims
    ('time', 'y', 'x')
    """
    resampling = _resampling(bands)
    check_choices(on_read_error, loader)
    grid = _as_dataset(like)
    geobox = geobox_of(grid)
    check_is_on_earth(geobox)
    coords = grid_coords(grid)[1]
    taken = [band for band in resampling if band in (TIME, READ_FAILED, COVERED, *ORBIT, *coords)]
    if taken:
        msg = f"the bands {taken} would be called as what lies beside them: Catalog(assets=...)"
        raise ValueError(msg)
    strange = sorted({*nodata} - {*resampling}) if isinstance(nodata, Mapping) else []
    if strange:
        msg = f"nodata= is of {strange}, the bands are {[*resampling]}: name each as it is loaded"
        raise ValueError(msg)
    blocks = _blocks(grid) if chunks is None else blocks_of(chunks, geobox.shape.yx)
    search = Search(catalog, items, datetime, allow_local=allow_local)
    found = _found(grid, search)
    profile = with_offset(_for_bands(found.catalog, resampling), offset)
    checked = check_passes(found, profile, otherwise="they are missing unless others have them")
    if not checked.complete:
        msg = (
            f"no item of {profile.collection!r} has the assets of the bands {[*resampling]}: name "
            "the keys of assets that they have, Catalog(assets={band: key})"
        )
        raise LookupError(msg)
    each_item = [item for of_pass in checked.complete for item in of_pass]
    of_bands = {b: nodata_of(b, each_item, profile, found.catalog, nodata) for b in resampling}
    profile = dataclasses.replace(profile, nodata=of_bands)
    scales = {b: scale_of(b, each_item, profile, scale) for b in _measured(resampling)}
    with_offsets, texts = decided(checked.complete, _with_offsets(profile, resampling, each_item))
    loading = Loading(
        profile,
        resampling,
        None,
        {b: d for b, d in CLASSES.items() if resampling.get(b) == "nearest"},
        on_read_error,
        loader,
        any_format=found.may_name_files,
    )
    loaded = [
        _scaled(load_pass(of_pass, grid, loading, blocks), scales) for of_pass in with_offsets
    ]
    attrs = mask_attrs(
        {},
        catalog=found.source,
        collections=profile.collections,
        items=found.ids,
        lacking=checked.missing_assets,
        offsets=texts if scales else {},
        links=found.links,
    )
    of_time = _in_time(loaded, [*map(_moment, checked.complete)]).assign_attrs(attrs)
    of_time = of_time.set_coords([name for name in of_time.data_vars if name == READ_FAILED])
    covered = TIME, covered_shares(checked.complete, geobox)
    return of_time.assign_coords({COVERED: covered} | orbits_of(checked.complete))


def _resampling(bands: Any) -> dict[str, BandResampling]:
    if isinstance(bands, Mapping):
        resampling = dict(bands)
    else:
        names = [bands] if isinstance(bands, str) else [*bands]
        resampling = {b: "nearest" if b in CLASSES else "bilinear" for b in names}
    check_resampling(resampling)
    return resampling


def _as_dataset(like: Any) -> xr.Dataset:
    from odc.geo.geobox import GeoBox

    obj = like if isinstance(like, xr.Dataset) else getattr(like, "dataset", like)
    if isinstance(obj, GeoBox):
        obj = xr.Dataset(coords=grid_coords(obj)[1])
    elif isinstance(obj, xr.DataArray):
        obj = obj.to_dataset(name="like")
    if not isinstance(obj, xr.Dataset):
        msg = f"`like` is a GeoBox, Dataset, DataArray or product, not {type(like).__name__}"
        raise TypeError(msg)
    return with_spatial_ref(obj)


def _blocks(grid: xr.Dataset) -> Blocks:
    rows, columns = grid_coords(grid)[0]
    for layer in grid.data_vars.values():
        if {rows, columns} <= {*layer.chunksizes}:
            return layer.chunksizes[rows], layer.chunksizes[columns]
    return split(grid.sizes[rows], CHUNK), split(grid.sizes[columns], CHUNK)


def _found(grid: xr.Dataset, search: Search) -> Passes:
    """Return the passes of all times of a grid, each once, in the order of time."""
    if TIME in grid.dims:
        search = search_of_each(grid, search)
        found = find_passes_of_each(slices_along(grid, TIME), EARTH_SEARCH, search)
    else:
        if TIME not in grid.coords and search.datetime is None and search.items is None:
            msg = "it is not known when bands are to be from: pass datetime='2023-06-20'"
            raise ValueError(msg)
        found = [find_passes(grid, EARTH_SEARCH, search)]
    each = {
        tuple((item.id, item_time(item)) for item in items): items
        for passes in found
        for items in passes.items
    }
    return dataclasses.replace(found[0], items=sorted(each.values(), key=_moment))


def _moment(items: Sequence[pystac.Item]) -> Any:
    return as_time(min(map(item_time, items)))


def _for_bands(catalog: Catalog, bands: Mapping[str, str]) -> Catalog:
    """Return the catalogue of some bands; those that it does not name are keys of assets."""
    assets = {band: catalog.assets.get(band, band) for band in bands}
    return dataclasses.replace(catalog, assets=assets, nodata=None)


def _measured(resampling: Mapping[str, str]) -> list[str]:
    return [band for band, how in resampling.items() if how == "bilinear"]


def _with_offsets(
    catalog: Catalog, resampling: Mapping[str, str], items: Sequence[pystac.Item]
) -> Catalog:
    """Return the catalogue by which the offset of its items is decided."""
    measured = _measured(resampling)
    if not measured:
        return dataclasses.replace(catalog, offset=0.0)
    if isinstance(catalog.offset, str):
        check_reflectances(measured, items, catalog)
    known = [*measured, *(band for band in resampling if band == SCL and band not in measured)]
    assets = {band: catalog.assets[band] for band in known}
    return dataclasses.replace(catalog, assets=assets)


def _scaled(loaded: xr.Dataset, scales: Mapping[str, float]) -> xr.Dataset:
    factors = {band: np.float32(scale) for band, scale in scales.items() if scale != 1.0}
    return loaded.assign({band: loaded[band] * factor for band, factor in factors.items()})


def _in_time(passes: Sequence[xr.Dataset], times: Sequence[Any]) -> xr.Dataset:
    for name in passes[0]:
        kinds = {(str(each[name].dtype), str(each[name].attrs.get("nodata"))) for each in passes}
        if len(kinds) > 1:
            msg = f"{name} has several dtypes and nodata, {sorted(kinds)}: give nodata={{...}}"
            raise ValueError(msg)
    return xr.concat(
        passes,
        xr.Variable(TIME, np.array(times, "datetime64[ns]")),
        data_vars="all",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="drop_conflicts",
    )
