"""What one block adds to the areas of zones and to their variances."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.ground_distance import GroundDistance, apart
from xfusion.datamodel.pixel_area import PixelArea

from .autocorrelation import lag_sums
from .coarse_cells import Cells, CellSums
from .correlation_range import Exponential, Measured
from .pixel_errors import check_shares
from .polygons import Polygons
from .rectangles import Pixels
from .zone_windows import ZoneWindow, windows_of_numbers

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

FARTHEST = 512  # pixels of surroundings that a block is given; what reaches farther goes by cells
AREA, UNUSABLE, VARIANCE = range(3)


@dataclass
class ZoneSums:
    """Sums over some blocks, which add up."""

    sums: NDArray[np.float64]
    """Of shape (retrievals, zones, 3): km2 of area, km2 of unusable pixels, km4 of variance."""
    far: dict[tuple[int, int], CellSums] = field(default_factory=dict)
    """Part of the correlation, zone -> sums of standard deviations over cells, km2."""

    def __add__(self, other: ZoneSums) -> ZoneSums:
        """Return the sums over the blocks of both."""
        return ZoneSums(self.sums + other.sums, self.far).with_far(other.far)

    def with_far(self, more: Mapping[tuple[int, int], CellSums]) -> ZoneSums:
        """Return the sums with more of those over cells."""
        far = dict(self.far)
        for key, sums in more.items():
            far[key] = far[key] + sums if key in far else sums
        return ZoneSums(self.sums, far)


@dataclass(frozen=True)
class AreaTask(InGraph):
    """Areas of zones on a grid, with all that they depend on but the pixels; picklable."""

    geobox: GeoBox
    zone_count: int
    polygons: Polygons | None
    exponentials: tuple[Exponential, ...]
    lags: tuple[float, ...] | None
    """In metres, of a correlation that was measured."""
    shares: bool = True
    """Whether mu is added up, a share of each pixel; else it is no number that callers gave."""

    @functools.cached_property
    def reach(self) -> tuple[int, int]:
        """How many rows and columns around it a block has to see."""
        distances = [part.reach for part in self._near]
        distances += [] if self.lags is None else [self.lags[-1]]
        return self._distance.pixels(max(distances, default=0.0))

    def of_block(
        self,
        centre: Sequence[NDArray[Any]],
        around: Sequence[NDArray[Any]],
        block: Pixels,
        seen: Pixels,
        known: NDArray[np.float64],
    ) -> ZoneSums:
        """Return what a block adds to each zone.

        Parameters
        ----------
        centre : [array]
            What is expected of each pixel, NaN where it is not usable.
        around : [array] or [array, array]
            Its standard deviation; and the numbers of the zones of a raster.
        block, seen : Pixels
            Where these are on the grid.
        known : array
            Of a correlation that was measured: mean squared error over squared sigma, then the
            correlation at each of the lags.
        """
        (values,), (deviations, *numbers) = centre, around
        if self.shares:
            check_shares(values)
        near: list[Exponential | Measured] = [*self._near]
        scale = 1.0
        if self.lags is not None:
            near.append(Measured(np.array(self.lags), known[1:]))
            scale = float(np.sqrt(known[0]))
        total = ZoneSums(np.zeros((len(values), self.zone_count, 3)))
        for which, window in self._windows(len(values), numbers, block, seen):
            own = window.pixels.within(block)
            if own is None:
                continue
            far = [cells.none_of(len(values), own) for cells in self._far]
            for tile, part in own.tiles():
                there = part.widened(self.reach).within(window.pixels)
                assert there is not None  # noqa: S101  # the part is in both
                weights = np.nan_to_num(self._area.of_block(*there)) * window.share(there)
                weights = np.broadcast_to(weights, there.shape)
                inner = part.seen_from(there)
                for i in which:
                    expected = values[i][part.seen_from(block)]
                    usable = np.isfinite(expected)
                    errors = weights * np.nan_to_num(deviations[i][there.seen_from(seen)]) * scale
                    total.sums[i, window.number] += (
                        np.sum(weights[inner] * np.where(usable, expected, 0.0)),
                        np.sum(weights[inner][~usable]),
                        self._variance(errors, inner, tile, near),
                    )
                    for cells, sums in zip(self._far, far, strict=True):
                        cells.add(errors[inner], part, sums, i)
            total = total.with_far({(k, window.number): sums for k, sums in enumerate(far)})
        return total

    def result(self, total: ZoneSums) -> NDArray[np.float64]:
        """Return areas, those of unusable pixels and standard deviations, km2, of all blocks."""
        result = total.sums.copy()
        for (part, number), sums in total.far.items():
            result[:, number, VARIANCE] += self._far[part].variance(sums)
        with np.errstate(invalid="ignore"):  # a measured correlation may be that of no errors
            result[..., VARIANCE] = np.sqrt(result[..., VARIANCE])
        return result

    def _variance(
        self,
        errors: NDArray[np.float64],
        inner: tuple[slice, slice],
        tile: Pixels,
        near: Sequence[Exponential | Measured],
    ) -> float:
        """Return what the pixels of a tile add to a variance, with those around them."""
        core = errors[inner]
        alone = 1.0 if self.lags is None else 0.0
        variance = (alone - sum(part.share for part in self.exponentials)) * float(np.sum(core**2))
        if near and core.any():
            offset = (inner[0].start, inner[1].start)
            lags = lag_sums(core, errors, offset, self.reach)
            distance = apart(self._distance.metric(*tile), lags.rows, lags.columns)
            variance += float(np.sum(lags.sums * sum(part.at(distance) for part in near)))
        return variance

    def _windows(
        self, count: int, numbers: Sequence[NDArray[np.int32]], block: Pixels, seen: Pixels
    ) -> Iterator[tuple[Iterable[int], ZoneWindow]]:
        """Yield what each zone has of a block, and for which of the retrievals."""
        if self.polygons is not None:
            yield from ((range(count), w) for w in self.polygons.windows(block, seen))
        elif not numbers:
            yield range(count), ZoneWindow(0, seen, None)
        else:
            (layers,) = numbers
            for i, layer in enumerate(layers):
                which = range(count) if len(layers) == 1 else [i]
                yield from ((which, w) for w in windows_of_numbers(layer, seen))

    @functools.cached_property
    def _near(self) -> list[Exponential]:
        """The parts of the correlation for which a block sees far enough."""
        return [p for p in self.exponentials if max(self._distance.pixels(p.reach)) <= FARTHEST]

    @functools.cached_property
    def _far(self) -> list[Cells]:
        return [Cells(p, self._distance) for p in self.exponentials if p not in self._near]

    @functools.cached_property
    def _area(self) -> PixelArea:
        return PixelArea(self.geobox)

    @functools.cached_property
    def _distance(self) -> GroundDistance:
        return GroundDistance(self.geobox)
