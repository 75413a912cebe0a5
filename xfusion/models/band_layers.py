"""The bands that a model sees: what is refused by their metadata, and their arrays in order."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xfusion.datamodel.chunks import check_known
from xfusion.datamodel.comparison import on_grid_of
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import READ_FAILED, SPATIAL_REF
from xfusion.datamodel.nodata import without_nodata
from xfusion.datamodel.validation import decoded, with_spatial_ref

FLOATS = (np.float32, np.float64)
TIME = "time"
LAYER = "pixels of bands"  # while they are a Dataset: no dim is called so


class Bands(NamedTuple):
    """Bands on one grid."""

    arrays: list[xr.Variable]
    """Of dims (y, x) or (band, y, x)."""
    names: list[str]
    coords: dict[Hashable, Any]
    dims: tuple[Hashable, Hashable]
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    attrs: dict[Hashable, Any]
    failed: xr.Variable | None = None
    """Of dims (y, x): where they could not be read, if that is known."""

    @property
    def is_lazy(self) -> bool:
        """Whether one of them is."""
        return any(array.chunks is not None for array in self.arrays)


def as_bands(bands: Any) -> Bands:
    """Return the bands of a Dataset or DataArray, checked by their metadata.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If there is no band, or bands are no floats, have further dims or are not on one grid.
    """
    if not isinstance(bands, xr.DataArray | xr.Dataset):
        msg = f"bands are a DataArray or a Dataset, not {type(bands).__name__}"
        raise TypeError(msg)
    if isinstance(bands, xr.Dataset) and READ_FAILED in bands.data_vars:
        bands = bands.set_coords(READ_FAILED)  # it is no band
    failed = bands.coords.get(READ_FAILED)
    plain = bands.drop_vars(READ_FAILED, errors="ignore")
    known = _of_array(plain) if isinstance(plain, xr.DataArray) else _of_dataset(plain)
    if failed is None:
        return known
    return known._replace(failed=_of_dims(failed.variable, known.dims))


def _of_dims(failed: xr.Variable, dims: tuple[Hashable, Hashable]) -> xr.Variable:
    of_one: xr.Variable = failed.squeeze([d for d in failed.dims if d not in dims])
    return of_one.transpose(*dims)


def _of_array(array: xr.DataArray) -> Bands:
    name = "bands" if array.name is None else str(array.name)
    array = array.rename(LAYER)
    dims = _spatial(array, name)
    others = [d for d in array.dims if d not in dims]
    if len(others) > 1:
        raise ValueError(_too_many(name, array, others[0]))
    for dim in others:
        if dim == TIME or (dim in array.coords and array.coords[dim].dtype.kind == "M"):
            msg = f"{name} has dates along {dim!r}, not bands: .isel({dim}=0), a date at a time"
            raise ValueError(msg)
        if not array.sizes[dim]:
            msg = f"{name} has no band along {dim!r}: select at least one"
            raise ValueError(msg)
    array = _checked(array, name)
    labels = array.coords[others[0]].to_numpy() if others and others[0] in array.coords else ()
    names = [str(label) for label in labels]
    located = with_spatial_ref(array.to_dataset(name=LAYER))
    kept = {k: v for k, v in located.coords.items() if {*v.dims} <= {*dims}}
    ordered = array.transpose(*others, *dims).variable
    return Bands([ordered], names, kept, dims, _shape(array, dims), array.dtype, array.attrs)


def _of_dataset(dataset: xr.Dataset) -> Bands:
    dataset = with_spatial_ref(dataset)
    named = {str(k): v for k, v in dataset.data_vars.items() if k != SPATIAL_REF}
    if not named:
        msg = "bands is a Dataset without variables: give one for each band"
        raise ValueError(msg)
    first, *_ = named.values()
    dims = _spatial(first, next(iter(named)))
    arrays: list[xr.DataArray] = []
    for name, array in named.items():
        _spatial(array, name)
        others = [d for d in array.dims if d not in dims]
        # the one band of a file is no further dim
        single = array.squeeze([d for d in others if array.sizes[d] == 1])
        single = single.drop_vars("band", errors="ignore")
        if single.ndim > len(dims):
            raise ValueError(_too_many(name, array, next(d for d in others if array.sizes[d] > 1)))
        checked = _checked(single, name).to_dataset(name=LAYER)
        reference = xr.Dataset({LAYER: arrays[0]}) if arrays else checked
        aligned = on_grid_of(
            checked,
            reference,
            names=(name, next(iter(named))),
            mend=f"{name}.rio.reproject_match({next(iter(named))})",
        )
        arrays.append(aligned[LAYER])
    dtype = np.result_type(*(a.dtype for a in arrays))
    coords = {k: v for k, v in arrays[0].coords.items() if {*v.dims} <= {*dims}}
    ordered = [a.transpose(*dims).variable for a in arrays]
    return Bands(ordered, [*named], coords, dims, _shape(arrays[0], dims), dtype, dataset.attrs)


def _spatial(array: xr.DataArray, name: str) -> tuple[Hashable, Hashable]:
    dims = spatial_dims(array)
    if dims is None:
        msg = f"{name} has dims {array.dims}, no spatial ones: rename them to ('y', 'x')"
        raise ValueError(msg)
    if not all(array.sizes[d] for d in dims):
        msg = f"{name} has no pixels: its shape is {array.shape}"
        raise ValueError(msg)
    return dims


def _checked(array: xr.DataArray, name: str) -> xr.DataArray:
    check_known(name, array)
    if array.dtype not in FLOATS:
        msg = (
            f"{name} is {array.dtype}, not float32 or float64: scale it as the model was trained, "
            f"e.g. {name}.where({name} != 0).astype('float32') / 10000, with what is missing as NaN"
        )
        raise ValueError(msg)
    return decoded(without_nodata(array).rename(name))


def _shape(array: xr.DataArray, dims: tuple[Hashable, Hashable]) -> tuple[int, int]:
    return array.sizes[dims[0]], array.sizes[dims[1]]


def _too_many(name: str, array: xr.DataArray, dim: Hashable) -> str:
    return (
        f"{name} has dims {array.dims}: besides the spatial ones there may be one, that of the "
        f"bands; select of the others, .isel({dim}=0), or give a Dataset with a variable for each"
    )
