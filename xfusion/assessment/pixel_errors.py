"""What is expected of each pixel, and how far the truth may be from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.building import usable
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MU, SIGMA
from xfusion.datamodel.reference import in_units_of, on_grid
from xfusion.datamodel.units import as_number, same_units, units_of
from xfusion.fusion.probability import exceedance

from .truth import ROUNDING


class Expected(NamedTuple):
    """NaN where a pixel is not usable; dims (..., rows, columns)."""

    value: xr.DataArray
    deviation: xr.DataArray


def expected(dataset: xr.Dataset, threshold: float | None) -> Expected:
    """Return the share of each pixel that counts, and its standard deviation.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, checked.
    threshold : float, optional
        None takes mu for the share, and sigma for its deviation. With a threshold it is the
        probability p of exceeding it, and ``sqrt(p (1 - p))``, as the truth is either.

    Raises
    ------
    ValueError
        If there are no spatial dims.
    """
    dims = spatial_dims(dataset)
    if dims is None:
        msg = f"no spatial dims among {tuple(dataset[MU].dims)}: rename them to ('y', 'x')"
        raise ValueError(msg)
    value, deviation = dataset[MU], dataset[SIGMA]
    if threshold is not None:
        value = exceedance(dataset, threshold)
        deviation = (value * (1 - value)) ** 0.5
    where = usable(dataset)
    arrays = (a.where(where).transpose(..., *dims) for a in (value, deviation))
    return Expected(*arrays)


def share_of(dataset: xr.Dataset, reference: xr.DataArray, threshold: float | None) -> xr.DataArray:
    """Return what is true of each pixel, to be compared with what is expected of it.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, checked.
    reference : DataArray
        See :func:`xfusion.datamodel.reference.on_grid`.
    threshold : float, optional
        None is the reference itself, in the units of mu; else 1 where it exceeds this, or 0.

    Returns
    -------
    DataArray
        Of the dims of mu, spatial ones last; NaN where nothing is known.
    """
    mu = dataset[MU]
    truth = in_units_of(on_grid(dataset, reference), mu)
    if threshold is not None:
        limit = as_number(threshold, units_of(mu))
        truth = (truth > limit).where(np.isfinite(truth))
    return truth.transpose(..., *(spatial_dims(dataset) or ()))


def check_is_share(dataset: xr.Dataset) -> None:
    """Refuse a mu that is no share of a pixel, by its units."""
    units = units_of(dataset[MU])
    if units not in (None, "") and not same_units(units, "1"):
        msg = (
            f"mu is in {units!r}: an area is the sum of probabilities or of shares of pixels. Of "
            "percent, divide mu and sigma by 100 and set .mu.attrs['units'] = '1'; of another "
            f"quantity, say what counts, threshold=... in {units!r}"
        )
        raise ValueError(msg)


def check_shares(values: NDArray[Any]) -> None:
    """Refuse numbers that are no shares of pixels; NaN is of no usable one."""
    wrong = (values < -ROUNDING) | (values > 1 + ROUNDING)
    if wrong.any():
        msg = (
            f"mu has the value {values[wrong][0]:g}, which is no share of a pixel from 0 to 1: "
            "divide mu and sigma of percent by 100, .clip(0, 1) what noise led beyond, or of "
            "another quantity say what counts, threshold=..."
        )
        raise ValueError(msg)
