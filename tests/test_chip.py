"""The real flood chip: fusion is better than either sensor, and better still when calibrated."""

from pathlib import Path

import numpy as np
import pytest
import rioxarray
import xarray as xr
from scipy.special import expit

import xfusion as xf

TILE = 64  # pixels on a side: one is fitted to, the next is tried on


@pytest.fixture(scope="module")
def chip(shared_data: Path) -> tuple[xr.Dataset, xr.Dataset, xr.DataArray]:
    """Water by Sentinel-1 and by Sentinel-2, and as it was drawn by hand."""

    def band(kind: str, number: int = 1) -> xr.DataArray:
        path = shared_data / "sen1floods11" / f"Spain_7370579_{kind}Hand.tif"
        opened = rioxarray.open_rasterio(path)
        assert isinstance(opened, xr.DataArray)
        return opened.sel(band=number, drop=True).astype(float)

    label = band("Label")
    mu1: xr.DataArray = xr.apply_ufunc(expit, -(band("S1") + 15.5) / 1.5)
    green, swir = band("S2", 3), band("S2", 12)
    mndwi = (green - swir) / (green + swir)
    mu2: xr.DataArray = xr.apply_ufunc(expit, (mndwi - 0.1) / 0.1)
    s1 = xf.retrieval(mu1, 0.05 + 0.45 * np.sqrt(mu1 * (1 - mu1)), sensor="sentinel-1")
    s2 = xf.retrieval(mu2, 0.05 + 0.35 * np.sqrt(mu2 * (1 - mu2)), sensor="sentinel-2")
    # the labels of its pixels are 1e-9 off those of the sensors
    return s1, s2, s1.mu.copy(data=label.where(label >= 0))


def iou(mu: xr.DataArray, truth: xr.DataArray) -> float:
    water, is_water, known = mu > 0.5, truth == 1, np.isfinite(truth)
    return float((water & is_water & known).sum() / ((water | is_water) & known).sum())


def log_loss(mu: xr.DataArray, truth: xr.DataArray) -> float:
    return float(-np.log(xr.where(truth == 1, mu, 1 - mu)).where(np.isfinite(truth)).mean())


def test_fused_water_beats_both_sensors_on_a_real_flood(
    chip: tuple[xr.Dataset, xr.Dataset, xr.DataArray],
) -> None:
    s1, s2, truth = chip
    fused = s1.fusion.gaussian(s2)
    found = [iou(each.mu, truth) for each in (s1, s2, fused)]
    np.testing.assert_allclose(found, [0.550, 0.696, 0.702], atol=0.002)
    assert found[2] > max(found[:2])
    assert fused.rio.crs.to_epsg() == 4326


def test_calibrated_on_half_of_the_tiles_fusion_is_better_on_the_others(
    chip: tuple[xr.Dataset, xr.Dataset, xr.DataArray],
) -> None:
    s1, s2, truth = chip
    rows, columns = np.indices(truth.shape) // TILE
    is_black = truth.copy(data=(rows + columns) % 2 == 1)
    tile = truth.copy(data=rows * 100 + columns)
    water = xr.full_like(truth, np.nan)
    for tried in (is_black, ~is_black):
        seen = truth.where(~tried)
        models = [xf.calibrate(s, seen, groups=tile) for s in (s1, s2)]
        pair = [
            s.fusion.apply_calibration(m, sigma="rms")
            for s, m in zip((s1, s2), models, strict=True)
        ]
        residuals = [(s.mu - seen).to_numpy()[np.isfinite(seen)] for s in pair]
        correlation = np.corrcoef(residuals)[0, 1]
        fused = pair[0].fusion.gaussian(pair[1], correlation=correlation)
        water = xr.where(tried, fused.mu, water)
    assert iou(water, truth) >= 0.705
    assert log_loss(water, truth) <= 0.200
    raw = s1.fusion.gaussian(s2).mu
    assert iou(water, truth) > iou(raw, truth)
    assert log_loss(water, truth) < log_loss(raw, truth)
