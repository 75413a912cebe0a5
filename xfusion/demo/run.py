"""The example: two sensors, their masks from a real STAC API, one water map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xfusion.cog.write import to_cog
from xfusion.datamodel.flags import contributors
from xfusion.datamodel.names import MU, SOURCE
from xfusion.products import SensorProduct, Sentinel1Product, Sentinel2Product
from xfusion.run.progress import progress_of_tasks
from xfusion.view.figures import matplotlib_of
from xfusion.view.pictures import plot
from xfusion.view.reporting import report
from xfusion.warp.target import common_grid

from .odds import WET, brier_scores
from .scene import Scene, write_scene, written_aside
from .server import serve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DemoResult", "draw_panel", "fuse_scene", "run_demo", "serve", "write_scene"]


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo wrote and found.

    Examples
    --------
    >>> from pathlib import Path
    >>> found = DemoResult(
    ...     files={"mu": Path("water_mu.tif")}, pixels={"none": 3}, rmse={"fused": 0.03}, brier={}
    ... )
    >>> found.rmse["fused"]
    0.03
    """

    files: dict[str, Path]
    """Variable -> COG, "item" -> STAC item, "panel" -> PNG, "truth" -> GeoTIFF of what is true on
    the grid of the maps, and "report" -> HTML."""

    pixels: dict[str, int]
    """Pixels by who contributed: sensor names joined by "+", "none" outside."""

    rmse: dict[str, float]
    """Root mean square error against the truth, where both sensors are usable; for "fused,
    all pixels" and "fused, no masks" wherever a sensor is usable under the masks."""

    brier: dict[str, float]
    """Rule -> mean square error of its probability of water, in the half of the scene where no
    sensor was calibrated, where both are usable."""


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

    Examples
    --------
    >>> import tempfile
    >>> from xfusion.demo import fuse_scene, write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> s1, s2, masked, unmasked = fuse_scene(scene, str(scene.items))
    >>> masked.dataset.source.attrs["flag_meanings"]
    'sentinel-1 sentinel-2'
    """
    s1 = Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date, chunks=chunks)
    s2 = Sentinel2Product.open(scene.s2_mu, scene.s2_sigma, time=scene.date, chunks=chunks)
    grid = common_grid(s2, s1)
    s1 = s1.coregister(grid, chunks=chunks).attach_mask(catalog=catalog)
    # the items contradict themselves, as those of Earth Search do; here the offset is known
    s2 = s2.coregister(grid, chunks=chunks).attach_mask(catalog=catalog, offset=0.0)
    return s1, s2, s1.gaussian(s2), s1.gaussian(s2, use_mask=False)


def run_demo(
    out: Path | str, *, size: float = 1.0, seed: int = 0, progress: bool = True
) -> DemoResult:
    """Write the example scene, serve it, fuse it, and write maps, the truth, a picture and numbers.

    Parameters
    ----------
    out : path
        Folder of the results; the scene goes into its folder ``scene``.
    size : float
        Scale of the scene; 1 is about 12 km by 10 km.
    seed : int
        Of the noise.
    progress : bool
        Show how far it is.

    Returns
    -------
    DemoResult

    Raises
    ------
    ModuleNotFoundError
        If the extra ``demo`` is not installed.
    RuntimeError
        If the STAC server does not start.

    Examples
    --------
    >>> import tempfile
    >>> from xfusion.demo import run_demo
    >>> found = run_demo(tempfile.mkdtemp(), size=0.2, progress=False)
    >>> found.files["mu"].name, found.rmse["fused"] < found.rmse["sentinel-1"]
    ('water_mu.tif', True)
    """
    matplotlib_of("demo")  # what is missing is said before the work, not after it
    out = Path(out)
    scene = write_scene(out / "scene", size=size, seed=seed)
    with serve(scene.items) as catalog:
        lazy = fuse_scene(scene, catalog)
        with progress_of_tasks("fusing the scene", show=progress, after=0):
            import dask

            s1, s2, fused, unmasked = dask.compute(*(p.dataset for p in lazy))
    truth = scene.truth(lazy[2].geobox)
    files = to_cog(fused, out, prefix="water_", overwrite=True, progress=False)
    files["panel"] = _write_panel(draw_panel(s1, s2, fused), out / "water.png")
    # a thousandth is far below all errors, and the file is a fraction of what it would be
    share = fused[MU].copy(data=truth.round(3)).assign_attrs(long_name="true share of water")
    files["truth"] = _write_truth(share, out / "truth.tif")
    files["report"] = report(
        fused,
        out / "report.html",
        reference=share,
        sensors=(s1, s2),
        threshold=WET,  # noise of mu goes beyond shares, of which an area would be the sum
        kind="continuous",
    )
    return DemoResult(
        files=files,
        pixels=_pixels_by_source(fused),
        rmse=_errors(s1, s2, fused, unmasked, truth),
        brier=brier_scores(s1, s2, fused, fused[MU].copy(data=(truth > WET).astype(np.float64))),
    )


def draw_panel(s1: xr.Dataset, s2: xr.Dataset, fused: xr.Dataset) -> Figure:
    """Draw both means, the fused mean and sigma, who contributed, and what was excluded.

    Parameters
    ----------
    s1, s2 : Dataset
        Retrievals in memory; pixels that are not usable are drawn empty.
    fused : Dataset
        Their fusion.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from xfusion.demo import draw_panel, fuse_scene, write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> s1, s2, masked, _ = (p.compute().dataset for p in fuse_scene(scene, str(scene.items)))
    >>> [axes.get_title() for axes in draw_panel(s1, s2, masked).axes][:3]
    ['sentinel-1: mu', 'sentinel-2: mu', 'fused: mu']
    """
    return plot(fused, sensors=[s1, s2])


def _write_panel(figure: Figure, path: Path) -> Path:
    with written_aside(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=100)
    return path


def _write_truth(share: xr.DataArray, path: Path) -> Path:
    """Write the reference with which a report of the maps has scores."""
    import rioxarray  # noqa: F401  # brings .rio

    plain = xr.DataArray(share.astype("float32").variable.data, share.coords, share.dims)
    plain.attrs["long_name"] = share.attrs["long_name"]
    with written_aside(path) as unfinished:
        plain.rio.to_raster(unfinished, driver="COG", compress="DEFLATE", predictor="YES")
    return path


def _pixels_by_source(fused: xr.Dataset) -> dict[str, int]:
    names = str(fused[SOURCE].attrs["flag_meanings"]).split()
    counts = np.bincount(fused[SOURCE].to_numpy().ravel(), minlength=1 << len(names))
    return {contributors(code, names): int(count) for code, count in enumerate(counts)}


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
