"""Where an array lies: labels, GeoTransform and CRS agree, or it is an error; never a choice."""

import functools
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import odc.geo
import pytest
import rasterio
import rioxarray
import xarray as xr
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import CRS, Transformer

import xfusion as xf
from tests.test_raster import write
from xfusion.datamodel.comparison import same_crs, same_geobox
from xfusion.datamodel.grid import geobox_of

NORTH_UP = Affine(10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0)
TURNED = Affine(8.0, 6.0, 500000.0, 6.0, -8.0, 5000000.0)  # pixels of 10 m


def on(transform: Affine, shape: tuple[int, int] = (4, 5), value: float = 0.5) -> xr.DataArray:
    """An array as odc-geo places it."""
    coords = xr_coords(GeoBox(shape, transform, "EPSG:32633"))
    return xr.DataArray(np.full(shape, value), dims=("y", "x"), coords=coords)


def unlabelled(transform: Affine) -> xr.DataArray:
    return on(transform).drop_vars(["y", "x"])


def far(transform: Affine) -> Affine:
    a, b, c, d, e, f = tuple(transform)[:6]
    return Affine(a, b, c + 1e5, d, e, f)


def retrieval(array: xr.DataArray) -> xr.Dataset:
    return xf.retrieval(array, xr.zeros_like(array) + 0.1)


def assert_transform(obj: Any, expected: Affine) -> None:
    np.testing.assert_allclose(tuple(geobox_of(obj).transform), tuple(expected), rtol=1e-12)


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED], ids=["north up", "rotated"])
def test_grids_without_labels_far_apart_are_not_one(transform: Affine) -> None:
    one, other = retrieval(unlabelled(transform)), retrieval(unlabelled(far(transform)))
    with pytest.raises(ValueError, match=r"not on one grid.*600000"):
        xf.gaussian(one, other)
    with pytest.warns(UserWarning, match="do not overlap"):
        assert (xf.exclude(one, unlabelled(far(transform)) > 0.3)["mask"] == 32).all()
    with pytest.raises(ValueError, match="not on one grid"):
        xf.merge_mask(unlabelled(transform) > 1, unlabelled(far(transform)) > 1)
    with pytest.raises(ValueError, match="not on one grid"):
        xf.retrieval(unlabelled(transform), unlabelled(far(transform)))
    assert float(xf.gaussian(one, one).mu[0, 0]) == 0.5


def test_rotated_files_far_apart_are_not_one_grid(tmp_path: Path) -> None:
    ones = np.ones((4, 5), np.float32)
    one = write(tmp_path / "one.tif", ones, transform=TURNED)
    other = write(tmp_path / "other.tif", ones, transform=far(TURNED))
    with pytest.raises(ValueError, match="not on one grid"):
        xf.SensorProduct.open(one, other)
    a, b = xf.SensorProduct.open(one, one), xf.SensorProduct.open(other, other)
    with pytest.raises(ValueError, match="not on one grid"):
        a.gaussian(b)


@pytest.mark.parametrize("kind", ["north up", "rotated", "control points"])
def test_masks_of_files_far_apart_are_not_merged(kind: str, tmp_path: Path) -> None:
    flags = np.zeros((4, 5), np.uint8)
    base = TURNED if kind == "rotated" else NORTH_UP
    masks = []
    for name, transform in (("one", base), ("same", base), ("far", far(base))):
        path = write(tmp_path / f"{name}.tif", flags, transform=transform)
        if kind == "control points":
            points = [
                rasterio.control.GroundControlPoint(r, c, *(transform @ (c, r)))
                for r in (0, 4)
                for c in (0, 5)
            ]
            with rasterio.open(path, "w", **control_points_profile("uint8")) as file:
                file.gcps = points, rasterio.crs.CRS.from_epsg(32633)
                file.write(flags[None])
        # as much of a place as rioxarray has, without labels
        opened: Any = rioxarray.open_rasterio(path, parse_coordinates=False)
        masks.append(opened.squeeze("band", drop=True))
    one, same, apart = masks
    assert not {"x", "y"} & {*apart.coords}
    match = "ground control points" if kind == "control points" else r"not on one grid.*600000"
    for how in ("any", "all", "majority"):
        with pytest.raises(ValueError, match=match):
            xf.merge_mask(one, apart, how=how)
        with pytest.raises(ValueError, match=match):
            xf.merge_mask(one, same, apart, how=how)
    assert not xf.merge_mask(one, same).any()


