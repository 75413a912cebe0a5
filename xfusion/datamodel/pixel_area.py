"""How large pixels are on the ellipsoid, wherever the map they are on stretches them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .earth import check_is_on_earth, off_the_map, transformer
from .graph import InGraph

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

STEP = 1024  # pixels, at most, between control points
FEWEST = 4  # of these across a grid, as a small map would lie between them
WIDE = 8  # of these steps a control point is so large a part
SAMPLE = 9  # cells or pixels a side that are looked at
PRECISION = 1e-6  # of an area, between control points
SQUARE_METRES = 1e6  # of a square kilometre
SPHERE = 1e-9  # eccentricity below which the formula of an ellipsoid divides by nothing


@dataclass(frozen=True)
class Ellipsoid:
    """Of a CRS: half its long axis in metres, its eccentricity, and radians of its degrees."""

    semi_major: float
    eccentricity: float
    radians: float

    def between_equator_and(self, latitude: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the area of a radian of longitude from the equator to latitudes, in m2.

        Parameters
        ----------
        latitude : array
            In the unit of the CRS, from pole to pole.

        Notes
        -----
        ``a^2 / 2 q``, with the function q of authalic latitudes (Snyder 1987, Map projections: a
        working manual, USGS Professional Paper 1395, equation 3-12).
        """
        sine = np.sin(np.clip(latitude * self.radians, -math.pi / 2, math.pi / 2))
        e = self.eccentricity
        if e < SPHERE:
            return self.semi_major**2 * sine
        q = (1 - e**2) * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)
        return self.semi_major**2 / 2 * q


