"""Filter and smoother: what is known of each time by the looks before it, or by all."""

from __future__ import annotations

from typing import Any

import xarray as xr
from numpy.typing import ArrayLike

from xfusion.datamodel.validation import Retrieval
from xfusion.fusion.combine import SIGMA_FLOOR
from xfusion.fusion.rules import NonfiniteSigma

from .cubes import Series
from .filtering import Model, Rules, through_time
from .timeline import Times


def filter(  # noqa: A001  # what the field calls it; the builtin is not needed here
    dataset: Retrieval,
    /,
    *others: Retrieval,
    model: Model = "random_walk",
    q: Any = None,
    rates: Any = None,
    prior: Any = None,
    times: Times | None = None,
    correlation: ArrayLike = 0.0,
    sigma_floor: float = SIGMA_FLOOR,
    nonfinite_sigma: NonfiniteSigma = "exclude",
    use_mask: bool = True,
) -> xr.Dataset:
    """Carry what is known of a quantity through time: of each time, by the looks until then.

    Parameters
    ----------
    dataset, *others : Dataset or product
        Retrievals on one grid, each with a dim or a scalar coordinate `time`, in any order, several
        at one time or not. Those with one name in ``attrs["sensor"]`` are one sensor; there are at
        most 8. The result takes grid, units and the attributes of `mu` from the first.
    model : {"random_walk", "two_state"} or StateModel
        "random_walk": between looks `mu` stays as it is, and its variance grows by `q` a day.
        "two_state": `mu` is the probability, 0 to 1, of the first of two states, such as wet and
        dry; each turns into the other at its rate. Or a
        :class:`~xfusion.series.models.StateModel` of your own.
    q : float or DataArray, in units of mu squared per day, or "ml"
        Of the random walk. "ml" finds it by what was seen of some 40 000 pixels, or all if there
        are not more, which are read at once: in four windows, and up to 64 where few of these were
        seen twice. The attribute `series_q` says what it is.
    rates : (float, float), per day, or "ml"
        Of two states: how often dry turns wet, and wet dry; each a number or a DataArray. An array
        of two numbers, as the attribute `series_rates` is, will do.
    prior : (float, float), or float or DataArray
        Of a random walk, mean and standard deviation on the first date of any look, before it is
        seen; by default the first look alone starts the state. Of two states, the probability of
        the first that those in `mu` hold already, that their odds are divided by: by default how
        often it is wet in the long run; with rates "ml" the mean of what was seen.
    times : list, str or None
        Of the result: dates, a step such as "1D", from the first date to the last, or by default
        all dates of any input, once.
    correlation, sigma_floor, nonfinite_sigma, use_mask
        As in :func:`xfusion.gaussian`, with which what is seen at one time is fused; a matrix
        has a row for each sensor, in the order in which they are given.

    Returns
    -------
    Dataset
        A retrieval along `time`: `mu` and `sigma`, float32 where all inputs are, NaN before the
        first look at a pixel; `mask`, 0 where they are known, else UNKNOWN; `source`, uint8, bit i
        set where sensor i saw the pixel at that time; `conflict`, bool, where those who saw it last
        contradict each other, or what was fused of them before did; `age`, float32, days since any
        saw it; and
        `count`, uint16, how many looks have contributed. Lazy where an input is, in its blocks,
        all times in one.

    Raises
    ------
    ValueError
        If grids, dims, units or times do not go together, an argument is missing or out of range,
        or `mu` is no probability where two states take one; of lazy inputs when it is computed.

    Notes
    -----
    Kalman (1960), A new approach to linear filtering and prediction problems. Of two states the
    forward part of Baum and others (1970), with `mu` as evidence: its odds over those of the prior;
    `sigma` is then ``sqrt(mu (1 - mu))``, and that of the looks has no part, but where several of
    one time are fused. After each date the state is rounded to its dtype, so that :func:`update`
    can go on from it. ``docs/time.md`` says when each model is wrong.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> seen = {"2023-06-01": 0.2, "2023-06-03": 0.4}
    >>> s1 = xf.stack([xf.retrieval([[mu]], 0.1, time=day) for day, mu in seen.items()])
    >>> state = s1.fusion.filter(q=0.005, times=["2023-06-03", "2023-06-04"])
    >>> state.mu.values.ravel().round(3), state.sigma.values.ravel().round(3)
    (array([0.333, 0.333]), array([0.082, 0.108]))
    """
    return through_time(
        Series([dataset, *others]),
        model=model,
        q=q,
        rates=rates,
        prior=prior,
        times=times,
        rules=Rules(correlation, sigma_floor, nonfinite_sigma, use_mask),
        smooth=False,
    )


def smooth(
    dataset: Retrieval,
    /,
    *others: Retrieval,
    model: Model = "random_walk",
    q: Any = None,
    rates: Any = None,
    prior: Any = None,
    times: Times | None = None,
    correlation: ArrayLike = 0.0,
    sigma_floor: float = SIGMA_FLOOR,
    nonfinite_sigma: NonfiniteSigma = "exclude",
    use_mask: bool = True,
) -> xr.Dataset:
    """Carry what is known of a quantity through time: of each time, by the looks before and after.

    Parameters
    ----------
    dataset, *others : Dataset or product
        As in :func:`filter`.
    model : {"random_walk", "two_state"} or ReversibleModel
        As in :func:`filter`; one of your own must be able to look back, see
        :class:`~xfusion.series.models.ReversibleModel`.
    q, rates, prior, times, correlation, sigma_floor, nonfinite_sigma, use_mask
        As in :func:`filter`.

    Returns
    -------
    Dataset
        As :func:`filter` does, but known from the first time on, where a pixel was seen at all;
        `count` is of all looks, `age` as there.

    Raises
    ------
    ValueError
        As :func:`filter` does.

    Notes
    -----
    Rauch, Tung and Striebel (1965), Maximum likelihood estimates of linear dynamic systems; of two
    states the backward part of Baum and others (1970).

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> seen = {"2023-06-01": 0.2, "2023-06-03": 0.4}
    >>> s1 = xf.stack([xf.retrieval([[mu]], 0.1, time=day) for day, mu in seen.items()])
    >>> s1.fusion.smooth(q=0.005, times="1D").mu.values.ravel().round(3)
    array([0.267, 0.3  , 0.333])
    """
    return through_time(
        Series([dataset, *others]),
        model=model,
        q=q,
        rates=rates,
        prior=prior,
        times=times,
        rules=Rules(correlation, sigma_floor, nonfinite_sigma, use_mask),
        smooth=True,
    )
