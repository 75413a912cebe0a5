"""How complete a mask or a series is: what was found, was missing, and what share was seen."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr

from xfusion.datamodel.building import usable
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import AGE, COUNT, MASK, MU, SOURCE
from xfusion.datamodel.provenance import ITEMS_FOUND, assets_missing, items_by_time, of_its_time
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
        could be read. Of a result with `source` or `count`, `seen`, share of pixels that some
        sensor saw: of a state of :func:`~xfusion.filter` or :func:`~xfusion.smooth` at that very
        time, while `observed` is what is known then; and its `age`, mean of those seen before, in
        days.

        Shares are of all pixels, 0 to 1, and lazy where the retrieval is; a cube has one for each
        label of its dims, such as `time`, and numbers of all, besides `items_by_time`: of how many
        items the mask of each time is, where that is known. ``.to_dataframe()`` makes a table of
        it.

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
    shares |= _seen(dataset, dims)
    counts: dict[str, int] = {
        "items_found": int(dataset.attrs.get(ITEMS_FOUND, 0)),
        "assets_missing": assets_missing(dataset.attrs),
    }
    of_each = items_by_time(dataset)
    tables = shares if of_each is None else {"items_by_time": of_each, **shares}
    return xr.Dataset(
        counts | {k: v.reset_coords(drop=True) for k, v in tables.items()}
    ).drop_attrs()


def _seen(dataset: xr.Dataset, dims: tuple[Hashable, ...]) -> dict[str, xr.DataArray]:
    """Return the share of pixels that a sensor saw, and of a state how long ago that was."""
    by = next((name for name in (SOURCE, COUNT) if name in dataset.data_vars), None)
    if by is None or dataset[by].dims != dataset[MU].dims:
        return {}
    shares = {"seen": (dataset[by] != 0).mean(dims)}
    if AGE in dataset.data_vars and dataset[AGE].dims == dataset[MU].dims:
        shares[AGE] = dataset[AGE].mean(dims)
    return shares
