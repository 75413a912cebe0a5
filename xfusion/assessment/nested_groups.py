"""Groups of pixels within groups that are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .grouping import MOST, Grouping, unknown_value


def within(inner: Grouping, outer: Grouping | None) -> Grouping:
    """Return the pairs of the groups of two groupings.

    Parameters
    ----------
    inner : Grouping
        Its labels and members are those of the result.
    outer : Grouping, optional

    Returns
    -------
    Grouping
        Whose numbers are those of the inner, and so many times the number of the outer.

    Raises
    ------
    ValueError
        If there are too many.
    """
    if outer is None:
        return inner
    if outer.number * inner.number >= MOST:
        msg = (
            f"by has {inner.number} groups and block {outer.number}: their pairs are too many, "
            "join some"
        )
        raise ValueError(msg)
    of_outer, of_inner = _numbers(outer, "block"), _numbers(inner, "by")
    numbers = of_outer * inner.number + of_inner
    values = numbers.where((of_outer >= 0) & (of_inner >= 0), -1)
    table = np.arange(-1, outer.number * inner.number, dtype=np.int32)
    return Grouping(values, table, -1, inner.labels, inner.members, outer.number * inner.number)


def _numbers(grouping: Grouping, name: str) -> Any:
    if grouping.codes is None:
        return np.int64(0)
    return xr.apply_ufunc(
        _looked_up,
        grouping.codes,
        kwargs={"table": grouping.table, "least": grouping.least, "name": name},
        dask="parallelized",
        output_dtypes=[np.int64],
    )


def _looked_up(
    values: NDArray[Any], *, table: NDArray[np.int32], least: int, name: str
) -> NDArray[np.int64]:
    from xfusion.kernels.group_slots import NOT_KNOWN  # numba takes half a second to import

    places = values.astype(np.int64) - least
    inside = (places >= 0) & (places < len(table))
    numbers = np.where(inside, table[np.where(inside, places, 0)], NOT_KNOWN)
    stranger = values[numbers == NOT_KNOWN]
    if stranger.size:
        raise unknown_value(stranger.flat[0], name)
    return numbers.astype(np.int64)
