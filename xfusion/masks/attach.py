"""Attach the masks of a catalogue to a retrieval: search, load, judge, exclude."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from xfusion.datamodel.building import exclude
from xfusion.datamodel.caller import warn
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MU
from xfusion.datamodel.provenance import mask_attrs
from xfusion.datamodel.times import Time
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.stac.items import Items
from xfusion.stac.profiles import EARTH_SEARCH, Catalog, CatalogLike, Offset, catalog_profile
from xfusion.stac.searching import with_offset

from .exclusion import NDVI_MAX, combine_excluded, combine_usable, s2_exclusion
from .loading import READ_FAILED, S2_BANDS, Loading, load_bands, may_show
from .mosaic import OnReadError
from .offset import Decision, offset_of
from .passes import Passes, acquisitions_of, find_passes

Combine = Literal["usable", "excluded"]
ExclusionRule = Callable[[xr.Dataset], xr.DataArray]

OTHERWISE = {
    "usable": "its pixels are UNKNOWN unless another item has them",
    "excluded": (
        "the pixels of its grid are UNKNOWN, unless another item excludes them, as it might; "
        "to go on without it, pass the other items as items="
    ),
}  # what becomes of the pixels of an item that lacks an asset


def attach_mask(
    dataset: Retrieval,
    exclusion: ExclusionRule,
    *,
    bands: Mapping[str, str],
    default: Catalog,
    combine: Combine = "usable",
    catalog: CatalogLike | None = None,
    items: Items | None = None,
    datetime: Time | None = None,
    offset: Offset | None = None,
    on_read_error: OnReadError = "raise",
    allow_local: bool = False,
) -> xr.Dataset:
    """Attach the mask that a rule makes of the bands of a catalogue.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval with a CRS.
    exclusion : callable
        Dataset of bands on the grid of the retrieval -> uint8 flags of
        :class:`~xfusion.Exclusion`. Called once for each pass of the satellite.
    bands : mapping
        Band to "bilinear" or "nearest": how it is brought onto the grid.
    default : Catalog
        The sensor's own catalogue.
    combine : {"usable", "excluded"}
        Several acquisitions: usable where one is; or excluded where one excludes, UNKNOWN where
        an item may show the pixel that lacks an asset, and of several passes the one nearest to
        the acquisition, if its time of day is known.
    catalog : Catalog, URL or pystac_client.Client, optional
        Where to search instead.
    items : iterable of pystac.Item, optional
        Use these, do not search; all of them, or those of `datetime` if it is given.
    datetime : str, datetime64 or datetime, optional
        Day or moment of acquisition, UTC; by default that of the retrieval. Items of its day are
        searched, and with a moment those beyond midnight that may be of its pass. Midnight is
        taken as a day without a time.
    offset : float, "auto" or "metadata", optional
        What to add to reflectance numbers, instead of what the catalogue says, see
        :func:`xfusion.offset.offset_of`.
    on_read_error : {"raise", "flag"}
        When pixels cannot be read, after several attempts: raise, or set READ_FAILED there.
    allow_local : bool
        Also read assets on this machine or on its networks, although the catalogue is not.

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
        If there is no date, no CRS, a dim besides the spatial ones, or an href that may not
        be read; if `datetime` is none, or 10 000 items or more are found. When pixels are read,
        unless `on_read_error` is "flag": if a file is not as its item says, in shape, transform,
        CRS or dtype.
    LookupError
        If there are no items, or, with `combine` "excluded", none within 90 minutes of the
        moment.
    ConnectionError
        If the catalogue does not answer, or answers with an error, within ten minutes.
    OSError
        When pixels are read, unless `on_read_error` is "flag": if an asset cannot be read, or its
        href not be signed.
    """
    masked, _ = mask_and_passes(
        dataset,
        exclusion,
        bands=bands,
        default=default,
        combine=combine,
        catalog=catalog,
        items=items,
        datetime=datetime,
        offset=offset,
        on_read_error=on_read_error,
        allow_local=allow_local,
    )
    return masked


def mask_and_passes(
    dataset: Retrieval,
    exclusion: ExclusionRule,
    *,
    bands: Mapping[str, str],
    default: Catalog,
    combine: Combine,
    catalog: CatalogLike | None,
    offset: Offset | None = None,
    on_read_error: OnReadError,
    **where: Any,
) -> tuple[xr.Dataset, Passes]:
    """Return what :func:`attach_mask` does, and the passes, for what else is read of them."""
    dataset = as_retrieval(dataset)
    _check(dataset, on_read_error)
    each_counts = combine == "excluded"
    known = catalog_profile(catalog, default)
    profile = _for_bands(with_offset(known, offset), bands)
    passes = find_passes(
        dataset, known, default=default, catalog=catalog, nearest=each_counts, **where
    )
    found = acquisitions_of(passes, profile, otherwise=OTHERWISE[combine])
    if not found.passes:
        warn(f"no item of {profile.collection!r} has all assets: all pixels are UNKNOWN")
    scenes = [[(item, offset_of(item, profile)) for item in each] for each in found.passes]
    decisions = {item.id: decision for scene in scenes for item, decision in scene}
    _warn_of(decisions)
    loading = Loading(profile, bands, on_read_error, each_counts=each_counts)
    flags = [
        _flags(exclusion, load_bands([(i, d.offset) for i, d in scene], dataset, loading))
        for scene in scenes
    ]
    merge = combine_excluded if each_counts else combine_usable
    nothing = xr.full_like(dataset[MU], int(Exclusion.UNKNOWN), dtype=np.uint8)
    combined = functools.reduce(merge, flags) if flags else nothing
    if each_counts and flags and found.without:
        # an item whose layer is missing might exclude what the others do not
        doubtful = (combined == 0) & may_show(found.without, dataset)
        combined = combined.where(~doubtful, np.uint8(Exclusion.UNKNOWN)).astype(np.uint8)
    masked = exclude(dataset, combined)
    attrs = mask_attrs(
        dataset.attrs,
        catalog=passes.source,
        collection=profile.collection,
        items=passes.ids,
        lacking=found.lacking,
        offsets={k: d.text for k, d in decisions.items()} if "bilinear" in bands.values() else {},
        links=passes.links,
    )
    return masked.assign_attrs(attrs), passes


def attach_s2_mask(
    dataset: Retrieval,
    *,
    ndvi_max: float = NDVI_MAX,
    catalog: CatalogLike | None = None,
    items: Items | None = None,
    datetime: Time | None = None,
    offset: Offset | None = None,
    on_read_error: OnReadError = "raise",
    allow_local: bool = False,
) -> xr.Dataset:
    """Attach the exclusion flags of the day's Sentinel-2 scenes to a retrieval.

    Parameters
    ----------
    ndvi_max : float
        A pixel with a larger NDVI is excluded as vegetation.
    dataset, catalog, items, datetime, offset, on_read_error, allow_local
        As in :func:`attach_mask`; the catalogue is Earth Search by default.

    Returns
    -------
    Dataset
        The retrieval with the flags of :func:`~xfusion.s2_exclusion` added. Where
        acquisitions overlap, usable wins.

    Warns
    -----
    UserWarning
        If what an item says of its offset is contradictory, and what was decided.
    """
    return attach_mask(
        dataset,
        functools.partial(s2_exclusion, ndvi_max=ndvi_max),
        bands=S2_BANDS,
        default=EARTH_SEARCH,
        combine="usable",
        catalog=catalog,
        items=items,
        datetime=datetime,
        offset=offset,
        on_read_error=on_read_error,
        allow_local=allow_local,
    )


def _check(dataset: xr.Dataset, on_read_error: str) -> None:
    if on_read_error not in ("raise", "flag"):
        msg = f"{on_read_error=}: must be 'raise' or 'flag'"
        raise ValueError(msg)
    extra = [d for d in dataset[MU].dims if d not in (spatial_dims(dataset) or ())]
    if extra:
        msg = (
            f"mu has the dims {extra} besides the spatial ones, a mask belongs to one "
            f"acquisition: attach it to each, e.g. .isel({extra[0]}=0)"
        )
        raise ValueError(msg)


def _for_bands(catalog: Catalog, bands: Mapping[str, str]) -> Catalog:
    """Return the catalogue without what the bands do not need."""
    missing = [band for band in bands if band not in catalog.assets]
    if missing:
        msg = (
            f"the catalogue {catalog.collection!r} names no asset for the bands {missing}, it has "
            f"{dict(catalog.assets)}: dataclasses.replace(catalog, assets=...)"
        )
        raise ValueError(msg)
    assets = {band: catalog.assets[band] for band in bands}
    # classes have no offset
    offset = catalog.offset if "bilinear" in bands.values() else 0.0
    return dataclasses.replace(catalog, assets=assets, offset=offset)


def _flags(exclusion: ExclusionRule, loaded: xr.Dataset) -> xr.DataArray:
    if READ_FAILED not in loaded:
        return exclusion(loaded)
    failed = loaded[READ_FAILED]
    flags = exclusion(loaded.drop_vars(READ_FAILED))
    # what was not read says nothing else
    return flags.where(~failed, np.uint8(Exclusion.READ_FAILED)).astype(np.uint8)


def _warn_of(decisions: Mapping[str, Decision]) -> None:
    doubtful = {item: decision for item, decision in decisions.items() if decision.doubtful}
    if doubtful:
        each = "; ".join(f"{item}: {decision.text}" for item, decision in doubtful.items())
        warn(
            f"the offset of the reflectances of {len(doubtful)} items is not certain: {each}. "
            "Say offset=0 or offset=-1000 if you know it"
        )
