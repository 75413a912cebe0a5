"""Looks of coarser pixels, against speckle that is drawn, and against that of real scenes."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox
from scipy.signal import fftconvolve

import xfusion as xf
from tests import catalogues as c
from xfusion.models.measured import variance_of_speckle
from xfusion.scene_retrieval import side_of_pixel
from xfusion.water_map import Catalogs, map_water

SIDE, ALIKE, SPACING = 800, 15.5, 10.0
DAY = "2023-06-20"
LESS = 0.2207  # of a fifth look, so that all have the variance of 4.4


def speckle(seed: int = 0) -> NDArray[np.float32]:
    """Power of mean 0.1 and of 4.4 looks, whose neighbours are as alike as in a scene."""
    rng = np.random.default_rng(seed)
    reach = np.arange(-6, 7) * SPACING
    # of an amplitude, whose correlation is squared in that of power
    line = np.exp(-((reach / ALIKE) ** 2))
    kernel = np.outer(line, line) / np.sqrt((np.outer(line, line) ** 2).sum())
    power = np.zeros((SIDE, SIDE))
    for weight in (1.0, 1.0, 1.0, 1.0, LESS):
        real, imaginary = rng.standard_normal((2, SIDE + 12, SIDE + 12))
        field = fftconvolve(real + 1j * imaginary, kernel, mode="valid")
        power += weight * np.abs(field) ** 2 / 2
    return (0.1 * power / (4 + LESS)).astype(np.float32)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, GeoBox]:
    folder = tmp_path_factory.mktemp("speckle")
    grid = GeoBox((SIDE, SIDE), c.GRID.transform, c.GRID.crs)
    asset = {"href": c.write(folder / "vv.tif", speckle(), grid)}
    said = c.proj(grid)
    one = c.item("s1", f"{DAY}T05:00:00Z", grid, {"vv": asset}, said, collection="sentinel-1-rtc")
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [one]}))
    return str(folder / "items.json"), grid


def looks_of(power: Any) -> float:
    return float(power.mean() ** 2 / power.var())


@pytest.mark.parametrize("resolution", [10.0, 20.0, 25.0, 40.0])
def test_coarser_pixels_have_as_many_looks_and_as_much_noise_as_is_said(
    resolution: float, scene: tuple[str, GeoBox]
) -> None:
    url, grid = scene
    catalog = dataclasses.replace(xf.stac.PLANETARY_COMPUTER_RTC, url=url, signer=None)
    place = GeoBox.from_bbox(grid.boundingbox, grid.crs, resolution=resolution, tight=True)
    power = xf.stac.load(catalog, place, DAY, ["vv"])["vv"].isel(time=0).to_numpy()
    power = power[1:-1, 1:-1].astype(np.float64)
    said = xf.water.looks_at(resolution)
    assert looks_of(power) == pytest.approx(said, rel=0.05)
    # the mean of what is alike is a little less skew than a gamma variable
    assert 0.9 < (10 * np.log10(power)).var() / variance_of_speckle(said) < 1.02


def test_pixels_between_those_of_a_scene_have_no_fewer_looks_than_is_said(
    scene: tuple[str, GeoBox],
) -> None:
    url, _ = scene
    catalog = dataclasses.replace(xf.stac.PLANETARY_COMPUTER_RTC, url=url, signer=None)
    for resolution in (10.0, 20.0):
        moved = rasterio.Affine(resolution, 0, 600_025, 0, -resolution, 5_199_975)
        place = GeoBox((300, 300), moved, "EPSG:32633")
        power = xf.stac.load(catalog, place, DAY, ["vv"])["vv"].isel(time=0).to_numpy()
        assert looks_of(power) > 1.05 * xf.water.looks_at(resolution)


def test_a_map_has_the_noise_of_its_own_pixels(scene: tuple[str, GeoBox]) -> None:
    url, grid = scene
    catalogs = Catalogs(rtc=url, s1=url, s2=url)
    for resolution in (10.0, 40.0):
        place = GeoBox.from_bbox(grid.boundingbox, grid.crs, resolution=resolution)[:50, :50]
        with pytest.warns(UserWarning, match="No scene of Sentinel-2"):
            found = map_water(place, DAY, catalogs=catalogs).product.dataset
        catalog = dataclasses.replace(xf.stac.PLANETARY_COMPUTER_RTC, url=url, signer=None)
        bands = xf.stac.load(catalog, place, DAY, ["vv"]).isel(time=0)
        expected = xf.water.from_backscatter(bands["vv"], looks=xf.water.looks_at(resolution))
        for name in ("mu", "sigma"):
            np.testing.assert_array_equal(found[name], expected[name])


def test_looks_grow_with_pixels_as_their_area_in_the_end() -> None:
    said = [xf.water.looks_at(metres) for metres in np.linspace(1, 400, 200)]
    assert said[0] == xf.water.looks_at(10) == 4.4
    assert (np.diff(said) >= 0).all()
    assert xf.water.looks_at(8000) == pytest.approx(4 * xf.water.looks_at(4000), rel=0.01)
    # of as many pixels as there can be, as soon
    assert xf.water.looks_at(1e9) == pytest.approx(1e10 * xf.water.looks_at(1e4), rel=0.01)
    wrongs: list[Any] = [0, -10, np.nan, np.inf, [10, 20]]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="give the metres of a pixel"):
            xf.water.looks_at(wrong)


def test_the_side_of_a_pixel_is_that_of_the_ground_where_a_map_is_stretched() -> None:
    assert side_of_pixel(c.GRID) == 10.0
    box = BoundingBox(16.3, 59.9, 16.4, 60.0, "EPSG:4326")
    mercator = GeoBox.from_bbox(box.to_crs("EPSG:3857"), resolution=20)
    assert side_of_pixel(mercator) == pytest.approx(10, rel=0.02)
    degrees = GeoBox.from_bbox(box, resolution=2e-4)
    assert side_of_pixel(degrees) == pytest.approx(22.3 * 0.5**0.5, rel=0.02)


def even_ground(decibels: Any, side: int = 15) -> Any:
    """Windows of a scene whose thirds differ least, in shares of their mean."""
    power = 10 ** (decibels[:1].astype(np.float64) / 10)
    height, width = (n // side for n in power.shape[1:])
    cut = power[0, : height * side, : width * side].reshape(height, side, width, side)
    windows = cut.swapaxes(1, 2).reshape(-1, side, side)
    windows = windows[np.isfinite(windows).all(axis=(1, 2))]
    windows = windows / windows.mean(axis=(1, 2), keepdims=True)
    thirds = windows.reshape(-1, 3, side // 3, 3, side // 3).mean(axis=(2, 4)).std(axis=(1, 2))
    return windows[thirds < np.quantile(thirds, 0.1)] - 1


@pytest.mark.parametrize(
    "name",
    [
        "terramind/282D_485L_3_3_S1RTC.tif",
        "terramind/433D_629L_3_1_S1RTC.tif",
        "sen1floods11/Spain_7370579_S1Hand.tif",
    ],
)
def test_neighbours_in_real_scenes_are_as_alike_as_is_said(name: str, shared_data: Path) -> None:
    with rasterio.open(shared_data / name) as file:
        windows = even_ground(file.read())
    power = (windows**2).mean()
    for lag, tolerance in ((1, 0.08), (2, 0.17)):
        down = (windows[:, :-lag] * windows[:, lag:]).mean() / power
        along = (windows[:, :, :-lag] * windows[:, :, lag:]).mean() / power
        expected = np.exp(-((lag * SPACING / ALIKE) ** 2))
        assert abs(down - expected) < tolerance
        assert abs(along - expected) < tolerance
    pairs = windows[:, :14, :14].reshape(-1, 7, 2, 7, 2).mean(axis=(2, 4))
    more = power / (pairs**2).mean()
    assert more == pytest.approx(xf.water.looks_at(20) / 4.4, rel=0.12)
