"""When a quantity first exceeds a threshold, and for how long it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.building import usable
from xfusion.datamodel.names import MASK, MU
from xfusion.datamodel.units import as_number, units_of
from xfusion.datamodel.validation import Retrieval, as_retrieval

from .cubes import TIME
from .timeline import DAY, dates_of

NANOSECONDS = float(DAY / np.timedelta64(1, "ns"))


def onset(dataset: Retrieval, /, threshold: float, *, use_mask: bool = True) -> xr.DataArray:
    """Return when the quantity is first seen to rise above a threshold.

    Parameters
    ----------
    dataset : Dataset or product
        States of several times, such as those of :func:`smooth`.
    threshold : float, in units of mu, or pint quantity
    use_mask : bool
        Whether what is excluded is left out, as it is by :func:`filter`.

    Returns
    -------
    DataArray of datetime64[ns]
        The time at which the straight line between `mu` of one time and of the next crosses the
        threshold for the first time, from at most to above it. NaT where it never does, and where
        `mu` is above it from its first time on: when it rose is not known there, only that it was
        before. Times at which a pixel is not usable are passed over, as if they were not there: the
        line goes on to the next at which it is. Lazy where the input is.

    Raises
    ------
    ValueError
        If there are no times, or the threshold is not a number in units of mu.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> days = np.array(["2023-06-01", "2023-06-03"], "datetime64[ns]")
    >>> mu = xr.DataArray([[[0.2]], [[0.6]]], {"time": days}, ("time", "y", "x"))
    >>> xf.onset(xf.retrieval(mu, 0.1), 0.4).dt.strftime("%d").item()
    '02'
    """
    dates = _crossed(
        dataset, threshold, _onset, np.dtype("datetime64[ns]"), "onset", use_mask=use_mask
    )
    return dates.assign_attrs(long_name="time at which mu first rises above the threshold")


def duration(dataset: Retrieval, /, threshold: float, *, use_mask: bool = True) -> xr.DataArray:
    """Return how long the quantity is above a threshold.

    Parameters
    ----------
    dataset : Dataset or product
        States of several times, such as those of :func:`smooth`.
    threshold : float, in units of mu, or pint quantity
    use_mask : bool
        Whether what is excluded is left out, as it is by :func:`filter`.

    Returns
    -------
    DataArray of float64, in days
        Between the first and the last time at which a pixel is usable, all stretches of time
        together in which the straight lines between such times are above the threshold; what is
        excluded in between is passed over. NaN where fewer than two times are usable. Lazy where
        the input is.

    Raises
    ------
    ValueError
        If there are no times, or the threshold is not a number in units of mu.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> days = np.array(["2023-06-01", "2023-06-03"], "datetime64[ns]")
    >>> mu = xr.DataArray([[[0.2]], [[0.6]]], {"time": days}, ("time", "y", "x"))
    >>> xf.duration(xf.retrieval(mu, 0.1), 0.4).round(3).item()
    1.0
    """
    days = _crossed(
        dataset, threshold, _duration, np.dtype(np.float64), "duration", use_mask=use_mask
    )
    return days.assign_attrs(long_name="time that mu is above the threshold", units="d")


def _crossed(
    dataset: Retrieval,
    threshold: Any,
    function: Any,
    dtype: np.dtype[Any],
    name: str,
    *,
    use_mask: bool,
) -> xr.DataArray:
    states = as_retrieval(dataset)
    moments = dates_of(states, name="the retrieval")
    if TIME not in states[MU].dims:
        msg = f"mu has the dims {states[MU].dims}, none is 'time': xf.stack([monday, tuesday])"
        raise ValueError(msg)
    units = units_of(states[MU])
    wanted = f"{threshold=!s}: must be a number, in the units of mu ({units!r})"
    try:
        limit = as_number(threshold, units)
    except ValueError as error:
        msg = f"{wanted}; {error}"
        raise ValueError(msg) from error
    if not np.isfinite(limit):
        raise ValueError(wanted)
    order = np.argsort(moments, kind="stable")
    known = usable(states if use_mask else states.drop_vars(MASK, errors="ignore"))
    mu = states[MU].where(known).isel({TIME: order})
    mu = mu if mu.chunks is None else mu.chunk({TIME: -1})
    found: xr.DataArray = xr.apply_ufunc(
        function,
        mu,
        kwargs={"days": (moments[order] - moments[order][0]) / DAY, "threshold": limit}
        | ({"first": moments[order][0]} if function is _onset else {}),
        input_core_dims=[[TIME]],
        dask="parallelized",
        output_dtypes=[dtype],
        keep_attrs=True,
    )
    return found.rename(name).drop_attrs(deep=False).assign_attrs(threshold=limit)


def _pairs(mu: NDArray[Any], days: NDArray[np.float64]) -> Any:
    """Yield mu and days of each time with mu, and of the one before it that has mu."""
    last = np.full(mu.shape[:-1], np.nan)
    when = np.full(mu.shape[:-1], np.nan)
    for k, day in enumerate(days):
        now = mu[..., k].astype(np.float64)
        yield last, when, now, day
        known = np.isfinite(now)
        last, when = np.where(known, now, last), np.where(known, day, when)


def _onset(
    mu: NDArray[Any], *, days: NDArray[np.float64], threshold: float, first: np.datetime64
) -> NDArray[np.datetime64]:
    found = np.full(mu.shape[:-1], np.nan)
    for last, when, now, day in _pairs(mu, days):
        with np.errstate(invalid="ignore", divide="ignore"):
            crosses = np.isnan(found) & (last <= threshold) & (now > threshold)
            share = (threshold - last) / (now - last)
        found = np.where(crosses, when + share * (day - when), found)
    passed = np.full(found.shape, np.timedelta64("NaT", "ns"))
    known = np.isfinite(found)
    passed[known] = np.rint(found[known] * NANOSECONDS).astype("timedelta64[ns]")
    return first + passed


def _duration(
    mu: NDArray[Any], *, days: NDArray[np.float64], threshold: float
) -> NDArray[np.float64]:
    total = np.full(mu.shape[:-1], np.nan)
    for last, when, now, day in _pairs(mu, days):
        with np.errstate(invalid="ignore", divide="ignore"):
            both = np.isfinite(last) & np.isfinite(now)
            crossing = np.clip((threshold - last) / (now - last), 0.0, 1.0)
            share = np.select(
                [(last > threshold) & (now > threshold), last > threshold, now > threshold],
                [1.0, crossing, 1.0 - crossing],
                0.0,
            )
        total = np.where(both, np.nan_to_num(total) + share * (day - when), total)
    return total
