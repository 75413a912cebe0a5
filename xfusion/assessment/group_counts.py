"""What is counted of groups of pixels: of few all bins, of many those that are not empty."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_DENSE = 1 << 28  # bytes of all bins


class Sparse(NamedTuple):
    """Bins that are not empty, of arrays of one shape, one for each code."""

    keys: NDArray[np.int64]
    """code * bins + bin, in order."""
    sums: NDArray[np.int64]
    """Shape (keys, k)."""
    shape: tuple[int, ...]
    """Of the array of a code: that of its bins, and k."""

    @property
    def bins(self) -> int:
        """How many bins an array has."""
        return math.prod(self.shape[:-1])


class Counts(NamedTuple):
    """What is counted of some pixels, for each part and group of them that is there."""

    codes: NDArray[np.int64]
    """part * groups + group, in order."""
    cells: NDArray[np.int64] | Sparse
    """Field of the tally of a kernel, of shape (codes, usable, ..., k)."""
    arrays: tuple[NDArray[np.int64], ...]
    """Its other fields, of shape (codes, usable, ...)."""


def in_order(codes: NDArray[np.int64], cells: Any, arrays: tuple[NDArray[np.int64], ...]) -> Counts:
    """Return the counts of a kernel.

    Parameters
    ----------
    codes : array
        Of each slot.
    cells : array, or PixelCells of :mod:`xfusion.kernels.binary_tally`
    arrays : tuple of arrays
    """
    order = np.argsort(codes)
    if not isinstance(cells, np.ndarray):
        bins = math.prod(cells.shape[:-1])
        slots, places = np.divmod(cells.cells[cells.cells < len(codes) * bins], bins)
        values = cells.pairs[cells.cells < len(codes) * bins]
        cells = _summed([codes[slots] * bins + places], [values], cells.shape)
    elif len(codes) > 1:
        cells = cells[order]
    if len(codes) > 1:
        codes, arrays = codes[order], tuple(array[order] for array in arrays)
    return Counts(codes, cells, arrays)


def together(several: Sequence[Counts]) -> Counts:
    """Return the counts of all."""
    if len(several) == 1:
        return several[0]
    if _are_alike(several):
        total: Any = _sum([counts.cells for counts in several])
        fields = zip(*(counts.arrays for counts in several), strict=True)
        return Counts(several[0].codes, total, tuple(map(_sum, fields)))
    codes = np.unique(np.concatenate([counts.codes for counts in several]))
    places = [np.searchsorted(codes, counts.codes) for counts in several]
    arrays = tuple(
        _added(len(codes), list(parts), places)
        for parts in zip(*(counts.arrays for counts in several), strict=True)
    )
    cells = [counts.cells for counts in several]
    dense = [some for some in cells if not isinstance(some, Sparse)]
    if len(dense) == len(cells) and len(codes) * dense[0][:1].nbytes <= MOST_DENSE:
        return Counts(codes, _added(len(codes), dense, places), arrays)
    sparse = [_as_sparse(counts) for counts in several]
    keys, values = [some.keys for some in sparse], [some.sums for some in sparse]
    return Counts(codes, _summed(keys, values, sparse[0].shape), arrays)


def _are_alike(several: Sequence[Counts]) -> bool:
    """Whether all are of the same codes, in all bins, so that they are added as they are."""
    codes = several[0].codes
    return all(
        isinstance(counts.cells, np.ndarray) and np.array_equal(counts.codes, codes)
        for counts in several
    )


def _sum(arrays: Sequence[Any]) -> Any:
    return reduce(operator.add, arrays)


def cells_of(counts: Counts, here: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the sum of the cells of some of the codes."""
    if not isinstance(counts.cells, Sparse):
        total: NDArray[np.int64] = counts.cells[here].sum(axis=0)
        return total
    _, places, values = _entries(counts, counts.cells, here)
    out = np.zeros((counts.cells.bins, values.shape[1]), np.int64)
    np.add.at(out, places, values)
    return out.reshape(counts.cells.shape)


def bins_there(counts: Counts, here: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return which of the last bins of some codes are not empty, in any of their arrays."""
    if not isinstance(counts.cells, Sparse):
        cells = counts.cells[here]
        return np.flatnonzero(cells.any(axis=(*range(cells.ndim - 2), -1)))
    _, places, _ = _entries(counts, counts.cells, here)
    return np.unique(places % counts.cells.shape[-2])


def cells_to_draw(
    counts: Counts, here: NDArray[np.bool_], kept: NDArray[np.intp] | None
) -> tuple[Any, tuple[int, ...]]:
    """Return a matrix whose rows are the cells of some codes, to be multiplied with draws.

    Parameters
    ----------
    counts : Counts
    here : array of bool
        Of the codes.
    kept : array, or None
        Which of the last bins; all but these are empty.

    Returns
    -------
    matrix : array of float64, or a sparse one of scipy
    shape : tuple of int
        Of a row.
    """
    if not isinstance(counts.cells, Sparse):
        cells = counts.cells[here] if kept is None else counts.cells[here][..., kept, :]
        return cells.reshape(len(cells), -1).astype(np.float64), cells.shape[1:]
    from scipy import sparse

    rows, places, values = _entries(counts, counts.cells, here)
    row = np.cumsum(here) - 1
    *outer, bins, fields = counts.cells.shape
    if kept is not None:
        before, last = np.divmod(places, bins)
        places, bins = before * len(kept) + np.searchsorted(kept, last), len(kept)
    shape = (*outer, bins, fields)
    columns = (places[:, None] * fields + np.arange(fields)).ravel()
    matrix = sparse.csr_array(
        (values.ravel().astype(np.float64), (np.repeat(row[rows], fields), columns)),
        shape=(int(here.sum()), math.prod(shape)),
    )
    return matrix, shape


def _entries(
    counts: Counts, cells: Sparse, here: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Return row of its code, bin and values of what is in some of the codes."""
    rows = np.flatnonzero(here)
    starts = np.searchsorted(cells.keys, counts.codes[rows] * cells.bins)
    stops = np.searchsorted(cells.keys, (counts.codes[rows] + 1) * cells.bins)
    lengths = stops - starts
    before = np.cumsum(lengths) - lengths
    chosen = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
    return np.repeat(rows, lengths), cells.keys[chosen] % cells.bins, cells.sums[chosen]


def _as_sparse(counts: Counts) -> Sparse:
    cells = counts.cells
    if isinstance(cells, Sparse):
        return cells
    bins = math.prod(cells.shape[1:-1])
    values = cells.reshape(-1, cells.shape[-1])
    there = np.flatnonzero(values.any(axis=1))
    row, place = np.divmod(there, bins)
    return Sparse(counts.codes[row] * bins + place, values[there], cells.shape[1:])


def _summed(
    keys: list[NDArray[np.int64]], values: list[NDArray[np.int64]], shape: tuple[int, ...]
) -> Sparse:
    """Return bins in order, each once, of several lists of them."""
    every = np.concatenate(keys)
    order = np.argsort(every, kind="stable")
    every = every[order]
    first = np.flatnonzero(np.diff(every, prepend=-1))
    sums = np.concatenate(values)[order]
    if len(first) < len(every):
        sums = np.add.reduceat(sums, first, axis=0)
    return Sparse(every[first], sums, shape)


def _added(
    size: int, parts: list[NDArray[np.int64]], places: list[NDArray[np.intp]]
) -> NDArray[np.int64]:
    out = np.zeros((size, *parts[0].shape[1:]), np.int64)
    for part, place in zip(parts, places, strict=True):
        out[place] += part
    return out
