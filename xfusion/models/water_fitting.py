"""Fit the parameters of a retrieval of water to a reference."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.datamodel.groups import groups_of
from xfusion.datamodel.reference import on_grid

from .bands_of_water import NOISE, Bands, PowerUnits, backscatter_of, reflectance_of
from .measured import GREEN, NIR, SWIR16
from .regression import fitted
from .water_parameters import VH, VV, WaterParameters, as_rows

TWO = 2  # groups, from which something is known of a third


def fit(
    bands: xr.Dataset | Mapping[str, xr.DataArray],
    reference: xr.DataArray,
    *,
    groups: xr.DataArray | Hashable | None = None,
    weights: xr.DataArray | None = None,
    ridge: float = 1.0,
    units: PowerUnits | None = None,
    scale: float | None = None,
    offset: float = 0.0,
    source: str = "fitted",
) -> WaterParameters:
    """Fit the parameters of a retrieval of water to a reference, by logistic regression.

    It computes: lazy bands are read once for each of about eight steps, block by block, so that
    memory does not grow with them. Compute them before if they fit into it.

    Parameters
    ----------
    bands : Dataset or mapping of DataArrays
        `vv` and maybe `vh`, as in :func:`from_backscatter`; or `green` with `swir16`, `nir` or
        both, as in :func:`from_reflectance`. Other variables are not looked at.
    reference : DataArray, on the grid of the bands
        0 is dry, 1 is water, or bool; NaN or declared nodata is not known, and pixels that are
        excluded should be. Dims that it lacks, such as `time`, are those of the bands.
    groups : DataArray or hashable, optional
        The scenes, as in :func:`calibrate`. The covariance is then that of scenes that are drawn
        anew, whatever is alike within each; without, each pixel counts as independent, and it
        is far too small.
    weights : DataArray, optional
        How much a pixel counts, 0 or more.
    ridge : float
        What the square of a coefficient costs, of a feature in units of its own standard deviation:
        as much as one pixel, and enough to keep it finite where a threshold parts all pixels; 0 for
        none.
    units, scale, offset
        As in :func:`from_backscatter` and :func:`from_reflectance`.
    source : str
        What the parameters are to say of themselves.

    Returns
    -------
    WaterParameters
        For any blocks the same, up to rounding.

    Raises
    ------
    ValueError
        If bands are missing, grids or units do not fit, the reference is not 0 or 1, no pixel is
        known, or all are the same.

    Warns
    -----
    UserWarning
        With fewer than two groups, that the covariance is that of independent pixels.

    Notes
    -----
    Maximum likelihood with the penalty ``ridge / 2 sum b_k^2 s_k^2``, by Newton's method, which for
    the logistic is iteratively reweighted least squares (McCullagh and Nelder 1989). The covariance
    is ``A^-1 B A^-1``, A the second derivatives with the penalty, and B the sum over groups of the
    outer products of their scores, times ``G / (G - 1)`` (Liang and Zeger 1986). Of two or three
    groups it is a rough guess, and of coefficients more than groups it has directions in which it
    is zero. It is what the mean of scenes is unsure of; by how much one scene differs from it is
    not in it.

    References
    ----------
    Liang, K.-Y., Zeger, S. L. (1986): Longitudinal data analysis using generalized linear models.
    Biometrika 73, 13-22. McCullagh, P., Nelder, J. A. (1989): Generalized linear models, 2nd ed.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> rng = np.random.default_rng(0)
    >>> water = xr.DataArray(rng.random((100, 100)) < 0.3, dims=("y", "x"))
    >>> vv = xr.where(water, -19.0, -11.0) + 2.5 * rng.standard_normal(water.shape)
    >>> scene = xr.DataArray(np.arange(100) // 10, dims="y").broadcast_like(water)
    >>> model = xf.water.fit({"vv": vv}, water, groups=scene, units="dB")
    >>> model.count, len(model.groups), [round(b, 1) for b in model.coefficients]
    (10000, 10, [-19.9, -1.3])
    >>> xf.water.from_backscatter(vv, parameters=model, units="dB").mu.dims
    ('y', 'x')
    """
    if not (np.ndim(ridge) == 0 and 0 <= ridge < np.inf):
        msg = f"{ridge=}: must be a number of 0 or above"
        raise ValueError(msg)
    given = _of_names(bands, units=units, scale=scale, offset=offset)
    grid = given.grid
    arrays = dict(zip(given.names, (band.data for band in given.layers), strict=True))
    arrays["reference"] = on_grid(grid, reference).data
    of_pixels = None if groups is None else groups_of(grid, groups)
    if of_pixels is not None:
        codes = of_pixels.codes.expand_dims(
            [d for d in grid.mu.dims if d not in of_pixels.codes.dims]
        )
        lazy = codes.transpose(*grid.mu.dims).data
        arrays["codes"] = lazy if hasattr(lazy, "chunks") else np.broadcast_to(lazy, grid.mu.shape)
    if weights is not None:
        arrays["weights"] = on_grid(grid, weights, name="weights").data
    found = fitted(arrays, given.measured, ridge=float(ridge))
    named = {} if of_pixels is None else of_pixels.names
    labels = tuple(named.get(label, label) for label in sorted(found.moments.labels))
    if len(labels) < TWO:
        warn(
            f"parameters fitted to {'one group' if labels else 'pixels without groups'}: their "
            "covariance takes each pixel for independent and is far too small; give groups=, "
            "integers or strings that tell the scenes apart"
        )
    return WaterParameters(
        features=given.features,
        coefficients=tuple(map(float, found.coefficients)),
        covariance=as_rows(found.covariance),
        source=source,
        count=found.moments.count,
        base_rate=found.moments.wet / found.moments.count,
        log_loss=float(found.log_loss),
        groups=labels,
    )


def _of_names(bands: Any, *, units: PowerUnits | None, scale: float | None, offset: float) -> Bands:
    radar, optical = VV in bands, GREEN in bands
    if radar == optical:
        msg = (
            f"bands are {[*bands]}: give 'vv' and maybe 'vh', or 'green' with 'swir16', 'nir' or "
            "both, and fit the two sensors apart"
        )
        raise ValueError(msg)
    if radar:
        return backscatter_of(bands[VV], bands.get(VH), units=units, looks=np.inf)
    others = [bands.get(name) for name in (SWIR16, NIR)]
    return reflectance_of(bands[GREEN], *others, noise=NOISE, scale=scale, offset=offset)
