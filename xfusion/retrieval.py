"""The retrieval: a Dataset of mu, sigma and mask, and what CF says about it."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Hashable
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .grid import (
    SPATIAL_REF,
    geobox_of,
    on_grid_of,
    spatial_dims,
    spatial_ref_of,
    with_spatial_dims,
)
from .units import dequantify, units_of

MU, SIGMA, MASK, SOURCE = "mu", "sigma", "mask", "source"
CONVENTIONS = "CF-1.13"


class Exclusion(enum.IntFlag):
    """Why a pixel is excluded: the bits of `mask`. 0 is usable."""

    CLOUD = 1
    SHADOW = 2
    VEGETATION = 4
    DEFECTIVE = 8
    GFM = 16
    UNKNOWN = 32
    READ_FAILED = 64
    USER = 128


FLAG_ATTRS: dict[str, Any] = {
    "standard_name": "status_flag",
    "long_name": "reasons for exclusion, 0 where usable",
    "flag_masks": np.array(list(Exclusion), np.uint8),
    "flag_meanings": " ".join(str(flag.name).lower() for flag in Exclusion),
}
FLAG_ATTRS["flag_masks"].flags.writeable = False  # one table, shared by every mask


@runtime_checkable
class HasDataset(Protocol):
    """Anything that carries a retrieval, such as a product."""

    @property
    def dataset(self) -> xr.Dataset:
        """The retrieval."""


Retrieval: TypeAlias = xr.Dataset | HasDataset
Time: TypeAlias = str | np.datetime64 | dt.datetime | dt.date


def retrieval(
    mu: xr.DataArray | ArrayLike,
    sigma: xr.DataArray | ArrayLike,
    mask: xr.DataArray | ArrayLike | None = None,
    *,
    sensor: str | None = None,
    time: Time | None = None,
) -> xr.Dataset:
    """Build a retrieval from arrays.

    Parameters
    ----------
    mu : array, dims (..., y, x) or (..., latitude, longitude)
        Best estimate, float32 or float64. A plain array gets the dims (y, x).
    sigma : array, same shape
        One standard deviation, in the units of `mu`.
    mask : array, same shape, optional
        uint8 flags of :class:`Exclusion`, 0 where usable; or bool, True where excluded
        (becomes ``Exclusion.USER``).
    sensor : str, optional
        Name of the sensor; by default that in ``mu.attrs["sensor"]``.
    time : str, datetime64 or datetime, optional
        Time of acquisition, UTC; becomes the scalar coordinate `time`.

    Returns
    -------
    Dataset
        `mu`, `sigma` and, if given, `mask`, tied together by CF attributes. Lazy inputs
        stay lazy, nothing is copied.

    Raises
    ------
    ValueError
        If dims, shapes, grids, units or dtypes of the arrays do not fit together.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> water = xf.retrieval(np.full((2, 3), 0.8), np.full((2, 3), 0.1), sensor="sentinel-1")
    >>> dict(water.sizes)
    {'y': 2, 'x': 3}
    """
    if not isinstance(mu, xr.DataArray):
        mu = np.asarray(mu) if not hasattr(mu, "dtype") else mu
        mu = xr.DataArray(mu, dims=_plain_dims(np.ndim(mu)))
    frame = mu.to_dataset(name=MU)
    if spatial_dims(frame) is not None:
        frame = _canonical_spatial_ref(frame)
    arrays = {SIGMA: sigma} if mask is None else {SIGMA: sigma, MASK: mask}
    variables = {MU: frame[MU].variable}
    for name, array in arrays.items():
        variables[name] = _aligned(array, name, frame)
    if mask is not None and variables[MASK].dtype == bool:
        variables[MASK] = variables[MASK].astype(np.uint8) * np.uint8(Exclusion.USER)
    coords = {k: v for k, v in frame.coords.items() if k not in (SIGMA, MASK)}
    dataset = xr.Dataset(variables, coords)
    if time is not None:
        dataset = dataset.assign_coords(time=as_time(time))
    sensor = sensor if sensor is not None else mu.attrs.get("sensor")
    return annotate(validate(dataset.assign_attrs({} if sensor is None else {"sensor": sensor})))


def from_samples(
    samples: xr.DataArray,
    dim: str = "sample",
    *,
    sensor: str | None = None,
    time: Time | None = None,
) -> xr.Dataset:
    """Mean and standard deviation over Monte-Carlo samples, as a retrieval.

    Parameters
    ----------
    samples : DataArray, dims (sample, ..., y, x)
        One prediction per Monte-Carlo pass, such as the sigmoid outputs of a network with
        dropout left on. A pixel with a missing sample is missing.
    dim : str
        The dimension of the samples.
    sensor, time
        As in :func:`retrieval`.

    Returns
    -------
    Dataset
        `mu`, the mean, and `sigma`, the sample standard deviation (n - 1), which itself
        has a relative error of about ``1 / sqrt(2 (n - 1))``.

    Raises
    ------
    ValueError
        If `dim` is not a dimension, or has fewer than two samples.

    Examples
    --------
    >>> import xarray as xr, xfusion as xf
    >>> passes = xr.DataArray([[[0.2]], [[0.4]]], dims=("sample", "y", "x"))
    >>> float(passes.fusion.from_samples("sample").mu[0, 0].round(3))
    0.3
    """
    if dim not in samples.dims:
        msg = f"samples has dims {samples.dims}, none is {dim!r}: name the dim of the samples"
        raise ValueError(msg)
    if samples.sizes[dim] < 2:  # noqa: PLR2004  # a spread takes two
        msg = f"{samples.sizes[dim]} sample along {dim!r}: a standard deviation takes two"
        raise ValueError(msg)
    mu = samples.mean(dim, skipna=False, keep_attrs=True)
    sigma = samples.std(dim, skipna=False, ddof=1)
    return retrieval(mu, sigma, sensor=sensor, time=time)


def exclude(
    dataset: Retrieval, excluded: xr.DataArray, *, flag: Exclusion = Exclusion.USER
) -> xr.Dataset:
    """Exclude pixels of a retrieval.

    Parameters
    ----------
    dataset : Dataset
        A retrieval.
    excluded : DataArray, on the same grid
        bool, True where a pixel is to be excluded; or uint8 flags of :class:`Exclusion`.
        Dims that it lacks are broadcast.
    flag : Exclusion
        What a True in `excluded` sets.

    Returns
    -------
    Dataset
        The retrieval with the flags added to those it had. Excluding again changes nothing.

    Raises
    ------
    ValueError
        If `excluded` is neither bool nor uint8, or lies on another grid.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> water = xf.retrieval(np.full((1, 2), 0.8), np.full((1, 2), 0.1))
    >>> shadow = xr.DataArray([[True, False]], dims=("y", "x"))
    >>> water.fusion.exclude(shadow).mask.values
    array([[128,   0]], dtype=uint8)
    """
    dataset = as_retrieval(dataset)
    if excluded.dtype == bool:
        flags = excluded * np.uint8(flag)
    elif excluded.dtype == np.uint8:
        flags = excluded
    else:
        msg = (
            f"`excluded` is {excluded.dtype}, not bool (True = exclude) or uint8 flags: "
            "say what its values mean, e.g. `excluded == 1`"
        )
        raise ValueError(msg)
    layer = with_spatial_dims(flags.to_dataset(name=MASK), dataset)
    leading = [d for d in dataset[MU].dims if d not in layer.dims]
    frame = dataset[[MU]].isel(dict.fromkeys(leading, 0), drop=True)
    aligned = on_grid_of(
        layer,
        frame,
        names=("`excluded`", "the retrieval"),
        mend="`excluded.fusion.coregister(retrieval)`",
    )[MASK].variable
    if MASK in dataset:
        aligned = dataset[MASK].variable | aligned
    aligned = aligned.set_dims(dataset[MU].sizes).transpose(*dataset[MU].dims)
    return annotate(dataset.assign({MASK: aligned}))


def usable(dataset: Retrieval) -> xr.DataArray:
    """Where a retrieval can be used: mask 0, mu finite, sigma finite.

    Parameters
    ----------
    dataset : Dataset
        A retrieval.

    Returns
    -------
    DataArray of bool
    """
    dataset = as_retrieval(dataset)
    finite = [xr.apply_ufunc(np.isfinite, dataset[v], dask="allowed") for v in (MU, SIGMA)]
    result: xr.DataArray = finite[0] & finite[1]
    if MASK in dataset:
        result = result & (dataset[MASK] == 0)
    return result.rename("usable").drop_attrs(deep=False)


def as_retrieval(obj: Retrieval) -> xr.Dataset:
    """Return the Dataset of a product or Dataset, checked and without pint quantities."""
    dataset = obj if isinstance(obj, xr.Dataset) else getattr(obj, "dataset", None)
    if not isinstance(dataset, xr.Dataset):
        msg = f"a retrieval is a Dataset or a product, not {type(obj).__name__}: xf.retrieval(...)"
        raise TypeError(msg)
    dataset = dequantify(dataset)
    if SPATIAL_REF in dataset.data_vars:
        dataset = dataset.set_coords(SPATIAL_REF)
    return validate(dataset)


def validate(dataset: xr.Dataset) -> xr.Dataset:
    """Check by its metadata that a Dataset is a retrieval, and return it.

    Raises
    ------
    ValueError
        Naming the variable, what it has, what it should have and the call that mends it.
    """
    missing = [name for name in (MU, SIGMA) if name not in dataset.data_vars]
    if missing:
        msg = (
            f"a retrieval has the variables 'mu' and 'sigma'; this Dataset lacks {missing} and "
            f"has {list(dataset.data_vars)}: build it with xf.retrieval(mu, sigma)"
        )
        raise ValueError(msg)
    mu = dataset[MU]
    for name in (SIGMA, MASK):
        if name in dataset.data_vars and dataset[name].dims != mu.dims:
            msg = (
                f"{name} has dims {dataset[name].dims}, mu has {mu.dims}: "
                f"call {name}.transpose(*mu.dims) or {name}.broadcast_like(mu)"
            )
            raise ValueError(msg)
    for name in (MU, SIGMA):
        if dataset[name].dtype not in (np.float32, np.float64):
            msg = (
                f"{name} is {dataset[name].dtype}, not float32 or float64: "
                f"convert it with {name}.astype('float32'), missing values as NaN"
            )
            raise ValueError(msg)
    if MASK in dataset.data_vars and dataset[MASK].dtype != np.uint8:
        msg = (
            f"mask is {dataset[MASK].dtype}, not uint8 flags: a bool mask (True = excluded) goes "
            "through xf.retrieval(mu, sigma, mask) or ds.fusion.exclude(mask)"
        )
        raise ValueError(msg)
    units, sigma_units = units_of(mu), units_of(dataset[SIGMA])
    if sigma_units is not None and sigma_units != units:
        msg = (
            f"sigma is in {sigma_units!r}, mu in {units!r}: convert sigma to the units of mu, "
            "e.g. with sigma.pint.quantify().pint.to(...) from xfusion[units]"
        )
        raise ValueError(msg)
    return dataset


def annotate(dataset: xr.Dataset) -> xr.Dataset:
    """Return the retrieval with the CF attributes that tie its variables together.

    Units, long name and standard name of `mu` are the caller's and stay.
    """
    dataset = dataset.copy()
    mu = dataset[MU]
    related = [str(name) for name in dataset.data_vars if name not in (MU, SPATIAL_REF)]
    attrs: dict[Hashable, dict[str, Any]] = {k: v.attrs for k, v in dataset.data_vars.items()}
    attrs[MU] = {"long_name": "best estimate"} | mu.attrs
    attrs[MU]["ancillary_variables"] = " ".join(related)
    attrs[SIGMA] = {"long_name": "standard deviation of mu"} | dataset[SIGMA].attrs
    if "units" in mu.attrs:
        attrs[SIGMA]["units"] = mu.attrs["units"]
    if "standard_name" in mu.attrs:
        attrs[SIGMA]["standard_name"] = f"{mu.attrs['standard_name']} standard_error"
    if MASK in dataset:
        attrs[MASK] = dataset[MASK].attrs | FLAG_ATTRS
    has_crs = SPATIAL_REF in dataset.coords
    for name in dataset.data_vars:
        # in encoding, as rioxarray keeps it: xarray refuses to write it from both places
        kept = {k: v for k, v in attrs[name].items() if k != "grid_mapping" or not has_crs}
        dataset[name].attrs = kept
        if has_crs:
            dataset[name].encoding["grid_mapping"] = SPATIAL_REF
    return dataset.assign_attrs(Conventions=CONVENTIONS)


def as_time(time: Time) -> np.datetime64:
    """Return a time as UTC datetime64[ns]."""
    if isinstance(time, dt.datetime) and time.tzinfo is not None:
        time = time.astimezone(dt.UTC).replace(tzinfo=None)
    if isinstance(time, str) and time.endswith("Z"):
        time = time[:-1]
    moment: Any = np.array(time, "datetime64[ns]")[()]
    return cast("np.datetime64", moment)


def _plain_dims(ndim: int) -> tuple[str, ...]:
    dims = ("time", "y", "x")
    if ndim > len(dims):
        msg = f"an array of {ndim} dims needs names for them: pass an xarray.DataArray"
        raise ValueError(msg)
    return dims[len(dims) - ndim :]


def _aligned(array: xr.DataArray | ArrayLike, name: str, frame: xr.Dataset) -> xr.Variable:
    mu = frame[MU]
    if not isinstance(array, xr.DataArray):
        if np.shape(array) != mu.shape:
            msg = f"{name} has shape {np.shape(array)}, mu has {mu.shape}: give {name} that shape"
            raise ValueError(msg)
        plain = array if hasattr(array, "dtype") else np.asarray(array)
        return xr.Variable(mu.dims, plain)
    other = _canonical_spatial_ref(array.to_dataset(name=name))
    if SPATIAL_REF not in other.coords and SPATIAL_REF in frame.coords:
        other = other.assign_coords({SPATIAL_REF: frame[SPATIAL_REF]})
    aligned = on_grid_of(other, frame, names=(name, MU), mend=f"{name}.fusion.coregister(mu)")
    return aligned[name].variable.transpose(*mu.dims)


def _canonical_spatial_ref(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset with its CRS in one scalar coordinate `spatial_ref`."""
    (name,) = dataset.data_vars
    array = dataset[name]
    mapping = array.encoding.get("grid_mapping", array.attrs.get("grid_mapping", SPATIAL_REF))
    if mapping in dataset.coords and mapping != SPATIAL_REF:
        dataset = dataset.drop_vars(SPATIAL_REF, errors="ignore").rename({mapping: SPATIAL_REF})
    if SPATIAL_REF in dataset.coords:
        return dataset
    if "crs" in array.attrs or any("crs" in c.attrs for c in array.coords.values()):
        return dataset.assign_coords({SPATIAL_REF: spatial_ref_of(geobox_of(array))})
    return dataset
