"""Means and covariances of several sensors, summed up chunk by chunk."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

MOMENT = "_moment"


class Moments(NamedTuple):
    """Of sensors over some dims; shape (...) is that of the others."""

    number: NDArray[np.float64]
    """How many samples all sensors have, of shape (...)."""
    mean: NDArray[np.float64]
    """Of shape (..., sensors)."""
    covariance: NDArray[np.float64]
    """Of shape (..., sensors, sensors)."""


def moments_along(arrays: Sequence[xr.DataArray], dims: Sequence[Hashable]) -> xr.DataArray:
    """Return what :func:`as_moments` reads, where all sensors are known.

    Parameters
    ----------
    arrays : sequence of DataArrays
        One for each sensor, of the same dims and chunks; NaN where it is not usable.
    dims : sequence of hashable
        Over which.

    Returns
    -------
    DataArray
        float64, of the other dims and MOMENT. Lazy where an array is: each chunk is read once, and
        numbers of it added up in a tree.

    Notes
    -----
    Each chunk has products of differences from its own mean; those of chunks go together as Chan,
    Golub and LeVeque (1983) do it. So a large mean costs no digits.
    """
    first = arrays[0]
    axes = tuple(first.get_axis_num(dim) for dim in dims)
    data: Any
    if any(array.chunks is not None for array in arrays):
        lazy: Any = xr.unify_chunks(*(a.chunk() if a.chunks is None else a for a in arrays))
        data = _lazy([array.data for array in lazy], axes)
    else:
        data = _merged(_of_chunk(*(a.to_numpy() for a in arrays), axes=axes), axis=axes)
    kept = [dim for dim in first.dims if dim not in dims]
    coords = {k: v for k, v in first.coords.items() if {*v.dims} <= {*kept}}
    return xr.DataArray(data, coords, (*kept, MOMENT))


def as_moments(numbers: NDArray[np.float64]) -> Moments:
    """Return count, means and covariances; NaN where there are too few for one."""
    sensors = _sensors(numbers.shape[-1])
    count, mean, products = _split(numbers, sensors)
    with np.errstate(invalid="ignore", divide="ignore"):
        upper = products / (count - 1.0)
    rows, columns = np.triu_indices(sensors)
    covariance = np.empty((*upper.shape[:-1], sensors, sensors))
    covariance[..., rows, columns] = covariance[..., columns, rows] = upper
    covariance[count[..., 0] <= 1] = np.nan
    return Moments(count[..., 0], np.where(count > 0, mean, np.nan), covariance)


def _lazy(arrays: Sequence[Any], axes: tuple[int, ...]) -> Any:
    import dask.array as da

    index = tuple(range(arrays[0].ndim))
    arguments = [part for array in arrays for part in (array, index)]
    last = len(index)
    numbers = da.blockwise(
        _of_chunk,
        (*index, last),
        *arguments,
        axes=axes,
        new_axes={last: _numbers_of(len(arrays))},
        adjust_chunks=dict.fromkeys(axes, lambda _: 1),
        dtype=np.float64,
        meta=np.empty((0,) * (last + 1)),
    )
    return da.reduction(
        numbers,
        chunk=_same,
        combine=_merged,
        aggregate=_merged,
        axis=axes,
        dtype=np.float64,
        meta=np.empty((0,) * (last + 1 - len(axes))),
    )


def _of_chunk(*arrays: NDArray[Any], axes: tuple[int, ...]) -> NDArray[np.float64]:
    """Return count, means and sums of products over a chunk, whose axes have a length of 1."""
    known = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    count = known.sum(axis=axes, keepdims=True, dtype=np.float64)
    means, apart = [], []
    for array in arrays:
        values = np.where(known, array, 0.0).astype(np.float64)
        means.append(values.sum(axis=axes, keepdims=True) / np.maximum(count, 1.0))
        apart.append(np.where(known, values - means[-1], 0.0))
    products = [
        (apart[i] * apart[j]).sum(axis=axes, keepdims=True)
        for i, j in zip(*np.triu_indices(len(arrays)), strict=True)
    ]
    return np.stack([count, *means, *products], axis=-1)


def _same(numbers: NDArray[np.float64], **_: Any) -> NDArray[np.float64]:
    return numbers


def _merged(
    numbers: NDArray[np.float64], axis: tuple[int, ...], *, keepdims: bool = False
) -> NDArray[np.float64]:
    """Return the numbers of several chunks as those of one."""
    sensors = _sensors(numbers.shape[-1])
    counts, means, products = _split(numbers, sensors)
    count = counts.sum(axis=axis, keepdims=True)
    mean = (counts * means).sum(axis=axis, keepdims=True) / np.maximum(count, 1.0)
    apart = means - mean
    rows, columns = np.triu_indices(sensors)
    between = counts * apart[..., rows] * apart[..., columns]
    total = (products + between).sum(axis=axis, keepdims=True)
    merged = np.concatenate([count, mean, total], axis=-1)
    return merged if keepdims else merged.squeeze(axis)


def _split(numbers: NDArray[np.float64], sensors: int) -> list[NDArray[np.float64]]:
    return np.split(numbers, [1, 1 + sensors], axis=-1)


def _numbers_of(sensors: int) -> int:
    return 1 + sensors + sensors * (sensors + 1) // 2


def _sensors(numbers: int) -> int:
    return next(n for n in range(numbers) if _numbers_of(n) == numbers)
