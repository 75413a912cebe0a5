"""Cubes along time: which times a result has, and what is said of groups of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from tests import catalogues as c
from tests.laziness import nothing_computes

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


def test_a_week_without_acquisitions_is_unknown_and_has_no_span(tmp_path: Path) -> None:
    series = cube(days("2023-06-01", "2023-06-07", "2023-06-16"))
    weekly = series.resample(time="7D").map(lambda week: xf.gaussian(week, dim="time"))
    np.testing.assert_array_equal(weekly[START], days("2023-06-01", "NaT", "2023-06-16"))
    other = weekly.assign_coords({START: weekly[START] - np.timedelta64(1, "D")})
    fused = xf.gaussian(weekly, other)
    np.testing.assert_array_equal(fused[START], days("2023-05-31", "NaT", "2023-06-15"))
    assert (fused["mask"].isel(time=1) == xf.Exclusion.UNKNOWN).all()
    assert not fused.source.isel(time=1).any()
    # the item of a week has its label and the span of its acquisitions
    item = weekly.fusion.to_cog(tmp_path, progress=False)["20230601T000000_item"]
    said = json.loads(item.read_text())["properties"]
    assert said["datetime"] == said["start_datetime"] == "2023-06-01T00:00:00Z"
    assert said["end_datetime"] == "2023-06-07T00:00:00Z"


def test_a_cube_keeps_what_is_said_of_its_times_on_another_grid() -> None:
    both = xf.stack([scene("2023-06-20", items="a"), scene("2023-06-18", sensor="s2", items="b c")])
    moved = both.fusion.coregister(UTM.zoom_out(2))
    np.testing.assert_array_equal(moved.time, both.time)
    assert moved.sensor.to_numpy().tolist() == ["s2", "s1"]
    assert moved.isel(time=0).fusion.completeness().items_found == 2


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


def test_the_label_of_a_group_is_no_acquisition() -> None:
    times = days("2023-06-05", "2023-06-20", "2023-06-25")
    halves = cube(times).resample(time="15D", origin="2023-06-01")
    half = halves.map(lambda each: xf.gaussian(each, dim="time")).isel(time=1)
    assert half.time == np.datetime64("2023-06-16")
    fused = xf.gaussian(half, scene("2023-07-01"))
    assert (fused.attrs[START], fused.attrs[END]) == (
        "2023-06-20T00:00:00Z",
        "2023-07-01T00:00:00Z",
    )


def test_pairs_fused_in_groups_have_each_their_span() -> None:
    def first_two(each: xr.Dataset) -> xr.Dataset:
        return xf.gaussian(each.isel(time=0), each.isel(time=1))

    fused = cube().groupby("time.quarter").map(first_two)
    assert not {START, END} & {*fused.attrs}
    np.testing.assert_array_equal(fused[END], MONTHS[1::3])


def scene(
    time: str, *, sensor: str = "s1", seed: int = 0, items: str | None = None, masked: bool = True
) -> xr.Dataset:
    """Return a retrieval of one time, whose mask is from items."""
    one = cube(days(time), seed=seed, sensor=sensor).isel(time=0)
    if not masked:
        one = one.drop_vars("mask")
    if items is None:
        return one
    words = items.split()
    return one.assign_attrs(
        mask_catalog="https://stac.example.org",
        mask_collection="GFM",
        mask_items=items,
        mask_items_found=len(words),
        mask_assets_missing=json.dumps({words[0]: ["scl"]}),
        mask_links=json.dumps({word: f"https://stac.example.org/{word}" for word in words}),
    )


def test_scenes_become_a_cube_in_the_order_of_their_times() -> None:
    tuesday, monday, sunday = (
        scene(f"2023-06-{day}T05:10", seed=day, items=f"a{day} b{day}") for day in (20, 19, 18)
    )
    week = xf.stack([tuesday, xf.SensorProduct(dataset=sunday), monday])
    assert week.mu.dims == ("time", "y", "x")
    np.testing.assert_array_equal(
        week.time, days("2023-06-18T05:10", "2023-06-19T05:10", "2023-06-20T05:10")
    )
    for i, of in enumerate((sunday, monday, tuesday)):
        for name in ("mu", "sigma", "mask"):
            np.testing.assert_array_equal(week[name].isel(time=i), of[name])
    assert week["mask"].dtype == np.uint8
    assert week.odc.geobox == UTM
    assert week.mu.attrs["ancillary_variables"] == "sigma mask"
    assert week.attrs["sensor"] == "s1"
    assert START not in {*week.attrs, *week.coords}


def test_completeness_of_a_stack_counts_the_items_of_all_and_shares_of_each_time() -> None:
    scenes = [scene(f"2023-06-{day}", seed=day, items=f"a{day} b{day}") for day in (18, 19, 20)]
    scenes[1]["mask"] = scenes[1]["mask"] | np.uint8(xf.Exclusion.UNKNOWN)
    week = xf.stack(scenes)
    whole = week.fusion.completeness()
    assert (int(whole.items_found), int(whole.assets_missing)) == (6, 3)
    np.testing.assert_array_equal(whole.observed, [1, 0, 1])
    np.testing.assert_array_equal(whole.unknown, [0, 1, 0])
    np.testing.assert_array_equal(whole.time, week.time)
    usable = [float((s["mask"] == 0).mean()) for s in scenes]
    np.testing.assert_allclose(whole.usable, usable)
    # of one time again, its own
    one = week.isel(time=1)
    counted = one.fusion.completeness()
    assert (int(counted.items_found), int(counted.assets_missing)) == (2, 1)
    assert counted.observed.ndim == 0
    assert xf.gaussian(one, one).attrs["mask_items"] == "a19 b19"
    # a longer cube keeps what is known of its times
    longer = xf.stack([week, scene("2023-06-21", items="a21")])
    assert int(longer.fusion.completeness().items_found) == 7
    assert int(longer.isel(time=1).fusion.completeness().items_found) == 2
    # fused along time, in groups too, the items of all
    assert xf.gaussian(week, dim="time").attrs["mask_items_found"] == 6
    lazy = xf.stack([s.chunk(y=2) for s in scenes])
    assert lazy.mu.chunks is not None
    assert lazy.fusion.completeness().observed.chunks is not None
    xr.testing.assert_identical(lazy.compute(), week)


def test_where_one_sensor_has_no_mask_nothing_is_excluded() -> None:
    radar, optics = scene("2023-06-20"), scene("2023-06-18", sensor="s2", masked=False)
    both = xf.stack([radar, optics])
    assert both["mask"].dtype == np.uint8
    assert not both["mask"].isel(time=0).any()
    np.testing.assert_array_equal(both["mask"].isel(time=1), radar["mask"])
    assert both.attrs["sensor"] == "s1+s2"
    assert both.sensor.to_numpy().tolist() == ["s2", "s1"]
    assert "mask" not in xf.stack([optics])
    # of a cube of two sensors fused with another, the sensors of the first are not those of all
    assert "sensor" not in xf.gaussian(both, both).coords


def test_a_stack_is_in_the_units_and_on_the_grid_of_the_first() -> None:
    pytest.importorskip("pint", reason="units are an extra")
    metres, centimetres = scene("2023-06-20"), scene("2023-06-18", seed=2)
    metres.mu.attrs["units"] = metres.sigma.attrs["units"] = "m"
    centimetres.mu.attrs["units"] = centimetres.sigma.attrs["units"] = "cm"
    both = xf.stack([metres, centimetres])
    np.testing.assert_allclose(both.mu.isel(time=0), centimetres.mu / 100)
    np.testing.assert_allclose(both.sigma.isel(time=0), centimetres.sigma / 100)
    assert both.mu.attrs["units"] == both.sigma.attrs["units"] == "m"
    # two libraries write the labels of one grid 1e-9 apart
    apart = centimetres.assign_coords(x=centimetres.x + 1e-9)
    assert xf.stack([metres, apart]).sizes == both.sizes
    with pytest.raises(ValueError, match=r"'s1 of 2023-06-18.*not on one grid.*coregister"):
        xf.stack([metres, centimetres.assign_coords(x=centimetres.x + 20)])
    with pytest.raises(ValueError, match=r"'cm', of 's1 of 2023-06-20T.*None.*units"):
        xf.stack([scene("2023-06-20"), centimetres])


def test_a_stack_that_cannot_be_says_of_which_and_what_mends_it() -> None:
    a, b = scene("2023-06-20T05:10"), scene("2023-06-20T05:10", sensor="s2")
    with pytest.raises(
        ValueError, match=r"time=2023-06-20T05:10:00 .* 0, 's1', and of 1, 's2'.*xf.gaussian"
    ):
        xf.stack([a, b])
    with pytest.raises(ValueError, match=r"'s2' has no coordinate 'time'.*assign_coords\(time="):
        xf.stack([a, b.drop_vars("time")])
    with pytest.raises(ValueError, match=r"'time' of 's2' is missing"):
        xf.stack([a, b.assign_coords(time=np.datetime64("NaT", "ns"))])
    with pytest.raises(ValueError, match="no order"):
        xf.stack([a, b.assign_coords(time=3)])
    with pytest.raises(ValueError, match="no retrievals"):
        xf.stack([])
    with pytest.raises(ValueError, match=r"dim='x' is a dim of the grid"):
        xf.stack([a, b], dim="x")
    for alone in (a, xf.SensorProduct(dataset=a)):
        with pytest.raises(TypeError, match=r"no sequence.*xf.stack\(\[a, b\]\)"):
            xf.stack(alone)  # type: ignore[arg-type]  # what is refused


def test_a_stack_along_another_label_has_the_times_along_it() -> None:
    runs = [scene(f"2023-06-{20 - i}", seed=i).assign_coords(run=i) for i in range(3)]
    together = xf.stack(runs[::-1], dim="run")
    np.testing.assert_array_equal(together.run, [0, 1, 2])
    np.testing.assert_array_equal(together.time, days("2023-06-20", "2023-06-19", "2023-06-18"))
    assert together.time.dims == ("run",)


def test_what_was_fused_before_keeps_its_span_in_a_stack() -> None:
    month = xf.gaussian(cube(MONTHS[:3]), dim="time").assign_coords(time=MONTHS[1])
    series = xf.stack([month, scene("2023-06-20")])
    assert not {START, END} & {*series.attrs}
    np.testing.assert_array_equal(series[START], days("2023-01-01", "2023-06-20"))
    np.testing.assert_array_equal(series[END], days("2023-03-01", "2023-06-20"))
    assert "fusion_rule" not in series.attrs  # of one is not of all
    assert "count" not in series
    bounded = xf.gaussian(cube(), dim="time", bounded=(0, 1)).assign_coords(time=MONTHS[0])
    with pytest.raises(ValueError, match="cut off"):
        xf.stack([scene("2023-06-20"), bounded]).fusion.exceedance(0.5)


def test_a_stack_is_written_and_read_again(tmp_path: Path) -> None:
    both = xf.stack([scene("2023-06-20", items="a"), scene("2023-06-18", sensor="s2")])
    for i, cube in enumerate((both, both.chunk(time=1))):
        cube.fusion.to_zarr(tmp_path / f"{i}.zarr", progress=False)
        again = xr.open_zarr(tmp_path / f"{i}.zarr")
        again.fusion.to_zarr(tmp_path / f"again{i}.zarr", progress=False)
    with xr.open_zarr(tmp_path / "again1.zarr") as back:
        np.testing.assert_array_equal(back.time, both.time)
        np.testing.assert_array_equal(back.mu, both.mu)
        assert back.sensor.to_numpy().tolist() == ["s2", "s1"]
        assert int(back.fusion.completeness().items_found) == 1
    both.to_netcdf(tmp_path / "both.nc")
    with xr.open_dataset(tmp_path / "both.nc", decode_coords="all") as back:
        np.testing.assert_array_equal(back.time, both.time)


def test_other_variables_are_stacked_where_they_mean_the_same() -> None:
    s1, s2 = scene("2023-06-20"), scene("2023-06-18")
    fused = [
        xf.gaussian(s1, s1).assign_coords(time=days("2023-06-20")[0]),
        xf.gaussian(s2, s2.assign_attrs(sensor="x")).assign_coords(time=days("2023-06-18")[0]),
    ]
    assert fused[0].source.attrs["flag_meanings"] != fused[1].source.attrs["flag_meanings"]
    assert "source" not in xf.stack(fused)
    alike = xf.stack([fused[0], fused[0].assign_coords(time=days("2023-06-21")[0])])
    assert alike.source.dtype == np.uint8
    assert alike.source.attrs["flag_meanings"] == "s1_1 s1_2"


def test_times_that_do_not_fit_are_not_a_matter_of_the_grid() -> None:
    a, b = cube(MONTHS[:4]), cube(MONTHS[:4] + np.timedelta64(1, "D"))
    mend = r"'s1_2'.*'time', 4 of 2023-01-02.* and 4 of 2023-01-01.*[.]sel.time=.*[.]reindex.time="
    with pytest.raises(ValueError, match=mend) as told:
        xf.gaussian(a, b)
    assert "coregister" not in str(told.value)
    with pytest.raises(ValueError, match=r"3 of 2023-01-01.* and 4 of 2023-01-01.*reindex"):
        xf.gaussian(a, a.isel(time=slice(3)))
    # a label that is missing in both is one label
    some = a.assign_coords(time=days("2023-01-01", "NaT", "2023-03-01", "2023-04-01"))
    assert xf.gaussian(some, some).time.isnull().sum() == 1
    with pytest.raises(ValueError, match=r"has dims \('y', 'x'\).*\.isel\(time=0\)"):
        xf.gaussian(a, a.isel(time=0))
    nearest = b.reindex(time=a.time, method="nearest", tolerance="3D")
    np.testing.assert_allclose(
        xf.gaussian(a, nearest, use_mask=False).sigma,
        (a.sigma.to_numpy() ** -2 + b.sigma.to_numpy() ** -2) ** -0.5,
    )


def test_code_of_the_page_on_time_runs_and_gives_the_values_beside_it() -> None:
    text = (Path(__file__).parents[1] / "docs/time.md").read_text()
    names: dict[str, Any] = {}
    checked = 0
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, names)  # noqa: S102  # the page is ours
        for call, value in re.findall(r"^(?!import )(\S.*?)  # (.*)$", block, re.MULTILINE):
            assert repr(eval(call, names)) == value  # noqa: S307  # the page is ours
            checked += 1
    assert checked >= 5
    # the nearest by hand: Sentinel-2 of the 2nd, 9th, 14th and 20th has the 1st, 7th, 13th and none
    s1, s2, water = (names[k] for k in ("s1", "s2", "water"))
    np.testing.assert_array_equal(water.time, s2.time)
    for i, j in enumerate((0, 1, 2)):
        expected = xf.gaussian(s2.isel(time=i), s1.isel(time=j))
        for name in ("mu", "sigma", "mask", "source"):
            np.testing.assert_array_equal(water[name].isel(time=i), expected[name])
    alone = s2.isel(time=3)
    np.testing.assert_array_equal(water.mu.isel(time=3), alone.mu.where(alone["mask"] == 0))
    np.testing.assert_array_equal(water.source.isel(time=3) == 1, alone["mask"] == 0)
    unseen = names["nearest"].isel(time=3)
    assert not unseen.fusion.usable.any()


def gfm_days(folder: Path) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Return an item of each of two days, and their flags: 16 excluded, 0 not, 32 unknown."""
    rng = np.random.default_rng(4)
    items, flags = [], []
    for day in (20, 21):
        pixels = rng.choice([0, 1, 255], c.EQUI7.shape).astype(np.uint8)
        path = c.write(folder / f"{day}.tif", pixels, c.EQUI7)
        made = c.gfm_item("05:10:00", c.EQUI7, tile=f"T{day}", exclusion_mask=path)
        made["properties"]["datetime"] = f"2023-06-{day}T05:10:00Z"
        items.append(made)
        flags.append(np.choose(pixels % 253, [0, 16, 32]).astype(np.uint8))
    return items, flags