def control_points_profile(dtype: str) -> dict[str, Any]:
    return {"driver": "GTiff", "height": 4, "width": 5, "count": 1, "dtype": dtype}


def test_a_file_with_rational_polynomials_alone_is_refused_by_name(tmp_path: Path) -> None:
    # about 48 N 16 E, a pixel of 1e-4 degrees: line falls with latitude, sample with longitude
    terms = {name: [0.0] * 20 for name in ("line_num", "line_den", "samp_num", "samp_den")}
    terms["line_num"][2], terms["samp_num"][1] = -1.0, 1.0
    terms["line_den"][0] = terms["samp_den"][0] = 1.0
    rpcs = rasterio.rpc.RPC(
        height_off=0.0, height_scale=500.0, lat_off=48.0, lat_scale=1e-3, long_off=16.0,
        long_scale=1e-3, line_off=2.0, line_scale=2.0, samp_off=2.5, samp_scale=2.5,
        line_num_coeff=terms["line_num"], line_den_coeff=terms["line_den"],
        samp_num_coeff=terms["samp_num"], samp_den_coeff=terms["samp_den"],
    )  # fmt: skip
    for crs in (None, "EPSG:4326"):
        path = tmp_path / "mu.tif"
        with rasterio.open(path, "w", crs=crs, **control_points_profile("float32")) as file:
            file.rpcs = rpcs
            file.write(np.ones((1, 4, 5), np.float32))
        with rasterio.open(path) as file:
            assert file.rpcs is not None
            assert file.transform.is_identity
        with pytest.raises(ValueError, match=r"mu.tif: no geotransform.*RPC\): gdalwarp -rpc"):
            xf.SensorProduct.open(path, path)
        with pytest.raises(ValueError, match=r"no geotransform.*gdalwarp -rpc"):
            xf.raster.open_raster(path)
        with pytest.raises(ValueError, match=r"no geotransform.*gdalwarp -rpc"):
            xf.exclude(retrieval(on(NORTH_UP)), path, above=0.5)


def test_files_with_ground_control_points_are_refused_by_name(tmp_path: Path) -> None:
    points = [
        rasterio.control.GroundControlPoint(r, c, 5e5 + 9 * c, 5e6 - 9 * r)
        for r in (0, 4)
        for c in (0, 5)
    ]
    path = tmp_path / "mu.tif"
    with rasterio.open(path, "w", **control_points_profile("float32")) as file:
        file.gcps = points, rasterio.crs.CRS.from_epsg(32633)
        file.write(np.ones((1, 4, 5), np.float32))
    with pytest.raises(ValueError, match=r"no geotransform.*4 ground control points.*gdalwarp"):
        xf.SensorProduct.open(path, path)
    opened = rioxarray.open_rasterio(path).squeeze("band", drop=True)  # type: ignore[union-attr]  # one file
    with pytest.raises(ValueError, match="ground control points"):
        geobox_of(opened)


def test_a_file_with_a_crs_and_no_geotransform_is_refused(tmp_path: Path) -> None:
    ones = np.ones((4, 5), np.float32)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(tmp_path / "mu.tif", ones, transform=Affine.identity())
    with pytest.raises(ValueError, match=r"mu.tif: no geotransform"):
        xf.SensorProduct.open(path, path)
    # nor does it get a place where rioxarray opened it, with the labels of GDAL's identity
    opened = rioxarray.open_rasterio(path).squeeze("band", drop=True)  # type: ignore[union-attr]  # one file
    assert opened.x[0] == 0.5
    with pytest.raises(ValueError, match=r"identity.*\.rio\.write_transform"):
        geobox_of(opened)


