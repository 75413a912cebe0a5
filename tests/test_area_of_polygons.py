"""Areas of polygons: against geodesic areas, on any grid, in any block, from any kind of source."""

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests.laziness import nothing_computes

GRIDS = {
    "UTM": GeoBox((90, 120), Affine(10, 0, 300000, 0, -10, 5e6), "EPSG:32633"),
    "degrees": GeoBox((90, 120), Affine(1e-4, 0, 16, 0, -1e-4, 60), "EPSG:4326"),
    "upside down": GeoBox((90, 120), Affine(2e-4, 0, 16, 0, 1e-4, 48), "EPSG:4326"),
    "turned": GeoBox((90, 120), Affine(8, 3, 300000, 3, -8, 5e6), "EPSG:32633"),
    "coarse": GeoBox((9, 12), Affine(1000, 0, 300000, 0, -1000, 5e6), "EPSG:32633"),
}
OUTLINES = {
    "triangle": [(0.1, 0.1), (0.73, 0.2), (0.4, 0.9)],
    "thin": [(0.1, 0.5), (0.9, 0.5021), (0.9, 0.5037), (0.1, 0.501)],
    "within a pixel": [(0.5, 0.5), (0.503, 0.5), (0.503, 0.504)],
}


def on(geobox: GeoBox, outline: list[tuple[float, float]]) -> Any:
    """Return a polygon in the CRS of a grid, given by parts of its sides."""
    rows, columns = geobox.shape
    right, down = np.array(outline).T
    corners: Any = geobox.pix2wld(right * columns, down * rows)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    return shapely.Polygon(np.stack(corners, axis=1))


def geodesic_area(polygon: Any, crs: str) -> float:
    """Return the area in km2 of a polygon whose edges are straight in its CRS."""
    x0, y0, x1, y1 = polygon.bounds
    fine = shapely.segmentize(polygon, max(x1 - x0, y1 - y0) / 2000)
    to = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    degrees = shapely.transform(fine, to.transform, interleaved=False)
    return abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(degrees)[0]) / 1e6


def full(geobox: GeoBox) -> xr.Dataset:
    return xf.retrieval(xr_zeros(geobox) + 1.0, 0.1)


def random_on(geobox: GeoBox) -> xr.Dataset:
    rng = np.random.default_rng(0)
    grid, shape = xr_zeros(geobox), geobox.shape
    return xf.retrieval(grid + rng.random(shape), grid + rng.random(shape), rng.random(shape) < 0.2)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("outline", OUTLINES)
def test_a_polygon_is_as_large_as_on_the_ellipsoid(name: str, outline: str) -> None:
    geobox = GRIDS[name]
    polygon = on(geobox, OUTLINES[outline])
    found = full(geobox).fusion.area(zones=polygon)
    expected = geodesic_area(polygon, str(geobox.crs))
    assert found.area.item() == pytest.approx(expected, rel=2e-5, abs=1e-8)


def test_a_hole_and_several_parts_count_as_what_they_are() -> None:
    geobox = GRIDS["UTM"]
    ring = on(geobox, [(0.1, 0.1), (0.5, 0.1), (0.5, 0.6), (0.1, 0.6)])
    hole = on(geobox, [(0.2, 0.2), (0.33, 0.2), (0.3, 0.4)])
    apart = on(geobox, [(0.7, 0.7), (0.9, 0.7), (0.9, 0.9)])
    both = ring.difference(hole).union(apart)
    each = full(geobox).fusion.area(zones=[ring, hole, apart, both]).area.to_numpy()
    assert each[3] == pytest.approx(each[0] - each[1] + each[2], rel=1e-9)


