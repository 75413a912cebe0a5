"""Attach the masks of a catalogue to a retrieval: search, load, judge, exclude."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from . import stac
from .bands import load_bands, planes
from .conventions import MU, Exclusion, Retrieval, Time, as_retrieval, as_time
from .exclusion import NDVI_MAX, combine_excluded, combine_usable, gfm_exclusion, s2_exclusion
from .grid import geobox_of, spatial_dims
from .hrefs import check_hrefs, is_local
from .retrieval import exclude

GFM_BANDS = {"exclusion_mask": "nearest"}
S2_BANDS = {"red": "bilinear", "nir": "bilinear", "scl": "nearest"}

Combine = Literal["usable", "excluded"]
ExclusionRule = Callable[[xr.Dataset], xr.DataArray]


def attach_mask(
    dataset: Retrieval,
    exclusion: ExclusionRule,
    *,
    bands: Mapping[str, str],
    default: stac.Catalog,
    combine: Combine = "usable",
    catalog: stac.CatalogLike | None = None,
    items: stac.Items | None = None,
    datetime: Time | None = None,
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
        Several acquisitions: usable where one is, or excluded where one excludes.
    catalog : Catalog, URL or pystac_client.Client, optional
        Where to search instead.
    items : iterable of pystac.Item, optional
        Use these, do not search; all of them, or those of `datetime` if it is given.
    datetime : str, datetime64 or datetime, optional
        Day of acquisition, UTC; by default that of the retrieval.
    allow_local : bool
        Also read assets on this machine, although the catalogue is not on it.

    Returns
    -------
    Dataset
        The retrieval with the flags added to those it had, UNKNOWN where no item observed
        the pixel. The search happens now; pixels are read now only if `mu` is in memory.

    Raises
    ------
    ValueError
        If there is no date, no CRS, a dim besides the spatial ones, or an href that may not
        be read.
    LookupError
        If the search finds no items.
    """
    dataset = as_retrieval(dataset)
    geobox = geobox_of(dataset)
    extra = [d for d in dataset[MU].dims if d not in (spatial_dims(dataset) or ())]
    if extra:
        msg = (
            f"mu has the dims {extra} besides the spatial ones, a mask belongs to one "
            f"acquisition: attach it to each, e.g. .isel({extra[0]}=0)"
        )
        raise ValueError(msg)
    profile = stac.catalog_profile(catalog, default)
    if items is None:
        found = stac.search(catalog or default, geobox, _date(dataset, datetime), default=default)
        local = is_local(profile.url)
    else:
        found = stac.as_items(items)
        found = found if datetime is None else stac.of_interval(found, datetime)
        local = catalog is not None and is_local(profile.url)
    complete = stac.complete_items(found, profile)
    check_hrefs(complete, profile, allow_local=allow_local or local)
    flags = [
        exclusion(load_bands(plane, dataset, profile, bands)) for plane in planes(complete, profile)
    ]
    if not flags:
        warnings.warn(f"no item of {profile.collection!r} has all assets", stacklevel=2)
        nothing = xr.full_like(dataset[MU], int(Exclusion.UNKNOWN), dtype=np.uint8)
        return exclude(dataset, nothing)
    merge = combine_usable if combine == "usable" else combine_excluded
    return exclude(dataset, functools.reduce(merge, flags))


def attach_gfm_mask(
    dataset: Retrieval,
    *,
    catalog: stac.CatalogLike | None = None,
    items: stac.Items | None = None,
    datetime: Time | None = None,
    allow_local: bool = False,
) -> xr.Dataset:
    """Attach the Copernicus GFM exclusion mask of the day to a Sentinel-1 retrieval.

    Parameters
    ----------
    dataset, catalog, items, datetime, allow_local
        As in :func:`attach_mask`; the catalogue is EODC's by default.

    Returns
    -------
    Dataset
        The retrieval with the flags GFM and UNKNOWN added, see
        :func:`~xfusion.gfm_exclusion`. Where frames or passes overlap, excluded wins.
    """
    return attach_mask(
        dataset,
        gfm_exclusion,
        bands=GFM_BANDS,
        default=stac.EODC,
        combine="excluded",
        catalog=catalog,
        items=items,
        datetime=datetime,
        allow_local=allow_local,
    )


def attach_s2_mask(
    dataset: Retrieval,
    *,
    ndvi_max: float = NDVI_MAX,
    catalog: stac.CatalogLike | None = None,
    items: stac.Items | None = None,
    datetime: Time | None = None,
    allow_local: bool = False,
) -> xr.Dataset:
    """Attach the exclusion flags of the day's Sentinel-2 scenes to a retrieval.

    Parameters
    ----------
    ndvi_max : float
        A pixel with a larger NDVI is excluded as vegetation.
    dataset, catalog, items, datetime, allow_local
        As in :func:`attach_mask`; the catalogue is Earth Search by default.

    Returns
    -------
    Dataset
        The retrieval with the flags of :func:`~xfusion.s2_exclusion` added. Where
        acquisitions overlap, usable wins.
    """
    return attach_mask(
        dataset,
        functools.partial(s2_exclusion, ndvi_max=ndvi_max),
        bands=S2_BANDS,
        default=stac.EARTH_SEARCH,
        combine="usable",
        catalog=catalog,
        items=items,
        datetime=datetime,
        allow_local=allow_local,
    )


def _date(dataset: xr.Dataset, datetime: Time | None) -> Time:
    if datetime is not None:
        return datetime
    if "time" not in dataset.coords:
        msg = (
            "the retrieval has no `time`, so the day of its mask is unknown: pass "
            "datetime='2023-06-20', or time= when it is opened"
        )
        raise ValueError(msg)
    moment: Any = dataset.coords["time"].to_numpy()[()]
    return as_time(moment)
