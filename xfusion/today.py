"""From the files of several sensors, and the last map of a store, to the map of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .datamodel.grid import geobox_of
from .datamodel.redaction import public
from .datamodel.times import Time, label_text, moment_of
from .masks.exclusion import NDVI_MAX
from .products import SensorProduct
from .raster.sample import range_of, warn_of_ranges, warn_of_sigmas
from .series.cubes import TIME
from .series.state import filter as filtered
from .series.updating import update
from .store.one_date import date_at
from .store.place import StoreLike
from .store.write import open_if_finished
from .workflow import SensorFiles, check_names, grid_of, masked, opened_files

TAKES = {"random_walk": ("q",), "two_state": ("rates", "prior")}  # what each model is told


def update_files(
    store: StoreLike,
    sensors: Sequence[SensorFiles],
    *,
    date: Time | None = None,
    grid: str | None = None,
    ndvi_max: float = NDVI_MAX,
    q: float | None = None,
    rates: tuple[float, float] | None = None,
    prior: float | None = None,
    correlation: float = 0.0,
) -> SensorProduct:
    """Open what sensors have seen, and carry the last map of a store to it, lazily.

    Parameters
    ----------
    store : path, URL or zarr store
        Of a map for each date, as ``to_zarr(append_dim="time")`` writes it; or none yet.
    sensors : sequence of SensorFiles
        At least one.
    date, grid, ndvi_max
        As of :func:`fuse_files`; `grid` is that of a new store, others have theirs.
    q, rates, prior
        As of :func:`xfusion.filter`; by default those of the store, from which they cannot differ.
    correlation : float
        Of the errors of sensors at one time.

    Returns
    -------
    SensorProduct
        Of the latest time of the sensors, to be added to the store. If that is the last of the
        store, it is made once more from the date before, and ``to_zarr`` knows it.

    Raises
    ------
    ValueError
        If `grid` is given for a store that has one, neither `q` nor `rates` for a new one, or
        others than those of the store; if two sensors have one name, or one has seen what has no
        time, or is not later than the store; or as :func:`fuse_files` does.
    LookupError
        As :func:`fuse_files` does.
    """
    check_names([sensor.name for sensor in sensors])
    state, name = open_if_finished(store), public(str(store))
    if state is None and q is None and rates is None:
        msg = (
            f"there is no finished store at {name}, and a new one needs to know how "
            "fast things change: give q=, such as 0.002, or for water and dry land rates=(0.001, "
            "0.05)"
        )
        raise ValueError(msg)
    told: dict[str, Any] = {"q": q, "rates": rates, "prior": prior}
    if state is not None:
        told = parameters_of(state, told, correlation, name=name)
    elif rates is not None:
        told["model"] = "two_state"
    opened = {sensor.name: opened_files(sensor, date) for sensor in sensors}
    moments = {each: _moment(product, each) for each, product in opened.items()}
    before = None if state is None else date_before(state, moments, name=name)
    if before is not None and grid is not None:
        msg = f"{grid=} is for a new store, and {name} has a grid: leave it out"
        raise ValueError(msg)
    ranges = {each: range_of(product.mu) for each, product in opened.items()}
    warn_of_ranges(ranges)
    warn_of_sigmas({n: range_of(p.sigma, above=0) for n, p in opened.items()}, ranges)
    target = grid_of(grid, opened) if before is None else geobox_of(before)
    seen = [masked(sensor, opened[sensor.name].coregister(target), ndvi_max) for sensor in sensors]
    if before is not None:
        return SensorProduct(dataset=update(before, *seen, **told, correlation=correlation))
    # of all times, which are in order
    whole = filtered(*seen, **told, correlation=correlation)
    return SensorProduct(dataset=whole.isel({TIME: -1}))


def parameters_of(
    state: xr.Dataset, told: Mapping[str, Any], correlation: float, *, name: str
) -> dict[str, Any]:
    """Return the parameters that a store was made with.

    Parameters
    ----------
    state : Dataset
        The store, opened.
    told : dict
        Those given for the new date, which cannot be others.
    correlation : float
    name : str
        Of the store, for people.

    Raises
    ------
    ValueError
        If they are others, or the store holds no states.
    """
    model = state.attrs.get("series_model")
    if model not in TAKES or TIME not in state.dims:
        msg = (
            f"{name} holds no states along {TIME} that could be carried on: begin a store for them"
        )
        raise ValueError(msg)
    parameters = {"model": model}
    for option, value in told.items():
        if value is not None and option not in TAKES[model]:
            msg = (
                f"{option}={value} is not for the model {model!r}, which {name} was begun with: "
                "leave it out, or begin another store"
            )
            raise ValueError(msg)
        known = state.attrs.get(f"series_{option}")
        if isinstance(known, str):
            msg = (
                f"{option} of {name} is a map, which no store holds: carry it on in Python, where "
                "xf.update takes that map"
            )
            raise ValueError(msg)  # noqa: TRY004  # it is not for the caller to give another type
        numbers = np.ravel([] if known is None else known).tolist()
        if value is not None and np.ravel(value).tolist() != numbers:
            was = " ".join(map(str, numbers)) or "none"
            msg = (
                f"{option}={value} is not that of {name}, which was begun with {was}: leave it "
                "out, or begin another store"
            )
            raise ValueError(msg)
        parameters[option] = tuple(numbers) if len(numbers) > 1 else next(iter(numbers), None)
    between = np.ravel(state.attrs.get("series_correlation", 0.0)).tolist()
    if len(between) == 1 and between[0] != correlation:
        msg = (
            f"{correlation=} is not that of {name}: give correlation={between[0]}, or begin "
            "another store"
        )
        raise ValueError(msg)
    return parameters


def date_before(
    state: xr.Dataset, moments: Mapping[str, np.datetime64], *, name: str
) -> xr.Dataset | None:
    """Return the date of a store that new ones follow, None if they are its first.

    Of its last date given once more it is the one before, from which that was made.

    Raises
    ------
    ValueError
        If a sensor has seen nothing later.
    """
    dates = state.coords[TIME].to_numpy()
    count = len(dates) - int(max(moments.values()) == dates[-1])
    for sensor, moment in moments.items():
        if count and moment <= dates[count - 1]:
            msg = (
                f"{sensor!r} is of {label_text(moment)}, and {name} has dates until "
                f"{label_text(dates[-1])}: only what is later is new. To have an earlier date in "
                "it, begin another store, with all dates in their order"
            )
            raise ValueError(msg)
    return date_at(state, count - 1) if count else None


def _moment(product: SensorProduct, sensor: str) -> np.datetime64:
    moment = moment_of(product.dataset.coords.get(TIME))
    if moment is None:
        msg = f"{sensor!r} has no time, and its files do not say one: give date='2023-06-20'"
        raise ValueError(msg)
    return moment
