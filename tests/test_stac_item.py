"""The STAC item of a result: valid, and true of the files beside it."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry, point
from odc.geo.xr import xr_zeros
from pyproj import CRS, Transformer

import xfusion as xf
from tests import stac_schemas
from tests.test_composition import EQUI7
from xfusion.cog.flag_colours import colours
from xfusion.datamodel.outline import footprint
from xfusion.datamodel.provenance import mask_attrs
from xfusion.demo.scene import write_scene

UTM = GeoBox.from_bbox((500000, 0, 500040, 30), "EPSG:32633", resolution=10)
TIME = "2023-06-20T05:10:31Z"


def one(geobox: GeoBox = UTM, sensor: str = "sentinel-1", time: str | None = TIME) -> xr.Dataset:
    mu = xr_zeros(geobox, dtype="float32") + 0.5
    mu.attrs = {"units": "1", "long_name": "water"}
    return xf.retrieval(mu, mu * 0 + 0.1, mu > 1, sensor=sensor, time=time)


def written(dataset: xr.Dataset, folder: Path, **options: Any) -> pystac.Item:
    files = dataset.fusion.to_cog(folder, **options)
    item = pystac.Item.from_file(files["item"])
    stac_schemas.validate(item)
    text = files["item"].read_text()
    assert "NaN" not in text
    assert stac_schemas.prefixes(json.loads(text)) <= {
        prefix for _, prefix, _ in stac_schemas.TABLES.values()
    }
    return item


@pytest.mark.parametrize(
    ("geobox", "code"),
    [
        (UTM, "EPSG:32633"),
        (GeoBox.from_bbox((16, 48, 16.004, 48.003), "EPSG:4326", resolution=0.001), "EPSG:4326"),
        # a code is guessed for it, which is not said
        (GeoBox.from_bbox((4800000, 1200000, 4800040, 1200030), EQUI7, resolution=10), None),
        (GeoBox((3, 4), rasterio.Affine(10, 3, 5e5, 3, -10, 5e6), "EPSG:32633"), "EPSG:32633"),
        (GeoBox.from_bbox((-20, -20, 20, 20), "EPSG:3413", resolution=10), "EPSG:3413"),
        (GeoBox.from_bbox((0, 0, 40, 30), "ESRI:54009", resolution=10), "ESRI:54009"),
    ],
    ids=["utm", "geographic", "equi7", "rotated", "pole", "mollweide"],
)
def test_the_grid_of_the_item_is_that_of_its_files(
    geobox: GeoBox, code: str | None, tmp_path: Path
) -> None:
    item = written(one(geobox), tmp_path)
    fields = item.properties
    crs = CRS.from_user_input(fields.get("proj:code") or fields["proj:wkt2"])
    with rasterio.open(tmp_path / "mu.tif") as file:
        assert tuple(fields["proj:shape"]) == file.shape
        assert fields["proj:transform"] == pytest.approx(tuple(file.transform)[:6])
        if geobox.axis_aligned:
            assert fields["proj:bbox"] == pytest.approx(tuple(file.bounds))
        assert crs.equals(CRS.from_wkt(file.crs.to_wkt()), ignore_axis_order=True)
    assert fields["proj:code"] == code
    assert ("proj:wkt2" in fields) == (code is None)


@pytest.mark.parametrize(
    ("bbox", "crs"),
    [
        ((500000, 5000000, 800000, 5300000), "EPSG:32633"),
        ((4800000, 1200000, 5100000, 1500000), EQUI7),
        ((600000, 8000000, 900000, 8200000), "EPSG:32760"),
        ((170, -10, 190, 10), "EPSG:4326"),
        ((-180, -10, -170, 10), "EPSG:4326"),
        ((0, -80, 360, 80), "EPSG:4326"),
        ((-1e6, -1e6, 1e6, 1e6), "EPSG:3413"),
        ((-3e6, -1e6, 1e6, 3e6), "EPSG:3031"),
        ((1e6, 1e6, 3e6, 3e6), "EPSG:3031"),
    ],
)
def test_the_outline_holds_the_pixels_and_no_others(bbox: Any, crs: str) -> None:
    geobox = GeoBox.from_bbox(bbox, crs, shape=(40, 40))
    geometry, box = footprint(geobox)
    outline = Geometry(geometry, "EPSG:4326").geom
    assert outline.is_valid
    assert outline.bounds[0] >= -180
    assert outline.bounds[2] <= 180
    to_earth = Transformer.from_crs(CRS(crs), "EPSG:4326", always_xy=True)
    rows, columns = np.meshgrid(np.arange(-9.5, 50), np.arange(-9.5, 50))
    longitude, latitude = to_earth.transform(*geobox.pix2wld(columns, rows))  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    inside = (rows > 0) & (rows < 40) & (columns > 0) & (columns < 40)
    longitude = (longitude + 180) % 360 - 180
    for x, y, wanted in zip(longitude.flat, latitude.flat, inside.flat, strict=True):
        if wanted:
            assert outline.covers(point(x, y, None).geom)
            west, south, east, north = box
            assert south <= y <= north
            assert west <= x <= east if west <= east else x >= west or x <= east
    # a grid around the earth has itself as its neighbour
    if box[2] - box[0] < 360:
        outside = [
            outline.covers(point(x, y, None).geom)
            for x, y, wanted in zip(longitude.flat, latitude.flat, inside.flat, strict=True)
            if not wanted
        ]
        assert not any(outside)


def test_a_box_across_the_antimeridian_has_its_west_east_of_its_east() -> None:
    grid = GeoBox.from_bbox((170, -10, 190, 10), "EPSG:4326", resolution=1)
    geometry, box = footprint(grid)
    assert box == [170, -10, -170, 10]
    assert geometry["type"] == "MultiPolygon"
    touching = GeoBox.from_bbox((170, -10, 180, 10), "EPSG:4326", resolution=1)
    assert footprint(touching)[1] == [170, -10, 180, 10]


def test_a_grid_off_the_earth_has_no_outline_and_says_so(tmp_path: Path) -> None:
    disc = "+proj=geos +h=35785831 +lon_0=0"
    grid = GeoBox.from_bbox((-5.5e6, -5.5e6, 5.5e6, 5.5e6), disc, shape=(4, 4))
    with pytest.raises(ValueError, match="not on the earth.*item=False"):
        one(grid).fusion.to_cog(tmp_path / "out", item=True)
    assert not (tmp_path / "out").exists()
    assert set(one(grid).fusion.to_cog(tmp_path, item=False)) == {"mu", "sigma", "mask"}


def test_cogs_without_a_time_are_written_and_the_item_that_is_left_out_is_told(
    tmp_path: Path,
) -> None:
    with pytest.warns(UserWarning, match="no STAC item is written: .*has no `time`.*item=False"):
        files = one(time=None).fusion.to_cog(tmp_path)
    assert set(files) == {"mu", "sigma", "mask"}
    assert not list(tmp_path.glob("*.json"))
    one(time=None).fusion.to_cog(tmp_path, item=False, overwrite=True)  # without a warning


def test_the_time_of_the_item_is_that_of_the_acquisitions(tmp_path: Path) -> None:
    fields = written(one(), tmp_path / "a").to_dict()["properties"]
    assert fields["datetime"] == "2023-06-20T05:10:31Z"
    apart = xf.gaussian(one(), one(time="2023-06-21"))
    fields = written(apart, tmp_path / "b").to_dict()["properties"]
    assert fields["datetime"] is None
    assert fields["start_datetime"] == "2023-06-20T05:10:31Z"
    assert fields["end_datetime"] == "2023-06-21T00:00:00Z"


def test_without_a_time_an_item_that_is_asked_for_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match="has no `time`.*item=False"):
        one(time=None).fusion.to_cog(tmp_path / "out", item=True)
    assert not (tmp_path / "out").exists()
    files = one(time=None).fusion.to_cog(tmp_path / "out", item=False)
    assert "item" not in files
    assert files["mu"].is_file()


def test_assets_say_what_the_files_hold(tmp_path: Path) -> None:
    fused = xf.gaussian(one(), one(sensor="sentinel-2"), diagnostics=True).fusion.flag_conflict()
    fused["advisory_flags"] = fused.source.copy()
    fused.advisory_flags.attrs = {
        "flag_masks": np.array([1, 2], np.uint8),
        "flag_meanings": "low rough",
        "missing_value": np.uint8(255),
    }
    item = written(fused, tmp_path, prefix="water_")
    assert item.id == "water"
    assert set(item.assets) == set(map(str, fused.data_vars))
    for name, asset in item.assets.items():
        assert asset.href == f"./water_{name}.tif"
        assert asset.media_type == pystac.MediaType.COG
        with rasterio.open(tmp_path / asset.href) as file:
            bands = asset.extra_fields["bands"]
            assert [band["name"] for band in bands] == list(file.descriptions)
            assert [band["data_type"] for band in bands] == list(file.dtypes)
            assert [band.get("unit") for band in bands] == list(file.units)
            for band, nodata in zip(bands, file.nodatavals, strict=True):
                said = band.get("nodata")
                assert (said is None) == (nodata is None)
                assert said is None or str(said) == str(nodata)
        assert asset.extra_fields["raster:spatial_resolution"] == 10
    roles = {name: asset.roles for name, asset in item.assets.items()}
    assert roles["mu"] == roles["sigma"] == roles["source"] == ["data"]
    assert roles["mask"] == roles["advisory_flags"] == ["data-mask"]
    assert item.assets["mu"].description == "water"
    assert item.assets["advisory_flags"].extra_fields["bands"][0]["nodata"] == 255


def test_bits_of_the_mask_have_their_names(tmp_path: Path) -> None:
    item = written(one(), tmp_path)
    bitfields = item.assets["mask"].extra_fields["classification:bitfields"]
    assert {1 << f["offset"]: f["name"] for f in bitfields} == {
        int(flag): str(flag.name).lower() for flag in xf.Exclusion
    }


def test_values_of_source_have_their_names_and_the_colours_of_the_file(tmp_path: Path) -> None:
    sensors = [one(sensor=name) for name in ("s1", "s2", "a+b")]
    fused = xf.gaussian(*sensors)
    item = written(fused, tmp_path)
    classes = item.assets["source"].extra_fields["classification:classes"]
    assert [c["value"] for c in classes] == list(range(8))
    assert classes[0]["title"] == "none"
    assert classes[6]["title"] == "s2 and a+b"
    assert classes[6]["name"] == "s2_and_a_b"
    with rasterio.open(tmp_path / "source.tif") as file:
        table = file.colormap(1)
    hints = ["".join(f"{part:02X}" for part in table[c["value"]][:3]) for c in classes]
    assert [c["color_hint"] for c in classes] == hints
    assert len(set(hints)) == 8


def test_source_of_many_sensors_is_told_bit_by_bit(tmp_path: Path) -> None:
    fused = xf.gaussian(*(one(sensor=f"s{i}") for i in range(8)))
    fields = written(fused, tmp_path).assets["source"].extra_fields
    assert [f["name"] for f in fields["classification:bitfields"]] == [f"s{i}" for i in range(8)]
    assert "classification:classes" not in fields
    assert len(colours(fused.source)) == 256


def masked(sensor: str, **links: str) -> xr.Dataset:
    attrs = mask_attrs(
        {},
        catalog="https://example.org",
        collections=["GFM"],
        items=[*links],
        lacking={},
        offsets={},
        links=links,
    )
    return one(sensor=sensor).assign_attrs(attrs)


def test_every_input_item_is_linked_through_the_fusion_without_secrets(tmp_path: Path) -> None:
    s1 = masked("s1", a="https://user:word@example.org/a?sig=secret", b="https://example.org/b")
    s2 = masked("s2", b="https://example.org/b", c="s3://bucket/c.json#secret")
    fused = s1.fusion.gaussian(s2)
    item = written(fused, tmp_path / "fused")
    links = item.get_links(pystac.RelType.DERIVED_FROM)
    assert {link.title: link.href for link in links} == {
        "a": "https://example.org/a",
        "b": "https://example.org/b",
        "c": "s3://bucket/c.json",
    }
    assert fused.attrs["mask_items"] == "a b c"
    assert fused.fusion.completeness().items_found == 3
    assert "sensors: s1+s2" in item.properties["processing:lineage"]
    assert "fusion_rule: gaussian" in item.properties["processing:lineage"]
    assert item.properties["processing:version"] == xf.__version__
    for path in (tmp_path / "fused").iterdir():
        assert b"secret" not in path.read_bytes()
        assert b"word" not in path.read_bytes()


def test_a_server_that_is_gone_tomorrow_is_not_linked(tmp_path: Path) -> None:
    hrefs = {
        "a": "http://127.0.0.1:7822/a",
        "b": "http://localhost/b",
        "d": "http://[::1]:80/d",
        "c": "https://x.org/c",
    }
    dataset = masked("s1", **hrefs)
    dataset.attrs["mask_catalog"] = "http://127.0.0.1:7822 https://x.org"
    item = written(dataset, tmp_path)
    links = item.get_links(pystac.RelType.DERIVED_FROM)
    assert [link.href for link in links] == ["https://x.org/c"]
    for path in tmp_path.iterdir():
        assert b"127.0.0.1" not in path.read_bytes()
        assert b"https://x.org" in path.read_bytes()
    assert "127.0.0.1" in dataset.attrs["mask_links"]


def test_a_mask_from_a_catalogue_leads_to_its_items(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene", size=0.2)
    items = json.loads(scene.items.read_text())["features"]
    gfm = [i for i in items if i["collection"] == "GFM" and "20230620" in i["id"]]
    for item in gfm:
        href = f"https://user:word@example.org/{item['id']}?sig=secret"
        item["links"] = [{"rel": "self", "href": href}]
    s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date)
    with warnings.catch_warnings(action="ignore"):
        masked = s1.attach_mask(items=gfm, allow_local=True)
    item = written(masked.gaussian(s1).dataset, tmp_path / "out")
    links = {link.title: link.href for link in item.get_links(pystac.RelType.DERIVED_FROM)}
    assert links == {
        i: f"https://example.org/{i}" for i in masked.dataset.attrs["mask_items"].split()
    }
    assert links


def test_masks_that_were_not_used_are_no_inputs(tmp_path: Path) -> None:
    fused = masked("s1", a="https://example.org/a").fusion.gaussian(one(), use_mask=False)
    item = written(fused, tmp_path)
    assert item.get_links(pystac.RelType.DERIVED_FROM) == []
    assert "mask_items" not in fused.attrs


def test_the_item_is_found_again_after_the_folder_has_moved(tmp_path: Path) -> None:
    item = written(one(), tmp_path / "here")
    assert item.get_links(pystac.RelType.SELF)[0].href.endswith("item.json")
    text = (tmp_path / "here/item.json").read_text()
    assert str(tmp_path) not in text
    (tmp_path / "here").rename(tmp_path / "there")
    moved = pystac.Item.from_file(tmp_path / "there/item.json")
    assert all(Path(str(a.get_absolute_href())).is_file() for a in moved.assets.values())


def test_the_validation_of_these_tests_refuses_what_is_wrong(tmp_path: Path) -> None:
    item = written(one(), tmp_path)
    for change in (
        {"proj:shape": [3.5, 4]},
        {"proj:epsg": 32633},
        {"processing:version": 1},
        {"datetime": "yesterday"},
    ):
        wrong = item.clone()
        wrong.properties |= change
        if "datetime" in change:
            wrong.datetime = None
        with pytest.raises(pystac.STACValidationError):
            stac_schemas.validate(wrong)
