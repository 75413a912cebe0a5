"""Catalogues: one day is one day, untrusted hrefs are refused, items are grouped by pass."""

import copy
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
from odc.geo.geobox import GeoBox

import xfusion as xf
from tests import catalogues
from xfusion import stac
from xfusion.demo.scene import Scene, write_scene
from xfusion.masks.grouping import grouped_by_pass as passes
from xfusion.masks.offset import offset_of
from xfusion.stac import as_items, complete_items, day_interval
from xfusion.stac.network import is_local
from xfusion.stac.untrusted import check_hrefs


def item(
    href: str = "https://example.org/a.tif",
    *,
    when: str = "2023-06-20T10:00:00Z",
    key: str = "exclusion_mask",
    name: str = "item",
    **properties: Any,
) -> pystac.Item:
    return pystac.Item.from_dict(
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "collection": "GFM",
            "geometry": {"type": "Point", "coordinates": [16, 48]},
            "bbox": [16, 48, 16, 48],
            "properties": {"datetime": when, **properties},
            "assets": {key: {"href": href}},
            "links": [],
        }
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return write_scene(tmp_path_factory.mktemp("a scene"), size=0.2)


def test_a_day_ends_with_itself() -> None:
    day = ("2023-06-20T00:00:00Z", "2023-06-20T23:59:59.999999Z")
    assert day_interval("2023-06-20") == day
    assert day_interval(np.datetime64("2023-06-20T05:06:07")) == day
    interval = ("2023-06-20", "2023-06-22T23:59:59.999999Z")
    assert day_interval("2023-06-20/2023-06-22") == interval
    assert day_interval("2023-06-20/20230622") == interval
    assert day_interval("2023-06-20T10:00+02:00/..") == ("2023-06-20T08:00:00.000000Z", "..")


@pytest.mark.parametrize(
    "datetime",
    ["2023-06-20/2023-06-19", "../..", "/", "2023-06/2023-07", "2023-06-20/today", "a/b/c"],
)
def test_what_is_no_interval_is_refused_before_anything_is_asked(datetime: str) -> None:
    with pytest.raises(ValueError, match=r"2023-06-20"):
        day_interval(datetime)


@pytest.mark.parametrize(
    "href",
    [
        "/vsicurl/https://example.org/a.tif",
        "/vsizip/vsicurl/https://example.org/a.zip/a.tif",
        "file:///vsimem/a.tif",
        "GTIFF_DIR:1:/etc/passwd",
        "ftp://example.org/a.tif",
        "vrt:///etc/passwd",
    ],
)
def test_gdal_prefixes_are_never_opened(href: str) -> None:
    for allow_local in (False, True):
        with pytest.raises(ValueError, match="'exclusion_mask' of item 'item'.*never opened"):
            check_hrefs([item(href)], xf.stac.EODC, allow_local=allow_local)


@pytest.mark.parametrize("href", ["file:///etc/passwd", "/etc/passwd", "../../etc/passwd", "a.tif"])
def test_local_files_take_leave(href: str) -> None:
    with pytest.raises(ValueError, match="allow_local=True"):
        check_hrefs([item(href)], xf.stac.EODC, allow_local=False)
    check_hrefs([item(href)], xf.stac.EODC, allow_local=True)


def test_web_and_s3_are_read_and_secrets_are_not_shown() -> None:
    harmless = "https://example.org/vsitest/a.tif"
    for href in (harmless, "https://x/a.tif?sig=secret", "http://x/a.tif", "s3://eodata/a.tif"):
        check_hrefs([item(href)], xf.stac.EODC, allow_local=False)
    with pytest.raises(ValueError, match="never opened") as error:
        check_hrefs([item("gs://x/a.tif?sig=secret")], xf.stac.EODC, allow_local=False)
    assert "secret" not in str(error.value)


def test_items_given_without_a_local_catalogue_take_leave_for_local_files(scene: Scene) -> None:
    items = json.loads(scene.items.read_text())["features"]
    gfm = [i for i in items if i["collection"] == "GFM" and "20230620" in i["id"]]
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma)
    with pytest.raises(ValueError, match="allow_local=True"):
        s1.attach_mask(items=gfm)
    given = s1.attach_mask(items=gfm, allow_local=True)
    found = s1.attach_mask(catalog=str(scene.items), datetime=scene.date)
    np.testing.assert_array_equal(given.dataset["mask"], found.dataset["mask"])
    assert {0, 16} <= set(np.unique(given.dataset["mask"]))