def test_pixels_at_the_edge_count_by_the_share_that_is_inside() -> None:
    geobox = GeoBox((2, 2), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
    mu, sigma = np.array([[0.1, 0.2], [0.4, 0.8]]), np.array([[0.1, 0.2], [0.3, 0.4]])
    grid = xr_zeros(geobox)
    water = xf.retrieval(grid + mu, grid + sigma, np.array([[0, 0], [0, 1]], np.uint8))
    # half of the upper left, a quarter of the lower left and right
    polygon = shapely.union(
        shapely.box(5e5, 5e6 - 10, 5e5 + 5, 5e6),
        shapely.box(5e5 + 5, 5e6 - 15, 5e5 + 15, 5e6 - 10),
    )
    shares = np.array([[0.5, 0.0], [0.25, 0.0]])
    pixel = full(geobox).fusion.area().area.item() / 4
    found = water.fusion.area(zones=polygon)
    assert found.area.item() == pytest.approx(pixel * (shares * mu).sum(), rel=1e-6)
    assert found.unusable.item() == pytest.approx(pixel * 0.25, rel=1e-6)
    alone = pixel * np.sqrt(((shares * sigma) ** 2).sum())
    assert found.area_sigma.item() == pytest.approx(alone, rel=1e-6)
    one = water.fusion.area(zones=polygon, correlation=np.inf)
    assert one.area_sigma.item() == pytest.approx(pixel * (shares * sigma).sum(), rel=1e-6)


@given(
    data=st.data(),
    name=st.sampled_from(["UTM", "turned", "upside down"]),
    correlation=st.sampled_from([None, 60.0, np.inf, [(0.5, 30.0), (0.4, 1e5)]]),
    corners=st.lists(
        st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2)), min_size=3, max_size=6, unique=True
    ),
)
@settings(max_examples=25)
@pytest.mark.filterwarnings("ignore:.*outside the grid", "ignore:no zone lies")
def test_blocks_change_nothing(
    data: st.DataObject, name: str, correlation: Any, corners: list[tuple[float, float]]
) -> None:
    geobox = GRIDS[name]
    hull = shapely.MultiPoint(on(geobox, corners).exterior.coords).convex_hull
    polygon = hull.buffer(abs(geobox.resolution.x))
    inside = on(geobox, OUTLINES["triangle"])
    water = random_on(geobox)
    eager = water.fusion.area(zones=[polygon, inside], correlation=correlation)
    blocks = {d: data.draw(st.integers(17, n)) for d, n in water.sizes.items()}
    lazy = water.chunk(blocks)
    with nothing_computes():
        areas = lazy.fusion.area(zones=[polygon, inside], correlation=correlation)
    xr.testing.assert_allclose(areas.compute(), eager, rtol=1e-9)


# Where zones come from


@dataclass
class Frame:
    """What is needed of a GeoDataFrame: features, an index, and the CRS they are in."""

    geometries: list[Any]
    index: pd.Index
    crs: Any

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        features = [
            {"type": "Feature", "id": str(i), "properties": {}, "geometry": g.__geo_interface__}
            for i, g in zip(self.index, self.geometries, strict=True)
        ]
        return {"type": "FeatureCollection", "features": features}


def two() -> list[Any]:
    geobox = GRIDS["UTM"]
    return [on(geobox, OUTLINES["triangle"]), on(geobox, [(0, 0), (0.3, 0), (0.3, 0.2)])]


def in_utm_34() -> list[Any]:
    return in_degrees("EPSG:32634")


def in_degrees(crs: str = "EPSG:4326") -> list[Any]:
    to = pyproj.Transformer.from_crs("EPSG:32633", crs, always_xy=True)
    fine = [shapely.segmentize(p, 5.0) for p in two()]
    return [shapely.transform(p, to.transform, interleaved=False) for p in fine]


def collection(of: list[Any] | None = None, **ids: Any) -> dict[str, Any]:
    frame = Frame(of or in_degrees(), pd.Index([*ids.values()]), None)
    return json.loads(json.dumps(frame.__geo_interface__))  # type: ignore[no-any-return]  # a dict


def of_crs(name: Any, polygons: list[Any], member: Any = None) -> dict[str, Any]:
    """GeoJSON as GDAL and geopandas write it of another CRS than longitude and latitude."""
    told = Frame(polygons, pd.Index(["a", "b"]), None).__geo_interface__
    return {"crs": member or {"type": "name", "properties": {"name": name}}, **told}


@dataclass
class Item:
    """What has GeoJSON of its own, such as an item of pystac, and says nothing of a CRS."""

    __geo_interface__: dict[str, Any]


