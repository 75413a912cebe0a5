"""Flags beside a mask that exclude nothing, from the same passes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.provenance import missing_attrs

from .loading import READ_FAILED, Loading, load_bands
from .mosaic import OnReadError
from .passes import Passes, check_passes
from .recipe import AdvisoryFlags, MaskRecipe

ADVISORY, ADVISORY_FAILED = "advisory_flags", "advisory_read_failed"


def with_advisory_flags(
    masked: xr.Dataset, passes: Passes, recipe: MaskRecipe, *, on_read_error: OnReadError
) -> xr.Dataset:
    """Add the variable `advisory_flags`: the flags of all frames that saw a pixel, else nodata.

    Raises
    ------
    ValueError
        If the recipe has none.
    """
    advisory = recipe.advisory
    if advisory is None:
        msg = "advisory_flags=True: the recipe of this mask has none, leave it out"
        raise ValueError(msg)
    band = advisory.band
    key = passes.catalog.assets.get(band, band)
    profile = dataclasses.replace(
        passes.catalog, assets={band: key}, nodata=advisory.nodata, offset=0.0
    )
    checked = check_passes(passes, profile, otherwise="the others say which flags a pixel has")
    items = [(item, 0.0) for complete in checked.complete for item in complete]
    # a frame that could not be read might have had more flags than one that could
    loading = Loading(profile, {band: "nearest"}, None, on_read_error, each_counts=True, union=True)
    loaded = load_bands(items, masked, loading)
    layers = {ADVISORY: loaded[band].assign_attrs(_attrs(advisory))}
    if READ_FAILED in loaded:
        attrs = {"long_name": f"not all {advisory.long_name} could be read"}
        layers[ADVISORY_FAILED] = loaded[READ_FAILED].assign_attrs(attrs)
    missing = missing_attrs(masked.attrs, checked.missing_assets)
    return annotate(masked.assign(layers).assign_attrs(missing))


def _attrs(advisory: AdvisoryFlags) -> dict[str, Any]:
    return {
        "standard_name": "status_flag",
        "long_name": advisory.long_name,
        "flag_masks": np.array([*advisory.meanings.values()], np.uint8),
        "flag_meanings": " ".join(advisory.meanings),
        "missing_value": np.uint8(advisory.nodata),
    }
