"""Attributes and coordinates of a state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.cf import annotate
from xfusion.datamodel.flags import FLAG_ATTRS
from xfusion.datamodel.names import AGE, CONFLICT, COUNT, MASK, MU, SIGMA, SOURCE

from .cubes import TIME


def with_description(
    layers: dict[str, xr.DataArray],
    first: xr.Dataset,
    names: Sequence[str],
    times: NDArray[np.datetime64],
    provenance: dict[str, Any],
) -> xr.Dataset:
    """Return the layers of a state as a retrieval.

    Parameters
    ----------
    layers : dict of DataArray
    first : Dataset
        The cube whose grid and attributes of mu they have.
    names : sequence of str
        Of the sensors, in the order of their bits.
    times : array of datetime64
    provenance : dict
        Attributes that say how they were made.
    """
    state = xr.Dataset(layers)
    on_grid = {k: v for k, v in first.coords.items() if TIME not in v.dims and k in state.coords}
    state = state.drop_vars([k for k in state.coords if k not in on_grid and k not in state.dims])
    state = state.assign_coords({TIME: (TIME, times)}).transpose(TIME, ...)
    state[MU].attrs = {k: v for k, v in first[MU].attrs.items() if k != "ancillary_variables"}
    state[SIGMA].attrs = {}
    state[MASK].attrs = dict(FLAG_ATTRS)
    state[SOURCE].attrs = {
        "long_name": "sensors that saw the pixel at that time",
        "flag_masks": np.array([1 << i for i in range(len(names))], np.uint8),
        "flag_meanings": " ".join(names),
    }
    state[CONFLICT].attrs = {
        "long_name": "those who saw the pixel last are further apart than 3 sigmas of each"
    }
    state[AGE].attrs = {"long_name": "days since a sensor saw the pixel", "units": "d"}
    state[COUNT].attrs = {"long_name": "number of retrievals that contributed", "units": "1"}
    attrs = {"sensor": "+".join(names)}
    return annotate(state.drop_attrs(deep=False).assign_attrs(attrs | provenance))
