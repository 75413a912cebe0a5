"""Retrievals of water without a network: logistic functions of backscatter or of an index."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import retrieval, with_flags
from xfusion.datamodel.cf import annotate
from xfusion.datamodel.names import MASK, MU, READ_FAILED
from xfusion.datamodel.reference import on_grid
from xfusion.datamodel.times import Time

from .bands_of_water import (
    NOISE,
    Bands,
    PowerUnits,
    backscatter_of,
    flags_of_slope,
    reflectance_of,
)
from .equivalent_looks import LOOKS, looks_at
from .lacking import flags_of_lacking, with_read_failed
from .logistic import mean_and_sigma
from .published import MNDWI, MNDWI_NDWI, NDWI, PUBLISHED, VV, VV_VH
from .water_fitting import fit
from .water_parameters import WaterParameters

__all__ = [
    "MNDWI",
    "MNDWI_NDWI",
    "NDWI",
    "VV",
    "VV_VH",
    "WaterParameters",
    "fit",
    "from_backscatter",
    "from_reflectance",
    "looks_at",
]

SLOPE_MAX = 15.0  # degrees


def from_backscatter(
    vv: xr.DataArray,
    vh: xr.DataArray | None = None,
    slope: xr.DataArray | None = None,
    *,
    parameters: WaterParameters | None = None,
    looks: float = LOOKS,
    slope_max: float = SLOPE_MAX,
    units: PowerUnits | None = None,
    sensor: str | None = "sentinel-1",
    time: Time | None = None,
) -> xr.Dataset:
    """Retrieve the probability of water from radar backscatter.

    Parameters
    ----------
    vv : DataArray, dims (..., y, x)
        Backscatter of VV polarisation, sigma or gamma nought, in dB or as power: its attribute
        `units` says which, or the argument. Power that is not above 0 is missing, as are NaN and
        nodata.
    vh : DataArray, optional
        That of VH polarisation, on the same grid.
    slope : DataArray, optional
        Of the terrain in degrees, on the same grid. Where it is above `slope_max` a pixel is
        excluded as SHADOW: slopes that face away from a radar are as dark as water. Where it is
        not known a pixel is UNKNOWN.
    parameters : WaterParameters, optional
        By default :data:`VV`, or with `vh` :data:`VV_VH`; see the notes. Better those of
        :func:`fit`.
    looks : float
        Equivalent number of looks of a pixel, infinite for no noise. By default 4.4, that of
        Sentinel-1 IW GRDH; on a coarser grid ``looks_at(resolution)``, larger after a speckle
        filter.
    slope_max : float
        In degrees.
    units : {"dB", "linear"}, optional
        Of `vv` and `vh`, where their attributes do not say.
    sensor : str, optional
    time : str, datetime64 or datetime, optional
        Of the acquisition, UTC; by default that of `vv`, whose coordinates are kept.

    Returns
    -------
    Dataset
        A retrieval: `mu`, the probability of water; `sigma`; `mask` if `slope` is given, or the
        bands have a coordinate `read_failed`, as of :func:`load_bands`: in it a pixel without `mu`
        is READ_FAILED, else UNKNOWN. float32 where the bands are, else float64; lazy where they
        are.

    Raises
    ------
    ValueError
        If it is not said whether a band is in dB or linear, or said differently twice; if grids
        differ, or `parameters` are of other bands.

    Warns
    -----
    UserWarning
        Where all of 100 pixels or more of a block have values that contradict the units.

    Notes
    -----
    `mu` and `sigma` are mean and standard deviation of ``1 / (1 + exp(-eta))``, of a normal
    variable of mean ``eta = b0 + b1 VV + b2 VH`` in dB and variance
    ``x' C x + (b1^2 + b2^2) (10 / ln 10)^2 psi_1(looks)``: the less is known of a pixel, the nearer
    is its `mu` to 0.5. `sigma` is at most ``sqrt(mu (1 - mu))``. C is the
    covariance of the coefficients and ``x = (1, VV, VH)``, the delta method. The second part is
    speckle: the power of L looks is gamma distributed, and the variance of its logarithm is the
    trigamma function of L (Xie, Pierce and Ulaby 2002), about ``1 / L``: in dB ``4.34 / sqrt(L)``.
    VV and VH have speckle of their own. That water may be there or not is not in it, see
    :func:`add_aleatoric`.

    Water has a VV sigma nought of ``-4.14 - 0.394 angle`` dB, -16 to -22 dB at 30 to 46 degrees of
    incidence, with a standard deviation of 2.75 dB (Bauer-Marschallinger et al. 2022). The
    thresholds, -15.5 dB for VV and -22 dB for VH, are ours. Wind, incidence angle and wet or sandy
    land move them, which the spread of 1 dB is for. ``docs/water.md`` has what this is worth on
    real scenes. That GRDH of IW has 4.4 looks is in the product definition of Sentinel-1.

    References
    ----------
    Bauer-Marschallinger, B., et al. (2022): Satellite-based flood mapping through Bayesian
    inference from a Sentinel-1 SAR datacube. Remote Sensing 14, 3673. Xie, H., Pierce, L. E.,
    Ulaby, F. T. (2002): Statistical properties of logarithmically transformed speckle. IEEE TGRS
    40, 721-727.

    Examples
    --------
    >>> import xarray as xr, xfusion as xf
    >>> vv = xr.DataArray([[-20.0, -15.5, -10.0]], dims=("y", "x"), attrs={"units": "dB"})
    >>> water = xf.water.from_backscatter(vv)
    >>> water.mu.values.round(2), water.sigma.values.round(2)
    (array([[0.88, 0.5 , 0.09]]), array([[0.17, 0.28, 0.15]]))
    """
    bands = backscatter_of(vv, vh, units=units, looks=looks)
    dataset = _retrieved(bands, _parameters(parameters, bands), sensor, time)
    if slope is not None:
        dataset = with_flags(dataset, flags_of_slope(dataset, slope, slope_max))
    return _with_reasons(dataset, bands)


def from_reflectance(
    green: xr.DataArray,
    swir16: xr.DataArray | None = None,
    nir: xr.DataArray | None = None,
    *,
    parameters: WaterParameters | None = None,
    noise: tuple[float, float] = NOISE,
    scale: float | None = None,
    offset: float = 0.0,
    sensor: str | None = "sentinel-2",
    time: Time | None = None,
) -> xr.Dataset:
    """Retrieve the probability of water from surface reflectance.

    Parameters
    ----------
    green : DataArray, dims (..., y, x)
        Reflectance of 0.56 micrometres, or digital numbers of it. NaN and declared nodata are
        missing, of integers that declare none 0.
    swir16, nir : DataArray, optional
        Those of 1.6 and of 0.84 micrometres, one at least, on the same grid.
    parameters : WaterParameters, optional
        By default :data:`MNDWI`, :data:`NDWI` or :data:`MNDWI_NDWI`, by the bands given. Better
        those of :func:`fit`.
    noise : (float, float)
        Standard deviation of a reflectance r, ``noise[0] + noise[1] r``.
    scale, offset : float
        ``reflectance = (number + offset) * scale``. It must be given unless the `units` of the
        bands are "1": 0.0001 of what :func:`load_bands` returns of Sentinel-2, which has the offset
        in it.
    sensor : str, optional
    time : str, datetime64 or datetime, optional
        Of the acquisition, UTC; by default that of `green`, whose coordinates are kept.

    Returns
    -------
    Dataset
        A retrieval: `mu`, the probability of water, and `sigma`; `mask` as in
        :func:`from_backscatter`. float32 where the bands are float32 or integers of 16 bits, else
        float64; lazy where they are.

    Raises
    ------
    ValueError
        If no scale is known, there is neither `swir16` nor `nir`, grids differ, or `parameters` are
        of other bands. When it is computed, if half of the pixels of a block are above 2.

    Notes
    -----
    ``mu = 1 / (1 + exp(-eta))``, with `eta` linear in ``MNDWI = (green - swir16) / (green +
    swir16)`` (Xu 2006) and ``NDWI = (green - nir) / (green + nir)`` (McFeeters 1996). `sigma` is
    made as in :func:`from_backscatter`; the noise of the bands enters by the derivatives of the
    indices. ``0.005 + 0.05 r`` is ours: better give what is known of the correction. Reflectances
    below 0 count as 0; where both bands of an index are 0 it is missing.

    The threshold is 0: land has mostly negative values of both. It moves with the share of water
    in a pixel (Ji, Zhang and Wylie 2009), which the spread of 0.1 is for. Clouds, their shadows,
    snow and dark roofs look like water: attach a mask.
    ``docs/water.md`` has what this is worth on real scenes.

    References
    ----------
    Ji, L., Zhang, L., Wylie, B. (2009): Analysis of dynamic thresholds for the normalized
    difference water index. Photogrammetric Engineering & Remote Sensing 75. McFeeters, S. K.
    (1996): The use of the Normalized Difference Water Index (NDWI) in the delineation of open water
    features. Int. J. Remote Sensing 17, 1425-1432. Xu, H. (2006): Modification of normalised
    difference water index (NDWI) to enhance open water features in remotely sensed imagery. Int. J.
    Remote Sensing 27, 3025-3033.

    Examples
    --------
    >>> import xarray as xr, xfusion as xf
    >>> green = xr.DataArray([[0.05, 0.08]], dims=("y", "x"))
    >>> swir = xr.DataArray([[0.01, 0.25]], dims=("y", "x"))
    >>> water = xf.water.from_reflectance(green, swir, scale=1)
    >>> water.mu.values.round(2), water.sigma.values.round(2)
    (array([[0.98, 0.03]]), array([[0.08, 0.06]]))
    """
    bands = reflectance_of(green, swir16, nir, noise=noise, scale=scale, offset=offset)
    return _with_reasons(_retrieved(bands, _parameters(parameters, bands), sensor, time), bands)


def _parameters(parameters: WaterParameters | None, bands: Bands) -> WaterParameters:
    chosen: Any = PUBLISHED[bands.features] if parameters is None else parameters
    if not isinstance(chosen, WaterParameters):
        msg = f"parameters= is a {type(chosen).__name__}: give what fit() returns"
        raise TypeError(msg)
    if chosen.features != bands.features:
        msg = (
            f"the parameters are of {[*chosen.features]}, the bands given are those of "
            f"{[*bands.features]}: give the bands of the parameters and no others, in their order"
        )
        raise ValueError(msg)
    return chosen


def _with_reasons(dataset: xr.Dataset, bands: Bands) -> xr.Dataset:
    """Return a retrieval with a flag where a band is missing, if anything has flags."""
    if MASK not in dataset and not bands.failed:
        return dataset
    dataset = with_flags(dataset, flags_of_lacking(dataset[MU]))
    for each in bands.failed:
        failed = on_grid(dataset, each, name=READ_FAILED).transpose(*dataset[MU].dims)
        flags = with_read_failed(dataset[MASK], dataset[MU], failed.variable)
        dataset = annotate(dataset.assign({MASK: flags}))
    return dataset


def _retrieved(
    bands: Bands, parameters: WaterParameters, sensor: str | None, time: Time | None
) -> xr.Dataset:
    if time is not None and "time" in bands.grid.mu.dims:
        msg = f"{time=} is of one acquisition, and the bands have a dim time: leave it out"
        raise ValueError(msg)
    lazy = any(band.chunks is not None for band in bands.layers)
    mu, sigma = xr.apply_ufunc(
        mean_and_sigma,
        *bands.layers,
        kwargs={
            "parameters": parameters,
            "measured": bands.measured,
            "dtype": bands.dtype,
            # a dask task is one of many already
            "threads": 1 if lazy else None,
        },
        join="exact",
        output_core_dims=[[], []],
        dask="parallelized",
        output_dtypes=[bands.dtype, bands.dtype],
    )
    of_mu = {"long_name": "probability of water", "units": "1"}
    mean = xr.DataArray(mu.variable, bands.grid.mu.coords).drop_attrs(deep=False)
    made_of = {
        "water_features": " ".join(parameters.features),
        "water_source": parameters.source,
        "water_coefficients": np.array(parameters.coefficients),
        **{f"water_{name}": value for name, value in bands.measured.described.items()},
    }
    deviation = xr.DataArray(sigma.variable, mean.coords)
    deviation = deviation.drop_attrs(deep=False)
    dataset = retrieval(mean.assign_attrs(of_mu), deviation, sensor=sensor, time=time)
    return dataset.assign_attrs(made_of)
