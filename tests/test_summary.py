"""The summary of a result: numbers against numpy and xf.area, one pass, text and JSON."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import rioxarray  # noqa: F401  # registers .rio
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from xfusion.datamodel.grid import spatial_dims
from xfusion.view.census import BAND
from xfusion.view.info import info_of
from xfusion.view.listing import document_of, lines_of
from xfusion.view.summary import Summary, summarise
from xfusion.view.words import sentences

GRIDS = {
    "utm": GeoBox((7, 9), Affine(10, 0, 5e5, 0, -10, 5.3e6), "EPSG:32633"),
    "geographic": GeoBox((7, 9), Affine(0.01, 0, 16, 0, -0.01, 48), "EPSG:4326"),
    "rotated": GeoBox((7, 9), Affine(8, 6, 5e5, 6, -8, 5.3e6), "EPSG:32633"),
}


def made(
    geobox: GeoBox | None, *, times: int = 0, seed: int = 0, scale: float = 1.0, **attrs: Any
) -> xr.Dataset:
    """Return a fused retrieval of two sensors, of which a third contributed nowhere."""
    rng = np.random.default_rng(seed)
    shape = (7, 9) if geobox is None else tuple(geobox.shape)
    shape = (times, *shape) if times else shape
    coords: Any = {}
    dims: tuple[Any, ...] = ("y", "x")
    if geobox is not None:
        coords = dict(xr_coords(geobox))
        dims = geobox.dimensions
    if times:
        days = np.datetime64("2023-06-20", "ns") + np.arange(times) * np.timedelta64(1, "D")
        coords["time"] = ("time", days)
        dims = ("time", *dims)

    def array(values: Any) -> xr.DataArray:
        return xr.DataArray(values, coords, dims)

    mask = rng.choice(np.array([0, 0, 0, 1, 17, 128], np.uint8), shape)
    mu = rng.uniform(0, scale, shape).astype(np.float32)
    mu[rng.random(shape) < 0.1] = np.nan
    sigma = rng.uniform(0.01, 0.3, shape).astype(np.float32)
    sigma[rng.random(shape) < 0.05] = -1
    ds = xf.retrieval(array(mu), array(sigma), array(mask), sensor="a+b+c")
    source = array(rng.integers(0, 4, shape).astype(np.uint8))
    source.attrs = {"flag_masks": np.array([1, 2, 4], np.uint8), "flag_meanings": "a b c"}
    conflict = array(rng.random(shape) < 0.3)
    return ds.assign(source=source, conflict=conflict).assign_attrs(attrs)


def by_numpy(ds: xr.Dataset) -> dict[str, Any]:
    """Return what a summary must hold, by whole arrays."""
    mu, sigma, mask = (ds[name].values.astype(np.float64) for name in ("mu", "sigma", "mask"))
    where = np.isfinite(mu) & np.isfinite(sigma) & (sigma >= 0) & (mask == 0)
    return {
        "usable": where.mean(),
        "mu": (mu[where].min(), mu[where].mean(), mu[where].max()),
        "sigma": (sigma[where].min(), sigma[where].mean(), sigma[where].max()),
        "cloud": (ds.mask.values & 1 > 0).mean(),
        "a": (ds.source.values & 1 > 0).mean(),
        "both": (ds.source.values == 3).mean(),
        "conflict": ds.conflict.values.mean(),
    }


def check(summary: Summary, ds: xr.Dataset) -> None:
    expected = by_numpy(ds)
    assert summary.usable == pytest.approx(expected["usable"])
    for name in ("mu", "sigma"):
        found = summary.statistics[name]
        assert (found.minimum, found.maximum) == (expected[name][0], expected[name][2])
        assert found.mean == pytest.approx(expected[name][1])
    assert summary.masks["cloud"] == pytest.approx(expected["cloud"])
    assert summary.masks["shadow"] == 0
    assert summary.contributions["a"] == pytest.approx(expected["a"])
    assert summary.contributions["c"] == 0
    assert summary.sources.get("a+b", 0) == pytest.approx(expected["both"])
    assert summary.conflict == pytest.approx(expected["conflict"])


@pytest.mark.parametrize("chunks", [None, 3, {"y": 2}, -1])
@pytest.mark.parametrize("times", [0, 3])
@pytest.mark.parametrize("grid", [*GRIDS, None])
def test_numbers_are_those_of_whole_arrays_however_it_is_cut(
    grid: str | None, times: int, chunks: Any
) -> None:
    ds = made(GRIDS[grid] if grid else None, times=times)
    dims = spatial_dims(ds)
    assert dims is not None
    blocks = {dims[0]: chunks["y"]} if isinstance(chunks, dict) else chunks
    summary = summarise(ds if chunks is None else ds.chunk(blocks))
    check(summary, ds)
    if grid is None:
        assert (summary.areas, summary.no_area) == ((), "the grid has no CRS")
        return
    area, alike = (xf.area(ds, correlation=c) for c in (None, np.inf))
    assert len(summary.areas) == max(1, times)
    for i, of_map in enumerate(summary.areas):
        at, far = (a.isel(time=i) if times else a for a in (area, alike))
        assert of_map.expected == pytest.approx(float(at.area[0]), rel=1e-6)
        assert of_map.sigma_independent == pytest.approx(float(at.area_sigma[0]), rel=1e-6)
        assert of_map.sigma_alike == pytest.approx(float(far.area_sigma[0]), rel=1e-6)
        assert of_map.total - of_map.usable == pytest.approx(float(at.unusable[0]), rel=1e-6)
        assert of_map.time == (f"2023-06-{20 + i}T00:00:00" if times else None)


@pytest.mark.parametrize("times", [0, 2])
def test_areas_with_a_threshold_and_a_correlation_are_those_of_area(times: int) -> None:
    ds = made(GRIDS["utm"], times=times, scale=20.0, seed=3)
    summary = summarise(ds.chunk(4), threshold=5.0, correlation=20.0)
    wanted = xf.area(ds, threshold=5.0, correlation=20.0)
    for i, of_map in enumerate(summary.areas):
        at = wanted.isel(time=i) if times else wanted
        assert of_map.expected == pytest.approx(float(at.area[0]), rel=1e-6)
        assert of_map.sigma == pytest.approx(float(at.area_sigma[0]), rel=1e-6)
    assert summary.area_of == "probability of exceeding 5"
    assert summary.correlation == wanted.attrs["area_correlation"]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([0, 2]))
def test_any_cut_of_any_retrieval_has_the_summary_of_the_whole(
    rows: int, columns: int, seed: int, times: int
) -> None:
    ds = made(GRIDS["utm"], times=times, seed=seed)
    ds.mu[..., 0, 0], ds.sigma[..., 0, 0], ds.mask[..., 0, 0] = 0.5, 0.1, 0
    check(summarise(ds.chunk({"y": rows, "x": columns})), ds)


def test_more_pixels_than_are_taken_at_a_time_are_all_counted() -> None:
    side = 700
    assert side * side > BAND
    ds = made(GeoBox((side, side), Affine(10, 0, 5e5, 0, -10, 5.3e6), "EPSG:32633"))
    check(summarise(ds), ds)


@pytest.mark.parametrize("options", [{}, {"threshold": 0.5}, {"correlation": 15.0}])
def test_each_block_is_read_once(options: dict[str, float]) -> None:
    ds = made(GRIDS["utm"]).compute()
    read: Counter[Any] = Counter()

    def reading(name: str, values: Any) -> Any:
        def block(block_info: Any) -> Any:
            (rows, columns) = block_info[None]["array-location"]
            read[name, rows[0], columns[0]] += 1
            return values[slice(*rows), slice(*columns)]

        chunks = ((4, 3), (4, 4, 1))
        return da.map_blocks(block, chunks=chunks, dtype=values.dtype, meta=values[:0, :0])

    lazy = ds.copy()
    for name in ("mu", "sigma", "mask", "source", "conflict"):
        lazy[name] = (("y", "x"), reading(name, ds[name].values), ds[name].attrs)
    with dask.config.set(scheduler="synchronous"):
        summarise(lazy, **options)
    assert len(read) == 5 * 6
    assert set(read.values()) == {1}


def test_what_is_no_share_of_a_pixel_has_no_area_that_is_expected_and_says_why() -> None:
    for ds, said in (
        (made(GRIDS["utm"], scale=30.0), "no share of a pixel from 0 to 1"),
        (in_units(made(GRIDS["utm"]), "degC"), "mu is in degC"),
        (made(GRIDS["utm"]).fusion.exclude(xr.ones_like(made(GRIDS["utm"]).mask, bool)), "no pix"),
    ):
        summary = summarise(ds)
        assert summary.no_area is not None
        assert said in summary.no_area
        assert summary.area_of is None
        assert summary.areas[0].expected is None
        assert summary.areas[0].total == pytest.approx(0.0063, rel=1e-2)
        assert said in " ".join(" ".join(lines_of(summary, name="r")).split())


def in_units(ds: xr.Dataset, units: str) -> xr.Dataset:
    for name in ("mu", "sigma"):
        ds[name].attrs["units"] = units
    return ds


def test_a_grid_of_no_place_on_the_earth_has_no_area_and_says_so() -> None:
    ds = made(None).assign_coords(y=np.arange(7.0)[::-1], x=np.arange(9.0))
    site = ds.rio.write_crs('LOCAL_CS["a building site",UNIT["metre",1]]')
    assert "of no place on the earth" in str(summarise(site).no_area)
    assert summarise(site).areas == ()


KEYS = {
    *("result", "sensors", "time", "grid", "pixels", "usable", "units", "mu", "sigma", "area"),
    *("conflict", "by_sensor", "by_source", "by_reason", "parameters"),
}


@pytest.mark.parametrize("kind", ["fused", "empty", "bare", "cube", "no CRS"])
def test_json_has_the_same_keys_of_whatever_it_is_and_null_for_what_is_no_number(kind: str) -> None:
    ds = made(None if kind == "no CRS" else GRIDS["utm"], times=3 if kind == "cube" else 0)
    if kind == "bare":
        ds = ds[["mu", "sigma"]]
    if kind == "empty":
        ds["mu"][:] = np.nan
    document = document_of(summarise(ds), name="r")
    again = json.loads(json.dumps(document, allow_nan=False))
    assert {*again} == KEYS
    assert {*again["mu"]} == {"minimum", "mean", "maximum"}
    assert {*again["area"]} == {"unit", "of", "why_not", "correlation", "maps"}
    for of_map in again["area"]["maps"]:
        assert {*of_map} == {
            *("time", "total", "usable", "expected"),
            *("sigma", "sigma_independent", "sigma_alike"),
        }
    assert (again["mu"]["mean"] is None) == (kind == "empty")
    assert (again["conflict"] is None) == (kind == "bare")
    assert (again["by_reason"] == {}) == (kind == "bare")


@pytest.mark.parametrize("times", [0, 3, 40])
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("correlation", [None, 2e3])
def test_lines_fit_a_terminal(times: int, scale: float, correlation: float | None) -> None:
    ds = made(GRIDS["geographic"], times=times, scale=scale, mask_items="item " * 60)
    options = {} if scale > 1 else {"correlation": correlation}
    lines = lines_of(summarise(ds, **options), name="water.zarr")
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("  c ") and line.endswith("0.0 %") for line in lines)


def test_a_folder_of_several_retrievals_is_listed_as_json_too(tmp_path: Path) -> None:
    for day in (20, 21):
        ds = made(GRIDS["utm"]).drop_vars(["source", "conflict"])
        ds = ds.assign_coords(time=np.datetime64(f"2023-06-{day}", "ns"))
        ds.fusion.to_cog(tmp_path, prefix=f"a_202306{day}_", item=False, progress=False)
    listed = json.loads(info_of(str(tmp_path), name="days", as_json=True))
    assert [each["time"] for each in listed["retrievals"]] == [
        "2023-06-20T00:00:00Z",
        "2023-06-21T00:00:00Z",
    ]
    assert "days: 2 retrievals" in info_of(str(tmp_path), name="days")


def test_sentences_begin_with_a_capital_and_blame_no_mask_that_nobody_had() -> None:
    mu = np.full((100, 100), 0.3)
    mu[0, 0] = np.nan
    one, two = (xf.retrieval(mu, 0.1, sensor=name) for name in ("radar", "optical"))
    said = sentences(summarise(one.fusion.gaussian(two)))
    assert said[1] == "More than 99.95 % of them have an estimate."
    mu[:5] = np.nan
    said = sentences(summarise(one.fusion.gaussian(two)))
    assert said[1] == (
        "95.0 % of them have an estimate; the rest is lost to places that no sensor or mask "
        "observed (5.0 %)."
    )
