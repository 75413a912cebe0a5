"""How far apart the pixels of a grid lie on the ground, in metres."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.earth import DEGREES, transformer
from xfusion.datamodel.graph import InGraph

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Columns: TypeAlias = NDArray[np.int64]

RADIUS = 6_371_008.8  # metres, of a sphere with the mean radius of the earth
SEMI_MAJOR, ECCENTRICITY2 = 6_378_137.0, 0.00669437999014  # of WGS84
TRUE = 2e-3  # a map whose scale errs by less is measured with its own metres, as UTM
CELL = 64  # columns that have one reach, on other maps
SAMPLES = 9  # points a side of what is looked at
SLACK = 0.9  # of the smallest pixel among these points
ROUNDING = 1e-6  # of a pixel: a pixel at just the distance counts


@dataclass(frozen=True)
class Reach(InGraph):
    """Which pixels of a grid are within some metres of another, from centre to centre."""

    grid: GeoBox
    metres: float

    @property
    def cell(self) -> int:
        """Columns of the grid, counted from its first, that have one reach in a row."""
        return CELL if self._own_metres is None and not self._is_of_parallels else 1 << 40

    @functools.cached_property
    def turn(self) -> int:
        """Columns of a grid that goes all around the earth, along parallels; 0 of any other."""
        width = self.grid.shape[1]
        goes_around = self._is_of_parallels and abs(width - 2 * math.pi / self._column) < 0.01  # noqa: PLR2004  # of a pixel
        return width if goes_around else 0

    def rows_and_columns(self, rows: slice, columns: slice) -> tuple[int, int]:
        """Return how many rows and columns away what is within reach of a block may be, at most."""
        height, width = self.grid.shape
        if self._is_of_parallels:
            step = abs(self.grid.transform.e) * self._radians
            polar_radius = SEMI_MAJOR * (1 - ECCENTRICITY2)  # the smallest along a meridian
            down = self._whole(self.metres / (polar_radius * step), height)
            ends = np.array([max(0, rows.start - down), min(height, rows.stop + down)]) - 0.5
            smallest = self._parallel(ends)[0].min()
            share = self._chord / (2 * max(smallest, 1e-300))
            across = 2 * math.asin(share) / self._column if share < 1 else math.inf
            return down, self._whole(across, width)
        down, across = self._counted(rows, columns)
        # what is within reach may be smaller on the ground than the block
        rows = slice(rows.start - down, rows.stop + down)
        further, wider = self._counted(rows, columns)
        down, across = max(down, further), max(across, wider)
        return down, across

    def _counted(self, rows: slice, columns: slice) -> tuple[int, int]:
        """Return how many pixels as small as the smallest of a block the distance is."""
        height, width = self.grid.shape
        v, u = np.meshgrid(
            np.linspace(max(rows.start, 0), min(rows.stop, height), SAMPLES),
            np.linspace(columns.start, columns.stop, SAMPLES),
            indexing="ij",
        )
        right, below = self._steps(v, u)
        with np.errstate(invalid="ignore", divide="ignore"):
            area = np.linalg.norm(np.cross(right, below), axis=-1)
            apart = [area / np.linalg.norm(step, axis=-1) for step in (right, below)]
        smallest = [a[np.isfinite(a)].min(initial=math.inf) * SLACK for a in apart]
        down, across = (
            self._whole(self.metres / s if s > 0 else math.inf, n)
            for s, n in zip(smallest, (height, width), strict=True)
        )
        return down, across

    def tables(self, rows: slice, columns: slice, down: int) -> tuple[Columns, Columns]:
        """Return which columns are within reach of the pixels of a block, row by row.

        Parameters
        ----------
        rows, columns : slice
            The block.
        down : int
            Rows to look at above and below.

        Returns
        -------
        lows, highs : arrays of int, shape (rows, cells, 2 down + 1)
            As :func:`xfusion.kernels.spreading.dilate` takes them.
        """
        here = np.arange(rows.start, rows.stop)
        steps = np.arange(-down, down + 1)
        if self._is_of_parallels:
            half = self._along_parallels(here[:, None], (here[:, None] + steps))
            low, high = -half[:, None, :], half[:, None, :]
        else:
            low, high = self._along_rows(here, columns, steps)
        width = self.grid.shape[1]
        with np.errstate(invalid="ignore"):
            empty = ~(low <= high)
        low, high = (np.where(empty, 0.0, np.clip(a, -width, width)) for a in (low, high))
        lows = np.ceil(low - ROUNDING).astype(np.int64)
        highs = np.floor(high + ROUNDING).astype(np.int64)
        lows[empty], highs[empty] = 1, 0
        return lows, highs

    def _along_parallels(self, rows: Any, others: Any) -> NDArray[np.float64]:
        """Return half the columns of other rows within reach, NaN where there are none.

        The chord between two points of an ellipsoid, in terms of the difference of longitude.
        """
        (r1, z1), (r2, z2) = self._parallel(rows), self._parallel(others)
        left = self._chord**2 - (r1 - r2) ** 2 - (z1 - z2) ** 2
        # a row of the pole is one point, all of it within reach or not
        share = left / np.maximum(4 * r1 * r2, 1e-300)
        with np.errstate(invalid="ignore"):
            angle = 2 * np.arcsin(np.sqrt(np.minimum(share, 1.0)))
        whole: NDArray[np.float64] = np.where(share >= 1, math.inf, angle / self._column)
        return whole

    def _along_rows(
        self, rows: NDArray[np.int64], columns: slice, steps: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the least and the most column of other rows within reach.

        A row is taken for a straight line, with the pixels that it has at the middle of a cell.
        """
        if self._own_metres is not None:
            right, below = self._own_metres
            gap = (steps[:, None] * below)[None, None]
            step = right[None, None, None]
        else:
            down = int(steps[-1])
            v = np.arange(rows[0] - down, rows[-1] + down + 1) + 0.5
            cells = np.arange(columns.start // CELL, -(-columns.stop // CELL))
            # a cell may end beyond the grid, where its map may end as well
            u = np.minimum((cells + 0.5) * CELL, self.grid.shape[1] - 0.5)
            v, u = np.meshgrid(v, u, indexing="ij")
            places, right = self._places(v, u), self._steps(v, u)[0]
            there = (rows[:, None] - rows[0]) + np.arange(steps.size)
            # (rows, steps, cells, 3) -> (rows, cells, steps, 3)
            gap = (places[there] - places[rows - rows[0] + down][:, None]).swapaxes(1, 2)
            step = right[there].swapaxes(1, 2)
        metres = self.metres if self._own_metres is not None else self._chord
        square = (step * step).sum(axis=-1)
        middle = -(gap * step).sum(axis=-1) / square
        rest = metres * metres * (1 + 1e-12) - (gap * gap).sum(axis=-1)
        with np.errstate(invalid="ignore"):
            half = np.sqrt(rest / square + middle * middle)
        shape = rows.size, half.shape[1], steps.size
        return np.broadcast_to(middle - half, shape), np.broadcast_to(middle + half, shape)

    @property
    def _chord(self) -> float:
        """The straight line between points that are so far apart on the ground."""
        return 2 * RADIUS * math.sin(min(self.metres / (2 * RADIUS), math.pi / 2))

    @functools.cached_property
    def _is_of_parallels(self) -> bool:
        """Whether rows are parallels and columns are meridians."""
        transform = self.grid.transform
        assert self.grid.crs is not None  # noqa: S101  # geobox_of saw that it has one
        return bool(self.grid.crs.geographic and not transform.b and not transform.d)

    @functools.cached_property
    def _radians(self) -> float:
        """How much of a radian the unit of a geographic CRS is."""
        return _unit(self.grid)

    @property
    def _column(self) -> float:
        """The difference of longitude between two columns, in radians."""
        return abs(self.grid.transform.a) * self._radians

    def _parallel(self, rows: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the radius of the parallel of rows, and its height above the equator."""
        transform = self.grid.transform
        latitude = (transform.f + transform.e * (rows + 0.5)) * self._radians
        latitude = np.clip(latitude, -math.pi / 2, math.pi / 2)
        normal = SEMI_MAJOR / np.sqrt(1 - ECCENTRICITY2 * np.sin(latitude) ** 2)
        return normal * np.cos(latitude), normal * (1 - ECCENTRICITY2) * np.sin(latitude)

    @functools.cached_property
    def _own_metres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Steps to the next column and row in metres of the map, if it is true to scale."""
        crs = self.grid.crs
        assert crs is not None  # noqa: S101  # as above
        if crs.geographic:
            return None
        transform, unit = self.grid.transform, _unit(self.grid)
        right = np.array([transform.a, transform.d, 0.0]) * unit
        below = np.array([transform.b, transform.e, 0.0]) * unit
        height, width = self.grid.shape
        v, u = np.meshgrid(
            np.linspace(0, height, SAMPLES), np.linspace(0, width, SAMPLES), indexing="ij"
        )
        on_ground = self._steps(v, u)
        across, down = right @ right, below @ below
        compared = (
            (on_ground[0], on_ground[0], across, across),
            (on_ground[1], on_ground[1], down, down),
            (*on_ground, right @ below, math.sqrt(across * down)),  # the angle between them
        )
        for one, other, flat, size in compared:
            if not (np.abs((one * other).sum(axis=-1) - flat) <= 2 * TRUE * size).all():
                return None
        return right, below

    def _places(self, rows: Any, columns: Any) -> NDArray[np.float64]:
        """Return positions of a grid on the ground, in metres from the middle of the earth."""
        a, b, c, d, e, f = tuple(self.grid.transform)[:6]
        x, y = a * columns + b * rows + c, d * columns + e * rows + f
        assert self.grid.crs is not None  # noqa: S101  # as above
        if self.grid.crs.geographic:
            longitude, latitude = x * self._radians, y * self._radians
        else:
            degrees = transformer(str(self.grid.crs), DEGREES).transform(x, y)
            longitude, latitude = np.radians(degrees)
        with np.errstate(invalid="ignore"):
            normal = SEMI_MAJOR / np.sqrt(1 - ECCENTRICITY2 * np.sin(latitude) ** 2)
            return np.stack(
                [
                    normal * np.cos(latitude) * np.cos(longitude),
                    normal * np.cos(latitude) * np.sin(longitude),
                    normal * (1 - ECCENTRICITY2) * np.sin(latitude),
                ],
                axis=-1,
            )

    def _steps(self, rows: Any, columns: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the steps on the ground to the next column and to the next row."""
        right = self._places(rows, columns + 0.5) - self._places(rows, columns - 0.5)
        below = self._places(rows + 0.5, columns) - self._places(rows - 0.5, columns)
        return right, below

    @staticmethod
    def _whole(pixels: float, length: int) -> int:
        return min(length, int(pixels) + 1) if math.isfinite(pixels) else length


def _unit(grid: GeoBox) -> float:
    """Return how many metres, or radians, the unit of a CRS is."""
    assert grid.crs is not None  # noqa: S101  # as above
    return float(grid.crs.proj.axis_info[0].unit_conversion_factor)
