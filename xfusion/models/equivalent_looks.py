"""How many looks a pixel of Sentinel-1 has, which is the mean of several whose speckle is alike."""

from __future__ import annotations

import math

import numpy as np

LOOKS = 4.4  # of Sentinel-1 IW GRDH, and so of what is made of it pixel by pixel
SPACING = 10.0  # metres from one of its pixels to the next
ALIKE = 15.5  # metres at which the correlation of the power of speckle is 1 / e
FARTHEST = 20  # pixels, at which nothing is left of it


def looks_at(resolution: float) -> float:
    """Return the equivalent number of looks of Sentinel-1 IW on a grid of some resolution.

    Parameters
    ----------
    resolution : float
        Metres of a pixel, which is the mean of the power of the pixels of 10 m within it, as
        :func:`xfusion.stac.load` makes it.

    Returns
    -------
    float
        For ``looks=`` of :func:`from_backscatter`: 4.4 at 10 m and below, more on coarser grids.

    Raises
    ------
    ValueError
        If there is no such resolution.

    Notes
    -----
    ``L = 4.4 / v(s)^2``, with s the resolution over 10 m, and ``v(s) = sum w_i w_j rho(i - j)`` the
    variance of the mean of a row of s pixels of variance 1, the last a part; 4.4 is in the product
    definition of Sentinel-1 IW GRDH. Neighbours are alike, as its pixels are closer than its
    resolution of 20 by 22 m, and more so by the interpolation of a terrain correction: on even land
    of three chips of 10 m the power of speckle has a correlation of 0.66 with that of the next
    pixel and 0.2 with the one after it, ``rho(d) = exp(-(d / 15.5 m)^2)``. So 20 m have 6.4 looks,
    and not 17.6. Pixels of 10 m that are interpolated, as between UTM zones, have more than 4.4:
    that is not counted.

    Examples
    --------
    >>> import xfusion as xf
    >>> [round(xf.water.looks_at(metres), 1) for metres in (10, 20, 50, 100)]
    [4.4, 6.4, 20.8, 69.0]
    """
    if not (np.ndim(resolution) == 0 and 0 < resolution < math.inf):
        msg = f"{resolution=}: give the metres of a pixel, such as 20"
        raise ValueError(msg)
    return LOOKS / _variance(max(1.0, resolution / SPACING)) ** 2


def _variance(side: float) -> float:
    """Return the variance of the mean of a row of pixels of variance 1."""
    number = math.ceil(side)
    last = side - (number - 1)  # what the mean has of the last pixel; of the others all
    lags = np.arange(1, min(number, FARTHEST))
    alike = np.exp(-((SPACING * lags / ALIKE) ** 2))
    pairs = number - 1 - lags + last
    return (number - 1 + last**2 + 2 * float((pairs * alike).sum())) / side**2
