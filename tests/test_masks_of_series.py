"""Masks of a cube: one search for many dates, and those of a search for each date, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import xarray as xr

import xfusion as xf
from tests import catalogues as c
from tests.faulty import Fault
from tests.search_proxy import search_proxy
from xfusion.demo.server import serve
from xfusion.stac import bounds, searching

# passes of GFM: two of one day, one across midnight, one on each day after a day that is searched,
# and some that no acquisition is near to
GFM = (
    "2023-06-18T05:10:00",
    "2023-06-18T16:45:00",
    "2023-06-19T05:10:00",
    "2023-06-19T23:59:50",
    "2023-06-20T00:00:10",
    "2023-06-21T05:10:00",
    "2023-06-22T05:10:00",
    "2023-06-23T00:00:00",
    "2023-07-04T12:00:00",
    "2023-07-05T23:59:59.999",
    "2023-07-06T00:00:00",
    "2023-09-01T05:10:00",
)
# a day has all passes of it, a moment its own; midnight is a day without a time
TIMES = (
    "2023-06-18",
    "2023-06-18T16:44:30",
    "2023-06-20T00:00:00.5",
    "2023-06-21T05:12",
    "2023-06-22",
    "2023-07-05",
    "2023-09-01T05:10:02",
)
S2 = ("2023-06-19T10:06:07", "2023-06-20T10:06:07", "2023-06-20T23:59:59", "2023-06-22T10:06:07")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("series")
    rng = np.random.default_rng(0)
    items: list[dict[str, Any]] = []
    for n, time in enumerate(GFM):
        pixels = rng.choice([0, 1, 255], c.EQUI7.shape).astype(np.uint8)
        href = c.write(folder / f"{n}.tif", pixels, c.EQUI7)
        made = c.gfm_item("00:00:00", c.EQUI7, tile=f"T{n:02}", exclusion_mask=href)
        made["properties"]["datetime"] = f"{time}Z"
        items.append(made)
    for n, time in enumerate(S2):
        scene = c.landscape(seed=n)
        hrefs = c.stored(scene, folder / f"s2_{n}", raw=False)
        name = f"S2A_33TXN_{n}"
        items.append(c.earth_search(scene, hrefs, name=name, time=f"{time}Z", baseline="02.12"))
    for asset in (asset for each in items for asset in each["assets"].values()):
        asset["href"] = Path(asset["href"]).as_uri()
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with serve(path) as url:
        yield url


@contextmanager
def counted(
    api: str, faults: dict[str, Fault] | None = None
) -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield the URL of the API, and what says how many searches it was asked for."""
    with search_proxy(api, faults) as url:

        def searches() -> int:
            asked = requests.get(f"{url}/__stats__", timeout=60).json()
            return int(asked["paths"].get("/search", 0))

        yield url, searches


def cube(times: tuple[str, ...] = TIMES, grid: Any = c.EQUI7) -> xr.Dataset:
    return xf.stack([c.retrieval(grid, time=time) for time in times])


def assert_masks_are_those_of_a_search_for_each(masked: xr.Dataset, each: list[xr.Dataset]) -> None:
    apart = xf.stack(each)
    np.testing.assert_array_equal(masked["mask"], apart["mask"])
    of_items = [
        {time: sorted(items) for time, items in json.loads(of.attrs["mask_items_by_time"]).items()}
        for of in (masked, apart)
    ]
    assert of_items[0] == of_items[1]
    assert sorted(masked.attrs["mask_items"].split()) == sorted(apart.attrs["mask_items"].split())
    assert masked.attrs["mask_items_found"] == apart.attrs["mask_items_found"]


@pytest.mark.parametrize("lazy", [False, True])
def test_one_search_gives_the_masks_that_a_search_for_each_date_gives(api: str, lazy: bool) -> None:
    with counted(api) as (url, searches):
        each = [c.retrieval(c.EQUI7, time=time) for time in TIMES]
        apart = [one.fusion.attach_gfm_mask(catalog=url) for one in each]
        one_a_date = searches()
        series = cube().chunk(time=1) if lazy else cube()
        masked = series.fusion.attach_gfm_mask(catalog=url)
        # June and July lie less than 16 days apart, September does not
        assert searches() - one_a_date == 2
        assert one_a_date == len(TIMES)
    assert_masks_are_those_of_a_search_for_each(masked, apart)
    found = json.loads(masked.attrs["mask_items_by_time"])
    counts = [len(found[str(time).rstrip("0").rstrip(".")]) for time in masked.time.to_numpy()]
    assert counts == [2, 1, 2, 1, 1, 1, 1]
    assert {0, 16, 32} == set(np.unique(masked["mask"]))


