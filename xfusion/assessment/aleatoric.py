"""The error of a probability, which a spread of predictions is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.names import ALEATORIC, CALIBRATED, MASK, MU, PASSES, SIGMA
from xfusion.datamodel.units import as_number
from xfusion.datamodel.validation import Retrieval, as_retrieval, check_probability
from xfusion.kernels.parallel import map_ranges, pixels

RMS_OR_DELTA = "calibration_sigma"  # the attribute of how a calibration made sigma


def add_aleatoric(dataset: Retrieval, /, passes: int | None = None) -> xr.Dataset:
    """Let the sigma of a probability be that of what it is the probability of.

    What a network is unsure of, the spread of its predictions, is not how far they are from a truth
    that is 0 or 1. Of a probability `mu` that is right, that error has the variance
    ``mu (1 - mu)``, and both add up.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval whose `mu` is a probability, calibrated better than not: see
        :func:`calibrate`.
    passes : int, optional
        Of how many predictions `mu` is the mean. By default what :func:`from_samples` has noted
        in the attribute `passes`, unless `mu` was calibrated since: then it is a share of the
        pixels of the reference, and no mean of so few.

    Returns
    -------
    Dataset
        The retrieval with a larger `sigma`, of its dtype, where that and `mu` are numbers, masked
        or not; the attribute `aleatoric` says that and how. Lazy where the input is.

    Raises
    ------
    ValueError
        If sigma has it already, of before, of a sensor that was fused, or of
        ``apply_calibration(sigma="rms")``; `passes` is not a whole number of at least 1; or `mu`
        has units. When it is computed, if a usable `mu` is not from 0 to 1.

    Notes
    -----
    ``sigma^2 + mu (1 - mu)``, and never less than T passes can tell: where all of them say 0, or 1,
    that of a probability of which T draws are known, ``p (1 - p) / (T + 3)`` with
    ``p = (T mu + 1) / (T + 2)``, the variance of its posterior after a uniform prior (Laplace
    1774). For 20 passes that is a sigma of 0.043. Only what lies closer to 0 or 1 than about
    ``1 / T^2`` is raised by it.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> s1 = xf.retrieval(np.array([[0.5, 0.9, 1.0]]), np.array([[0.1, 0.1, 0.0]]))
    >>> s1.fusion.add_aleatoric().sigma.values.round(3)
    array([[0.51 , 0.316, 0.   ]])
    >>> s1.fusion.add_aleatoric(passes=20).sigma.values.round(3)
    array([[0.51 , 0.316, 0.043]])
    """
    dataset = as_retrieval(dataset)
    _refuse_twice(dataset.attrs)
    check_probability(dataset[MU], "add_aleatoric")
    number = _number_of(dataset.attrs, passes)
    layers = [dataset[v] for v in (MU, SIGMA, MASK) if v in dataset]
    lazy = any(layer.chunks is not None for layer in layers)
    sigma: xr.DataArray = xr.apply_ufunc(
        _with_aleatoric,
        *layers,
        # a dask task is one of many already
        kwargs={"passes": number, "threads": 1 if lazy else None},
        join="exact",
        dask="parallelized",
        output_dtypes=[dataset[SIGMA].dtype],
    )
    # its encoding is that of the values before
    variable = xr.Variable(sigma.dims, sigma.data, dataset[SIGMA].attrs)
    how = "mu (1 - mu)" if number is None else f"mu (1 - mu), of {number} passes"
    return annotate(dataset.assign({SIGMA: variable}).assign_attrs({ALEATORIC: how}))


def _refuse_twice(attrs: Any) -> None:
    if ALEATORIC in attrs:
        msg = (
            f"sigma holds the aleatoric part already, {attrs[ALEATORIC]!r}: it is added once, "
            "before sensors are fused"
        )
        raise ValueError(msg)
    if attrs.get(RMS_OR_DELTA) == "rms":
        msg = (
            "sigma is the root mean square error of a calibration, which holds the aleatoric part "
            "already: leave one of both, .apply_calibration(..., sigma='delta')"
        )
        raise ValueError(msg)


def _number_of(attrs: Any, passes: int | None) -> int | None:
    """Return how many passes mu is the mean of, None where it is of none, or unknown."""
    noted = None if CALIBRATED in attrs else attrs.get(PASSES)
    given: Any = noted if passes is None else passes
    if given is None:
        return None
    try:
        # the tags of a file are texts
        number = as_number(float(given) if isinstance(given, str) else given)
    except ValueError:
        number = np.nan
    if not (1 <= number < np.inf and number == int(number)):
        msg = f"passes={given!r}: must be a whole number of at least 1, or None"
        raise ValueError(msg)
    return int(number)


def _with_aleatoric(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8] | None = None,
    *,
    passes: int | None,
    threads: int | None,
) -> NDArray[Any]:
    from xfusion.kernels.pair_counts import SLACK  # numba takes half a second to import

    result = np.empty(sigma.shape, sigma.dtype)
    flat = result.reshape(-1)

    def on_range(start: int, stop: int) -> None:
        m, s = pixels(mu, start, stop), pixels(sigma, start, stop)
        sound = np.isfinite(m) & np.isfinite(s) & (s >= 0)
        used = sound if mask is None else sound & (pixels(mask, start, stop) == 0)
        wrong = used & ((m < -SLACK) | (m > 1 + SLACK))
        if wrong.any():
            msg = (
                f"mu has the value {m[wrong][0]}, which is no probability: divide percent by "
                "100, .clip(0, 1) what noise led beyond, or exclude it, ds.fusion.exclude(...)"
            )
            raise ValueError(msg)
        p = np.where(sound, m, 0.0).astype(np.float64).clip(0.0, 1.0)
        deviation = np.hypot(np.where(sound, s, 0.0), np.sqrt(p * (1.0 - p)))
        if passes is not None:
            drawn = (passes * p + 1.0) / (passes + 2.0)
            deviation = np.maximum(deviation, np.sqrt(drawn * (1.0 - drawn) / (passes + 3.0)))
        # a sigma that is broken stays so
        flat[start:stop] = np.where(sound, deviation, s)

    map_ranges(on_range, result.size, threads=threads)
    return result
