"""Attach the masks of a catalogue to a retrieval: search, load, judge, exclude."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import with_flags
from xfusion.datamodel.caller import warn
from xfusion.datamodel.cf import annotate
from xfusion.datamodel.earth import check_is_on_earth
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import geobox_of, spatial_dims
from xfusion.datamodel.names import MASK, MU, READ_FAILED
from xfusion.datamodel.provenance import (
    mask_attrs,
    merged_mask_attrs,
    of_its_time,
    with_time_of_items,
)
from xfusion.datamodel.slices import slices_along
from xfusion.datamodel.times import Time
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.stac.items import Items
from xfusion.stac.profiles import Catalog, CatalogLike, Offset
from xfusion.stac.searching import with_offset

from .advisory import with_advisory_flags
from .combining import combine_excluded, combine_usable
from .decisions import decided
from .grouping import grouped_by_frame
from .loading import (
    Loader,
    Loading,
    blocks_of_retrieval,
    check_choices,
    load_pass,
)
from .mosaic import OnReadError
from .passes import Passes, Search, check_passes, find_passes
from .passes_of_cube import find_passes_of_each, search_of_each
from .recipe import MaskRecipe, check_assets

OTHERWISE = {
    "usable": "its pixels are UNKNOWN unless another item has them",
    "excluded": (
        "its pixels are UNKNOWN unless another item of the pass has them, whose verdict stands, "
        "although this one might have excluded more"
    ),
}  # what becomes of the pixels of an item that lacks an asset


def attach_mask(
    dataset: Retrieval,
    recipe: MaskRecipe,
    /,
    *,
    catalog: CatalogLike | None = None,
    items: Items | None = None,
    datetime: Time | None = None,
    offset: Offset | None = None,
    advisory_flags: bool = False,
    on_read_error: OnReadError = "raise",
    allow_local: bool = False,
    loader: Loader = "xfusion",
) -> xr.Dataset:
    """Attach the mask that a recipe makes of the bands of a catalogue.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval with a CRS; of a cube with a dim `time`, each time gets its own mask. Times no
        more than 16 days apart are searched together.
    recipe : MaskRecipe
        What the mask is made of.
    catalog : Catalog, URL or pystac_client.Client, optional
        Where to search instead of the recipe's own catalogue.
    items : iterable of pystac.Item, optional
        Use these, do not search; all of them, or those of `datetime` if it is given; for a cube
        those of each time.
    datetime : str, datetime64 or datetime, optional
        Day or moment of acquisition, UTC; by default that of the retrieval. Items of its day are
        searched, and with a moment those beyond midnight that may be of its pass; of a moment the
        pass is used that is nearest, of a day all. Midnight is taken as a day without a time. Not
        of a cube, which has a time for each mask.
    offset : float, "auto" or "metadata", optional
        What to add to reflectance numbers, instead of what the catalogue says, see
        :func:`xfusion.masks.offset.offset_of`.
    advisory_flags : bool
        Also add the variable `advisory_flags`, if the recipe has such flags.
    on_read_error : {"raise", "flag"}
        When pixels cannot be read, after several attempts: raise, or set READ_FAILED there.
    allow_local : bool
        Also read assets on this machine or on its networks, although the catalogue is not.
    loader : {"xfusion", "odc"}
        Who reads the pixels: our own reader, or odc.stac.load, for formats that ours does not
        read. Its positions are off by up to half a pixel, see :func:`load_bands`.

    Returns
    -------
    Dataset
        The retrieval with the flags added to those it had, UNKNOWN where no item observed
        the pixel. The search happens now; pixels are read now only if `mu` is in memory, but
        for some hundred kB that tell the offset of an item. The attributes ``mask_*`` say what
        was found, see :func:`~xfusion.completeness`.

    Raises
    ------
    ValueError
        If there is no date, no CRS, a dim besides `time` and the spatial ones, or an href that
        may not be read; if `datetime` is none, or 10 000 items or more are found. When pixels are
        read, unless `on_read_error` is "flag": if a file is not as its item says, in shape,
        transform, CRS or dtype.
    LookupError
        If there are no items, or, of a moment, none within 90 minutes of it; of a cube all times
        are named that have none, before anything is read.
    ConnectionError
        If the catalogue does not answer, or answers with an error, within ten minutes.
    OSError
        When pixels are read, unless `on_read_error` is "flag": if an asset cannot be read, or its
        href not be signed.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> from tempfile import TemporaryDirectory
    >>> from xfusion.demo import write_scene
    >>> def clouds(bands):
    ...     return (bands["scl"] >= 8) * np.uint8(xf.Exclusion.CLOUD)
    >>> recipe = xf.MaskRecipe(
    ...     exclusion=clouds, bands={"scl": "nearest"}, catalog=xf.stac.EARTH_SEARCH
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     scene = write_scene(folder, size=0.2)
    ...     s2 = xf.raster.open_retrieval(scene.s2_mu, scene.s2_sigma, time=scene.date)
    ...     masked = xf.attach_mask(s2, recipe, catalog=scene.items)
    ...     masked.attrs["mask_items"]
    'S2B_34TBT_20230620_0_L2A'
    """
    search = Search(catalog, items, datetime, allow_local=allow_local)
    return attached(
        dataset,
        recipe,
        search,
        offset=offset,
        advisory_flags=advisory_flags,
        on_read_error=on_read_error,
        loader=loader,
    )


def attached(
    dataset: Retrieval,
    recipe: MaskRecipe,
    search: Search,
    *,
    offset: Offset | None = None,
    advisory_flags: bool = False,
    on_read_error: OnReadError,
    loader: Loader,
) -> xr.Dataset:
    """Return a retrieval with the mask of a recipe: search, load, judge, combine, exclude."""
    dataset = of_its_time(as_retrieval(dataset))
    check_choices(on_read_error, loader)
    options: dict[str, Any] = {
        "offset": offset,
        "advisory_flags": advisory_flags,
        "on_read_error": on_read_error,
        "loader": loader,
    }
    if "time" in dataset[MU].dims:
        return _attached_each(dataset, recipe, search, **options)
    _check(dataset)
    passes = find_passes(dataset, recipe.catalog, search)
    return _with_mask(dataset, recipe, passes, **options)


def _with_mask(
    dataset: xr.Dataset,
    recipe: MaskRecipe,
    passes: Passes,
    *,
    offset: Offset | None,
    advisory_flags: bool,
    on_read_error: OnReadError,
    loader: Loader,
) -> xr.Dataset:
    """Return a retrieval of one acquisition with the mask of the passes that were found."""
    each_counts = recipe.combine == "excluded"
    profile = _for_bands(with_offset(passes.catalog, offset), recipe)
    checked = check_passes(passes, profile, otherwise=OTHERWISE[recipe.combine])
    if not checked.complete:
        warn(f"no item of {profile.collection!r} has all assets: all pixels are UNKNOWN")
    apart = checked.complete
    if each_counts:
        # the one that has observed a pixel best might not be the one that excludes it
        apart = [frame for items in apart for frame in grouped_by_frame(items)]
    with_offsets, texts = decided(apart, profile)
    loading = Loading(
        profile,
        recipe.bands,
        recipe.observed,
        recipe.dtypes,
        on_read_error,
        loader,
        any_format=passes.may_name_files,
    )
    blocks = blocks_of_retrieval(dataset)
    flags = [_flags(recipe, load_pass(items, dataset, loading, blocks)) for items in with_offsets]
    combine = combine_excluded if each_counts else combine_usable
    if flags:
        combined = functools.reduce(combine, flags)
    else:
        combined = xr.full_like(dataset[MU], int(Exclusion.UNKNOWN), dtype=np.uint8)
    attrs = mask_attrs(
        dataset.attrs,
        catalog=passes.source,
        collections=profile.collections,
        items=passes.ids,
        lacking=checked.missing_assets,
        offsets=texts if _has_reflectances(recipe) else {},
        links=passes.links,
    )
    masked = with_flags(dataset, combined).assign_attrs(attrs)
    if advisory_flags:
        return with_advisory_flags(masked, passes, recipe, loading)
    return masked


def _attached_each(
    cube: xr.Dataset, recipe: MaskRecipe, search: Search, **options: Any
) -> xr.Dataset:
    """Return a cube with the mask of each time."""
    search = search_of_each(cube, search)
    slices = slices_along(cube, "time")
    for each in slices:
        _check(each)
    # all are searched before anything is read
    found = find_passes_of_each(slices, recipe.catalog, search)
    masked = [
        _with_mask(each, recipe, passes, **options)
        for each, passes in zip(slices, found, strict=True)
    ]
    dims = cube[MU].dims
    layers = {
        name: xr.Variable.concat([each[name].variable for each in masked], "time").transpose(*dims)
        for name in masked[0].data_vars
        if name == MASK or name not in cube
    }
    if cube[MU].chunks is not None:
        layers = {name: layer.chunk(cube[MU].chunksizes) for name, layer in layers.items()}
    attrs = merged_mask_attrs(with_time_of_items(each) for each in masked)
    return annotate(cube.assign(layers).assign_attrs(attrs))


def _check(dataset: xr.Dataset) -> None:
    extra = [d for d in dataset[MU].dims if d not in (spatial_dims(dataset) or ())]
    if extra:
        msg = (
            f"mu has the dims {extra} besides time and the spatial ones, a mask belongs to one "
            f"acquisition: attach it to each, e.g. .isel({extra[0]}=0)"
        )
        raise ValueError(msg)
    check_is_on_earth(geobox_of(dataset))


def _has_reflectances(recipe: MaskRecipe) -> bool:
    # classes have no offset
    return "bilinear" in recipe.bands.values()


def _for_bands(catalog: Catalog, recipe: MaskRecipe) -> Catalog:
    """Return the catalogue without what the bands do not need."""
    check_assets(catalog, recipe.bands)
    assets = {band: catalog.assets[band] for band in recipe.bands}
    offset = catalog.offset if _has_reflectances(recipe) else 0.0
    return dataclasses.replace(catalog, assets=assets, offset=offset)


def _flags(recipe: MaskRecipe, bands: xr.Dataset) -> xr.DataArray:
    if READ_FAILED not in bands:
        return recipe.exclusion(bands)
    failed = bands[READ_FAILED]
    flags = recipe.exclusion(bands.drop_vars(READ_FAILED))
    # what was not read says nothing else
    return flags.where(~failed, np.uint8(Exclusion.READ_FAILED)).astype(np.uint8)
