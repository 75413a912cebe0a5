"""Bands of a place and a date, from a STAC API of this machine: Sentinel-1 RTC and Sentinel-2."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests import catalogues as c
from tests.laziness import nothing_computes
from xfusion.demo.server import serve

DAY = "2023-06-20"
NODATA = np.float32(-32768)


def power(seed: int) -> c.Pixels:
    pixels = np.random.default_rng(seed).gamma(4.4, 0.02, c.GRID.shape).astype(np.float32)
    pixels[:20] = NODATA if seed % 2 == 0 else pixels[:20]
    return pixels


def rtc(folder: Path, number: int, time: str, orbit: int, state: str) -> dict[str, Any]:
    href = c.write(folder / f"{number}.tif", power(number), c.GRID)
    said = {"sat:relative_orbit": orbit, "sat:orbit_state": state, "proj:epsg": 32633}
    asset = {"href": href, "type": "image/tiff", "roles": ["data"]}
    return c.item(
        f"S1A_{number}",
        time,
        c.GRID,
        {"vv": asset, "vh": dict(asset)},
        said | c.proj(c.GRID),
        collection="sentinel-1-rtc",
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("rtc")
    items = [
        rtc(folder, 0, f"{DAY}T04:50:00Z", 22, "descending"),
        rtc(folder, 1, f"{DAY}T04:50:25Z", 22, "descending"),
        rtc(folder, 2, f"{DAY}T16:40:00Z", 73, "ascending"),
        rtc(folder, 3, "2023-06-21T16:40:00Z", 15, "ascending"),
    ]
    scene = c.landscape(seed=1)
    s2 = folder / "s2"
    s2.mkdir()
    items.append(c.earth_search(scene, c.stored(scene, s2, raw=False), time=f"{DAY}T10:00:00Z"))
    for each in items:
        for asset in each["assets"].values():
            asset["href"] = Path(asset["href"]).as_uri()
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with serve(path) as address:
        yield address


def profile(url: str) -> xf.Catalog:
    return dataclasses.replace(xf.stac.PLANETARY_COMPUTER_RTC, url=url, signer=None)


def test_passes_of_a_day_are_merged_in_order_and_their_orbits_told_apart(url: str) -> None:
    with nothing_computes():
        found = xf.stac.load(profile(url), c.GRID, DAY, ["vv", "vh"])
    assert found.orbit.to_numpy().tolist() == [22, 73]
    assert found.orbit_state.to_numpy().tolist() == ["descending", "ascending"]
    assert found.vv.attrs["units"] == "linear"
    first, second, third = (power(n) for n in range(3))
    merged = np.where(first == NODATA, second, first)
    np.testing.assert_array_equal(found.vv.isel(time=0), merged)
    alone = np.where(third == NODATA, np.nan, third)
    np.testing.assert_array_equal(found.vv.isel(time=1), alone)


def test_what_is_loaded_is_retrieved_without_saying_what_it_is_in(url: str) -> None:
    found = xf.stac.load(profile(url), c.GRID, f"{DAY}T16:40", "vv")
    assert found.orbit.to_numpy().tolist() == [73]
    water = xf.water.from_backscatter(found.vv.isel(time=0))
    expected = xf.water.from_backscatter(
        xr.DataArray(10 * np.log10(np.abs(power(2))), dims=("y", "x")), units="dB"
    )
    seen = power(2) != NODATA
    np.testing.assert_allclose(water.mu.to_numpy()[seen], expected.mu.to_numpy()[seen], rtol=1e-4)
    assert np.isnan(water.mu.to_numpy()[~seen]).all()


def test_a_box_gets_a_grid_of_its_zone_that_holds_it(url: str) -> None:
    west, south, east, north = c.GRID.extent.to_crs("EPSG:4326").boundingbox.bbox
    box = (west + 1e-3, south + 1e-3, east - 1e-3, north - 1e-3)
    found = xf.stac.load(profile(url), box, DAY, "vv", resolution=20)
    assert float(found.x[1] - found.x[0]) == 20
    assert found.vv.notnull().any()
    assert found.vv.odc.geobox.crs.epsg == 32633


def test_sentinel_2_is_loaded_by_its_own_profile_and_has_no_orbit(url: str) -> None:
    catalog = dataclasses.replace(xf.stac.EARTH_SEARCH, url=url, offset=0)
    found = xf.stac.load(catalog, c.GRID, DAY, ["red", "scl"])
    red = c.landscape(seed=1).red
    np.testing.assert_array_equal(found.red.isel(time=0), np.where(red == 0, np.nan, red))
    assert "orbit" not in found.coords
    assert "units" not in found.red.attrs


def test_a_scale_of_the_caller_is_not_called_by_the_units_of_the_catalogue(url: str) -> None:
    found = xf.stac.load(profile(url), c.GRID, DAY, "vv", scale=2.0)
    assert "units" not in found.vv.attrs


@pytest.mark.parametrize("place", [(18, 47, 17, 48), (1, 2, 3), (0, 0, 200, 1), (0, np.nan, 1, 2)])
def test_what_is_no_box_is_refused_before_any_search(place: Any) -> None:
    with pytest.raises(ValueError, match="is no box"):
        xf.stac.load("http://127.0.0.1:9", place, DAY, "vv")


def test_a_day_without_items_is_an_error_that_names_it(url: str) -> None:
    with pytest.raises(LookupError, match="2023-06-25"):
        xf.stac.load(profile(url), c.GRID, "2023-06-25", "vv")