def test_only_loopback_and_files_are_local() -> None:
    for url in ("http://127.0.0.1:7822", "http://localhost/x", "http://[::1]:80", "/a/items.json"):
        assert is_local(url)
    for url in ("https://stac.eodc.eu/api/v1", "http://127.0.0.1.evil.org", "http://10.0.0.1"):
        assert not is_local(url)


def test_missing_asset_is_unknown_and_never_usable(scene: Scene) -> None:
    features = json.loads(scene.items.read_text())["features"]
    bare = [copy.deepcopy(f) for f in features if f["collection"] == "GFM"]
    for feature in bare:
        feature["assets"].pop("exclusion_mask")
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date)
    with pytest.warns(UserWarning, match="lacks the assets"):
        masked = s1.attach_mask(items=bare, allow_local=True)
    assert (masked.dataset["mask"] == int(xf.Exclusion.UNKNOWN)).all()
    assert not masked.usable.any()
    complete, lacking = complete_items(as_items([*bare, *features]), xf.stac.EODC)
    assert len(complete) == 3
    assert set(lacking) >= {f["id"] for f in bare}


def test_frames_of_a_pass_are_one_plane_and_passes_are_two() -> None:
    times = ["16:45:00", "16:45:25", "05:10:00", "16:53:00"]
    items = [item(name=t, when=f"2023-06-20T{t}Z") for t in times]
    grouped = [[i.id for i in plane] for plane in passes(items)]
    assert grouped == [["05:10:00"], ["16:45:00", "16:45:25", "16:53:00"]]


def test_offset_is_applied_before_ndvi(scene: Scene) -> None:
    s2 = xf.Sentinel2Product.open(scene.s2_mu, scene.s2_sigma, time=scene.date)
    catalog = dataclasses.replace(xf.stac.EARTH_SEARCH, url=str(scene.items))
    plain = s2.attach_mask(catalog=catalog).dataset["mask"]
    raised = s2.attach_mask(catalog=dataclasses.replace(catalog, offset=3000.0)).dataset["mask"]
    vegetation = int(xf.Exclusion.VEGETATION)
    assert (plain & vegetation).any()
    assert not (raised & vegetation).any()
    np.testing.assert_array_equal(plain & ~np.uint8(vegetation), raised)


@pytest.mark.filterwarnings("ignore:the offset of the reflectances")
def test_a_recipe_with_a_rule_of_its_own_keeps_it(scene: Scene) -> None:
    s2 = xf.Sentinel2Product.open(scene.s2_mu, scene.s2_sigma, time=scene.date)
    assert s2.recipe is not None
    strict = functools.partial(xf.s2_exclusion, ndvi_max=-2.0)
    recipe = dataclasses.replace(s2.recipe, exclusion=strict)
    want = xf.attach_mask(s2, recipe, catalog=scene.items)["mask"]
    have = s2.dataset.fusion.attach_s2_mask(recipe, catalog=scene.items)["mask"]
    np.testing.assert_array_equal(have, want)
    assert not have.equals(s2.attach_mask(catalog=scene.items).mask)
    with pytest.raises(ValueError, match="ndvi_max=0.3: the recipe has a rule of its own"):
        s2.dataset.fusion.attach_s2_mask(recipe, ndvi_max=0.3, catalog=scene.items)
    with pytest.raises(ValueError, match="the recipe of this mask has none"):
        xf.attach_mask(s2, recipe, catalog=scene.items, advisory_flags=True)


def test_s2_classes_are_told_from_outside(scene: Scene) -> None:
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date)
    mask = s1.dataset.fusion.attach_s2_mask(catalog=str(scene.items))["mask"].values
    assert {8, 32} <= set(np.unique(mask))
    assert not ((mask & 32 > 0) & (mask != 32)).any()


def test_profiles_are_frozen_and_can_be_pointed_elsewhere() -> None:
    for profile in (
        xf.stac.EODC,
        xf.stac.EARTH_SEARCH,
        xf.stac.PLANETARY_COMPUTER,
        xf.stac.CDSE,
    ):
        moved = dataclasses.replace(profile, url="http://127.0.0.1:1")
        assert moved.assets == profile.assets
        assert set(profile.assets) == {"exclusion_mask"} or {"red", "nir", "scl"} < {
            *profile.assets
        }
        with pytest.raises(dataclasses.FrozenInstanceError):
            profile.url = "x"  # type: ignore[misc]  # the point
    fields = [f.name for f in dataclasses.fields(xf.Catalog)]
    assert fields == ["url", "collection", "assets", "nodata", "offset", "signer", "units"]


