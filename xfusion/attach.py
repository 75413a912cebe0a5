"""Attach the masks of a catalogue to a retrieval: search, load, judge, exclude."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from . import stac
from .bands import (
    PASS_GAP,
    READ_FAILED,
    BandsObserved,
    Loading,
    gfm_observed,
    load_bands,
    passes,
    s2_observed,
)
from .completeness import mask_attrs
from .conventions import MU, Exclusion, Retrieval, Time, annotate, as_retrieval, as_time
from .exclusion import (
    GFM_NODATA,
    NDVI_MAX,
    combine_excluded,
    combine_usable,
    gfm_exclusion,
    s2_exclusion,
)
from .grid import geobox_of, spatial_dims
from .hrefs import check_hrefs, is_local
from .items import item_time
from .offset import Decision, offset_of
from .rasterfile import public
from .retrieval import exclude
from .warp_bands import OnReadError

if TYPE_CHECKING:
    import pystac

GFM_BANDS = {"exclusion_mask": "nearest"}
S2_BANDS = {"red": "bilinear", "nir": "bilinear", "scl": "nearest"}

ADVISORY = "advisory_flags"  # of GFM: a variable beside the mask
ADVISORY_ATTRS = {
    "long_name": "GFM advisory flags",
    "flag_masks": np.array([1, 2], np.uint8),
    "flag_meanings": "low_regional_backscatter rough_water",
    "missing_value": np.uint8(GFM_NODATA),
}
OBSERVED = {frozenset(GFM_BANDS): gfm_observed, frozenset(S2_BANDS): s2_observed}

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
    offset: stac.Offset | None = None,
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
        Several acquisitions: usable where one is; or excluded where one excludes, and of several
        passes the one nearest to the acquisition, if its time of day is known.
    catalog : Catalog, URL or pystac_client.Client, optional
        Where to search instead.
    items : iterable of pystac.Item, optional
        Use these, do not search; all of them, or those of `datetime` if it is given.
    datetime : str, datetime64 or datetime, optional
        Day or moment of acquisition, UTC; by default that of the retrieval. Items of its day are
        searched. Midnight is taken as a day without a time.
    offset : float, "auto" or "metadata", optional
        What to add to reflectance numbers, instead of what the catalogue says, see
        :func:`xfusion.offset.offset_of`.
    on_read_error : {"raise", "flag"}
        When pixels cannot be read, after several attempts: raise, or set READ_FAILED there.
    allow_local : bool
        Also read assets on this machine, although the catalogue is not on it.

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
        be read.
    LookupError
        If the search finds no items.
    ConnectionError
        If the catalogue does not answer.
    OSError
        When an asset cannot be read, unless `on_read_error` is "flag".
    """
    dataset = as_retrieval(dataset)
    _check(dataset, on_read_error)
    profile = stac.with_offset(stac.catalog_profile(catalog, default), offset)
    found, local = _find(dataset, profile, default, catalog, items, datetime)
    complete, lacking = stac.complete_items(found, profile)
    check_hrefs(complete, profile, allow_local=allow_local or local)
    acquisitions = passes(complete)
    if combine == "excluded":
        acquisitions = _of_the_acquisition(acquisitions, dataset, datetime)
    scenes = [[(item, offset_of(item, profile)) for item in each] for each in acquisitions]
    loading = Loading(
        profile,
        bands,
        OBSERVED.get(frozenset(bands), BandsObserved(_fills(profile, bands))),
        on_read_error,
        each_counts=combine == "excluded",
    )
    flags = [_flags(exclusion, load_bands(scene, dataset, loading)) for scene in scenes]
    merge = combine_usable if combine == "usable" else combine_excluded
    nothing = xr.full_like(dataset[MU], int(Exclusion.UNKNOWN), dtype=np.uint8)
    masked = exclude(dataset, functools.reduce(merge, flags) if flags else nothing)
    decisions = {item.id: decision for scene in scenes for item, decision in scene}
    _warn_of(lacking, decisions, profile, any_left=bool(flags))
    attrs = mask_attrs(
        dataset,
        catalog=public(profile.url) if items is None else "items",
        collection=profile.collection,
        items=[item.id for item in found],
        lacking=lacking,
        offsets={k: d.text for k, d in decisions.items()} if "bilinear" in bands.values() else {},
    )
    return masked.assign_attrs(attrs)