def gfm_cube(**chunks: int) -> xr.Dataset:
    days = [c.retrieval(c.EQUI7, time=f"2023-06-{day}T05:10:03") for day in (20, 21)]
    stacked = xf.stack(days)
    return stacked.chunk(chunks) if chunks else stacked


def test_each_time_of_a_cube_gets_its_own_mask(tmp_path: Path) -> None:
    items, flags = gfm_days(tmp_path)
    cube = gfm_cube()
    # an iterator, which can be read once
    masked = cube.fusion.attach_gfm_mask(items=iter(items[::-1]), allow_local=True)
    np.testing.assert_array_equal(masked["mask"], flags)
    assert masked["mask"].dtype == np.uint8
    np.testing.assert_array_equal(masked.mu, cube.mu)
    assert "mask" not in cube
    report = masked.fusion.completeness()
    assert int(report.items_found) == 2
    np.testing.assert_allclose(report.unknown, [(of == 32).mean() for of in flags])
    for i, item in enumerate(items):
        assert masked.isel(time=i).fusion.completeness().items_found == 1
        assert json.loads(masked.attrs["mask_items_by_time"])[f"2023-06-2{i}T05:10:03"] == [
            item["id"]
        ]
    with nothing_computes():
        lazy = gfm_cube(time=2, y=20).fusion.attach_gfm_mask(items=items, allow_local=True)
    assert lazy["mask"].chunks == lazy.mu.chunks
    np.testing.assert_array_equal(lazy["mask"], flags)
    # another mask on top, and what was excluded before, stay
    user = masked.fusion.exclude(masked.x > float(masked.x[30]))
    again = user.fusion.attach_gfm_mask(items=items, allow_local=True)
    xr.testing.assert_equal(again["mask"], user["mask"])
    assert again.attrs == user.attrs
    product = xf.Sentinel1Product(dataset=cube).attach_mask(items=items, allow_local=True)
    xr.testing.assert_equal(product.dataset["mask"], masked["mask"])


