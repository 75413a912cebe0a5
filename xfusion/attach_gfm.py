"""Attach what the Global Flood Monitoring says of a day to a Sentinel-1 retrieval."""

from __future__ import annotations

import dataclasses

import numpy as np
import xarray as xr

from . import stac
from .acquisitions import find_acquisitions
from .attach import attach_mask
from .bands import GFM_BANDS, Loading, load_bands
from .conventions import Retrieval, Time, annotate, as_retrieval
from .exclusion import GFM_NODATA, gfm_exclusion
from .warp_bands import OnReadError

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
    # gone through twice, which an iterator allows once
    items = None if items is None else stac.as_items(items)
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
    key = known.assets.get(ADVISORY, ADVISORY)
    profile = dataclasses.replace(known, assets={ADVISORY: key}, nodata=GFM_NODATA)
    found = find_acquisitions(
        dataset,
        profile,
        default=default,
        catalog=catalog,
        items=items,
        datetime=datetime,
        allow_local=allow_local,
        nearest=True,
    )
    scenes = [(item, 0.0) for each in found.passes for item in each]
    loading = Loading(profile, {ADVISORY: "nearest"}, on_read_error, union=True)
    flags = load_bands(scenes, dataset, loading)[ADVISORY].assign_attrs(ADVISORY_ATTRS)
    return annotate(dataset.assign({ADVISORY: flags}))