def attach_gfm_mask(
    dataset: Retrieval,
    *,
    catalog: stac.CatalogLike | None = None,
    items: stac.Items | None = None,
    datetime: Time | None = None,
    advisory_flags: bool = False,
    on_read_error: OnReadError = "raise",
    allow_local: bool = False,
) -> xr.Dataset:
    """Attach the Copernicus GFM exclusion mask of the day to a Sentinel-1 retrieval.

    Parameters
    ----------
    advisory_flags : bool
        Also add the variable `advisory_flags`: uint8, 1 low regional backscatter (snow, ice,
        dryness), 2 rough water (wind), 3 both, 255 not observed. They exclude nothing.
    dataset, catalog, items, datetime, on_read_error, allow_local
        As in :func:`attach_mask`; the catalogue is EODC's by default.

    Returns
    -------
    Dataset
        The retrieval with the flags GFM and UNKNOWN added, see
        :func:`~xfusion.gfm_exclusion`. Where frames of one pass overlap, excluded wins; of
        several passes of the day the one nearest to the time of the retrieval is used, all if
        only its day is known.
    """
    masked = attach_mask(
        dataset,
        gfm_exclusion,
        bands=GFM_BANDS,
        default=stac.EODC,
        combine="excluded",
        catalog=catalog,
        items=items,
        datetime=datetime,
        on_read_error=on_read_error,
        allow_local=allow_local,
    )
    if not advisory_flags:
        return masked
    return attach_advisory_flags(
        masked,
        catalog=catalog,
        items=items,
        datetime=datetime,
        on_read_error=on_read_error,
        allow_local=allow_local,
    )


def attach_advisory_flags(
    dataset: Retrieval,
    *,
    default: stac.Catalog = stac.EODC,
    catalog: stac.CatalogLike | None = None,
    items: stac.Items | None = None,
    datetime: Time | None = None,
    on_read_error: OnReadError = "raise",
    allow_local: bool = False,
) -> xr.Dataset:
    """Add the variable `advisory_flags` of GFM to a retrieval, see :func:`attach_gfm_mask`.

    A pixel has the flags of all frames that saw it, 255 where none did or could be read.
    """
    dataset = as_retrieval(dataset)
    known = stac.catalog_profile(catalog, default)
    profile = dataclasses.replace(known, assets={ADVISORY: ADVISORY}, nodata=GFM_NODATA)
    found, local = _find(dataset, profile, default, catalog, items, datetime)
    complete, lacking = stac.complete_items(found, profile)
    check_hrefs(complete, profile, allow_local=allow_local or local)
    acquisitions = _of_the_acquisition(passes(complete), dataset, datetime)
    scenes = [(item, offset_of(item, profile)) for each in acquisitions for item in each]
    loading = Loading(
        profile,
        {ADVISORY: "nearest"},
        BandsObserved({ADVISORY: float(GFM_NODATA)}),
        on_read_error,
        union=True,
    )
    _warn_of(lacking, {}, profile, any_left=bool(scenes))
    flags = load_bands(scenes, dataset, loading)[ADVISORY].assign_attrs(ADVISORY_ATTRS)
    return annotate(dataset.assign({ADVISORY: flags}))


