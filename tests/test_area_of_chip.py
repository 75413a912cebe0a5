"""The real flood chip: areas of blocks are as far from the truth as they say."""

from pathlib import Path

import numpy as np
import pytest
import rioxarray
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

import xfusion as xf

FOLD = 64  # pixels of a square of the checkerboard


def band(folder: Path, kind: str, number: int = 1) -> xr.DataArray:
    opened = rioxarray.open_rasterio(folder / "sen1floods11" / f"Spain_7370579_{kind}Hand.tif")
    assert isinstance(opened, xr.DataArray)
    return opened.sel(band=number, drop=True).astype(float)


@pytest.fixture(scope="module")
def truth(shared_data: Path) -> xr.DataArray:
    label = band(shared_data, "Label")
    return label.where(label >= 0)


@pytest.fixture(scope="module")
def calibrated(shared_data: Path, truth: xr.DataArray) -> dict[str, xr.Dataset]:
    """Probabilities of each sensor, calibrated on the other half of a checkerboard."""
    green, swir = band(shared_data, "S2", 3), band(shared_data, "S2", 12)
    raw = {
        "S1": expit(-(band(shared_data, "S1").to_numpy() + 15.5) / 1.5),
        "S2": expit((((green - swir) / (green + swir)).to_numpy() - 0.1) / 0.1),
    }
    row, column = np.indices(truth.shape) // FOLD
    fold, y = (row + column) % 2, truth.to_numpy()
    known = np.isfinite(y)
    retrievals = {}
    for sensor, mu in raw.items():
        p: NDArray[np.float64] = np.empty(mu.shape)
        for k in (0, 1):
            fitted = IsotonicRegression(out_of_bounds="clip").fit(
                mu[known & (fold != k)], y[known & (fold != k)]
            )
            p[fold == k] = fitted.predict(mu[fold == k])
        probability = truth.copy(data=np.where(known, p, np.nan))
        retrievals[sensor] = xf.retrieval(probability, (probability * (1 - probability)) ** 0.5)
    return retrievals


@pytest.mark.parametrize("sensor", ["S1", "S2"])
@pytest.mark.parametrize("side", [32, 64, 128])
def test_blocks_are_as_far_off_as_area_sigma_says(
    calibrated: dict[str, xr.Dataset], truth: xr.DataArray, sensor: str, side: int
) -> None:
    water = calibrated[sensor]
    measured = xf.error_correlation(water, truth)
    row, column = np.indices(truth.shape) // side
    zones = truth.copy(data=row * 100 + column).astype(int)
    found = water.fusion.area(zones=zones, correlation=measured)
    true = xf.retrieval(truth, 0.0).fusion.area(zones=zones)
    spread = np.sqrt(((found.area - true.area) ** 2).mean())
    stated = np.sqrt((found.area_sigma**2).mean())
    alone = np.sqrt((water.fusion.area(zones=zones).area_sigma ** 2).mean())
    assert float(stated / spread) == pytest.approx(1.0, abs=0.15)
    assert float(spread / alone) > 8  # independence is that many times too sure


def test_the_errors_of_the_two_sensors_are_alike(
    calibrated: dict[str, xr.Dataset], truth: xr.DataArray
) -> None:
    found = xf.estimate_correlation(*calibrated.values(), reference=truth)
    assert float(found[0, 1]) == pytest.approx(0.68, abs=0.02)
