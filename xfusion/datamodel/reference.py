"""What is taken for true, on the grid of the retrieval that is judged by it."""

from __future__ import annotations

from typing import Any

import xarray as xr

from .building import located_like, unwrapped
from .chunks import rechunked
from .comparison import on_grid_of
from .grid import spatial_dims
from .names import MASK, MU
from .nodata import without_nodata
from .units import DIMENSIONLESS, conversion, same_units, units_of


def on_grid(dataset: xr.Dataset, reference: Any, *, name: str = "reference") -> xr.DataArray:
    """Return a map with the dims, coordinates and blocks of mu, to be read pixel by pixel with it.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, checked.
    reference : DataArray of bool, integers or floats
        On the grid of the retrieval. Dims that it lacks, such as `time`, are those of mu: it is
        the same for all. One of one band has no band.
    name : str
        What errors call it.

    Returns
    -------
    DataArray
        Of the dims of mu and the dtype of the reference; floats where it declares nodata, which
        is NaN. Lazy where the reference is, and then in the blocks of mu where that is lazy, too.

    Raises
    ------
    ValueError
        If it lies on another grid, has dims that mu lacks, or is no array of numbers.
    """
    if not isinstance(reference, xr.DataArray):
        msg = (
            f"{name} is a {type(reference).__name__}, not a DataArray: it needs a place, "
            f"xr.DataArray({name}, dims=mu.dims, coords=mu.coords), or of a retrieval its .mu"
        )
        raise TypeError(msg)
    if reference.dtype.kind not in "biuf":
        msg = f"{name} is of {reference.dtype}, not of numbers: give 0 and 1, or a quantity"
        raise ValueError(msg)
    mu = dataset[MU]
    located = located_like(without_nodata(unwrapped(reference)), dataset)
    needed = [d for d in spatial_dims(mu) or () if d not in located.dims]
    if needed:
        msg = (
            f"{name} has the dims {reference.dims}, without {', '.join(map(repr, needed))} of mu: "
            f"give one value for each pixel, {name}.broadcast_like(retrieval.mu)"
        )
        raise ValueError(msg)
    lacking = [d for d in mu.dims if d not in located.dims and d not in (spatial_dims(mu) or ())]
    each = dataset[[MU]].isel(dict.fromkeys(lacking, 0), drop=True)
    aligned = on_grid_of(
        located,
        each,
        names=(f"the {name}", "the retrieval"),
        mend=f"{name}.rio.reproject_match(retrieval.mu)",
    )
    if mu.chunks is not None and aligned[MASK].chunks is not None:
        aligned = rechunked(aligned, {d: mu.chunksizes[d] for d in aligned[MASK].dims})
    spread = aligned[MASK].variable.set_dims(mu.sizes).transpose(*mu.dims)
    return xr.DataArray(spread, mu.coords, name=name)


def in_units_of(
    reference: xr.DataArray, mu: xr.DataArray, *, name: str = "reference"
) -> xr.DataArray:
    """Return a quantity in the units of mu.

    A share or a probability is a number with the unit "1" or without one.

    Raises
    ------
    ValueError
        If they cannot be converted, or only one of the two has any.
    """
    units, wanted = units_of(reference), units_of(mu)
    if same_units(units, wanted) or (_is_number(units) and _is_number(wanted)):
        return reference
    if units is None or wanted is None:
        lacking, has = (name, mu.name) if units is None else (mu.name, name)
        msg = (
            f"the {name} is in {units!r}, mu in {wanted!r}: say what {lacking} is in, "
            f"{lacking}.attrs['units'] = {units or wanted!r} if it is what {has} is in"
        )
        raise ValueError(msg)
    try:
        scale, offset = conversion(units, wanted)
    except (ValueError, ModuleNotFoundError) as error:
        msg = (
            f"the {name} is in {units!r}, mu in {wanted!r}: {error}; convert it, or name the right "
            f"unit, {name}.attrs['units'] = {wanted!r}"
        )
        raise ValueError(msg) from error
    return (reference * scale + offset).assign_attrs(units=wanted)


def _is_number(units: str | None) -> bool:
    return units in DIMENSIONLESS or same_units(units, "1")
