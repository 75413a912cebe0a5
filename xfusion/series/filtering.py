"""Retrievals of many dates and sensors as one state that is carried through time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.names import AGE, CONFLICT, COUNT, MASK, MU, SIGMA
from xfusion.datamodel.provenance import merged_mask_attrs
from xfusion.datamodel.state import ESTIMATE, LAST_LOOK
from xfusion.datamodel.times import label_text
from xfusion.datamodel.units import same_units, units_of
from xfusion.fusion.own_rule import provenance_of
from xfusion.fusion.rules import NonfiniteSigma

from .block import SeriesTask
from .cubes import TIME, Series
from .description import with_description
from .layers import layers_of
from .models import ModelName, StateModel
from .parameters import as_pair, check_model, checked_parameters, checked_start
from .sample import estimated
from .timeline import Timeline, Times, times_of

Model: TypeAlias = ModelName | StateModel
Estimated: TypeAlias = Literal["ml"]


@dataclass(frozen=True)
class Rules:
    """How what is seen at one time is fused, see :func:`xfusion.gaussian`."""

    correlation: ArrayLike
    sigma_floor: float
    nonfinite_sigma: NonfiniteSigma
    use_mask: bool


def through_time(
    series: Series,
    *,
    model: Model,
    q: Any,
    rates: Any,
    prior: Any,
    times: Times | None,
    rules: Rules,
    smooth: bool,
    start: xr.Dataset | None = None,
) -> xr.Dataset:
    """Return the state of a series at some times, see :func:`xfusion.series.state.filter`.

    Parameters
    ----------
    start : Dataset, optional
        What is known before the first date: a state with a scalar `time`, on the grid.
    """
    check_model(model, q, rates, prior, smooth=smooth)
    first = series.cubes[0]
    units = units_of(first[MU])
    if model == "two_state" and units is not None and not same_units(units, "1"):
        msg = (
            f"mu is in {units!r}, the model 'two_state' takes probabilities from 0 to 1: convert "
            "mu and sigma, of percent / 100, and set .mu.attrs['units'] = '1'"
        )
        raise ValueError(msg)
    fusions = series.fusions(rules.correlation, rules.sigma_floor, rules.nonfinite_sigma)
    wanted = times_of(times, series.dates)
    began: Any = None if start is None else start.coords[TIME].to_numpy()[()]
    task = SeriesTask(
        Timeline(series.dates, wanted, began).steps(),
        series.looks,
        fusions,
        model,
        smooth,
        int(Exclusion.UNKNOWN),
    )
    masked = [rules.use_mask and MASK in cube for cube in series.cubes]
    if any(isinstance(value, str) and value == "ml" for value in (q, rates)):
        q, rates, prior = estimated(series, task, masked, model=model, prior=prior)
    if model == "two_state":
        rates = as_pair(rates)
    grid = first.isel({TIME: 0}, drop=True)
    parameters = checked_parameters(model, q, rates, prior, grid)
    begun = _begun(start, model, prior)
    layers = layers_of(task, series.cubes, masked, parameters, begun)
    provenance = _provenance(model, q, rates, prior, rules, smooth=smooth)
    if smooth:
        provenance[LAST_LOOK] = label_text(series.dates[-1])
    masked_by = [*([] if start is None else [start]), *series.given]
    masks = merged_mask_attrs(each.attrs for each in masked_by) if rules.use_mask else {}
    return with_description(layers, first, series.names, wanted, masks | provenance)


def _begun(start: xr.Dataset | None, model: Model, prior: Any) -> list[Any] | None:
    """Return what is known before the first date: the fields of a State, maps or numbers."""
    if start is not None:
        return [start[name].reset_coords(drop=True) for name in (MU, SIGMA, CONFLICT, AGE, COUNT)]
    if model != "random_walk" or prior is None:
        return None
    return [*checked_start(prior), 0.0, np.nan, 0.0]


def _provenance(
    model: Model, q: Any, rates: Any, prior: Any, rules: Rules, *, smooth: bool
) -> dict[str, Any]:
    """Return the attributes that record how a state was made."""
    name = model if isinstance(model, str) else repr(model)
    if not isinstance(model, str) and type(model).__repr__ is object.__repr__:
        # which has an address in memory, another in each process
        name = provenance_of(model, {})[0]
    attrs: dict[str, Any] = {
        "series_model": name,
        ESTIMATE: "smoother" if smooth else "filter",
        "series_sigma_floor": float(rules.sigma_floor),
        "series_nonfinite_sigma": rules.nonfinite_sigma,
        "series_use_mask": int(rules.use_mask),
    }
    if np.any(rules.correlation):
        attrs["series_correlation"] = np.asarray(rules.correlation, np.float64).ravel()
    for key, value in {"q": q, "rates": rates, "prior": prior}.items():
        if value is not None:
            attrs[f"series_{key}"] = _recorded(value)
    return attrs


def _recorded(value: Any) -> Any:
    """Return a parameter as files can hold it; of a map that it is one."""
    parts = list(value) if isinstance(value, tuple | list) else [value]
    if any(isinstance(part, xr.DataArray) and part.ndim for part in parts):
        return "map"
    numbers = np.array([float(part) for part in parts])
    return numbers if isinstance(value, tuple | list) else float(numbers[0])
