"""Scores of a map as large as a Sentinel-2 tile, against reading it and other libraries."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from benchmarks.tables import Table, timed
from benchmarks.timing import best_of
from xfusion.kernels.parallel import core_count

SIDE = 10_980
BLOCK = 2048
GRIDS = {
    "UTM": GeoBox((SIDE, SIDE), Affine(10, 0, 5e5, 0, -10, 5.3e6), "EPSG:32633"),
    "degrees": GeoBox((SIDE, SIDE), Affine(1e-4, 0, 16, 0, -1e-4, 48), "EPSG:4326"),
}


def water(grid: GeoBox) -> tuple[xr.Dataset, xr.DataArray]:
    """A map of water probabilities, most of them sure, a fifth of it excluded, and the truth."""
    rng = np.random.default_rng(0)
    place = {"coords": xr_coords(grid, "spatial_ref"), "dims": grid.dimensions}
    shape = grid.shape.yx
    logit = rng.standard_normal(shape, np.float32) * np.float32(4) - np.float32(2)
    mu = 1 / (1 + np.exp(-logit))
    truth = rng.random(shape, np.float32) < mu
    sigma = np.float32(0.05) + np.float32(0.4) * np.sqrt(mu * (1 - mu))
    flags = (rng.random(shape, np.float32) < 0.2).astype(np.uint8)
    arrays = (xr.DataArray(a, **place) for a in (mu, sigma, flags))
    return xf.retrieval(*arrays), xr.DataArray(truth.astype(np.uint8), **place)


def read(retrieval: xr.Dataset, reference: xr.DataArray) -> list[float]:
    """Sum each array once, in as many threads."""
    arrays = [a.to_numpy().reshape(-1) for a in (*retrieval.data_vars.values(), reference)]
    length = 1 << 20

    def on_range(start: int) -> list[float]:
        return [float(a[start : start + length].sum()) for a in arrays]

    with ThreadPoolExecutor(core_count()) as pool:
        sums = list(pool.map(on_range, range(0, reference.size, length)))
    return [sum(each) for each in zip(*sums, strict=True)]


def with_scikit_learn(retrieval: xr.Dataset, reference: xr.DataArray) -> dict[str, float]:
    """Five of the scores, of all pixels alone and without weights."""
    from sklearn import metrics

    mu, truth = retrieval.mu.to_numpy().ravel(), reference.to_numpy().ravel()
    return {
        "iou": metrics.jaccard_score(truth, mu > 0.5),
        "brier": metrics.brier_score_loss(truth, mu),
        "log_loss": metrics.log_loss(truth, mu),
        "roc_auc": metrics.roc_auc_score(truth, mu),
        "average_precision": metrics.average_precision_score(truth, mu),
    }


def with_xskillscore(retrieval: xr.Dataset, reference: xr.DataArray) -> xr.DataArray:
    """The Brier score alone, of all pixels."""
    import xskillscore as xs

    score: xr.DataArray = xs.brier_score(reference, retrieval.mu, dim=list(reference.dims))
    return score.compute()


def deep_copy(block: xr.Dataset) -> xr.Dataset:
    return block.copy(deep=True)


def main() -> list[Table]:
    retrieval, reference = water(GRIDS["UTM"])
    of_degrees = water(GRIDS["degrees"])
    blocks = dict.fromkeys(reference.dims, BLOCK)
    # blocks of their own, as those that are read from files
    chunked = [o.chunk(blocks).map_blocks(deep_copy).persist() for o in (retrieval, reference)]
    zones = xr.zeros_like(reference, np.uint8)
    zones[:, SIDE // 2 :] = 1
    times = best_of(
        {
            "reading the arrays once": lambda: read(retrieval, reference),
            "xfusion, equal weights": lambda: xf.assess(retrieval, reference, weights=None),
            "xfusion, by area, UTM": lambda: xf.assess(retrieval, reference),
            "xfusion, by area, degrees": lambda: xf.assess(*of_degrees),
            "xfusion, by area, dask": lambda: xf.assess(*chunked).compute(),
            "xfusion, by area and zone": lambda: xf.assess(retrieval, reference, by=zones),
            "xfusion, by area, 200 draws": lambda: xf.assess(retrieval, reference, bootstrap=200),
        },
        rounds=7,
    )
    pixels = SIDE**2
    title = f"Scores of a masked float32 map of {SIDE} x {SIDE} pixels, in memory"
    against = "reading the arrays once"
    scores = timed("assess", title, times, against=against, pixels=pixels)
    corner = dict.fromkeys(reference.dims, slice(SIDE // 4))
    part = retrieval.isel(corner), reference.isel(corner)
    others = best_of(
        {
            "reading the arrays once": lambda: read(*part),
            "xfusion, all scores": lambda: xf.assess(*part),
            "xskillscore, Brier score": lambda: with_xskillscore(*part),
            "scikit-learn, five scores": lambda: with_scikit_learn(*part),
        },
        rounds=3,
    )
    title = f"The same of {SIDE // 4} x {SIDE // 4} pixels"
    pixels = (SIDE // 4) ** 2
    beside = timed("assess, others", title, others, against=against, pixels=pixels)
    ours, theirs = xf.assess(*part, weights=None), with_scikit_learn(*part)
    for name, value in theirs.items():
        difference = float(ours[name].sel(pixels="all")) - value
        print(f"  {name:<18} {value:.6f}, xfusion {difference:+.1e}")
        assert abs(difference) < 1e-3
    return [scores, beside]
