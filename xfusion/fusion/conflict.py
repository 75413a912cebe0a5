"""Mark pixels whose sensors disagree by more than their sigmas allow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.names import CHI2, CONFLICT, WEIGHT
from xfusion.datamodel.units import as_number
from xfusion.datamodel.validation import Retrieval, as_retrieval


def flag_conflict(dataset: Retrieval, /, *, level: float = 0.01) -> xr.Dataset:
    """Mark pixels where the sensors disagree: chi-square is too large for chance.

    Parameters
    ----------
    dataset : Dataset or product
        A result of :func:`xfusion.gaussian` or :func:`xfusion.fuse` with ``diagnostics=True``.
    level : float
        A pixel is marked if, were the sigmas right and the errors normal, a chi-square as large
        had less than this probability.

    Returns
    -------
    Dataset
        The retrieval with `conflict`, bool, False also where fewer than two sensors are usable.
        ``ds.fusion.exclude(ds.conflict)`` excludes these pixels. Lazy where the input is.

    Raises
    ------
    ValueError
        If there are no diagnostics or not of all sensors, or `level` is not between 0 and 1.

    Notes
    -----
    ``Q = min_m (mu - m)' C^-1 (mu - m)`` over the N usable sensors follows a chi-square
    distribution with N - 1 degrees of freedom (Birge 1932; ISO/TS 21749 uses it for two).

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> s1 = xf.retrieval(np.array([[0.2, 0.1]]), np.full((1, 2), 0.1))
    >>> s2 = xf.retrieval(np.array([[0.3, 0.9]]), np.full((1, 2), 0.1))
    >>> s1.fusion.gaussian(s2, diagnostics=True).fusion.flag_conflict().conflict.values
    array([[False,  True]])
    """
    dataset = as_retrieval(dataset)
    if not 0 < as_number(level) < 1:
        msg = f"{level=}: must be a probability between 0 and 1, e.g. 0.01"
        raise ValueError(msg)
    lacking = [name for name in (CHI2, WEIGHT) if name not in dataset]
    if lacking:
        msg = f"the retrieval lacks {lacking}: fuse with gaussian(..., diagnostics=True)"
        raise ValueError(msg)
    sensors = set(dataset[WEIGHT].dims) - set(dataset[CHI2].dims)
    if len(sensors) != 1:
        msg = (
            f"weight has the dims {dataset[WEIGHT].dims}, chi2 {dataset[CHI2].dims}: weight must "
            "have that of the sensors besides; call flag_conflict() before a sensor is selected"
        )
        raise ValueError(msg)
    (label,) = sensors
    number = dataset.sizes[label]
    limits = [np.inf, np.inf, *(_critical(dof, level) / dof for dof in range(1, number))]
    usable = dataset[WEIGHT].notnull().sum([label])
    conflict = xr.apply_ufunc(
        _exceeds,
        dataset[CHI2],
        usable,
        kwargs={"limits": np.array(limits)},
        join="exact",
        dask="parallelized",
        output_dtypes=[bool],
        keep_attrs=False,
    )
    attrs = {"long_name": "sensors disagree by more than their sigmas allow", "level": level}
    return annotate(dataset.assign({CONFLICT: conflict.assign_attrs(attrs).variable}))


def _exceeds(
    chi2: NDArray[Any], count: NDArray[Any], *, limits: NDArray[np.float64]
) -> NDArray[np.bool_]:
    exceeding: NDArray[np.bool_] = chi2 > limits[count]
    return exceeding


def _critical(dof: int, level: float) -> float:
    """Return the value that chi-square of `dof` degrees of freedom exceeds with a probability."""
    low, high = 0.0, 1.0
    while _exceeded(high, dof) > level:
        high *= 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _exceeded(middle, dof) > level else (low, middle)
    return high


def _exceeded(x: float, dof: int) -> float:
    """Return the probability that chi-square exceeds x > 0; Abramowitz and Stegun 26.4.4-5."""
    half, odd = 0.5 * x, dof % 2
    terms = (k + 0.5 * odd for k in range(dof // 2))
    total = sum(math.exp(k * math.log(half) - half - math.lgamma(k + 1.0)) for k in terms)
    return total + (math.erfc(math.sqrt(half)) if odd else 0.0)
