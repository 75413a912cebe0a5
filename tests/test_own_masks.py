"""Masks of one's own: on any grid, of any meaning, with what lies around what they exclude."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray  # registers .rio
import xarray as xr
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import Geod, Transformer

import xfusion as xf
from tests.laziness import nothing_computes

UTM = "EPSG:32633"
GEOD = Geod(ellps="WGS84")


def on(grid: GeoBox, values: Any, *leading: str) -> xr.DataArray:
    coords = xr_coords(grid, "spatial_ref")
    return xr.DataArray(values, coords, (*leading, *grid.dimensions))


def retrieval_on(grid: GeoBox) -> xr.Dataset:
    ones = on(grid, np.ones(grid.shape.yx, np.float32))
    return xf.retrieval(ones, ones)


def turned(x: float, y: float, degrees: float, width: float, height: float) -> Affine:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return Affine(cos * width, -sin * height, x, sin * width, cos * height, y)


def applied(affine: Affine, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d, e, f = tuple(affine)[:6]
    return a * x + b * y + c, d * x + e * y + f


def centres(grid: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = grid.shape
    return applied(grid.transform, *np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5))


def nearest(mask: np.ndarray, source: GeoBox, target: GeoBox, outside: int) -> np.ndarray:
    """The nearest pixel by pyproj and plain indexing."""
    x, y = centres(target)
    x, y = Transformer.from_crs(str(target.crs), str(source.crs), always_xy=True).transform(x, y)
    u, v = applied(~source.transform, x, y)
    inside = (u >= 0) & (u < source.shape[1]) & (v >= 0) & (v < source.shape[0])
    rows, columns = (np.where(inside, a, 0).astype(int) for a in (v, u))
    return np.where(inside, mask[rows, columns], outside)


HERE = GeoBox.from_bbox((500000, 5000000, 500600, 5000400), UTM, resolution=10)
OTHERS = {
    "finer": GeoBox((43, 86), Affine(7, 0, 500103.3, 0, -7, 5000302.2), UTM),
    "coarser": GeoBox((8, 12), Affine(50, 0, 499903, 0, -50, 5000502), UTM),
    "degrees": GeoBox((40, 60), Affine(1.3e-4, 0, 15.0001, 0, -1.1e-4, 45.1564), "EPSG:4326"),
    "rotated": GeoBox((50, 50), turned(500100, 5000100, 20, 9, 9), UTM),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("chunks", [None, {"y": 13, "x": 17}])
def test_a_mask_on_another_grid_is_its_nearest_pixel_and_unknown_outside(
    other: str, chunks: dict[str, int] | None
) -> None:
    grid = OTHERS[other]
    rng = np.random.default_rng(3)
    excluded = rng.random(grid.shape.yx) < 0.3
    expected = nearest(excluded * 128, grid, HERE, 32)
    assert {*np.unique(expected)} == {0, 32, 128}
    here, mask = retrieval_on(HERE), on(grid, excluded)
    if chunks is not None:
        with nothing_computes():
            lazy = here.chunk(chunks).fusion.exclude(mask.chunk(dict.fromkeys(mask.dims, 11)))
        assert lazy["mask"].chunksizes == here.chunk(chunks).mu.chunksizes
        np.testing.assert_array_equal(lazy["mask"], expected)
    found = here.fusion.exclude(mask)
    np.testing.assert_array_equal(found["mask"], expected)
    xr.testing.assert_identical(found.fusion.exclude(mask), found)


@pytest.mark.parametrize("nodata", [None, 255])
def test_a_raster_is_read_by_its_classes_and_where_it_ends_is_unknown(
    tmp_path: Path, nodata: int | None
) -> None:
    grid = OTHERS["coarser"]
    classes = np.random.default_rng(1).choice([0, 1, 2, 3, 7, 255], grid.shape.yx).astype(np.uint8)
    path = tmp_path / "clouds.tif"
    on(grid, classes).rio.write_nodata(nodata).rio.to_raster(path)
    table = {0: "usable", 1: "cloud", 2: xf.Exclusion.CLOUD, 3: "shadow"}
    meaning = {0: 0, 1: 1, 2: 1, 3: 2, 7: 32, 255: 32}
    flags = np.vectorize(meaning.get)(classes)
    expected = nearest(flags, grid, HERE, 32)
    here = retrieval_on(HERE)
    eager = here.fusion.exclude(path, classes=table)
    assert eager["mask"].chunks is None
    with nothing_computes():
        lazy = here.chunk().fusion.exclude(str(path), classes=table)
    for found in (eager, lazy):
        np.testing.assert_array_equal(found["mask"], expected)
    with pytest.raises(ValueError, match=r"clouds.tif, uint8, not bool.*classes="):
        here.fusion.exclude(path)


def test_a_declared_nodata_may_be_a_class_of_its_own(tmp_path: Path) -> None:
    values = np.array([[0, 4, 9]], np.uint8)
    grid = GeoBox.from_bbox((500000, 5000000, 500030, 5000010), UTM, resolution=10)
    on(grid, values).rio.write_nodata(0).rio.to_raster(tmp_path / "scl.tif")
    here = retrieval_on(grid)
    table = {4: "usable", 9: "cloud"}
    found = here.fusion.exclude(tmp_path / "scl.tif", classes=table)["mask"]
    assert found.values.tolist() == [[32, 0, 1]]
    found = here.fusion.exclude(tmp_path / "scl.tif", classes={**table, 0: "defective"})["mask"]
    assert found.values.tolist() == [[8, 0, 1]]


def test_limits_exclude_what_is_beyond_them_and_the_limit_itself_is_usable(tmp_path: Path) -> None:
    grid = GeoBox.from_bbox((500000, 5000000, 500050, 5000010), UTM, resolution=10)
    values = np.array([[0.1, 0.4, 0.41, np.nan, -9999]], np.float32)
    here = retrieval_on(grid)
    mask = on(grid, values).assign_attrs(nodata=-9999.0)
    cloud = {"above": 0.4, "flag": xf.Exclusion.CLOUD}
    assert here.fusion.exclude(mask, **cloud)["mask"].values.tolist() == [[0, 0, 1, 32, 32]]
    assert here.fusion.exclude(mask, below=0.4)["mask"].values.tolist() == [[128, 0, 0, 32, 32]]
    # percent of a file that says so
    on(grid, np.array([[10, 40, 41, 255, 40]], np.uint8)).rio.write_nodata(255).assign_attrs(
        scale_factor=0.01, add_offset=0.0
    ).rio.to_raster(tmp_path / "p.tif")
    found = here.fusion.exclude(tmp_path / "p.tif", above=0.405)["mask"]
    assert found.values.tolist() == [[0, 0, 128, 32, 0]]
    packed = rioxarray.open_rasterio(tmp_path / "p.tif")
    assert isinstance(packed, xr.DataArray)
    with pytest.raises(ValueError, match=r"packed, \{'scale_factor': 0.01.*mask_and_scale=True"):
        here.fusion.exclude(packed, above=0.4)


def test_the_mask_of_a_result_is_read_as_flags(tmp_path: Path) -> None:
    flags = np.zeros(HERE.shape.yx, np.uint8)
    flags[3, 4], flags[5, 6] = 1, 34
    ones = on(HERE, np.ones(HERE.shape.yx, np.float32))
    water = xf.retrieval(ones, ones, on(HERE, flags), time="2023-06-20")
    water.fusion.to_cog(tmp_path)
    found = retrieval_on(HERE).fusion.exclude(tmp_path / "mask.tif")
    np.testing.assert_array_equal(found["mask"], flags)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"classes": {1: "cloud"}}, ValueError, "no class of usable pixels.*0: 'usable'"),
        ({"classes": {0: "usable", 1: "clouds"}}, ValueError, "flag 'clouds': name one of"),
        ({"classes": {0: "usable", 1: 256}}, ValueError, "flag 256"),
        ({"classes": {"a": "usable"}}, ValueError, "'a', which is no number"),
        ({"classes": {0: "usable"}, "above": 1}, ValueError, "one or the other"),
        ({"above": np.nan}, ValueError, "above=nan: give a number"),
        ({"above": "0.4"}, ValueError, "above='0.4': give a number"),
        ({"buffer": -1}, ValueError, "buffer=-1: give a distance"),
        ({"buffer": np.inf}, ValueError, "buffer=inf"),
        ({"buffer": "10 m"}, TypeError, "buffer='10 m'"),
        ({}, ValueError, "int16, not bool.*classes="),
    ],
)
def test_what_numbers_mean_is_said_or_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    here = retrieval_on(HERE)
    with pytest.raises(error, match=message):
        here.fusion.exclude(on(HERE, np.zeros(HERE.shape.yx, np.int16)), **options)


def test_a_mask_without_a_place_is_refused_and_one_elsewhere_is_warned_of() -> None:
    here = retrieval_on(HERE)
    lost = on(OTHERS["finer"], np.zeros(OTHERS["finer"].shape.yx, bool)).drop_vars("spatial_ref")
    lost = lost.drop_attrs()
    with pytest.raises(ValueError, match=r"not on one grid.*\.rio\.write_crs"):
        here.fusion.exclude(lost)
    far = GeoBox.from_bbox((600000, 5000000, 600600, 5000400), UTM, resolution=10)
    with pytest.warns(UserWarning, match=r"do not overlap: x 600000 .* x 500000 .*UNKNOWN"):
        found = here.fusion.exclude(on(far, np.zeros(far.shape.yx, bool)))
    assert (found["mask"] == 32).all()
    with pytest.raises(ValueError, match="the grid has no CRS"):
        xf.retrieval(np.ones((3, 3)), np.ones((3, 3))).fusion.exclude(
            xr.DataArray(np.eye(3, dtype=bool), dims=("y", "x")), buffer=10
        )


# Around what is excluded


def around(flags: np.ndarray, grid: GeoBox, metres: float) -> tuple[np.ndarray, np.ndarray]:
    """What is within a distance of a flagged pixel, one by one; and how near the limit it is."""
    x, y = centres(grid)
    on_ground = str(grid.crs) != UTM
    if on_ground and not grid.crs.geographic:  # type: ignore[union-attr]  # it has one
        x, y = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True).transform(x, y)
    found, margin = flags.copy(), np.full(flags.shape, np.inf)
    for i, j in zip(*np.nonzero(flags), strict=True):
        if on_ground:
            there = np.full_like(x, x[i, j]), np.full_like(y, y[i, j])
            apart = np.asarray(GEOD.inv(x, y, *there)[2])
        else:
            apart = np.hypot(x - x[i, j], y - y[i, j])
        found[apart <= metres * (1 + 1e-9)] |= flags[i, j]
        margin = np.minimum(margin, np.abs(apart / metres - 1))
    return found, margin


GRIDS = {
    "utm": (HERE, 60.0),
    "rotated": (OTHERS["rotated"], 47.0),
    "degrees": (GeoBox((80, 120), Affine(1e-4, 0, 15, 0, -1e-4, 60), "EPSG:4326"), 100.0),
    "south up": (GeoBox((60, 90), Affine(0.01, 0, 15, 0, 0.01, -60), "EPSG:4326"), 3000.0),
    "over the pole": (GeoBox((30, 360), Affine(1, 0, -180, 0, -0.02, 90), "EPSG:4326"), 20e3),
    "all around": (GeoBox((20, 360), Affine(1, 0, 0, 0, -1, 60), "EPSG:4326"), 200e3),
    "rotated degrees": (GeoBox((70, 90), turned(15, 50, 30, 1e-4, -1e-4), "EPSG:4326"), 60.0),
    "mercator": (
        GeoBox.from_bbox((1e6, 8.4e6, 1.0015e6, 8.4007e6), "EPSG:3857", resolution=10),
        50.0,
    ),
    "laea": (GeoBox.from_bbox((1e6, 1e6, 1.2e6, 1.15e6), "EPSG:3035", resolution=1000), 4000.0),
}


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("name", GRIDS)
def test_a_buffer_is_a_distance_on_the_ground_whatever_the_grid(name: str) -> None:
    grid, metres = GRIDS[name]
    rng = np.random.default_rng(5)
    flags = np.where(rng.random(grid.shape.yx) < 0.004, rng.choice([1, 2, 4], grid.shape.yx), 0)
    flags = flags.astype(np.uint8)
    flags[5, -1] = 2  # where a grid around the earth ends
    expected, margin = around(flags, grid, metres)
    assert (expected > 0).sum() > 3 * (flags > 0).sum()
    here, mask = retrieval_on(grid), on(grid, flags)
    found = here.fusion.exclude(mask, buffer=metres)["mask"].values
    # pixels at just this distance may fall to either side, by one in 100 000
    differs = found != expected
    assert margin[differs].max(initial=0) < 1e-5
    assert differs.mean() < 1e-3
    rows, columns = grid.dimensions
    for chunks in ({rows: 17, columns: 23}, {rows: 1, columns: -1}, {rows: -1, columns: 7}):
        with nothing_computes():
            lazy = here.chunk(chunks).fusion.exclude(mask.chunk(chunks), buffer=metres)
        assert lazy["mask"].chunksizes == here.chunk(chunks).mu.chunksizes
        np.testing.assert_array_equal(lazy["mask"], found)


@pytest.mark.parametrize("other", OTHERS)
def test_a_buffer_of_a_mask_on_another_grid_reaches_in_from_beyond_the_edge(other: str) -> None:
    source = OTHERS[other]
    metres = 120.0
    excluded = np.zeros(source.shape.yx, bool)
    excluded[2::5, 3::6] = True
    target = GeoBox.from_bbox((500200, 5000130, 500400, 5000260), UTM, resolution=10)
    here, mask = retrieval_on(target), on(source, excluded)
    found = here.fusion.exclude(mask, buffer=metres)["mask"].values
    rows, columns = mask.dims
    for chunks in (5, 13):
        with nothing_computes():
            lazy = here.chunk(chunks).fusion.exclude(
                mask.chunk({rows: 8, columns: 9}), buffer=metres
            )
        np.testing.assert_array_equal(lazy["mask"], found)
    # from centre to centre, and a pixel of the finer grid to each side
    x, y = centres(source)
    if source.crs is not None and source.crs.geographic:
        x, y = Transformer.from_crs("EPSG:4326", UTM, always_xy=True).transform(x, y)
    a, b = centres(target)
    half = np.sqrt(abs(source.transform.determinant)) / 2 if other == "coarser" else 0.0
    apart = np.full(a.shape, np.inf)
    for p, q in zip(x[excluded], y[excluded], strict=True):
        # of a coarse pixel the nearest part counts
        off = (np.maximum(np.abs(v - w) - half, 0) for v, w in ((a, p), (b, q)))
        apart = np.minimum(apart, np.hypot(*off))
    seen = nearest(np.zeros(source.shape.yx, int), source, target, 1) == 0
    assert (found[apart < metres - 15][seen[apart < metres - 15]] == 128).all()
    assert (found[apart > metres + 15][seen[apart > metres + 15]] == 0).all()
    assert (found[~seen] == 32).all()
    assert (found[seen] == 128).any()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 5.0, 10.0, 14.15, 20.0, 31.0, 1e4]))
def test_a_buffer_spreads_each_flag_but_what_was_not_seen(seed: int, metres: float) -> None:
    rng = np.random.default_rng(seed)
    grid = GeoBox.from_bbox((500000, 5000000, 500120, 5000090), UTM, resolution=10)
    values = [0, 1, 2, 32, 64, 33, 128]
    flags = rng.choice(values, (2, 9, 12), p=[0.88] + [0.02] * 6).astype(np.uint8)
    here = xf.retrieval(*(on(grid, np.ones((2, 9, 12)), "time") for _ in range(2)))
    found = here.fusion.exclude(on(grid, flags, "time"), buffer=metres)["mask"].values
    for day, plane in zip(found, flags, strict=True):
        spread = plane & np.uint8(255 - 32 - 64)
        expected = around(spread, grid, metres)[0] if metres else spread
        expected = np.where(plane & (32 | 64), plane, plane | expected)
        np.testing.assert_array_equal(day, expected)
    lazy = here.chunk(time=1, y=4, x=5).fusion.exclude(
        on(grid, flags, "time").chunk(time=1, y=3, x=12), buffer=metres
    )
    np.testing.assert_array_equal(lazy["mask"], found)


def test_clouds_of_a_mask_that_is_attached_get_a_buffer_by_themselves() -> None:
    flags = np.zeros(HERE.shape.yx, np.uint8)
    flags[10, 10], flags[20, 20], flags[30, 30] = 1, 4, 32
    ones = on(HERE, np.ones(HERE.shape.yx))
    masked = xf.retrieval(ones, ones, on(HERE, flags))
    clouds = masked["mask"] & np.uint8(xf.Exclusion.CLOUD | xf.Exclusion.SHADOW)
    found = masked.fusion.exclude(clouds, buffer=20)["mask"].values
    assert (found == 1).sum() == 13  # a disk of two pixels
    assert (found == 4).sum() == 1
    assert (found == 32).sum() == 1


def test_what_is_made_of_a_retrieval_stays_where_it_lies() -> None:
    assert xf.exceedance(retrieval_on(HERE), 0.5).rio.crs == UTM


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flags_that_where_has_made_floats_are_flags(dtype: Any) -> None:
    grid = GeoBox.from_bbox((500000, 0, 500040, 10), UTM, resolution=10)
    flags = np.array([[0, 1, 18, 255]], np.uint8)
    water = retrieval_on(grid).fusion.exclude(on(grid, flags))
    kept = water["mask"].where([[True, False, True, True]]).astype(dtype)
    assert kept.dtype.kind == "f"
    again = retrieval_on(grid).fusion.exclude(kept)
    assert again["mask"].values.tolist() == [[0, 32, 18, 255]]
    lazily = retrieval_on(grid).fusion.exclude(kept.chunk(x=2))
    xr.testing.assert_equal(lazily, again)
    # of numbers without our attributes nobody knows, and == 1 would lose the other flags
    with pytest.raises(ValueError, match=r"float.*not bool.*\.fillna\(32\)\.astype\('uint8'\)"):
        retrieval_on(grid).fusion.exclude(kept.drop_attrs())
    mended = retrieval_on(grid).fusion.exclude(kept.drop_attrs().fillna(32).astype("uint8"))
    xr.testing.assert_equal(mended, again)
    with pytest.raises(ValueError, match="which is no flag"):
        retrieval_on(grid).fusion.exclude(kept.fillna(0.5)).load()
