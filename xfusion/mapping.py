"""Where the pixels of one grid fall in another: control points through pyproj."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .grid import same_crs
from .kernels.control import ControlGrid, Positions, Window

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from pyproj import Transformer

TOLERANCE = 1e-3  # source pixels; a control cell that errs by more is transformed exactly
AIM = 1e-4  # source pixels; the step is chosen for it
STEPS = (128, 64, 32, 16, 8)  # target pixels
SAMPLES = 24  # cells a side of the target that the step is chosen on


@dataclass(frozen=True)
class Mapping:
    """From the pixels of a target grid to positions in a source grid."""

    source: GeoBox
    target: GeoBox
    step: int
    """Target pixels a side of a control cell, one for the whole target."""

    @classmethod
    def between(cls, source: GeoBox, target: GeoBox) -> Mapping:
        """Choose the step: the widest whose linear interpolation errs by less than 1e-4.

        It is measured against the exact transform at the centres of cells spread evenly over
        the whole target.
        """
        for step in STEPS:
            mapping = cls(source, target, step)
            if mapping._sampled_error() <= AIM:
                return mapping
        return cls(source, target, STEPS[-1])

    @property
    def shift(self) -> tuple[int, int] | None:
        """Rows and columns from a target pixel to the same pixel of the source, if it has one."""
        if not same_crs(self.source.crs, self.target.crs):
            return None
        rows, columns = self.target.shape
        corners = np.array([[0.0, 0.0, rows, rows], [0.0, columns, 0.0, columns]])
        u, v = self.positions(corners[0], corners[1])
        by = v - corners[0], u - corners[1]
        down, across = (int(np.rint(b[0])) for b in by)
        off = max(np.abs(by[0] - down).max(), np.abs(by[1] - across).max())
        return (down, across) if off <= TOLERANCE else None

    def positions(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Positions:
        """Return exact source columns and rows, shape (2, ...), of positions in the target.

        Positions count pixels from the outer corner of a grid; what a projection cannot map
        is infinite.
        """
        x, y = self.target.pix2wld(columns, rows)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if not same_crs(self.source.crs, self.target.crs):
            x, y = _transformer(str(self.target.crs), str(self.source.crs)).transform(x, y)
        x = self._around_the_source(np.asarray(x))
        u, v = self.source.wld2pix(x, y)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
        return np.stack([np.asarray(u, np.float64), np.asarray(v, np.float64)])

    def control_grid(self, rows: slice, columns: slice) -> ControlGrid:
        """Return the control grid of a block, each cell checked at its centre."""
        step = self.step
        down = np.arange(rows.start // step, -(-rows.stop // step) + 1, dtype=np.float64) * step
        across = np.arange(columns.start // step, -(-columns.stop // step) + 1, dtype=np.float64)
        across = across * step
        u, v = self.positions(*np.meshgrid(down, across, indexing="ij"))
        middle = np.meshgrid(down[:-1] + step / 2, across[:-1] + step / 2, indexing="ij")
        with np.errstate(invalid="ignore"):
            error = np.abs(_centres(np.stack([u, v])) - self.positions(*middle)).max(axis=0)
        corners = np.isfinite(u) & np.isfinite(v)
        lost = ~(corners[:-1, :-1] | corners[1:, :-1] | corners[:-1, 1:] | corners[1:, 1:])
        # NaN and infinity are not below the tolerance either; a cell that is nowhere stays so
        coarse = ~(error <= TOLERANCE) & ~lost
        exact = np.full(coarse.shape, -1, np.int64)
        exact[coarse] = np.arange(np.count_nonzero(coarse))
        exact_u, exact_v = self._exact(down[:-1], across[:-1], coarse)
        return ControlGrid(step, (rows.start, columns.start), u, v, exact, exact_u, exact_v)

    def window(self, grid: ControlGrid) -> Window | None:
        """Return the part of the source that a block needs, None if it misses the source."""
        rows, columns = self.source.shape
        reach = self._reach(grid)
        first, size = [], []
        for nodes, exact, length, margin in (
            (grid.v, grid.exact_v, rows, reach[1]),
            (grid.u, grid.exact_u, columns, reach[0]),
        ):
            known = np.concatenate([nodes[np.isfinite(nodes)], exact[np.isfinite(exact)]])
            if known.size == 0:
                return None
            start = max(0, int(np.clip(np.floor(known.min() - margin), -1, length)))
            stop = min(length, int(np.clip(np.ceil(known.max() + margin), 0, length + 1)))
            if stop <= start:
                return None
            first.append(start)
            size.append(stop - start)
        return Window((first[0], first[1]), (size[0], size[1]), (rows, columns))

    def _reach(self, grid: ControlGrid) -> tuple[float, float]:
        reach = []
        for nodes in (grid.u, grid.v):
            with np.errstate(invalid="ignore"):
                along = np.abs(np.diff(nodes, axis=0)), np.abs(np.diff(nodes, axis=1))
            widths = [w[np.isfinite(w)].max(initial=0.0) / grid.step for w in along]
            reach.append(0.5 * max(1.0, float(np.hypot(*widths))) + 2.0)
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

    def _sampled_error(self) -> float:
        rows, columns = (
            np.unique(np.linspace(0, max(0, (n - 1) // self.step), SAMPLES).astype(int))
            for n in self.target.shape
        )
        rows, columns = rows.astype(np.float64), columns.astype(np.float64)
        corner = np.meshgrid(rows, columns, indexing="ij")
        at = [
            self.positions((corner[0] + i) * self.step, (corner[1] + j) * self.step)
            for i in (0, 1)
            for j in (0, 1)
        ]
        middle = self.positions((corner[0] + 0.5) * self.step, (corner[1] + 0.5) * self.step)
        with np.errstate(invalid="ignore"):
            error = np.abs((at[0] + at[1] + at[2] + at[3]) / 4 - middle)
        return float(error[np.isfinite(error)].max(initial=0.0))

    def _around_the_source(self, x: Positions) -> Positions:
        """Take longitudes to within 180 degrees of the source: it may cross the antimeridian."""
        if self.source.crs is None or not self.source.crs.geographic:
            return x
        rows, columns = self.source.shape
        middle = float(self.source.pix2wld(columns / 2, rows / 2)[0])  # type: ignore[no-untyped-call]  # odc-geo's are not typed
        with np.errstate(invalid="ignore"):
            return x - 360.0 * np.round((x - middle) / 360.0)


def _centres(nodes: Positions) -> Positions:
    return (nodes[:, :-1, :-1] + nodes[:, 1:, :-1] + nodes[:, :-1, 1:] + nodes[:, 1:, 1:]) / 4


@functools.lru_cache(maxsize=32)
def _transformer(target: str, source: str) -> Transformer:
    from pyproj import Transformer

    return Transformer.from_crs(target, source, always_xy=True)
