"""Layers of a store as its levels show them: few pixels of however large a one."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .arrays import quiet_zarr
from .declared import FOLDER, factors_of
from .origin import StoredLayer, recall
from .place import ROOT

if TYPE_CHECKING:
    from .place import Place


class SeenLevel(NamedTuple):
    """Pixels of a level, lazily, one for each of so many along a side."""

    pixels: xr.Variable
    factor: int
    """How many pixels of the store are one of the level, along a side."""


def seen_levels(
    layers: Mapping[Hashable, xr.Variable],
    coords: Mapping[Hashable, xr.DataArray],
    places: Mapping[Hashable, NDArray[np.intp]],
    *,
    most: float,
) -> dict[Hashable, SeenLevel]:
    """Return single pixels of those layers that are of a store that has levels.

    Parameters
    ----------
    layers : mapping of name to Variable
    coords : mapping
        Of the object that they are of.
    places : mapping of dim to array
        Which rows and columns, evenly spaced.
    most : float
        Pixels of a level that may be read.
    """
    steps = [int(np.diff(p[:2])[0]) for p in places.values() if p.size > 1]
    recalled = {name: recall(variable, coords) for name, variable in layers.items()}
    opened: dict[int, tuple[int, xr.Dataset] | None] = {}
    found = {}
    for name, each in recalled.items():
        if each is None:
            continue
        noted, others = each
        if id(noted.place) not in opened:
            opened[id(noted.place)] = _opened(noted.place, min(steps, default=1))
        level = opened[id(noted.place)]
        pixels = None if level is None else _pixels(noted, others, places, *level, most=most)
        if pixels is not None and level is not None:
            found[name] = SeenLevel(pixels, level[0])
    return found


def _opened(place: Place, step: int) -> tuple[int, xr.Dataset] | None:
    """Return the smallest level that has a pixel for each step."""
    with place.named_errors(), quiet_zarr():
        factors = [f for f in factors_of(place.json(ROOT) or {}) if f <= step]
        if not factors:
            return None
        from .inside import place_in

        factor = max(factors)
        level = place_in(place, f"{FOLDER}/{factor}")
        # one that is gone meanwhile, as dates are added, is none
        return (factor, level.opened({})) if level.has(ROOT) else None


def _pixels(
    noted: StoredLayer,
    others: Mapping[Hashable, int],
    places: Mapping[Hashable, NDArray[np.intp]],
    factor: int,
    level: xr.Dataset,
    *,
    most: float,
) -> xr.Variable | None:
    if noted.name not in level.variables:
        return None
    layer, whole = level.variables[noted.name], noted.whole
    sizes = {d: -(-n // factor) if d in places else n for d, n in whole.sizes.items()}
    # of other dates than the store had when it was opened
    if layer.dims != whole.dims or layer.dtype != whole.dtype or dict(layer.sizes) != sizes:
        return None
    layer = layer.isel(others)
    if math.prod(layer.shape) > most:
        return None
    return layer.isel({dim: p // factor for dim, p in places.items()})
