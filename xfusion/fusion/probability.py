"""Probabilities of what a retrieval estimates."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.names import MU, SIGMA
from xfusion.datamodel.units import as_number, units_of
from xfusion.datamodel.validation import Retrieval, as_retrieval, check_bounds


def exceedance(
    dataset: Retrieval, /, threshold: float, *, bounded: tuple[float, float] | None = None
) -> xr.DataArray:
    """Return the probability that the quantity is above a threshold.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval; its errors are taken to be normal.
    threshold : float, in units of mu, or pint quantity
    bounded : (float, float), optional
        Bounds that the quantity cannot leave, such as (0, 1): the normal distribution is cut
        off there. For a retrieval fused without `bounded`.

    Returns
    -------
    DataArray
        0 to 1, of the dtype of `mu`; NaN where mu or sigma is not finite. Masks are not looked
        at. Lazy where the input is.

    Raises
    ------
    ValueError
        If the bounds are in the wrong order or were applied before, or the threshold is not a
        number, or in units that cannot be converted to those of mu.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> water = xf.retrieval(np.array([[0.5, 0.7]]), np.array([[0.1, 0.1]]))
    >>> water.fusion.exceedance(0.5).round(3).values
    array([[0.5  , 0.977]])
    """
    dataset = as_retrieval(dataset)
    units = units_of(dataset[MU])
    wanted = f"threshold={threshold!s}: must be a number, in the units of mu ({units!r})"
    try:
        limit = as_number(threshold, units)
    except ValueError as error:
        msg = f"{wanted}; {error}"
        raise ValueError(msg) from error
    if np.isnan(limit):
        raise ValueError(wanted)
    check_bounds(bounded)
    if "fusion_bounded" in dataset.attrs:
        msg = (
            f"mu and sigma are of a distribution cut off at {dataset.attrs['fusion_bounded']}: "
            "fuse without bounded=, then exceedance(threshold, bounded=...)"
        )
        raise ValueError(msg)
    lower, upper = bounded or (-np.inf, np.inf)
    lazy = any(dataset[v].chunks is not None for v in (MU, SIGMA))
    probability: xr.DataArray = xr.apply_ufunc(
        _exceedance,
        dataset[MU],
        dataset[SIGMA],
        kwargs={
            "threshold": limit,
            "lower": float(lower),
            "upper": float(upper),
            "threads": 1 if lazy else None,
        },
        join="exact",
        dask="parallelized",
        output_dtypes=[np.result_type(dataset[MU].dtype, dataset[SIGMA].dtype)],
        keep_attrs=True,  # those of coordinates, too: without them there is no CRS
    )
    attrs = {"long_name": f"probability of exceeding {limit:g}", "units": "1"}
    return probability.rename("exceedance").drop_attrs(deep=False).assign_attrs(attrs)


def _exceedance(mu: NDArray[Any], sigma: NDArray[Any], **arguments: Any) -> NDArray[Any]:
    from xfusion.kernels import truncated  # numba takes half a second to import

    sound = np.isfinite(mu) & np.isfinite(sigma) & (sigma >= 0)
    dtype = np.result_type(mu, sigma)
    finite_mu = np.where(sound, mu, np.nan).astype(dtype)
    return truncated.exceedance(finite_mu, sigma.astype(dtype), **arguments)