def attach_s2_mask(
    dataset: Retrieval,
    *,
    ndvi_max: float = NDVI_MAX,
    catalog: stac.CatalogLike | None = None,
    items: stac.Items | None = None,
    datetime: Time | None = None,
    offset: stac.Offset | None = None,
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
        default=stac.EARTH_SEARCH,
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


def _find(
    dataset: xr.Dataset,
    profile: stac.Catalog,
    default: stac.Catalog,
    catalog: stac.CatalogLike | None,
    items: stac.Items | None,
    datetime: Time | None,
) -> tuple[list[pystac.Item], bool]:
    """Return the items, and whether their catalogue is on this machine."""
    if items is None:
        moment = _moment(dataset, datetime)
        found = stac.search(catalog or default, geobox_of(dataset), moment, default=default)
        return found, is_local(profile.url)
    given = stac.as_items(items)
    chosen = given if datetime is None else stac.of_interval(given, datetime)
    if not chosen:
        days = sorted({f"{item_time(item):%Y-%m-%d}" for item in given})
        msg = f"none of the {len(given)} items= is of datetime={datetime!r}, they are of {days}"
        raise LookupError(msg)
    return chosen, catalog is not None and is_local(profile.url)


def _moment(dataset: xr.Dataset, datetime: Time | None) -> Time:
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


def _of_the_acquisition(
    acquisitions: list[list[pystac.Item]], dataset: xr.Dataset, datetime: Time | None
) -> list[list[pystac.Item]]:
    """Return the pass that is nearest to the time of the retrieval, all if only a day is known."""
    said = datetime if datetime is not None else dataset.coords.get("time")
    if said is None or len(acquisitions) < 2 or (isinstance(said, str) and "/" in said):  # noqa: PLR2004
        return acquisitions
    moment = as_time(_moment(dataset, datetime))
    if moment == moment.astype("datetime64[D]"):
        return acquisitions
    since: Any = moment - np.datetime64(0, "us")
    time = dt.datetime.fromtimestamp(since / np.timedelta64(1, "s"), dt.UTC)

    def apart(frames: Sequence[pystac.Item]) -> dt.timedelta:
        return min((abs(item_time(item) - time) for item in frames), default=dt.timedelta.max)

    nearest = min(acquisitions, key=apart)
    if apart(nearest) > PASS_GAP:
        warn(
            f"the nearest of {len(acquisitions)} passes is {apart(nearest)} from the acquisition "
            f"at {time:%Y-%m-%d %H:%M:%S}: it is used; datetime={f'{time:%Y-%m-%d}'!r} uses all"
        )
    return [nearest]


def _fills(profile: stac.Catalog, bands: Mapping[str, str]) -> dict[str, float]:
    return {
        band: float(profile.nodata_of(band)) if how == "nearest" else np.nan
        for band, how in bands.items()
        if band in profile.assets
    }


def _flags(exclusion: ExclusionRule, loaded: xr.Dataset) -> xr.DataArray:
    if READ_FAILED not in loaded:
        return exclusion(loaded)
    failed = loaded[READ_FAILED]
    flags = exclusion(loaded.drop_vars(READ_FAILED))
    # what was not read says nothing else
    return flags.where(~failed, np.uint8(Exclusion.READ_FAILED)).astype(np.uint8)


def _warn_of(
    lacking: Mapping[str, Sequence[str]],
    decisions: Mapping[str, Decision],
    profile: stac.Catalog,
    *,
    any_left: bool,
) -> None:
    for item, missing in lacking.items():
        warn(
            f"item {item!r} of {profile.collection!r} lacks the assets {list(missing)}; "
            "its pixels are UNKNOWN unless another item has them"
        )
    if not any_left:
        warn(f"no item of {profile.collection!r} has all assets: all pixels are UNKNOWN")
    doubtful = {item: decision for item, decision in decisions.items() if decision.doubtful}
    if doubtful:
        each = "; ".join(f"{item}: {decision.text}" for item, decision in doubtful.items())
        warn(
            f"the offset of the reflectances of {len(doubtful)} items is not certain: {each}. "
            "Say offset=0 or offset=-1000 if you know it"
        )


def warn(message: str) -> None:
    """Warn at the line that called this package, through an accessor or not."""
    here, level = str(Path(__file__).parent), 1
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # inspect.stack reads sources
    while frame is not None and frame.f_code.co_filename.startswith(here):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
