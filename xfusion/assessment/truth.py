"""A reference as kernels read it, and what is said of one that they cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.names import NODATA, PACKING
from xfusion.datamodel.nodata import declared_nodata
from xfusion.datamodel.units import DIMENSIONLESS, units_of

Kind: TypeAlias = Literal["binary", "continuous"]
OTHER = 2  # of uint8, what is neither wet nor dry
UNKNOWN = 255
ROUNDING = 1e-6  # of a probability, as the kernel allows it


def kind_of(
    reference: xr.DataArray, mu: xr.DataArray, kind: Kind | None, nodata: Sequence[float]
) -> Kind:
    """Return whether a reference says wet and dry, or is a quantity.

    Parameters
    ----------
    reference, mu : DataArray
    kind : str, optional
        What the caller says.
    nodata : sequence of float
        Values of the reference that are none.
    """
    if kind is not None:
        said: Any = kind
        if not isinstance(said, str) or said not in ("binary", "continuous"):
            msg = f"{kind=}: must be 'binary', 'continuous', or None, to see by the reference"
            raise ValueError(msg)
        return kind
    if reference.dtype.kind in "biu":
        return "binary"
    of_file = reference.encoding
    stored = np.dtype(of_file.get("rasterio_dtype") or of_file.get("dtype") or np.float64)
    if stored.kind in "iu" and not {*PACKING} & {*of_file}:
        return "binary"
    if any(units_of(each) not in DIMENSIONLESS for each in (mu, reference)):
        return "continuous"
    if reference.chunks is not None:
        return "binary"
    from xfusion.kernels.two_values import has_others  # numba takes half a second to import

    return "continuous" if has_others(reference.to_numpy(), nodata) else "binary"


def split_nodata(reference: Any) -> tuple[Any, tuple[float, ...]]:
    """Return a map that declares no nodata, and the values that it did; its pixels as they are."""
    if not isinstance(reference, xr.DataArray):
        return reference, ()  # which is refused where it is brought onto the grid
    nodata = () if reference.dtype.kind == "b" else tuple(declared_nodata(reference))
    declarations = (*NODATA, "nodatavals")
    plain = reference.copy(deep=False)
    plain.attrs = {k: v for k, v in reference.attrs.items() if k not in declarations}
    plain.encoding = {k: v for k, v in reference.encoding.items() if k not in declarations}
    return plain, tuple(dict.fromkeys(value for value in nodata if not np.isnan(value)))


def as_truth(
    reference: NDArray[Any], nodata: Sequence[float], *, binary: bool
) -> tuple[NDArray[Any], float | None]:
    """Return some pixels of a reference as a kernel takes them, and which number is none.

    Parameters
    ----------
    reference : array of bool, integers or floats
    nodata : sequence of float
        Values that are none.
    binary : bool
        Whether numbers other than 0 and 1 are only to be found.

    Returns
    -------
    truth : array of uint8, if binary of integers, or of floats
    nodata : float or None
    """
    of_dtype = [value for value in nodata if _is_of(value, reference.dtype)]
    if not binary:
        floats = reference.astype(np.promote_types(reference.dtype, np.float32), copy=False)
        return _without(floats, reference, nodata), None
    if reference.dtype.kind == "f":
        if len(nodata) <= 1:
            return reference, nodata[0] if nodata else None
        return _without(reference, reference, nodata), None
    if reference.dtype.itemsize == 1 and len(of_dtype) <= 1:
        number = None if not of_dtype else float(int(of_dtype[0]) & UNKNOWN)
        return reference.view(np.uint8), number
    truth = np.full(reference.shape, OTHER, np.uint8)
    for number in (0, 1):
        truth[reference == number] = number
    for value in of_dtype:
        truth[reference == reference.dtype.type(value)] = UNKNOWN
    return truth, UNKNOWN


def _is_of(value: float, dtype: np.dtype[Any]) -> bool:
    """Whether integers of a dtype can have a value."""
    if dtype.kind not in "iu":
        return False
    limits = np.iinfo(dtype)
    return limits.min <= value <= limits.max and float(value).is_integer()


def _without(
    floats: NDArray[Any], reference: NDArray[Any], nodata: Sequence[float]
) -> NDArray[Any]:
    for value in nodata:
        # compared in its own dtype: a float32 is not the float64 that was declared
        floats = np.where(reference == reference.dtype.type(value), np.nan, floats)
    return floats


def check_truth(
    reference: NDArray[Any],
    nodata: Sequence[float],
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None,
) -> NoReturn:
    """Raise the error of pixels that cannot be scored, with the value of one.

    Parameters
    ----------
    reference, mu, sigma, mask : arrays
        Of some pixels, one of which is none of wet and dry, or whose mu is no probability.
    nodata : sequence of float
        Values of the reference that are none.
    """
    missing = reference != reference  # noqa: PLR0124  # NaN
    for value in nodata:
        if reference.dtype.kind == "f" or _is_of(value, reference.dtype):
            missing |= reference == reference.dtype.type(value)
    known = ~missing
    wrong = reference[known & (reference != 0) & (reference != 1)]
    if wrong.size:
        value = wrong.flat[0]
        msg = (
            f"the reference has the value {value}, which is neither 0, dry, nor 1, wet: say that "
            f"it is no data, reference.attrs['nodata'] = {value}, or make it NaN, reference.where("
            f"reference != {value}); or, of a quantity, assess(..., kind='continuous')"
        )
        raise ValueError(msg)
    is_none = known & np.isfinite(mu) & ((mu < -ROUNDING) | (mu > 1 + ROUNDING))
    flags = np.zeros(mu.shape, np.uint8) if mask is None else mask
    usable = is_none & (flags == 0) & np.isfinite(sigma) & (sigma >= 0)
    no_probability = "which is no probability from 0 to 1, as the reference of 0 and 1 is judged by"
    if usable.any():
        msg = (
            f"mu has the value {mu[usable][0]}, {no_probability}: give one, such as "
            "xf.exceedance(retrieval, threshold) has for each pixel, or of a quantity "
            "assess(..., kind='continuous')"
        )
        raise ValueError(msg)
    value, flag, spread = (a[is_none][0] for a in (mu, flags, sigma))
    why = f"its mask is {flag}" if flag else f"its sigma is {spread}"
    msg = (
        f"mu has the value {value}, {no_probability}, at a pixel that is not usable, {why}, and "
        "which is scored by its own mu unless told otherwise: say what it counts as, excluded="
        "'dry' or 'wet'; or make it NaN, mu.where(usable), which is not scored; or declare what is "
        f"no data before the retrieval is built, mu.attrs['nodata'] = {value}"
    )
    raise ValueError(msg)
