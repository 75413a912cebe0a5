"""The probability before any evidence, that the odds of several sensors share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import located_like, unwrapped
from xfusion.datamodel.chunks import rechunked
from xfusion.datamodel.comparison import on_grid_of
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import BASE_RATE, MASK, MU
from xfusion.datamodel.nodata import without_nodata

from .alignment import sensor_names
from .rules import MAP, RULES

CALIBRATION = "calibration"
APART = math.log(2.0)  # of odds: those of one place are less, where masks leave out some of it


def with_prior(
    rule: Any, parameters: Mapping[str, Any], retrievals: Sequence[xr.Dataset]
) -> tuple[dict[str, Any], xr.DataArray | None]:
    """Return the parameters of a rule with a prior that is a number, and the map if it is one.

    Parameters
    ----------
    rule : str or callable
    parameters : mapping
        As given to :func:`xfusion.fuse`.
    retrievals : sequence of Dataset
        Of the sensors.

    Raises
    ------
    ValueError
        If the prior is that of a calibration which some have not, or two have others; a map on
        another grid; or another word.
    """
    told = dict(parameters)
    prior = told.get("prior")
    if rule != "log_odds" or prior is None:
        return told, None
    if isinstance(prior, str) and prior == CALIBRATION:
        return told | {"prior": _base_rate(retrievals)}, None
    if isinstance(prior, xr.DataArray) and prior.ndim:
        return told | {"prior": MAP}, _on_grid(prior, retrievals[0])
    if isinstance(prior, str):
        msg = f"prior={prior!r}: {RULES[rule].parameters['prior'].must_be}"
        raise ValueError(msg)  # noqa: TRY004  # a word is a right type, this one is wrong
    return told, None


def _base_rate(retrievals: Sequence[xr.Dataset]) -> float:
    """Return the base rate that the sensors were calibrated with: the mean of their log-odds."""
    rates = {}
    for name, retrieval in zip(sensor_names(retrievals), retrievals, strict=True):
        if BASE_RATE not in retrieval.attrs:
            msg = (
                f"prior='calibration': {name!r} was not calibrated; .apply_calibration(...) first, "
                "or give the probability before any evidence, prior=..."
            )
            raise ValueError(msg)
        rates[name] = float(retrieval.attrs[BASE_RATE])
    odds = {name: math.log(rate / (1 - rate)) for name, rate in rates.items()}
    least, most = min(odds, key=odds.__getitem__), max(odds, key=odds.__getitem__)
    if odds[most] - odds[least] > APART:
        msg = (
            f"prior='calibration': {least!r} was calibrated with a base rate of {rates[least]:.3g} "
            f"and {most!r} with {rates[most]:.3g}: calibrate them by one reference, or give the "
            "probability before any evidence, prior=..."
        )
        raise ValueError(msg)
    return 1 / (1 + math.exp(-sum(odds.values()) / len(odds)))


def _on_grid(prior: xr.DataArray, first: xr.Dataset) -> xr.DataArray:
    """Return a map of priors with the coordinates and blocks of the first sensor."""
    mu, there = first[MU], spatial_dims(first) or ()
    located = located_like(without_nodata(unwrapped(prior)).astype(np.float64), first)
    lacking = [d for d in mu.dims if d not in located.dims and d not in there]
    aligned = on_grid_of(
        located,
        first[[MU]].isel(dict.fromkeys(lacking, 0), drop=True),
        names=("the prior", "the first retrieval"),
        mend="prior.rio.reproject_match(retrieval.mu)",
    )
    if mu.chunks is not None and aligned[MASK].chunks is not None:
        aligned = rechunked(aligned, {d: mu.chunksizes[d] for d in aligned[MASK].dims})
    return aligned[MASK].reset_coords(drop=True)
