"""A look at the numbers of a layer: a few windows of it, spread evenly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.caller import warn

from .origin import recall

WINDOWS = 6  # along each side
SIDE = 128  # pixels a side of a window
# times: percent beside shares are a hundred, of a sample of each that differs somewhat more or less
APART = 50.0
LARGE = 3.0  # times the largest mu, which errs by sigma: a mean sigma that cannot be its own


class Range(NamedTuple):
    """What numbers a layer has, of those that were looked at."""

    least: float
    mean: float
    most: float
    pixels: int
    """How many of those that were looked at have a value."""
    lowest: float = 0.0
    """Of all numbers, those that are left out as well."""

    def __str__(self) -> str:
        """For people."""
        if not self.pixels:
            return "no value in the sample"
        return f"{self.least:.4g} to {self.most:.4g}, mean {self.mean:.4g}"


def range_of(array: xr.DataArray, *, above: float = -np.inf) -> Range:
    """Return the range of a layer, from up to 36 windows of 128 x 128 pixels.

    Parameters
    ----------
    array : DataArray, dims (..., y, x)
        Of a file that was opened lazily, these windows alone are read.
    above : float, in units of the layer
        What is not above this is left out.

    Returns
    -------
    Range
    """
    parts, lowest = [], np.inf
    for numbers in _sampled(array):
        lowest = min(lowest, float(numbers.min(initial=np.inf)))
        parts.append(numbers[numbers > above])
    values = np.concatenate(parts) if parts else np.empty(0)
    if not values.size:
        return Range(np.nan, np.nan, np.nan, 0, lowest)
    ends = float(values.min()), float(values.mean()), float(values.max())
    return Range(*ends, values.size, lowest)


def has_shares(array: xr.DataArray) -> bool:
    """Whether a layer has numbers between 0 and 1, by the same windows."""
    return any(bool(((numbers > 0) & (numbers < 1)).any()) for numbers in _sampled(array))


def _sampled(array: xr.DataArray) -> Iterator[NDArray[np.float64]]:
    """Yield the numbers of some windows."""
    file = recall(array.variable)
    for rows in _windows(array.shape[-2]):
        for columns in _windows(array.shape[-1]):
            if file is not None:
                part: NDArray[Any] = file.read(rows, columns)
            else:
                part = array[..., rows, columns].to_numpy()
            yield part[np.isfinite(part)].astype(np.float64)


def warn_of_ranges(ranges: Mapping[str, Range]) -> None:
    """Warn where one sensor's numbers are some hundred times as large as another's."""
    sizes = {n: max(abs(r.least), abs(r.most)) for n, r in ranges.items() if r.pixels}
    sizes = {name: size for name, size in sizes.items() if size > 0}
    if len(sizes) < 2:  # noqa: PLR2004  # there is nothing to compare
        return
    low, high = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if sizes[high] >= APART * sizes[low]:
        warn(
            f"mu of {high!r} is {ranges[high]}, of {low!r} {ranges[low]}: are both of one "
            "quantity, in one unit? Say scale= or nodata= of the one that is not"
        )


def warn_of_sigmas(sigmas: Mapping[str, Range], ranges: Mapping[str, Range]) -> None:
    """Warn where a sensor's sigma is in another scale than its mu, or than those of others.

    Parameters
    ----------
    sigmas, ranges : dict
        Sensor to what is above 0 of its sigma, and to its mu.
    """
    mend = (
        "is it a standard deviation, in the unit of mu? A scale is of mu and sigma alike: bring "
        "both files into one first, e.g. rio calc '(* 0.01 (read 1))'"
    )
    means = {name: sigma.mean for name, sigma in sigmas.items() if sigma.pixels}
    for name, sigma in sigmas.items():
        if sigma.pixels and sigma.lowest < 0:
            warn(
                f"sigma of {name!r} is {sigma.lowest:.4g} in places, as no standard deviation is: "
                "these are not used. If that number means no data, say nodata=, as it is in the "
                "file, for there may be such a mu beside a right sigma"
            )
    for name, sigma in sigmas.items():
        size = max(abs(ranges[name].least), abs(ranges[name].most))  # NaN is compared with nothing
        if ranges[name].pixels and not sigma.pixels:
            warn(f"sigma of {name!r} is nowhere above 0: nothing of it is used. Is the file right?")
        elif sigma.pixels and size > 0 and sigma.mean >= LARGE * size:
            warn(f"sigma of {name!r} is {sigma}, and its mu {ranges[name]}: {mend}")
            return
    if not means:
        return
    low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    if means[high] >= APART * means[low]:
        warn(f"sigma of {high!r} is {sigmas[high]}, of {low!r} {sigmas[low]}: of each, {mend}")


def _windows(size: int) -> list[slice]:
    starts = np.unique(np.linspace(0, max(0, size - SIDE), WINDOWS).astype(int))
    return [slice(int(start), min(size, int(start) + SIDE)) for start in starts]
