"""Labels that an outer join doubled, so that what belongs together never meets."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.names import MU

ROUNDING = 1e-6  # of a label: the float32 of a number is 6e-8 of it away
CLOSE = 1e-3  # of the mean distance of labels: those of pixels are further apart
NO_TWO = np.timedelta64(1, "ms")  # nothing is acquired twice within


def check_distinct(dataset: xr.Dataset) -> None:
    """Refuse labels that differ by rounding alone.

    Concatenating retrievals with the labels of two libraries, 1e-9 apart, has each pixel twice:
    once of one sensor, once of the other, and all else missing.

    Raises
    ------
    ValueError
        Naming two labels, and what joins them.
    """
    for dim in dataset[MU].dims:
        if dim not in dataset.coords or dataset.coords[dim].dtype.kind not in "fM":
            continue
        labels = np.unique(dataset.indexes[dim].dropna().to_numpy())
        doubled = _doubled(labels)
        if doubled.any():
            where = int(np.argmax(doubled))
            one, two = labels[where : where + 2]
            msg = (
                f"{dim} has the labels {one} and {two}, as after an outer join of what differs by "
                "rounding, so that sensors do not meet: bring them onto one grid first, "
                ".coregister(first), or join them by place, xr.concat(..., join='override') or "
                "xr.align(..., join='override')"
            )
            raise ValueError(msg)


def _doubled(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of sorted labels differ from the next one by rounding."""
    gaps = np.diff(labels)
    if labels.dtype.kind == "M":
        return np.asarray(gaps < NO_TWO)
    mean = (labels[-1] - labels[0]) / max(1, gaps.size) if labels.size else 0.0
    larger = np.maximum(np.abs(labels[1:]), np.abs(labels[:-1]))
    return np.asarray((gaps < CLOSE * mean) & (gaps <= ROUNDING * larger))