def test_real_items_are_read_as_they_are(shared_data: Path) -> None:
    for path in sorted((shared_data / "stac").glob("*.json")):
        profile = (
            xf.stac.EARTH_SEARCH if "earth-search" in path.name else xf.stac.PLANETARY_COMPUTER
        )
        ((found,), lacking) = complete_items(as_items([json.loads(path.read_text())]), profile)
        assert not lacking
        check_hrefs([found], profile, allow_local=False)
        # baseline 02.12 at the Planetary Computer; none of the pixels can be reached here
        assert offset_of(found, profile).offset == 0


def test_a_sensor_of_a_stranger_brings_its_own_catalogue_and_rule(scene: Scene) -> None:
    """Constants and one pure function; nothing is registered."""
    import xarray as xr

    def no_water(bands: xr.Dataset) -> xr.DataArray:
        flags: xr.DataArray = (bands.classes != 6) * np.uint8(xf.Exclusion.USER)
        return flags

    class Cautious(xf.SensorProduct):
        sensor = "cautious"
        recipe = xf.MaskRecipe(
            exclusion=no_water,
            bands={"classes": "nearest"},
            catalog=xf.Catalog(
                url=str(scene.items),
                collection="sentinel-2-l2a",
                assets={"classes": "scl"},
                nodata=255,
            ),
        )

    product = Cautious.open(scene.s2_mu, scene.s2_sigma, time=scene.date).attach_mask()
    assert product.dataset.attrs["sensor"] == "cautious"
    assert {0, 128} == set(np.unique(product.dataset["mask"]))
    with pytest.raises(TypeError, match="no recipe"):
        xf.SensorProduct(dataset=product.dataset).attach_mask()


ACROSS = GeoBox.from_bbox((179.8, -17.0, 180.0, -16.8), "EPSG:4326", resolution=0.01)


@pytest.mark.parametrize(
    ("bbox", "found"),
    [
        ([179.9, -17, 180, -16], True),
        ([179.9, -17, -50, 180, -16, 50], True),
        ([179.9, -17, -179.9, -16], True),
        ([-170, -17, 179.9, -16], True),
        ([179, -17, 100, 179.5, -16, 200], False),
        ([-170, -17, 170, -16], False),
        ([175, 0, -175, 1], False),
        (None, True),
    ],
)
def test_no_item_of_a_file_is_overlooked_for_the_form_of_its_box(
    tmp_path: Path, bbox: list[float] | None, found: bool
) -> None:
    item = catalogues.gfm_item("05:10:00", catalogues.EQUI7, exclusion_mask="a.tif")
    item["bbox"] = bbox
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))

    def search() -> list[str]:
        return [i.id for i in stac.search(path, ACROSS, catalogues.DAY, default=xf.stac.EODC)]

    if found:
        assert search() == [item["id"]]
    else:
        with pytest.raises(LookupError):
            search()


def test_a_box_that_is_none_names_the_item(tmp_path: Path) -> None:
    item = catalogues.gfm_item("05:10:00", catalogues.EQUI7) | {"bbox": [1, 2, 3]}
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))
    with pytest.raises(ValueError, match=rf"item '{item['id']}'.*\[1, 2, 3\].*correct it"):
        stac.search(path, ACROSS, catalogues.DAY, default=xf.stac.EODC)


@pytest.mark.parametrize("text", ["{", "7", "{}", '{"type": "Feature"}'])
def test_a_file_that_is_no_catalogue_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "items.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path} is no item collection.*items="):
        stac.search(path, ACROSS, catalogues.DAY, default=xf.stac.EODC)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"assets": {"exclusion_mask": {"title": "a"}}}, "KeyError: 'href'"),
        ({"assets": {"exclusion_mask": {"href": None}}}, "TypeError"),
        ({"properties": {"datetime": None}}, "datetime"),
        ({"type": None}, "TypeError"),
    ],
)
def test_an_item_that_is_none_is_named(fields: dict[str, Any], said: str) -> None:
    item = catalogues.gfm_item("05:10:00", catalogues.EQUI7) | fields
    with pytest.raises(ValueError, match=f"items= has '{item['id']}'.*{said}.*leave it out"):
        stac.as_items([item])


def test_items_in_place_of_a_catalogue_are_refused_with_the_mend() -> None:
    items: Any = pystac.ItemCollection([])
    with pytest.raises(TypeError, match="catalog= takes .* not a ItemCollection.*items="):
        stac.catalog_profile(items, xf.stac.EODC)
