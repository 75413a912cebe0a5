"""Results in netCDF: what the CF conventions ask for, by the checker that data centres use."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from compliance_checker.suite import CheckSuite
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf

UTM = GeoBox.from_bbox((500000, 5000000, 500400, 5000300), "EPSG:32633", resolution=10)
GEOGRAPHIC = GeoBox.from_bbox((16, 48, 16.004, 48.003), "EPSG:4326", resolution=1e-4)
TELLS_ONLY = "found in same group"  # a remark on names, made of every file
OF_THE_CHECKER = {"check_coordinate_variables_strict_monotonicity"}  # subtracts names of sensors


def one(sensor: str = "s1", grid: GeoBox = UTM, time: str = "2023-06-20T05:00") -> xr.Dataset:
    rng = np.random.default_rng(len(sensor) + grid.shape[0])
    mu = xr_zeros(grid, dtype="float32")
    mu = mu.copy(data=rng.random(mu.shape, np.float32)).where(rng.random(mu.shape) > 0.1)
    return xf.retrieval(mu, mu * 0 + 0.1, mu > 0.9, sensor=sensor, time=time)


def cube() -> xr.Dataset:
    return xf.stack([one("a"), one("b", time="2023-06-21T05:00")])


def temperatures(sensor: str) -> xr.Dataset:
    return xf.retrieval(cube().mu.assign_attrs(units="K") + len(sensor), 1.0, sensor=sensor)


def faults(dataset: xr.Dataset, path: Path) -> list[str]:
    dataset.to_netcdf(path)
    CheckSuite.load_all_available_checkers()
    suite = CheckSuite()
    with suite.load_dataset(str(path)) as file:
        results, errors = suite.run_all(file, ["cf:1.11"])["cf:1.11"]
    assert {*errors} <= OF_THE_CHECKER
    said = [message for result in results for message in result.msgs or []]
    return [message for message in said if TELLS_ONLY not in message]


@pytest.mark.parametrize(
    "made",
    [
        one,
        cube,
        lambda: xf.gaussian(one("a"), one("bc"), diagnostics=True),
        lambda: xf.gaussian(one("a", GEOGRAPHIC), one("bc", GEOGRAPHIC, "2023-06-22")),
        lambda: cube().fusion.gaussian(dim="time", diagnostics=True),
        lambda: cube().fusion.smooth(q=0.01),
        lambda: xf.gaussian(*(one("s" * n) for n in range(1, 9))),
        lambda: xf.retrieval(np.ones((3, 4)), np.ones((3, 4))),
        lambda: one().fusion.area(threshold=0.5),
        lambda: xf.assess(one(), one("truth").mu),
        lambda: xf.assess(one(), (one("truth").mu > 0.5) * 1.0),
        lambda: xf.collocation(*(temperatures(n) for n in ("a", "bc", "def")), dim="time"),
    ],
    ids=[
        *("retrieval", "cube", "fused", "degrees", "along time", "state", "eight", "bare"),
        *("area", "scores", "binary scores", "collocation"),
    ],
)
def test_the_checker_of_cf_finds_no_fault_in_a_netcdf_of_a_result(
    made: Callable[[], xr.Dataset], tmp_path: Path
) -> None:
    assert faults(made(), tmp_path / "result.nc") == []


def test_a_title_and_a_history_say_what_an_area_is_of() -> None:
    fused = xf.gaussian(one("a"), one("bc")).assign_attrs(history="by hand: cut")
    found = fused.fusion.area(threshold=0.5)
    assert found.title == "area by a+bc"
    assert found.history.splitlines() == [
        "by hand: cut",
        f"xfusion {xf.__version__}: fused by the rule gaussian; area",
    ]


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:2263"], ids=["metres", "US survey feet"])
def test_files_on_a_projection_have_axes_with_its_unit(crs: str, tmp_path: Path) -> None:
    pixels = np.full((30, 40), 0.5, np.float32)
    place = rasterio.Affine(10, 0, 500_000, 0, -10, 200_000)
    for name in ("mu", "sigma"):
        with rasterio.open(
            tmp_path / f"{name}.tif",
            "w",
            driver="GTiff",
            height=30,
            width=40,
            count=1,
            dtype="float32",
            crs=crs,
            transform=place,
        ) as file:
            file.write(pixels, 1)  # fmt: skip
    opened = xf.SensorProduct.open(
        tmp_path / "mu.tif", tmp_path / "sigma.tif", sensor="s", time="2023-06-20"
    )
    fused = opened.gaussian(opened).dataset
    assert faults(fused, tmp_path / "result.nc") == []
    xf.to_zarr(fused, tmp_path / "w.zarr", progress=False)
    for name in ("x", "y"):
        said = json.loads((tmp_path / "w.zarr" / name / "zarr.json").read_text())["attributes"]
        assert "_FillValue" not in said
        assert said["units"] == ("metre" if crs == "EPSG:32633" else "US_survey_foot")


def test_the_checker_of_these_tests_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = one()
    wrong.x.encoding.clear()
    wrong.mu.attrs["units"] = "furlongs per banana"
    found = " ".join(faults(wrong, tmp_path / "wrong.nc"))
    assert "'x' must not have the _FillValue" in found
    assert "banana" in found


def test_a_netcdf_of_a_result_is_the_result_to_the_pixel(tmp_path: Path) -> None:
    fused = xf.gaussian(one("a"), one("bc"), diagnostics=True)
    fused.to_netcdf(tmp_path / "result.nc")
    with xr.open_dataset(tmp_path / "result.nc", decode_coords="all") as back:
        assert "_FillValue" not in back.x.encoding
        xr.testing.assert_equal(back, fused)
        assert back.attrs.keys() == fused.attrs.keys()


def test_what_is_lazy_says_the_same_of_itself_as_what_is_computed() -> None:
    a, b = one("a"), one("bc")
    said = xf.gaussian(a, b).attrs
    assert said == xf.gaussian(a.chunk(7), b.chunk(7)).attrs
    assert said["title"].startswith("best estimate by a+bc")
    assert said["history"] == f"xfusion {xf.__version__}: fused by the rule gaussian"


def test_a_title_and_a_history_of_the_users_are_kept() -> None:
    a, b = one("a"), one("bc")
    a.attrs |= {"title": "my lake", "history": "2023-06-20 read\nsmoothed"}
    b.attrs["history"] = "smoothed"
    again = a.fusion.exclude(a.mu > 0.5)
    assert again.attrs["title"] == "my lake"
    lines = again.attrs["history"].splitlines()
    assert lines[:2] == ["2023-06-20 read", "smoothed"]
    assert len(lines) == 3
    fused = xf.gaussian(again, b).attrs["history"].splitlines()
    assert fused[:2] == ["2023-06-20 read", "smoothed"]
    assert fused[2:] == [f"xfusion {xf.__version__}: fused by the rule gaussian"]


def test_a_title_that_nobody_gave_follows_the_name_of_the_sensor() -> None:
    renamed = one("a").assign_attrs(sensor="radar")
    title: Any = renamed.fusion.exclude(renamed.mu > 2).attrs["title"]
    assert "radar" in title