def test_a_part_of_a_rotated_file_lies_where_it_did(tmp_path: Path) -> None:
    path = write(tmp_path / "mu.tif", np.ones((4, 5), np.float32), transform=TURNED)
    part = xf.SensorProduct.open(path, path).dataset.isel(y=slice(2, None), x=slice(1, 4))
    # two rows down and one column to the right, by hand
    expected = Affine(8.0, 6.0, 500000.0 + 8 + 2 * 6, 6.0, -8.0, 5000000.0 + 6 - 2 * 8)
    assert_transform(part, expected)
    again = rioxarray.open_rasterio(path).squeeze("band", drop=True)  # type: ignore[union-attr]  # one file
    assert_transform(again.isel(y=slice(2, None), x=slice(1, 4)), expected)
    # each second one keeps its centre, in a pixel twice as wide
    strided = Affine(16.0, 6.0, expected.c - 4.0, 12.0, -8.0, expected.f - 3.0)
    assert_transform(part.isel(x=slice(None, None, 2)), strided)


def test_a_part_of_a_rotated_file_is_written_where_it_lies_and_stacked_on_its_grid_alone(
    tmp_path: Path,
) -> None:
    files = [
        write(tmp_path / name, np.ones((4, 5), np.float32), transform=transform)
        for name, transform in (("one.tif", TURNED), ("far.tif", far(TURNED)))
    ]
    one, apart = (xf.raster.open_retrieval(file, file) for file in files)
    part = one.isel(y=slice(2, None), x=slice(1, 4))
    expected = Affine(8.0, 6.0, 500000.0 + 8 + 2 * 6, 6.0, -8.0, 5000000.0 + 6 - 2 * 8)
    written = part.fusion.to_cog(tmp_path / "part", item=False, progress=False)
    with rasterio.open(written["mu"]) as file:
        np.testing.assert_allclose(tuple(file.transform), tuple(expected), rtol=1e-12)
    np.testing.assert_allclose(tuple(part.odc.geobox.transform), tuple(expected), rtol=1e-12)
    with pytest.raises(ValueError, match=r"not on one grid.*600000"):
        xf.stack([one.assign_coords(scene=1), apart.assign_coords(scene=2)], dim="scene")


def test_labels_of_corners_contradict_the_geotransform() -> None:
    array = on(NORTH_UP)
    corners = array.assign_coords(y=array.y + 5.0, x=array.x - 5.0)
    with pytest.raises(ValueError, match=r"y\[0\] is 5000000.0 by its label, .* GeoTransform"):
        geobox_of(corners)
    # labels alone are those of centres: there is nothing they contradict
    assert geobox_of(corners.rio.write_transform()).transform.c == 499995.0


@pytest.mark.parametrize(
    "flat", [Affine(10, 10, 5e5, 10, 10, 5e6), Affine(0, 3, 0, 0, 4, 0), Affine(0, 0, 0, 0, -10, 9)]
)
def test_pixels_without_an_area_have_no_place(flat: Affine, tmp_path: Path) -> None:
    here = retrieval(on(NORTH_UP))
    with pytest.raises(ValueError, match=r"no area by the transform.*write_transform"):
        here.fusion.coregister(GeoBox((4, 5), flat, "EPSG:32633"))
    if flat.b:
        flat_file = write(tmp_path / "flat.tif", np.ones((4, 5), np.float32), transform=flat)
        lying = retrieval(xf.raster.open_raster(flat_file))
        with pytest.raises(ValueError, match=r"no area by the transform.*write_transform"):
            lying.fusion.coregister(here)


@pytest.mark.parametrize(
    ("attribute", "text", "mend"),
    [
        ("GeoTransform", "0 10 0 a 0 -10", r"0 10 0 a 0 -10' is not of numbers.*write_transform"),
        ("crs_wkt", "EPSG:thousand", r"PROJ does not know the CRS 'EPSG:thousand'.*write_crs"),
    ],
)
def test_a_crs_variable_that_cannot_be_read_is_told(attribute: str, text: str, mend: str) -> None:
    here = on(NORTH_UP)
    said = xr.Variable((), 0, here.spatial_ref.attrs | {attribute: text})
    with pytest.raises(ValueError, match=mend):
        retrieval(here.assign_coords(spatial_ref=said)).fusion.coregister(here)


