"""What a screen can show of layers: in memory, thinned to its size, never all pixels."""

from __future__ import annotations

import xarray as xr

from xfusion.datamodel.grid import spatial_dims
from xfusion.run.memory import compute

SIDE = 1024  # pixels of a screen for one map


def look(dataset: xr.Dataset, *, side: int = SIDE) -> xr.Dataset:
    """Return layers in memory, thinned to at most `side` pixels a side.

    Parameters
    ----------
    dataset : Dataset, dims (..., y, x)
        Layers on one grid, lazy or not.
    side : int
        Most pixels of the result, along either spatial dim.

    Returns
    -------
    Dataset
        The same layers with the coordinates of the pixels that are shown;
        ``attrs["look_step"]`` says how many pixels of the input stand behind one, along a side.
    """
    dims = spatial_dims(dataset) or ("y", "x")
    step = max(1, *(-(-dataset.sizes[dim] // side) for dim in dims))
    thinned = dataset.isel({dim: slice(step // 2, None, step) for dim in dims})
    return compute(thinned).assign_attrs(look_step=step)
