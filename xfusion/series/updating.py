"""Today's map from yesterday's state and today's passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from xfusion.datamodel.building import usable
from xfusion.datamodel.names import AGE, CONFLICT, COUNT, MU, SIGMA, SOURCE
from xfusion.datamodel.state import CARRIED, carried, check_is_of_the_past
from xfusion.datamodel.times import label_text
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.fusion.alignment import sensor_name
from xfusion.fusion.combine import SIGMA_FLOOR
from xfusion.fusion.rules import NonfiniteSigma

from .cubes import TIME, Series
from .filtering import Model, Rules, through_time
from .parameters import MODELS
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
        times, at the last. Any retrieval with a time is one that was seen once. Of
        :func:`smooth` the last date alone is a state that can be carried on.
    *new : Dataset or product
        Retrievals on its grid, each of one or several later times, and of a sensor with a name.
    model, q, rates, prior
        As of :func:`filter`; each by default the one that the state was made with. A map has to be
        given again, as a state does not hold it; the `prior` of a random walk is in the state.
    correlation, sigma_floor, nonfinite_sigma, use_mask
        As of :func:`filter`.

    Returns
    -------
    Dataset
        The state at the latest time of `new`, with a scalar `time`; the attribute
        `series_carried` says from which moment to which. With the same arguments it is bit for
        bit the last of :func:`filter` over all passes, old and new, if the state is of the time
        of a look, and no pass is of a wider dtype than the state. From a state of a time between
        looks, or one of float32 on to looks of float64, it is that but for the rounding of the
        state to its dtype. Lazy where an input is.

    Raises
    ------
    ValueError
        If there is nothing new, or some of it is not later than the state, or the state is of a
        smoother that has seen later dates, as what is in it already would count twice; if a sensor
        has no name; or as :func:`filter` does.

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
    check_is_of_the_past(known)
    if model is None:
        model = known.attrs.get("series_model", "random_walk")
        if model not in MODELS:
            msg = (
                f"the state was made with a model of one's own, {model}, which a Dataset does not "
                "hold: give it, model="
            )
            raise ValueError(msg)
    told = _as_before(known, model, {"q": q, "rates": rates, "prior": prior})
    began: Any = known.coords[TIME].to_numpy()[()]
    passes = [as_retrieval(each) for each in new]
    names = _names(known)
    for number, each in enumerate(passes, 1):
        _check_is_named(each, names, number)
    series = Series(passes, names=names, onto=known)
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
        model=model,
        **told,
        times=series.dates[-1:],
        rules=Rules(correlation, sigma_floor, nonfinite_sigma, use_mask),
        smooth=False,
        start=known,
    )
    return later.isel({TIME: 0}).assign_attrs({CARRIED: carried(began, series.dates[-1])})


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
    names = str(meanings or "").split()
    if not names and "sensor" in state.attrs:
        names = [sensor_name(state.attrs["sensor"])]
    if not names:
        msg = (
            "the state does not say of which sensor it is, so that nobody knows which of the new "
            "ones is the same: state.assign_attrs(sensor='sentinel-1')"
        )
        raise ValueError(msg)
    return names


def _check_is_named(dataset: xr.Dataset, names: Sequence[str], number: int) -> None:
    label = dataset.coords.get("sensor")
    if "sensor" in dataset.attrs or (label is not None and label.dims == (TIME,)):
        return
    msg = (
        f"new retrieval {number} does not say of which sensor it is, and the state is of "
        f"{', '.join(names)}: .assign_attrs(sensor={names[0]!r}) if it is that one"
    )
    raise ValueError(msg)


def _as_before(state: xr.Dataset, model: Any, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a model, those not given as the state was made with them."""
    given = dict(told)
    if isinstance(model, str) and state.attrs.get("series_model") == model:
        given = {k: _of_before(state, k) if v is None else v for k, v in told.items()}
    if model == "random_walk" and told["prior"] is not None:
        before = _of_before(state, "prior")
        if not np.array_equal(told["prior"], before):
            msg = (
                f"prior={told['prior']} of a random walk is what was known before its first look, "
                f"and that is in the state, which had {before}: leave it out, or filter all "
                "passes, xf.filter(..., prior=...)"
            )
            raise ValueError(msg)
    return given


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
