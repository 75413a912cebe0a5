"""Attributes and coordinates of a fused retrieval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.describing import histories
from xfusion.datamodel.flags import FLAG_ATTRS
from xfusion.datamodel.names import (
    ALEATORIC,
    BASE_RATE,
    CALIBRATED,
    CHI2,
    CONFLICT,
    COUNT,
    DIFFERENCE,
    MASK,
    MU,
    SIGMA,
    SOURCE,
    SPAN,
    SPATIAL_REF,
    WEIGHT,
)

from .alignment import sensor_names
from .span import spans, time_of_all

ORBIT = ("orbit", "orbit_state")  # of one acquisition
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
    cube: xr.Dataset | None = None,
    dim: Hashable | None = None,
) -> xr.Dataset:
    """Return the fused retrieval with attributes, coordinates and the span of the acquisitions.

    Parameters
    ----------
    fused : Dataset
        The layers.
    retrievals : sequence of Dataset
        What was fused; of a `cube` that was fused along `dim`, what lies along it.
    provenance : dict
        Attributes that say how.
    """
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
    fused[CONFLICT].attrs = {"long_name": "no value is within 3 sigmas of all that contributed"}
    for name in LONG_NAMES.keys() & fused.data_vars.keys():
        fused[name].attrs = {"long_name": LONG_NAMES[name], "units": "1"}
    # along a dim, what has a label for each is right for none of them together
    of_all = first.coords if cube is None else cube.coords
    dims = set(first[MU].dims)
    labels: dict[Hashable, Any] = {k: v.variable for k, v in of_all.items() if {*v.dims} <= dims}
    # one label of the first is not that of all
    for name in ("time", "sensor", *SPAN):
        labels.pop(name, None)
    if cube is None:
        labels = {k: v for k, v in labels.items() if _is_of_all(k, v, retrievals)}
    if WEIGHT in fused:
        has_labels = cube is not None and dim in cube.coords
        values = cube.coords[dim].to_numpy() if cube is not None and has_labels else names
        # texts as objects: Zarr has no type for numpy's of fixed length
        label = "sensor" if dim is None else dim
        labels[label] = (label, np.array(values, None if has_labels else object))
    if dim != "time":
        labels |= time_of_all(retrievals)
    stated, attrs = spans(retrievals, is_known="time" in labels, along=dim is not None)
    # layers have the coordinates of the first that they were made of, with their indexes
    fused = fused.drop_vars([k for k in fused.coords if k not in fused.dims and k not in labels])
    if "time" not in labels:
        fused = fused.drop_vars("time", errors="ignore")
    there = fused.coords.keys()
    fused = fused.assign_coords({k: v for k, v in labels.items() if k not in there} | stated)
    sensor = "+".join(names) if cube is None else _sensor_of(cube, dim)
    attrs |= histories(retrievals)
    attrs |= {} if sensor is None else {"sensor": sensor}
    attrs |= _calibrations(retrievals, names) if cube is None else _calibrations([cube], ["all"])
    # what one sensor brought in is in the result, and not to be added to it
    attrs |= {k: v for r in retrievals for k, v in r.attrs.items() if k == ALEATORIC}
    return annotate(fused.assign_attrs(attrs | provenance))


def _is_of_all(name: Hashable, label: xr.Variable, retrievals: Sequence[xr.Dataset]) -> bool:
    """Whether all retrievals that have a coordinate agree in it; those of an orbit all must have.

    Nothing is computed for it: of lazy ones only those are known to agree that are one array.
    """
    if name in label.dims or name == SPATIAL_REF:  # compared when they were aligned
        return True
    others = [each.coords.get(name) for each in retrievals]
    if name in ORBIT and any(other is None for other in others):
        return False
    return all(_same(label, other.variable) for other in others if other is not None)


def _same(label: xr.Variable, other: xr.Variable) -> bool:
    if label.dims != other.dims or label.shape != other.shape:
        return False
    lazy = [array.chunks is not None for array in (label, other)]
    if any(lazy):
        return all(lazy) and bool(label.data.name == other.data.name)
    return bool(label.equals(other))


def _calibrations(retrievals: Sequence[xr.Dataset], names: Sequence[str]) -> dict[str, str]:
    """Return the attribute that says how what was fused had been calibrated, if any of it was."""
    if not any(CALIBRATED in retrieval.attrs for retrieval in retrievals):
        return {}
    said: list[str] = []
    for name, retrieval in zip(names, retrievals, strict=True):
        how = str(retrieval.attrs.get(CALIBRATED, "none"))
        rate = f", base rate {retrieval.attrs[BASE_RATE]}" if BASE_RATE in retrieval.attrs else ""
        said.append(f"{name}: {how}{rate}")
    return {"fusion_calibration": "; ".join(said)}


def _sensor_of(cube: xr.Dataset, dim: Hashable | None) -> str | None:
    """Return the sensors of a cube that is fused along a dim: its labels, if these are names."""
    labels = cube.coords.get(dim)
    if labels is not None and all(isinstance(label, str) for label in labels.to_numpy()):
        return "+".join(map(str, labels.to_numpy()))
    return None if "sensor" not in cube.attrs else str(cube.attrs["sensor"])
