"""Retrievals of several times as one cube."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.flags import FLAG_ATTRS
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import (
    ALEATORIC,
    CALIBRATED,
    CONFLICT,
    MASK,
    MU,
    SIGMA,
    SPAN,
    SPATIAL_REF,
)
from xfusion.datamodel.provenance import ITEMS, merged_mask_attrs, with_time_of_items
from xfusion.datamodel.slices import slices_along
from xfusion.datamodel.times import label_text
from xfusion.datamodel.validation import HasDataset, Retrieval, as_retrieval
from xfusion.raster.origin import recall, remember_each

from .alignment import like_first
from .labels import labels_along, name_of

# of one is of all: what was cut off, or calibrated, can no more be taken as it was
OF_RESULT = ("fusion_bounded", CALIBRATED, ALEATORIC)


def stack(retrievals: Sequence[Retrieval], /, dim: Hashable = "time") -> xr.Dataset:
    """Stack retrievals on one grid along a new dim, in the order of their labels.

    Parameters
    ----------
    retrievals : sequence of Dataset or product
        Each with a scalar coordinate `dim`, or with labels along the dim, as a cube that is to be
        longer. The cube takes the grid, dims, units and the attributes of `mu` from the first;
        others in compatible units are converted, with pint from ``xfusion[units]``.
    dim : hashable
        Name of the coordinate.

    Returns
    -------
    Dataset
        A retrieval with the dims (`dim`, ...). Without a mask in some, nothing is excluded there;
        without any, there is none. Of other variables it has those that all have, of one dtype
        and, of flags, with the same meanings. What is a scalar coordinate of each is one along
        the dim where it differs; so is `sensor`, if there are several, and the span of what was
        fused before. The attributes say where all masks are from, see
        :func:`~xfusion.completeness`; else those are kept that are the same for all. Lazy where
        an input is, in blocks of one label.

    Raises
    ------
    ValueError
        If there are no retrievals, one has no label or two have the same; or if grids, dims or
        units do not go together. Nothing is computed before.
    TypeError
        If it is not a sequence of retrievals.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> ones = np.ones((2, 2))
    >>> tuesday = xf.retrieval(ones, ones, ones > 0, sensor="sentinel-1", time="2023-06-20")
    >>> monday = xf.retrieval(ones, ones, sensor="sentinel-1", time="2023-06-19")
    >>> week = xf.stack([tuesday, monday])
    >>> dict(week.sizes), week.time.dt.day.values, week.mask[:, 0, 0].values
    ({'time': 2, 'y': 2, 'x': 2}, array([19, 20]), array([  0, 128], dtype=uint8))
    """
    given: Any = retrievals
    if isinstance(given, xr.Dataset | HasDataset):
        msg = f"a {type(given).__name__} alone is no sequence of retrievals: xf.stack([a, b])"
        raise TypeError(msg)
    scenes = [scene for each in given for scene in _scenes(as_retrieval(each), dim)]
    if not scenes:
        msg = "there are no retrievals to stack: give at least one, xf.stack([a, b])"
        raise ValueError(msg)
    order = _order(scenes, dim)
    first = scenes[0]
    names = [f"{name_of(scene)} of {label_text(scene.coords[dim])}" for scene in scenes]
    kept = _shared(scenes)
    aligned = [scene[[v for v in kept if v in scene]] for scene in scenes]
    aligned[1:] = [
        like_first(scene, aligned[0], names=(name, names[0]), mend=".coregister(first)")
        for scene, name in zip(aligned[1:], names[1:], strict=True)
    ]
    layers: dict[Hashable, xr.Variable] = {}
    for variable in kept:
        parts = [
            (scene[variable] if variable in scene else _none_of(variable, scene)).variable
            for scene in aligned
        ]
        joined = xr.Variable.concat([parts[i] for i in order], dim)
        # its encoding is that of the file of one: chunks without the dim
        attrs = next(scene[variable].attrs for scene in scenes if variable in scene)
        attrs = FLAG_ATTRS if variable == MASK else attrs
        layers[variable] = xr.Variable(joined.dims, joined.data, attrs).transpose(dim, ...)
        remember_each(layers[variable], [recall(parts[i]) for i in order])
    of_one = [k for k, v in first.coords.items() if v.ndim == 0 and k != SPATIAL_REF]
    grid = first.drop_vars([*first.data_vars, *of_one]).drop_attrs(deep=False)
    cube = grid.assign(layers).assign_coords(labels_along([scenes[i] for i in order], dim))
    return annotate(cube.assign_attrs(_attrs(scenes, dim)))


def _attrs(scenes: Sequence[xr.Dataset], dim: Hashable) -> dict[str, Any]:
    """Return what is the same for all, the sensors, and where all masks are from."""
    first, *others = (scene.attrs for scene in scenes)
    attrs: dict[str, Any] = {
        k: v
        for k, v in first.items()
        if all(k in other and np.array_equal(v, other[k]) for other in others)
        and k not in SPAN
        and not str(k).startswith("mask_")
    }
    for each in (first, *others):
        attrs |= {k: v for k, v in each.items() if k in OF_RESULT}
    sensors = dict.fromkeys(scene.attrs.get("sensor") for scene in scenes)
    if sensors.keys() - {None}:
        attrs["sensor"] = "+".join(str(sensor) for sensor in sensors if sensor is not None)
    if not any(ITEMS in scene.attrs for scene in scenes):
        return attrs
    return attrs | merged_mask_attrs(
        with_time_of_items(scene) if dim == "time" else scene.attrs for scene in scenes
    )


def _scenes(dataset: xr.Dataset, dim: Hashable) -> list[xr.Dataset]:
    """Return what lies along the dim of a cube, or a retrieval that has not the dim itself."""
    if dim in (spatial_dims(dataset) or ()):
        msg = f"{dim=} is a dim of the grid: name the coordinate that each has one label of"
        raise ValueError(msg)
    if dim not in dataset.coords:
        sensor = dataset.attrs.get("sensor", "retrieval")
        mend = "time='2023-06-20' when it is opened, or " if dim == "time" else ""
        msg = (
            f"{sensor!r} has no coordinate {dim!r}, by which it is to be put in order: "
            f"{mend}.assign_coords({dim}=...)"
        )
        raise ValueError(msg)
    if dim not in dataset.dims:
        return [dataset]
    return slices_along(dataset, dim)


def _order(scenes: Sequence[xr.Dataset], dim: Hashable) -> list[int]:
    """Return the positions of scenes, by their labels."""
    labels = [scene.coords[dim].to_numpy() for scene in scenes]
    for scene, label in zip(scenes, labels, strict=True):
        if label.ndim > 0:
            msg = (
                f"{dim!r} of {name_of(scene)!r} has the dims {scene.coords[dim].dims}, a label "
                f"for each retrieval has none: select one, or .assign_coords({dim}=...)"
            )
            raise ValueError(msg)
        if scene.coords[dim].isnull():
            msg = f"{dim!r} of {name_of(scene)!r} is missing, {label}: .assign_coords({dim}=...)"
            raise ValueError(msg)
    values: list[Any] = [label[()] for label in labels]
    try:
        order = sorted(range(len(values)), key=values.__getitem__)
    except TypeError as error:
        kinds = sorted({str(label.dtype) for label in labels})
        msg = f"labels of {dim!r} are {kinds}, which have no order: make them of one kind; {error}"
        raise ValueError(msg) from error
    for i, j in itertools.pairwise(order):
        if values[i] == values[j]:
            msg = (
                f"{dim}={label_text(values[i])} is the label of retrieval {i}, "
                f"{name_of(scenes[i])!r}, and of {j}, {name_of(scenes[j])!r}: fuse the two first, "
                f"xf.gaussian(a, b), or leave one out"
            )
            raise ValueError(msg)
    return order


def _shared(scenes: Sequence[xr.Dataset]) -> list[Hashable]:
    """Return mu, sigma, mask and those other variables that have one meaning in all."""
    first = scenes[0]
    shared: list[Hashable] = [MU, SIGMA]
    # without a mask nothing is excluded, and what was not fused is in no conflict
    shared += [name for name in (MASK, CONFLICT) if any(name in s for s in scenes)]
    for name, array in first.data_vars.items():
        others = [scene.data_vars.get(name) for scene in scenes[1:]]
        of_all = all(other is not None and _means_the_same(array, other) for other in others)
        if name not in shared and of_all and {*array.dims} == {*first[MU].dims}:
            shared.append(name)
    return shared


def _none_of(name: Hashable, scene: xr.Dataset) -> xr.DataArray:
    """Return a mask that excludes nothing, or a conflict that is nowhere."""
    return xr.zeros_like(scene[MU], np.uint8 if name == MASK else bool)


def _means_the_same(a: xr.DataArray, b: xr.DataArray) -> bool:
    names = ("units", "flag_masks", "flag_meanings")
    same = all(np.array_equal(a.attrs.get(n, ""), b.attrs.get(n, "")) for n in names)
    return same and a.dtype == b.dtype and a.ndim == b.ndim
