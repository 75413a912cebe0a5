"""What the blocks of a result add to its summary: codes, ranges and areas, in one pass."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.assessment.block_sums import summed_over_blocks
from xfusion.assessment.pixel_errors import expected
from xfusion.assessment.rectangles import Pixels
from xfusion.datamodel.building import usable
from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import CONFLICT, MASK, MU, SIGMA, SOURCE, THRESHOLD
from xfusion.datamodel.pixel_area import PixelArea

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

CODES = 256  # of uint8 flags
LAYERS = (MASK, SOURCE, CONFLICT)  # whose codes are counted
RANGED = (MU, SIGMA)
BAND = 1 << 18  # pixels at a time, so that what is made of them stays in the cache
TOTAL, USABLE, EXPECTED, VARIANCE, ALIKE = range(5)


@dataclass
class Census:
    """Numbers of some retrievals on one grid, over some of their blocks; of each one row."""

    codes: NDArray[np.float64]
    """Of shape (retrievals, layers, codes): pixels of each code."""
    low: NDArray[np.float64]
    """Of shape (retrievals, 2): the least usable mu and sigma, inf where there is none."""
    high: NDArray[np.float64]
    sums: NDArray[np.float64]
    usable: NDArray[np.float64]
    """Of shape (retrievals, 1): usable pixels."""
    areas: NDArray[np.float64]
    """Of shape (retrievals, 5): km2 of all and of usable pixels, and as they are expected; km4 of
    variance with errors of pixels independent; km2 of standard deviations, as where all err alike.
    """

    @classmethod
    def none_of(cls, count: int) -> Census:
        """Return what no block adds."""
        return cls(
            np.zeros((count, len(LAYERS), CODES)),
            np.full((count, len(RANGED)), np.inf),
            np.full((count, len(RANGED)), -np.inf),
            np.zeros((count, len(RANGED))),
            np.zeros((count, 1)),
            np.zeros((count, 5)),
        )

    def __add__(self, other: Census) -> Census:
        """Return the census of both."""
        return Census(
            self.codes + other.codes,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.sums + other.sums,
            self.usable + other.usable,
            self.areas + other.areas,
        )

    def whole(self) -> Census:
        """Return the census of all retrievals as if they were one."""
        count = len(self.usable)
        each = (Census(**{k: v[i : i + 1] for k, v in vars(self).items()}) for i in range(count))
        return functools.reduce(Census.__add__, each, Census.none_of(1))

    def flat(self) -> NDArray[np.float64]:
        """Return all numbers as rows, one of each retrieval."""
        arrays = [getattr(self, field.name) for field in fields(self)]
        return np.concatenate([a.reshape(len(a), -1) for a in arrays], axis=1)

    @classmethod
    def of_flat(cls, rows: NDArray[np.float64]) -> Census:
        """Return what such rows are of."""
        rows = rows.reshape(-1, rows.shape[-1])
        parts, start = {}, 0
        for name, like in vars(cls.none_of(1)).items():
            parts[name] = rows[:, start : start + like.size].reshape(-1, *like.shape[1:])
            start += like.size
        return cls(**parts)


@dataclass(frozen=True)
class CensusTask(InGraph):
    """The census of a block; picklable."""

    layers: tuple[str, ...]
    """Those of LAYERS that there are."""
    geobox: GeoBox | None
    """None where nobody knows how large pixels are."""
    has_threshold: bool
    """Whether what is expected of a pixel is given besides mu."""
    reach: tuple[int, int] = (0, 0)

    def of_block(
        self,
        centre: Sequence[NDArray[Any]],
        around: Sequence[NDArray[Any]],
        block: Pixels,
        seen: Pixels,  # noqa: ARG002  # as tasks of blocks are called
        known: NDArray[np.float64],  # noqa: ARG002  # the same
    ) -> Census:
        """Return what a block adds.

        Parameters
        ----------
        centre : sequence of arrays, shape (retrievals, rows, columns)
            mu, where it is usable, the layers, and with a threshold what is expected of a pixel and
            its standard deviation.
        around : [array]
            sigma.
        block, seen : Pixels
            Where these are on the grid.
        known : array
            Of no use here.
        """
        mu, is_usable, *others = centre
        (sigma,) = around
        census = Census.none_of(len(mu))
        for rows, weights in self._bands(block):
            census.areas[:, TOTAL] += 0.0 if weights is None else weights.sum()
            for i in range(len(mu)):
                where = is_usable[i, rows]
                for layer, codes in zip(self.layers, others, strict=False):
                    found = codes[i, rows].astype(np.uint8, copy=False).ravel()
                    census.codes[i, LAYERS.index(layer)] += np.bincount(found, minlength=CODES)
                census.usable[i, 0] += np.count_nonzero(where)
                for k, array in enumerate((mu, sigma)):
                    numbers = array[i, rows][where].astype(np.float64)
                    if numbers.size:
                        census.low[i, k] = min(census.low[i, k], numbers.min())
                        census.high[i, k] = max(census.high[i, k], numbers.max())
                        census.sums[i, k] += numbers.sum()
                if weights is not None:
                    counted = others[-2:] if self.has_threshold else (mu, sigma)
                    share, deviation = (array[i, rows][where] for array in counted)
                    self._add_areas(census.areas[i], weights[where], share, deviation)
        return census

    def result(self, total: Census) -> NDArray[np.float64]:
        """Return all numbers, a row of each retrieval."""
        return total.flat()

    def _add_areas(
        self,
        areas: NDArray[np.float64],
        weights: NDArray[np.float64],
        share: NDArray[Any],
        deviation: NDArray[Any],
    ) -> None:
        errors = weights * deviation
        areas[USABLE] += weights.sum()
        areas[EXPECTED] += np.sum(weights * share)
        areas[VARIANCE] += np.sum(errors**2)
        areas[ALIKE] += errors.sum()

    def _bands(self, block: Pixels) -> Iterator[tuple[slice, NDArray[np.float64] | None]]:
        """Yield some rows of a block at a time, and how large their pixels are, in km2."""
        rows, columns = block.shape
        step = max(1, BAND // max(1, columns))
        for first in range(0, rows, step):
            part = slice(first, min(rows, first + step))
            if self._area is None:
                yield part, None
                continue
            on_grid = slice(block.rows.start + part.start, block.rows.start + part.stop)
            areas = np.nan_to_num(self._area.of_block(on_grid, block.columns))
            yield part, np.broadcast_to(areas, (part.stop - part.start, columns))

    @functools.cached_property
    def _area(self) -> PixelArea | None:
        return None if self.geobox is None else PixelArea(self.geobox)


def threshold_of(dataset: xr.Dataset, given: float | None) -> float | None:
    """Return the threshold of areas: the one that is given, or that a result was fused with."""
    if given is not None or THRESHOLD not in dataset.attrs:
        return given
    # of a file it is a text
    return float(dataset.attrs[THRESHOLD])


def census_of(dataset: xr.Dataset, geobox: GeoBox | None, threshold: float | None) -> xr.DataArray:
    """Return the numbers of a census, lazy where the retrieval is: each block is read once.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, checked.
    geobox : GeoBox, optional
        Its grid; None where nobody knows how large pixels are.
    threshold : float, optional
        Of the areas that are expected, see :func:`xfusion.area`.

    Returns
    -------
    DataArray
        Of the dims of mu that are not spatial, and `number`; :meth:`Census.of_flat` reads it.
    """
    dataset = _with_two_dims(dataset)
    mu = dataset[MU]
    dims = spatial_dims(dataset) or mu.dims[-2:]
    names = tuple(name for name in LAYERS if name in dataset)
    arrays = [mu, usable(dataset), *(dataset[name] for name in names)]
    if threshold is not None:
        arrays += [*expected(dataset, threshold)]
    arrays = [a.broadcast_like(mu).transpose(*mu.dims).transpose(..., *dims) for a in arrays]
    sigma = dataset[SIGMA].transpose(..., *dims)
    task = CensusTask(names, geobox, threshold is not None)
    shape = Census.none_of(1).flat().shape[1:]
    rows = summed_over_blocks(task, arrays, [sigma], np.zeros(0), shape)
    return xr.DataArray(rows, dims=(*arrays[0].dims[:-2], "number"))


def _with_two_dims(dataset: xr.Dataset) -> xr.Dataset:
    """Return a retrieval along less than two dims with more of them."""
    for name in ("row", "column"):
        if dataset[MU].ndim < 2:  # noqa: PLR2004  # rows and columns
            dataset = dataset.expand_dims(name)
    return dataset
