"""The error of a probability, which a spread of predictions is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.building import usable
from xfusion.datamodel.cf import annotate
from xfusion.datamodel.names import ALEATORIC, MU, PASSES, SIGMA
from xfusion.datamodel.validation import Retrieval, as_retrieval, check_probability

RMS_OR_DELTA = "calibration_sigma"  # the attribute of how a calibration made sigma


def add_aleatoric(dataset: Retrieval, /, *, passes: int | None = None) -> xr.Dataset:
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
        Of how many predictions `mu` is the mean, if it is: by default what
        :func:`from_samples` has noted in the attribute `passes`.

    Returns
    -------
    Dataset
        The retrieval with a larger `sigma`, of its dtype; the attribute `aleatoric` says that and
        how. Lazy where the input is.

    Raises
    ------
    ValueError
        If it was added before, `passes` is not a whole number of at least 1, or `mu` has units;
        and, of what is lazy when it is computed, if a usable `mu` is not from 0 to 1.

    Notes
    -----
    ``sigma^2 + mu (1 - mu)``, and never less than T passes can tell: where all of them say 0, or 1,
    that of a probability of which T draws are known, ``p (1 - p) / (T + 3)`` with
    ``p = (T mu + 1) / (T + 2)``, the variance of its posterior after a uniform prior (Laplace
    1774). For 20 passes that is a sigma of 0.043.

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
    if ALEATORIC in dataset.attrs:
        msg = (
            f"sigma holds the aleatoric part already, {dataset.attrs[ALEATORIC]!r}: it is added "
            "once, before sensors are fused"
        )
        raise ValueError(msg)
    if dataset.attrs.get(RMS_OR_DELTA) == "rms":
        msg = (
            "sigma is the root mean square error of a calibration, which holds the aleatoric part: "
            "leave one of both, .apply_calibration(..., sigma='delta')"
        )
        raise ValueError(msg)
    check_probability(dataset[MU], "add_aleatoric")
    given: Any = dataset.attrs.get(PASSES) if passes is None else passes
    if given is not None and not (float(given) >= 1 and float(given) == int(given)):
        msg = f"passes={given!r}: must be a whole number of at least 1, or None"
        raise ValueError(msg)
    number = None if given is None else int(given)
    sigma: xr.DataArray = xr.apply_ufunc(
        _with_aleatoric,
        dataset[MU],
        dataset[SIGMA],
        usable(dataset),
        kwargs={"passes": number},
        join="exact",
        dask="parallelized",
        output_dtypes=[dataset[SIGMA].dtype],
        keep_attrs=True,
    )
    sigma = sigma.drop_attrs(deep=False).assign_attrs(dataset[SIGMA].attrs)
    how = "mu (1 - mu)" if number is None else f"mu (1 - mu), of {number} passes"
    return annotate(dataset.assign({SIGMA: sigma.variable}).assign_attrs({ALEATORIC: how}))


def _with_aleatoric(
    mu: NDArray[Any], sigma: NDArray[Any], known: NDArray[np.bool_], *, passes: int | None
) -> NDArray[Any]:
    wrong = known & ~((mu >= 0) & (mu <= 1))
    if wrong.any():
        msg = (
            f"mu has the value {mu[wrong][0]}, which is no probability: divide percent by 100, "
            "or .clip(0, 1) what is beyond by rounding"
        )
        raise ValueError(msg)
    p = np.clip(mu.astype(np.float64), 0.0, 1.0)
    variance = np.square(sigma.astype(np.float64)) + p * (1.0 - p)
    if passes is not None:
        drawn = (passes * p + 1.0) / (passes + 2.0)
        variance = np.maximum(variance, drawn * (1.0 - drawn) / (passes + 3.0))
    return np.sqrt(variance).astype(sigma.dtype)
