"""What the numbers of each sensor are is shown, and warned of where they cannot be one quantity."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from click.testing import CliRunner, Result

import xfusion as xf
from tests.laziness import nothing_computes
from tests.test_raster import write
from xfusion.cli import main
from xfusion.raster.sample import range_of


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def pair(folder: Path, name: str, mu: Any, sigma: Any, **profile: Any) -> list[Path]:
    return [
        write(folder / f"{name}_{which}.tif", np.asarray(array), **profile)
        for which, array in (("mu", mu), ("sigma", sigma))
    ]


def test_minimum_mean_and_maximum_of_each_sensor_are_told(tmp_path: Path) -> None:
    ramp = np.linspace(0.0, 1.0, 20, dtype=np.float32).reshape(4, 5)
    a = pair(tmp_path, "a", ramp, ramp * 0 + np.float32(0.1))
    b = pair(tmp_path, "b", ramp * 0 + np.float32(0.5), ramp * 0 + np.float32(0.1))
    out = tmp_path / "out"
    result = call("fuse", "--sensor", "a", *a, "--sensor", "b", *b, "--out", out)
    assert result.exit_code == 0, result.output
    assert "mu of a: 0 to 1, mean 0.5" in result.output
    assert "mu of b: 0.5 to 0.5, mean 0.5" in result.output
    assert "are both of one quantity" not in result.output
    assert "fusion_range_a" in call("info", out).output
    assert "0 to 1, mean 0.5" in call("info", out).output


def test_percent_beside_shares_is_warned_of(tmp_path: Path) -> None:
    ones = np.ones((4, 5), np.float32)
    a = pair(tmp_path, "a", ones * np.float32(0.6), ones * np.float32(0.1))
    b = pair(tmp_path, "b", ones.astype(np.int16) * 80, ones.astype(np.int16) * 10)
    both = ["fuse", "--sensor", "a", *a, "--sensor", "b", *b, "--restart"]
    refused = call(*both, "--out", tmp_path / "o")
    assert refused.exit_code == 1
    assert "declares no scale" in refused.output
    assert "what means none, such as --nodata -9999" in refused.output
    warned = call(*both, "--scale", "b=1", "--out", tmp_path / "o")
    assert warned.exit_code == 0
    assert "Warning: mu of 'b' is 80 to 80" in warned.output
    right = call(*both, "--scale", "b=0.01", "--out", tmp_path / "o")
    assert right.exit_code == 0
    assert "are both of one quantity" not in right.output
    with rasterio.open(tmp_path / "o" / "mu.tif") as file:
        np.testing.assert_allclose(file.read(1), 0.7, rtol=1e-6)
    unknown = call(*both, "--scale", "c=1", "--out", tmp_path / "o")
    assert unknown.exit_code == 2
    assert "'c' is no sensor of ['a', 'b']" in unknown.output


def test_percent_whose_largest_is_not_quite_a_hundred_are_warned_of(tmp_path: Path) -> None:
    shares = np.linspace(0.0, 0.9995, 20, dtype=np.float32).reshape(4, 5)
    a = pair(tmp_path, "a", shares, shares)
    b = pair(tmp_path, "b", shares * np.float32(97), shares * np.float32(97))
    warned = call("fuse", "--sensor", "a", *a, "--sensor", "b", *b, "--out", tmp_path / "o")
    assert "Warning: mu of 'b' is 0 to 96.95, mean" in warned.output
    dry = pair(tmp_path, "dry", shares / 20, shares)
    both = ("--sensor", "a", *a, "--sensor", "dry", *dry, "--out", tmp_path / "p")
    assert "are both of one quantity" not in call("fuse", *both).output


def test_nodata_of_the_command_is_no_value(tmp_path: Path) -> None:
    mu = np.array([[0.6, -9999]], np.float32)
    a = pair(tmp_path, "a", mu, mu)
    b = pair(tmp_path, "b", mu * 0 + np.float32(0.5), mu * 0 + np.float32(0.6))
    both = ["fuse", "--sensor", "a", *a, "--sensor", "b", *b, "--out", tmp_path / "o"]
    assert call(*both, "--nodata", "-9999").exit_code == 0
    with rasterio.open(tmp_path / "o" / "mu.tif") as file:
        np.testing.assert_allclose(file.read(1), [[0.55, 0.5]], rtol=1e-6)


def test_a_sigma_below_0_is_told_as_no_data_that_nobody_has_said(tmp_path: Path) -> None:
    ones = np.ones((4, 5), np.int16)
    edge = np.arange(20).reshape(4, 5) < 5
    a = pair(tmp_path, "a", np.where(edge, -9999, 6000 * ones), np.where(edge, -9999, 1000 * ones))
    b = pair(tmp_path, "b", ones * np.float32(0.5), ones * np.float32(0.1))
    both = ["fuse", "--sensor", "a", *a, "--scale", "a=0.0001", "--sensor", "b", *b, "--restart"]
    warned = call(*both, "--out", tmp_path / "o")
    assert warned.exit_code == 0
    assert "Warning: sigma of 'a' is -0.9999 in places" in warned.output
    assert "say --nodata, as it is in the file" in warned.output
    right = call(*both, "--nodata", "a=-9999", "--out", tmp_path / "o")
    assert right.exit_code == 0
    assert "in places" not in right.output


def test_a_sensor_that_contributes_nothing_is_listed(tmp_path: Path) -> None:
    ones = np.ones((4, 5), np.float32)
    a = pair(tmp_path, "a", ones, ones)
    transform = rasterio.transform.from_origin(800000, 5000000, 10, 10)
    b = pair(tmp_path, "b", ones, ones, transform=transform)
    out = tmp_path / "o"
    result = call("fuse", "--sensor", "a", *a, "--sensor", "b", *b, "--out", out)
    assert result.exit_code == 0
    assert "do not overlap" in result.output
    told = call("info", out).output
    lines = [line.split(maxsplit=1) for line in told.splitlines()]
    assert lines.index(["a", "100.0 %"]) < lines.index(["b", "0.0 %"])


def test_a_sample_reads_windows_and_not_blocks(tmp_path: Path) -> None:
    values = np.arange(1000.0 * 900).reshape(1000, 900)
    path = write(tmp_path / "mu.tif", values, tiled=True, blockxsize=128, blockysize=128)
    opened = xf.raster.open_raster(path)
    with nothing_computes():  # of dask: windows are read from the file
        found = range_of(opened)
    assert (found.least, found.most) == (0.0, values[-1, -1])
    np.testing.assert_allclose(found.mean, values.mean(), rtol=0.02)
    assert range_of(xr.DataArray(values, dims=("y", "x"))) == found
    empty = range_of(xr.DataArray(np.full((3, 3), np.nan), dims=("y", "x")))
    assert str(empty) == "no value in the sample"


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (129, 127)])
def test_small_layers_are_seen_whole(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random(shape)
    found = range_of(xr.DataArray(values, dims=("y", "x")))
    assert (found.least, found.most) == (values.min(), values.max())