SOURCES: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "list of shapely": (two, [0, 1]),
    "tuple": (lambda: tuple(two()), [0, 1]),
    "odc.geo in another CRS": (
        lambda: [Geometry(p, "EPSG:4326") for p in in_degrees()],
        [0, 1],
    ),
    "GeoJSON": (lambda: collection(a="north", b="south"), ["north", "south"]),
    "features": (lambda: collection(a="n", b="s")["features"], ["n", "s"]),
    "GeoJSON in another CRS": (
        lambda: of_crs("urn:ogc:def:crs:EPSG::32634", in_utm_34()),
        ["a", "b"],
    ),
    "GeoJSON in the CRS of the grid": (lambda: of_crs("EPSG:32633", two()), ["a", "b"]),
    "GeoJSON that names degrees": (
        lambda: of_crs("urn:ogc:def:crs:OGC:1.3:CRS84", in_degrees()),
        ["a", "b"],
    ),
    "GeoJSON that names EPSG:4326": (lambda: of_crs("EPSG:4326", in_degrees()), ["a", "b"]),
    "features, each with its CRS": (
        lambda: [
            {"crs": "EPSG:32633", **f} for f in collection(a="n", b="s", of=two())["features"]
        ],
        ["n", "s"],
    ),
    "geometries as dicts": (lambda: [shapely.geometry.mapping(p) for p in in_degrees()], [0, 1]),
    "items": (lambda: [Item(f) for f in collection(a="n", b="s")["features"]], ["n", "s"]),
    "frame": (lambda: Frame(two(), pd.Index([7, 3]), "EPSG:32633"), [7, 3]),
    "frame in another CRS": (
        lambda: Frame(in_degrees(), pd.Index(["b", "a"]), pyproj.CRS(4326)),
        ["b", "a"],
    ),
    "frame with an index of two levels": (
        lambda: Frame(two(), pd.MultiIndex.from_tuples([("x", 1), ("x", 2)]), None),
        ["('x', 1)", "('x', 2)"],
    ),
    "frame with texts and numbers": (lambda: Frame(two(), pd.Index(["a", 1]), None), ["a", "1"]),
    "with heights": (lambda: [shapely.force_3d(p, 5.0) for p in two()], [0, 1]),
}


@pytest.mark.parametrize("source", SOURCES)
def test_zones_may_come_from_anything_that_tells_geojson(source: str) -> None:
    make, labels = SOURCES[source]
    found = full(GRIDS["UTM"]).fusion.area(zones=make())
    assert found.zone.to_numpy().tolist() == labels
    expected = [geodesic_area(p, "EPSG:32633") for p in two()]
    np.testing.assert_allclose(found.area, expected, rtol=2e-5)


def test_long_edges_stay_straight_where_they_were_drawn() -> None:
    # a parallel of 60 km is 50 m off a straight line of UTM
    drawn = shapely.box(15.0, 48.0, 15.8, 48.2)
    geobox = GeoBox((300, 700), Affine(100, 0, 495000, 0, -100, 5345000), "EPSG:32633")
    found = full(geobox).fusion.area(zones=Geometry(drawn, "EPSG:4326"))
    assert found.area.item() == pytest.approx(geodesic_area(drawn, "EPSG:4326"), rel=1e-5)


