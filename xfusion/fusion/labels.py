"""The labels of retrievals along the dim of a cube."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.names import SPAN, SPATIAL_REF
from xfusion.datamodel.times import as_time, moment_of, stated_span


def name_of(scene: xr.Dataset) -> str:
    """Return what an error calls a retrieval: its sensor, if it has one."""
    return str(scene.attrs.get("sensor", "retrieval"))


def labels_along(scenes: Sequence[xr.Dataset], dim: Hashable) -> dict[Hashable, Any]:
    """Return the scalar coordinates that all scenes have, along the dim where they differ.

    Besides, where there are several, the sensors; and the spans of what was fused before.
    """
    labels: dict[Hashable, Any] = {}
    for name in scenes[0].coords:
        found = [s.coords[name].variable for s in scenes if name in s.coords]
        of_each = len(found) == len(scenes) and all(label.ndim == 0 for label in found)
        if not of_each or name in (SPATIAL_REF, *SPAN):
            continue
        if name != dim and all(label.equals(found[0]) for label in found):
            labels[name] = found[0]
        else:
            values = np.array([label.to_numpy()[()] for label in found])
            labels[name] = (dim, values, found[0].attrs)
    sensors = [name_of(scene) for scene in scenes]
    if len({*sensors}) > 1:
        # texts as objects: Zarr has no type for numpy's of fixed length
        labels["sensor"] = (dim, np.array(sensors, object), {"long_name": "name of the sensor"})
    if any(stated_span(scene) for scene in scenes):
        for end in SPAN:
            labels[end] = (dim, np.array([_moment(scene, end) for scene in scenes]))
    return labels


def _moment(scene: xr.Dataset, end: str) -> np.datetime64:
    """Return an end of the span of a scene, which of one acquisition is its time."""
    stated: Any = stated_span(scene).get(end, moment_of(scene.coords.get("time")))
    try:
        return as_time(stated)
    except ValueError:
        return np.datetime64("NaT", "ns")
