"""Which acquisition is that of a retrieval, and which processing of it is used."""

import copy
import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests import catalogues as c
from xfusion.demo.server import serve
from xfusion.masks.grouping import grouped_by_pass
from xfusion.stac import as_items

ES = xf.stac.EARTH_SEARCH
OLD, NEW = c.landscape(seed=4), c.landscape(seed=5)


def mask_of(*scenes: c.Scene, added: float = 0.0) -> np.ndarray:
    """The mask of the first of two that saw a pixel: with a class, red and near infrared."""
    first, second = scenes
    expected: np.ndarray = np.where(
        sees(second) & ~sees(first), second.mask(added), first.mask(added)
    )
    return expected


def sees(scene: c.Scene) -> np.ndarray:
    observed: np.ndarray = (scene.red > 0) & (scene.nir > 0)
    return observed & (scene.scl > 0).repeat(2, 0).repeat(2, 1)


@pytest.fixture(scope="module")
def hrefs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("processings")
    return {n: c.stored(s, folder / n, raw=False) for n, s in (("old", OLD), ("new", NEW))}


@pytest.fixture
def pair(hrefs: dict[str, dict[str, str]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two processings of one scene; the older has the smaller id."""
    old = c.earth_search(OLD, hrefs["old"], name="a")
    new = c.earth_search(NEW, hrefs["new"], name="b")
    return old, new


# The moment of a retrieval


@pytest.fixture(scope="module")
def high_latitudes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two passes of a day: the first sees the ground, the second its clouds."""
    folder = tmp_path_factory.mktemp("passes")
    items = []
    for name, time, scl in (("first", "13:28:00", 6), ("second", "15:07:00", 9)):
        scene = c.flat(200, scl)
        scene = dataclasses.replace(scene, nir=scene.red)
        stored = c.stored(scene, folder / name, raw=False)
        items.append(
            c.earth_search(scene, stored, name=name, time=f"{c.DAY}T{time}Z", baseline="02.12")
        )
    return items


MOMENTS = [
    ("15:07", "second", 1, 0),
    ("15:20", "second", 1, 1),
    ("13:28:30", "first", 0, 0),
    ("14:10", "first", 0, 1),
    (None, "first second", 0, 0),
]


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize(("time", "used", "flag", "warnings"), MOMENTS)
@pytest.mark.parametrize("chunks", [None, {"y": 20}])
def test_a_retrieval_of_a_moment_is_masked_by_the_pass_of_that_moment(
    high_latitudes: list[dict[str, Any]],
    tmp_path: Path,
    time: str | None,
    used: str,
    flag: int,
    warnings: int,
    chunks: dict[str, int] | None,
) -> None:
    moment = c.DAY if time is None else f"{c.DAY}T{time}"
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": high_latitudes}))
    ways: list[tuple[str, dict[str, Any]]] = [
        (moment, {"items": high_latitudes}),
        ("2023-06-25T01:00", {"items": high_latitudes, "datetime": moment}),
        (moment, {"items": None}),
    ]
    for own, options in ways:
        profile = ES if options["items"] else dataclasses.replace(ES, url=str(path))
        like = c.retrieval(time=own, chunks=chunks)
        masked, said = c.attach_s2(options.pop("items"), profile, like, **options)
        assert set(np.unique(masked["mask"])) == {flag}
        assert masked.attrs["mask_items"] == used
        assert ["the nearest of 2 passes is" in warning for warning in said] == [True] * warnings


def test_a_pass_an_orbit_away_does_not_stand_for_the_one_that_is_missing(
    high_latitudes: list[dict[str, Any]],
) -> None:
    like = c.retrieval(time=f"{c.DAY}T15:07")
    with pytest.raises(LookupError, match=r"nearest of 1 passes is 1:39:00.*datetime='2023-06-20'"):
        c.attach_s2(high_latitudes[:1], ES, like)
    masked, _ = c.attach_s2(high_latitudes[:1], ES, like, datetime=c.DAY)
    assert (masked["mask"] == 0).all()


def test_each_time_of_a_cube_has_the_pass_of_its_own(high_latitudes: list[dict[str, Any]]) -> None:
    times = np.array([f"{c.DAY}T13:28", f"{c.DAY}T15:07"], "datetime64[ns]")
    cube = xr.concat([c.retrieval(time=str(t)) for t in times], "time")
    masked, _ = c.attach_s2(high_latitudes, ES, cube)
    assert [set(np.unique(mask)) for mask in masked["mask"]] == [{0}, {1}]


# Two processings of one scene

STATEMENTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "baseline": ({"s2:processing_baseline": "05.09"}, {"s2:processing_baseline": "05.10"}),
    "baseline as a number": ({"s2:processing_baseline": 5.09}, {"s2:processing_baseline": 5.1}),
    "of v0": ({"sentinel:processing_baseline": "02.14"}, {"sentinel:processing_baseline": "04.00"}),
    "one alone": ({}, {"s2:processing_baseline": "02.14"}),
    "version": ({"processing:version": "05.09"}, {"processing:version": "05.11"}),
    "another prefix": ({"x:processing_baseline": "N0509"}, {"x:processing_baseline": "N0511"}),
    "time": (
        {"s2:processing_baseline": "05.09", "s2:generation_time": "2023-06-21T00:00:00Z"},
        {"s2:processing_baseline": "05.09", "s2:generation_time": "2023-06-20T23:00:00-03:00"},
    ),
    "baseline before time": (
        {"s2:processing_baseline": "05.09", "processing:datetime": "2025-01-01T00:00:00Z"},
        {"s2:processing_baseline": "05.10", "processing:datetime": "2024-01-01T00:00:00Z"},
    ),
    "product": (
        {"s2:product_uri": "S2A_MSIL2A_20230620T100607_N0509_R022_T33TXN_20240101T000000.SAFE"},
        {"s2:product_uri": "S2A_MSIL2A_20230620T100607_N0510_R022_T33TXN_20230621T000000.SAFE"},
    ),
    "product without baseline": (
        {"s2:product_uri": "S2A_MSIL2A_20230620T100607_R022_T33TXN_20230621T000000"},
        {"s2:product_uri": "S2A_MSIL2A_20230620T100607_R022_T33TXN_20241006T080531"},
    ),
    "made": ({"created": "2023-06-21T00:00:00Z"}, {"created": "2023-06-22T00:00:00Z"}),
    "sequence": ({"s2:sequence": "9"}, {"s2:sequence": "10"}),
    "nonsense": (
        {"s2:processing_baseline": None, "created": 7},
        {"s2:processing_baseline": "05.09", "created": [], "s2:generation_time": "x"},
    ),
}


@pytest.mark.some(one_in=5)
@pytest.mark.parametrize("how", STATEMENTS)
@pytest.mark.parametrize("time", [c.DAY, f"{c.DAY}T10:06"])
def test_the_newer_of_two_processings_is_used_and_both_are_one_pass(
    pair: tuple[dict[str, Any], dict[str, Any]], how: str, time: str
) -> None:
    for item, facts in zip(pair, STATEMENTS[how], strict=True):
        item["properties"] |= facts
    expected = mask_of(NEW, OLD)
    assert (expected != mask_of(OLD, NEW)).mean() > 0.2
    assert ((NEW.mask() != 0) & (OLD.mask() == 0) & (expected != 0)).any()
    for names, order in itertools.product(("ab", "ba"), (1, -1)):
        for item, name in zip(pair, names, strict=True):
            item["id"] = name
        masked, _ = c.attach_s2([*pair][::order], ES, c.retrieval(time=time), offset=0)
        np.testing.assert_array_equal(masked["mask"], expected)


def test_two_processings_are_one_pass_whenever_they_say_to_be_from(
    pair: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """The one says when its tile was seen, the other when the satellite began to look."""
    for item, baseline, time in zip(
        pair, ("02.14", "05.00"), ("10:06:07", "10:30:00"), strict=True
    ):
        item["properties"] |= {
            "datetime": f"{c.DAY}T{time}Z",
            "s2:datatake_id": f"GS2A_20230620T100559_041743_N{baseline}",
            "s2:processing_baseline": baseline,
        }
    masked, _ = c.attach_s2(pair, ES, offset=0)
    np.testing.assert_array_equal(masked["mask"], mask_of(NEW, OLD))
    # what another satellite saw minutes later is no processing of it
    other = copy.deepcopy(pair)
    other[1]["properties"]["s2:datatake_id"] = "GS2B_20230620T101000_041743_N05.00"
    other[1]["properties"]["datetime"] = f"{c.DAY}T10:12:00Z"
    assert [[i.id for i in items] for items in grouped_by_pass(as_items(other))] == [["a"], ["b"]]
    masked, _ = c.attach_s2(other, ES, offset=0)
    usable = (OLD.mask() == 0) | (NEW.mask() == 0)
    np.testing.assert_array_equal(masked["mask"] == 0, usable)


def test_a_newer_processing_that_lacks_an_asset_leaves_the_pixels_to_the_older(
    pair: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for item, facts in zip(pair, STATEMENTS["baseline"], strict=True):
        item["properties"] |= facts
    del pair[1]["assets"]["scl"]
    masked, _ = c.attach_s2(pair, ES, offset=0)
    np.testing.assert_array_equal(masked["mask"], OLD.mask())


@pytest.mark.parametrize("apart", ["processing", "nothing", "place", "moment"])
def test_a_frame_that_was_processed_again_excludes_what_the_newer_excludes(
    tmp_path: Path, apart: str
) -> None:
    """But not what the older did, unless it is another frame, or nothing says which is newer."""
    rng = np.random.default_rng(0)
    frames = [rng.choice(np.array([0, 1, 255], np.uint8), c.EQUI7.shape) for _ in "ab"]
    grid = c.EQUI7
    items = []
    for name, frame, created in zip("ab", frames, ("2023-06-21", "2024-01-01"), strict=True):
        href = c.write(tmp_path / f"{name}.tif", frame, grid)
        found = c.gfm_item("05:10:00", grid, exclusion_mask=href)
        found["id"] = name
        if apart != "nothing":
            found["properties"]["processing:datetime"] = f"{created}T00:00:00Z"
        items.append(found)
    if apart == "place":
        del items[1]["properties"]["proj:transform"]
    if apart == "moment":
        items[1]["properties"]["datetime"] = f"{c.DAY}T05:10:25Z"
    newest = np.where(frames[1] == 255, frames[0], frames[1])
    expected = c.gfm_flags(newest) if apart == "processing" else c.gfm_flags(*frames)
    for order in (items, items[::-1]):
        for chunks in (None, {"y": 17}):
            masked, _ = c.attach_gfm(order, c.DAY, chunks=chunks)
            np.testing.assert_array_equal(masked["mask"], expected)


# What items say of their offset

APPLIED: list[tuple[dict[str, Any], bool]] = [
    ({f"{prefix}boa_offset_applied": value}, applied)
    for prefix in ("earthsearch:", "sentinel:", "sentinel2:", "s2:", "x:", "")
    for value, applied in ((True, True), (False, False), ("true", True), ("False", False))
]
BASELINES: list[tuple[dict[str, Any], float]] = [
    ({f"{prefix}processing_baseline": value}, offset)
    for prefix in ("s2:", "sentinel:", "sentinel2:", "earthsearch:", "x:", "")
    for value, offset in (
        *(("04.00", -1000), ("05.11", -1000), (4, -1000), (5.1, -1000), ("N0510", -1000)),
        *(("03.01", 0), ("02.14", 0), (3.01, 0)),
    )
]


@pytest.mark.some(one_in=7)
@pytest.mark.parametrize(("facts", "offset"), BASELINES)
def test_the_baseline_is_read_whatever_its_prefix(
    pair: tuple[dict[str, Any], dict[str, Any]], facts: dict[str, Any], offset: float
) -> None:
    item, _ = pair
    item["properties"] |= facts
    for way in ("metadata", "auto"):
        masked, said = c.attach_s2([item], ES, offset=way)
        assert json.loads(masked.attrs["mask_offsets"])["a"].startswith(f"{offset:g} (processing")
        np.testing.assert_array_equal(masked["mask"], OLD.mask(offset))
        assert not said


@pytest.mark.some(one_in=5)
@pytest.mark.parametrize(("facts", "applied"), APPLIED)
def test_whether_the_offset_was_applied_is_read_whatever_its_prefix(
    pair: tuple[dict[str, Any], dict[str, Any]], facts: dict[str, Any], *, applied: bool
) -> None:
    item, _ = pair
    item["properties"] |= facts | {"sentinel:processing_baseline": "04.00"}
    masked, _ = c.attach_s2([item], ES, offset="metadata")
    offset = 0 if applied else -1000
    assert f"boa_offset_applied says {offset:g}" in masked.attrs["mask_offsets"]
    np.testing.assert_array_equal(masked["mask"], OLD.mask(offset))


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize(
    "junk", [None, True, [], {}, "", "\udc80", 10**400, "9" * 5000, float("nan"), "x", "2023-99-99"]
)
def test_what_says_nothing_of_a_processing_is_passed_over(
    pair: tuple[dict[str, Any], dict[str, Any]], junk: Any
) -> None:
    for item, facts in zip(pair, STATEMENTS["version"], strict=True):
        item["assets"]["red"]["raster:bands"] = [{"scale": junk, "offset": junk}]
        names = ("s2:processing_baseline", "sentinel:processing_baseline", "created", "s2:sequence")
        item["properties"] |= dict.fromkeys(names, junk) | facts
        item["properties"] |= {"s2:datatake_id": junk, "s2:product_uri": junk}
    masked, _ = c.attach_s2(pair, ES, offset="metadata")
    np.testing.assert_array_equal(masked["mask"], mask_of(NEW, OLD, added=-1000))


def test_what_an_item_says_both_ways_it_does_not_say(
    pair: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    item, _ = pair
    item["properties"] |= {
        "earthsearch:boa_offset_applied": True,
        "s2:boa_offset_applied": False,
        "s2:processing_baseline": "04.00",
    }
    masked, _ = c.attach_s2([item], ES, offset="metadata")
    assert json.loads(masked.attrs["mask_offsets"])["a"].startswith("-1000 (processing baseline")


def test_two_items_of_one_id_keep_their_own_offsets(tmp_path: Path) -> None:
    """One of two halves has the 1000 in its numbers; with the other's offset it would be wrong."""
    scene = c.landscape(seed=6)
    items = []
    for name, columns, raw in (("west", slice(0, 32), False), ("east", slice(32, 64), True)):
        geobox = scene.geobox[:, columns]
        half = slice(columns.start // 2, columns.stop // 2)
        part = c.Scene(scene.red[:, columns], scene.nir[:, columns], scene.scl[:, half], geobox)
        items.append(
            c.earth_search(
                part,
                c.stored(part, tmp_path / name, raw=raw),
                name="same",
                baseline="05.09" if raw else "02.14",
            )
        )
    for asset in (asset for each in items for asset in each["assets"].values()):
        asset["href"] = Path(asset["href"]).as_uri()
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with serve(path) as url:
        for order in (items, items[::-1], None):
            profile = ES if order else dataclasses.replace(ES, url=url)
            masked, said = c.attach_s2(order, profile)
            np.testing.assert_array_equal(masked["mask"], scene.mask())
            assert masked.attrs["mask_items_found"] == 2
            text = json.loads(masked.attrs["mask_offsets"])["same"]
            assert "-1000 (processing baseline says -1000)" in text
            assert "0 (processing baseline says 0)" in text.replace("-1000", "")
            assert not said
