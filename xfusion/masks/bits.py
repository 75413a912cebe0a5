"""Quality bands of other sensors as flags of exclusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.flags import FLAG_ATTRS, Exclusion
from xfusion.datamodel.names import MASK
from xfusion.datamodel.nodata import declared_nodata

Numbers: TypeAlias = int | Sequence[int]

NAMES = {str(flag.name).lower(): flag for flag in Exclusion}


def flags(
    qa: xr.DataArray,
    /,
    *,
    by: Literal["bit", "value"] = "bit",
    **reasons: Numbers,
) -> xr.DataArray:
    """Flags of exclusion from an integer quality band, such as those of Landsat, MODIS or Fmask.

    Parameters
    ----------
    qa : DataArray of integers
        The quality band. Its declared nodata becomes UNKNOWN. Of a field of several bits take the
        number first, such as ``(qa >> 8) & 3``, and read it by value.
    by : {"bit", "value"}
        Whether numbers are bits, counted from 0, any of which may be set; or values of the band.
    **reasons : int or sequence of int
        Name of a flag of :class:`Exclusion` in small letters -> what stands for it:
        `cloud`, `shadow`, `vegetation`, `defective`, `gfm`, `unknown`, `user`.

    Returns
    -------
    DataArray of uint8
        Flags of :class:`Exclusion`, 0 where none of these is set; lazy where `qa` is.

    Raises
    ------
    TypeError
        If a name is no flag, or `qa` no DataArray.
    ValueError
        If `qa` is not of integers, has no such bit or cannot have such a value.

    Examples
    --------
    Landsat Collection 2, `QA_PIXEL`: cloud in bits 1 and 3, its shadow in 4, fill in 0.

    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> qa = xr.DataArray(np.array([21824, 22280, 23888, 1], np.uint16), dims="x")
    >>> [str(xf.Exclusion(int(f))) for f in xf.flags(qa, cloud=[1, 3], shadow=4, unknown=0)]
    ['0', '1', '2', '32']
    """
    given: object = qa
    if not isinstance(given, xr.DataArray):
        msg = f"qa is a {type(given).__name__}: say where it lies, e.g. retrieval.mu.copy(data=qa)"
        raise TypeError(msg)
    unknown_names = sorted(reasons.keys() - NAMES.keys())
    if unknown_names:
        msg = f"flags() has no flag {unknown_names[0]!r}: name one of {list(NAMES)}"
        raise TypeError(msg)
    if by not in ("bit", "value"):
        msg = f"{by=}: must be 'bit' or 'value'"
        raise ValueError(msg)
    if qa.dtype.kind not in "iu":
        msg = (
            f"qa is {qa.dtype}, not a DataArray of integers: open it without masking, such as "
            "rioxarray.open_rasterio(path, masked=False), or call qa.astype('uint16') if nothing "
            "is missing"
        )
        raise ValueError(msg)
    meanings = {int(NAMES[name]): _numbers(name, number) for name, number in reasons.items()}
    for number in (n for numbers in meanings.values() for n in numbers):
        _check_number(number, qa.dtype, by)
    result: xr.DataArray = xr.apply_ufunc(
        _flags,
        qa,
        kwargs={
            "meanings": meanings,
            "by_bit": by == "bit",
            "nodata": [value for value in declared_nodata(qa) if float(value).is_integer()],
        },
        dask="parallelized",
        output_dtypes=[np.uint8],
        keep_attrs=True,  # those of coordinates, too: without them there is no CRS
    )
    return result.rename(MASK).drop_attrs(deep=False).assign_attrs(FLAG_ATTRS)


def _numbers(name: str, numbers: Any) -> tuple[int, ...]:
    each = numbers if isinstance(numbers, Sequence | np.ndarray | range) else (numbers,)
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in each):
        msg = f"{name}={numbers!r}: give a whole number or several"
        raise ValueError(msg)
    return tuple(int(n) for n in each)


def _check_number(number: int, dtype: np.dtype[Any], by: str) -> None:
    limits = np.iinfo(dtype)
    lowest, highest = (0, limits.bits - 1) if by == "bit" else (int(limits.min), int(limits.max))
    if not lowest <= number <= highest:
        msg = f"qa is {dtype} and has no {by} {number}: it has {lowest} to {highest}"
        raise ValueError(msg)


def _flags(
    qa: NDArray[Any],
    *,
    meanings: dict[int, tuple[int, ...]],
    by_bit: bool,
    nodata: Sequence[float],
) -> NDArray[np.uint8]:
    mask = np.zeros(qa.shape, np.uint8)
    for flag, numbers in meanings.items():
        for number in numbers:
            here = (qa >> qa.dtype.type(number)) & 1 == 1 if by_bit else qa == number
            mask |= here.astype(np.uint8) * np.uint8(flag)
    for value in nodata:
        mask[qa == value] = np.uint8(Exclusion.UNKNOWN)
    return mask
