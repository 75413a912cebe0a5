"""The formulas of DESIGN section 2 in plain numpy, pixel by pixel case by case."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

FLOOR = 1e-6


def fuse_two(
    a: xr.Dataset, b: xr.Dataset, *, use_mask: bool = True, floor_nonfinite: bool = False
) -> tuple[NDArray[Any], NDArray[Any]]:
    """mu and sigma of two sensors, in double precision."""
    (mu1, s1, ok1), (mu2, s2, ok2) = (_sensor(r, use_mask, floor_nonfinite) for r in (a, b))
    with np.errstate(all="ignore"):
        both_mu = (s2**2 * mu1 + s1**2 * mu2) / (s1**2 + s2**2)
        both_var = s1**2 * s2**2 / (s1**2 + s2**2)
    cases = [ok1 & ok2, ok1, ok2]
    mu = np.select(cases, [both_mu, mu1, mu2], np.nan)
    sigma = np.select(cases, [np.sqrt(both_var), s1, s2], np.nan)
    return mu, sigma


def _sensor(
    r: xr.Dataset, use_mask: bool, floor_nonfinite: bool
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    mu, sigma = r.mu.values.astype(np.float64), r.sigma.values.astype(np.float64)
    usable = np.isfinite(mu)
    sound = np.isfinite(sigma) & ~(sigma < 0)
    if floor_nonfinite:
        sigma = np.where(sound, sigma, FLOOR)
    else:
        usable &= sound
    sigma = np.where(sigma <= FLOOR, FLOOR, sigma)
    if use_mask and "mask" in r:
        usable &= r["mask"].values == 0
    return mu, sigma, usable


def merge_any(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """1 where either is 1; 0 where at least one is 0 and none is 1; NaN where both are NaN."""
    merged = np.full(a.shape, np.nan)
    for i in np.ndindex(a.shape):
        pair = {float(v) for v in (a[i], b[i]) if not np.isnan(v)}
        if 1.0 in pair:
            merged[i] = 1
        elif 0.0 in pair:
            merged[i] = 0
    return merged
