"""How far apart pixels are on the ground, wherever the map they are on stretches them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .earth import check_is_on_earth
from .graph import InGraph
from .pixel_area import PixelArea, ellipsoid_of

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

SAMPLE = 9  # places a side at which pixels are measured
STEPS = np.array([[1, 0], [0, 1], [1, 1]])  # rows and columns: two sides of a pixel, a diagonal


@dataclass(frozen=True)
class GroundDistance(InGraph):
    """The distances between the pixels of a grid in metres; picklable."""

    geobox: GeoBox

    def __post_init__(self) -> None:
        """Refuse a grid that is not on the earth."""
        check_is_on_earth(self.geobox)

    def metric(self, rows: slice, columns: slice) -> NDArray[np.float64]:
        """Return what makes a distance of a number of rows and columns, in the middle of a block.

        Parameters
        ----------
        rows, columns : slice
            Of the grid, with start and stop; what is beyond its end does not count.

        Returns
        -------
        array, shape (2, 2)
            G of ``d^2 = (rows, columns) G (rows, columns)'``, in m2.
        """
        middle = (
            (s.start + min(s.stop, n)) / 2
            for s, n in zip((rows, columns), self.geobox.shape, strict=True)
        )
        row, column = (np.array([m]) for m in middle)
        down, along, across = self._squares(row, column)[:, 0]
        if not np.isfinite(across):  # beyond the rim of the map
            down, along = (side**2 for side in self.smallest_sides)
            across = down + along
        mixed = (across - down - along) / 2
        return np.array([[down, mixed], [mixed, along]])

    @functools.cached_property
    def smallest_sides(self) -> tuple[float, float]:
        """The height and the width in metres of pixels, where the grid has them smallest."""
        rows, columns = (np.linspace(0.5, n - 0.5, SAMPLE) for n in self.geobox.shape)
        place = np.meshgrid(rows, columns, indexing="ij")
        down, along, _ = self._squares(*(p.ravel() for p in place))
        # along a pole a row has no length: what is shorter than a thousandth of the other side
        height = _smallest(down, 0.0)
        return height, _smallest(along, height / 1000)

    def pixels(self, metres: float) -> tuple[int, int]:
        """Return how many rows and columns a distance reaches at most, on the grid."""
        grid = zip(self.geobox.shape, self.smallest_sides, strict=True)
        rows, columns = (int(min(n - 1, np.ceil(metres / side))) for n, side in grid)
        return rows, columns

    def _squares(
        self, row: NDArray[np.float64], column: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the squared lengths of the steps, in m2, of shape (steps, places)."""
        halves = STEPS[:, :, None] / 2
        ends = [
            self._place(row + sign * halves[:, 0], column + sign * halves[:, 1]) for sign in (-1, 1)
        ]
        (from_y, from_x), (to_y, to_x) = ends
        known = np.isfinite(from_y) & np.isfinite(to_y)
        _, _, metres = self._geod.inv(
            *(np.where(known, p, 0.0) for p in (from_x, from_y, to_x, to_y))
        )
        return np.where(known, np.asarray(metres) ** 2, np.nan)

    def _place(self, row: Any, column: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return latitude and longitude in degrees, within the poles."""
        shape = ellipsoid_of(str(self.geobox.crs))
        y, x = (np.rad2deg(np.asarray(p) * shape.radians) for p in self._area.degrees(row, column))
        return np.clip(y, -90.0, 90.0), x

    @functools.cached_property
    def _area(self) -> PixelArea:
        return PixelArea(self.geobox)

    @property
    def _geod(self) -> Any:
        from pyproj import Geod

        shape = ellipsoid_of(str(self.geobox.crs))
        return Geod(a=shape.semi_major, es=shape.eccentricity**2)


def _smallest(squares: NDArray[np.float64], least: float) -> float:
    lengths = np.sqrt(squares[np.isfinite(squares)])
    lengths = lengths[lengths > least]
    return float(lengths.min()) if lengths.size else np.inf


def apart(
    metric: NDArray[np.float64], rows: NDArray[Any], columns: NDArray[Any]
) -> NDArray[np.float64]:
    """Return how far apart pixels are in metres that lie so many rows and columns apart.

    Parameters
    ----------
    metric : array, shape (2, 2)
        Of :meth:`GroundDistance.metric`.
    rows, columns : array

    Returns
    -------
    array, shape (rows, columns)
    """
    down, along = rows[:, None], columns[None, :]
    squares = metric[0, 0] * down**2 + 2 * metric[0, 1] * down * along + metric[1, 1] * along**2
    distance: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0.0))
    return distance
