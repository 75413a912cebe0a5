"""The real flood chip: fusion is better than either sensor."""

from pathlib import Path

import numpy as np
import rioxarray
import xarray as xr
from scipy.special import expit

import xfusion as xf


def test_fused_water_beats_both_sensors_on_a_real_flood(shared_data: Path) -> None:
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
    fused = s1.fusion.gaussian(s2)

    def iou(mu: xr.DataArray) -> float:
        water, truth, known = mu.values > 0.5, label.values == 1, label.values >= 0
        return float((water & truth & known).sum() / ((water | truth) & known).sum())

    np.testing.assert_allclose(
        [iou(mu1), iou(mu2), iou(fused.mu)], [0.550, 0.696, 0.702], atol=0.002
    )
    assert iou(fused.mu) > max(iou(mu1), iou(mu2))
    assert fused.rio.crs.to_epsg() == 4326
