"""Which acquisitions a mask of Sentinel-2 is made of: tiles, zones, days; pixel by pixel."""

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio import Affine

import xfusion as xf
from tests import catalogues as c
from tests.resampling_oracle import exact_positions, inside
from xfusion.demo.server import serve

ES = xf.stac.EARTH_SEARCH


def two_acquisitions(folder: Path) -> tuple[list[dict[str, Any]], np.ndarray]:
    first, second = c.landscape(seed=2), c.landscape(seed=3)
    items = []
    for scene, name, time in ((first, "a", "10:06:07"), (second, "b", "10:56:07")):
        hrefs = c.stored(scene, folder / name, raw=False)
        items.append(
            c.earth_search(scene, hrefs, name=name, time=f"{c.DAY}T{time}Z", baseline="02.12")
        )
    masks = first.mask(), second.mask()
    expected = np.where((masks[0] == 0) | (masks[1] == 0), 0, masks[0] | masks[1])
    return items, expected


def test_each_acquisition_is_judged_by_itself_and_usable_wins(tmp_path: Path) -> None:
    items, expected = two_acquisitions(tmp_path)
    masked, said = c.attach_s2(items, ES)
    np.testing.assert_array_equal(masked["mask"], expected)
    assert not said


def test_snow_that_is_vegetation_does_not_lift_a_cloud(tmp_path: Path) -> None:
    """The greatest class of the day with the bands of another hour would be usable."""
    cloud, snow = c.flat(6000, 9), c.flat(200, 11)
    snow = dataclasses.replace(snow, nir=snow.red * 5)
    cloud = dataclasses.replace(cloud, nir=cloud.red)
    items = [
        c.earth_search(s, c.stored(s, tmp_path / n, raw=False), name=n, time=t, baseline="02.12")
        for s, n, t in ((cloud, "a", f"{c.DAY}T10:06:07Z"), (snow, "b", f"{c.DAY}T11:06:07Z"))
    ]
    assert set(np.unique(c.attach_s2(items, ES)[0]["mask"])) == {1 | 4}
    for each in items:
        each["properties"]["datetime"] = f"{c.DAY}T10:00:00Z"
    for order in (items, items[::-1]):
        assert set(np.unique(c.attach_s2(order, ES)[0]["mask"])) == {1}


@dataclasses.dataclass(frozen=True)
class Zones:
    """Two overlapping tiles of different zones on a grid of longitude and latitude."""

    items: list[dict[str, Any]]
    target: GeoBox
    flags: list[np.ndarray]
    """Of each tile."""
    rank: list[np.ndarray]
    """How much each tile saw of a pixel: 0, 1 its nodata class, 2."""
    certain: np.ndarray
    """Where it is not a matter of rounding which pixel of a tile is nearest."""

    def expected(self, *tiles: int) -> np.ndarray:
        flags = np.full(self.target.shape, 32, np.uint8)
        best = np.zeros(self.target.shape, int)
        for tile in tiles:
            flags = np.where(self.rank[tile] > best, self.flags[tile], flags)
            best = np.maximum(self.rank[tile], best)
        return flags

    def check(self, masked: xr.Dataset, expected: np.ndarray) -> None:
        certain = self.certain
        np.testing.assert_array_equal(masked["mask"].values[certain], expected[certain])


