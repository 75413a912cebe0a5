"""Groups of pixels, such as scenes, as whole numbers with a name each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import xarray as xr

from .building import unwrapped
from .comparison import on_grid_of
from .grid import spatial_dims
from .names import MU, NODATA
from .nodata import without_nodata
from .reference import on_grid
from .times import label_text

Name: TypeAlias = int | str


class Groups(NamedTuple):
    """The group of each pixel."""

    codes: xr.DataArray
    """Whole numbers, as integers or floats; NaN in no group. Of dims of mu, maybe not of all."""
    names: Mapping[int, Name]
    """Number -> name, of those that are called otherwise than by their number."""


def groups_of(dataset: xr.Dataset, groups: xr.DataArray | Hashable) -> Groups:
    """Return the groups of the pixels of a retrieval.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, checked.
    groups : DataArray of integers, strings or times, or hashable
        On the grid of the retrieval, or along other dims of mu, one for each label. Missing and
        declared nodata are in no group. Or the name of a dim, each label of which is a group.

    Raises
    ------
    ValueError
        If it lies elsewhere, is of another kind, or there is no such dim.
    TypeError
        If it is an array without a place.
    """
    mu = dataset[MU]
    spatial = spatial_dims(mu) or ()
    given: Any = groups
    if not isinstance(given, xr.DataArray | Hashable):
        msg = (
            f"groups is a {type(given).__name__}, not a DataArray: it needs a place, "
            "xr.DataArray(groups, dims=..., coords=...), or the name of a dim of mu"
        )
        raise TypeError(msg)
    if not isinstance(groups, xr.DataArray):
        if groups not in mu.dims or groups in spatial:
            others = [d for d in mu.dims if d not in spatial]
            msg = f"{groups=} is no dim of mu that has scenes: it has {others}; or give a DataArray"
            raise ValueError(msg)
        labels = mu.coords[groups].to_numpy() if groups in mu.coords else range(mu.sizes[groups])
        of_dim: dict[int, Name] = {i: label_text(label) for i, label in enumerate(labels)}
        return Groups(xr.DataArray(np.arange(len(of_dim)), dims=[groups]), of_dim)
    numbered, names = _numbered(unwrapped(groups))
    if spatial_dims(numbered) is None:
        return Groups(_along_dims(dataset, numbered), names)
    return Groups(on_grid(dataset, numbered, name="groups"), names)


def _numbered(groups: xr.DataArray) -> tuple[xr.DataArray, dict[int, Name]]:
    """Return groups as numbers, with the names of those that were called otherwise."""
    if groups.dtype.kind in "biu":
        return groups, {}
    if groups.dtype.kind == "f" and groups.chunks is None:
        _check_whole(groups.to_numpy())
    if groups.dtype.kind == "f":
        return groups, {}
    if groups.dtype.kind not in "OUTM":
        msg = f"groups are of {groups.dtype}: give integers or strings, one for each scene"
        raise ValueError(msg)
    if groups.chunks is not None:
        msg = f"groups of {groups.dtype} are lazy, their names are not known: call groups.compute()"
        raise ValueError(msg)
    import pandas as pd

    labels = groups.to_numpy()
    codes, found = pd.factorize(labels.reshape(-1))
    kept = {k: v for k, v in groups.attrs.items() if k not in NODATA}
    numbers = groups.drop_attrs(deep=False).copy(data=codes.reshape(labels.shape))
    numbers.attrs = kept | {"_FillValue": -1}  # what pandas says of what is missing
    return numbers, {i: label_text(name) for i, name in enumerate(found)}


def _along_dims(dataset: xr.Dataset, groups: xr.DataArray) -> xr.DataArray:
    """Return groups along dims of mu that are not spatial, with missing ones as NaN."""
    mu = dataset[MU]
    unknown = [d for d in groups.dims if d not in mu.dims]
    if unknown:
        msg = f"groups has the dims {groups.dims}, mu has {mu.dims}: none of these is {unknown[0]}"
        raise ValueError(msg)
    others = [d for d in mu.dims if d not in groups.dims]
    each = dataset[[MU]].isel(dict.fromkeys(others, 0), drop=True)
    named = groups.to_dataset(name=MU)
    aligned = on_grid_of(named, each, names=("groups", "mu"), mend=".sel(...)")[MU].variable
    return without_nodata(xr.DataArray(aligned.data, dims=aligned.dims, attrs=groups.attrs))


def _check_whole(numbers: Any) -> None:
    """Refuse groups that are measured, not counted."""
    known = numbers[np.isfinite(numbers)]
    if (known != np.round(known)).any():
        broken = known[known != np.round(known)][0]
        msg = f"groups has {broken}: give integers or strings, one for each scene"
        raise ValueError(msg)
