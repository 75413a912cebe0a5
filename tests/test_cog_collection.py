"""The STAC collection of a series: valid, true of its items, and made longer, never spoilt."""

import json
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import obstore.store
import odc.stac
import pystac
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests import stac_schemas
from tests.laziness import nothing_computes
from tests.test_cog_moving import at_move, fail
from xfusion.cog import objects
from xfusion.cog.collection import _box

UTM = GeoBox.from_bbox((500_000, 5_300_000, 500_080, 5_300_060), "EPSG:32633", resolution=10)
JUNE, JULY = ("2023-06-20T05:10:31", "2023-06-01"), ("2023-07-02", "2023-07-14")
STARTS = {"2023-06-01T00:00:00Z", "2023-06-20T05:10:31Z", "2023-07-02T00:00:00Z"}


def scene(time: str, geobox: GeoBox = UTM) -> xr.Dataset:
    rng = np.random.default_rng(int(time[5:7] + time[8:10]))
    mu = xr_zeros(geobox, dtype="float32")
    mu = mu.copy(data=rng.random(mu.shape, np.float32)).assign_attrs(units="1", long_name="water")
    return xf.retrieval(mu, mu / 5 + 0.1, mu > 0.9, sensor="sentinel-1", time=time)


def cube(*times: str, geobox: GeoBox = UTM) -> xr.Dataset:
    return xf.stack([scene(time, geobox) for time in times])


def written(series: xr.Dataset, folder: Path, **options: Any) -> pystac.Collection:
    files = series.fusion.to_cog(folder, progress=False, **options)
    assert files["collection"].name == f"{options.get('prefix', '')}collection.json"
    return checked(files["collection"])


def checked(path: Path) -> pystac.Collection:
    """Return a collection that is valid, and whose items are, and lead back to it."""
    collection = pystac.Collection.from_file(path)
    stac_schemas.validate(collection)
    fields = json.loads(path.read_text())
    assert all(
        link["href"].startswith("./") for link in fields["links"] if link["rel"] != "license"
    )
    assert "self" not in {link["rel"] for link in fields["links"]}
    for item in collection.get_items():
        stac_schemas.validate(item)
        assert item.collection_id == collection.id
        assert item.get_collection() is not None
        links = {link["rel"]: link["href"] for link in item.to_dict(transform_hrefs=False)["links"]}
        for rel in ("root", "parent", "collection"):
            assert Path(links[rel]).name == path.name
    return collection


def times_of(collection: pystac.Collection) -> list[str]:
    return [item.properties["datetime"] for item in collection.get_items()]


def test_a_cube_has_a_collection_of_its_items_with_their_extents(tmp_path: Path) -> None:
    collection = written(cube(*JUNE), tmp_path / "water")
    assert collection.id == "water"
    assert times_of(collection) == ["2023-06-01T00:00:00Z", "2023-06-20T05:10:31Z"]
    fields = collection.to_dict()
    assert fields["extent"]["temporal"]["interval"] == [
        ["2023-06-01T00:00:00Z", "2023-06-20T05:10:31Z"]
    ]
    item = next(iter(collection.get_items()))
    assert fields["extent"]["spatial"]["bbox"] == [item.bbox]
    assert "sentinel-1" in collection.description
    # nothing that nobody said
    assert collection.license == "other"
    assert collection.keywords is None
    assert collection.providers is None
    assets = fields["item_assets"]
    assert {*assets} == {"mu", "sigma", "mask"}
    assert assets["mu"]["bands"] == [
        {"name": "mu", "data_type": "float32", "nodata": "nan", "unit": "1"}
    ]
    assert assets["mask"]["roles"] == ["data-mask"]
    assert "href" not in assets["mu"]


def test_of_one_retrieval_or_without_items_there_is_no_collection(tmp_path: Path) -> None:
    assert "collection" not in scene("2023-06-20").fusion.to_cog(tmp_path / "a", progress=False)
    files = cube(*JUNE).fusion.to_cog(tmp_path / "b", progress=False, item=False)
    assert "collection" not in files
    of_one = cube(*JUNE).isel(time=[0])
    assert len(times_of(written(of_one, tmp_path / "c", prefix="s1_"))) == 1


