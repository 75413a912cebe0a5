"""Bands of a catalogue on the grid of a retrieval: which, of when, and what their numbers mean."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

import xfusion as xf
from tests import catalogues as c
from tests.laziness import nothing_computes

# without the other bands of Earth Search: of those items must say what there is to know
ES = dataclasses.replace(
    xf.stac.EARTH_SEARCH,
    offset=0,
    assets={"red": "red", "nir": "nir", "scl": "scl"},
    nodata={"red": 0, "nir": 0, "scl": 255},
)
DAYS = ("2023-06-20", "2023-06-23")
BANDS = ["red", "nir", "scl"]
SPECTRAL = {"eo:bands": [{"name": "B03", "common_name": "green"}]}


@pytest.fixture(scope="module")
def scenes() -> list[c.Scene]:
    return [c.landscape(seed=seed) for seed in range(2)]


@pytest.fixture(scope="module")
def items(scenes: list[c.Scene], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    made = []
    for scene, day in zip(scenes, DAYS, strict=True):
        hrefs = c.stored(scene, tmp_path_factory.mktemp(day), raw=False)
        made.append(c.earth_search(scene, hrefs, name=f"of {day}", time=f"{day}T10:00:10Z"))
    return made


def load(like: Any, bands: Any, items: Any, **options: Any) -> xr.Dataset:
    options = {"items": items, "catalog": ES, "allow_local": True} | options
    return xf.load_bands(like, bands, **options)


def floats(pixels: c.Pixels) -> c.Pixels:
    return np.where(pixels == 0, np.nan, pixels).astype(np.float32)


# Which pixels


@pytest.mark.parametrize("loader", ["xfusion", "odc"])
@pytest.mark.parametrize("kind", ["GeoBox", "DataArray", "retrieval", "lazy", "product"])
def test_bands_lie_on_any_grid_with_a_time_for_each_pass(
    scenes: list[c.Scene], items: list[Any], kind: str, loader: Any
) -> None:
    wide = c.GRID.pad(3)
    like: Any = c.retrieval(wide, time=DAYS[1])
    grids = {
        "GeoBox": wide,
        "DataArray": like.mu,
        "retrieval": like,
        "lazy": like.chunk(y=30, x=25),
        "product": xf.Sentinel2Product(dataset=like),
    }
    with nothing_computes():
        found = load(grids[kind], BANDS, items, datetime=DAYS[1], loader=loader)
    assert found.red.dims == ("time", "y", "x")
    assert found.time.values == np.datetime64(f"{DAYS[1]}T10:00:10")
    assert found.time.dtype == np.dtype("datetime64[ns]")
    rows = (30, 30, 10) if kind == "lazy" else (70,)
    assert found.red.chunks is not None
    assert found.red.chunks[1] == rows
    np.testing.assert_array_equal(found.y, like.y)
    inside = found.isel(time=0, y=slice(3, -3), x=slice(3, -3)).compute()
    np.testing.assert_array_equal(inside.red, floats(scenes[1].red))
    np.testing.assert_array_equal(inside.nir, floats(scenes[1].nir))
    np.testing.assert_array_equal(inside.scl, scenes[1].scl.repeat(2, 0).repeat(2, 1))
    assert inside.scl.dtype == np.uint8
    assert found.scl.attrs["nodata"] == 255
    assert found.red.isel(y=0).isnull().all()
    assert (found.scl.isel(y=0) == 255).all()


def test_a_geobox_that_is_rotated_or_in_degrees_is_the_grid_of_the_result(items: list[Any]) -> None:
    degrees = GeoBox.from_geopolygon(c.GRID.extent.to_crs("EPSG:4326"), resolution=2e-4)
    rotated = GeoBox((9, 12), Affine(9, 2, 600_100, 2, -9, 5_199_900), "EPSG:32633")
    for grid in (degrees, rotated):
        found = load(grid, "red", items, datetime=DAYS[0])
        assert found.red.dims == ("time", *grid.dimensions)
        assert xf.coregister(c.retrieval(), found).sizes[grid.dimensions[0]] == grid.shape.y
        assert found.red.notnull().any()


def test_accessor_and_product_load_what_the_function_does(items: list[Any]) -> None:
    like = c.retrieval(time=DAYS[0])
    options: dict[str, Any] = {"items": items[:1], "catalog": ES, "allow_local": True}
    expected = xf.load_bands(like, ["red"], **options)
    xr.testing.assert_identical(like.fusion.load_bands(["red"], **options), expected)
    of_product = xf.SensorProduct(dataset=like).load_bands(["red"], **options)
    xr.testing.assert_identical(of_product, expected)


@pytest.mark.parametrize("loader", ["xfusion", "odc"])
@pytest.mark.parametrize("time", [DAYS[0], DAYS[1], f"{DAYS[1]}T09:20"])
def test_bands_judged_and_excluded_are_the_mask_that_is_attached(
    items: list[Any], time: str, loader: Any
) -> None:
    like = c.retrieval(time=time)
    options: dict[str, Any] = {"items": items, "catalog": ES, "allow_local": True, "loader": loader}
    bands = like.fusion.load_bands(BANDS, datetime=time, **options)
    masked = like.fusion.exclude(bands.fusion.s2_exclusion(ndvi_max=0.6))
    attached = like.fusion.attach_s2_mask(datetime=time, **options)
    np.testing.assert_array_equal(masked["mask"], attached["mask"])
    assert (masked["mask"] != 0).any()


# Of when


def test_a_cube_has_the_passes_of_its_times_each_once(
    scenes: list[c.Scene], items: list[Any]
) -> None:
    moments = ["2023-06-23T10:00", "2023-06-20T10:00", "2023-06-20T10:03"]
    cube = xf.stack([c.retrieval(time=moment) for moment in moments], dim="time")
    found = load(cube, ["red"], items)
    assert [str(time)[:10] for time in found.time.values] == [*DAYS]
    for n, scene in enumerate(scenes):
        np.testing.assert_array_equal(found.red.isel(time=n), floats(scene.red))
    late = xf.stack([cube.isel(time=0), c.retrieval(time="2023-06-25")], dim="time")
    with pytest.raises(LookupError, match=r"1 of 2 times have no items.*2023-06-25"):
        load(late, ["red"], items)


def test_without_a_time_all_items_are_used_and_a_search_is_refused(items: list[Any]) -> None:
    assert load(c.GRID, ["red"], items).sizes["time"] == 2
    assert load(c.GRID, ["red"], items, datetime=f"{DAYS[0]}/..").sizes["time"] == 2
    assert load(c.GRID, ["red"], items, datetime="2023-06-21/..").sizes["time"] == 1
    with pytest.raises(ValueError, match=r"pass datetime='2023-06-20'"):
        xf.load_bands(c.GRID, ["red"], catalog=ES)
    with pytest.raises(LookupError, match="none of the 2 items= .*2023-06-21"):
        load(c.GRID, ["red"], items, datetime="2023-06-21")


def test_a_file_of_items_is_searched_and_the_default_is_earth_search(
    tmp_path: Path, items: list[Any], scenes: list[c.Scene]
) -> None:
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    found = c.retrieval(time=DAYS[1]).fusion.load_bands(["red"], catalog=path, offset=0)
    np.testing.assert_array_equal(found.red.squeeze("time"), floats(scenes[1].red))
    assert found.attrs["mask_collection"] == "sentinel-2-l2a"
    assert found.attrs["mask_items"] == "of%202023-06-23"


# Which bands


def with_green(items: list[Any], **fields: Any) -> dict[str, Any]:
    item: dict[str, Any] = copy.deepcopy(items[0])
    item["assets"]["green"] = copy.deepcopy(item["assets"]["nir"]) | fields
    return item


def test_a_band_that_the_catalogue_does_not_name_is_the_key_of_an_asset(
    scenes: list[c.Scene], items: list[Any]
) -> None:
    found = load(c.GRID, ["green", "red"], [with_green(items, nodata=0)])
    assert [*found.data_vars] == ["green", "red"]
    np.testing.assert_array_equal(found.green.isel(time=0), floats(scenes[0].nir))


def test_an_item_without_an_asset_is_left_out_and_without_any_it_is_an_error(
    items: list[Any],
) -> None:
    one = with_green(items, nodata=0)
    found, said = c.warned(lambda: load(c.GRID, ["green"], [one, items[1]]))
    assert found.sizes["time"] == 1
    assert any("'of 2023-06-23'" in text and "lacks the assets ['green']" in text for text in said)
    assert "of 2023-06-23" in found.attrs["mask_assets_missing"]
    with pytest.raises(LookupError, match=r"no item .* has the assets of the bands \['blue'\]"):
        c.warned(lambda: load(c.GRID, ["blue"], items))


@pytest.mark.parametrize("bands", [[], {}, {"red": "cubic"}, {"red": None}])
def test_no_bands_and_unknown_ways_are_refused(items: list[Any], bands: Any) -> None:
    with pytest.raises(ValueError, match="each band must be 'nearest' or 'bilinear'"):
        load(c.GRID, bands, items)


@pytest.mark.parametrize("name", ["time", "y", "spatial_ref", "read_failed"])
def test_a_band_with_the_name_of_what_lies_beside_it_is_refused(
    items: list[Any], name: str
) -> None:
    with pytest.raises(ValueError, match=rf"the bands \['{name}'\] would be called as"):
        load(c.GRID, [name], items)


def test_what_is_no_grid_is_refused() -> None:
    nothing: Any = 7
    with pytest.raises(TypeError, match="not int"):
        xf.load_bands(nothing, ["red"])
    with pytest.raises(ValueError, match="has no CRS"):
        xf.load_bands(xr.Dataset({"a": (("y", "x"), np.ones((3, 3)))}), ["red"])


# What their numbers mean


@pytest.mark.parametrize("list_of", ["bands", "raster:bands", None])
def test_nodata_is_as_given_else_the_catalogues_else_the_items(
    scenes: list[c.Scene], items: list[Any], list_of: str | None
) -> None:
    nir = scenes[0].nir
    lowest = int(nir[nir > 0].min())
    said: dict[str, Any] = {"nodata": lowest}
    one = with_green(items, **(said if list_of is None else {list_of: [said]}))
    found = load(c.GRID, ["green", "nir"], [one]).isel(time=0)
    np.testing.assert_array_equal(found.green.isnull(), nir == lowest)
    np.testing.assert_array_equal(found.nir.isnull(), nir == 0)
    for given, missing in (({"green": 0}, nir == 0), (0, nir == 0), (np.nan, nir < 0)):
        found = load(c.GRID, ["green"], [one], nodata=given).isel(time=0)
        np.testing.assert_array_equal(found.green.isnull(), missing)


def test_nodata_of_a_band_that_is_not_loaded_is_refused(items: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"nodata= is of \['grean'\], the bands are \['red'\]"):
        load(c.GRID, ["red"], items, nodata={"red": 0, "grean": 0})


@pytest.mark.parametrize("said", [None, "zero", [0], True, {"a": 1}])
def test_nodata_that_nobody_says_is_asked_for(items: list[Any], said: Any) -> None:
    one = with_green(items, nodata=said)
    with pytest.raises(ValueError, match=r"no data in 'green'.*nodata={'green': 0}"):
        load(c.GRID, ["green"], [one])
    other = with_green(items, nodata=0) | {"id": "other"}
    with pytest.raises(ValueError, match="no data in 'green'"):
        load(c.GRID, ["green"], [one, other])


def test_nodata_that_is_not_a_number_is_said_by_a_text_in_json(
    tmp_path: Path, items: list[Any]
) -> None:
    pixels = np.full((64, 64), 0.25, np.float32)
    pixels[:7] = np.nan
    href = c.write(tmp_path / "index.tif", pixels, c.GRID)
    one = with_green(items, href=href, nodata="nan")
    for loader in ("xfusion", "odc"):
        found = load(c.GRID, ["green"], [one], loader=loader)
        np.testing.assert_array_equal(found.green.isel(time=0), pixels)


@pytest.mark.parametrize("loader", ["xfusion", "odc"])
def test_the_offset_is_decided_item_by_item_and_the_scale_multiplies_what_comes_of_it(
    tmp_path: Path, scenes: list[c.Scene], loader: Any
) -> None:
    made, applied = [], {"declared": -0.1, "applied": False, "baseline": "05.09"}
    for n, raw in enumerate([True, False]):
        hrefs = c.stored(scenes[n], tmp_path / str(n), raw=raw)
        facts: dict[str, Any] = applied if raw else {"baseline": "03.01", "declared": 0.0}
        made.append(c.earth_search(scenes[n], hrefs, time=f"{DAYS[n]}T10:00:00Z", **facts))
    options: dict[str, Any] = {"catalog": xf.stac.EARTH_SEARCH, "scale": "metadata"}
    found = load(c.GRID, BANDS, made, loader=loader, **options)
    for n, scene in enumerate(scenes):
        expected = floats(scene.red) * np.float32(0.0001)
        np.testing.assert_allclose(found.red.isel(time=n), expected, rtol=1e-6)
        classes = scene.scl.repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(found.scl.isel(time=n), classes)
    assert found.red.dtype == np.float32
    assert found.attrs["mask_offsets"].count("-1000 (") == 1


def test_an_offset_that_is_not_given_belongs_to_reflectances_alone(items: list[Any]) -> None:
    options: dict[str, Any] = {"catalog": xf.stac.EARTH_SEARCH, "nodata": 0}
    one = with_green(items)
    one["properties"]["s2:processing_baseline"] = "05.09"
    with pytest.raises(ValueError, match=r"does not say that 'green' holds reflectances.*offset=0"):
        load(c.GRID, ["green"], [one], **options)
    assert load(c.GRID, ["green"], [one], offset=0, **options).attrs["mask_offsets"]
    known = with_green(items, **SPECTRAL)
    known["properties"]["s2:processing_baseline"] = "05.09"
    found = load(c.GRID, ["green"], [known], **options)
    assert "-1000 (" in found.attrs["mask_offsets"]
    # classes have none, and nothing is said of it
    assert "mask_offsets" not in load(c.GRID, ["scl"], [one], **options | {"nodata": 255}).attrs


@pytest.mark.parametrize("scale", ["metadata", "auto", 0, -1.0, np.inf, np.nan, True])
def test_a_scale_that_is_none_or_that_items_do_not_state_is_refused(
    items: list[Any], scale: Any
) -> None:
    with pytest.raises(ValueError, match="the scale of 'red' is .*scale=0.0001"):
        load(c.GRID, ["red"], items, scale=scale)


# When something fails


@pytest.mark.parametrize("loader", ["xfusion", "odc"])
def test_a_file_that_is_gone_is_an_error_or_told_pixel_by_pixel(
    items: list[Any], tmp_path: Path, loader: Any
) -> None:
    one = copy.deepcopy(items[0])
    one["assets"]["red"]["href"] = str(tmp_path / "gone.tif")
    lazy = load(c.GRID.pad(2), ["red", "nir"], [one], loader=loader)
    with pytest.raises(OSError, match="gone.tif could not be read"):
        lazy.compute()
    options: dict[str, Any] = {"on_read_error": "flag", "loader": loader}
    found = load(c.GRID.pad(2), ["red", "nir"], [one], **options).isel(time=0).compute()
    expected = np.zeros((68, 68), bool)
    expected[2:-2, 2:-2] = True
    np.testing.assert_array_equal(found.read_failed, expected)
    assert found.red.isnull().all()
    both = load(c.GRID, ["red", "nir"], [items[0], one | {"id": "copy"}], **options)
    # the other has them, but where it has gaps
    gaps = both.red.isnull() | both.nir.isnull()
    np.testing.assert_array_equal(both.read_failed, gaps)
    assert 0 < gaps.mean() < 0.5


@pytest.mark.parametrize("lazy", [True, False])
def test_what_is_made_of_bands_that_could_not_be_read_says_so(
    items: list[Any], tmp_path: Path, lazy: Any
) -> None:
    one = copy.deepcopy(items[0])
    one["assets"]["red"]["href"] = str(tmp_path / "gone.tif")
    found = load(c.GRID.pad(2), ["red", "nir", "scl"], [one], on_read_error="flag", chunks=20)
    found = found if lazy else found.compute()
    bands = found.isel(time=0)
    expected = np.full((68, 68), 64, np.uint8)
    expected[:2], expected[-2:], expected[:, :2], expected[:, -2:] = (32,) * 4
    water = xf.water.from_reflectance(bands.red, nir=bands.nir, scale=1e-4)
    pixels = bands[["red", "nir"]]
    predicted = xf.predict(
        pixels, lambda values: values.mean(axis=1), sigma=0.1, tile=32, overlap=4
    )
    stacked = xf.predict(pixels.to_dataarray("band"), lambda v: v.mean(axis=1), sigma=0.1)
    for made in (water, predicted, stacked):
        assert "read_failed" not in made.coords
        assert (made.mask.chunks is not None) == lazy
        np.testing.assert_array_equal(made.mask, expected)
        assert made.mask.chunks == made.mu.chunks
    # of each time, and with a band that was read
    both = xf.water.from_reflectance(found.red, nir=found.nir, scale=1e-4)
    np.testing.assert_array_equal(both.mask.isel(time=0), expected)
    assert both.mask.dims == both.mu.dims
    read = load(c.GRID, ["red", "nir", "scl"], items, on_read_error="flag").isel(time=0)
    water = xf.water.from_reflectance(read.red, nir=read.nir, scale=1e-4)
    np.testing.assert_array_equal(water.mask, np.where(water.mu.isnull(), 32, 0))


def test_passes_in_several_dtypes_take_a_nodata_that_is_given(
    tmp_path: Path, items: list[Any]
) -> None:
    made = []
    for n, dtype in enumerate(["uint8", "int16"]):
        href = c.write(tmp_path / f"{n}.tif", np.full((64, 64), n + 3, dtype), c.GRID)
        one = with_green(items, href=href, data_type=dtype)
        one["properties"]["datetime"] = f"{DAYS[n]}T10:00:00Z"
        made.append(pystac.Item.from_dict(one))
    with pytest.raises(ValueError, match="green has several dtypes and nodata"):
        load(c.GRID, {"green": "nearest"}, made, nodata=np.nan)
    with pytest.raises(ValueError, match="green has several dtypes and nodata"):
        load(c.GRID, {"green": "nearest"}, made, nodata=0)