def test_labels_that_are_missing_have_no_place() -> None:
    padded = retrieval(on(NORTH_UP)).pad(y=2, x=1)
    with pytest.raises(ValueError, match=r"y\[0\] is nan"):
        padded.fusion.coregister(GeoBox((4, 5), NORTH_UP, "EPSG:32633"))


def test_one_label_after_coarsening_does_not_say_how_large_its_pixel_is() -> None:
    coarse = on(NORTH_UP, (6, 12)).coarsen(y=6, x=6).mean()
    assert coarse.sizes == {"y": 1, "x": 2}
    with pytest.raises(ValueError, match=r"'y' has one label.*6 times"):
        geobox_of(coarse)
    # nor of a rotated grid, where the label of an odd number of rows looks like that of one
    turned = retrieval(on(TURNED, (6, 12)).assign_coords(counted(6, 12)))
    for rows in (6, 5):
        left = turned.coarsen(y=rows, x=2, boundary="trim").mean()
        with pytest.raises(ValueError, match=r"'y' has one label.*rotated grid.*unknown") as caught:
            geobox_of(left)
        assert ".drop_vars(['y', 'x']).rio.write_transform(transform)" in str(caught.value)
        transform = Affine(16.0, 6.0 * rows, 500000.0, 12.0, -8.0 * rows, 5000000.0)
        mended = left.drop_vars(["y", "x"]).rio.write_transform(transform)
        assert_transform(mended, transform)
    assert_transform(turned.isel(y=[2]), Affine(8, 6, 500012, 6, -8, 5000000 - 16))
    assert_transform(turned.isel(y=[2], x=[3]), Affine(8, 6, 500036, 6, -8, 5000002))
    # one that was selected is as large as it was
    assert_transform(on(NORTH_UP).isel(y=[2]), Affine(10, 0, 500000, 0, -10, 5000000 - 20))
    assert_transform(on(NORTH_UP).isel(y=[2], x=[3]), Affine(10, 0, 500030, 0, -10, 4999980))


def counted(rows: int, columns: int) -> dict[str, Any]:
    """The labels of a rotated file, as it is opened."""
    sides = (("y", rows), ("x", columns))
    return {dim: (dim, np.arange(0.5, n), {"units": "pixel"}) for dim, n in sides}


def test_what_was_coarsened_or_reversed_lies_where_its_labels_say() -> None:
    array = on(NORTH_UP, (6, 12))
    assert_transform(array.coarsen(y=2, x=3).mean(), Affine(30, 0, 500000, 0, -20, 5000000))
    assert_transform(array[::-1], Affine(10, 0, 500000, 0, 10, 5000000 - 60))
    assert_transform(array[1::2], Affine(10, 0, 500000, 0, -20, 5000000 - 5))


def test_empty_and_equal_labels_are_told() -> None:
    with pytest.raises(ValueError, match="no pixels along 'y'"):
        geobox_of(on(NORTH_UP)[:0])
    array = on(NORTH_UP)
    with pytest.raises(ValueError, match=r"no direction: give each pixel its own"):
        geobox_of(array.assign_coords(x=np.full(5, 7.0)))
    for where in range(4):
        labels = array.x.to_numpy().copy()
        labels[where + 1] = labels[where]
        twice = array.assign_coords(x=labels)
        match = rf"x\[{where}\] and x\[{where + 1}\] are both {labels[where]}.*drop_duplicates"
        with pytest.raises(ValueError, match=match):
            geobox_of(twice)


@given(st.floats(-170, 170), st.sampled_from([1 / 120, 1 / 3600, 0.25, 1e-4]), st.integers(2, 3000))
def test_regular_labels_of_float32_are_a_grid(first: float, step: float, count: int) -> None:
    exact = first + step * np.arange(count)
    labels = exact.astype(np.float32)
    rounding = np.abs(labels - exact).max()
    array = xr.DataArray(
        np.zeros((2, count)),
        dims=("lat", "lon"),
        coords={"lat": [1.0, 0.5], "lon": labels, "spatial_ref": _crs("EPSG:4326")},
    )
    if rounding > 0.05 * step:
        return  # neighbours are no longer told apart well
    found = geobox_of(array).transform
    # at the edges, half a pixel beyond the outermost labels
    assert abs(found.c - (first - step / 2)) <= 2 * rounding + 1e-9
    assert abs(found.c + found.a * count - (first + step * (count - 0.5))) <= 2 * rounding + 1e-9


