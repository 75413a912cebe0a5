"""Which store the pixels of a lazy variable are those of, unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.conventions import as_opened
from xfusion.datamodel.grid import spatial_dims

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from .place import Place

ENCODING = "xfusion_store"


@dataclass(frozen=True)
class StoredLayer:
    """A layer of a store."""

    place: Place
    name: str
    whole: xr.Variable
    """As it was opened, lazily."""
    labels: Mapping[Hashable, NDArray[Any]]
    """Of its other dims than rows and columns."""

    def __deepcopy__(self, memo: Any) -> StoredLayer:
        return self


def opened_from(place: Place, dataset: xr.Dataset) -> xr.Dataset:
    """Return what was opened from a store as it was before, with a note of which store it is."""
    opened = as_opened(dataset)
    own = spatial_dims(opened)
    if own is None:
        return opened
    labels = {d: opened.coords[d].to_numpy() for d in opened.dims if d in {*opened.coords} - {*own}}
    for name, variable in opened.variables.items():
        if variable.chunks is not None and {*own} <= {*variable.dims}:
            whole = xr.Variable(variable.dims, variable.data)
            opened[name].encoding[ENCODING] = StoredLayer(place, str(name), whole, labels)
    return opened


def recall(
    variable: xr.Variable, coords: Mapping[Hashable, xr.DataArray]
) -> tuple[StoredLayer, dict[Hashable, int]] | None:
    """Return which layer of a store a variable is, and at which place along other dims.

    None if it is no longer what was opened: a part of the rows, say, or computed from it.

    Parameters
    ----------
    variable : Variable
    coords : mapping
        Of the object that it is from: they tell which time it is that was selected.
    """
    noted = variable.encoding.get(ENCODING)
    if not isinstance(noted, StoredLayer) or variable.chunks is None:
        return None
    places: dict[Hashable, int] = {}
    for dim in {*noted.whole.dims} - {*variable.dims}:
        labels = noted.labels.get(dim, np.zeros(0))
        if noted.whole.sizes[dim] == 1:
            places[dim] = 0
        elif dim in coords and coords[dim].ndim == 0 and coords[dim].chunks is None:
            found = np.flatnonzero(labels == coords[dim].to_numpy())
            if found.size != 1:
                return None
            places[dim] = int(found[0])
        else:
            return None
    # the name of a dask array tells its content
    same = noted.whole.isel(places) if places else noted.whole
    is_same = same.dims == variable.dims and same.data.name == variable.data.name
    return (noted, places) if is_same else None
