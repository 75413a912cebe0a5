"""Bands of a place and a date, from a STAC API of this machine: Sentinel-1 RTC and Sentinel-2."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox
from pyproj import Geod, Transformer

import xfusion as xf
from tests import catalogues as c
from tests.laziness import nothing_computes
from xfusion.datamodel.outline import footprint
from xfusion.demo.server import serve
from xfusion.stac.place import grid_of_place

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


@pytest.mark.parametrize("place", [(18, 47, 17, 48), (1, 2, 3), (0, 0, 400, 1), (0, np.nan, 1, 2)])
def test_what_is_no_box_is_refused_before_any_search(place: Any) -> None:
    with pytest.raises(ValueError, match="is no box"):
        xf.stac.load("http://127.0.0.1:9", place, DAY, "vv")


def test_a_day_without_items_is_an_error_that_names_it(url: str) -> None:
    with pytest.raises(LookupError, match="2023-06-25"):
        xf.stac.load(profile(url), c.GRID, "2023-06-25", "vv")


# Places


def items_at(tmp_path: Path, *grids: GeoBox) -> xf.Catalog:
    """A catalogue of items that are full of their number, from 1."""
    made = []
    for number, grid in enumerate(grids, 1):
        href = c.write(tmp_path / f"{number}.tif", np.full(grid.shape, number, np.float32), grid)
        asset = {"href": href, "proj:code": str(grid.crs), **c.proj(grid)}
        time = f"{DAY}T05:00:0{number}Z"
        one = c.item(f"S1_{number}", time, grid, {"vv": asset}, {}, collection="sentinel-1-rtc")
        made.append(one | dict(zip(("geometry", "bbox"), footprint(grid), strict=True)))
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": made}))
    return profile(str(path))


def square(longitude: float, latitude: float, crs: str, size: int = 60) -> GeoBox:
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
    left, top = round(x, -2) - size * 50, round(y, -2) + size * 50
    return GeoBox((size, size), Affine(100, 0, left, 0, -100, top), crs)


def test_a_box_across_the_antimeridian_is_loaded_from_both_sides(tmp_path: Path) -> None:
    catalog = items_at(
        tmp_path, square(179.98, -17, "EPSG:32760"), square(-179.98, -17, "EPSG:32701")
    )
    found = xf.stac.load(catalog, (179.98, -17.01, 180.02, -16.99), DAY, "vv", resolution=100)
    assert found.vv.odc.geobox.crs.epsg == 32701
    west, east = (found.vv.isel(time=0, x=column) for column in (3, -4))
    assert {*np.unique(west)} == {1}
    assert {*np.unique(east)} == {2}
    assert found.covered.item() == 1
    for box in ((-180.02, -17.01, -179.98, -16.99), (179.98, -17.01, 180.02, -16.99)):
        assert grid_of_place(box, 100).boundingbox == found.vv.odc.geobox.boundingbox
    with pytest.raises(ValueError, match=r"across the antimeridian give east as 180\.02"):
        xf.stac.load(catalog, (179.98, -17.01, -179.98, -16.99), DAY, "vv")


@pytest.mark.parametrize(("latitude", "epsg"), [(86.0, 32661), (-84.0, 32761)])
def test_a_polar_box_gets_a_stereographic_grid(latitude: float, epsg: int, tmp_path: Path) -> None:
    catalog = items_at(tmp_path, square(20, latitude, f"EPSG:{epsg}"))
    box = (19.95, latitude - 0.005, 20.05, latitude + 0.005)
    found = xf.stac.load(catalog, box, DAY, "vv", resolution=100)
    assert found.vv.odc.geobox.crs.epsg == epsg
    assert (found.vv == 1).all()
    assert grid_of_place((-180, 89, 180, 90), 1000).shape == (224, 224)


def test_a_box_with_a_crs_keeps_its_edges_and_one_without_is_not_guessed(url: str) -> None:
    edges = c.GRID.boundingbox
    found = xf.stac.load(profile(url), edges, DAY, "vv")
    assert found.vv.odc.geobox == c.GRID
    degrees = edges.to_crs("EPSG:4326")
    assert xf.stac.load(profile(url), degrees, DAY, "vv").vv.odc.geobox.crs == c.GRID.crs
    with pytest.raises(ValueError, match=r"has no CRS.*crs='EPSG:4326'"):
        xf.stac.load(profile(url), BoundingBox(*degrees.bbox), DAY, "vv")


def test_an_array_a_retrieval_and_a_product_are_places(url: str) -> None:
    like = c.retrieval()
    expected = xf.stac.load(profile(url), c.GRID, DAY, "vv").compute()
    for place in (like, like.mu, xf.SensorProduct(dataset=like), expected.vv.isel(time=0)):
        xr.testing.assert_equal(xf.stac.load(profile(url), place, DAY, "vv"), expected)


@pytest.mark.parametrize("place", [(0, 40, 20, 50), (-170, -60, 170, 70), (0, -20, 40, -10)])
def test_a_box_in_which_a_metre_of_its_zone_is_none_is_refused(place: Any) -> None:
    with pytest.raises(ValueError, match=r"km wide and \d+ km high.*more than 1 %.*place=.*GeoBox"):
        xf.stac.load("http://127.0.0.1:9", place, DAY, "vv")
    # the oracle is the ellipsoid: a kilometre of the grid at the edge of what is let through
    grid = grid_of_place((0, 40, 12, 50), 1000)
    geod = Geod(ellps="WGS84")
    away = Transformer.from_crs(grid.crs.to_wkt(), "EPSG:4326", always_xy=True)
    x, y = grid.boundingbox.right, grid.boundingbox.bottom
    ends = away.transform([x, x - 1000], [y, y])
    metres = geod.inv(ends[0][0], ends[1][0], ends[0][1], ends[1][1])[2]
    assert abs(metres / 1000 - 1) < 0.012


def test_the_share_that_a_pass_covers_is_that_of_its_footprints(tmp_path: Path) -> None:
    catalog = items_at(tmp_path, c.GRID[:, :32], c.GRID[:16, 32:])
    found = xf.stac.load(catalog, c.GRID, DAY, "vv")
    assert found.covered.item() == pytest.approx(0.625, abs=0.02)
    record = json.loads((tmp_path / "items.json").read_text())
    bare = [each | {"geometry": None} for each in record["features"]]
    (tmp_path / "items.json").write_text(json.dumps(record | {"features": bare}))
    assert xf.stac.load(catalog, c.GRID, DAY, "vv").covered.item() == pytest.approx(0.625, abs=0.02)
