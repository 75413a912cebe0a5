"""Draw what error_correlation does to the fused sigma: python docs/draw_coregistration.py."""  # noqa: INP001  # a script

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.figure
import numpy as np
from odc.geo.geobox import GeoBox

import xfusion as xf
from xfusion.demo.scene import DATE, write_scene

PICTURE = Path(__file__).parent / "_static" / "coregistration.png"
CORRELATIONS = (0.0, 0.5, 1.0)
PIXEL = 60  # metres: the pixels of Sentinel-1 are a third of it, those of Sentinel-2 a sixth


def fused_sigmas(folder: str) -> dict[float, np.ndarray]:
    """Fuse the example scene, unmasked, on a coarse grid, once for each correlation."""
    scene = write_scene(folder, size=0.6)
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=DATE, chunks=None)
    s2 = xf.Sentinel2Product.open(scene.s2_mu, scene.s2_sigma, time=DATE, chunks=None)
    grid = GeoBox.from_bbox(s2.geobox.boundingbox, s2.geobox.crs, resolution=PIXEL)
    sigmas = {}
    for correlation in CORRELATIONS:
        a, b = (s.coregister(grid, error_correlation=correlation) for s in (s1, s2))
        sigmas[correlation] = a.gaussian(b).sigma.to_numpy()
    return sigmas


def main() -> None:
    """Draw the three maps on one scale of colours."""
    with TemporaryDirectory() as folder:
        sigmas = fused_sigmas(folder)
    figure = matplotlib.figure.Figure(figsize=(10, 3.4), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    for axis, (correlation, sigma) in zip(axes, sigmas.items(), strict=True):
        image = axis.imshow(sigma, cmap="magma", vmin=0, vmax=0.14, interpolation="nearest")
        median = np.nanmedian(sigma)
        axis.set_title(f"error_correlation={correlation:g}, median {median:.3f}", fontsize=10)
        axis.set_axis_off()
    figure.colorbar(
        image, ax=axes, label="sigma of the fusion", shrink=0.9, ticks=[0, 0.04, 0.08, 0.12]
    )
    figure.savefig(PICTURE, dpi=90)


main()
