"""The example: two sensors, their masks from a real STAC API, one water map."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .conventions import MASK, MU, SIGMA, SOURCE
from .products import SensorProduct, Sentinel1Product, Sentinel2Product
from .raster import write_cogs
from .scene import Scene, write_scene
from .server import serve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DemoResult", "draw_panel", "fuse_scene", "run_demo", "serve", "write_scene"]

Progress = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo wrote and found."""

    files: dict[str, Path]
    """Variable -> COG, and "panel" -> PNG."""

    pixels: dict[str, int]
    """Pixels by who contributed: sensor names joined by "+", "none" outside."""

    rmse: dict[str, float]
    """Root mean square error against the truth, where both sensors are usable; for "fused,
    all pixels" and "fused, no masks" wherever a sensor is usable under the masks."""


def fuse_scene(
    scene: Scene, catalog: str, *, chunks: int = 512
) -> tuple[SensorProduct, SensorProduct, SensorProduct, SensorProduct]:
    """Run the workflow on the example scene, lazily.

    Parameters
    ----------
    scene : Scene
        The files and their date.
    catalog : str
        URL of the API that serves its items.
    chunks : int
        Pixels a side of a block.

    Returns
    -------
    s1, s2, masked, unmasked : products
        Both sensors on the grid of Sentinel-2, extended to what either covers, and their
        fusion with and without the masks.
    """
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import BoundingBox

    s1 = Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date, chunks=chunks)
    s2 = Sentinel2Product.open(scene.s2_mu, scene.s2_sigma, time=scene.date, chunks=chunks)
    fine = s2.geobox
    both = [s1.geobox.extent.to_crs(str(fine.crs)).boundingbox, fine.boundingbox]
    bounds = BoundingBox(
        min(b.left for b in both),
        min(b.bottom for b in both),
        max(b.right for b in both),
        max(b.top for b in both),
        fine.crs,
    )
    grid = GeoBox.from_bbox(bounds, resolution=fine.resolution)
    s1 = s1.coregister(grid, chunks=chunks).attach_mask(catalog=catalog)
    s2 = s2.coregister(grid, chunks=chunks).attach_mask(catalog=catalog)
    return s1, s2, s1.gaussian(s2), s1.gaussian(s2, use_mask=False)


def run_demo(
    out: Path | str, *, size: float = 1.0, seed: int = 0, progress: Progress = nullcontext
) -> DemoResult:
    """Write the example scene, serve it, fuse it, and write maps, a picture and numbers.

    Parameters
    ----------
    out : path
        Folder of the results; the scene goes into its folder ``scene``.
    size : float
        Scale of the scene; 1 is about 12 km by 10 km.
    seed : int
        Of the noise.
    progress : callable
        Makes a context manager that shows the progress of dask.

    Returns
    -------
    DemoResult

    Raises
    ------
    ModuleNotFoundError
        If the extra ``demo`` is not installed.
    RuntimeError
        If the STAC server does not start.
    """
    out = Path(out)
    scene = write_scene(out / "scene", size=size, seed=seed)
    with serve(scene.items) as catalog:
        lazy = fuse_scene(scene, catalog)
        with progress():
            import dask

            s1, s2, fused, unmasked = dask.compute(*(p.dataset for p in lazy))
    truth = scene.truth(lazy[2].geobox)
    files = write_cogs(fused, out, prefix="water_")
    files["panel"] = _write_panel(draw_panel(s1, s2, fused), out / "water.png")
    return DemoResult(
        files=files,
        pixels=_pixels_by_source(fused),
        rmse=_errors(s1, s2, fused, unmasked, truth),
    )


def draw_panel(s1: xr.Dataset, s2: xr.Dataset, fused: xr.Dataset) -> Figure:
    """Draw both means, the fused mean and sigma, and who contributed.

    Parameters
    ----------
    s1, s2 : Dataset
        Retrievals in memory, masked pixels are drawn empty.
    fused : Dataset
        Their fusion.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.figure import Figure

    names = str(fused[SOURCE].attrs["flag_meanings"]).split()
    figure = Figure(figsize=(15, 3.4), layout="constrained", dpi=110)
    axes = figure.subplots(1, 5, sharex=True, sharey=True)
    means: dict[str, Any] = {"cmap": "YlGnBu", "vmin": 0, "vmax": 1}
    maps = [
        (s1[MU].where(s1[MASK] == 0), f"{names[0]}: mu", means),
        (s2[MU].where(s2[MASK] == 0), f"{names[1]}: mu", means),
        (fused[MU], "fused: mu", means),
        (fused[SIGMA], "fused: sigma", {"cmap": "magma", "vmin": 0, "vmax": 0.15}),
    ]
    for axis, (values, title, style) in zip(axes, maps, strict=False):
        image = axis.imshow(values, interpolation="nearest", **style)
        figure.colorbar(image, ax=axis, orientation="horizontal", shrink=0.9, pad=0.02)
        axis.set_title(title)
    colours = ListedColormap(["white", "tab:blue", "tab:orange", "tab:green"])
    norm = BoundaryNorm([-0.5, 0.5, 1.5, 2.5, 3.5], 4)
    image = axes[4].imshow(fused[SOURCE], cmap=colours, norm=norm, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes[4], orientation="horizontal", shrink=0.9, pad=0.02)
    bar.set_ticks([0, 1, 2, 3], labels=["none", "S1", "S2", "both"])
    axes[4].set_title("source")
    for axis in axes:
        axis.set_axis_off()
    return figure


def _write_panel(figure: Figure, path: Path) -> Path:
    import os

    aside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        figure.savefig(aside, format="png")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def _pixels_by_source(fused: xr.Dataset) -> dict[str, int]:
    names = str(fused[SOURCE].attrs["flag_meanings"]).split()
    counts = np.bincount(fused[SOURCE].to_numpy().ravel(), minlength=1 << len(names))
    return {
        "+".join(n for i, n in enumerate(names) if code >> i & 1) or "none": int(count)
        for code, count in enumerate(counts)
    }


def _errors(
    s1: xr.Dataset, s2: xr.Dataset, fused: xr.Dataset, unmasked: xr.Dataset, truth: Any
) -> dict[str, float]:
    source = fused[SOURCE].to_numpy()

    def rmse(retrieval: xr.Dataset, where: Any) -> float:
        return float(np.sqrt(np.mean((retrieval[MU].to_numpy() - truth)[where] ** 2)))

    both, either = source == source.max(), source > 0
    return {
        "sentinel-1": rmse(s1, both),
        "sentinel-2": rmse(s2, both),
        "fused": rmse(fused, both),
        "fused, all pixels": rmse(fused, either),
        "fused, no masks": rmse(unmasked, either),
    }
