"""The probability of water on the example scene: odds of calibrated sensors, and an average."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xfusion.assessment.applying import apply_calibration
from xfusion.assessment.calibrating import calibrate
from xfusion.datamodel.building import usable
from xfusion.datamodel.names import MU
from xfusion.fusion.combine import fuse

WET = 0.5  # the water fraction of a pixel that is more water than land
BANDS = 8  # of rows, which stand for scenes: each is left out once


def fuse_odds(s1: xr.Dataset, s2: xr.Dataset, wet: xr.DataArray) -> xr.Dataset:
    """Calibrate two sensors by a reference, and fuse their odds.

    Parameters
    ----------
    s1, s2 : Dataset
        Retrievals in memory, on one grid; noise may have led their means beyond 0 and 1.
    wet : DataArray
        The reference: 1 where there is water, 0 where there is none, NaN where it is not known.

    Returns
    -------
    Dataset
        A retrieval of the probability of water.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> rng = np.random.default_rng(0)
    >>> wet = xr.DataArray((rng.random((64, 64)) < 0.3).astype(float), dims=("y", "x"))
    >>> s1, s2 = (xf.retrieval(0.1 + 0.8 * wet + 0 * k, wet * 0 + 0.1) for k in (1, 2))
    >>> fused = fuse_odds(s1, s2, wet)
    >>> bool((fused.mu.where(wet == 1).min() > fused.mu.where(wet == 0).max()).item())
    True
    """
    rows = wet.dims[0]
    bands = np.arange(wet.sizes[rows]) * BANDS // wet.sizes[rows]
    groups = xr.zeros_like(wet, np.int64) + xr.DataArray(bands, dims=[rows])
    # the same pixels for both, or the shares that are wet differ
    known = wet.where(usable(s1) & usable(s2))
    calibrated = []
    for sensor in (s1, s2):
        clipped = sensor.assign({MU: sensor[MU].clip(0, 1)})
        calibrated.append(apply_calibration(clipped, calibrate(clipped, known, groups=groups)))
    return fuse(*calibrated, rule="log_odds", prior="calibration")


def brier_scores(
    s1: xr.Dataset, s2: xr.Dataset, fused: xr.Dataset, wet: xr.DataArray
) -> dict[str, float]:
    """Return the mean square error of probabilities of water where these have learned nothing.

    The sensors are calibrated in the western half; scored is the eastern one, where both are
    usable.

    Parameters
    ----------
    s1, s2, fused : Dataset
        Retrievals in memory, and their Gaussian fusion.
    wet : DataArray of float
        1 where there is water, 0 where there is none.
    """
    columns = wet.dims[1]
    west = xr.DataArray(np.arange(wet.sizes[columns]) * 2 < wet.sizes[columns], dims=[columns])
    odds = fuse_odds(s1, s2, wet.where(west))
    scored = usable(s1) & usable(s2) & ~west
    by_rule = {"gaussian": fused[MU].clip(0, 1), "log_odds": odds[MU]}
    return {rule: float(((p - wet) ** 2).where(scored).mean()) for rule, p in by_rule.items()}
