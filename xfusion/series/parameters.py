"""What a model of time is told, checked: numbers, or maps on the grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import located_like, unwrapped
from xfusion.datamodel.comparison import on_grid_of
from xfusion.datamodel.names import MASK

from .models import ModelName, ReversibleModel, StateModel

MODELS = ("random_walk", "two_state")
PAIR = 2
TINY = float(np.finfo(np.float64).tiny)
# what each model must be told, and what that is
NEEDED = {
    "random_walk": ("q", "by how much the variance grows in a day, in units of mu squared"),
    "two_state": ("rates", "(dry_to_wet, wet_to_dry), how often a day either turns"),
}


def check_model(model: Any, q: Any, rates: Any, prior: Any, *, smooth: bool) -> None:
    """Refuse arguments that do not go together.

    Raises
    ------
    ValueError
        Naming the argument, and what it may be.
    """
    given = {"q": q, "rates": rates}
    if isinstance(model, str):
        if model not in MODELS:
            msg = f"{model=}: must be one of {list(MODELS)}, or a model of your own"
            raise ValueError(msg)
        needed, meaning = NEEDED[model]
        if given.pop(needed) is None:
            msg = f"{needed} is missing: {meaning}; {needed}='ml' finds it by what was seen"
            raise ValueError(msg)
    elif not isinstance(model, StateModel):
        msg = f"{model=}: has no methods predict and update, see xfusion.series.models.StateModel"
        raise TypeError(msg)
    elif smooth and not isinstance(model, ReversibleModel):
        msg = f"{model=}: has no method smooth, see xfusion.series.models.ReversibleModel"
        raise TypeError(msg)
    elif prior is not None:
        msg = (
            f"prior={_shown(prior)}: a model of your own starts with what is seen first, leave it "
            "out"
        )
        raise ValueError(msg)
    for name, value in given.items():
        if value is not None:
            msg = f"{name} is given, which the model {model!r} does not take: leave it out"
            raise ValueError(msg)


def checked_parameters(
    model: ModelName | StateModel, q: Any, rates: Any, prior: Any, grid: xr.Dataset
) -> list[float | xr.DataArray]:
    """Return the parameters of a model, numbers or maps on a grid.

    `q` of a random walk; of two states the long-run share of the first, the sum of both rates, and
    the prior.

    Raises
    ------
    ValueError
        If one is none that the model can have; of lazy maps when they are computed.
    """
    if model == "random_walk":
        return [_number_or_map(q, grid, "q", 0.0, np.inf, "at least 0, and finite")]
    if model == "two_state":
        what = "above 0, and finite"
        wetter, drier = (
            _number_or_map(r, grid, "rates", TINY, np.inf, what) for r in as_pair(rates)
        )
        share = wetter / (wetter + drier)
        if prior is None:
            return [share, wetter + drier, share]
        what = "between 0 and 1, and neither of them"
        below = float(np.nextafter(1.0, 0.0))
        return [share, wetter + drier, _number_or_map(prior, grid, "prior", TINY, below, what)]
    return []


def as_pair(rates: Any) -> tuple[Any, Any]:
    """Return the two rates, numbers or maps, as they are: of lazy ones nothing is computed.

    Raises
    ------
    ValueError
        If they are not two.
    """
    in_a_row = isinstance(rates, xr.DataArray | np.ndarray) and rates.ndim == 1
    pair = tuple(rates) if in_a_row or isinstance(rates, tuple | list) else ()
    if len(pair) != PAIR:
        msg = (
            f"rates={_shown(rates)}: give (dry_to_wet, wet_to_dry) per day, such as (0.01, 0.04), "
            "or 'ml'"
        )
        raise ValueError(msg)
    dry_to_wet, wet_to_dry = pair
    return dry_to_wet, wet_to_dry


def checked_start(prior: Any) -> tuple[float, float]:
    """Return mean and standard deviation of a quantity before anything was seen."""
    try:
        mean, deviation = (float(number) for number in prior)
    except (TypeError, ValueError) as error:
        msg = (
            f"prior={_shown(prior)}: give (mu, sigma), two numbers, what is known before the first "
            "look"
        )
        raise ValueError(msg) from error
    if not (np.isfinite(mean) and 0 <= deviation < np.inf):
        msg = f"{prior=}: mu must be finite, sigma finite and at least 0"
        raise ValueError(msg)
    return mean, deviation


def _number_or_map(
    value: Any, grid: xr.Dataset, name: str, lowest: float, highest: float, what: str
) -> float | xr.DataArray:
    if isinstance(value, xr.DataArray) and value.ndim:
        array = unwrapped(value)
        aligned = on_grid_of(
            located_like(array.astype(np.float64), grid),
            grid,
            names=(name, "the retrievals"),
            mend=f"{name}.rio.reproject_match(retrieval.mu)",
        )[MASK]
        checked: xr.DataArray = xr.apply_ufunc(
            _within,
            aligned,
            kwargs={"name": name, "lowest": lowest, "highest": highest, "what": what},
            dask="parallelized",
            output_dtypes=[np.float64],
        )
        return checked
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        msg = f"{name}={_shown(value)}: must be a number {what}, or a DataArray of them on the grid"
        raise ValueError(msg) from error
    if not lowest <= number <= highest or not np.isfinite(number):
        msg = f"{name}={number!r}: must be {what}"
        raise ValueError(msg)
    return number


def _shown(value: Any) -> str:
    """Return a value as an error shows it: of a map that it is one, not all of its pixels."""
    if isinstance(value, tuple | list):
        return f"({', '.join(_shown(part) for part in value)})"
    if isinstance(value, xr.DataArray) and value.ndim:
        return f"DataArray of {value.dims}"
    return repr(value)


def _within(values: Any, *, name: str, lowest: float, highest: float, what: str) -> Any:
    wrong = ~((values >= lowest) & (values <= highest) & np.isfinite(values))
    if wrong.any():
        msg = f"{name} has the value {values[wrong][0]}: must be {what}"
        raise ValueError(msg)
    return values
