"""How complete a mask is: what was found, what was missing, and what share of pixels it saw."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xfusion.datamodel.building import usable
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MASK, MU
from xfusion.datamodel.provenance import ITEMS_FOUND, assets_missing, of_its_time
from xfusion.datamodel.validation import Retrieval, as_retrieval

from .advisory import ADVISORY_FAILED


def completeness(dataset: Retrieval, /) -> xr.Dataset:
    """Return how complete the mask of a retrieval is.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, with or without masks attached from catalogues.

    Returns
    -------
    Dataset
        `items_found` and `assets_missing`, numbers of items and of (item, asset) pairs;
        `read_failed`, share of pixels that could not be read; `unknown`, share that no item
        with all its assets observed; `observed`, share that is neither;
        `usable`, share that is usable. With the advisory flags of GFM, if they were attached with
        `on_read_error` "flag", `advisory_read_failed`, share of pixels where not all of theirs
        could be read. Shares are of all pixels, 0 to 1, and lazy where the retrieval is; a cube
        has one for each label of its dims, such as `time`, and numbers of all.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> flags = np.array([[0, 0, 1, 32]], np.uint8)
    >>> water = xf.retrieval(np.full((1, 4), 0.8), np.full((1, 4), 0.1), flags)
    >>> float(water.fusion.completeness().observed)
    0.75
    """
    dataset = of_its_time(as_retrieval(dataset))
    dims = spatial_dims(dataset) or ()
    flags = dataset.get(MASK, xr.zeros_like(dataset[MU], np.uint8))
    failed, unknown = (
        (flags & np.uint8(flag)) != 0 for flag in (Exclusion.READ_FAILED, Exclusion.UNKNOWN)
    )
    shares = {
        "read_failed": failed.mean(dims),
        "unknown": unknown.mean(dims),
        "observed": (~(failed | unknown)).mean(dims),
        "usable": usable(dataset).mean(dims),
    }
    if ADVISORY_FAILED in dataset:
        shares[ADVISORY_FAILED] = dataset[ADVISORY_FAILED].mean(dims)
    counts = {
        "items_found": int(dataset.attrs.get(ITEMS_FOUND, 0)),
        "assets_missing": assets_missing(dataset.attrs),
    }
    return xr.Dataset(
        counts | {k: v.reset_coords(drop=True) for k, v in shares.items()}
    ).drop_attrs()
