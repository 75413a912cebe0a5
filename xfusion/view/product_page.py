"""What a product looks like in Jupyter and on a terminal: nothing is computed or read for it."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping

import numpy as np
import xarray as xr

from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import geobox_of, spatial_dims
from xfusion.datamodel.names import MASK, MU
from xfusion.datamodel.times import moments_of

from .explanation import in_bytes
from .percentages import in_percent
from .steps import words_of_grid
from .thumbnail import in_memory, thumbnail_of

MOST = 1_000_000  # pixels of a mask of which the reasons are counted
CELL = "text-align:left;padding:0 1em 0 0;vertical-align:top"


def page_of(name: str, dataset: xr.Dataset) -> str:
    """Return a product as HTML: sensor, time, grid, reasons, and a picture of what is in memory.

    Parameters
    ----------
    name : str
        Of its class.
    dataset : Dataset
        Its retrieval.
    """
    below = str(dataset._repr_html_())
    title = f"<b>{html.escape(name)}</b>"
    try:
        facts = "".join(
            f'<tr><th style="{CELL}">{html.escape(k)}</th>'
            f'<td style="{CELL}">{html.escape(v)}</td></tr>'
            for k, v in {**_facts(dataset), **_reasons(dataset)}.items()
        )
        picture = _picture(dataset)
    except Exception:  # noqa: BLE001  # whatever a Dataset of others holds, it is shown
        return f"{title}{below}"
    return (
        f"<div>{title}"
        '<div style="display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start">'
        f"<table>{facts}</table>{picture}</div>"
        f"<details><summary>Dataset</summary>{below}</details></div>"
    )


def text_of(name: str, dataset: xr.Dataset) -> str:
    """Return a product as a few lines of text, of the parameters of :func:`page_of`."""
    try:
        facts = {**_facts(dataset), **_reasons(dataset)}
    except Exception:  # noqa: BLE001  # as above
        return f"<xfusion.{name}>\n{dataset!r}"
    width = max(map(len, facts))
    return "\n".join([f"<xfusion.{name}>", *(f"  {k:<{width}}  {v}" for k, v in facts.items())])


def _facts(dataset: xr.Dataset) -> dict[str, str]:
    facts = {"sensor": str(dataset.attrs.get("sensor", "unknown"))}
    facts |= _time(dataset.coords.get("time"))
    facts |= _grid(dataset)
    facts["layers"] = ", ".join(f"{k} {v.dtype}" for k, v in dataset.data_vars.items())
    facts["pixels"] = _where(dataset)
    return facts


def _time(label: xr.DataArray | None) -> dict[str, str]:
    values = None if label is None else in_memory(label.variable)
    moments = None if values is None or not values.size else moments_of(values)
    if moments is None or np.isnat(moments).any():
        return {}
    ends = np.unique([moments.min(), moments.max()]).astype("datetime64[s]")
    dates = f", {moments.size} date{'s' * (moments.size != 1)}" if moments.ndim else ""
    return {"time": " to ".join(map(str, ends)) + dates}


def _grid(dataset: xr.Dataset) -> dict[str, str]:
    size = ", ".join(f"{dim} {n}" for dim, n in dataset[MU].sizes.items())
    if spatial_dims(dataset) is None or "spatial_ref" not in dataset.coords:
        return {"size": size, "grid": "not known"}
    geobox = geobox_of(dataset)
    bounds = " ".join(f"{end:.9g}" for end in geobox.boundingbox)
    return {"size": size, "grid": words_of_grid(geobox), "bounds": bounds}


def _where(dataset: xr.Dataset) -> str:
    """Say whether pixels are in memory, on dask, or in a file that is read when they are needed."""
    size = in_bytes(sum(v.nbytes for v in dataset.data_vars.values()))
    lazy = {str(k): v for k, v in dataset.variables.items() if in_memory(v) is None}
    if not lazy:
        return f"in memory, {size}"
    of = "" if {*map(str, dataset.data_vars)} <= {*lazy} else f" of {', '.join(lazy)}"
    blocks = max(math.prod(map(len, v.chunks or ())) for v in lazy.values())
    return f"lazy{of}, {blocks} block{'s' * (blocks != 1)}, {size} in memory"


def _reasons(dataset: xr.Dataset) -> Mapping[str, str]:
    """Return the shares of the reasons of exclusion, where the mask is in memory."""
    if MASK not in dataset:
        return {"excluded": "nothing, there is no mask"}
    mask = in_memory(dataset.variables[MASK])
    if mask is None or not mask.size:
        return {}
    step = math.ceil(math.sqrt(max(1, mask.size / MOST)))
    thin = mask[..., step // 2 :: step, step // 2 :: step] if mask.ndim > 1 else mask
    unknown = float(Exclusion.UNKNOWN)
    codes = np.nan_to_num(thin, nan=unknown).astype(np.uint8).ravel()
    counts = np.bincount(codes, minlength=256) / max(1, codes.size)
    flags = np.arange(256)
    shares = {f.name: float(counts[flags & f.value > 0].sum()) for f in Exclusion}
    said = ", ".join(
        f"{str(name).lower()} {in_percent(share)}" for name, share in shares.items() if share
    )
    among = f" (every {step}th row and column)" if step > 1 else ""
    return {"excluded": f"{said or 'nothing'}{among}"}


def _picture(dataset: xr.Dataset) -> str:
    drawn = thumbnail_of(dataset)
    if drawn is None:
        return ""
    units = html.escape(str(dataset[MU].attrs.get("units", "")))
    low, high = drawn.ends
    said = f"mu, {drawn.lowest:.3g} ({low}) to {drawn.highest:.3g} ({high}) {units}".rstrip()
    return (
        f'<figure style="margin:0"><img src="{drawn.uri}" alt="{said}; grey is not usable" '
        f'style="image-rendering:pixelated;width:{drawn.shape[1]}px">'
        f'<figcaption style="font-size:smaller">{said}, grey is not usable</figcaption></figure>'
    )
