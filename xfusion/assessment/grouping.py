"""Which group each pixel is in: a scene, a zone, the sensors it is from, or why it is excluded."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.building import usable
from xfusion.datamodel.comparison import TOLERANCE
from xfusion.datamodel.flags import Exclusion, contributors
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MASK, MU, SOURCE
from xfusion.datamodel.reference import on_grid

from .truth import split_nodata

LONGEST_TABLE = 1 << 22
FLAGS = 256  # values of a mask
MOST = 1 << 31  # pairs of groups


@dataclass(frozen=True)
class Grouping:
    """Groups of pixels."""

    codes: xr.DataArray | None
    """Whole numbers that say which group each pixel is in; None if all are in the first."""
    table: NDArray[np.int32]
    """Of each value from `least` on the number of its group, or as the kernel has it none."""
    least: int
    labels: NDArray[Any]
    """Of the groups."""
    members: NDArray[np.bool_]
    """Shape (groups, numbers): which numbers are of a group; a number may be of several."""
    number: int
    """How many numbers there are; of groups within others, for each of those as many."""


def one_group() -> Grouping:
    """Return the group of all pixels."""
    return _each_its_own(None, np.array(["all"], object))


def _each_its_own(values: xr.DataArray | None, labels: NDArray[Any]) -> Grouping:
    """Return groups whose pixels have their numbers, or -1."""
    table = np.arange(-1, len(labels), dtype=np.int32)
    members = np.eye(len(labels), dtype=np.bool_)
    return Grouping(values, table, -1, labels, members, len(labels))


def grouping_of(dataset: xr.Dataset, by: Any, *, name: str = "by") -> Grouping:
    """Return the groups of the pixels of a retrieval.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, checked.
    by : DataArray, "source", "mask" or another text
        As in :func:`xfusion.assess`.
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If it lies on another grid, or only computing tells which groups there are.
    """
    if isinstance(by, xr.DataArray):
        return _of_array(dataset, by, name)
    if isinstance(by, str) and by == SOURCE:
        return _of_source(dataset)
    if isinstance(by, str) and by == MASK:
        return _of_mask(dataset)
    mu = dataset[MU]
    if isinstance(by, str) and by in {*mu.dims, *mu.coords}:
        # what a dim has are labels, whatever they are; of one without any they are positions
        found = _of_labels if by in mu.dims else _of_array
        return found(dataset, mu[by], name)
    names = sorted(str(each) for each in {*mu.dims, *mu.coords})
    msg = (
        f"{name}={by!r}: must be a DataArray of labels on the grid or along a dim, 'source', "
        f"'mask', or the name of a dim or coordinate of mu, of {names}"
    )
    raise ValueError(msg)


def _of_labels(dataset: xr.Dataset, labels: xr.DataArray, name: str) -> Grouping:
    numbers, known = pd.factorize(labels.to_index(), sort=True)
    codes = xr.DataArray(numbers.astype(np.int32), labels.coords, labels.dims)
    return _each_its_own(_spread(dataset, codes, name), np.asarray(known))


def _of_source(dataset: xr.Dataset) -> Grouping:
    source = dataset.get(SOURCE)
    names = [] if source is None else str(source.attrs.get("flag_meanings", "")).split()
    if source is None or source.dtype != np.uint8 or not names:
        what = "lacks 'source'" if source is None else f"has a source of {source.dtype}"
        msg = (
            f"by='source': the retrieval {what}, uint8 with the names of its sensors, as "
            "xf.fuse(...) gives it"
        )
        raise ValueError(msg)
    labels = [contributors(code, names) for code in range(1 << len(names))]
    return _each_its_own(source, np.array(labels, object))


def _of_mask(dataset: xr.Dataset) -> Grouping:
    flags = dataset[MASK] if MASK in dataset else xr.zeros_like(dataset[MU], np.uint8)
    # what is no number, without a flag that says why, is unknown
    lacking = (flags == 0) & ~usable(dataset)
    values = flags.where(~lacking, np.uint8(Exclusion.UNKNOWN))
    codes = np.arange(FLAGS, dtype=np.int32)
    members = [codes == 0, *((codes & int(flag)) != 0 for flag in Exclusion)]
    labels = ["usable", *(str(flag.name).lower() for flag in Exclusion)]
    return Grouping(values, codes, 0, np.array(labels, object), np.array(members), FLAGS)


def _of_array(dataset: xr.Dataset, by: xr.DataArray, name: str) -> Grouping:
    plain, nodata = split_nodata(by)
    stated = by.attrs.get("flag_values")
    if by.dtype.kind == "b":
        values, labels = plain.astype(np.int8), np.array([False, True])
        return _each_its_own(_spread(dataset, values, name), labels)
    if stated is not None and by.dtype.kind in "iuf":
        known = np.atleast_1d(stated)
        meanings = str(by.attrs.get("flag_meanings", "")).split()
        labels = np.array(meanings, object) if len(meanings) == len(known) else known
        if by.dtype.kind == "f":
            kwargs = {"known": known, "nodata": nodata, "name": name}
            numbers = xr.apply_ufunc(
                _numbers_of_floats,
                plain,
                kwargs=kwargs,
                dask="parallelized",
                output_dtypes=[np.int32],
                keep_attrs=True,  # those of coordinates, too: without them there is no CRS
            )
            return _each_its_own(_spread(dataset, numbers, name), labels)
        return _of_table(_spread(dataset, plain, name), known, labels, nodata, name)
    if by.chunks is not None:
        msg = (
            f"{name} is lazy, so its labels are not known: compute it, {name}.compute(), or of "
            f"whole numbers name all of them, {name}.assign_attrs(flag_values=[1, 2, 3])"
        )
        raise ValueError(msg)
    there = by.to_numpy()
    if by.dtype.kind in "iu" and by.size:
        least, most = int(there.min()), int(there.max())
        if most - least < LONGEST_TABLE:
            from xfusion.kernels.group_slots import present  # numba takes half a second to import

            known = np.flatnonzero(present(there, least, most)) + least
            known = known[~np.isin(known, nodata)]
            return _of_table(_spread(dataset, plain, name), known, known, nodata, name)
    numbers, labels = _numbers_of_any(there, nodata, name)
    return _each_its_own(_spread(dataset, plain.copy(data=numbers), name), labels)


def _of_table(
    values: xr.DataArray,
    known: NDArray[Any],
    labels: NDArray[Any],
    nodata: Sequence[float],
    name: str,
) -> Grouping:
    """Return groups of integers, by a table from these to numbers."""
    from xfusion.kernels.group_slots import NO_GROUP, NOT_KNOWN

    none = [int(value) for value in nodata if float(value).is_integer()]
    every = [*map(int, known), *none]
    least, most = min(every, default=0), max(every, default=0)
    if most - least >= LONGEST_TABLE:
        msg = (
            f"{name} has labels from {least} to {most}, and nodata {none}: give labels or nodata "
            "that are nearer to each other"
        )
        raise ValueError(msg)
    table = np.full(most - least + 1, NOT_KNOWN, np.int32)
    table[np.array(none, np.int64) - least] = NO_GROUP
    table[known.astype(np.int64) - least] = np.arange(len(known))
    members = np.eye(len(labels), dtype=np.bool_)
    return Grouping(values, table, least, labels, members, len(labels))


def _spread(dataset: xr.Dataset, values: xr.DataArray, name: str) -> xr.DataArray:
    """Return values with the dims of mu."""
    mu = dataset[MU]
    if spatial_dims(values) is not None:
        return on_grid(dataset, values, name=name)
    # one for each label of a dim such as time, or for each row
    for dim in values.dims:
        if dim not in mu.dims:
            msg = (
                f"{name} has the dim {dim!r}, mu has {mu.dims}: give one label for each pixel, or "
                "for each label of a dim of mu"
            )
            raise ValueError(msg)
        if values.sizes[dim] != mu.sizes[dim] or not _same_labels(values, mu, dim):
            is_spatial = dim in (spatial_dims(mu) or ())
            nearest = ", method='nearest'" if is_spatial else ""
            msg = (
                f"{name} has {values.sizes[dim]} labels along {dim!r}, mu has {mu.sizes[dim]}, and "
                f"they are not the same: select those of mu, "
                f"{name}.sel({dim}=retrieval.{dim}{nearest})"
            )
            raise ValueError(msg)
    spread = values.variable.set_dims(mu.sizes).transpose(*mu.dims)
    return xr.DataArray(spread, mu.coords, name=name)


def _same_labels(values: xr.DataArray, mu: xr.DataArray, dim: Hashable) -> bool:
    """Whether labels of a dim, if both have any, are those of mu; of rows but for rounding."""
    ours, theirs = values.indexes.get(dim), mu.indexes.get(dim)
    if ours is None or theirs is None or ours.equals(theirs):
        return True
    if dim not in (spatial_dims(mu) or ()) or len(ours) != len(theirs):
        return False
    one, other = np.asarray(ours, float), np.asarray(theirs, float)
    step = abs(other[-1] - other[0]) / max(1, len(other) - 1) or 1.0
    return bool((abs(one - other) <= TOLERANCE * step).all())


def _numbers_of_any(
    values: NDArray[Any], nodata: Sequence[float], name: str
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Return which label each value is, -1 of what is missing, and the labels in order."""
    if values.dtype.kind not in "iufOUSMm":
        msg = f"{name} is of {values.dtype}: give whole numbers, texts or times"
        raise ValueError(msg)
    missing = np.isin(values, nodata) if nodata else np.zeros(values.shape, np.bool_)
    if values.dtype.kind == "f":
        missing |= np.isnan(values)
        values = _whole(np.where(missing, 0, values), name)
    known = values[~missing]
    found, uniques = pd.factorize(known.astype(object) if known.dtype.kind in "US" else known)
    labels = np.asarray(uniques)
    order = np.argsort(labels, kind="stable")
    rank = np.full(len(order) + 1, -1, np.int32)  # pandas has -1 for what is missing
    rank[order] = np.arange(len(order))
    numbers = np.full(values.shape, -1, np.int32)
    numbers[~missing] = rank[found]
    return numbers, labels[order]


def _numbers_of_floats(
    values: NDArray[Any], *, known: NDArray[Any], nodata: Sequence[float], name: str
) -> NDArray[np.int32]:
    missing = np.isnan(values) | np.isin(values, nodata)
    order = np.argsort(known, kind="stable")
    place = np.minimum(np.searchsorted(known[order], values), len(known) - 1)
    found = known[order][place] == values
    stranger = values[~found & ~missing]
    if stranger.size:
        raise unknown_value(stranger.flat[0], name)
    return np.where(found & ~missing, order[place], -1).astype(np.int32)


def _whole(values: NDArray[Any], name: str) -> NDArray[np.int64]:
    broken = values[values != np.trunc(values)]
    if broken.size:
        msg = f"{name} has the value {broken[0]}, which is no label: give whole numbers or texts"
        raise ValueError(msg)
    return values.astype(np.int64)


def unknown_value(value: Any, name: str = "by") -> ValueError:
    """Return the error of a value that is not among the labels that were named."""
    return ValueError(
        f"{name} has the value {value}, which is not among its labels: name all of them, "
        f"{name}.assign_attrs(flag_values=[...]), or say that it is none, {name}.attrs['nodata']"
    )
