"""Flags beside a mask that exclude nothing, from the same passes."""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.names import READ_FAILED
from xfusion.datamodel.provenance import missing_attrs

from .exclusion import flags_of
from .grouping import grouped_by_frame
from .loading import Loading, blocks_of_retrieval, load_pass
from .passes import Passes, check_passes
from .recipe import AdvisoryFlags, MaskRecipe

ADVISORY, ADVISORY_FAILED = "advisory_flags", "advisory_read_failed"


def with_advisory_flags(
    masked: xr.Dataset, passes: Passes, recipe: MaskRecipe, of_mask: Loading
) -> xr.Dataset:
    """Add the variable `advisory_flags`: the flags of all frames that saw a pixel, else nodata.

    They are loaded as the mask was.

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
    loading = dataclasses.replace(
        of_mask,
        catalog=profile,
        resampling={band: "nearest"},
        observed=None,
        dtypes={band: "uint8"},
    )
    frames = [frame for items in checked.complete for frame in grouped_by_frame(items)]
    # without any there is nothing in each pixel
    blocks = blocks_of_retrieval(masked)
    each = [
        load_pass([(i, 0.0) for i in frame], masked, loading, blocks) for frame in frames or [[]]
    ]
    of_all = functools.partial(flags_of, _of_both, nodata=advisory.nodata)
    flags = functools.reduce(of_all, [loaded[band] for loaded in each])
    layers = {ADVISORY: flags.drop_attrs(deep=False).assign_attrs(_attrs(advisory))}
    if loading.on_read_error == "flag":
        # a frame that could not be read might have had more flags than one that could
        failed = functools.reduce(operator.or_, [loaded[READ_FAILED] for loaded in each])
        attrs = {"long_name": f"not all {advisory.long_name} could be read"}
        layers[ADVISORY_FAILED] = failed.assign_attrs(attrs)
    missing = missing_attrs(masked.attrs, checked.missing_assets)
    return annotate(masked.assign(layers).assign_attrs(missing))


def _of_both(
    flags: NDArray[np.uint8], other: NDArray[np.uint8], *, nodata: int
) -> NDArray[np.uint8]:
    """Return the flags of two frames; of one alone where the other did not see the pixel."""
    seen, also = flags != nodata, other != nodata
    return np.where(seen & also, flags | other, np.where(seen, flags, other))


def _attrs(advisory: AdvisoryFlags) -> dict[str, Any]:
    return {
        "standard_name": "status_flag",
        "long_name": advisory.long_name,
        "flag_masks": np.array([*advisory.meanings.values()], np.uint8),
        "flag_meanings": " ".join(advisory.meanings),
        "missing_value": np.uint8(advisory.nodata),
    }