def test_a_mask_of_one_day_is_not_that_of_a_cube(tmp_path: Path) -> None:
    items, _ = gfm_days(tmp_path)
    with pytest.raises(ValueError, match="datetime='2023-06-20' is of one acquisition, .* 2 along"):
        gfm_cube().fusion.attach_gfm_mask(items=items, datetime="2023-06-20", allow_local=True)
    with pytest.raises(LookupError, match="2023-06-21"):
        gfm_cube().fusion.attach_gfm_mask(items=items[:1], allow_local=True)
    with pytest.raises(ValueError, match=r"no labels.*assign_coords\(time="):
        gfm_cube().drop_vars("time").fusion.attach_gfm_mask(items=items, allow_local=True)
    with pytest.raises(ValueError, match=r"dims \['run'\] besides time.*isel\(run=0\)"):
        gfm_cube().expand_dims(run=2).fusion.attach_gfm_mask(items=items, allow_local=True)


def test_all_days_without_items_are_named_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, flags = gfm_days(tmp_path)
    days = [c.retrieval(c.EQUI7, time=f"2023-06-{day}T05:10:03") for day in (18, 20, 21, 25)]
    cube = xf.stack(days)
    with monkeypatch.context() as patched:
        patched.setattr("xfusion.masks.attach.load_pass", None)  # reading would fail
        with pytest.raises(
            LookupError, match=r"2 of 4 times.*2023-06-18T05:10:03, 2023-06-25T05:10:03"
        ) as caught:
            cube.fusion.attach_gfm_mask(items=items, allow_local=True)
    call = re.search(r"\.drop_sel\(time=\[.*?\]\)", str(caught.value))
    assert call is not None
    mended = eval(f"cube{call[0]}", {"cube": cube})  # noqa: S307  # it is what the error says
    masked = mended.fusion.attach_gfm_mask(items=items, allow_local=True)
    np.testing.assert_array_equal(masked["mask"], flags)
    # of one time it says what it says of a retrieval
    with pytest.raises(LookupError, match=r"^none of the 2 items="):
        cube.isel(time=[0]).fusion.attach_gfm_mask(items=items, allow_local=True)


