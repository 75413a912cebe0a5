"""Which acquisitions a mask of Global Flood Monitoring is made of: passes, frames, days."""

import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox

import xfusion as xf
from tests import catalogues as c
from tests.laziness import nothing_computes
from tests.resampling_oracle import exact_positions, inside
from xfusion.demo.server import serve

LEFT, RIGHT = ((0, 48), (0, 36)), ((0, 48), (42, 60))  # the tiles of GFM, with a gap between
BARE = ((8, 40), (24, 52))  # of an item without its mask, over both and the gap
LACKING = c.placed(np.ones((32, 28), np.uint8), *BARE) == 1


def gfm_day(
    folder: Path, nodata: float | None = None
) -> tuple[list[dict[str, Any]], dict[str, list[np.ndarray]]]:
    """Items of a day, and the frames of each pass on the whole grid, 255 where not observed.

    Two tiles with a gap between. In the morning two frames of the left tile, one of them also of
    the right tile, and an item without its asset over parts of them all; in the evening one frame.
    """
    rng = np.random.default_rng(0)
    items: list[dict[str, Any]] = []
    frames: dict[str, list[np.ndarray]] = {"05": [], "16": []}
    for time, tile, seen in (
        ("05:10:00", LEFT, slice(0, 30)),
        ("05:10:25", LEFT, slice(20, 44)),
        ("05:10:25", RIGHT, slice(10, 48)),
        ("16:45:00", LEFT, slice(0, 40)),
    ):
        geobox = c.part(c.EQUI7, *tile)
        mask, advice = np.full((2, *geobox.shape), 255, np.uint8)
        mask[seen] = rng.choice([0, 0, 0, 1], mask[seen].shape)
        advice[seen] = rng.integers(0, 4, mask[seen].shape)
        name = f"{time}{tile[1][0]}".replace(":", "")
        hrefs = {
            "exclusion_mask": c.write(folder / f"{name}.tif", mask, geobox, nodata),
            "advisory_flags": c.write(folder / f"{name}a.tif", advice, geobox, nodata),
        }
        items.append(c.gfm_item(time, geobox, tile=name, **hrefs))
        frames[time[:2]].append(np.stack([c.placed(p, *tile) for p in (mask, advice)]))
    return [*items, bare_item("05:10:50")], frames


def bare_item(time: str, *where: tuple[int, int]) -> dict[str, Any]:
    grid = c.part(c.EQUI7, *(where or BARE))
    return c.gfm_item(time, grid, ensemble_flood_extent="https://example.org/a.tif")


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("nodata", [None, 0, 255])
@pytest.mark.parametrize(
    ("time", "passes"),
    [(c.DAY, ("05", "16")), (f"{c.DAY}T05:10:10", ("05",)), (f"{c.DAY}T16:44:58", ("16",))],
)
def test_a_gfm_day_has_the_right_mask_at_every_pixel(
    tmp_path: Path, nodata: float | None, time: str, passes: tuple[str, ...]
) -> None:
    items, frames = gfm_day(tmp_path, nodata)
    expected = c.gfm_flags(*(f[0] for each in passes for f in frames[each]))
    assert {0, 16, 32} == set(np.unique(expected))
    for order in (items, items[::-1]):
        masked, said = c.attach_gfm(order, time)
        np.testing.assert_array_equal(masked["mask"], expected)
        assert [("lacks the assets" in warning) for warning in said] == [True] * ("05" in passes)
        with nothing_computes():
            lazy, _ = c.attach_gfm(order, time, chunks={"y": 17, "x": 11})
        np.testing.assert_array_equal(lazy["mask"], expected)
    assert not (expected[:, 36:42] != 32).any()


