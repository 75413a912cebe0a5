"""A sample of the pixels of a series, read to find how fast they change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.names import MASK, MU, SIGMA
from xfusion.run.memory import compute

from .block import SeriesTask
from .cubes import TIME, Series
from .estimation import likeliest_q, likeliest_rates
from .models import ModelName, StateModel

PIXELS = 40_000
# of a large area four windows, each in one block or a few, so that few blocks are read
WINDOW = 256


def estimated(
    series: Series,
    task: SeriesTask,
    masked: Sequence[bool],
    *,
    model: ModelName | StateModel,
    prior: Any,
) -> tuple[Any, Any, Any]:
    """Return q, rates and prior as what was seen of a sample of pixels makes them likeliest.

    It reads the sample: every n-th pixel, of a large area in four windows. It does not depend on
    blocks, so that lazy and in memory the result is the same.
    """
    cubes = [compute(cube) for cube in _sample(series.cubes)]
    mus, sigmas = (
        [cube[name].to_numpy().reshape(cube.sizes[TIME], -1) for cube in cubes]
        for name in (MU, SIGMA)
    )
    masks = [
        cube[MASK].to_numpy().reshape(cube.sizes[TIME], -1) if has_mask else None
        for cube, has_mask in zip(cubes, masked, strict=True)
    ]
    pixels = mus[0].shape[1]
    none = [None] * len(cubes)
    seen, spread, *_ = task.seen(mus, sigmas, masks, none, 0, pixels, np.dtype(np.float64))
    days = np.array([step.days for step in task.steps if step.is_date])
    if model == "two_state":
        if prior is not None and np.ndim(prior):
            msg = "prior is a map and rates='ml': give one number, or the rates"
            raise ValueError(msg)
        rates, prior = likeliest_rates(seen, days, None if prior is None else float(prior))
        return None, rates, prior
    return likeliest_q(seen, spread, days), None, prior


def _sample(cubes: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Return some pixels of each cube, the same of all, and whatever its blocks are."""
    first = cubes[0][MU]
    chosen = {d: _near_quarters(size) for d, size in first.sizes.items() if d != TIME}
    total = math.prod(len(index) for index in chosen.values())
    step = max(1, math.ceil((total / PIXELS) ** (1 / max(1, len(chosen)))))
    sampled = {d: index[len(index) % step // 2 :: step] for d, index in chosen.items()}
    return [cube.isel(sampled) for cube in cubes]


def _near_quarters(size: int) -> NDArray[np.intp]:
    """Return indices of two windows, in the middle of each half; of all if they are not more."""
    if size <= 2 * WINDOW:
        return np.arange(size)
    first = np.arange(size // 4 - WINDOW // 2, size // 4 + WINDOW // 2)
    return np.concatenate([first, first + size // 2])