def test_a_cube_is_written_time_by_time(tmp_path: Path) -> None:
    scenes = [
        scene("2023-06-20T05:00", items="a20 b20"),
        scene("2023-06-18T16:30:01", sensor="s2", seed=1, items="a18"),
    ]
    both = xf.stack(scenes)
    for cube in (both, both.chunk(time=1, y=2)):
        files = cube.fusion.to_cog(tmp_path, prefix="w_", progress=False, overwrite=True)
        names = ("mu", "sigma", "mask", "item")
        times = {"20230618T163001": scenes[1], "20230620T050000": scenes[0]}
        assert [*files] == [f"{time}_{name}" for time in times for name in names] + ["collection"]
        assert {path.name for path in files.values()} == {path.name for path in tmp_path.iterdir()}
        assert files["20230620T050000_mu"] == tmp_path / "w_20230620T050000_mu.tif"
        for time, of in times.items():
            opened = [files[f"{time}_{name}"] for name in names[:3]]
            back = xf.SensorProduct.open(*opened).dataset
            for name in ("mu", "sigma", "mask"):
                np.testing.assert_array_equal(back[name], of[name])
            assert back.time == of.time
            assert back.attrs["sensor"] == of.attrs["sensor"]
            assert back.attrs["mask_items"] == of.attrs["mask_items"]
            item = json.loads(files[f"{time}_item"].read_text())
            assert item["id"] == f"w_{time}"
            moment = np.datetime_as_string(of.time.to_numpy(), unit="s")
            assert item["properties"]["datetime"] == f"{moment}Z"
            derived = [link["title"] for link in item["links"] if link["rel"] == "derived_from"]
            assert derived == of.attrs["mask_items"].split()
            assert item["assets"]["mu"]["href"] == f"./w_{time}_mu.tif"
    with pytest.raises(FileExistsError, match="20230618T163001_mu"):
        both.fusion.to_cog(tmp_path, prefix="w_", progress=False)
    plain = both.fusion.to_cog(tmp_path / "june", progress=False, item=False)
    assert plain["20230618T163001_mu"].name == "20230618T163001_mu.tif"


