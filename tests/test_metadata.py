"""Results explain themselves: tags of GeoTIFFs, axes for cf_xarray."""

from pathlib import Path
from typing import Any

import cf_xarray  # noqa: F401  # registers .cf
import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests.laziness import nothing_computes

UTM = GeoBox.from_bbox((500000, 0, 500040, 30), "EPSG:32633", resolution=10)
GEOGRAPHIC = GeoBox.from_bbox((16.0, 48.0, 16.004, 48.003), "EPSG:4326", resolution=0.001)
TIME = "2023-06-20T05:10:31.024"


def one(geobox: GeoBox = UTM, sensor: str = "sentinel-1", time: str = TIME) -> xr.Dataset:
    mu = xr_zeros(geobox, dtype="float32") + 0.5
    mu.attrs = {"units": "1", "standard_name": "area_fraction", "long_name": "water"}
    return xf.retrieval(mu, mu * 0 + 0.1, mu > 1, sensor=sensor, time=time)


def tags_of(path: Path) -> dict[str, str]:
    with rasterio.open(path) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        tags: dict[str, str] = file.tags()
        return tags | {"description": file.descriptions[0]}


def test_tags_say_what_a_file_holds(tmp_path: Path) -> None:
    fused = xf.gaussian(one(), one(sensor="sentinel-2"))
    files = xf.to_cog(fused, tmp_path, item=False, progress=False)
    tags = {name: tags_of(path) for name, path in files.items()}
    for name, each in tags.items():
        assert each["description"] == name
        assert each["sensor"] == "sentinel-1+sentinel-2"
        assert each["time"] == "2023-06-20T05:10:31.024000Z"
        assert each["fusion_rule"] == "gaussian"
        assert each["Conventions"].startswith("CF-")
    assert tags["mask"]["flag_masks"] == "1 2 4 8 16 32 64 128"
    assert tags["mask"]["flag_meanings"].startswith("cloud shadow vegetation")
    assert tags["source"]["flag_masks"] == "1 2"
    assert tags["source"]["flag_meanings"] == "sentinel-1 sentinel-2"
    assert tags["mu"]["long_name"] == "water"
    assert tags["mu"]["units"] == tags["sigma"]["units"] == "1"
    assert tags["sigma"]["standard_name"] == "area_fraction standard_error"


def test_acquisitions_apart_are_tagged_with_their_span(tmp_path: Path) -> None:
    fused = xf.gaussian(one(), one(time="2023-06-21"))
    files = xf.to_cog(fused, tmp_path, item=False, progress=False)
    tags = tags_of(files["source"])
    assert "time" not in tags
    assert tags["time_coverage_end"] == "2023-06-21T00:00:00Z"
    back = xf.SensorProduct.open(files["mu"], files["sigma"]).dataset
    assert "time" not in back.coords
    assert back.attrs["time_coverage_start"] == fused.attrs["time_coverage_start"]


@pytest.mark.parametrize("chunks", [2, None])
@pytest.mark.parametrize("geobox", [UTM, GEOGRAPHIC], ids=["utm", "geographic"])
def test_what_was_written_is_opened_again(geobox: GeoBox, chunks: Any, tmp_path: Path) -> None:
    fused = xf.gaussian(one(geobox), one(geobox, "sentinel-2"))
    files = xf.to_cog(fused, tmp_path, item=False, progress=False)
    back = xf.SensorProduct.open(files["mu"], files["sigma"], files["mask"], chunks=chunks).dataset
    assert back.time == np.datetime64(TIME)
    assert {k: v for k, v in back.attrs.items() if k != "Conventions"} == {
        k: v for k, v in fused.attrs.items() if k != "Conventions"
    }
    for name in ("mu", "sigma"):
        assert back[name].attrs.items() >= fused[name].attrs.items() - {
            ("ancillary_variables", "sigma mask source conflict")
        }
        assert not {"sensor", "time", "Conventions"} & {*back[name].attrs}
    source = xf.raster.open_raster(files["source"], masked=False)
    assert set(source.cf.flags) == {"sentinel-1", "sentinel-2"}
    assert source.attrs["long_name"] == fused.source.attrs["long_name"]


def test_what_the_caller_says_goes_before_the_tags(tmp_path: Path) -> None:
    files = xf.to_cog(one(), tmp_path, item=False, progress=False)
    back = xf.raster.open_retrieval(files["mu"], files["sigma"], sensor="s", time="2020-01-01")
    assert back.attrs["sensor"] == "s"
    assert back.time == np.datetime64("2020-01-01")