@pytest.mark.parametrize("west", [179.0, -181.0])
def test_a_polygon_is_found_on_either_side_of_the_antimeridian(west: float) -> None:
    geobox = GeoBox((100, 200), Affine(0.01, 0, west, 0, -0.01, 1), "EPSG:4326")
    drawn = [shapely.box(179.2, 0.2, 180.0, 0.4), shapely.box(-180.0, 0.2, -179.5, 0.4)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = full(geobox).fusion.area(zones=[*drawn, shapely.union_all(drawn)])
    expected = [geodesic_area(p, "EPSG:4326") for p in drawn]
    np.testing.assert_allclose(found.area, [*expected, sum(expected)], rtol=1e-5)


# What is warned of, and what is refused


def test_what_lies_outside_the_grid_is_said() -> None:
    geobox = GRIDS["UTM"]
    inside, over, out = (
        on(geobox, [(0.1 + d, 0.1), (0.5 + d, 0.1), (0.5 + d, 0.9), (0.1 + d, 0.9)])
        for d in (0, 0.7, 3)
    )
    with pytest.warns(UserWarning, match="2 of 3 zones lie wholly or partly outside.*such as 1"):
        found = full(geobox).fusion.area(zones=[inside, over, out])
    assert found.area[1].item() == pytest.approx(found.area[0].item() / 2, rel=1e-4)
    assert found.area[2].item() == found.unusable[2].item() == 0
    with pytest.warns(UserWarning, match="no zone lies on the grid.*areas are 0"):
        full(geobox).fusion.area(zones=Geometry(out, geobox.crs))


def test_zones_without_a_crs_that_are_nowhere_near_are_refused() -> None:
    with pytest.raises(ValueError, match="do not say in which CRS they are"):
        full(GRIDS["UTM"]).fusion.area(zones=in_degrees())


def test_geojson_of_another_zone_is_not_taken_for_that_of_the_grid() -> None:
    # the numbers of UTM 34 lie on the grid, the place is 470 km away
    with pytest.warns(UserWarning, match="no zone lies on the grid.*in EPSG:32633: their areas"):
        found = full(GRIDS["UTM"]).fusion.area(zones=of_crs("EPSG:32634", two()))
    assert (found.area == 0).all()


def test_messages_name_a_crs_by_its_code() -> None:
    wkt = pyproj.CRS(32633).to_wkt()
    geobox = GeoBox((90, 120), GRIDS["UTM"].affine, wkt)
    with pytest.warns(UserWarning, match="no zone lies") as caught:
        full(geobox).fusion.area(zones=of_crs("EPSG:32634", two()))
    with pytest.raises(ValueError, match="do not say in which CRS") as error:
        full(geobox).fusion.area(zones=in_degrees())
    warned = [str(w.message) for w in caught if w.category is UserWarning]
    for said in (*warned, str(error.value)):
        assert "in EPSG:32633" in said
        assert "PROJCRS" not in said


def test_a_zone_without_extent_has_no_area() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = full(GRIDS["UTM"]).fusion.area(zones=[shapely.Polygon(), *two()], correlation=50.0)
    assert found.area[0].item() == found.area_sigma[0].item() == 0
    assert found.area[1].item() > 0


def refused() -> dict[str, tuple[Callable[[], Any], type[Exception], str]]:
    bow = shapely.Polygon([(3e5, 5e6), (3e5 + 90, 5e6 - 90), (3e5 + 90, 5e6), (3e5, 5e6 - 90)])
    return {
        "a point": (lambda: shapely.Point(3e5, 5e6), ValueError, "is a Point, which has no area"),
        "a bow": (lambda: bow, ValueError, "Self-intersection.*make_valid"),
        "nothing": (list, ValueError, "no polygon"),
        "a number": (lambda: 3, TypeError, "zones is or has a int.*GeoDataFrame"),
        "a name of a file": (lambda: "zones.gpkg", TypeError, "zones is or has a str"),
        "no geometry": (
            lambda: {"type": "Feature", "id": "x", "geometry": None},
            ValueError,
            "'x' has no geometry",
        ),
        "GeoJSON in metres that says nothing": (
            lambda: collection(a="n", b="s", of=two()),
            ValueError,
            r"longitude and latitude unless it says otherwise, and the zone 'n'.*zones\['crs'\]",
        ),
        "a CRS that there is not": (
            lambda: of_crs("EPSG:nowhere", two()),
            ValueError,
            "names no CRS",
        ),
        "a CRS behind a link": (
            lambda: of_crs(None, two(), {"type": "link", "properties": {"href": "a.wkt"}}),
            ValueError,
            "names no CRS",
        ),
        "equal names": (
            lambda: Frame(two(), pd.Index(["a", "a"]), None),
            ValueError,
            "2 of the name 'a'.*reset_index",
        ),
        "two CRS": (
            lambda: [Geometry(two()[0], "EPSG:32633"), Geometry(in_degrees()[0], "EPSG:4326")],
            ValueError,
            "different CRS",
        ),
        "beyond the map": (
            lambda: Geometry(shapely.box(15, 48, 16, 91), "EPSG:4326"),
            ValueError,
            "beyond the rim",
        ),
    }


@pytest.mark.parametrize("what", refused())
def test_what_is_no_polygon_is_refused(what: str) -> None:
    make, error, said = refused()[what]
    lazy = full(GRIDS["UTM"]).chunk(y=50)
    with nothing_computes(), pytest.raises(error, match=said):
        lazy.fusion.area(zones=make())


def test_without_exactextract_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "exactextract", None)
    with pytest.raises(ImportError, match=r"pip install 'xfusion\[zones\]'"):
        full(GRIDS["UTM"]).fusion.area(zones=two())