@pytest.mark.parametrize("prefix", ["", "s1_"])
def test_the_cube_is_read_back_through_the_collection(prefix: str, tmp_path: Path) -> None:
    series = cube(*JUNE, *JULY)
    collection = written(series.chunk(time=1, y=3), tmp_path / "out", prefix=prefix)
    items = sorted(collection.get_items(), key=lambda item: str(item.datetime))
    loaded = odc.stac.load(items, bands=["mu", "sigma", "mask"], geobox=UTM)
    np.testing.assert_array_equal(loaded.time, series.time.astype("datetime64[s]"))
    for name in ("mu", "sigma", "mask"):
        np.testing.assert_array_equal(loaded[name], series[name])
    hrefs = [
        [item.assets[name].get_absolute_href() for item in items]
        for name in ("mu", "sigma", "mask")
    ]
    opened: list[Any] = [[str(href) for href in of] for of in hrefs]
    back = xf.open_series(*opened)
    xr.testing.assert_equal(back.drop_vars("spatial_ref"), series.drop_vars("spatial_ref"))
    assert back.attrs["sensor"] == "sentinel-1"


def test_a_later_part_of_a_series_makes_its_collection_longer(tmp_path: Path) -> None:
    written(cube(*JUNE), tmp_path, prefix="s1_")
    # of others in the same folder, and of a retrieval alone
    written(cube("2022-01-01"), tmp_path, prefix="s2_")
    scene("2021-01-01").fusion.to_cog(tmp_path, prefix="s1_20210101T000000_", progress=False)
    other = UTM.translate_pix(1000, 0)
    collection = written(cube(*JULY, geobox=other), tmp_path, prefix="s1_")
    assert len(times_of(collection)) == 4
    assert {*times_of(collection)} > STARTS
    fields = collection.to_dict()["extent"]
    assert fields["temporal"]["interval"] == [["2023-06-01T00:00:00Z", "2023-07-14T00:00:00Z"]]
    boxes = np.array([item.bbox for item in collection.get_items()])
    expected = [*boxes.min(0)[:2], *boxes.max(0)[2:]]
    assert fields["spatial"]["bbox"] == [pytest.approx(expected)]
    assert len(times_of(checked(tmp_path / "s2_collection.json"))) == 1
    # the same again, replaced, is there once; what was removed is no more in it
    for path in tmp_path.glob("s1_20230601*"):
        path.unlink()
    again = written(cube(*JULY), tmp_path, prefix="s1_", overwrite=True)
    assert len(times_of(again)) == 3
    with nothing_computes(), pytest.raises(FileExistsError, match="20230702T000000_mu.tif"):
        cube(*JULY).chunk().fusion.to_cog(tmp_path, prefix="s1_", progress=False)


def test_what_somebody_has_added_to_a_collection_stays(tmp_path: Path) -> None:
    path = tmp_path / "collection.json"
    written(cube(*JUNE), tmp_path)
    fields = json.loads(path.read_text())
    added = {
        "title": "Water",
        "license": "CC-BY-4.0",
        "keywords": ["flood"],
        "providers": [{"name": "TU Wien"}],
    }
    link = {"rel": "license", "href": "https://creativecommons.org/licenses/by/4.0/"}
    fields |= added
    fields["links"].append(link)
    path.write_text(json.dumps(fields))
    for options in ({}, {"overwrite": True}):
        collection = written(cube(*JULY), tmp_path, **options)
        kept = json.loads(path.read_text())
        assert {name: kept[name] for name in added} == added
        assert kept["links"].count(link) == 1
        assert len(times_of(collection)) == 4


@pytest.mark.parametrize(
    "content", ["mine", "[]", '{"type": "Collection", "id": "theirs"}', '{"id": "water"}']
)
def test_another_file_of_that_name_is_kept_before_anything_is_computed(
    content: str, tmp_path: Path
) -> None:
    folder = tmp_path / "water"
    folder.mkdir()
    path = folder / "collection.json"
    path.write_text(content)
    with nothing_computes(), pytest.raises(FileExistsError, match="is not the collection 'water'"):
        cube(*JUNE).chunk().fusion.to_cog(folder, progress=False)
    assert path.read_text() == content
    assert [*folder.iterdir()] == [path]
    assert len(times_of(written(cube(*JUNE), folder, overwrite=True))) == 2


