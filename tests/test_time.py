"""Cubes along time: which times a result has, and what is said of groups of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf

UTM = GeoBox.from_bbox((600_000, 5_300_000, 600_080, 5_300_060), "EPSG:32633", resolution=20)
START, END = "time_coverage_start", "time_coverage_end"


def days(*texts: str) -> np.ndarray:
    return np.array([*texts], "datetime64[ns]")


MONTHS = np.arange("2023-01", "2024-01", dtype="datetime64[M]").astype("datetime64[ns]")


def cube(times: np.ndarray = MONTHS, *, seed: int = 0, sensor: str | None = "s1") -> xr.Dataset:
    """Return a retrieval along time, on a grid with a CRS."""
    rng = np.random.default_rng(seed)
    shape = (len(times), *UTM.shape)
    coords = xr_coords(UTM) | {"time": times}
    mu = xr.DataArray(rng.random(shape), dims=("time", "y", "x"), coords=coords)
    return xf.retrieval(mu, rng.uniform(0.1, 0.4, shape), rng.random(shape) < 0.2, sensor=sensor)


def weighted(series: xr.Dataset, months: slice | list[int]) -> np.ndarray:
    """Return the Gaussian estimate along time, by hand."""
    part = series.isel(time=months)
    weight = np.where(part["mask"] == 0, part.sigma.to_numpy() ** -2.0, 0.0)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = (weight * part.mu.to_numpy()).sum(0) / weight.sum(0)
    return mean


def test_two_cubes_keep_their_months_fused_and_reopened(tmp_path: Path) -> None:
    fused = xf.gaussian(cube(), cube(seed=1, sensor="s2"))
    np.testing.assert_array_equal(fused.time, MONTHS)
    assert START not in {*fused.attrs, *fused.coords}
    fused.to_netcdf(tmp_path / "fused.nc")
    with xr.open_dataset(tmp_path / "fused.nc", decode_coords="all") as back:
        np.testing.assert_array_equal(back.time, MONTHS)
        assert back.sel(time="2023-07").sizes["time"] == 1
    xr.testing.assert_identical(xf.gaussian(cube().chunk(time=5), cube(seed=1, sensor="s2")), fused)


def test_times_beside_another_dim_stay_if_they_are_the_same_and_go_if_not() -> None:
    a = cube().swap_dims(time="orbit").assign_coords(orbit=np.arange(12))
    np.testing.assert_array_equal(xf.gaussian(a, a).time, MONTHS)
    later = a.assign_coords(time=a.time + np.timedelta64(1, "h"))
    assert "time" not in xf.gaussian(a, later).coords
    assert "time" not in xf.gaussian(a, a.drop_vars("time")).coords


@pytest.mark.parametrize("count", [1, 3, 12])
def test_a_cube_fused_along_time_has_no_time_of_the_first_but_the_span(
    count: int, tmp_path: Path
) -> None:
    series = cube(MONTHS[:count])
    # what lies along time beside it brought the time of the first along
    series = series.assign_coords(orbit=("time", np.arange(count)))
    for lazy in (series, series.chunk(time=2, y=2)):
        fused = xf.gaussian(lazy, dim="time")
        assert not {"time", "orbit"} & {*fused.coords}
        assert all("time" not in array.coords for array in fused.data_vars.values())
        assert fused.attrs[START] == "2023-01-01T00:00:00Z"
        assert fused.attrs[END] == f"2023-{count:02}-01T00:00:00Z"
        assert fused.attrs["sensor"] == "s1"
    np.testing.assert_allclose(fused.mu, weighted(series, slice(None)))
    item = fused.fusion.to_cog(tmp_path, progress=False)["item"]
    said = json.loads(item.read_text())["properties"]
    if count > 1:
        assert said["datetime"] is None
        assert said["start_datetime"] == "2023-01-01T00:00:00Z"
        assert said["end_datetime"] == f"2023-{count:02}-01T00:00:00Z"
    else:
        assert said["datetime"] == "2023-01-01T00:00:00Z"


def test_a_cube_fused_along_scenes_has_not_the_time_of_the_first() -> None:
    scenes = cube().swap_dims(time="scene")
    fused = xf.gaussian(scenes, dim="scene")
    assert "time" not in fused.coords
    assert (fused.attrs[START][:10], fused.attrs[END][:10]) == ("2023-01-01", "2023-12-01")
    # of sensors at the same times, the times stay
    sensors = xr.concat(
        [cube(), cube(seed=1)], xr.Variable("of", ["radar", "optics"]), combine_attrs="override"
    )
    fused = xf.gaussian(sensors, dim="of")
    np.testing.assert_array_equal(fused.time, MONTHS)
    assert fused.attrs["sensor"] == "radar+optics"


QUARTERS = {"groupby": "quarter", "resample": "time"}


@pytest.mark.parametrize("how", QUARTERS)
def test_groups_have_each_its_span_and_not_that_of_the_first(how: str, tmp_path: Path) -> None:
    # quarters of 3, 3, 3 and 12 labels: below and above eight
    times = np.concatenate([MONTHS[:9], days(*(f"2023-11-{day:02}" for day in range(1, 13)))])
    series = cube(times)
    groups = series.groupby("time.quarter") if how == "groupby" else series.resample(time="QS")
    fused = groups.map(lambda each: xf.gaussian(each, dim="time"))
    dim = QUARTERS[how]
    assert fused.sizes[dim] == 4
    assert not {START, END} & {*fused.attrs}
    np.testing.assert_array_equal(fused[START], times[[0, 3, 6, 9]])
    np.testing.assert_array_equal(fused[END], times[[2, 5, 8, 20]])
    assert fused.attrs["sensor"] == "s1"
    members = [slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 21)]
    for i, member in enumerate(members):
        np.testing.assert_allclose(fused.mu.isel({dim: i}), weighted(series, member))
        count = (series["mask"].isel(time=member) == 0).sum("time")
        np.testing.assert_array_equal(fused["count"].isel({dim: i}), count)
    assert fused["count"].dtype == np.uint16
    assert "source" not in fused
    # the STAC item of a group is of its time
    last = fused.isel({dim: 3})
    if how == "groupby":
        said = json.loads(last.fusion.to_cog(tmp_path, progress=False)["item"].read_text())
        assert said["properties"]["start_datetime"] == "2023-11-01T00:00:00Z"
        assert said["properties"]["end_datetime"] == "2023-11-12T00:00:00Z"
        mu = xf.SensorProduct.open(tmp_path / "mu.tif", tmp_path / "sigma.tif")
        assert mu.dataset.attrs[END] == "2023-11-12T00:00:00Z"


def test_spans_of_groups_are_joined_label_by_label_and_along_them() -> None:
    def by_quarter(series: xr.Dataset) -> xr.Dataset:
        groups = series.groupby("time.quarter")
        result: xr.Dataset = groups.map(lambda each: xf.gaussian(each, dim="time"))
        return result

    early, late = by_quarter(cube()), by_quarter(cube(MONTHS + np.timedelta64(5, "D"), sensor="s2"))
    fused = xf.gaussian(late, early)
    np.testing.assert_array_equal(fused[START], MONTHS[::3])
    np.testing.assert_array_equal(fused[END], MONTHS[2::3] + np.timedelta64(5, "D"))
    year = xf.gaussian(fused, dim="quarter", sigma_floor=0)
    assert (year.attrs[START], year.attrs[END]) == ("2023-01-01T00:00:00Z", "2023-12-06T00:00:00Z")
    assert not {START, END} & {*year.coords}


def test_pairs_fused_in_groups_have_each_their_span() -> None:
    def first_two(each: xr.Dataset) -> xr.Dataset:
        return xf.gaussian(each.isel(time=0), each.isel(time=1))

    fused = cube().groupby("time.quarter").map(first_two)
    assert not {START, END} & {*fused.attrs}
    np.testing.assert_array_equal(fused[END], MONTHS[1::3])
