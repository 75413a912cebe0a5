"""How much each pixel counts: its area, the same as any other, or what it is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.grid import geobox_of, has_crs, spatial_dims
from xfusion.datamodel.pixel_area import PixelArea
from xfusion.datamodel.reference import on_grid

if TYPE_CHECKING:
    from xfusion.kernels.weight_lines import WeightLines

MOST_BITS = 48  # of a weight: the kernels round to whole numbers up to 2^51
SUM_BITS = 61  # of all weights together: they are added as int64
VALID_MAX = "valid_max"  # of CF
ROOM = 2.0  # how much larger than the largest of these another may be


@dataclass(frozen=True)
class Weighing(InGraph):
    """Weights as whole numbers, so that their sums are exact; picklable."""

    areas: PixelArea | None
    """None for equal weights, or those of an array."""
    largest: float | None
    """No weight is larger; None for those of an array, which only their pixels tell."""
    bits: int
    """Of the whole number that stands for the power of two that the largest is within."""

    def unit(self, largest: float) -> float:
        """Return the weight that the whole number 1 stands for; a power of two.

        Parameters
        ----------
        largest : float
            The largest weight.
        """
        exponent = math.frexp(largest)[1] if 0 < largest < math.inf else 0
        return math.ldexp(1.0, exponent - self.bits)

    def lines(
        self, rows: slice, columns: slice, given: NDArray[Any] | None, largest: float
    ) -> WeightLines:
        """Return the weights of a block as the kernels take them.

        Parameters
        ----------
        rows, columns : slice
            Of the grid.
        given : array, shape (..., rows, columns), or None
            Those of the caller.
        largest : float
        """
        from xfusion.kernels.weight_lines import WeightLines  # numba takes half a second

        scale = 1.0 / self.unit(largest)
        if given is not None:
            wrong = given[(given < 0) | np.isinf(given)]
            if wrong.size:
                msg = (
                    f"weights has the value {wrong.flat[0]}: a weight is 0 or more and finite; NaN "
                    "or 0 leaves a pixel out, weights.where(weights >= 0)"
                )
                raise ValueError(msg)
            most = float(np.fmax.reduce(given, axis=None, initial=0))
            if most > largest:
                msg = (
                    f"weights has the value {most} and says that none is above "
                    f"{largest}: name the largest, weights.attrs['valid_max'], or drop it there"
                )
                raise ValueError(msg)
            lines = given.reshape(-1, given.shape[-1]).astype(np.float64)
            return WeightLines(lines * scale, len(lines), step=1)
        if self.areas is None:
            return WeightLines(np.full((1, 1), scale), 1)
        areas, down, step = self.areas.at_some(rows, columns)
        above, first = rows.start % down, columns.start % step if step else 0
        return WeightLines(areas * scale, rows.stop - rows.start, down, above, step, first)


def weighing_of(
    dataset: xr.Dataset, weights: Any, size: int
) -> tuple[Weighing, xr.DataArray | None, str]:
    """Return how pixels are weighed, the weights if they are an array, and what to call it.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, checked.
    weights : {"area", "equal"}, None or DataArray
    size : int
        How many pixels there are.

    Raises
    ------
    ValueError
        If they are none of these, or on another grid.
    """
    bits = min(MOST_BITS, SUM_BITS - math.ceil(math.log2(max(size, 2))))
    if isinstance(weights, xr.DataArray):
        given = on_grid(dataset, weights, name="weights")
        return Weighing(None, None, bits), given, "given"
    if weights is not None and not (isinstance(weights, str) and weights in ("area", "equal")):
        msg = f"{weights=}: must be 'area', 'equal', None, which is the same, or a DataArray"
        raise ValueError(msg)
    if weights == "area" and has_crs(dataset):
        geobox = geobox_of(dataset)
        if geobox.crs.geographic or geobox.crs.projected:  # type: ignore[union-attr]  # it has one
            areas = PixelArea(geobox)
            return Weighing(areas, _largest_area(areas), bits), None, "area"
    # without a place on the earth pixels have no area, or, on a building site, all the same
    without = spatial_dims(dataset) is None or not has_crs(dataset)
    why = "" if weights != "area" else ", no CRS" if without else ", local CRS"
    return Weighing(None, 1.0, bits), None, f"equal{why}"


def _largest_area(areas: PixelArea) -> float:
    """Return an area that no pixel of a grid exceeds, from a sample of pixels."""
    if not math.prod(areas.geobox.shape):
        return 1.0
    sample = areas.sample()
    return ROOM * float(sample[~np.isnan(sample)].max(initial=0.0))


def largest_of(given: xr.DataArray) -> Any:
    """Return the largest weight, as the attribute `valid_max` says, or lazy where they are.

    In the latter case all weights are in memory until it is known.
    """
    if VALID_MAX in given.attrs:
        return float(given.attrs[VALID_MAX])
    if not given.size:
        return 0.0
    if given.chunks is None:
        weights = given.to_numpy()
        return float(weights[np.isfinite(weights)].max(initial=0.0))
    import dask.array as da

    return da.where(da.isfinite(given.data), given.data, 0).max().astype(np.float64)
