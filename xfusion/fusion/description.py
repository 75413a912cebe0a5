"""Attributes and coordinates of a fused retrieval, and the span of its acquisitions."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.flags import FLAG_ATTRS
from xfusion.datamodel.names import CHI2, COUNT, DIFFERENCE, MASK, MU, SIGMA, SOURCE, SPAN, WEIGHT
from xfusion.datamodel.times import as_time

from .alignment import sensor_names

LONG_NAMES = {
    COUNT: "number of retrievals that contributed",
    CHI2: "reduced chi-square of the sensors about the fused mean",
    WEIGHT: "weight of each sensor, missing where it is not usable",
    DIFFERENCE: "first sensor less the second, in standard deviations",
}


def with_description(
    fused: xr.Dataset,
    retrievals: Sequence[xr.Dataset],
    provenance: dict[str, Any],
    *,
    dim: Hashable | None = None,
) -> xr.Dataset:
    """Return the fused retrieval with attributes, coordinates and the span of the acquisitions."""
    first, names = retrievals[0], sensor_names(retrievals)
    mu_attrs = {k: v for k, v in first[MU].attrs.items() if k != "ancillary_variables"}
    fused[MU].attrs = mu_attrs
    fused[SIGMA].attrs = {}
    fused[MASK].attrs = dict(FLAG_ATTRS)
    if SOURCE in fused:
        fused[SOURCE].attrs = {
            "long_name": "sensors that contributed",
            "flag_masks": np.array([1 << i for i in range(len(names))], np.uint8),
            "flag_meanings": " ".join(names),
        }
    for name in LONG_NAMES.keys() & fused.data_vars.keys():
        fused[name].attrs = {"long_name": LONG_NAMES[name], "units": "1"}
    labels = {k: v for k, v in first.coords.items() if set(v.dims) <= set(first[MU].dims)}
    labels.pop(dim, None)
    if WEIGHT in fused:
        has_labels = dim is not None and dim in first.coords
        values = [r.coords[dim].to_numpy() for r in retrievals] if has_labels else names
        # texts as objects: Zarr has no type for numpy's of fixed length
        labels["sensor" if dim is None else dim] = np.array(values, None if has_labels else object)
    fused = fused.assign_coords(
        {k: (k, v) if isinstance(v, np.ndarray) else v for k, v in labels.items()}
    )
    times = [r.coords.get("time") for r in retrievals]
    labels_of_time = [t.variable for t in times if t is not None and t.ndim == 0]
    apart = len(labels_of_time) < len(retrievals) or not all(
        t.equals(labels_of_time[0]) for t in labels_of_time
    )
    if apart and dim != "time":
        fused = fused.drop_vars("time", errors="ignore")
    moments = _moments(retrievals)
    span: dict[str, str] = {}
    if moments and (apart or min(moments) != max(moments)):
        # acquisitions apart in time: one label would be wrong, so the span is kept
        ends = (min(moments), max(moments))
        texts = (f"{np.datetime_as_string(end, unit='s')}Z" for end in ends)
        span = dict(zip(SPAN, texts, strict=True))
    return annotate(fused.assign_attrs({"sensor": "+".join(names), **span, **provenance}))


def _moments(retrievals: Sequence[xr.Dataset]) -> list[np.datetime64]:
    """Return the times of acquisition of retrievals, and of what they were fused of."""
    moments: list[np.datetime64] = []
    for retrieval in retrievals:
        time = retrieval.coords.get("time")
        if time is not None and time.ndim == 0 and time.dtype.kind == "M":
            moments.append(time.to_numpy()[()])
        for end in SPAN:
            # a text that is no date says nothing
            with contextlib.suppress(ValueError):
                moments.append(as_time(str(retrieval.attrs.get(end))))
    return [moment for moment in moments if not np.isnat(moment)]