def _crs(text: str) -> xr.Variable:
    return xr.Variable((), 0, {"crs_wkt": CRS(text).to_wkt()})


PLANE = "+proj=tmerc +lon_0=5.5 +k=0.9999 +x_0=1e5 +y_0=0 +units=m +type=crs"


def _on_datum(epsg: int) -> CRS:
    from pyproj.crs import ProjectedCRS
    from pyproj.crs.coordinate_operation import TransverseMercatorConversion

    conversion = TransverseMercatorConversion(0, 5.5, 1e5, 0, 0.9999)
    return ProjectedCRS(conversion, name="of a town", geodetic_crs=CRS.from_epsg(epsg))


@pytest.mark.parametrize(("one", "other"), [(4289, 4314), (4230, 4265), (4277, 4299), (4267, 4608)])
def test_datums_of_one_ellipsoid_are_not_one(one: int, other: int) -> None:
    a, b = odc.geo.CRS(_on_datum(one)), odc.geo.CRS(_on_datum(other))
    assert a.epsg is None
    assert not same_crs(a, b)
    for version in ("WKT1_ESRI", "WKT1_GDAL", "WKT2_2019"):
        assert same_crs(a, odc.geo.CRS(_on_datum(one).to_wkt(version)))


@pytest.mark.parametrize("epsg", [3035, 2180, 31287, 25833])
@pytest.mark.parametrize("version", ["WKT1_GDAL", "WKT1_ESRI", "WKT2_2019"])
def test_a_crs_with_a_code_is_that_of_its_text_whoever_wrote_it(epsg: int, version: str) -> None:
    # WKT1 of pyproj has the code, but not the axes, of these
    text = odc.geo.CRS(CRS.from_epsg(epsg).to_wkt(version))
    code = odc.geo.CRS(epsg)
    assert same_crs(code, text)
    assert same_crs(text, code)


def test_a_crs_under_two_codes_is_one() -> None:
    assert same_crs(odc.geo.CRS(25832), odc.geo.CRS(3044))  # its axes in the other order
    assert not same_crs(odc.geo.CRS(25832), odc.geo.CRS(32632))


@pytest.mark.parametrize("version", ["WKT1_GDAL", "WKT2_2019"])
@pytest.mark.parametrize(("of_code", "changed"), [(",15]", ",9]"), (",15,", ",9,")])
def test_a_text_that_contradicts_the_code_in_it_is_read_by_its_numbers(
    version: str, of_code: str, changed: str
) -> None:
    wkt = CRS.from_epsg(32633).to_wkt(version)
    contradiction = odc.geo.CRS(wkt.replace(of_code, changed))
    assert "32633" in contradiction.to_wkt()
    changed_at_all = wkt != wkt.replace(of_code, changed)
    assert same_crs(contradiction, odc.geo.CRS(32633)) is not changed_at_all
    assert same_crs(contradiction, odc.geo.CRS(32632)) is changed_at_all


def test_a_shift_of_datums_that_proj_leaves_out_is_told(recwarn: pytest.WarningsRecorder) -> None:
    place = (600000.0, 300000.0, 600400.0, 300300.0)  # of England's grid; PROJ knows it to WGS 84
    england = GeoBox.from_bbox(place, "EPSG:27700", resolution=100)
    here = retrieval(xr.DataArray(np.ones((3, 4)), dims=("y", "x"), coords=xr_coords(england)))
    ways = [
        [Transformer.from_crs(*leg, always_xy=True) for leg in itertools.pairwise(codes)]
        for codes in (("EPSG:27700", "EPSG:28992"), ("EPSG:27700", "EPSG:4326", "EPSG:28992"))
    ]
    left_out, known = (
        functools.reduce(lambda at, leg: leg.transform(*at), way, (600200.0, 300150.0))
        for way in ways
    )
    assert np.hypot(left_out[0] - known[0], left_out[1] - known[1]) > 100
    with pytest.warns(UserWarning, match="no shift between the datums of EPSG:27700 and EPSG:2899"):
        here.fusion.coregister("EPSG:28992", resolution=100)
    recwarn.clear()
    # what PROJ knows, and a sphere, of which nothing can be known
    here.fusion.coregister("EPSG:4326", resolution=0.001)
    sphere = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +type=crs"
    here.fusion.coregister(sphere, resolution=100)
    assert not [w for w in recwarn if "datums" in str(w.message)]


