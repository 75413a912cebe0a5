"""Quality bands of other sensors as flags of exclusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.flags import FLAG_ATTRS, Exclusion
from xfusion.datamodel.names import MASK
from xfusion.datamodel.nodata import declared_nodata

from .named_bits import By, Field, classification_of, field_of

Numbers: TypeAlias = int | str | Sequence[int | str]

NAMES = {str(flag.name).lower(): flag for flag in Exclusion}


def flags(
    qa: xr.DataArray,
    /,
    *,
    by: By = "bit",
    fields: Any = None,
    **reasons: Numbers,
) -> xr.DataArray:
    """Flags of exclusion from an integer quality band, such as those of Landsat, MODIS or Fmask.

    Parameters
    ----------
    qa : DataArray of integers
        The quality band. Its declared nodata becomes UNKNOWN. Of a field of several bits without
        names take the number first, such as ``(qa >> 8) & 3``, and read it by value.
    by : {"bit", "value"}
        Whether numbers are bits, counted from 0, any of which may be set; or values of the band.
    fields : pystac.Asset or mapping, optional
        What an item says of the band, in ``classification:bitfields`` or
        ``classification:classes``; its names then stand for bits. By default what the attributes
        of `qa` say under these names.
    **reasons : int, str or a sequence of them
        Name of a flag of :class:`Exclusion` in small letters -> what stands for it:
        `cloud`, `shadow`, `vegetation`, `defective`, `gfm`, `unknown`, `user`. Either numbers, or
        names of `fields`: ``"cloud"`` of a bit or a class, ``"cloud_confidence:high"`` of a value
        of several bits.

    Returns
    -------
    DataArray of uint8
        Flags of :class:`Exclusion`, 0 where none of these is set; lazy where `qa` is.

    Raises
    ------
    TypeError
        If a name is no flag, or `qa` no DataArray.
    ValueError
        If `qa` is not of integers, has no such bit or cannot have such a value; or if there is
        no such name.

    Examples
    --------
    Landsat Collection 2, `QA_PIXEL`: cloud in bits 1 and 3, its shadow in 4, fill in 0.

    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> qa = xr.DataArray(np.array([21824, 22280, 23888, 1], np.uint16), dims="x")
    >>> [str(xf.Exclusion(int(f))) for f in xf.flags(qa, cloud=[1, 3], shadow=4, unknown=0)]
    ['0', '1', '2', '32']

    The same by the names of its item:

    >>> fields = [
    ...     {"name": "fill", "offset": 0, "length": 1},
    ...     {"name": "dilated_cloud", "offset": 1, "length": 1},
    ...     {"name": "cloud", "offset": 3, "length": 1},
    ...     {"name": "cloud_shadow", "offset": 4, "length": 1},
    ... ]
    >>> named = {"cloud": ["cloud", "dilated_cloud"], "shadow": "cloud_shadow", "unknown": "fill"}
    >>> [str(xf.Exclusion(int(f))) for f in xf.flags(qa, fields=fields, **named)]
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
    stated = classification_of(qa.attrs if fields is None else fields)
    meanings = {
        int(NAMES[name]): tuple(
            field_of(number, stated, by) if isinstance(number, str) else _field(number, by)
            for number in _numbers(name, numbers)
        )
        for name, numbers in reasons.items()
    }
    for field in (f for some in meanings.values() for f in some):
        _check(field, qa.dtype)
    result: xr.DataArray = xr.apply_ufunc(
        _flags,
        qa,
        kwargs={
            "meanings": meanings,
            "nodata": [value for value in declared_nodata(qa) if float(value).is_integer()],
        },
        dask="parallelized",
        output_dtypes=[np.uint8],
        keep_attrs=True,  # those of coordinates, too: without them there is no CRS
    )
    return result.rename(MASK).drop_attrs(deep=False).assign_attrs(FLAG_ATTRS)


def _numbers(name: str, numbers: Any) -> tuple[int | str, ...]:
    several = isinstance(numbers, Sequence | np.ndarray | range) and not isinstance(numbers, str)
    each = numbers if several else (numbers,)
    if not all(isinstance(n, int | np.integer | str) and not isinstance(n, bool) for n in each):
        msg = f"{name}={numbers!r}: give a whole number or several, or names of fields="
        raise ValueError(msg)
    return tuple(n if isinstance(n, str) else int(n) for n in each)


def _field(number: int, by: By) -> Field:
    return Field(number, 1, 1) if by == "bit" else Field(0, 0, number)


def _check(field: Field, dtype: np.dtype[Any]) -> None:
    limits = np.iinfo(dtype)
    if field.length:
        by, number, lowest, highest = "bit", field.offset, 0, limits.bits - 1
        number = number if number < 0 else number + field.length - 1
    else:
        by, number, lowest, highest = "value", field.value, int(limits.min), int(limits.max)
    if not lowest <= number <= highest:
        msg = f"qa is {dtype} and has no {by} {number}: it has {lowest} to {highest}"
        raise ValueError(msg)


def _flags(
    qa: NDArray[Any], *, meanings: dict[int, tuple[Field, ...]], nodata: Sequence[float]
) -> NDArray[np.uint8]:
    mask = np.zeros(qa.shape, np.uint8)
    bits = qa.view(f"u{qa.dtype.itemsize}")
    for flag, fields in meanings.items():
        for offset, length, value in fields:
            here = qa == value
            if length:
                ones = bits.dtype.type((1 << length) - 1)
                here = (bits >> bits.dtype.type(offset)) & ones == bits.dtype.type(value)
            mask |= here.astype(np.uint8) * np.uint8(flag)
    for missing in nodata:
        mask[qa == missing] = np.uint8(Exclusion.UNKNOWN)
    return mask
