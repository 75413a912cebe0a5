"""Apply a calibration to a retrieval."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.names import ALEATORIC, CALIBRATED, MASK, MU, SIGMA
from xfusion.datamodel.units import same_units, units_of
from xfusion.datamodel.validation import Retrieval, as_retrieval, check_probability

from .calibration import Calibration

Carried: TypeAlias = Literal["delta", "rms"]


def apply_calibration(
    dataset: Retrieval,
    /,
    calibration: Calibration,
    *,
    sigma: Carried = "delta",
    any_sensor: bool = False,
) -> xr.Dataset:
    """Return a retrieval whose means are probabilities, or whose sigmas fit, by a calibration.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval as that which was calibrated.
    calibration : Calibration
        Of :func:`calibrate`, or :meth:`Calibration.from_json`.
    sigma : {"delta", "rms"}
        What sigma becomes. "delta": ``f'(mu) sigma`` with the slope of the map, of "isotonic" that
        from mu - sigma to mu + sigma, as between two knots it is noise. At least what the n pixels
        of the calibration leave open, ``sqrt(p (1 - p) / n)``, and at most what any probability can
        have, ``sqrt(p (1 - p))``. Of a calibration of "sigma" it is what that one says.
        "rms": for all pixels the root mean square of the calibration's residuals, which is the
        sigma that :func:`gaussian` takes for the best linear fusion of probabilities.
    any_sensor : bool
        Apply the calibration of one sensor to another.

    Returns
    -------
    Dataset
        The retrieval with other `mu` and `sigma`, of the same dtypes. Pixels that are not usable
        stay so, the mask is the same. The map rises, and ends before 0 and 1. Attributes that
        begin with ``calibration_`` say what was applied. Lazy where the input is.

    Raises
    ------
    ValueError
        If it is the calibration of another sensor or unit, or the retrieval is calibrated already;
        when it is computed, if a usable mu is no probability from 0 to 1.

    Notes
    -----
    The delta method (JCGM 100:2008, 5.1.2) carries what a retrieval is unsure of. That an event
    of probability p happens or not, ``p (1 - p)``, is not in it. The rms has it already: nothing is
    to be added to that. ``docs/calibration.md`` says which rule of fusion wants which.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> mu = xr.DataArray([[0.2, 0.2, 0.7, 0.7], [0.2, 0.2, 0.7, 0.7]], dims=("y", "x"))
    >>> water = xr.DataArray([[0, 0, 1, 0], [1, 0, 1, 1]], dims=("y", "x"))
    >>> scene = xr.DataArray([["a"] * 4, ["b"] * 4], dims=("y", "x"))
    >>> model = xf.calibrate(xf.retrieval(mu, 0.1), water, groups=scene)
    >>> xf.retrieval(mu, 0.1).fusion.apply_calibration(model).mu[0].round(3).values
    array([0.25, 0.25, 0.75, 0.75])
    """
    dataset = as_retrieval(dataset)
    given: Any = calibration
    if not isinstance(given, Calibration):
        msg = (
            f"calibration is a {type(given).__name__}: give what xf.calibrate(...) returned, "
            "or xf.Calibration.from_json(text)"
        )
        raise TypeError(msg)
    given_sigma: Any = sigma
    if not isinstance(given_sigma, str) or given_sigma not in ("delta", "rms"):
        msg = f"{sigma=} is neither 'delta' nor 'rms'"
        raise ValueError(msg)
    _check_fits(dataset, calibration, any_sensor=any_sensor)
    change = _scaled if calibration.method == "sigma" else _mended
    mended = change(dataset, calibration, calibration.rms if sigma == "rms" else None)
    # its encoding is that of the values before
    variables = {k: xr.Variable(v.dims, v.data, dataset[k].attrs) for k, v in mended.items()}
    return annotate(dataset.assign(variables).assign_attrs(_provenance(calibration, sigma)))


def _mended(
    dataset: xr.Dataset, calibration: Calibration, rms: float | None
) -> dict[str, xr.DataArray]:
    """Return mu and sigma of a retrieval of probabilities."""
    layers = [dataset[v] for v in (MU, SIGMA, MASK) if v in dataset]
    mu, sigma = xr.apply_ufunc(
        _mended_block,
        *layers,
        kwargs={
            "knots": calibration.curve.array(),
            "coefficients": calibration.coefficients,
            "pixels": calibration.count,
            "constant_sigma": rms,
            "threads": _threads(layers),
        },
        output_core_dims=[[], []],
        join="exact",
        dask="parallelized",
        output_dtypes=[dataset[MU].dtype, dataset[SIGMA].dtype],
    )
    return {MU: mu, SIGMA: sigma}


def _scaled(
    dataset: xr.Dataset, calibration: Calibration, rms: float | None
) -> dict[str, xr.DataArray]:
    """Return sigma of a retrieval of a quantity."""
    sigma = dataset[SIGMA]
    scaled = xr.apply_ufunc(
        _scaled_block,
        sigma,
        kwargs={"knots": calibration.curve.array(), "rms": rms, "threads": _threads([sigma])},
        dask="parallelized",
        output_dtypes=[sigma.dtype],
    )
    return {SIGMA: scaled}


def _threads(layers: list[xr.DataArray]) -> int | None:
    # a dask task is one of many already
    return 1 if any(layer.chunks is not None for layer in layers) else None


def _mended_block(
    mu: NDArray[Any], sigma: NDArray[Any], mask: NDArray[np.uint8] | None = None, **how: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    from xfusion.kernels import calibrated  # numba takes half a second to import

    means, deviations, strange = calibrated.calibrate_means(mu, sigma, mask, **how)
    if not np.isnan(strange):
        msg = (
            f"mu is {strange:g} somewhere, no probability from 0 to 1: exclude it, "
            "ds.fusion.exclude(...)"
        )
        raise ValueError(msg)
    return means, deviations


def _scaled_block(
    sigma: NDArray[Any], *, knots: NDArray[np.float64], rms: float | None, threads: int | None
) -> NDArray[Any]:
    from xfusion.kernels import calibrated  # as above

    if rms is None:
        return calibrated.scale_sigma(sigma, knots=knots, threads=threads)
    usable = np.isfinite(sigma) & (sigma >= 0)
    return np.where(usable, sigma.dtype.type(rms), sigma)


def _check_fits(dataset: xr.Dataset, calibration: Calibration, *, any_sensor: bool) -> None:
    if CALIBRATED in dataset.attrs:
        msg = (
            f"the retrieval is calibrated already, {CALIBRATED}={dataset.attrs[CALIBRATED]!r}: "
            "apply a calibration to the original, once"
        )
        raise ValueError(msg)
    if ALEATORIC in dataset.attrs:
        msg = (
            f"sigma holds the aleatoric part of mu as it is, {dataset.attrs[ALEATORIC]!r}: "
            ".apply_calibration(...) first, then .add_aleatoric()"
        )
        raise ValueError(msg)
    units = units_of(dataset[MU])
    if calibration.method != "sigma":
        check_probability(dataset[MU], "apply_calibration")
    elif not same_units(units, calibration.units):
        msg = (
            f"mu is in {units!r}, the calibration of {calibration.units!r}: convert mu and sigma, "
            f"and set .mu.attrs['units'] = {calibration.units!r}"
        )
        raise ValueError(msg)
    sensor = dataset.attrs.get("sensor")
    if not any_sensor and None not in (sensor, calibration.sensor) and sensor != calibration.sensor:
        msg = (
            f"the calibration is of {calibration.sensor!r}, the retrieval of {sensor!r}: calibrate "
            "that one, or say that it is meant, any_sensor=True"
        )
        raise ValueError(msg)


def _provenance(calibration: Calibration, sigma: Carried) -> dict[str, Any]:
    """Return attributes that say what was applied, as netCDF can hold them."""
    said = {
        "method": calibration.method,
        "sensor": calibration.sensor,
        "base_rate": calibration.base_rate,
        "count": calibration.count,
        "groups": len(calibration.groups),
        "rms": calibration.rms,
        "sigma": sigma,
        "version": calibration.version,
    }
    return {f"calibration_{name}": value for name, value in said.items() if value is not None}