def test_a_folder_of_that_name_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "collection.json").mkdir()
    with nothing_computes(), pytest.raises(FileExistsError, match="is a folder"):
        cube(*JUNE).chunk().fusion.to_cog(tmp_path, progress=False, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["collection.json"]


@pytest.mark.parametrize(
    "spoilt", ["{", '{"collection": "out"}', '{"collection": "out", "id": "x", "bbox": 1}', "[]"]
)
def test_an_item_that_somebody_spoilt_does_not_spoil_the_collection(
    spoilt: str, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    written(cube(*JUNE), folder)
    (folder / "20230601T000000_item.json").write_text(spoilt)
    with pytest.warns(UserWarning, match=r"20230601T000000_item.json is left out"):
        files = cube(*JULY).fusion.to_cog(folder, progress=False)
    assert len(times_of(checked(files["collection"]))) == 3


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


MOVES = 1 + 1 + 6 + 2 + 1  # collection anew, the old one away, rasters, items, collection in


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("number", range(MOVES))
def test_a_move_that_fails_leaves_the_collection_as_it_was(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(cube(*JUNE), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", at_move(number, fail))
        with pytest.raises(PermissionError):
            cube(*JULY).fusion.to_cog(tmp_path, progress=False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert len(times_of(written(cube(*JULY), tmp_path))) == 4


def work(folder: str, number: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", at_move(number, lambda: os._exit(9)))
        cube(*JULY).fusion.to_cog(folder, progress=False)


@pytest.mark.some(one_in=3)
@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, 2, 5, 9, 10])
def test_what_a_killed_run_was_moving_has_its_collection(number: int, tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    written(cube(*JUNE), tmp_path)
    killed = processes.Process(target=work, args=(str(tmp_path), number))
    killed.start()
    killed.join(120)
    assert killed.exitcode == 9
    # the next run of other files moves the rest
    scene("2021-01-01").fusion.to_cog(tmp_path, prefix="other_", progress=False)
    assert not [*tmp_path.glob(".xfusion-*")]
    assert len(times_of(checked(tmp_path / "collection.json"))) == 4


def test_parts_that_are_written_at_once_are_all_in_the_collection(tmp_path: Path) -> None:
    days = [f"2023-06-{day:02}" for day in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        [*pool.map(lambda day: cube(day).fusion.to_cog(tmp_path, progress=False), days)]
    assert len(times_of(checked(tmp_path / "collection.json"))) == 8
    assert len(names_in(tmp_path)) == 8 * 4 + 1


def test_a_bucket_has_the_collection_that_a_folder_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = obstore.store.MemoryStore()
    monkeypatch.setattr(objects, "object_store", lambda _: bucket)
    for times in (JUNE, JULY):
        files = cube(*times).fusion.to_cog("s3://bucket/water/", prefix="a_", progress=False)
        here = cube(*times).fusion.to_cog(tmp_path, prefix="a_", progress=False)
        assert files == {name: f"s3://bucket/water/{path.name}" for name, path in here.items()}
    for path in tmp_path.iterdir():
        assert bytes(bucket.get(path.name).bytes()) == path.read_bytes()
    bucket.put("b_collection.json", b"mine")
    with pytest.raises(FileExistsError, match="b_collection.json exists, and is not"):
        cube(*JUNE).fusion.to_cog("s3://bucket/water", prefix="b_", progress=False)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([[1, 2, 3, 4], [0, 3, 2, 5]], [0, 2, 3, 5]),
        ([[170, -10, -170, 10]], [170, -10, -170, 10]),
        ([[170, -10, -170, 10], [160, -20, 165, 0]], [160, -20, -170, 10]),
        ([[170, -10, -170, 10], [-175, 0, -160, 20]], [170, -10, -160, 20]),
        ([[170, -10, -170, 10], [-10, 0, 10, 20]], [170, -10, 10, 20]),
        ([[170, -10, -170, 10], [-180, 0, 180, 20]], [-180, -10, 180, 20]),
        ([[1, 2, 0, 3, 4, 0]], [1, 2, 3, 4]),
    ],
)
def test_a_box_around_boxes_holds_them_and_no_more(
    boxes: list[list[float]], expected: list[float]
) -> None:
    assert _box(boxes) == pytest.approx(expected)