@pytest.fixture
def zones(tmp_path: Path) -> Zones:
    grids = [
        GeoBox((40, 48), Affine(10, 0, x, 0, -10, 5_319_600), f"EPSG:{code}")
        for x, code in ((724_900, 32632), (277_400, 32633))
    ]
    rng = np.random.default_rng(5)
    tiles, items = [], []
    for geobox, factor in zip(grids, (1, 8), strict=True):
        red = np.full(geobox.shape, 400, np.uint16)
        scl = rng.choice(np.arange(12, dtype=np.uint8), (20, 24))
        tiles.append(c.Scene(red, red * factor, scl, geobox))
        name = str(geobox.crs)[-5:]
        hrefs = c.stored(tiles[-1], tmp_path / name, raw=False)
        items.append(c.earth_search(tiles[-1], hrefs, name=name, baseline="02.12"))
    west, south, east, north = (grids[0].geographic_extent | grids[1].geographic_extent).boundingbox
    target = GeoBox.from_bbox((west, south, east, north), "EPSG:4326", resolution=1e-4)
    certain = np.ones(target.shape, bool)
    flags, rank = [], []
    for tile in tiles:
        u, v = exact_positions(tile.coarse, target)
        within = inside(tile.coarse, u, v)
        for position in (u, v):
            certain &= abs(position - np.round(position)) > 1e-3
        rows, columns = np.where(within, v, 0).astype(int), np.where(within, u, 0).astype(int)
        classes = tile.scl[rows, columns]
        flags.append(np.vectorize(c.s2_flags)(400, tile.nir[0, 0], classes).astype(np.uint8))
        rank.append(np.where(within, np.where(classes > 0, 2, 1), 0))
    assert certain.mean() > 0.98
    assert ((rank[0] > 0) & (rank[1] > 0)).any()
    assert len({c.GRID.crs, *(g.crs for g in grids)}) == 2
    return Zones(items, target, flags, rank, certain)


def test_tiles_of_two_zones_are_one_acquisition(zones: Zones) -> None:
    masked, _ = c.attach_s2(zones.items, ES, c.retrieval(zones.target))
    expected = zones.expected(0, 1)
    zones.check(masked, expected)
    assert {0, 1, 2, 4, 8, 32} <= set(np.unique(expected[zones.certain]))


@pytest.mark.parametrize("asset", ["scl", "red", "nir"])
@pytest.mark.parametrize("without", [0, 1])
def test_a_tile_without_an_asset_is_not_usable_through_it_but_through_others(
    zones: Zones, without: int, asset: str
) -> None:
    whole = copy.deepcopy(zones.items[without])
    del zones.items[without]["assets"][asset]
    like = c.retrieval(zones.target)
    alone, said = c.attach_s2(zones.items[without], ES, like)
    assert (alone["mask"] == 32).all()
    assert any("all pixels are UNKNOWN" in warning for warning in said)
    masked, said = c.attach_s2(zones.items, ES, like)
    other = zones.expected(1 - without)
    zones.check(masked, other)
    assert {0: 4, 1: 0}[without] in other[zones.rank[without] > 0]  # all of tile 1 is vegetation
    assert [f"lacks the assets ['{asset}']" in warning for warning in said] == [True]
    # and another acquisition of the day that has the asset
    whole["id"], whole["properties"]["datetime"] = "later", f"{c.DAY}T10:56:07Z"
    masked, _ = c.attach_s2([*zones.items, whole], ES, like)
    later = zones.expected(without)
    seen = ((other | later) & 31) | (other & later & 32)
    zones.check(masked, np.where((other == 0) | (later == 0), 0, seen))


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, np.ndarray]]:
    """A catalogue with the scenes of a day, and cloudless ones just before and after it."""
    folder = tmp_path_factory.mktemp("three days")
    items, expected = two_acquisitions(folder)
    clear = c.flat(200, 6)
    clear = dataclasses.replace(clear, nir=clear.red)
    hrefs = c.stored(clear, folder / "clear", raw=False)
    for name, time in (("eve", "2023-06-19T23:59:59.9Z"), ("next", "2023-06-21T00:00:00Z")):
        items.append(c.earth_search(clear, hrefs, name=name, time=time, baseline="02.12"))
    for asset in (asset for each in items for asset in each["assets"].values()):
        asset["href"] = Path(asset["href"]).as_uri()
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with serve(path) as url:
        yield url, expected


def test_one_day_means_one_day(three_days: tuple[str, np.ndarray]) -> None:
    url, expected = three_days
    masked = c.retrieval(time=c.DAY).fusion.attach_s2_mask(catalog=url)
    np.testing.assert_array_equal(masked["mask"], expected)
    assert masked.attrs["mask_items"] == "a b"
    with pytest.raises(LookupError, match="sentinel-2-l2a.*127.0.0.1.*2023-06-22"):
        c.retrieval(time="2023-06-22").fusion.attach_s2_mask(catalog=url)
