"""What one block adds to the sums over pairs of pixels, by how far apart they are."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.ground_distance import GroundDistance, apart

from .autocorrelation import lag_sums
from .rectangles import Pixels

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

KINDS = 5  # of sums: three of products, and two that least squares need


@dataclass(frozen=True)
class LagTask(InGraph):
    """Sums over pairs of pixels by how far apart they are; picklable."""

    geobox: GeoBox
    lags: tuple[float, ...]
    """In metres, from 0 on in equal steps."""

    @functools.cached_property
    def reach(self) -> tuple[int, int]:
        """How many rows and columns around it a block has to see."""
        return self._distance.pixels(self.lags[-1])

    def of_block(
        self,
        centre: Sequence[NDArray[Any]],  # noqa: ARG002  # it is in what is around it, too
        around: Sequence[NDArray[Any]],
        block: Pixels,
        seen: Pixels,
        known: NDArray[np.float64],  # noqa: ARG002  # there is nothing
    ) -> NDArray[np.float64]:
        """Return sums of products of errors, of standard deviations, and numbers of pairs, by lag.

        Of standard deviations also the sums with squared shares, and with those of two lags.

        Parameters
        ----------
        centre, around : [array], [array, array]
            Errors; errors and their standard deviations, NaN where one is not known.
        block, seen : Pixels
            Where these are on the grid.
        known : array
            Of no length.
        """
        errors, deviations = around
        sums = np.zeros((len(errors), len(self.lags), KINDS))
        for tile, part in block.tiles():
            there = part.widened(self.reach).within(seen)
            assert there is not None  # noqa: S101  # the part is in both
            inner, place = part.seen_from(there), there.seen_from(seen)
            metric = self._distance.metric(*tile)
            for i, error in enumerate(errors):
                is_known = np.isfinite(error[place])
                layers = [error[place], deviations[i][place], np.ones(there.shape)]
                offset = (inner[0].start, inner[1].start)
                known_layers = [
                    np.where(is_known, layer, 0.0).astype(np.float64) for layer in layers
                ]
                lags = [lag_sums(layer[inner], layer, offset, self.reach) for layer in known_layers]
                distance = apart(metric, lags[0].rows, lags[0].columns)
                sums[i] += self._by_lag(distance, [each.sums for each in lags])
        return sums

    def result(self, total: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums as they are."""
        return total

    def _by_lag(
        self, distance: NDArray[np.float64], kinds: Sequence[NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Share sums out to the two lags next to their distance; at 0 is only the pixel itself."""
        position = np.where(distance > 0, np.maximum(distance / self.lags[1], 1.0), 0.0)
        number = len(self.lags)
        within = position < number
        position = position[within]
        below = np.floor(position).astype(np.intp)
        above = position - below
        errors, deviations, pairs = (kind[within] for kind in kinds)

        def summed(values: NDArray[np.float64], lag: NDArray[np.intp]) -> NDArray[np.float64]:
            by_lag = np.zeros(number + 1)
            by_lag += np.bincount(lag, values, number + 1)
            return by_lag[:number]

        shared = [
            summed(kind * (1 - above), below) + summed(kind * above, below + 1)
            # numbers of pairs are whole, but for the rounding of the transform
            for kind in (errors, deviations, np.rint(pairs))
        ]
        squares = summed(deviations * (1 - above) ** 2, below)
        squares += summed(deviations * above**2, below + 1)
        neighbours = summed(deviations * above * (1 - above), below)
        return np.stack([*shared, squares, neighbours], axis=-1)

    @functools.cached_property
    def _distance(self) -> GroundDistance:
        return GroundDistance(self.geobox)
