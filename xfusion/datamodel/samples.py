"""Monte-Carlo samples as a retrieval."""

from __future__ import annotations

import math

import xarray as xr

from .building import retrieval
from .caller import warn
from .names import PASSES
from .times import Time

LOST = 3  # of n samples n - 3 count where sigma is a weight


def from_samples(
    samples: xr.DataArray,
    /,
    dim: str = "sample",
    *,
    sensor: str | None = None,
    time: Time | None = None,
    correct_few: bool = True,
) -> xr.Dataset:
    """Mean and standard deviation over Monte-Carlo samples, as a retrieval.

    Parameters
    ----------
    samples : DataArray, dims (sample, ..., y, x)
        One prediction for each run of the network, such as the sigmoid outputs of a network with
        dropout left on. A pixel with a missing sample is missing.
    dim : str
        The dimension of the samples.
    sensor, time
        As in :func:`retrieval`.
    correct_few : bool
        Enlarge `sigma` for how little so few samples tell of it. With 2 or 3 no factor would do,
        and a warning says so.

    Returns
    -------
    Dataset
        `mu`, the mean; `sigma`, ``s sqrt((n - 1) / (n - 3))`` of the sample standard deviation s of
        n samples, or s itself; and the attribute `passes`, n.

    Raises
    ------
    ValueError
        If `dim` is not a dimension, or has fewer than two samples.

    Notes
    -----
    s has a relative error of about ``1 / sqrt(2 (n - 1))``, and where it happens to be small a
    sensor is believed too much. Of n normal samples ``E[1 / s^2]`` is ``(n - 1) / (n - 3)`` times
    what it should be, and so is the mean square of errors in units of s, that the factor mends.
    Of two sensors that are fused with weights ``1 / s^2`` it is then still 1.17 for 8 samples
    each, 1.05 for 20. That the mean of n samples is off by ``s / sqrt(n)`` itself is not in it:
    where `mu` is this mean, and not that of many more samples, the variance of its distance from
    a further one is ``1 + 1 / n`` times as large.

    Examples
    --------
    >>> import xarray as xr, xfusion as xf
    >>> values = [[[0.1]], [[0.2]], [[0.3]], [[0.4]], [[0.5]]]
    >>> water = xr.DataArray(values, dims=("sample", "y", "x")).fusion.from_samples("sample")
    >>> float(water.mu[0, 0].round(3)), float(water.sigma[0, 0].round(3)), water.attrs["passes"]
    (0.3, 0.224, 5)
    """
    if dim not in samples.dims:
        msg = f"samples has dims {samples.dims}, none is {dim!r}: name the dim of the samples"
        raise ValueError(msg)
    if samples.sizes[dim] < 2:  # noqa: PLR2004  # a spread takes two
        msg = f"{samples.sizes[dim]} sample along {dim!r}: a standard deviation takes two"
        raise ValueError(msg)
    count = samples.sizes[dim]
    mu = samples.mean(dim, skipna=False, keep_attrs=True)
    sigma = samples.std(dim, skipna=False, ddof=1)
    if correct_few:
        sigma = sigma * factor_of_few(count, f"along {dim!r}")
    dataset = retrieval(mu, sigma, sensor=sensor, time=time)
    return dataset.assign_attrs({PASSES: count})


def factor_of_few(count: int, of: str) -> float:
    """Return what makes up for how little two or more samples tell of sigma; 1 where none does.

    Parameters
    ----------
    count : int
    of : str
        Where they are from, for the warning that none does.
    """
    if count > LOST:
        return math.sqrt((count - 1) / (count - LOST))
    warn(
        f"{count} samples {of}: what they tell of sigma is too little to be corrected, so it "
        "may be far too small: take more, or say correct_few=False"
    )
    return 1.0
