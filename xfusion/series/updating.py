"""Today's map from yesterday's state and today's passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from xfusion.datamodel.building import usable
from xfusion.datamodel.names import AGE, CONFLICT, COUNT, MU, SIGMA, SOURCE
from xfusion.datamodel.times import label_text
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.fusion.combine import SIGMA_FLOOR
from xfusion.fusion.rules import NonfiniteSigma

from .cubes import TIME, Series
from .filtering import Model, Rules, through_time
from .timeline import dates_of


def update(
    state: Retrieval,
    /,
    *new: Retrieval,
    model: Model | None = None,
    q: Any = None,
    rates: Any = None,
    prior: Any = None,
    correlation: ArrayLike = 0.0,
    sigma_floor: float = SIGMA_FLOOR,
    nonfinite_sigma: NonfiniteSigma = "exclude",
    use_mask: bool = True,
) -> xr.Dataset:
    """Carry a state to the latest of new passes, and add what they saw.

    Parameters
    ----------
    state : Dataset or product
        What is known at its `time`, as :func:`filter` returns it or this function; of several
        times, at the last. Any retrieval with a time is one that was seen once.
    *new : Dataset or product
        Retrievals on its grid, each of one or several later times.
    model, q, rates, prior
        As of :func:`filter`; by default those that the state was made with.
    correlation, sigma_floor, nonfinite_sigma, use_mask
        As of :func:`filter`.

    Returns
    -------
    Dataset
        The state at the latest time of `new`, with a scalar `time`: bit for bit the last of
        :func:`filter` over all passes, old and new, with the same arguments. Lazy where an
        input is.

    Raises
    ------
    ValueError
        If there is nothing new, or some of it is not later than the state, as what is in it
        already would count twice; or as :func:`filter` does.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> seen = np.full((1, 1), 0.2), np.full((1, 1), 0.1)
    >>> monday = xf.retrieval(*seen, sensor="sentinel-1", time="2023-06-19")
    >>> tuesday = xf.retrieval(*seen, sensor="sentinel-1", time="2023-06-20")
    >>> today = xf.update(monday, tuesday, q=0.0)
    >>> float(today.sigma[0, 0].round(4)), int(today["count"][0, 0])
    (0.0707, 2)
    """
    known = _state(as_retrieval(state))
    if not new:
        msg = "there is nothing new: xf.update(state, today)"
        raise ValueError(msg)
    if model is None and "series_model" in known.attrs:
        model = str(known.attrs["series_model"])  # type: ignore[assignment]  # it is checked
    as_before = {"q": q, "rates": rates, "prior": prior}
    if all(value is None for value in (q, rates)):
        as_before = {k: _of_before(known, k) if v is None else v for k, v in as_before.items()}
    began = known.coords[TIME].to_numpy()[()]
    series = Series(new, names=_names(known), onto=known)
    for cube, moments in zip(series.given, series.moments, strict=True):
        early = moments[moments <= began]
        if early.size:
            name = cube.attrs.get("sensor", "a new retrieval")
            msg = (
                f"{name!r} has the time {label_text(early[0])}, the state is of "
                f"{label_text(began)}: only what is later is new; filter all passes again, "
                "xf.filter(...), to add an earlier one"
            )
            raise ValueError(msg)
    later = through_time(
        series,
        model=model or "random_walk",
        **as_before,
        times=series.dates[-1:],
        rules=Rules(correlation, sigma_floor, nonfinite_sigma, use_mask),
        smooth=False,
        start=known,
    )
    return later.isel({TIME: 0})


def _state(dataset: xr.Dataset) -> xr.Dataset:
    """Return a state of one time: what is usable, its age in days, and of how many looks it is."""
    moments = dates_of(dataset, name="the state")
    if TIME in dataset.dims:
        dataset = dataset.isel({TIME: int(moments.argmax())})
    dataset = dataset.assign_coords({TIME: moments.max()})
    known = usable(dataset)
    layers = {
        MU: dataset[MU].where(known),
        SIGMA: dataset[SIGMA].where(known),
        CONFLICT: dataset[CONFLICT] if CONFLICT in dataset else xr.zeros_like(known),
        AGE: dataset[AGE] if AGE in dataset else xr.where(known, 0.0, np.nan),
        COUNT: dataset[COUNT] if COUNT in dataset else known.astype(np.uint16),
    }
    kept = dataset[[v for v in (MU, SIGMA, SOURCE) if v in dataset]]
    return kept.assign(
        {name: (dataset[MU].dims, layer.data) for name, layer in layers.items()}
    ).assign({MU: layers[MU].assign_attrs(dataset[MU].attrs)})


def _names(state: xr.Dataset) -> list[str]:
    """Return the sensors of a state in the order of their bits."""
    meanings = state[SOURCE].attrs.get("flag_meanings") if SOURCE in state else None
    return str(meanings if meanings is not None else state.attrs.get("sensor", "")).split()


def _of_before(state: xr.Dataset, name: str) -> Any:
    """Return a parameter that the state was made with, if it is a number."""
    value = state.attrs.get(f"series_{name}")
    if value is None:
        return None
    if isinstance(value, str):
        msg = f"{name} of the state was a map, which it does not hold: give {name}"
        raise ValueError(msg)  # noqa: TRY004  # what is missing is an argument
    numbers = np.atleast_1d(np.asarray(value, np.float64)).tolist()
    return tuple(numbers) if len(numbers) > 1 else numbers[0]
