"""One Sentinel-2 scene as each catalogue presents it makes one mask, pixel by pixel."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox

import xfusion as xf
from tests import catalogues as c
from tests.asset_server import serve_folder
from tests.laziness import nothing_computes
from xfusion.masks.offset import offset_of
from xfusion.stac.items import asset_grid
from xfusion.stac.untrusted import S3_CREDENTIALS, asset_href, check_hrefs

ES, CDSE = xf.stac.EARTH_SEARCH, xf.stac.CDSE
PC = dataclasses.replace(xf.stac.PLANETARY_COMPUTER, signer=None)
SAID: dict[str, Any] = {"declared": -0.1, "baseline": "05.09"}
OLD: dict[str, Any] = {"baseline": "02.12"}


@pytest.fixture(scope="module")
def scene() -> c.Scene:
    return c.landscape()


def ndvi_of(items: Any, profile: xf.Catalog) -> np.ndarray:
    seen = []

    def rule(bands: xr.Dataset) -> xr.DataArray:
        seen.append(bands.fusion.ndvi().values)
        flags: xr.DataArray = bands.fusion.s2_exclusion()
        return flags

    assert xf.Sentinel2Product.recipe is not None
    recipe = dataclasses.replace(xf.Sentinel2Product.recipe, exclusion=rule, catalog=profile)
    c.warned(lambda: xf.attach_mask(c.retrieval(), recipe, items=items, allow_local=True))
    (index,) = seen
    return np.asarray(index)


# how each service presents it: profile, whether the 1 000 is in the numbers, what the item says,
# what must be added, and whether that is in doubt
PRESENTED: dict[str, tuple[xf.Catalog, bool, dict[str, Any], float, bool]] = {
    "earth search, corrected": (ES, False, {"applied": True, **SAID}, 0, True),
    "earth search, corrected, but says not": (ES, False, {"applied": False, **SAID}, 0, True),
    "earth search, as it came": (ES, True, {"applied": False, **SAID}, -1000, False),
    "earth search, as it came, says corrected": (ES, True, {"applied": True, **SAID}, -1000, True),
    "earth search, says only corrected, but is not": (ES, True, {"applied": True}, -1000, True),
    "earth search, says only corrected": (ES, False, {"applied": True}, 0, False),
    "earth search, the new collection": (ES, True, SAID, -1000, False),
    "earth search, old": (ES, False, {"applied": False, "declared": 0, **OLD}, 0, False),
    "planetary computer": (PC, True, {"baseline": "05.09"}, -1000, False),
    "planetary computer, old": (PC, False, OLD, 0, False),
    "planetary computer, says nothing": (PC, True, {}, -1000, True),
    "planetary computer, says nothing, corrected": (PC, False, {}, 0, True),
    "cdse": (CDSE, True, {}, -1000, False),
}  # fmt: skip


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("nodata", [0, None], ids=["nodata 0", "no nodata"])
@pytest.mark.parametrize("presented", PRESENTED)
def test_ndvi_and_mask_do_not_depend_on_who_presents_the_scene(
    scene: c.Scene,
    presented: str,
    nodata: float | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in S3_CREDENTIALS:
        monkeypatch.delenv(variable, raising=False)
    profile, raw, facts, offset, doubtful = PRESENTED[presented]
    present: Any = {ES.url: c.earth_search, PC.url: c.planetary_computer, CDSE.url: c.cdse}
    hrefs = c.stored(scene, tmp_path, raw=raw, nodata=nodata)
    items = [present[profile.url](scene, hrefs, **facts)]
    masked, said = c.attach_s2(items, profile)
    np.testing.assert_array_equal(masked["mask"], scene.mask())
    np.testing.assert_array_equal(ndvi_of(items, profile), scene.ndvi().astype(np.float32))
    (decided,) = json.loads(masked.attrs["mask_offsets"]).items()
    assert decided[0] == items[0]["id"]
    assert decided[1].startswith(f"{offset} (")
    assert all(f"{decided[0]}: {decided[1]}" in warning for warning in said)
    assert len(said) == doubtful
    with nothing_computes():
        lazy, _ = c.attach_s2(items, profile, c.retrieval(chunks={"y": 20, "x": 50}))
    xr.testing.assert_equal(lazy.compute(), masked)


def test_the_scene_tells_wrong_offsets_and_wrapped_numbers(scene: c.Scene) -> None:
    """What the other tests rest on."""
    right = scene.mask()
    assert {0, 1, 2, 4, 8, 5, 6} <= set(np.unique(right))
    for added in (1000, -1000):
        assert np.mean(right != scene.mask(added)) > 0.05
    wrapped = (scene.nir - scene.red) / (scene.nir + scene.red + 1e-6) > 0.6
    assert np.mean(wrapped[(right & 8) == 0] != ((right & 4) > 0)[(right & 8) == 0]) > 0.1


def test_cdse_is_read_over_https_where_there_are_no_keys_for_s3(
    scene: c.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    c.stored(scene, tmp_path, raw=True)
    with serve_folder(tmp_path) as url:
        found = c.cdse(scene, {band: f"{url}/{band}.tif" for band in ("red", "nir", "scl")})
        for variable in S3_CREDENTIALS:
            monkeypatch.delenv(variable, raising=False)
        masked, said = c.attach_s2([found], CDSE, allow_local=False)
        np.testing.assert_array_equal(masked["mask"], scene.mask())
        assert not said
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    (asked,) = xf.stac.as_items([found])
    assert asset_href(asked, "B04_10m") == "s3://eodata/Sentinel-2/MSI/L2A/B04_10m.jp2"


def test_an_offset_that_the_file_declares_is_not_added_again(
    scene: c.Scene, tmp_path: Path
) -> None:
    hrefs = c.stored(scene, tmp_path, raw=True, driver="GTiff")
    import rasterio

    for band in ("red", "nir"):
        with rasterio.open(hrefs[band], "r+") as file:
            file.scales, file.offsets = (0.0001,), (-0.1,)
    masked, _ = c.attach_s2([c.planetary_computer(scene, hrefs, baseline="05.09")], PC)
    np.testing.assert_array_equal(masked["mask"], scene.mask())


def test_dark_water_with_less_than_no_reflectance_is_no_forest(tmp_path: Path) -> None:
    water = c.flat(200, 6)
    hrefs = c.stored(water, tmp_path, raw=True)
    for band, number in (("red", 1008), ("nir", 991)):
        c.write(Path(hrefs[band]), np.full(c.GRID.shape, number, np.uint16), c.GRID, 0)
    masked, _ = c.attach_s2([c.planetary_computer(water, hrefs, baseline="05.09")], PC)
    assert (masked["mask"] == 0).all()


@pytest.mark.parametrize(
    ("offset", "added", "reason"),
    [
        ("metadata", -1000, "-1000 (boa_offset_applied says 0, raster:offset says -1000, "),
        (-1000.0, -1000, "-1000 (given as -1000)"),
        (0.0, 0, "0 (given as 0)"),
        (250, 250, "250 (given as 250)"),
    ],
)  # fmt: skip
def test_an_offset_that_is_given_is_added_whatever_the_pixels_say(
    scene: c.Scene, offset: Any, added: float, reason: str, tmp_path: Path
) -> None:
    hrefs = c.stored(scene, tmp_path, raw=False)
    items = [c.earth_search(scene, hrefs, applied=True, **SAID)]
    given, said = c.attach_s2(items, ES, offset=offset)
    of_record, _ = c.attach_s2(items, dataclasses.replace(ES, offset=offset))
    np.testing.assert_array_equal(given["mask"], scene.mask(added))
    xr.testing.assert_identical(given, of_record)
    assert json.loads(given.attrs["mask_offsets"])[items[0]["id"]].startswith(reason)
    assert len(said) == (offset == "metadata")


def test_tiles_of_one_day_with_different_offsets_show_one_answer(
    scene: c.Scene, tmp_path: Path
) -> None:
    tiles = []
    for name, columns, baseline in (("west", (0, 40), "05.09"), ("east", (24, 64), "02.12")):
        cut, half = slice(*columns), slice(columns[0] // 2, columns[1] // 2)
        geobox = c.part(c.GRID, (0, 64), columns)
        tile = c.Scene(scene.red[:, cut], scene.nir[:, cut], scene.scl[:, half], geobox)
        hrefs = c.stored(tile, tmp_path / name, raw=baseline == "05.09")
        tiles.append(c.planetary_computer(tile, hrefs, name=name, baseline=baseline))
    for items in (tiles, tiles[::-1]):
        masked, said = c.attach_s2(items, PC)
        np.testing.assert_array_equal(masked["mask"], scene.mask())
        assert not said
        decided = json.loads(masked.attrs["mask_offsets"])
        assert [decided[tile].split()[0] for tile in ("west", "east")] == ["-1000", "0"]


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (c.flat(2500, 5), "which does not tell"),
        (c.flat(2500, 4), "which does not tell"),
        (c.flat(6000, 9), "no dark pixels could be seen"),
        (c.flat(200, 6, (6, 6)), "no dark pixels could be seen"),
    ],
    ids=["bright ground", "bright vegetation", "all cloud", "36 pixels"],
)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "corrected"])
def test_scenes_whose_pixels_do_not_tell_follow_their_metadata(
    case: c.Scene, reason: str, raw: bool, tmp_path: Path
) -> None:
    hrefs = c.stored(case, tmp_path, raw=raw)
    items = [c.earth_search(case, hrefs, applied=not raw, **SAID)]
    masked, said = c.attach_s2(items, ES, c.retrieval(case.geobox))
    np.testing.assert_array_equal(masked["mask"], case.mask())
    assert len(said) == 1
    assert reason in said[0]
    assert "boa_offset_applied is followed" in said[0]
    assert "of 1 item is not certain" in said[0]


def test_large_files_without_overviews_are_looked_at_in_places_only(tmp_path: Path) -> None:
    shape = (1200, 1200)
    rng = np.random.default_rng(1)
    red = rng.integers(30, 700, shape).astype(np.uint16)
    geobox = GeoBox(shape, c.GRID.affine, c.GRID.crs)
    large = c.Scene(red, red * 2, np.full((600, 600), 6, np.uint8), geobox)
    hrefs = c.stored(large, tmp_path, raw=True, driver="GTiff", tiled=True, blocksize=256)
    (found,) = xf.stac.as_items([c.planetary_computer(large, hrefs)])
    decision = offset_of(found, PC)
    assert decision.offset == -1000
    assert "darkest pixels are 10" in decision.text


def test_a_collection_without_red_first_and_with_fields_of_no_use_is_understood(
    scene: c.Scene, tmp_path: Path
) -> None:
    hrefs = c.stored(scene, tmp_path, raw=True)
    found = c.earth_search(scene, hrefs, declared=-0.1)
    found["properties"]["s2:processing_baseline"] = "unknown"
    found["assets"]["red"]["bands"] = None
    found["assets"]["nir"]["raster:bands"] = ["of no use"]
    profile = dataclasses.replace(ES, assets={"scl": "scl", "nir": "nir", "red": "red"})
    masked, said = c.attach_s2([found], profile)
    np.testing.assert_array_equal(masked["mask"], scene.mask())
    assert not said


# Completeness, and catalogues of others


def test_completeness_counts_what_was_found_missing_and_seen(
    scene: c.Scene, tmp_path: Path
) -> None:
    hrefs = c.stored(scene, tmp_path, raw=False)
    found = c.earth_search(scene, hrefs, baseline="02.12")
    bare = c.earth_search(scene, {"red": hrefs["red"]}, name="bare", baseline="02.12")
    broken = c.earth_search(scene, hrefs | {"nir": str(tmp_path / "none.tif")}, name="broken")
    wider = c.GRID.pad(8)
    masks = {"whole": ([found, bare], {}), "broken": ([broken], {"on_read_error": "flag"})}
    for case, (items, options) in masks.items():
        with nothing_computes():
            lazy, _ = c.attach_s2(
                items, ES, c.retrieval(wider, chunks={"y": 30}), offset=0, **options
            )
            report = lazy.fusion.completeness()
            assert report.chunks is not None
        report = report.compute()
        inside_share = 64 * 64 / (80 * 80)
        failed = inside_share if case == "broken" else 0.0
        assert report.items_found == len(items)
        assert report.assets_missing == (2 if case == "whole" else 0)
        assert report.read_failed == failed
        np.testing.assert_allclose(report.unknown, 1 - inside_share)
        np.testing.assert_allclose(report.observed, inside_share - failed)
        assert report.usable == (lazy["mask"].values == 0).mean()
        assert json.loads(lazy.attrs["mask_assets_missing"]) == (
            {"bare": ["nir", "scl"]} if case == "whole" else {}
        )
        assert not report.dims


def test_a_fifth_catalogue_is_one_record(scene: c.Scene, tmp_path: Path) -> None:
    hrefs = c.stored(scene, tmp_path / "a folder", raw=True)
    found = c.planetary_computer(scene, hrefs, baseline="05.09") | {"collection": "theirs"}
    path = tmp_path / "a folder" / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [found]}))
    fifth = xf.Catalog(
        url=str(path),
        collection="theirs",
        assets={"blue": "B02", "red": "B04", "nir": "B08", "scl": "SCL"},
        nodata={"blue": 0, "red": 0, "nir": 0, "scl": 255},
        offset="auto",
    )
    masked = c.retrieval().fusion.attach_s2_mask(catalog=fifth)
    np.testing.assert_array_equal(masked["mask"], scene.mask())
    again = masked.fusion.attach_s2_mask(catalog=fifth)
    assert again.attrs["mask_catalog"] == str(path).replace(" ", "%20")
    with pytest.raises(ValueError, match=r"no asset for the bands \['exclusion_mask'\]"):
        c.retrieval().fusion.attach_gfm_mask(catalog=fifth)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fifth.offset = 0.0  # type: ignore[misc]  # the point


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"offset": "automatic"}, "offset='automatic'"),
        ({"offset": float("nan")}, "offset=nan"),
        ({"nodata": 0.5}, r"nodata=0.5 is no whole number"),
        ({"nodata": "255"}, r"nodata='255' is no whole number"),
        ({"nodata": {"red": 0, "nir": 0, "scl": "0"}}, r"nodata='0' is no whole number"),
    ],
)
def test_a_record_that_cannot_work_is_refused_when_it_is_made(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ES, **fields)


@pytest.mark.parametrize("number", [np.uint8, np.int64, np.float32])
def test_nodata_that_is_a_number_of_numpy_is_nodata(
    scene: c.Scene, number: Any, tmp_path: Path
) -> None:
    hrefs = c.stored(scene, tmp_path, raw=True)
    found = c.planetary_computer(scene, hrefs, baseline="05.09")
    nodata = {"red": number(0), "nir": number(0), "scl": number(255)}
    masked, _ = c.attach_s2([found], dataclasses.replace(PC, nodata=nodata))
    np.testing.assert_array_equal(masked["mask"], scene.mask())
    one = dataclasses.replace(PC, nodata=number(255))
    assert {one.nodata_of(band) for band in ("red", "nir", "scl")} == {255}


def test_a_mask_wants_nodata_of_all_its_bands_and_other_bands_have_what_items_say(
    scene: c.Scene, tmp_path: Path
) -> None:
    found = c.planetary_computer(scene, c.stored(scene, tmp_path, raw=False), baseline="02.12")
    profile = dataclasses.replace(PC, nodata={"red": 0})
    with pytest.raises(ValueError, match=r"no value for the bands \['nir', 'scl'\]"):
        c.attach_s2([found], profile)
    with pytest.raises(ValueError, match="no value for the bands"):
        xf.MaskRecipe(exclusion=xf.s2_exclusion, bands={"scl": "nearest"}, catalog=profile)
    ways: dict[str, Any] = {"catalog": profile, "items": [found], "allow_local": True}
    with pytest.raises(ValueError, match="no data in 'nir'"):
        c.retrieval().fusion.load_bands(["nir"], **ways)
    found["assets"]["B08"]["nodata"] = 0
    loaded = c.retrieval().fusion.load_bands(["nir"], **ways)
    np.testing.assert_array_equal(loaded.nir.isel(time=0).isnull(), scene.nir == 0)


def test_a_client_that_does_not_know_its_address_is_not_taken_for_local() -> None:
    from pystac_client import Client

    client = Client.from_dict(pystac.Catalog("a", "catalogue").to_dict())
    with pytest.raises(ValueError, match=r"Client\.open"):
        c.retrieval().fusion.attach_s2_mask(catalog=client)


def test_real_items_say_their_grids_and_offsets(shared_data: Path) -> None:
    expected: dict[str, tuple[xf.Catalog, float, int, float, float]] = {
        "S2A_39QTA_20230628_0_L2A": (ES, -1000, 32639, 199980, 2100000),
        "S2A_39QUA_20230628_0_L2A": (ES, -1000, 32639, 300000, 2100000),
        "T06VVN": (PC, 0, 32606, 399960, 6800040),
    }
    paths = sorted((shared_data / "stac").glob("*.json"))
    assert len(paths) == len(expected)
    for path in paths:
        profile, offset, epsg, x, y = next(e for k, e in expected.items() if k in path.name)
        (found,) = xf.stac.as_items([json.loads(path.read_text())])
        check_hrefs([found], profile, allow_local=False)
        said = offset_of(found, dataclasses.replace(profile, offset="metadata"))
        assert (said.offset, said.doubtful) == (offset, profile is ES)
        for band, key in profile.keys_of(found.collection_id).items():
            size = 20 if band in ("scl", "nir08", "swir16", "swir22") else 10
            grid = asset_grid(found, key, profile)
            assert grid.crs is not None
            assert (grid.crs.epsg, *grid.shape) == (epsg, 109800 // size, 109800 // size)
            assert tuple(grid.affine)[:6] == (size, 0, x, 0, -size, y)
            assert asset_href(found, key) == json.loads(path.read_text())["assets"][key]["href"]