def test_the_mask_is_right_on_another_grid(tmp_path: Path) -> None:
    items, frames = gfm_day(tmp_path)
    box = c.EQUI7.geographic_extent.boundingbox
    target = GeoBox.from_bbox(box, "EPSG:4326", resolution=1.3e-4)
    u, v = exact_positions(c.EQUI7, target)
    within = inside(c.EQUI7, u, v)
    rows, columns = (np.where(within, p, 0).astype(int) for p in (v, u))
    flags = c.gfm_flags(*(frame[0] for frame in frames["05"]))
    expected = np.where(within, flags[rows, columns], 32)
    certain = (abs(u - np.round(u)) > 1e-3) & (abs(v - np.round(v)) > 1e-3)
    like = c.retrieval(target, time=f"{c.DAY}T05:10")
    masked, _ = c.warned(lambda: like.fusion.attach_gfm_mask(items=items, allow_local=True))
    assert certain.mean() > 0.98
    np.testing.assert_array_equal(masked["mask"].values[certain], expected[certain])


def test_of_two_passes_the_whole_day_or_the_nearest_is_said(tmp_path: Path) -> None:
    items, frames = gfm_day(tmp_path)
    near, said = c.attach_gfm(items, f"{c.DAY}T17:30:00")
    assert any("nearest of 2 passes is 0:45:00 from" in warning for warning in said)
    np.testing.assert_array_equal(near["mask"], c.gfm_flags(*(f[0] for f in frames["16"])))
    assert near.attrs["mask_items"].split() == [items[3]["id"]]
    both, _ = c.attach_gfm(items, f"{c.DAY}T17:30:00", datetime=c.DAY)
    np.testing.assert_array_equal(
        both["mask"],
        c.gfm_flags(*(f[0] for each in frames.values() for f in each)),
    )


@pytest.mark.parametrize("how", ["eager", "lazy", "flag"])
@pytest.mark.parametrize(
    ("time", "at", "matters"),
    [
        ("05:10:10", "05:10:50", True),
        ("05:10:10", "16:45:00", False),
        (None, "05:10:50", True),
        (None, "16:45:00", True),
    ],
)
def test_the_verdict_of_the_frames_stands_beside_an_item_without_its_mask(
    tmp_path: Path, time: str | None, at: str, how: str, *, matters: bool
) -> None:
    """Each of 255, 0 and 1 of two frames meets each of the other, in and outside the bare item."""
    rows, columns = np.indices(c.EQUI7.shape)
    values = np.array([255, 0, 1], np.uint8)
    frames = [values[index % 3] for index in (rows, columns)]
    items = [
        c.gfm_item(
            f"05:10:{second}",
            c.EQUI7,
            tile=second,
            exclusion_mask=c.write(tmp_path / f"{second}.tif", frame, c.EQUI7),
        )
        for second, frame in zip(("00", "25"), frames, strict=True)
    ]
    expected = c.gfm_flags(*frames)
    assert {0, 16, 32} == set(expected[LACKING]) == set(expected[~LACKING])
    options: dict[str, Any] = {"on_read_error": "flag"} if how == "flag" else {}
    chunks = {"y": 17, "x": 11} if how == "lazy" else None
    masked, said = c.attach_gfm(
        [*items, bare_item(at)],
        c.DAY if time is None else f"{c.DAY}T{time}",
        chunks=chunks,
        **options,
    )
    np.testing.assert_array_equal(masked["mask"], expected)
    assert any("lacks the assets ['exclusion_mask']" in warning for warning in said) == matters


def test_the_warning_of_an_item_without_its_mask_says_that_it_might_have_excluded_more(
    tmp_path: Path,
) -> None:
    items, frames = gfm_day(tmp_path)
    _, said = c.attach_gfm(items, f"{c.DAY}T05:10:10")
    assert [f"item '{items[-1]['id']}'" in w and "excluded more" in w for w in said] == [True]
    masked, said = c.attach_gfm(items[:-1], f"{c.DAY}T05:10:10")
    np.testing.assert_array_equal(masked["mask"], c.gfm_flags(*(f[0] for f in frames["05"])))
    assert not said


