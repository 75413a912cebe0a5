"""Opening rasters: nodata, CRS and grids are honoured or refused, never guessed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

import xfusion as xf
from tests.laziness import nothing_computes

TRANSFORM = rasterio.transform.from_origin(500000, 5000000, 10, 10)


def write(path: Path, array: NDArray[Any], **profile: Any) -> Path:
    bands = array if array.ndim == 3 else array[None]
    options = {"crs": "EPSG:32633", "transform": TRANSFORM, "driver": "GTiff"} | profile
    with rasterio.open(
        path,
        "w",
        count=bands.shape[0],
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype,
        **options,
    ) as file:
        file.write(bands)
    return path


def test_nodata_becomes_nan_and_nothing_is_read_at_opening(tmp_path: Path) -> None:
    values = np.array([[0.25, -9999.0], [np.nan, 1.0]], np.float32)
    mu = write(tmp_path / "mu.tif", values, nodata=-9999)
    sigma = write(tmp_path / "sigma.tif", np.full((2, 2), 0.1, np.float32))
    with nothing_computes():
        s1 = xf.Sentinel1Product.open(mu, sigma, time="2023-06-20")
    np.testing.assert_array_equal(s1.mu, [[0.25, np.nan], [np.nan, 1.0]])
    assert s1.mu.dtype == np.float32
    assert s1.mu.chunks is not None
    assert s1.dataset.attrs["sensor"] == "sentinel-1"
    assert s1.geobox.crs.epsg == 32633  # type: ignore[union-attr]  # it has one
    assert xf.Sentinel1Product.open(mu, sigma, chunks=None).mu.chunks is None


def test_declared_scale_is_applied(tmp_path: Path) -> None:
    mu = write(tmp_path / "mu.tif", np.array([[10, 255]], np.uint8), nodata=255)
    with rasterio.open(mu, "r+") as file:
        file.scales = (0.01,)
    np.testing.assert_allclose(xf.raster.open_raster(mu), [[0.1, np.nan]], rtol=1e-6)


def test_nodata_of_a_mask_is_unknown(tmp_path: Path) -> None:
    one = write(tmp_path / "one.tif", np.ones((1, 3), np.float32))
    flags = np.array([[0, 4, 255]], np.uint8)
    declared = write(tmp_path / "declared.tif", flags, nodata=255)
    assert xf.SensorProduct.open(one, one, declared).dataset["mask"].values.tolist() == [[0, 4, 32]]
    bare = write(tmp_path / "bare.tif", flags)
    assert xf.SensorProduct.open(one, one, bare).dataset["mask"].values.tolist() == [[0, 4, 255]]


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    ones = np.ones((2, 2), np.float32)
    mu = write(tmp_path / "mu.tif", ones)
    shifted = write(
        tmp_path / "shifted.tif",
        ones,
        transform=rasterio.transform.from_origin(500010, 5000000, 10, 10),
    )
    with pytest.raises(ValueError, match=r"sigma and mu are not on one grid: x\[0\]"):
        xf.Sentinel1Product.open(mu, shifted)
    with pytest.raises(ValueError, match="other.tif.*2 bands"):
        xf.Sentinel1Product.open(mu, write(tmp_path / "other.tif", np.ones((2, 2, 2), np.float32)))
    with pytest.raises(ValueError, match="bare.tif: no CRS"):
        xf.Sentinel1Product.open(mu, write(tmp_path / "bare.tif", ones, crs=None))
    with pytest.raises(ValueError, match="mask is int16"):
        xf.Sentinel1Product.open(mu, mu, write(tmp_path / "m.tif", ones.astype(np.int16)))