def test_local_crs_of_two_sites_are_two() -> None:
    site = 'LOCAL_CS["site {}",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    one, other = (
        xf.retrieval(array.assign_coords(spatial_ref=_crs(site.format(name))), 0.1)
        for name in "AB"
        for array in [xr.DataArray(np.ones((2, 2)), {"y": [1.0, 0.0], "x": [0.0, 1.0]}, ("y", "x"))]
    )
    assert float(xf.gaussian(one, one)["mu"][0, 0]) == 1
    with pytest.raises(ValueError, match="not on one grid: CRS 'site B' and 'site A'"):
        xf.gaussian(one, other)


@pytest.mark.parametrize(
    "transform",
    [NORTH_UP, TURNED, Affine(10, 0, 5e5, 0, 10, 5e6), Affine(0.1, 0, 359.0, 0, -0.1, 12.0)],
    ids=["north up", "rotated", "south up", "beyond 180"],
)
@pytest.mark.parametrize("drop", [False, True], ids=["labels", "GeoTransform"])
def test_lawful_grids_are_read_as_they_were_written(transform: Affine, drop: bool) -> None:
    crs = "EPSG:4326" if abs(transform.a) < 1 else "EPSG:32633"
    box = GeoBox((7, 9), transform, crs)
    coords = xr_coords(box)
    array = xr.DataArray(np.zeros(box.shape), dims=box.dimensions, coords=coords)
    array = array.drop_vars(array.dims) if drop else array
    assert geobox_of(array) == box
    assert geobox_of(array.to_dataset(name="mu")) == box
    if transform != TURNED and not drop:
        # odc-geo names the CRS on labels as well
        assert same_geobox(geobox_of(array.drop_vars("spatial_ref")), box)


@given(
    st.sampled_from([NORTH_UP, TURNED]),
    st.tuples(st.integers(0, 7), st.integers(1, 8)),
    st.tuples(st.integers(0, 7), st.integers(1, 8)),
    st.booleans(),
)
def test_any_part_lies_where_it_did(
    transform: Affine, rows: tuple[int, int], columns: tuple[int, int], only: bool
) -> None:
    array = on(transform, (15, 16))
    array = array.drop_vars("spatial_ref").assign_coords(
        spatial_ref=array.spatial_ref.assign_attrs(GeoTransform=array.spatial_ref.GeoTransform)
    )
    part = array[rows[0] : sum(rows), columns[0] : sum(columns)]
    a, b, c, d, e, f = tuple(transform)[:6]
    x, y = c + a * columns[0] + b * rows[0], f + d * columns[0] + e * rows[0]
    assert_transform(part, Affine(a, b, x, d, e, y))


def test_labels_in_another_unit_than_the_crs_are_refused() -> None:
    array = on(NORTH_UP).drop_vars("spatial_ref").assign_coords(spatial_ref=_crs("EPSG:32633"))
    array = array.assign_coords(x=array.x / 1000, y=array.y / 1000)
    for dim in "xy":
        array[dim].attrs.update(units="km")
    with pytest.raises(ValueError, match="labels of 'y' are in 'km', the CRS is in 'metre'"):
        geobox_of(array)
    in_km = CRS("+proj=utm +zone=33 +units=km +type=crs")
    array = array.assign_coords(spatial_ref=xr.Variable((), 0, {"crs_wkt": in_km.to_wkt()}))
    np.testing.assert_allclose(geobox_of(array).transform.a, 0.01)