def test_large_files_have_overviews(tmp_path: Path) -> None:
    large = GeoBox((700, 600), UTM.transform, "EPSG:32633")
    files = xf.to_cog(one(large), tmp_path, item=False, progress=False)
    for path in files.values():
        with rasterio.open(path) as file:
            assert file.overviews(1)[0] == 2
            assert file.block_shapes == [(512, 512)]


@pytest.mark.parametrize(
    ("geobox", "names"),
    [
        (UTM, {"X": "projection_x_coordinate", "Y": "projection_y_coordinate"}),
        (GEOGRAPHIC, {"X": "longitude", "Y": "latitude"}),
    ],
    ids=["utm", "geographic"],
)
def test_cf_finds_the_axes(geobox: GeoBox, names: dict[str, str]) -> None:
    mu = xr_zeros(geobox, dtype="float32")
    before = mu.copy(deep=True)
    ds = xf.retrieval(mu, mu + 1, time=TIME)
    xr.testing.assert_identical(mu, before)
    y, x = mu.dims
    assert ds.cf.axes == {"X": [x], "Y": [y], "T": ["time"]}
    assert {a: ds.cf[a].attrs["standard_name"] for a in "XY"} == names
    assert ds[x].attrs["units"] == mu[x].attrs["units"]
    xr.testing.assert_identical(ds.fusion.product.dataset, ds)
    assert "area_fraction" in one(geobox).cf.standard_names
    assert one(geobox).cf["area_fraction"].name == "mu"


def test_attributes_of_coordinates_are_the_callers() -> None:
    mu = xr_zeros(GEOGRAPHIC, dtype="float32").rename(latitude="y", longitude="x")
    for dim in ("y", "x"):
        mu[dim].attrs.clear()
    mu.x.attrs = {"standard_name": "grid_longitude"}
    ds = xf.retrieval(mu, mu + 1)
    assert ds.x.attrs == {
        "axis": "X",
        "standard_name": "grid_longitude",
        "long_name": "grid longitude",
    }
    assert ds.y.attrs == {
        "axis": "Y",
        "standard_name": "latitude",
        "units": "degrees_north",
        "long_name": "latitude",
    }
    assert mu.y.attrs == {}


def test_without_a_crs_names_alone_tell() -> None:
    labels = [0.5, 1.5]
    bare = xr.DataArray(np.ones((2, 2)), {"y": labels, "x": labels}, ("y", "x"))
    assert xf.retrieval(bare, bare).x.attrs == {"axis": "X", "long_name": "x"}
    named = bare.rename(y="lat", x="lon")
    assert xf.retrieval(named, named).lon.attrs["standard_name"] == "longitude"


def test_a_fused_map_has_coordinates_in_which_all_its_sensors_agree() -> None:
    def of(sensor: str, **coords: Any) -> xr.Dataset:
        level = xr.DataArray(np.full((2, 3), 0.5), dims=("y", "x"))
        return xf.retrieval(level, 0.1, sensor=sensor).assign_coords(coords)

    def kept(*sensors: xr.Dataset) -> set[Any]:
        return {*sensors[0].fusion.gaussian(*sensors[1:]).coords} - {"spatial_ref"}

    height = ("y", "x"), np.full((2, 3), 7.0)
    first = of("a", orbit=22, orbit_state="ascending", tile="33TXN", height=height)
    assert kept(first, first.assign_attrs(sensor="b")) == {"orbit", "orbit_state", "tile", "height"}
    assert kept(first, of("b", orbit=22, orbit_state="descending", tile="33TXM")) == {
        "orbit",
        "height",
    }
    # an orbit of one sensor is not that of both, what only one says of the place is
    assert kept(first, of("b")) == {"tile", "height"}
    assert kept(of("b"), first) == set()
    other = ("y", "x"), np.full((2, 3), 8.0)
    assert kept(first, of("b", height=height), of("c", height=other)) == {"tile"}


def test_lazy_coordinates_are_not_computed_to_compare_them() -> None:
    level = xr.DataArray(np.full((2, 3), 0.5), dims=("y", "x")).chunk()
    first = xf.retrieval(level, level, sensor="a").assign_coords(height=level * 7)
    with nothing_computes():
        fused = first.fusion.gaussian(first.assign_attrs(sensor="b"))
        other = first.fusion.gaussian(first.assign_coords(height=level * 8))
    assert "height" in fused.coords
    assert "height" not in other.coords
