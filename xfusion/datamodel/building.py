"""Retrievals: build them from arrays, exclude pixels, see which are usable."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .caller import warn
from .cf import annotate
from .chunks import check_known
from .comparison import on_grid_of
from .flags import Exclusion, whole_flags
from .grid import geobox_of, spatial_dims, spatial_ref_of, with_spatial_dims
from .names import BAND, MASK, MU, SIGMA, SPATIAL_REF
from .times import Time, as_time
from .units import dequantify
from .validation import HasDataset, Retrieval, as_retrieval, decoded, validate, with_spatial_ref


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
    sigma : array, same shape, or a number
        One standard deviation, in the units of `mu`, or in those of its differences. A DataArray
        may lack the spatial dims, as one for each time does, or others.
    mask : array, same shape, optional
        uint8 flags of :class:`Exclusion`, 0 where usable; the same as floats, where NaN is
        UNKNOWN; or bool, True where excluded (becomes ``Exclusion.USER``).
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
    TypeError
        If `mu` or `sigma` is missing, no array, or a sigma for all pixels is no number; or if
        `time` is neither text nor date.

    Warns
    -----
    UserWarning
        If the names of the arrays say that they have changed places.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> water = xf.retrieval(np.full((2, 3), 0.8), np.full((2, 3), 0.1), sensor="sentinel-1")
    >>> dict(water.sizes)
    {'y': 2, 'x': 3}
    """
    given: dict[str, Any] = {MU: mu, SIGMA: sigma}
    for name, array in given.items():
        _check_is_array(name, array)
    if [getattr(array, "name", None) for array in given.values()] == [SIGMA, MU]:
        warn(
            "mu is the array 'sigma' and sigma the array 'mu': exchange them, or rename what is "
            "right, .rename('mu')"
        )
    for name, array in (given | {MASK: mask}).items():
        check_known(name, array)
    if not isinstance(mu, xr.DataArray):
        mu = np.asarray(mu) if not hasattr(mu, "dtype") else mu
        mu = xr.DataArray(mu, dims=_plain_dims(np.ndim(mu)))
    mu = decoded(unwrapped(mu).rename(MU))
    mean = mu.to_dataset(name=MU)
    if spatial_dims(mean) is not None:
        mean = _canonical_spatial_ref(mean)
    arrays = {SIGMA: sigma} if mask is None else {SIGMA: sigma, MASK: mask}
    variables = {MU: mean[MU].variable}
    for name, array in arrays.items():
        variables[name] = _aligned(array, name, mean)
    if mask is not None and variables[MASK].dtype == bool:
        variables[MASK] = variables[MASK].astype(np.uint8) * np.uint8(Exclusion.USER)
    elif mask is not None and variables[MASK].dtype.kind == "f":
        variables[MASK] = whole_flags(xr.DataArray(variables[MASK])).variable
    coords = {k: v for k, v in mean.coords.items() if k not in (SIGMA, MASK)}
    dataset = xr.Dataset(variables, coords)
    if time is not None:
        dataset = dataset.assign_coords(time=as_time(time))
    sensor = sensor if sensor is not None else mu.attrs.get("sensor")
    return annotate(validate(dataset.assign_attrs({} if sensor is None else {"sensor": sensor})))


def _check_is_array(name: str, array: Any) -> None:
    if array is None:
        msg = f"{name} is None: give an array, or of sigma one number for all pixels"
        raise TypeError(msg)
    if isinstance(array, xr.Dataset | HasDataset):
        msg = f"{name} is a {type(array).__name__}: give one of its arrays, such as ds['mu']"
        raise TypeError(msg)
    if name == MU and isinstance(array, str | os.PathLike):
        msg = f"mu={str(array)!r} is no array: open files with xf.SensorProduct.open(mu, sigma)"
        raise TypeError(msg)


def with_flags(dataset: xr.Dataset, flags: xr.DataArray) -> xr.Dataset:
    """Return a retrieval with flags, uint8 on its grid, added to those it has.

    Dims that the flags lack are broadcast.

    Raises
    ------
    ValueError
        If they lie on another grid.
    """
    located = located_like(flags, dataset)
    leading = [d for d in dataset[MU].dims if d not in located.dims]
    mean = dataset[[MU]].isel(dict.fromkeys(leading, 0), drop=True)
    aligned = on_grid_of(
        located,
        mean,
        names=("`excluded`", "the retrieval"),
        mend=".rio.write_crs('EPSG:...') on it, which says where it lies,",
    )[MASK].variable.copy(deep=False)
    aligned.attrs = {}  # what they were made of may say of itself what is not so of flags
    if MASK in dataset:
        aligned = dataset[MASK].variable | aligned
    aligned = aligned.set_dims(dataset[MU].sizes).transpose(*dataset[MU].dims)
    return annotate(dataset.assign({MASK: aligned}))


