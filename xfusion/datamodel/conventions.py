"""Attributes by the conventions of Zarr that say where the whole of a store lies.

They are true of a store alone: what is selected of it lies elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .grid import spatial_dims
from .names import SPATIAL_REF

CONVENTIONS_OF_ZARR = "zarr_conventions"  # which of them a group follows
MULTISCALES = "multiscales"
OF_GRID = ("proj:", "spatial:")  # begin the attributes
GRID_MAPPING = "grid_mapping"
FLAGS = {"flag_masks", "flag_values"}  # whose numbers CF wants of the dtype of the variable
NAMES_OF_GRID = ("proj", "spatial", MULTISCALES)


def is_of_store(name: object) -> bool:
    """Whether an attribute says where the whole of a store lies, or which conventions say it."""
    return str(name).startswith(OF_GRID) or name in (MULTISCALES, CONVENTIONS_OF_ZARR)


def without_grid_of_store(attrs: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return attributes without those that are true of a store alone; other conventions stay."""
    kept = {name: value for name, value in attrs.items() if not is_of_store(name)}
    declared = attrs.get(CONVENTIONS_OF_ZARR)
    others = (
        [each for each in declared if _name_of(each) not in NAMES_OF_GRID]
        if (isinstance(declared, list))
        else []
    )
    return kept | ({CONVENTIONS_OF_ZARR: others} if others else {})


def of_no_store(dataset: xr.Dataset) -> xr.Dataset:
    """Return a Dataset without attributes that are true of a store alone."""
    if not any(is_of_store(name) for name in dataset.attrs):
        return dataset
    own = without_grid_of_store(dataset.attrs)
    return dataset.drop_attrs(deep=False).assign_attrs(own)


def as_opened(dataset: xr.Dataset) -> xr.Dataset:
    """Return what was opened from a store as it was before: netCDF can hold it.

    What is selected of it may lie elsewhere, and JSON has no numbers of one byte.
    """
    opened = of_no_store(dataset).copy()
    for name, variable in opened.variables.items():
        attrs = {key: _of_dtype(key, value, variable) for key, value in variable.attrs.items()}
        is_layer = name in opened.data_vars and spatial_dims(opened[name]) is not None
        if is_layer and attrs.get(GRID_MAPPING, SPATIAL_REF) in opened.coords:
            # as rioxarray keeps it: xarray refuses to write it from both places
            opened[name].encoding[GRID_MAPPING] = attrs.pop(GRID_MAPPING, SPATIAL_REF)
        opened[name].attrs = attrs
        if name in opened.dims:
            # a label of a pixel is never missing, nor may it be in netCDF
            opened[name].encoding.setdefault("_FillValue", None)
    return opened


def _of_dtype(key: Any, value: Any, variable: xr.Variable) -> Any:
    """Return what flags there are as CF has it: numbers of the dtype that the variable has."""
    dtype = np.dtype(np.int8) if variable.dtype == bool else variable.dtype
    if key not in FLAGS or dtype.kind not in "iu" or not isinstance(value, list):
        return value
    fits = np.iinfo(dtype)
    if not all(type(n) is int and fits.min <= n <= fits.max for n in value):
        return value
    return np.array(value, dtype)


def _name_of(declared: Any) -> Any:
    return declared.get("name") if isinstance(declared, Mapping) else None