@pytest.mark.parametrize("time", [f"{c.DAY}T05:10:00", f"{c.DAY}T15:14:59", f"{c.DAY}T18:15:01"])
def test_a_pass_an_orbit_away_does_not_stand_for_the_acquisition(tmp_path: Path, time: str) -> None:
    items, frames = gfm_day(tmp_path)
    evening = items[3:4]
    with pytest.raises(LookupError, match="of 'GFM' the nearest of 1 passes is .* from") as error:
        c.attach_gfm(evening, time)
    for said in (time.replace("T", " "), f"{c.DAY} 16:45:00", f"datetime='{c.DAY}'"):
        assert said in str(error.value)
    expected = c.gfm_flags(*(f[0] for f in frames["16"]))
    mended, said_now = c.attach_gfm(evening, time, datetime=c.DAY)
    np.testing.assert_array_equal(mended["mask"], expected)
    assert not said_now
    for close in ("15:15:00", "18:15:00"):
        near, warned_now = c.attach_gfm(evening, f"{c.DAY}T{close}")
        np.testing.assert_array_equal(near["mask"], expected)
        assert [("is 1:30:00 from" in warning) for warning in warned_now] == [True]


@pytest.fixture(scope="module")
def midnight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, Any]]]:
    """A catalogue with a pass of each sensor that begins before midnight and ends after it.

    And its files by sensor: the frame of the eve, that of the day, and the whole grid.
    """
    folder = tmp_path_factory.mktemp("midnight")
    times = ("2023-06-19T23:59:45Z", "2023-06-20T00:00:10Z")
    items, frames = [], []
    for time, value, columns in zip(times, (0, 1), ((0, 40), (20, 60)), strict=True):
        part = (0, 48), columns
        mask = np.full((48, 40), value, np.uint8)
        frames.append(c.placed(mask, *part))
        href = c.write(folder / f"{value}.tif", mask, c.part(c.EQUI7, *part))
        found = c.gfm_item("00:00:00", c.part(c.EQUI7, *part), tile=str(value), exclusion_mask=href)
        found["properties"]["datetime"] = time
        items.append(found)
    for time, name, scl in zip(times, ("eve", "next"), (9, 6), strict=True):
        scene = c.flat(200, scl)
        scene = dataclasses.replace(scene, nir=scene.red)
        hrefs = c.stored(scene, folder / name, raw=False)
        items.append(c.earth_search(scene, hrefs, name=name, time=time, baseline="02.12"))
    for asset in (asset for each in items for asset in each["assets"].values()):
        asset["href"] = Path(asset["href"]).as_uri()
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with serve(path) as url:
        yield url, {"frames": frames, "items": items}


@pytest.mark.parametrize("time", ["2023-06-19T23:59:40", "2023-06-20T00:00:20"])
def test_a_pass_across_midnight_keeps_its_frames(
    midnight: tuple[str, dict[str, Any]], time: str
) -> None:
    url, made = midnight
    expected = c.gfm_flags(*made["frames"])
    assert {0, 16} == set(np.unique(expected))
    ways: list[dict[str, Any]] = [
        {"catalog": url},
        {"items": made["items"][:2], "allow_local": True},
    ]
    for options in ways:
        like = c.retrieval(c.EQUI7, time=time)
        masked, said = c.warned(functools.partial(like.fusion.attach_gfm_mask, **options))
        np.testing.assert_array_equal(masked["mask"], expected)
        assert not said
    given = c.retrieval(c.EQUI7, time="2023-06-25")
    masked = given.fusion.attach_gfm_mask(datetime=time, items=made["items"][:2], allow_local=True)
    np.testing.assert_array_equal(masked["mask"], expected)
    masked = c.retrieval(time=time).fusion.attach_s2_mask(catalog=url)
    assert masked.attrs["mask_items"] == "eve next"


def test_a_day_ends_at_midnight_where_a_pass_does_not(
    midnight: tuple[str, dict[str, Any]],
) -> None:
    url, made = midnight
    for day, frame, name in (
        ("2023-06-19", made["frames"][0], "eve"),
        ("2023-06-20", made["frames"][1], "next"),
    ):
        masked = c.retrieval(c.EQUI7, time=day).fusion.attach_gfm_mask(catalog=url)
        np.testing.assert_array_equal(masked["mask"], c.gfm_flags(frame))
        masked = c.retrieval(time=day).fusion.attach_s2_mask(catalog=url)
        assert masked.attrs["mask_items"] == name


