"""Records of items with values of any kind in any place: an error that names the item, or none."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pystac_client import Client

import xfusion as xf
from tests import catalogues as c
from tests.faults.assets import AROUND, DAY
from tests.faults.test_searches_in_full import an_api, page
from xfusion import stac
from xfusion.stac.untrusted import asset_href, check_hrefs

LAWFUL = (LookupError, OSError, ValueError)
NAMES: list[Any] = [None, 7, 7.5, True, [], ["a"], {}, {"a": 1}, "", "\udc80", "a\x00b", "a\nb"]
VALUES: list[Any] = [
    *(None, 7, -1, 1e400, float("nan"), True, "text", "", "\udc80", "a\x00"),
    *([], [7], [None], ["a"], [[]], {}, {"a": 7}, {"a": None}, [{}], [{"a": 7}]),
]
# where a value is put: keys from the record inwards
PLACES: list[tuple[str, ...]] = [
    ("type",),
    ("stac_version",),
    ("stac_extensions",),
    ("geometry",),
    ("bbox",),
    ("collection",),
    ("links",),
    ("properties",),
    ("assets",),
    ("properties", "datetime"),
    ("properties", "start_datetime"),
    ("properties", "created"),
    ("properties", "proj:wkt2"),
    ("properties", "proj:code"),
    ("properties", "proj:epsg"),
    ("properties", "proj:shape"),
    ("properties", "proj:transform"),
    ("assets", "exclusion_mask"),
    ("assets", "exclusion_mask", "href"),
    ("assets", "exclusion_mask", "type"),
    ("assets", "exclusion_mask", "roles"),
    ("assets", "exclusion_mask", "alternate"),
    ("assets", "exclusion_mask", "proj:shape"),
    ("assets", "exclusion_mask", "proj:transform"),
    ("assets", "another"),
]


@pytest.fixture(scope="module")
def href(tmp_path_factory: pytest.TempPathFactory) -> str:
    mask = np.zeros(c.EQUI7.shape, np.uint8)
    return c.write(tmp_path_factory.mktemp("mask") / "mask.tif", mask, c.EQUI7)


def record(href: str, place: tuple[str, ...] = (), value: Any = None) -> dict[str, Any]:
    found = copy.deepcopy(c.gfm_item("05:10:00", c.EQUI7, exclusion_mask=href))
    inner: Any = found
    for key in place[:-1]:
        inner = inner[key]
    if place:
        inner[place[-1]] = value
    return found


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_a_value_of_another_kind_is_no_error_or_one_that_names_the_item(
    href: str, place: tuple[str, ...], value: Any
) -> None:
    found = record(href, place, value)
    try:
        c.attach_gfm([found], c.DAY)
    except LAWFUL as error:
        said = str(error)
        assert any(part in said for part in (found["id"], "mask.tif", "text", "'GFM'")), said


@pytest.mark.parametrize("name", NAMES, ids=repr)
@pytest.mark.parametrize("given_as", ["record", "item", "file", "api", "client"])
def test_an_id_that_names_nothing_is_refused_by_what_it_is(
    given_as: str, name: Any, href: str, tmp_path: Path
) -> None:
    found = record(href, ("id",), name)
    features = page([]) | {"features": [found | {"bbox": [-180, -90, 180, 90]}]}
    if given_as in ("record", "item"):
        whole = stac.as_items([record(href)])[0]
        whole.id = name
        with pytest.raises(ValueError, match="items= has .*no text that names it.*leave it out"):
            stac.as_items([found if given_as == "record" else whole])
    elif given_as == "file":
        path = tmp_path / "items.json"
        path.write_text(json.dumps(features))
        with pytest.raises(ValueError, match=f"{path} is no item collection.*id is no text"):
            stac.search(path, AROUND, DAY, default=xf.stac.EODC)
    else:
        with an_api(lambda *_: features) as (url, _):
            catalog: Any = url if given_as == "api" else Client.open(url)
            with pytest.raises(ConnectionError, match=rf"{url} failed.*id is no text"):
                stac.search(catalog, AROUND, DAY, default=xf.stac.EODC)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.sampled_from([*PLACES, ("id",)]), value=JSON)
def test_any_json_in_any_place_of_a_file_is_read_or_refused(
    tmp_path: Path, place: tuple[str, ...], value: Any
) -> None:
    path = tmp_path / "items.json"
    features = [record("a.tif", place, value)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    try:
        items = stac.search(path, c.EQUI7, c.DAY, default=xf.stac.EODC)
        whole, _ = stac.complete_items(items, xf.stac.EODC)
        check_hrefs(whole, xf.stac.EODC, allow_local=False, origin=str(path))
    except LAWFUL as error:
        assert str(path) in str(error) or "item '" in str(error)  # noqa: PT017  # or there is none


@pytest.mark.parametrize(
    "items", [7, True, [7], [None], ["a"], [[]], {"features": 7}, {"features": [7]}, b"{}"]
)
def test_what_is_no_items_is_told(items: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="items="):
        stac.as_items(items)


@pytest.mark.parametrize(
    "name",
    ["\udc80.tif", "a\x00.tif", "http://h/\udc80.tif", "http://h/a\x00.tif", "http://h\x00/"],
)
@pytest.mark.parametrize("allow_local", [True, False])
def test_an_href_that_no_reader_can_take_names_the_item(name: str, allow_local: bool) -> None:
    with pytest.raises(ValueError, match="'exclusion_mask' of item .*never opened") as error:
        c.attach_gfm([record(name)], c.DAY, allow_local=allow_local)
    str(error.value).encode()


@pytest.mark.parametrize("place", ["http://[::1/x.json", "http://h/\udc80", "file:///a\x00/x.json"])
def test_a_place_of_an_item_that_is_none_names_it_or_does_no_harm(href: str, place: str) -> None:
    found = record("a.tif")
    found["links"] = [{"rel": "self", "href": place}]
    with pytest.raises(ValueError, match=r"'exclusion_mask' of item .*allow_local=True"):
        c.attach_gfm([found], c.DAY, allow_local=False)
    found = record(href)
    found["links"] = [{"rel": "self", "href": place}]
    masked, _ = c.attach_gfm([found], c.DAY)
    assert "mask_links" not in masked.attrs


# Catalogues


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"collection": None}, "collection=None.*give its id, or a list of several"),
        ({"collection": 7}, "collection=7.*give its id, or a list of several"),
        ({"collection": ""}, "collection=''.*give its id, or a list of several"),
        ({"collection": []}, r"collection=\[\].*give its id, or a list of several"),
        ({"collection": ["a", 7]}, r"collection=\['a', 7\].*give its id, or a list of several"),
        ({"url": None}, "url= of a Catalog is None.*the URL of a STAC API"),
        ({"url": 7}, "url= of a Catalog is 7"),
        ({"url": ["http://h"]}, "url= of a Catalog is"),
        ({"assets": ["red"]}, "assets=.*give a mapping of bands"),
        ({"assets": {"red": ["B04"]}}, "assets=.*give a mapping of bands"),
        ({"assets": "red"}, "assets=.*give a mapping of bands"),
    ],
)
def test_a_catalog_of_other_kinds_is_refused_with_the_mend(
    fields: dict[str, Any], said: str
) -> None:
    known: dict[str, Any] = {"url": "http://h", "collection": "GFM", "assets": {"red": "B04"}}
    with pytest.raises(ValueError, match=said):
        xf.Catalog(**known | fields)


def test_a_client_in_place_of_its_url_is_told_where_it_belongs() -> None:
    client: Any = Client(id="a", description="b")
    with pytest.raises(ValueError, match="url= of a Catalog is a Client.*pass .* as catalog="):
        xf.Catalog(url=client, collection="GFM", assets={})


def test_a_path_in_place_of_a_url_is_one(tmp_path: Path) -> None:
    path: Any = tmp_path / "items.json"
    assert xf.Catalog(url=path, collection="GFM", assets={}).url == str(path)


@pytest.mark.parametrize("place", [None, "./x.json", "sub/x.json", "{folder}/sub/x.json"])
@pytest.mark.parametrize("name", ["mask.tif", "./mask.tif", "other/../mask.tif", "a b;1#2.tif"])
def test_relative_hrefs_of_a_file_are_relative_to_it(
    tmp_path: Path, name: str, place: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the program is run; a place that an item says is one beside the file."""
    folder = tmp_path / "sub" if place is not None and "sub" in place else tmp_path
    folder.mkdir(exist_ok=True)
    mask = np.random.default_rng(5).integers(0, 2, c.EQUI7.shape).astype(np.uint8)
    c.write(folder / Path(name).name, mask, c.EQUI7)
    found = record(name)
    if place is not None:
        found["links"] = [{"rel": "self", "href": place.format(folder=tmp_path)}]
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [found]}))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for catalog in (path, path.as_uri(), Path("../items.json")):
        like = c.retrieval(c.EQUI7, time=c.DAY)
        masked = like.fusion.attach_gfm_mask(catalog=catalog, datetime=c.DAY)
        np.testing.assert_array_equal(masked["mask"], c.gfm_flags(mask))


@pytest.mark.parametrize("name", ["GTIFF_DIR:1:a.tif", "%2Fvsicurl/http://h/a.tif", "vrt:a.tif"])
def test_names_of_gdal_are_no_relative_hrefs(tmp_path: Path, name: str) -> None:
    path = tmp_path / "items.json"
    features = [record(name)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    like = c.retrieval(c.EQUI7, time=c.DAY)
    with pytest.raises(ValueError, match="never opened"):
        like.fusion.attach_gfm_mask(catalog=path, datetime=c.DAY)


def test_an_item_of_the_web_keeps_its_files_on_the_web(tmp_path: Path) -> None:
    found = record("mask.tif")
    found["links"] = [{"rel": "self", "href": "https://example.org/items/x.json"}]
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [found]}))
    (item,) = stac.search(path, c.EQUI7, c.DAY, default=xf.stac.EODC)
    assert asset_href(item, "exclusion_mask") == "https://example.org/items/mask.tif"
