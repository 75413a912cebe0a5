"""The whole job with xfusion: opened lazily, computed once."""

from typing import Any

import dask.array  # here and below: imported before the clock starts
import odc.geo.xr  # noqa: F401  # before the clock starts
import rioxarray  # noqa: F401  # before the clock starts

import xfusion as xf
import xfusion.kernels.independent
import xfusion.kernels.resample
from benchmarks.scenes import DATE, Scene


def run(scene: Scene, *, unmasked: bool) -> tuple[Any, Any]:
    """Fuse the masked retrievals; and the same without masks, as the notebooks do, in one go."""
    s1, s2 = products(scene)
    water = s1.gaussian(s2)
    if unmasked:
        fused, _ = dask.compute(water.dataset, s1.gaussian(s2, use_mask=False).dataset)
    else:
        fused = water.compute().dataset
    return fused.mu.to_numpy(), fused.sigma.to_numpy()


def products(scene: Scene) -> tuple[Any, Any]:
    """The two sensors with their masks on the grid of the result, lazy."""
    s1 = xf.Sentinel1Product.open(scene.path("s1_mu"), scene.path("s1_sigma"), time=DATE)
    s2 = xf.Sentinel2Product.open(scene.path("s2_mu"), scene.path("s2_sigma"), time=DATE)
    grid = scene.grid()
    s1 = s1.coregister(grid).attach_mask(items=scene.items("GFM"), allow_local=True)
    s2 = s2.coregister(grid).attach_mask(items=scene.items("sentinel-2-l2a"), allow_local=True)
    return s1, s2