def located_like(layer: xr.DataArray, dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset of a layer, with the CRS of a retrieval unless it has its own.

    Raises
    ------
    ValueError
        If it has blocks of unknown size.
    """
    check_known("the array given" if layer.name is None else str(layer.name), layer)
    return _with_crs_of(with_spatial_dims(layer.to_dataset(name=MASK), dataset), dataset)


def usable(dataset: Retrieval, /) -> xr.DataArray:
    """Where a retrieval can be used: mask 0, mu finite, sigma finite and not negative.

    Parameters
    ----------
    dataset : Dataset
        A retrieval.

    Returns
    -------
    DataArray of bool

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> water = xf.retrieval(np.array([[0.8, np.nan]]), np.full((1, 2), 0.1))
    >>> water.fusion.usable.values
    array([[ True, False]])
    """
    dataset = as_retrieval(dataset)
    finite = [xr.apply_ufunc(np.isfinite, dataset[v], dask="allowed") for v in (MU, SIGMA)]
    result: xr.DataArray = finite[0] & finite[1] & (dataset[SIGMA] >= 0)
    if MASK in dataset:
        result = result & (dataset[MASK] == 0)
    return result.rename("usable").drop_attrs(deep=False)


def _plain_dims(ndim: int) -> tuple[str, ...]:
    dims = ("time", "y", "x")
    if ndim > len(dims):
        msg = f"an array of {ndim} dims needs names for them: pass an xarray.DataArray"
        raise ValueError(msg)
    return dims[len(dims) - ndim :]


def _aligned(array: xr.DataArray | ArrayLike, name: str, mean: xr.Dataset) -> xr.Variable:
    mu = mean[MU]
    if name == SIGMA and np.ndim(array) == 0:
        if hasattr(array, "magnitude"):
            quantity: Any = array
            array = xr.DataArray(quantity.magnitude, attrs={"units": str(quantity.units)})
        if np.asarray(array).dtype.kind not in "iuf":
            given = np.asarray(array)[()]
            msg = f"sigma={given!r} is no number: give one standard deviation in the units of mu"
            raise TypeError(msg)
        attrs = getattr(array, "attrs", {})
        return xr.full_like(mu, float(array)).drop_attrs(deep=False).assign_attrs(attrs).variable  # type: ignore[arg-type]  # a number
    if not isinstance(array, xr.DataArray):
        if np.shape(array) != mu.shape:
            msg = f"{name} has shape {np.shape(array)}, mu has {mu.shape}: give {name} that shape"
            raise ValueError(msg)
        plain = array if hasattr(array, "dtype") else np.asarray(array)
        return xr.Variable(mu.dims, plain)
    array = unwrapped(array) if name == MASK else decoded(unwrapped(array).rename(name))
    other = _canonical_spatial_ref(array.to_dataset(name=name))
    other = _with_crs_of(other, mean)
    other = with_spatial_dims(other, mean)
    # a sigma for each time, or one map of it for all, is that of each pixel
    lacking = {*mean.dims} - {*other.dims}
    there = {*(spatial_dims(mean) or ())}
    if lacking & there != there and lacking & there:
        lacking = set()
    each = mean.isel(dict.fromkeys(lacking, 0), drop=True)
    aligned = on_grid_of(other, each, names=(name, MU), mend=f"{name}.rio.reproject_match(mu)")
    variable: xr.Variable = aligned[name].variable
    if lacking:
        variable = variable.set_dims(mean.sizes)
    # what needs no change stays the array it is: co-registration knows the file of it by its name
    return variable.transpose(*mu.dims)


def unwrapped(array: xr.DataArray) -> xr.DataArray:
    """Return the array without pint, its units as text, and without the one band of a file."""
    if array.sizes.get(BAND) == 1:
        array = array.isel({BAND: 0}, drop=True)
    return dequantify(array.to_dataset(name=MU))[MU].rename(array.name)


def _with_crs_of(layer: xr.Dataset, mean: xr.Dataset) -> xr.Dataset:
    """Return a layer with the CRS of the retrieval it belongs to, if it has none of its own.

    Arithmetic and xr.where drop it; the labels are compared all the same.
    """
    if SPATIAL_REF in layer.coords and layer[SPATIAL_REF].attrs:
        return layer
    dims = spatial_dims(layer) or ()
    if SPATIAL_REF not in mean.coords or any(
        (d in layer.coords) < (d in mean.coords) for d in dims
    ):
        return layer
    return layer.assign_coords({SPATIAL_REF: mean[SPATIAL_REF]})


def _canonical_spatial_ref(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset of one array with its CRS in the scalar coordinate `spatial_ref`."""
    (name,) = dataset.data_vars
    array = dataset[name]
    mapping = array.encoding.get("grid_mapping", array.attrs.get("grid_mapping", SPATIAL_REF))
    if mapping in dataset.coords and mapping != SPATIAL_REF:
        dataset = dataset.drop_vars(SPATIAL_REF, errors="ignore").rename({mapping: SPATIAL_REF})
    dataset = with_spatial_ref(dataset)
    labelled = "crs" in array.attrs or any("crs" in c.attrs for c in array.coords.values())
    labelled = labelled and spatial_dims(dataset) is not None
    if SPATIAL_REF not in dataset.coords and labelled:
        return dataset.assign_coords({SPATIAL_REF: spatial_ref_of(geobox_of(array))})
    return dataset
