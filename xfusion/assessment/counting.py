"""All that a calibration is fitted to, in one pass over the pixels: a table of whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.names import MASK, MU, SIGMA
from xfusion.kernels.parallel import map_ranges, pixels
from xfusion.run.memory import compute

MOST_GROUPS = 4096  # in a block: each takes 120 to 260 KB of memory
OF_LABEL, OF_BIN = 0, 1  # columns of a table, before those that count


@dataclass(frozen=True, eq=False)
class Counts:
    """What was counted, maybe of a part of the pixels."""

    table: NDArray[np.int64]
    """Rows of label, bin and what a kernel counts of it; by label, none of bins that are empty."""
    notes: NDArray[np.int64]
    """What a kernel counts of all pixels."""

    def labels(self) -> list[int]:
        """Return the groups that there are, in order."""
        return [int(label) for label in np.unique(self.table[:, OF_LABEL])]

    @cached_property
    def of_all(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Bins and what is counted in them, of all groups together."""
        bins, where = np.unique(self.table[:, OF_BIN], return_inverse=True)
        sums = np.zeros((len(bins), self.table.shape[1] - OF_BIN - 1), np.int64)
        np.add.at(sums, where, self.table[:, OF_BIN + 1 :])
        return bins, sums

    def of_group(self, label: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return bins and what is counted in them, of one group."""
        labels = self.table[:, OF_LABEL]
        start, stop = np.searchsorted(labels, label), np.searchsorted(labels, label, side="right")
        rows = self.table[start:stop]
        return rows[:, OF_BIN], rows[:, OF_BIN + 1 :]

    def of_others(self, label: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return bins and what is counted in them, of all groups but one."""
        (bins, sums), (own, part) = self.of_all, self.of_group(label)
        rest = sums.copy()
        rest[np.searchsorted(bins, own)] -= part
        kept = rest.any(axis=1)
        return bins[kept], rest[kept]


def counted(
    dataset: xr.Dataset, reference: xr.DataArray, codes: xr.DataArray | None, *, squares: bool
) -> Counts:
    """Count what is in a retrieval and its reference: block by block where one is lazy.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, checked.
    reference : DataArray
        With the dims of mu.
    codes : DataArray, optional
        Group of each pixel, NaN of none; it may lack dims of mu.
    squares : bool
        Count residuals in units of sigma, for each sigma; else dry and wet, for each mu.

    Raises
    ------
    ValueError
        If a usable mu is no probability, or the reference neither 0 nor 1.
    """
    mu = dataset[MU]
    named = {"mu": mu, "sigma": dataset[SIGMA], "reference": reference}
    named |= {"mask": dataset[MASK]} if MASK in dataset else {}
    if codes is not None:
        lacking = [d for d in mu.dims if d not in codes.dims]
        named["codes"] = codes.expand_dims(lacking).transpose(*mu.dims)
    arrays = {name: array.data for name, array in named.items()}
    count: Callable[..., Counts] = _count_squares if squares else _count_pairs
    if any(array.chunks is not None for array in named.values()):
        return _counted_lazily(arrays, count)
    flat = {name: np.broadcast_to(array, mu.shape) for name, array in arrays.items()}
    if mu.size == 0:
        return count(**flat)
    parts: list[Counts] = []

    def on_range(start: int, stop: int) -> None:
        # sums of whole numbers: which thread is the first does not matter
        parts.append(count(**{name: pixels(a, start, stop) for name, a in flat.items()}))

    map_ranges(on_range, mu.size)
    return _merged(parts)


def _counted_lazily(arrays: dict[str, Any], count: Callable[..., Counts]) -> Counts:
    """Count in the blocks of lazy arrays, one task for each, and add these up in a tree."""
    import dask.array as da
    from dask.array.core import unify_chunks

    one = next(array for array in arrays.values() if isinstance(array, da.Array))
    for name, array in arrays.items():
        if not isinstance(array, da.Array):
            arrays[name] = _in_blocks_of(one, np.asarray(array))
    axes = tuple(range(one.ndim))
    _, blocks = unify_chunks(*(part for array in arrays.values() for part in (array, axes)))
    counts = da.map_blocks(
        _in_object,
        *blocks,
        count=count,
        names=tuple(arrays),
        dtype=object,
        chunks=tuple((1,) * n for n in da.broadcast_arrays(*blocks)[0].numblocks),
        meta=np.empty((0,) * one.ndim, object),
    )
    total = da.reduction(
        counts,
        chunk=_merged_objects,
        aggregate=_merged_objects,
        dtype=object,
        keepdims=True,  # an element of an array is set to what it is, an array to what is in it
        meta=np.empty((0,) * one.ndim, object),
        split_every=8,
    )
    dims = [f"dim_{axis}" for axis in axes]
    result: Counts = compute(xr.Dataset({"counts": (dims, total)}))["counts"].to_numpy().flat[0]
    return result


def _in_blocks_of(one: Any, array: NDArray[Any]) -> Any:
    """Return an array in memory as dask has it; one value for all along a dim stays one."""
    import dask.array as da

    few = tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)
    once = array[few]
    chunks = [c if sum(c) == n else n for c, n in zip(one.chunks, once.shape, strict=True)]
    return da.from_array(once, chunks=tuple(chunks), name=False)  # a name of random, not a digest


