"""One grid over several: nothing is cut off, at no latitude, antimeridian or pole."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import Transformer

import xfusion as xf
from tests.test_raster import write
from xfusion.datamodel.outline import search_boxes

BEHRMANN = 17367530.445161372  # half of its equator


def grid(crs: Any, left: float, top: float, pixel: float, shape: tuple[int, int]) -> GeoBox:
    return GeoBox(shape, Affine(pixel, 0, left, 0, -pixel, top), crs)


def retrieval(box: GeoBox, value: float = 0.5) -> xr.Dataset:
    coords = xr_coords(box)
    array = xr.DataArray(np.full(box.shape, value), dims=box.dimensions, coords=coords)
    return xf.retrieval(array, 0.1)


def assert_covers(found: GeoBox, box: GeoBox) -> None:
    """Every edge of every pixel on the rim lies in the grid, by pyproj, point by point."""
    rows, columns = box.shape
    across, down = np.arange(columns + 1.0), np.arange(rows + 1.0)
    u = np.concatenate([across, across, down * 0, down * 0 + columns])
    v = np.concatenate([across * 0, across * 0 + rows, down, down])
    x, y = box.transform.a * u + box.transform.c, box.transform.e * v + box.transform.f
    there = Transformer.from_crs(str(box.crs), str(found.crs), always_xy=True)
    x, y = there.transform(x, y)
    left, bottom, right, top = found.boundingbox
    # a grid goes on beyond the antimeridian, where coordinates begin anew
    around = {"EPSG:4326": 360.0, "EPSG:3857": 2 * np.pi * 6378137, "EPSG:6933": 2 * BEHRMANN}
    if str(found.crs) in around:
        period, little = around[str(found.crs)], 1e-3 * found.resolution.x
        x = left + (x - left + little) % period - little
    slack = 1e-3 * found.resolution.x
    assert x.min() >= left - slack
    assert x.max() <= right + slack
    assert y.min() >= bottom - slack
    assert y.max() <= top + slack


def test_the_north_of_a_wide_grid_is_not_cut_off() -> None:
    # the top edge of a UTM tile rises towards the middle of its zone
    box = grid("EPSG:32633", 300000, 6_760_000, 100.0, (500, 4000))
    found = xf.common_grid(box, crs="EPSG:4326", resolution=0.001)
    assert_covers(found, box)
    corners = box.extent.to_crs("EPSG:4326").boundingbox
    assert found.boundingbox.top >= corners.top


@settings(max_examples=20, deadline=None)
@example("EPSG:32760", 3, 1, 56, "EPSG:3857")  # of the Antarctic side, over the antimeridian
@given(
    st.sampled_from(["EPSG:32633", "EPSG:3035", "EPSG:3857", "EPSG:32760", "EPSG:32601"]),
    st.integers(-3, 3),
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from(["EPSG:4326", "EPSG:3857", "EPSG:6933"]),
)
def test_any_grid_is_covered(crs: str, east: int, rows: int, columns: int, target: str) -> None:
    top = {"EPSG:3035": 3_000_000, "EPSG:3857": 6_000_000}.get(crs, 5_000_000)
    left = {"EPSG:3035": 4_300_000, "EPSG:3857": 1_000_000}.get(crs, 500_000) + 60_000 * east
    box = grid(crs, left, top, 1000.0, (rows, columns))
    resolution = 0.01 if target == "EPSG:4326" else 1000.0
    found = xf.common_grid(box, crs=target, resolution=resolution)
    assert_covers(found, box)
    assert max(found.shape) < 1000  # never the long way round


def test_a_tile_over_the_antimeridian_is_not_the_belt_of_the_earth() -> None:
    box = grid("EPSG:32601", 100_000, 7_000_000, 1000.0, (200, 400))
    found = xf.common_grid(box, crs="EPSG:4326", resolution=0.01)
    left, _, right, _ = found.boundingbox
    assert left < -180 < right or left < 180 < right
    assert right - left < 15
    warped = retrieval(box).fusion.coregister(found)
    assert warped.fusion.usable.mean() > 0.6
    boxes = search_boxes(box)
    assert len(boxes) == 2
    assert boxes[0][2] == 180.0
    assert boxes[1][0] == -180.0
    assert sum(east - west for west, _, east, _ in boxes) < 15
    assert all(west < east for west, _, east, _ in boxes)


def test_a_grid_over_the_pole_reaches_it_all_around() -> None:
    box = grid("EPSG:3413", -500_000, 500_000, 10_000.0, (100, 100))
    found = xf.common_grid(box, crs="EPSG:4326", resolution=0.5)
    assert found.boundingbox.top == 90.0
    assert found.shape[1] == 720
    # the corners are the farthest from the pole
    south = Transformer.from_crs("EPSG:3413", "EPSG:4326", always_xy=True).transform(5e5, 5e5)[1]
    assert found.boundingbox.bottom <= south < found.boundingbox.bottom + 0.5
    warped = retrieval(box).fusion.coregister(found)
    assert warped.fusion.usable.mean() > 0.7
    assert search_boxes(box)[0][::2] == (-180.0, 180.0)


@pytest.mark.parametrize("left", [-180.0, 0.0, -30.0])
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4258"])
def test_the_last_column_of_the_earth_is_not_cut_off(left: float, crs: str) -> None:
    earth = grid("EPSG:4326", left, 90, 1.0, (180, 360))
    found = xf.common_grid(earth, crs=crs, resolution=1)
    assert found.boundingbox.bbox == (left, -90.0, left + 360, 90.0)
    tile = grid("EPSG:4326", left + 20, 50, 1.0, (10, 30))
    assert xf.common_grid(tile, crs=crs, resolution=1).shape == (10, 30)
    cylinder = grid("EPSG:6933", -BEHRMANN, 7e6, 1e5, (140, 348))
    assert xf.common_grid(cylinder, crs=crs, resolution=1).shape[1] == 360


@pytest.mark.parametrize("crs", ["EPSG:5773", "EPSG:4978"])
def test_a_crs_without_a_plane_has_no_grid(crs: str) -> None:
    box = grid("EPSG:32633", 500_000, 5_000_000, 10.0, (100, 100))
    with pytest.raises(ValueError, match=r"crs='EPSG:\d+' is a (Vertical|Geocentric) CRS"):
        xf.common_grid(box, crs=crs, resolution=10)


def test_pixels_of_the_first_are_kept() -> None:
    first = grid("EPSG:32633", 500_003.7, 5_000_001.9, 10.0, (40, 50))
    second = grid("EPSG:32632", 972_000.0, 5_018_000.0, 20.0, (60, 60))
    found = xf.common_grid(first, second)
    a, b = first.transform, found.transform
    shift = (a.c - b.c) / 10, (b.f - a.f) / 10
    np.testing.assert_allclose(shift, np.round(shift), atol=1e-6)
    assert_covers(found, first)
    assert_covers(found, second)
    assert xf.common_grid(first) == first
    assert xf.common_grid(first, first[3:7, 5:9]) == first


@pytest.mark.parametrize(
    ("crs", "resolution", "unit"),
    [("EPSG:32633", 0.0001, "metre"), ("EPSG:4326", 10, "degree"), ("EPSG:4326", 30.0, "degree")],
)
def test_a_resolution_in_another_unit_is_told_before_anything_is_made(
    crs: str, resolution: float, unit: str
) -> None:
    box = grid("EPSG:32633", 500_000, 5_000_000, 10.0, (100, 100))
    with pytest.raises(ValueError, match=rf"resolution={resolution} is in {unit}.*EPSG:\d+"):
        xf.common_grid(box, crs=crs, resolution=resolution)
    with pytest.raises(ValueError, match="resolution"):
        retrieval(box).fusion.coregister(crs, resolution=resolution)


def test_coregister_takes_a_crs_a_path_and_says_what_else(tmp_path: Path) -> None:
    box = grid("EPSG:32633", 500_000, 5_000_000, 10.0, (30, 40))
    water = retrieval(box)
    finer = water.fusion.coregister("EPSG:32633", resolution=5)
    assert finer.odc.geobox == grid("EPSG:32633", 500_000, 5_000_000, 5.0, (60, 80))
    np.testing.assert_array_equal(finer.mu, 0.5)
    file = write(tmp_path / "g.tif", np.zeros((3, 4), np.uint8), transform=box.transform)
    for path in (file, str(file)):
        assert water.fusion.coregister(path).sizes == {"y": 3, "x": 4}
    with pytest.raises(ValueError, match=r"is a CRS: give resolution="):
        water.fusion.coregister("EPSG:4326")
    with pytest.raises(ValueError, match=r"'nowhere.tif' is no file and no CRS"):
        water.fusion.coregister("nowhere.tif")
    for like, name in ((file, r"the file .*g.tif"), (box, "a GeoBox"), (water, "a Dataset")):
        with pytest.raises(ValueError, match=rf"resolution=5 is of a CRS, but `like` is {name}"):
            water.fusion.coregister(like, resolution=5)


def test_retrievals_that_miss_the_grid_are_told_with_both_extents() -> None:
    here = retrieval(grid("EPSG:32633", 500_000, 5_000_000, 10.0, (30, 40)))
    there = grid("EPSG:32633", 700_000, 5_000_000, 10.0, (30, 40))
    with pytest.warns(UserWarning, match=r"do not overlap: x 500000 to 500400.*x 700000 to 700400"):
        missed = here.fusion.coregister(there)
    assert not missed.fusion.usable.any()
    with pytest.warns(UserWarning, match=r"radar and the grid do not overlap"):
        here.assign_attrs(sensor="radar").fusion.coregister(there)


MODIS = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"


@pytest.mark.parametrize(
    ("crs", "box", "lon", "lat"),
    [
        # h35v10, whose right corners lie beyond 180 degrees
        (MODIS, (18902158.0, -1111950.5, 4633.127, (240, 240)), 177.0, -15.0),
        ("ESRI:54035", (-17244000.0, 8393000.0, 20000.0, (840, 1725)), 12.0, 48.0),
    ],
    ids=["sinusoidal", "equal earth"],
)
def test_a_grid_with_corners_off_the_map_serves_a_target_inside(
    crs: str, box: Any, lon: float, lat: float
) -> None:
    source = grid(crs, *box)
    values = np.arange(source.shape[0] * source.shape[1], dtype=float).reshape(source.shape)
    array = xr.DataArray(values, dims=("y", "x"), coords=xr_coords(source))
    target = grid("EPSG:4326", lon, lat, 0.013, (20, 30))
    warped = xf.retrieval(array, 0.1).fusion.coregister(target, resampling="nearest")
    xx, yy = np.meshgrid(warped.longitude, warped.latitude)
    there = Transformer.from_crs("EPSG:4326", str(source.crs), always_xy=True)
    x, y = there.transform(xx, yy)
    column = ((x - box[0]) / box[2]).astype(int)
    row = ((box[1] - y) / box[2]).astype(int)
    np.testing.assert_array_equal(warped.mu, values[row, column])
    assert xf.common_grid(source, crs="EPSG:4326", resolution=0.1).shape[1] <= 3601
    assert search_boxes(source)


@pytest.mark.parametrize(
    ("crs", "box"),
    [
        (MODIS, (18902158.0, -1111950.5, 4633.127, (240, 240))),
        ("ESRI:54035", (-17300000.0, 8400000.0, 40000.0, (420, 870))),
        ("+proj=eck4 +ellps=WGS84", (-17000000.0, 8500000.0, 100000.0, (170, 340))),
    ],
    ids=["sinusoidal", "equal earth", "eckert"],
)
def test_a_target_beyond_the_rim_of_its_map_is_empty_there_and_does_not_wrap_around(
    crs: str, box: Any
) -> None:
    target = grid(crs, *box)
    source = grid("EPSG:4326", -180.0, 90.0, 0.25, (720, 1440))
    warped = xf.retrieval(
        xr.DataArray(np.ones((720, 1440)), xr_coords(source), ("latitude", "longitude")), 0.1
    ).fusion.coregister(target, resampling="nearest")
    x, y = (axis.ravel() for axis in np.meshgrid(warped.x, warped.y))
    away = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    back = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    there = np.stack(back.transform(*away.transform(x, y)))
    with np.errstate(invalid="ignore"):
        off = ~(np.hypot(*(there - [x, y])) < box[2])
    assert off.any()
    assert not off.all()
    np.testing.assert_array_equal(np.isfinite(warped.mu.values.ravel()), ~off)


def around_the_cut(found: GeoBox, box: GeoBox, half_a_turn: float) -> None:
    """Every corner of every pixel lies in the grid, by pyproj, whole turns east or west of it."""
    u, v = (axis.ravel() for axis in np.meshgrid(*(np.arange(n + 1.0) for n in box.shape[::-1])))
    x, y = box.transform.a * u + box.transform.c, box.transform.e * v + box.transform.f
    x, y = Transformer.from_crs(str(box.crs), str(found.crs), always_xy=True).transform(x, y)
    left, bottom, right, top = found.boundingbox
    slack = 1e-3 * found.resolution.x
    x = left - slack + (x - left + slack) % (2 * half_a_turn)
    assert x.max() <= right + slack
    assert bottom - slack <= y.min()
    assert y.max() <= top + slack
    # and not more than that
    assert right - left <= np.ptp(x) + 2 * found.resolution.x
    assert top - bottom <= np.ptp(y) + 2 * found.resolution.x


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize(
    ("crs", "half_a_turn"),
    [
        ("EPSG:6933", BEHRMANN),
        ("EPSG:3857", 20037508.342789244),
        ("EPSG:3395", 20037508.342789244),
        ("EPSG:4087", 20037508.342789244),
        ("+proj=mill +lon_0=11 +x_0=5000 +R=6371000 +units=km", 20015.086796020572),
    ],
)
@pytest.mark.parametrize("left", [480_000.0, 580_000.0, 640_000.0])
def test_a_tile_over_the_antimeridian_is_not_the_belt_of_a_cylinder(
    crs: str, half_a_turn: float, left: float
) -> None:
    box = grid("EPSG:32660", left, 7.7e6, 1000.0, (100, 100))
    pixel = 1000.0 if half_a_turn > 1e6 else 1.0
    found = xf.common_grid(box, crs=crs, resolution=pixel)
    around_the_cut(found, box, half_a_turn)
    warped = retrieval(box).fusion.coregister(found, resampling="nearest")
    xx, yy = np.meshgrid(warped.x, warped.y)
    x, y = Transformer.from_crs(crs, "EPSG:32660", always_xy=True).transform(xx, yy)
    inside = (abs(x - left - 5e4) < 5e4 - 1) & (abs(y - 7.65e6) < 5e4 - 1)
    assert inside.sum() > 5000
    assert np.isfinite(warped.mu.values[inside]).all()
    # what lies beyond the edge of its map is a turn away of what lies before the other
    back = warped.fusion.coregister(box, resampling="nearest")
    assert np.isfinite(back.mu).mean() > 0.9


@pytest.mark.parametrize("crs", ["EPSG:8857", "ESRI:54009", MODIS])
def test_a_map_that_is_cut_through_a_tile_is_refused_with_both_ends(crs: str) -> None:
    box = grid("EPSG:32660", 580_000, 7.7e6, 1000.0, (100, 100))
    with pytest.raises(ValueError, match=r"lies at both ends of the map.*central meridian"):
        xf.common_grid(box, crs=crs, resolution=1000)
    with pytest.raises(ValueError, match="lies at both ends of the map"):
        retrieval(box).fusion.coregister(crs, resolution=1000)
    turned = "+proj=eqearth +lon_0=180 +datum=WGS84"
    assert max(xf.common_grid(box, crs=turned, resolution=1000).shape) < 300


@pytest.mark.parametrize("left", [0.0, -180.0, -0.5, 57.25])
@pytest.mark.parametrize("columns", [360, 361])
def test_all_around_a_cylinder_is_its_map(left: float, columns: int) -> None:
    box = grid("EPSG:4326", left, 90.0, 1.0, (180, columns))
    found = xf.common_grid(box, crs="EPSG:6933", resolution=1000)
    assert found.boundingbox.bbox == (-17368000.0, -7343000.0, 17368000.0, 7343000.0)
    # rims of a map with curved meridians: half of the equator, by the formula of Equal Earth
    edge = Transformer.from_crs("EPSG:4326", "EPSG:8857", always_xy=True).transform(180, 0)[0]
    equal_earth = xf.common_grid(box, crs="EPSG:8857", resolution=10000).boundingbox
    assert edge <= equal_earth.right < edge + 10000
    assert -edge - 10000 < equal_earth.left <= -edge


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:3395", "EPSG:3413", "EPSG:3034"])
def test_a_pole_at_infinity_is_refused_with_words(crs: str) -> None:
    earth = grid("EPSG:4326", -180.0, 90.0, 1.0, (180, 360))
    with pytest.raises(ValueError, match=r"at infinity. Keep what is away from it.*\.sel"):
        xf.common_grid(earth, crs=crs, resolution=10_000)
    arctic = grid("EPSG:3413", -5e5, 5e5, 1e4, (100, 100))
    if crs in ("EPSG:3857", "EPSG:3395"):
        with pytest.raises(ValueError, match="at infinity"):
            xf.common_grid(arctic, crs=crs, resolution=10_000)
    # as the message says
    away = grid("EPSG:4326", -180.0, 85.0, 1.0, (100, 360))
    assert max(xf.common_grid(away, crs=crs, resolution=10_000).shape) < 5000


def test_too_many_pixels_are_refused_with_a_mend() -> None:
    box = grid("EPSG:4326", -180.0, 60.0, 0.01, (12000, 36000))
    with pytest.raises(ValueError, match=r"pixels of 2.0, a raster at most 10000000.*resolution="):
        xf.common_grid(box, crs="EPSG:6933", resolution=2)


def test_grids_all_around_from_different_meridians_are_one_turn() -> None:
    ours, theirs = (grid("EPSG:4326", left, 90.0, 1.0, (180, 360)) for left in (-180.0, 0.0))
    assert xf.common_grid(ours, theirs) == ours
    assert xf.common_grid(theirs, ours) == theirs
    for first, second in ((ours, theirs), (theirs, ours)):
        assert xf.common_grid(first, second, crs="EPSG:4326", resolution=1) == first
    tile = grid("EPSG:4326", 175.0, 10.0, 0.5, (10, 20))
    found = xf.common_grid(tile, ours)
    assert found.shape == (360, 720)
    assert (found.boundingbox.left - 175.0) % 0.5 == 0
    mercator = [grid("EPSG:6933", x, 1e6, 1000.0, (10, 20)) for x in (-BEHRMANN, BEHRMANN - 2e4)]
    assert xf.common_grid(*mercator).shape == (10, 40)
    whole = retrieval(ours).fusion.coregister(xf.common_grid(theirs, ours))
    assert whole.fusion.usable.all()


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
@pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
def test_a_retrieval_between_the_centres_of_the_grid_is_told(crs: str, resampling: Any) -> None:
    small = retrieval(grid("EPSG:32633", 500_100, 5_000_400, 100.0, (3, 3)))
    # corners of pixels, not their centres, lie in it
    x, y = Transformer.from_crs("EPSG:32633", crs, always_xy=True).transform(500_250, 5_000_250)
    pixel = 2000.0 if crs == "EPSG:32633" else 0.02
    coarse = grid(crs, x - 2 * pixel, y + 2 * pixel, pixel, (4, 4))
    match = r"between the centres.*x 500100 to 500400.*pixels of (2000|0.02) x.*finer"
    with pytest.warns(UserWarning, match=match):
        missed = small.fusion.coregister(coarse, resampling=resampling)
    assert not missed.fusion.usable.any()
    around = coarse.translate_pix(0.5, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        seen = small.fusion.coregister(around, resampling=resampling)
    assert seen.fusion.usable.sum() == 1


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-30, 30), st.floats(-30, 30), st.integers(1, 40), st.integers(1, 40), st.floats(1, 60)
)
@example(0.0, 0.0, 4, 4, 12.0)
def test_it_is_told_whenever_no_pixel_is_seen(
    x: float, y: float, rows: int, columns: int, pixel: float
) -> None:
    source = retrieval(grid("EPSG:32633", 500_000 + x, 5_000_000 + y, 1.0, (rows, columns)))
    target = grid("EPSG:32633", 499_950, 5_000_050, pixel, (int(100 / pixel), int(100 / pixel)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = source.fusion.coregister(target, resampling="nearest").fusion.usable.any()
    # others warn of what is deprecated
    told = [each for each in caught if each.category is UserWarning]
    assert bool(told) != bool(seen)


@pytest.mark.parametrize("resolution", ["0.1", (1, 1), [5, 5], True, 1j, np.array([5.0])])
def test_a_resolution_is_one_number(resolution: Any) -> None:
    box = grid("EPSG:32633", 500_000, 5_000_000, 10.0, (30, 40))
    match = rf"resolution={re.escape(repr(resolution))} is a \w+: give one number"
    with pytest.raises(TypeError, match=match):
        xf.common_grid(box, crs="EPSG:32633", resolution=resolution)
    with pytest.raises(TypeError, match=match):
        xf.common_grid(box, resolution=resolution)
    with pytest.raises(TypeError, match=match):
        retrieval(box).fusion.coregister("EPSG:32633", resolution=resolution)
    for number in (5, np.float32(5), np.int64(5), np.array(5.0)):
        found = xf.common_grid(box, crs="EPSG:32633", resolution=number)  # type: ignore[arg-type]  # all are numbers
        assert found.shape == (60, 80)


@pytest.mark.parametrize("crs", ["+proj=eqc +R=3396190", "+proj=merc +a=3396190 +b=3376200"])
def test_grids_of_another_planet_are_brought_onto_one_another(crs: str) -> None:
    box = grid(crs, 100_000, 1_000_000, 1000.0, (20, 30))
    mars = retrieval(box)
    np.testing.assert_array_equal(mars.fusion.coregister(box.zoom_out(2)).mu, 0.5)
    assert xf.common_grid(mars, crs=crs, resolution=500).shape == (40, 60)
    assert xf.common_grid(mars, box[2:4, 3:9]) == box
    planet = crs[crs.index(" +") :]
    for projection, pixel in (("+proj=longlat", 0.01), ("+proj=stere +lat_0=90", 1000.0)):
        found = xf.common_grid(mars, crs=projection + planet, resolution=pixel)
        assert mars.fusion.coregister(found).fusion.usable.mean() > 0.5
    polar = grid("+proj=stere +lat_0=90" + planet, -5e5, 5e5, 1e4, (100, 100))
    around = xf.common_grid(polar, crs="+proj=eqc" + planet, resolution=1e4)
    assert around.shape[1] * 1e4 == pytest.approx(2 * np.pi * 3396190, abs=3e4)