@dataclass(frozen=True)
class PixelArea(InGraph):
    """The areas of the pixels of a grid, to be asked for block by block; picklable."""

    geobox: GeoBox

    def __post_init__(self) -> None:
        """Refuse a grid that is not on the earth."""
        check_is_on_earth(self.geobox)

    def of_block(self, rows: slice, columns: slice) -> NDArray[np.float64]:
        """Return areas in km2, of shape (rows, columns), or (rows, 1) where a row has but one.

        Parameters
        ----------
        rows, columns : slice
            Of the grid, with start and stop.

        Returns
        -------
        array
            NaN of pixels beyond the rim of the map. Right to a few millionths for pixels of up to
            10 km; equal for any blocks.
        """
        if self._is_of_rows:
            return self._of_rows(np.arange(rows.start, rows.stop + 1, dtype=np.float64))
        return self._interpolated(rows, columns)

    def at_some(self, rows: slice, columns: slice) -> tuple[NDArray[np.float64], int, int]:
        """Return the areas of a block by a few of them, and how far apart these are.

        Parameters
        ----------
        rows, columns : slice
            As in :meth:`of_block`.

        Returns
        -------
        areas : array of shape (m, n)
        down : int
            1 where each row is there; else how many rows are from one to the next, the first of
            which is for the last multiple of so many rows that is not below the block. Between two
            of them areas are on a line.
        step : int
            The same of columns; 0 where a row has one area.
        """
        if self._is_of_rows:
            return self.of_block(rows, columns), 1, 0
        step = self._step
        if step > 1:
            known = self._known(rows, columns)
            if not np.isnan(known).any():
                return known, step, step
            lines = self._on_rows(known, rows)
            if not np.isnan(lines).any():
                return lines, 1, step
        return self.of_block(rows, columns), 1, 1

    def sample(self) -> NDArray[np.float64]:
        """Return the areas of some pixels from all over the grid, in km2."""
        return _sample_on(self.geobox)

    @property
    def _is_of_rows(self) -> bool:
        crs, affine = self.geobox.crs, self.geobox.affine
        return bool(crs.geographic) and affine.b == affine.d == 0  # type: ignore[union-attr]  # it has one

    def _of_rows(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        affine = self.geobox.affine
        ellipsoid = ellipsoid_of(str(self.geobox.crs))
        beneath = ellipsoid.between_equator_and(affine.f + affine.e * edges)
        width = abs(affine.a) * ellipsoid.radians
        areas: NDArray[np.float64] = np.abs(np.diff(beneath)) * width / SQUARE_METRES
        return areas[:, None]

    def _interpolated(self, rows: slice, columns: slice) -> NDArray[np.float64]:
        """Interpolate between control points that are anchored to the grid, not to the block."""
        step = self._step
        down, along = (np.arange(s.start, s.stop) for s in (rows, columns))
        if step == 1:
            return self.exact(down[:, None], along)
        known = self._known(rows, columns)
        lines = self._on_rows(known, rows)
        first_row, first_column = rows.start // step * step, columns.start // step * step
        places = (down - first_row) / step, (along - first_column) / step
        areas = _between(lines.T, places[1]).T
        at_the_rim = np.isnan(areas)
        if at_the_rim.any():
            none = np.isnan(known)
            off = none[:-1, :-1] & none[1:, :-1] & none[:-1, 1:] & none[1:, 1:]
            at_the_rim &= ~off[np.ix_(*(place.astype(np.intp) for place in places))]
            row, column = np.nonzero(at_the_rim)
            areas[row, column] = self.exact(down[row], along[column])
        return areas

    def _known(self, rows: slice, columns: slice) -> NDArray[np.float64]:
        """Return areas at the control points around a block."""
        step = self._step
        above, left = (
            np.arange(s.start // step, (s.stop - 1) // step + 2) for s in (rows, columns)
        )
        return self.exact(above[:, None] * step, left * step, span=step // WIDE)

    def _on_rows(self, known: NDArray[np.float64], rows: slice) -> NDArray[np.float64]:
        """Return areas on the rows of a block at the columns of its control points."""
        step = self._step
        down = np.arange(rows.start, rows.stop)
        return _between(known, (down - rows.start // step * step) / step)

    @property
    def _step(self) -> int:
        """How many pixels apart control points may be, of all blocks alike."""
        return _step_on(self.geobox)

    def exact(
        self, rows: NDArray[Any], columns: NDArray[Any], span: int = 1
    ) -> NDArray[np.float64]:
        """Return the areas of pixels, as quadrangles on a plane where all areas are true.

        Parameters
        ----------
        rows, columns : array
            Of one shape, or broadcast to one.
        span : int
            Pixels of a side; the mean of so many has more digits.
        """
        row, column = np.broadcast_arrays(rows + 0.5, columns + 0.5)
        half = span / 2
        down, along = (-half, -half, half, half), (-half, half, half, -half)
        y, x = self.degrees(
            np.stack([row + i for i in down]), np.stack([column + j for j in along])
        )
        x, y = self._on_plane(x, y)
        x, y = x - x[0], y - y[0]  # differences of large numbers would lose their digits
        twice = sum(x[i] * y[i - 3] - x[i - 3] * y[i] for i in range(len(down)))
        areas: NDArray[np.float64] = np.abs(twice) / 2 / span**2 / SQUARE_METRES
        return areas

    def degrees(self, row: Any, column: Any) -> tuple[Any, Any]:
        """Return latitude and longitude of positions on the grid, NaN beyond the rim of the map."""
        crs = self.geobox.crs
        x, y = self.geobox.pix2wld(column, row)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
        if crs.geographic:  # type: ignore[union-attr]  # as_geobox saw that it has one
            return y, x
        off = off_the_map(crs, x, y, abs(self.geobox.resolution.x))
        x, y = transformer(str(crs), own_degrees(str(crs))).transform(x, y)
        off |= ~np.isfinite(x)
        return np.where(off, np.nan, y), np.where(off, np.nan, x)

    def _on_plane(self, longitude: Any, latitude: Any) -> tuple[Any, Any]:
        """Return metres on Lambert's azimuthal map around the pole that is nearer to the first."""
        ellipsoid = ellipsoid_of(str(self.geobox.crs))
        angle = longitude * ellipsoid.radians
        sign = np.where(latitude[0] < 0, -1.0, 1.0)
        quarter = np.array(math.pi / 2 / ellipsoid.radians)
        beyond = ellipsoid.between_equator_and(quarter) - sign * ellipsoid.between_equator_and(
            latitude
        )
        distance = np.sqrt(2 * np.maximum(beyond, 0.0))
        return distance * np.sin(angle), distance * np.cos(angle)


@functools.lru_cache(maxsize=32)
def _sample_on(geobox: GeoBox) -> NDArray[np.float64]:
    """Return the areas of some pixels of a grid, which is scored more than once."""
    rows, columns = (
        np.unique(np.linspace(0, n - 1, SAMPLE).round()).astype(np.intp) for n in geobox.shape
    )
    return PixelArea(geobox).exact(rows[:, None], columns)


@functools.lru_cache(maxsize=32)
def _step_on(geobox: GeoBox) -> int:
    """Return how many pixels apart control points of a grid may be."""
    height, width = geobox.shape
    exact = PixelArea(geobox).exact
    step = STEP
    while step > 2 * WIDE and step * FEWEST > min(height, width):
        step //= 2
    while step > WIDE:
        # of a sample of cells the corners, and the middle, which is farthest from them
        down, along = (
            np.unique(np.linspace(0, n - 1, SAMPLE) // step) * step for n in (height, width)
        )
        corners = np.stack(
            [
                exact((down + i * step)[:, None], along + j * step, span=step // WIDE)
                for i in (0, 1)
                for j in (0, 1)
            ]
        ).mean(axis=0)
        middle = exact((down + step // 2)[:, None], along + step // 2)
        if not (np.abs(corners - middle) > PRECISION * middle).any():
            return step
        step //= 2
    return 1


@functools.lru_cache(maxsize=32)
def ellipsoid_of(crs: str) -> Ellipsoid:
    """Return the ellipsoid of a CRS, given by its text."""
    from pyproj import CRS

    own = CRS(crs).geodetic_crs
    assert own is not None  # noqa: S101  # a grid on the earth has one
    shape = own.ellipsoid
    assert shape is not None  # noqa: S101  # as above
    squared = 1 - (shape.semi_minor_metre / shape.semi_major_metre) ** 2
    return Ellipsoid(
        shape.semi_major_metre,
        math.sqrt(max(0.0, squared)),
        own.axis_info[0].unit_conversion_factor,
    )


@functools.lru_cache(maxsize=32)
def own_degrees(crs: str) -> str:
    """Return the CRS of longitudes and latitudes on the datum of a CRS."""
    from pyproj import CRS

    own = CRS(crs).geodetic_crs
    assert own is not None  # noqa: S101  # as above
    return str(own.to_wkt())


def _between(lines: NDArray[np.float64], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate between lines, in units of their distance."""
    first = np.minimum(position.astype(np.intp), len(lines) - 2)
    share = (position - first)[:, None]
    # where a share is 0 the other line may be beyond the rim of the map
    return np.where(share == 0, lines[first], lines[first] * (1 - share) + lines[first + 1] * share)