def _in_object(
    *blocks: NDArray[Any], count: Callable[..., Counts], names: tuple[str, ...]
) -> NDArray[Any]:
    """Return an array of one element, the counts of a block."""
    same = np.broadcast_arrays(*blocks)
    return _as_object(count(**dict(zip(names, same, strict=True))), same[0].ndim)


def _merged_objects(counts: NDArray[Any], axis: Any, *, keepdims: bool) -> NDArray[Any]:
    """Add up the counts of blocks, for a reduction of dask along all axes."""
    return _as_object(_merged(counts.reshape(-1)), len(axis) if keepdims else 0)


def _as_object(counts: Counts, ndim: int) -> NDArray[Any]:
    result = np.empty((1,) * ndim, object)
    result[(0,) * ndim] = counts
    return result


def _count_pairs(
    *,
    mu: NDArray[Any],
    sigma: NDArray[Any],
    reference: NDArray[Any],
    mask: NDArray[np.uint8] | None = None,
    codes: NDArray[Any] | None = None,
) -> Counts:
    from xfusion.kernels import pair_counts  # numba takes half a second to import

    numbers, labels = _factorized(codes)
    table, mean, other = pair_counts.count_pairs(mu, sigma, mask, reference, numbers, len(labels))
    if not np.isnan(other):
        msg = (
            f"the reference is {other:g} somewhere, not 0 for dry, 1 for wet or NaN for unknown: "
            "reference.where(...) what is neither, .assign_attrs(_FillValue=...) of nodata, or of "
            "a quantity calibrate its sigma, method='sigma'"
        )
        raise ValueError(msg)
    if not np.isnan(mean):
        msg = (
            f"mu is {mean:g} somewhere, no probability from 0 to 1: exclude it, "
            "ds.fusion.exclude(...), or of a quantity calibrate its sigma, method='sigma'"
        )
        raise ValueError(msg)
    return Counts(_rows(table, labels), np.zeros(0, np.int64))


def _count_squares(
    *,
    mu: NDArray[Any],
    sigma: NDArray[Any],
    reference: NDArray[Any],
    mask: NDArray[np.uint8] | None = None,
    codes: NDArray[Any] | None = None,
) -> Counts:
    from xfusion.kernels import pair_counts  # as above

    numbers, labels = _factorized(codes)
    table, notes = pair_counts.count_squares(mu, sigma, mask, reference, numbers, len(labels))
    return Counts(_rows(table, labels), notes)


def _factorized(codes: NDArray[Any] | None) -> tuple[NDArray[np.int64] | None, NDArray[Any]]:
    """Return for each pixel which of the labels it has, -1 of none; and the labels."""
    if codes is None:
        return None, np.zeros(1, np.int64)
    import pandas as pd

    numbers, labels = pd.factorize(codes.reshape(-1))
    if labels.dtype.kind == "f" and (labels != np.round(labels)).any():
        msg = f"groups has {labels[labels != np.round(labels)][0]}: give integers or strings"
        raise ValueError(msg)
    if len(labels) > MOST_GROUPS:
        msg = (
            f"groups has {len(labels)} labels in one block of {codes.size} pixels, more than "
            f"{MOST_GROUPS}: give one for each scene, not for each pixel"
        )
        raise ValueError(msg)
    return numbers.astype(np.int64).reshape(codes.shape), labels.astype(np.int64)


def _rows(table: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what is not empty of a table (groups, bins, ...), as rows."""
    group, place = np.nonzero(table.any(-1))
    return np.column_stack([labels[group], place, table[group, place]])


def _merged(parts: Iterable[Counts]) -> Counts:
    parts = list(parts)
    rows = np.concatenate([part.table for part in parts])
    keys, where = np.unique(rows[:, : OF_BIN + 1], axis=0, return_inverse=True)
    sums = np.zeros((len(keys), rows.shape[1] - OF_BIN - 1), np.int64)
    np.add.at(sums, where.reshape(-1), rows[:, OF_BIN + 1 :])
    notes = np.sum([part.notes for part in parts], axis=0)
    return Counts(np.column_stack([keys, sums]), notes)