def test_items_that_are_none_or_of_other_days_are_told_with_the_mend() -> None:
    empty: list[Any] = [[], iter(()), {"type": "FeatureCollection", "features": []}]
    for items in empty:
        with pytest.raises(LookupError, match="items= is empty.*'GFM'.*leave items= out.*eodc"):
            c.attach_gfm(items, c.DAY)
    with pytest.raises(
        LookupError, match="none of the 1 items= of 'GFM' is of datetime='2023-06-2"
    ):
        c.attach_gfm([bare_item("05:10:50")], c.DAY, datetime="2023-06-21")


class WithWater(xf.Sentinel1Product):
    """As a stranger would: the GFM exclusion mask, and not the water that is always there."""

    @staticmethod
    def exclusion(bands: xr.Dataset) -> xr.DataArray:
        flags = xf.gfm_exclusion(bands)
        water = bands["reference_water_mask"].isin([1, 2]) * np.uint8(xf.Exclusion.USER)
        return flags | water.astype(np.uint8)

    recipe = xf.MaskRecipe(
        exclusion=exclusion,
        bands={"exclusion_mask": "nearest", "reference_water_mask": "nearest"},
        catalog=dataclasses.replace(
            xf.stac.EODC,
            assets={name: name for name in ("exclusion_mask", "reference_water_mask")},
        ),
        combine="excluded",
    )


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("replaced", [True, False])
@pytest.mark.parametrize("how", ["eager", "lazy", "flag"])
def test_a_band_that_a_subclass_adds_leaves_excluded_what_a_frame_excludes(
    tmp_path: Path, how: str, *, replaced: bool
) -> None:
    """Every pair of values of two bands meets every other one of another frame."""
    values = np.array([0, 1, 255], np.uint8)
    index = np.arange(48 * 60).reshape(c.EQUI7.shape)
    layers = [values[index // 3**k % 3] for k in range(4)]
    items = []
    expected: Any = np.full(c.EQUI7.shape, 32)
    for time, mask, water in (("05:10:00", *layers[:2]), ("05:10:25", *layers[2:])):
        hrefs = {
            name: c.write(tmp_path / f"{name}{time[-2:]}.tif", layer, c.EQUI7)
            for name, layer in (("exclusion_mask", mask), ("reference_water_mask", water))
        }
        items.append(c.gfm_item(time, c.EQUI7, **hrefs))
        own = np.select([mask == 0, mask == 1], [0, 16], 32) | np.where(water == 1, 128, 0)
        expected = ((expected | own) & ~32) | (expected & own & 32)
    recipe = WithWater.recipe
    if replaced:
        recipe = dataclasses.replace(
            xf.Sentinel1Product.recipe,
            **{name: getattr(recipe, name) for name in ("exclusion", "bands", "catalog")},
        )
    chunks = {"y": 17, "x": 11} if how == "lazy" else None
    options: dict[str, Any] = {"on_read_error": "flag"} if how == "flag" else {}
    for order in (items, items[::-1]):
        for time in (c.DAY, f"{c.DAY}T05:10"):
            like = c.retrieval(c.EQUI7, time=time, chunks=chunks)
            masked = xf.attach_mask(like, recipe, items=order, allow_local=True, **options)
            np.testing.assert_array_equal(masked["mask"], expected)
            product = type("Product", (WithWater,), {"recipe": recipe})(dataset=like)
            masked = product.attach_mask(items=order, allow_local=True, **options)
            np.testing.assert_array_equal(masked.mask, expected)


def test_a_pass_without_its_mask_is_unknown_and_another_is_no_replacement(tmp_path: Path) -> None:
    items, _ = gfm_day(tmp_path)
    masked, said = c.attach_gfm([items[4], items[3]], f"{c.DAY}T05:10:00")
    assert (masked["mask"] == 32).all()
    assert any("lacks the assets" in warning for warning in said)
    assert any("all pixels are UNKNOWN" in warning for warning in said)


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("nodata", [None, 0, 255])
def test_advisory_flags_are_those_of_all_frames(tmp_path: Path, nodata: float | None) -> None:
    items, frames = gfm_day(tmp_path, nodata)
    time = f"{c.DAY}T05:10:10"
    stack = np.stack([frame[1] for frame in frames["05"]])
    expected = np.bitwise_or.reduce(np.where(stack == 255, 0, stack))
    expected = np.where((stack == 255).all(axis=0), 255, expected)
    assert {0, 1, 2, 3, 255} == set(np.unique(expected))
    masked, _ = c.attach_gfm(items, time, advisory_flags=True)
    plain, _ = c.attach_gfm(items, time)
    np.testing.assert_array_equal(masked["advisory_flags"], expected)
    xr.testing.assert_equal(masked.drop_vars("advisory_flags"), plain)
    with nothing_computes():
        lazy, _ = c.attach_gfm(items, time, advisory_flags=True, chunks={"y": 17, "x": 11})
        assert lazy["advisory_flags"].chunks is not None
    xr.testing.assert_identical(lazy.compute(), masked)
    product = xf.Sentinel1Product(dataset=c.retrieval(c.EQUI7, time=time))
    attached, _ = c.warned(
        lambda: product.attach_mask(items=items, advisory_flags=True, allow_local=True).dataset
    )
    np.testing.assert_array_equal(attached["advisory_flags"], expected)


def test_items_that_come_once_are_enough_for_both_layers(tmp_path: Path) -> None:
    items, _ = gfm_day(tmp_path)
    made = xf.stac.as_items(items)
    retrieval = c.retrieval(c.EQUI7)
    for attach in (
        retrieval.fusion.attach_gfm_mask,
        lambda **how: xf.Sentinel1Product(dataset=retrieval).attach_mask(**how).dataset,
    ):
        with pytest.warns(UserWarning, match="lacks the assets"):
            once = attach(items=iter(made), advisory_flags=True, allow_local=True)
        with pytest.warns(UserWarning, match="lacks the assets"):
            listed = attach(items=made, advisory_flags=True, allow_local=True)
        xr.testing.assert_identical(once, listed)


def test_advisory_flags_survive_a_file(tmp_path: Path) -> None:
    items, _ = gfm_day(tmp_path)
    masked, _ = c.attach_gfm(items, c.DAY, advisory_flags=True, chunks={"y": 17})
    path = tmp_path / "masked.nc"
    masked.to_netcdf(path)
    with xr.open_dataset(path, mask_and_scale=False) as stored:
        np.testing.assert_array_equal(stored["advisory_flags"], masked["advisory_flags"])
        assert stored["advisory_flags"].dtype == np.uint8
        assert "advisory_flags" in stored["mu"].attrs["ancillary_variables"]
    with xr.open_dataset(path) as decoded:
        seen = masked["advisory_flags"].values != 255
        np.testing.assert_array_equal(decoded["advisory_flags"].notnull(), seen)
        np.testing.assert_array_equal(decoded["mask"], masked["mask"])
        decoded.load().to_netcdf(tmp_path / "again.nc")
    with xr.open_dataset(tmp_path / "again.nc", mask_and_scale=False) as again:
        np.testing.assert_array_equal(again["advisory_flags"], masked["advisory_flags"])


def test_advisory_flags_that_cannot_be_read_are_missing(tmp_path: Path) -> None:
    items, frames = gfm_day(tmp_path)
    items[0]["assets"]["advisory_flags"]["href"] = str(tmp_path / "none.tif")
    masked, _ = c.attach_gfm(items[:1], c.DAY, advisory_flags=True, on_read_error="flag")
    assert (masked["advisory_flags"] == 255).all()
    np.testing.assert_array_equal(masked["mask"], c.gfm_flags(frames["05"][0][0]))


def test_advisory_flags_that_cannot_be_read_are_counted_and_not_made_up(tmp_path: Path) -> None:
    items, frames = gfm_day(tmp_path)
    morning = [items[0], items[1]]
    morning[1]["assets"]["advisory_flags"]["href"] = str(tmp_path / "none.tif")
    time, first = f"{c.DAY}T05:10:10", frames["05"][0]
    failed = c.placed(np.ones((48, 36), np.uint8), *LEFT) == 1
    for chunks in (None, {"y": 17, "x": 11}):
        with pytest.raises(OSError, match="none.tif"):
            c.attach_gfm(morning, time, advisory_flags=True, chunks=chunks)[0].compute()
        masked, _ = c.attach_gfm(
            morning, time, advisory_flags=True, on_read_error="flag", chunks=chunks
        )
        np.testing.assert_array_equal(masked["advisory_flags"], first[1])
        np.testing.assert_array_equal(masked["advisory_read_failed"], failed)
        expected = c.gfm_flags(first[0], frames["05"][1][0])
        np.testing.assert_array_equal(masked["mask"], expected)
        said = masked.fusion.completeness()
        assert float(said["advisory_read_failed"]) == pytest.approx(failed.mean())
        assert (float(said["read_failed"]), int(said["assets_missing"])) == (0.0, 0)
        path = tmp_path / f"{chunks is None}.nc"
        masked.to_netcdf(path)
        with xr.open_dataset(path) as stored:
            np.testing.assert_array_equal(stored["advisory_read_failed"], failed)
    plain, _ = c.attach_gfm(items[:1], time, advisory_flags=True, on_read_error="flag")
    assert float(plain.fusion.completeness()["advisory_read_failed"]) == 0.0
    without, _ = c.attach_gfm(items[:1], time, advisory_flags=True)
    assert "advisory_read_failed" not in {*without, *without.fusion.completeness()}


def test_completeness_counts_missing_assets_of_both_layers(tmp_path: Path) -> None:
    items, _ = gfm_day(tmp_path)
    del items[0]["assets"]["advisory_flags"]
    names = [items[0]["id"], items[4]["id"]]
    time = f"{c.DAY}T05:10:10"
    masked, said = c.attach_gfm(items, time, advisory_flags=True)
    assert json.loads(masked.attrs["mask_assets_missing"]) == {
        names[0]: ["advisory_flags"],
        names[1]: ["exclusion_mask", "advisory_flags"],
    }
    counts = masked.fusion.completeness()
    assert (int(counts["items_found"]), int(counts["assets_missing"])) == (4, 3)
    assert sum("lacks the assets" in warning for warning in said) == 3
    plain, _ = c.attach_gfm(items, time)
    assert int(plain.fusion.completeness()["assets_missing"]) == 1
    np.testing.assert_array_equal(masked["mask"], plain["mask"])


def test_both_layers_are_of_one_search(
    midnight: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = midnight
    searches = []

    def counted(*args: Any, **options: Any) -> Any:
        searches.append(args)
        return search(*args, **options)

    search = xf.stac.search
    monkeypatch.setattr("xfusion.masks.passes.find_items", counted)
    like = c.retrieval(c.EQUI7, time="2023-06-20T00:00:20")
    for attach in (
        like.fusion.attach_gfm_mask,
        lambda **how: xf.Sentinel1Product(dataset=like).attach_mask(**how).dataset,
    ):
        searches.clear()
        masked, said = c.warned(functools.partial(attach, catalog=url, advisory_flags=True))
        assert len(searches) == 1
        assert len(masked.attrs["mask_items"].split()) == 2
        assert sum("advisory_flags" in warning for warning in said) == 2


@pytest.mark.parametrize(
    "href",
    [
        "/a.json?sig=S3CRET",
        "//user:S3CRET@example.org/a.json",
        "//example.org/a.json?sig=S3CRET",
        "https://example.org/a.json%3Fsig=S3CRET",
        "javascript:S3CRET",
    ],
)
def test_a_link_that_is_no_address_tells_no_secret(href: str, tmp_path: Path) -> None:
    where = c.write(tmp_path / "a.tif", np.zeros(c.EQUI7.shape, np.uint8), c.EQUI7)
    # absolute, lest it is looked for beside the item
    found = c.gfm_item("05:10:00", c.EQUI7, exclusion_mask=f"file://{where}")
    found["links"] = [{"rel": "self", "href": href}]
    masked, _ = c.attach_gfm([found], c.DAY)
    assert "S3CRET" not in f"{masked.attrs}"
    found["links"] = [{"rel": "self", "href": "https://user:S3CRET@example.org/a.json?sig=S3CRET"}]
    masked, _ = c.attach_gfm([found], c.DAY)
    assert json.loads(masked.attrs["mask_links"]) == {found["id"]: "https://example.org/a.json"}
