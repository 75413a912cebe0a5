"""How errors of neighbouring pixels go together, measured where the truth is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.describing import without_missing_labels
from xfusion.datamodel.grid import geobox_of
from xfusion.datamodel.ground_distance import GroundDistance
from xfusion.datamodel.units import as_number
from xfusion.datamodel.validation import Retrieval, as_retrieval

from .block_sums import summed_over_blocks
from .correlation_range import LAG, Z2
from .pairs_of_block import KINDS, LagTask
from .pixel_errors import expected, share_of

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

FARTHEST = 128  # pixels; errors of real maps are correlated over 20 to 50
PART = 4  # of a side: at lags much longer there are few pairs that say something of their own
ROUNDING = 1e-12  # of the sum at lag 0, as a Fourier transform leaves where there is nothing
RIDGE = 1e-3  # how much the mean around a lag counts beside least squares
TOLERANCE = 1e-6  # of a step


def error_correlation(
    dataset: Retrieval,
    /,
    reference: xr.DataArray,
    *,
    threshold: float | None = None,
    max_lag: float | None = None,
) -> xr.DataArray:
    """Return the correlation of the errors of two pixels, by how far apart they are.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval.
    reference : DataArray
        What is true, on the grid of the retrieval: 0 and 1 for a probability, else in units that
        can be converted to those of mu. NaN and declared nodata are not known.
    threshold : float, in units of mu, or pint quantity, optional
        For ``area(threshold=...)``: the errors are those of the probability to exceed it.
    max_lag : float, optional
        The longest distance, in metres. By default a quarter of the shorter side of the grid, and
        not more than 128 pixels.

    Returns
    -------
    DataArray
        float64, along `lag`, metres from 0 on in steps of the shorter side of a pixel; 1 at 0.
        It is for ``area(correlation=...)``, of this or another grid, which takes it for 0 beyond
        the longest lag. With it go `pairs`, how many pairs of pixels each is from, and `z2`, the
        mean squared error over squared sigma, which is 1 where sigma is right. Lazy where
        an input is lazy.

    Raises
    ------
    ValueError
        If the reference is on another grid or in other units, or `max_lag` is shorter than a pixel
        or longer than the diagonal of the grid.

    Notes
    -----
    ``r(h) = sum(e_i e_j) / sum(s_i s_j) / z2`` over the usable pairs of pixels i and j that are h
    apart, with e the reference less mu, s sigma, and z2 the same ratio at h = 0. Pairs are
    counted by Fourier transform; between lags the line is taken that fits them best, by least
    squares. The mean of errors is not taken away: a bias is an error that all pixels have. At a
    lag without pairs it is 0, and so it is at all beyond h = 0 where no pixel errs. All labels of
    further dims, such as `time`, go into one.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> from odc.geo.geobox import GeoBox
    >>> from odc.geo.xr import xr_zeros
    >>> grid = GeoBox.from_bbox((0, 0, 640, 640), "EPSG:3035", resolution=10)
    >>> truth = xr_zeros(grid) + np.random.default_rng(0).normal(0, 0.1, grid.shape)
    >>> alone = xf.error_correlation(xf.retrieval(xr_zeros(grid), 0.1), truth)
    >>> float(alone[0]), bool(abs(alone[1:]).max() < 0.1)
    (1.0, True)
    """
    dataset = as_retrieval(dataset)
    geobox = geobox_of(dataset)
    task = LagTask(geobox, _lags(geobox, max_lag))
    value, deviation = expected(dataset, threshold)
    error = share_of(dataset, reference, threshold) - value
    deviation = deviation.where(np.isfinite(error))
    shape = (len(task.lags), KINDS)
    sums = summed_over_blocks(task, [error], [error, deviation], np.zeros(0), shape)
    by_lag = xr.DataArray(sums.sum(axis=tuple(range(error.ndim - 2))), dims=(LAG, "kind"))
    correlation, pairs, z2 = xr.apply_ufunc(
        _fitted,
        by_lag,
        input_core_dims=[[LAG, "kind"]],
        output_core_dims=[[LAG], [LAG], []],
        dask="parallelized",
        output_dtypes=[np.float64] * 3,
    )
    attrs = {"long_name": "correlation of errors of two pixels", "units": "1"}
    lag = xr.Variable(LAG, np.array(task.lags), {"long_name": "distance", "units": "m"})
    said = {"pairs": "number of pairs of pixels", Z2: "mean squared error over sigma squared"}
    told = {
        name: array.assign_attrs(long_name=said[name], units="1")
        for name, array in (("pairs", pairs), (Z2, z2))
    }
    found = xr.DataArray(correlation.variable, {LAG: lag, **told}, name="error_correlation")
    return without_missing_labels(found.assign_attrs(attrs))


def _fitted(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return correlation, numbers of pairs, and mean squared error over sigma squared.

    Parameters
    ----------
    sums : array, shape (lags, KINDS)
        Of :class:`LagTask`.

    Notes
    -----
    The line from lag to lag that is nearest to the ratio of all pairs, by least squares; where
    that is not determined, the mean of the ratio around the lag.
    """
    from scipy.linalg import solveh_banded

    errors, deviations, pairs, squares, neighbours = sums.T
    z2 = errors[0] / deviations[0] if deviations[0] > 0 else np.nan
    known = (deviations > ROUNDING * deviations[0]) & (pairs > 0)
    mean = np.where(known, errors, 0.0) / np.where(known, deviations, 1.0)
    pull = np.where(known, RIDGE * deviations, 1.0)
    bands = np.stack([np.where(known, squares, 0.0) + pull, np.where(known, neighbours, 0.0)])
    bands[1, :-1] *= known[1:]
    right = np.where(known, errors, 0.0) + pull * mean
    ratio = solveh_banded(bands, right, lower=True)
    # where no pixel errs there is nothing that could go together
    correlation = np.zeros(len(ratio)) if z2 == 0 else np.clip(ratio / z2, -1.0, 1.0)
    correlation[0] = np.nan if np.isnan(z2) else 1.0
    return correlation, np.rint(pairs), np.asarray(z2)


def _lags(geobox: GeoBox, max_lag: float | None) -> tuple[float, ...]:
    """Return the lags in metres, in steps of the shorter side of a pixel."""
    sides = GroundDistance(geobox).smallest_sides
    step = min(sides)
    if max_lag is None:
        shorter = min(n * side for n, side in zip(geobox.shape, sides, strict=True))
        longest = max(step, min(shorter / PART, FARTHEST * step))
    else:
        longest = as_number(max_lag, "m")
        across = math.hypot(*(n * side for n, side in zip(geobox.shape, sides, strict=True)))
        if not step <= longest <= across:
            msg = (
                f"{max_lag=}: give a distance in metres, at least that of two pixels, {step:.3g}, "
                f"and at most the diagonal of the grid, {across:.4g}"
            )
            raise ValueError(msg)
    number = int(longest / step + TOLERANCE)
    return tuple((np.arange(number + 1) * step).tolist())
