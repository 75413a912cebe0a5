"""Attributes by the conventions of Zarr that say where the whole of a store lies.

They are true of a store alone: what is selected of it lies elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

CONVENTIONS_OF_ZARR = "zarr_conventions"  # which of them a group follows
MULTISCALES = "multiscales"
OF_GRID = ("proj:", "spatial:")  # begin the attributes
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


def as_opened(dataset: xr.Dataset) -> xr.Dataset:
    """Return what was opened from a store as what is selected of it may lie elsewhere."""
    own = without_grid_of_store(dataset.attrs)
    return dataset.drop_attrs(deep=False).assign_attrs(own)


def _name_of(declared: Any) -> Any:
    return declared.get("name") if isinstance(declared, Mapping) else None
