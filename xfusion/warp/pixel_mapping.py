"""Where the pixels of one grid fall in another: control points through pyproj."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.comparison import same_crs
from xfusion.datamodel.earth import off_the_map, transformer, turn_of
from xfusion.datamodel.graph import InGraph
from xfusion.kernels.control import ControlGrid, Positions, Window

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

TOLERANCE = 1e-3  # source pixels; a control cell that errs by more is transformed exactly
AIM = 1e-4  # source pixels; the step is chosen for it
STEPS = (128, 64, 32, 16, 8)  # target pixels
EDGES = 33  # points a side of the target where it is tried whether it meets the source
FEW = 16  # target pixels along a side of the source, of which some lies in it for sure
MANY = 4096  # target pixels along the other side that are looked at
SAMPLES = 24  # cells a side of the target that the step is chosen on


@dataclass(frozen=True)
class PixelMapping(InGraph):
    """From the pixels of a target grid to positions in a source grid."""

    source: GeoBox
    target: GeoBox
    step: int
    """Target pixels a side of a control cell, one for the whole target."""

    @classmethod
    def between(cls, source: GeoBox, target: GeoBox) -> PixelMapping:
        """Choose the step: the widest whose linear interpolation errs by less than 1e-4.

        It is measured against the exact transform at the centres of cells spread evenly over
        the whole target.
        """
        return cls(source, target, _step_between(source, target))

    @property
    def shift(self) -> tuple[int, int] | None:
        """Rows and columns from a target pixel to the same pixel of the source, if it has one."""
        if not self._is_of_one_crs:
            return None
        rows, columns = self.target.shape
        corners = np.array([[0.0, 0.0, rows, rows], [0.0, columns, 0.0, columns]])
        u, v = self.positions(corners[0], corners[1])
        by = v - corners[0], u - corners[1]
        down, across = (int(np.rint(b[0])) for b in by)
        off = max(np.abs(by[0] - down).max(), np.abs(by[1] - across).max())
        return (down, across) if off <= TOLERANCE else None

    def side(self) -> float:
        """Return how long the side of a target pixel mostly is, in source pixels."""
        rows, columns = (np.linspace(0.0, n - 1.0, EDGES) for n in self.target.shape)
        places = np.meshgrid(rows, columns, indexing="ij")
        ways = self.positions(*np.meshgrid(rows, columns + 1.0, indexing="ij"))
        with np.errstate(invalid="ignore"):  # what cannot be mapped is infinite
            lengths = np.hypot(*(ways - self.positions(*places)))
        seen = lengths[np.isfinite(lengths)]
        return float(np.median(seen)) if seen.size else 1.0

    def meets(self) -> bool:
        """Whether some pixel of the target may lie in the source, as far as samples tell."""
        rows, columns = (np.linspace(0.0, n, EDGES) for n in self.target.shape)
        u, v = self.positions(*np.meshgrid(rows, columns, indexing="ij"))
        height, width = self.source.shape
        seen = np.isfinite(u) & np.isfinite(v)
        if not seen.any():
            return False
        return bool(
            u[seen].min() < width
            and u[seen].max() > 0
            and v[seen].min() < height
            and v[seen].max() > 0
        )

    def has_a_centre(self) -> bool:
        """Whether the centre of a target pixel lies in the source, which may lie between two.

        It is looked for where the source has few target pixels; where it has many, some does.
        """
        height, width = self.source.shape
        along = np.linspace(0.0, 1.0, EDGES)
        v, u = np.meshgrid(along * height, along * width, indexing="ij")
        there = PixelMapping(self.target, self.source, self.step).positions(v, u)
        nearest = []
        for places, size in zip(there[::-1], self.target.shape, strict=True):
            seen = places[np.isfinite(places)]
            if not seen.size:
                return True  # it cannot be told
            first = max(0, int(np.clip(np.floor(seen.min()) - 1, -1, size)))
            nearest.append((first, min(size, int(np.clip(np.ceil(seen.max()) + 1, -1, size)))))
        if all(stop - first > FEW for first, stop in nearest):
            return True
        (top, bottom), (left, right) = ((first, min(stop, first + MANY)) for first, stop in nearest)
        down, across = np.arange(top, bottom) + 0.5, np.arange(left, right) + 0.5
        u, v = self.positions(*np.meshgrid(down, across, indexing="ij"))
        return bool(((u >= 0) & (u < width) & (v >= 0) & (v < height)).any())

    def positions(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Positions:
        """Return exact source columns and rows, shape (2, ...), of positions in the target.

        Positions count pixels from the outer corner of a grid; what a projection cannot map
        is infinite.
        """
        x, y = _affine(self.target, columns, rows)
        if not self._is_of_one_crs:
            off = self._off_its_map(x, y) if self._has_a_rim else None
            x, y = transformer(str(self.target.crs), str(self.source.crs)).transform(x, y)
            if off is not None:
                x = np.where(off, np.inf, x)
        return np.stack(_affine(self.source, self._around_the_source(x), y, inverse=True))

    def control_grid(self, rows: slice, columns: slice) -> ControlGrid:
        """Return the control grid of a block, each cell checked at the middle of its edges."""
        step = self.step
        down = np.arange(rows.start // step, -(-rows.stop // step) + 1, dtype=np.float64)
        across = np.arange(columns.start // step, -(-columns.stop // step) + 1, dtype=np.float64)
        nodes, error = self._checked(*np.meshgrid(down, across, indexing="ij"))
        # NaN and infinity are not below the tolerance either
        coarse = ~(error <= TOLERANCE)
        exact = np.full(coarse.shape, -1, np.int64)
        exact[coarse] = np.arange(np.count_nonzero(coarse))
        pixels = self._exact(down[:-1] * step, across[:-1] * step, coarse)
        first = rows.start, columns.start
        return ControlGrid(step, first, nodes[0], nodes[1], exact, *pixels, _widths(*pixels))

    def window(self, grid: ControlGrid) -> Window | None:
        """Return the part of the source that a block needs, None if it misses the source."""
        rows, columns = self.source.shape
        reach = self._reach(grid)
        first, size = [], []
        for nodes, exact, length, margin in (
            (grid.v, grid.exact_v, rows, reach[1]),
            (grid.u, grid.exact_u, columns, reach[0]),
        ):
            finite = np.concatenate([nodes[np.isfinite(nodes)], exact[np.isfinite(exact)]])
            if finite.size == 0:
                return None
            start = max(0, int(np.clip(np.floor(finite.min() - margin), -1, length)))
            stop = min(length, int(np.clip(np.ceil(finite.max() + margin), 0, length + 1)))
            if stop <= start:
                return None
            first.append(start)
            size.append(stop - start)
        return Window((first[0], first[1]), (size[0], size[1]), (rows, columns))

    def _reach(self, grid: ControlGrid) -> tuple[float, float]:
        reach = []
        for axis, nodes in enumerate((grid.u, grid.v)):
            with np.errstate(invalid="ignore"):
                along = np.abs(np.diff(nodes, axis=0)), np.abs(np.diff(nodes, axis=1))
            widths = [w[np.isfinite(w)].max(initial=0.0) / grid.step for w in along]
            # cells that are transformed exactly may have no finite corners to tell their widths
            of_exact = grid.exact_width[:, axis].max(initial=0.0)
            reach.append(0.5 * max(1.0, float(np.hypot(*widths)), float(of_exact)) + 2.0)
        return reach[0], reach[1]

    def _exact(
        self, down: Positions, across: Positions, coarse: NDArray[np.bool_]
    ) -> tuple[Positions, Positions]:
        if not coarse.any():
            return np.empty((0, 1, 1)), np.empty((0, 1, 1))
        cell_rows, cell_columns = np.nonzero(coarse)
        inner = np.arange(self.step) + 0.5
        rows = down[cell_rows][:, None, None] + inner[None, :, None]
        columns = across[cell_columns][:, None, None] + inner[None, None, :]
        u, v = self.positions(*np.broadcast_arrays(rows, columns))
        return u, v

    def sampled_error(self) -> float:
        """Return by how many source pixels linear interpolation errs, as far as samples tell."""
        first = [
            np.unique(np.linspace(0, max(0, (n - 1) // self.step), SAMPLES).astype(int))
            for n in self.target.shape
        ]
        # cells that do not touch: each has its own four corners
        rows, columns = (np.stack([n, n + 1], axis=-1).astype(np.float64) for n in first)
        down = np.broadcast_to(rows[:, None, :, None], (len(rows), len(columns), 2, 2))
        across = np.broadcast_to(columns[None, :, None, :], down.shape)
        error = self._checked(down, across)[1]
        return float(error[np.isfinite(error)].max(initial=0.0))

    def _checked(self, down: Positions, across: Positions) -> tuple[Positions, Positions]:
        """Return positions of control points, and how far linear interpolation is off in cells.

        Parameters
        ----------
        down, across : arrays, shape (..., m + 1, n + 1)
            Control points, in steps.

        Returns
        -------
        positions : array, shape (2, ..., m + 1, n + 1)
        error : array, shape (..., m, n)
            In source pixels: the largest error at the middles of the upper and lower edges plus
            that of the left and right ones. To second order this bounds the error in the cell,
            also where it vanishes at its centre, as between two conformal projections.
        """
        nodes = self.positions(down * self.step, across * self.step)
        flat = self.positions(down[..., :-1] * self.step, (across[..., :-1] + 0.5) * self.step)
        steep = self.positions(
            (down[..., :-1, :] + 0.5) * self.step, across[..., :-1, :] * self.step
        )
        with np.errstate(invalid="ignore"):
            along = np.abs((nodes[..., :-1] + nodes[..., 1:]) / 2 - flat)
            beside = np.abs((nodes[..., :-1, :] + nodes[..., 1:, :]) / 2 - steep)
            along = np.maximum(along[..., :-1, :], along[..., 1:, :])
            beside = np.maximum(beside[..., :-1], beside[..., 1:])
            return nodes, (along + beside).max(axis=0)

    def _around_the_source(self, x: Positions) -> Positions:
        """Take easting to within half a turn of the source: it may cross the antimeridian."""
        if self._turn is None:
            return x
        rows, columns = self.source.shape
        middle = float(self.source.pix2wld(columns / 2, rows / 2)[0])  # type: ignore[no-untyped-call]  # odc-geo's are not typed
        with np.errstate(invalid="ignore"):
            return x - self._turn * np.round((x - middle) / self._turn)

    @functools.cached_property
    def _is_of_one_crs(self) -> bool:
        return same_crs(self.source.crs, self.target.crs)

    @functools.cached_property
    def _has_a_rim(self) -> bool:
        """Whether some of the target lies beyond the rim of its own map, as far as samples tell."""
        rows, columns = (np.linspace(0.0, n, EDGES) for n in self.target.shape)
        x, y = _affine(self.target, *np.meshgrid(columns, rows))
        return bool(self._off_its_map(x, y).any())

    def _off_its_map(self, x: Positions, y: Positions) -> NDArray[np.bool_]:
        return off_the_map(self.target.crs, x, y, abs(self.target.resolution.x))

    @functools.cached_property
    def _turn(self) -> float | None:
        """Easting after which the CRS of the source repeats itself, None if it does not."""
        return turn_of(self.source.crs)


@functools.lru_cache(maxsize=64)
def _step_between(source: GeoBox, target: GeoBox) -> int:
    """Return the step of a mapping; several files have one grid, and are asked for repeatedly."""
    for step in STEPS:
        if PixelMapping(source, target, step).sampled_error() <= AIM:
            return step
    return STEPS[-1]


def _affine(
    geobox: GeoBox, x: Positions, y: Positions, *, inverse: bool = False
) -> tuple[Positions, Positions]:
    """Take pixels to the world, or back; what is infinite stays unknown, without a warning."""
    affine = ~geobox.transform if inverse else geobox.transform
    with np.errstate(invalid="ignore"):
        return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def _widths(exact_u: Positions, exact_v: Positions) -> Positions:
    """Return how far apart neighbouring pixels of each exact cell lie, along u and v.

    The median, as a cell may hold the seam of a projection or the rim of the earth.
    """
    widths = np.ones((len(exact_u), 2))
    for place in range(len(exact_u)):
        for axis, positions in enumerate((exact_u[place], exact_v[place])):
            steps = []
            for direction in (0, 1):
                with np.errstate(invalid="ignore"):
                    apart = np.abs(np.diff(positions, axis=direction))
                finite = apart[np.isfinite(apart)]
                steps.append(float(np.median(finite)) if finite.size else 0.0)
            widths[place, axis] = math.hypot(*steps)
    return widths
