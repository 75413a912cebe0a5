"""How complete a mask is: what was found, what was missing, and what share of pixels it saw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .conventions import MASK, MU, Exclusion, Retrieval, as_retrieval

ITEMS_FOUND = "mask_items_found"
ASSETS_MISSING = "mask_assets_missing"
ADVISORY_FAILED = "advisory_read_failed"


def mask_attrs(
    dataset: xr.Dataset,
    *,
    catalog: str,
    collection: str,
    items: Sequence[str],
    lacking: Mapping[str, Sequence[str]],
    offsets: Mapping[str, str],
) -> dict[str, Any]:
    """Return attributes that say where a mask is from, added to those of masks before it.

    Parameters
    ----------
    dataset : Dataset
        The retrieval that the mask is attached to.
    catalog, collection : str
        Where the items are from; without secrets.
    items : sequence of str
        Ids of all items found.
    lacking : mapping
        Id of an item -> assets that it lacks.
    offsets : mapping
        Id of an item -> what was added to its reflectance numbers, and why.
    """
    before = dataset.attrs
    attrs = {
        "mask_catalog": _joined(before.get("mask_catalog"), [catalog]),
        "mask_collection": _joined(before.get("mask_collection"), [collection]),
        "mask_items": _joined(before.get("mask_items"), items),
        ITEMS_FOUND: int(before.get(ITEMS_FOUND, 0)) + len(items),
        **missing_attrs(dataset, lacking),
    }
    if offsets:
        known = json.loads(before.get("mask_offsets", "{}"))
        attrs["mask_offsets"] = json.dumps(known | dict(offsets))
    return attrs


def missing_attrs(dataset: xr.Dataset, lacking: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the attribute that says which assets items lack, added to those known before."""
    missing = json.loads(dataset.attrs.get(ASSETS_MISSING, "{}"))
    for item, assets in lacking.items():
        missing[item] = [*dict.fromkeys([*missing.get(item, []), *assets])]
    return {ASSETS_MISSING: json.dumps(missing)}


def completeness(dataset: Retrieval) -> xr.Dataset:
    """Return how complete the mask of a retrieval is.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, with or without masks attached from catalogues.

    Returns
    -------
    Dataset of scalars
        `items_found` and `assets_missing`, numbers of items and of (item, asset) pairs;
        `read_failed`, share of pixels that could not be read; `unknown`, share that no item
        observed, or that one may show whose asset is missing; `observed`, share that is neither;
        `usable`, share that is usable. With the advisory flags of GFM, if they were attached with
        `on_read_error` "flag", `advisory_read_failed`, share of pixels where not all of theirs
        could be read. Shares are of all pixels, 0 to 1, and lazy where the retrieval is.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> flags = np.array([[0, 0, 1, 32]], np.uint8)
    >>> water = xf.retrieval(np.full((1, 4), 0.8), np.full((1, 4), 0.1), flags)
    >>> float(water.fusion.completeness().observed)
    0.75
    """
    from .retrieval import usable

    dataset = as_retrieval(dataset)
    flags = dataset.get(MASK, xr.zeros_like(dataset[MU], np.uint8))
    missing = json.loads(dataset.attrs.get(ASSETS_MISSING, "{}"))
    failed, unknown = (
        (flags & np.uint8(flag)) != 0 for flag in (Exclusion.READ_FAILED, Exclusion.UNKNOWN)
    )
    shares = {
        "read_failed": failed.mean(),
        "unknown": unknown.mean(),
        "observed": (~(failed | unknown)).mean(),
        "usable": usable(dataset).mean(),
    }
    if ADVISORY_FAILED in dataset:
        shares[ADVISORY_FAILED] = dataset[ADVISORY_FAILED].mean()
    counts = {
        "items_found": int(dataset.attrs.get(ITEMS_FOUND, 0)),
        "assets_missing": sum(len(assets) for assets in missing.values()),
    }
    scalars = {name: share.reset_coords(drop=True) for name, share in shares.items()}
    return xr.Dataset(counts | scalars).drop_attrs()


def _joined(before: str | None, more: Sequence[str]) -> str:
    words = (before or "").split()
    # a blank in the path of a file would make two words of it
    more = [word.replace(" ", "%20") for word in more]
    return " ".join([*words, *(word for word in more if word not in words)])