def test_masks_of_sentinel_2_and_of_a_recipe_of_ones_own_are_of_one_search(api: str) -> None:
    times = ("2023-06-19T10:05", "2023-06-20", "2023-06-22T10:06")

    def clouds(bands: xr.Dataset) -> xr.DataArray:
        return (bands["scl"] >= 8) * np.uint8(xf.Exclusion.CLOUD)

    recipe = xf.MaskRecipe(exclusion=clouds, bands={"scl": "nearest"}, catalog=xf.stac.EARTH_SEARCH)
    ways: list[Callable[..., xr.Dataset]] = [
        xf.attach_s2_mask,
        lambda ds, **how: xf.attach_mask(ds, recipe, **how),
        lambda ds, **how: xf.Sentinel2Product(dataset=ds).attach_mask(**how).dataset,
    ]
    for attach in ways:
        with counted(api) as (url, searches):
            masked = attach(cube(times, c.GRID), catalog=url)
            assert searches() == 1
        apart = [attach(c.retrieval(time=time), catalog=api) for time in times]
        assert_masks_are_those_of_a_search_for_each(masked, apart)
        # the day has its two passes, not that of the next
        assert masked.attrs["mask_items_found"] == 4


def test_bands_of_a_series_are_of_one_search(api: str) -> None:
    times = ("2023-06-19", "2023-06-20T10:06", "2023-06-22")
    with counted(api) as (url, searches):
        bands = cube(times, c.GRID).fusion.load_bands(["red"], catalog=url)
        assert searches() == 1
    days = [S2[0], S2[1], S2[3]]
    np.testing.assert_array_equal(bands.time, np.array(days, "datetime64[ns]"))


def test_a_file_of_items_gives_the_masks_that_a_search_for_each_date_gives(
    api: str, tmp_path: Path
) -> None:
    items = requests.post(
        f"{api}/search", json={"collections": ["GFM"], "limit": 100}, timeout=60
    ).json()
    path = tmp_path / "items.json"
    path.write_text(json.dumps(items))
    profile = path.as_uri()
    masked = cube().fusion.attach_gfm_mask(catalog=profile)
    apart = [
        c.retrieval(c.EQUI7, time=time).fusion.attach_gfm_mask(catalog=profile) for time in TIMES
    ]
    assert_masks_are_those_of_a_search_for_each(masked, apart)


def test_dates_that_have_no_items_are_named_with_what_was_searched(api: str) -> None:
    times = ("2023-06-17", "2023-06-18", "2023-06-20T12:00", "2023-06-23T05:00", "2023-10-01")
    with (
        counted(api) as (url, _),
        pytest.raises(LookupError, match="4 of 5 times have no items") as told,
    ):
        cube(times).fusion.attach_gfm_mask(catalog=url)
    said = str(told.value)
    assert all(time in said for time in ("2023-06-17T", "06-20T12", "06-23T05", "2023-10-01T"))
    assert "2023-06-18" not in said
    # of the first that it lacks: its own day, not that of the search
    assert "from 2023-06-17T00:00:00Z to 2023-06-17T23:59:59.999999Z" in said
    alone = c.retrieval(c.EQUI7, time="2023-06-17")
    with pytest.raises(LookupError) as of_one:
        alone.fusion.attach_gfm_mask(catalog=api)
    assert str(of_one.value).replace(api, "") in said.replace(url, "")
    with pytest.raises(LookupError, match=r"^no items of 'GFM'"):
        cube(times[:1]).fusion.attach_gfm_mask(catalog=api)


def test_a_search_that_is_too_large_is_made_date_by_date(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = [c.retrieval(c.EQUI7, time=time).fusion.attach_gfm_mask(catalog=api) for time in TIMES]
    from xfusion.stac import api as stac_api

    monkeypatch.setattr(stac_api, "MOST_ITEMS", 6)
    with counted(api) as (url, searches):
        masked = cube().fusion.attach_gfm_mask(catalog=url)
        assert searches() == 1 + 6 + 1
    assert_masks_are_those_of_a_search_for_each(masked, apart)
    monkeypatch.setattr(stac_api, "MOST_ITEMS", 1)
    with pytest.raises(ValueError, match="1 items of 'GFM' or more"):
        cube().fusion.attach_gfm_mask(catalog=api)


def test_a_search_with_too_many_bytes_is_made_date_by_date(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = [c.retrieval(c.EQUI7, time=time).fusion.attach_gfm_mask(catalog=api) for time in TIMES]
    monkeypatch.setattr(bounds, "MOST_BYTES", 20_000)
    masked = cube().fusion.attach_gfm_mask(catalog=api)
    assert_masks_are_those_of_a_search_for_each(masked, apart)
    monkeypatch.setattr(bounds, "MOST_BYTES", 100)
    with pytest.raises(ConnectionError, match="more than 100 bytes"):
        cube().fusion.attach_gfm_mask(catalog=api)


def test_a_catalogue_that_fails_is_not_asked_for_each_date(api: str) -> None:
    fault = {"/search": Fault("status", status=404)}
    with counted(api, fault) as (url, searches):
        with pytest.raises(ConnectionError, match="404"):
            cube().fusion.attach_gfm_mask(catalog=url)
        assert searches() == 1


def test_years_of_daily_dates_are_asked_for_a_year_at_a_time() -> None:
    days = np.arange("2015-01-01", "2018-01-01", dtype="datetime64[D]")
    intervals = [(f"{day}T00:00:00Z", f"{day}T23:59:59.999999Z") for day in days]
    groups = searching._together(intervals[::-1])
    assert len(groups) == 3
    assert sorted(n for group in groups for n in group) == [*range(len(days))]
    sparse = searching._together(intervals[::16])
    assert {len(group) for group in sparse} <= {22, 23}
    assert len(searching._together(intervals[::17])) == len(intervals[::17])
