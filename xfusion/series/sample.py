"""A sample of the pixels of a series, read to find how fast they change."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

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
ENOUGH = PIXELS // 2  # of them, seen twice: as many as clouds may leave of a sample
# each in one block of a large area or a few, so that few blocks are read
WINDOW = 256**2
WINDOWS = 4
MOST = 64  # an area of any size is not read as a whole in search of what was seen

Window: TypeAlias = dict[Any, NDArray[np.intp]]


def estimated(
    series: Series,
    task: SeriesTask,
    masked: Sequence[bool],
    *,
    model: ModelName | StateModel,
    prior: Any,
) -> tuple[Any, Any, Any]:
    """Return q, rates and prior as what was seen of a sample of pixels makes them likeliest.

    It reads the sample: some 40 000 pixels of four windows, or all if there are not more; and of
    more windows, 64 at most, where too few of these were seen twice. It does not depend on blocks,
    so that lazy and in memory the result is the same.
    """
    if model == "two_state" and prior is not None and np.ndim(prior):
        msg = "prior is a map and rates='ml': give one number, or the rates"
        raise ValueError(msg)
    seen, spread = _seen_twice(series.cubes, task, masked)
    days = np.array([step.days for step in task.steps if step.is_date])
    if model == "two_state":
        rates, prior = likeliest_rates(seen, days, None if prior is None else float(prior))
        return None, rates, prior
    return likeliest_q(seen, spread, days), None, prior


def _seen_twice(
    cubes: Sequence[xr.Dataset], task: SeriesTask, masked: Sequence[bool]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of a sample at each date, of pixels seen at two or more.

    A pixel that was seen once says nothing of how fast it changes.
    """
    first = cubes[0][MU]
    windows = _windows({d: size for d, size in first.sizes.items() if d != TIME})
    means, deviations = [], []
    count, batch = 0, WINDOWS
    while count < ENOUGH and (here := [*itertools.islice(windows, batch)]):
        for mus, sigmas, masks in _read(cubes, masked, here):
            none = [None] * len(cubes)
            looks = task.seen(mus, sigmas, masks, none, 0, mus[0].shape[1], np.dtype(np.float64))
            twice = np.isfinite(looks.mean).sum(axis=0) > 1
            means.append(looks.mean[:, twice])
            deviations.append(looks.deviation[:, twice])
            count += int(twice.sum())
        batch = len(means)  # few readings, as each may compute blocks anew
    return np.concatenate(means, axis=1), np.concatenate(deviations, axis=1)


def _read(
    cubes: Sequence[xr.Dataset], masked: Sequence[bool], windows: Sequence[Window]
) -> Iterator[tuple[list[Any], list[Any], list[Any]]]:
    """Yield mu, sigma and mask of each cube in each window, shape (times, pixels).

    All windows are read at once, so that a block with several of them is computed once.
    """
    parts = {}
    for (k, cube), (w, window) in itertools.product(enumerate(cubes), enumerate(windows)):
        for name in (MU, SIGMA, *([MASK] if masked[k] else [])):
            some = cube[name].variable.isel(window)
            # of two cubes or windows the sizes are not alike
            dims = [f"{d}_{k}_{w}" for d in some.dims]
            parts[f"{name}_{k}_{w}"] = xr.Variable(dims, some.data)
    read = compute(xr.Dataset(parts), progress=False)

    def pixels(name: str, k: int, w: int) -> NDArray[Any]:
        values = read[f"{name}_{k}_{w}"].to_numpy()
        return values.reshape(len(values), -1)

    for w in range(len(windows)):
        of_each = range(len(cubes))
        yield (
            [pixels(MU, k, w) for k in of_each],
            [pixels(SIGMA, k, w) for k in of_each],
            [pixels(MASK, k, w) if masked[k] else None for k in of_each],
        )


def _windows(sizes: dict[Any, int]) -> Iterator[Window]:
    """Yield pixels of an area, window by window: some of each, spread evenly over it.

    Parameters
    ----------
    sizes : dict
        Of the area, along each of its dims; it may be a strip, or have one dim alone.
    """
    sides = _shape(sizes, WINDOW if math.prod(sizes.values()) > PIXELS else PIXELS)
    tiles = {d: max(1, math.ceil(size / max(1, sides[d]))) for d, size in sizes.items()}
    number = math.prod(tiles.values())
    quota = math.ceil(PIXELS / min(WINDOWS, number))
    for place in itertools.islice(_spread([*tiles.values()]), min(MOST, number)):
        tile = {
            d: (i * sizes[d] // n, (i + 1) * sizes[d] // n)
            for i, (d, n) in zip(place, tiles.items(), strict=True)
        }
        lengths = {d: stop - start for d, (start, stop) in tile.items()}
        taken = _shape(lengths, quota)
        yield {
            d: tile[d][0] + (2 * np.arange(n) + 1) * lengths[d] // (2 * max(1, n))
            for d, n in taken.items()
        }


def _shape(sizes: dict[Any, int], volume: int) -> dict[Any, int]:
    """Return the sides of a part of an area, as near to a cube of that volume as it allows."""
    sides = dict(sizes)
    left = float(volume)
    ordered = sorted(sizes, key=lambda d: sizes[d])
    for k, d in enumerate(ordered):
        wanted = round(left ** (1 / (len(ordered) - k)))
        sides[d] = min(sizes[d], max(1, wanted))
        left /= max(1, sides[d])
    return sides


def _spread(numbers: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield all places in an array of that shape once, the first few far apart, in a fixed order.

    A sequence of low discrepancy, each dim a step by a power of one irrational number.
    """
    root = 2.0
    for _ in range(64):  # of root ** (dims + 1) = root + 1
        root = (1 + root) ** (1 / (len(numbers) + 1))
    steps = root ** -np.arange(1.0, len(numbers) + 1)
    known: set[tuple[int, ...]] = set()
    for k in itertools.count():
        if len(known) == math.prod(numbers):
            return
        place = tuple(int(u * n) for u, n in zip((0.5 + k * steps) % 1, numbers, strict=True))
        if place not in known:
            known.add(place)
            yield place