def test_diagnostics_of_a_cube_are_written_time_by_time(tmp_path: Path) -> None:
    fused = xf.gaussian(cube(MONTHS[:2]), cube(MONTHS[:2], seed=1, sensor="s2"), diagnostics=True)
    files = fused.fusion.to_cog(tmp_path, progress=False)
    with rasterio.open(files["20230201T000000_weight"]) as file:
        assert file.descriptions == ("weight s1", "weight s2")
        np.testing.assert_array_equal(file.read(), fused.weight.isel(time=1))
    item = json.loads(files["20230201T000000_item"].read_text())
    assert item["id"] == f"{tmp_path.name}_20230201T000000"


@pytest.mark.parametrize("calendar", ["standard", "gregorian", "proleptic_gregorian"])
@pytest.mark.parametrize("year", ["2023", "2301"])
def test_dates_of_cftime_are_dates(calendar: str, year: str, tmp_path: Path) -> None:
    pytest.importorskip("cftime")
    index = xr.date_range(f"{year}-01", periods=12, freq="MS", calendar=calendar, use_cftime=True)
    series = cube().assign_coords(time=index)
    assert series.time.dtype == object
    whole = series.fusion.gaussian(dim="time")
    assert "time" not in whole.coords
    assert (whole.attrs[START], whole.attrs[END]) == (
        f"{year}-01-01T00:00:00Z",
        f"{year}-12-01T00:00:00Z",
    )
    pair = xf.gaussian(series.isel(time=0), series.isel(time=2))
    assert (pair.attrs[START][:7], pair.attrs[END][:7]) == (f"{year}-01", f"{year}-03")
    item = json.loads(whole.fusion.to_cog(tmp_path / "whole")["item"].read_text())
    assert item["properties"]["start_datetime"] == f"{year}-01-01T00:00:00Z"
    assert item["properties"]["end_datetime"] == f"{year}-12-01T00:00:00Z"
    files = series.isel(time=slice(3, 5)).fusion.to_cog(tmp_path / "each")
    assert {*files} == {
        f"{year}{month}01T000000_{part}"
        for month in ("04", "05")
        for part in ("mu", "sigma", "mask", "item")
    } | {"collection"}
    each = json.loads(files[f"{year}0401T000000_item"].read_text())
    assert each["properties"]["datetime"] == f"{year}-04-01T00:00:00Z"
    if year == "2023":  # of numpy's, times are in nanoseconds
        back = xf.raster.open_raster(files["20230501T000000_mu"])
        assert back.time == np.datetime64("2023-05-01")
    stacked = xf.stack([series.isel(time=5), series.isel(time=slice(0, 2))])
    assert [str(t)[:7] for t in stacked.time.to_numpy()] == [
        f"{year}-{m}" for m in ["01", "02", "06"]
    ]


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "all_leap", "julian"])
def test_other_calendars_are_named(calendar: str, tmp_path: Path) -> None:
    pytest.importorskip("cftime")
    index = xr.date_range("2023-01", periods=12, freq="MS", calendar=calendar, use_cftime=True)
    series = cube().assign_coords(time=index)
    whole = series.fusion.gaussian(dim="time")
    assert "time" not in whole.coords
    assert START not in whole.attrs
    with pytest.raises(
        ValueError, match=rf"calendar '{calendar}', from 2023-01-01.*convert_calendar"
    ):
        series.fusion.to_cog(tmp_path / "none")
    with pytest.raises(ValueError, match=rf"a `time` of the calendar '{calendar}'"):
        series.isel(time=0).fusion.to_cog(tmp_path / "none", item=True)
    with pytest.raises(ValueError, match=rf"of the calendar '{calendar}', which is not"):
        xf.retrieval([[0.0]], [[1.0]], time=index[0])
    np.testing.assert_allclose(whole.mu, weighted(series, slice(None)))


def test_a_day_before_the_calendar_was_mended_is_none_of_ours() -> None:
    cftime = pytest.importorskip("cftime")
    one = xf.retrieval([[0.0]], [[1.0]])
    day = cftime.datetime(1582, 10, 4, calendar="standard")
    two = [one.assign_coords(time=day), one.assign_coords(time=day.replace(year=1581))]
    assert START not in xf.gaussian(*two).attrs


def test_a_cube_that_cannot_be_named_by_time_is_not_written(tmp_path: Path) -> None:
    twice = cube(days("2023-06-20T05:00:00.1", "2023-06-20T05:00:00.2"))
    with pytest.raises(ValueError, match=r"time\[0\] and time\[1\] are both 20230620T050000"):
        twice.fusion.to_cog(tmp_path / "none")
    with pytest.raises(ValueError, match=r"along it are \[0 1\].*assign_coords\(time="):
        twice.assign_coords(time=[0, 1]).fusion.to_cog(tmp_path / "none")
    with pytest.raises(ValueError, match="2 without labels"):
        twice.drop_vars("time").fusion.to_cog(tmp_path / "none")
    assert not (tmp_path / "none").exists()
