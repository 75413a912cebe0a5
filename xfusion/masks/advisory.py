"""Attach what the Global Flood Monitoring says of a day to a Sentinel-1 retrieval."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.provenance import missing_attrs
from xfusion.datamodel.times import Time
from xfusion.datamodel.validation import Retrieval
from xfusion.stac.items import Items
from xfusion.stac.profiles import EODC, Catalog, CatalogLike

from .attach import Combine, ExclusionRule, mask_and_passes
from .exclusion import GFM_NODATA, gfm_exclusion
from .loading import GFM_BANDS, READ_FAILED, Loading, load_bands
from .mosaic import OnReadError
from .observed import ADVISORY_FAILED
from .passes import Passes, acquisitions_of

ADVISORY = "advisory_flags"
ADVISORY_ATTRS = {
    "standard_name": "status_flag",
    "long_name": "GFM advisory flags",
    "flag_masks": np.array([1, 2], np.uint8),
    "flag_meanings": "low_regional_backscatter rough_water",
    "missing_value": np.uint8(GFM_NODATA),
}


def attach_gfm_mask(
    dataset: Retrieval,
    *,
    catalog: CatalogLike | None = None,
    items: Items | None = None,
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
        dryness), 2 rough water (wind), 3 both, 255 not observed. They exclude nothing. With
        `on_read_error` "flag" also `advisory_read_failed`, bool: where not all of them could be
        read.
    dataset, catalog, items, datetime, on_read_error, allow_local
        As in :func:`attach_mask`; the catalogue is EODC's by default.

    Returns
    -------
    Dataset
        The retrieval with the flags GFM and UNKNOWN added, see
        :func:`~xfusion.gfm_exclusion`. Where frames of one pass overlap, excluded wins, then
        UNKNOWN of an item without the mask, whose frame may be anywhere in its tile; of several
        passes the one nearest to the time of the retrieval is used, all of the day if only that
        is known.

    Raises
    ------
    LookupError
        If there are no items, or none within 90 minutes of the time of the retrieval: they are
        of another acquisition.
    """
    return attach_gfm_layers(
        dataset,
        gfm_exclusion,
        bands=GFM_BANDS,
        default=EODC,
        combine="excluded",
        advisory_flags=advisory_flags,
        catalog=catalog,
        items=items,
        datetime=datetime,
        on_read_error=on_read_error,
        allow_local=allow_local,
    )


def attach_gfm_layers(
    dataset: Retrieval,
    exclusion: ExclusionRule,
    *,
    bands: Mapping[str, str],
    default: Catalog,
    combine: Combine,
    advisory_flags: bool,
    on_read_error: OnReadError,
    **where: Any,
) -> xr.Dataset:
    """Attach the mask by the rule of a sensor, and the advisory flags of the same passes."""
    masked, passes = mask_and_passes(
        dataset,
        exclusion,
        bands=bands,
        default=default,
        combine=combine,
        on_read_error=on_read_error,
        **where,
    )
    return _advised(masked, passes, on_read_error) if advisory_flags else masked


def _advised(masked: xr.Dataset, passes: Passes, on_read_error: OnReadError) -> xr.Dataset:
    """Add the variable `advisory_flags`: the flags of all frames that saw a pixel, else 255."""
    key = passes.catalog.assets.get(ADVISORY, ADVISORY)
    profile = dataclasses.replace(
        passes.catalog, assets={ADVISORY: key}, nodata=GFM_NODATA, offset=0.0
    )
    found = acquisitions_of(passes, profile, otherwise="the others say which flags a pixel has")
    scenes = [(item, 0.0) for each in found.passes for item in each]
    # a frame that could not be read might have had more flags than one that could
    loading = Loading(profile, {ADVISORY: "nearest"}, on_read_error, each_counts=True, union=True)
    loaded = load_bands(scenes, masked, loading)
    layers = {ADVISORY: loaded[ADVISORY].assign_attrs(ADVISORY_ATTRS)}
    if READ_FAILED in loaded:
        attrs = {"long_name": "not all GFM advisory flags could be read"}
        layers[ADVISORY_FAILED] = loaded[READ_FAILED].assign_attrs(attrs)
    return annotate(masked.assign(layers).assign_attrs(missing_attrs(masked.attrs, found.lacking)))
