"""Errors of three or more sensors from each other, where nobody knows the truth."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import retrieval, usable
from xfusion.datamodel.describing import histories, titled
from xfusion.datamodel.names import ALEATORIC, CALIBRATED, MU
from xfusion.datamodel.units import units_of
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.fusion.alignment import on_one_grid, sensor_names

from .moments import MOMENT, moments_along
from .triplets import Collocated, collocated

FEWEST_SENSORS = 3
SENSOR = "sensor"
BEST_ESTIMATE = "best estimate"  # of any retrieval that does not name its quantity
OF_ALL = ("samples", "error_correlation")  # not of each sensor
DTYPES: dict[str, Any] = {"negative": np.bool_, "samples": np.int64}
# what each variable is, and whether it is in the units of mu
DESCRIBED = {
    "sigma": ("standard deviation of errors", True),
    "sigma_lower": ("lower end of the 95 % interval of sigma", True),
    "sigma_upper": ("upper end of the 95 % interval of sigma", True),
    "gain": ("change of mu where that of the first sensor is one", False),
    "bias": ("mu where that of the first sensor is zero", True),
    "negative": ("whether a variance came out below zero", False),
    "samples": ("number of samples", False),
    "error_correlation": ("correlation of the errors of two sensors", False),
}


def collocation(
    *retrievals: Retrieval | xr.DataArray,
    dim: Hashable | Iterable[Hashable] | None = None,
    correlated: tuple[str, str] | None = None,
) -> xr.Dataset:
    """Return how large the errors of three or more sensors are, from nothing but each other.

    Parameters
    ----------
    *retrievals : Dataset, product or DataArray
        3 to 8 on one grid, of one continuous quantity; a DataArray is its mu. They are compared
        where all of them are usable. Sigmas are not looked at.
    dim : hashable or several, optional
        Over which samples are: "time" has a result for each pixel, ("time", "y", "x") one of all.
        By default all dims of mu.
    correlated : (str, str), optional
        The names of two of four or more sensors whose errors may be correlated. What would need
        them not to be is left out.

    Returns
    -------
    Dataset
        Along `sensor` and the dims that are left: `sigma`, the standard deviation of the
        errors, in the units and on the scale of the sensor itself, with its 95 % interval
        `sigma_lower` to `sigma_upper`; `gain` and `bias` of ``mu = bias + gain * mu of the
        first``, but for errors; `negative`, bool, where a variance came out below 0: there
        sigma is NaN, and what is known is its upper bound, at most; both ends are NaN where all of
        the interval of the variance is below 0, or the variance that the sensor has from the
        truth. `count`, the number of samples. With `correlated` also `error_correlation`. NaN
        where there are fewer than 10 samples. Lazy where an input is lazy.

    Raises
    ------
    ValueError
        If there are fewer than 3 sensors, or fewer than 4 with a pair; if mu is a probability; if
        grids, times or units do not go together.

    Notes
    -----
    ``sigma_i^2 = C_ii - C_ij C_ik / C_jk`` (Stoffelen 1998; McColl et al. 2014), the mean over all
    pairs j, k where there are more than three sensors, which is least squares (Gruber et al.
    2016). The interval is that of the variance by the delta method, ``var f = 2 tr(G C G C) / (n -
    1)`` with G the gradient of f; it holds 94 to 96 % from 200 samples on, 91 to 97 % of 60. With
    30, one in five variances of the best sensor may be negative. Samples that follow each other
    closely say less than as many independent ones: then it is too narrow.

    It holds where errors are independent of each other and of the truth, and gains are constant.
    It does not for a probability: there the error depends on the truth, which is 0 or 1, and
    what comes out is less than half the real error. An error that two sensors share is seen
    as truth, unless `correlated` names them.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> rng = np.random.default_rng(0)
    >>> truth = xr.DataArray(rng.normal(20, 3, 5000), dims="time")
    >>> sensors = [truth * 1.0 + s * rng.normal(size=5000) for s in (0.3, 0.5, 0.8)]
    >>> xf.collocation(*sensors, dim="time").sigma.round(1).values.tolist()
    [0.3, 0.5, 0.8]
    """
    datasets = [_of_quantity(each) for each in retrievals]
    if len(datasets) < FEWEST_SENSORS:
        msg = f"{len(datasets)} retrievals: collocation takes three or more sensors"
        raise ValueError(msg)
    aligned = on_one_grid(datasets)
    names = sensor_names(datasets)
    for name, dataset in zip(names, datasets, strict=True):
        _check_is_continuous(name, dataset)
    pair = _pair(correlated, names)
    mu = aligned[0][MU]
    numbers = moments_along([r[MU].where(usable(r)) for r in aligned], _dims(dim, mu))
    fields = Collocated._fields
    layers = xr.apply_ufunc(
        collocated,
        numbers,
        kwargs={"pair": pair},
        input_core_dims=[[MOMENT]],
        output_core_dims=[[] if name in OF_ALL else [SENSOR] for name in fields],
        dask="parallelized",
        output_dtypes=[DTYPES.get(name, np.float64) for name in fields],
        dask_gufunc_kwargs={"output_sizes": {SENSOR: len(names)}},
        keep_attrs=True,  # those of coordinates, too: without them there is no CRS
    )
    named: dict[str, xr.DataArray] = dict(zip(fields, layers, strict=True))
    if pair is None:
        del named["error_correlation"]
    for name, layer in named.items():
        said, of_mu = DESCRIBED[name]
        units = units_of(mu) if of_mu else "1"
        layer.attrs = {"long_name": said} | ({} if units is None else {"units": units})
    named["count"] = named.pop("samples")
    result = xr.Dataset(named).assign_coords({SENSOR: names})
    if pair is not None:
        result["error_correlation"].attrs["sensors"] = " ".join(names[i] for i in pair)
    # of several: each has a history of its own
    of = xr.Dataset(attrs=histories(datasets))
    return titled(result.transpose(SENSOR, ...), "errors by triple collocation", of=of)


def _of_quantity(obj: Retrieval | xr.DataArray) -> xr.Dataset:
    """Return a retrieval, of an array one whose sigma nobody looks at."""
    if not isinstance(obj, xr.DataArray):
        return as_retrieval(obj)
    named = None if obj.name in (None, MU) else str(obj.name)
    return retrieval(obj, 0.0, sensor=obj.attrs.get("sensor", named))


def _check_is_continuous(name: str, dataset: xr.Dataset) -> None:
    """Refuse a probability: by what metadata say, else by a look at values that are in memory."""
    mu = dataset[MU]
    described = [str(mu.attrs[k]) for k in ("standard_name", "long_name") if k in mu.attrs]
    is_named = any(text != BEST_ESTIMATE for text in described)
    why = ""
    if any("probability" in text.lower() for text in described):
        why = f"says that it is one, {described}"
    elif dataset.attrs.get("fusion_rule") == "log_odds":
        why = "was fused as one, by log_odds"
    elif dataset.attrs.get(CALIBRATED, "sigma") != "sigma":
        why = f"was calibrated as one, by {dataset.attrs[CALIBRATED]!r}"
    elif ALEATORIC in dataset.attrs:
        why = f"has the sigma of one, {dataset.attrs[ALEATORIC]}"
    elif (
        # not by its meaning: that of m3 m-3 is 1 as well, and it is none
        mu.chunks is None and not is_named and units_of(mu) in (None, "", "1")
    ):
        values = mu.to_numpy()
        values = values[np.isfinite(values)]
        if values.size and values.min() >= 0 and values.max() <= 1:
            why = "has no unit and lies within 0 and 1"
    if why:
        msg = (
            f"mu of {name!r} {why}: the error of a probability depends on the truth, 0 or 1, and "
            "collocation would find less than half of it; compare it with a reference instead, "
            "xf.assess(retrieval, reference). If it is another quantity, name it, "
            ".mu.attrs['standard_name'] = ..., or its unit, .mu.attrs['units'] = 'm3 m-3'"
        )
        raise ValueError(msg)


def _dims(dim: Hashable | Iterable[Hashable] | None, mu: xr.DataArray) -> tuple[Hashable, ...]:
    """Return the dims over which samples are."""
    if dim is None:
        return mu.dims
    dims = (dim,) if isinstance(dim, str) or not isinstance(dim, Iterable) else tuple(dim)
    unknown = [d for d in dims if d not in mu.dims]
    if unknown or not dims:
        msg = f"{dim=}: mu has the dims {mu.dims}; name those over which samples are"
        raise ValueError(msg)
    return tuple(dict.fromkeys(dims))


def _pair(correlated: Any, names: Sequence[str]) -> tuple[int, int] | None:
    """Return which sensors may have correlated errors."""
    if correlated is None:
        return None
    if len(names) == FEWEST_SENSORS:
        msg = f"{correlated=}: with three sensors nothing is left to find it by, give a fourth"
        raise ValueError(msg)
    pair = [*correlated] if isinstance(correlated, tuple | list) else []
    if len(pair) != 2 or pair[0] == pair[1] or not all(each in names for each in pair):  # noqa: PLR2004  # a pair
        msg = f"{correlated=}: name two sensors of {[*names]}"
        raise ValueError(msg)
    return names.index(pair[0]), names.index(pair[1])
