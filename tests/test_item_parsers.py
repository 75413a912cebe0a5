"""What odc.stac reads of items, beside what we do: where it agrees, and why ours is not its."""

import copy
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac
import pytest

import xfusion as xf
from tests import catalogues as c
from xfusion.stac.asset_bands import asset_band
from xfusion.stac.items import asset_grid
from xfusion.stac.untrusted import check_hrefs

V1, V2 = (
    f"https://stac-extensions.github.io/projection/{version}/schema.json"
    for version in ("v1.1.0", "v2.0.0")
)
RED = dataclasses.replace(xf.stac.EARTH_SEARCH, assets={"red": "red"}, nodata=0)
FINE, COARSE = c.GRID, c.GRID.zoom_out(2)


def item(*, version: str = "1.0.0", extension: str = V1, **assets: Any) -> dict[str, Any]:
    where = {"proj:epsg": 32633} if version == "1.0.0" else {"proj:code": "EPSG:32633"}
    made = c.item("one", f"{c.DAY}T10:00:00Z", FINE, assets, where, version=version)
    return made | {"stac_extensions": [extension]}


def red(**fields: Any) -> dict[str, Any]:
    return {"href": "https://example.org/red.tif", **c.proj(FINE), **fields}


def by_odc(*records: dict[str, Any]) -> list[Any]:
    parsed = odc.stac.parse_items(pystac.Item.from_dict(copy.deepcopy(each)) for each in records)
    return [each.bands for each in parsed]


def by_us(record: dict[str, Any], key: str = "red", band: str = "red") -> Any:
    (one,) = xf.stac.as_items([record])
    catalog = dataclasses.replace(RED, assets={band: key})
    check_hrefs([one], catalog, allow_local=False)
    return asset_grid(one, key, catalog), asset_band(one, key, band)


# Where both agree


def test_of_items_as_they_are_served_both_read_the_same(shared_data: Path) -> None:
    paths = sorted((shared_data / "stac").glob("*.json"))
    assert paths
    for path in paths:
        record = json.loads(path.read_text())
        of_odc = by_odc(record)[0]
        served_by = "PLANETARY_COMPUTER" if "planetary" in path.name else "EARTH_SEARCH"
        for band, key in getattr(xf.stac, served_by).assets.items():
            grid, ours = by_us(record, key, band)
            theirs = of_odc[key, ours.number]
            assert theirs.uri == record["assets"][key]["href"]
            assert theirs.geobox == grid
            assert theirs.meta.nodata == ours.fields.get("nodata")
            # of what is not said odc.stac makes float32, and we look into the file
            assert theirs.meta.data_type == ("float32" if ours.dtype is None else str(ours.dtype))


@pytest.mark.parametrize(
    ("version", "extension", "fields"),
    [
        ("1.0.0", V1, {"raster:bands": [{"nodata": 7, "data_type": "int16"}]}),
        ("1.1.0", V2, {"nodata": 7, "data_type": "int16"}),
        ("1.1.0", V2, {"bands": [{"name": "B04", "nodata": 7, "data_type": "int16"}]}),
        (
            "1.1.0",
            V2,
            {"bands": [{"name": "a"}, {"name": "red", "data_type": "int16"}], "nodata": 7},
        ),
    ],
)
def test_of_items_of_either_version_both_read_the_same(
    version: str, extension: str, fields: Any
) -> None:
    record = item(version=version, extension=extension, red=red(**fields))
    grid, ours = by_us(record)
    theirs = by_odc(record)[0]["red", ours.number]
    assert theirs.geobox == grid == FINE
    assert (theirs.meta.nodata, theirs.meta.data_type) == (7, "int16")
    assert (ours.fields["nodata"], str(ours.dtype)) == (7, "int16")


# Where they do not, so that ours stays


def test_an_asset_has_its_own_grid_in_each_item_to_us_and_that_of_the_first_to_odc() -> None:
    same = item(red=red(), nir=red())
    other = item(red=red(), nir=red(**c.proj(COARSE)))
    assert by_us(other, "nir")[0] == COARSE
    assert by_odc(same, other)[1]["nir", 1].geobox == FINE


def test_shape_and_transform_are_of_one_level_to_us_and_of_any_to_odc(tmp_path: Path) -> None:
    pixels = np.zeros(COARSE.shape.yx, np.uint16)
    href = c.write(tmp_path / "red.tif", pixels, COARSE)
    record = item(red={"href": href, "proj:shape": [32, 32]})
    record["properties"]["proj:transform"] = list(FINE.affine)[:6]
    theirs = by_odc(record)[0]["red", 1].geobox
    assert (theirs.shape, theirs.affine) == (COARSE.shape, FINE.affine)
    # neither level says it whole, so the file does
    assert asset_grid(pystac.Item.from_dict(record), "red", RED) == COARSE


def test_a_band_of_several_has_a_name_to_us_and_in_stac_1_1_a_number_to_odc() -> None:
    bands = [{"name": "B03"}, {"name": "B04", "eo:common_name": "red"}]
    record = item(version="1.1.0", extension=V2, image=red(bands=bands))
    assert by_us(record, "image")[1].number == 2
    (parsed,) = odc.stac.parse_items([pystac.Item.from_dict(record)])
    with pytest.raises(ValueError, match="No such band/alias: red"):
        parsed.collection.band_key("red")


def test_scale_and_offset_are_read_by_us_alone() -> None:
    stated = {"scale": 0.0001, "offset": -0.1}
    record = item(red=red(**{"raster:bands": [stated]}))
    assert stated.items() <= by_us(record)[1].fields.items()
    assert not {"scale", "offset"} & {*vars(by_odc(record)[0]["red", 1].meta)}


@pytest.mark.parametrize(
    "fields",
    [
        {"href": "/vsicurl/http://169.254.169.254/red.tif"},
        {"href": "file:///etc/passwd.tif"},
        {"href": "http://169.254.169.254/red.tif"},
        {"proj:shape": [10**9, 10**9]},
        {"proj:transform": [0, 0, 0, 0, 0, 0]},
        {"proj:transform": [math.nan, 0, 0, 0, -10, 0]},
    ],
    ids=str,
)
def test_what_we_refuse_by_the_name_of_the_item_odc_takes(fields: dict[str, Any]) -> None:
    record = item(red=red(**fields))
    with pytest.raises(ValueError, match="asset 'red' of item 'one'"):
        by_us(record)
    assert by_odc(record)[0]["red", 1].uri == record["assets"]["red"]["href"]


def test_a_crs_that_names_a_file_is_opened_by_odc_alone(tmp_path: Path) -> None:
    (tmp_path / "init").write_text("<x> +proj=longlat +datum=WGS84 <>\n")
    record = item(red=red())
    record["properties"] = {"datetime": c.DAY, "proj:wkt2": f"+init={tmp_path}/init:x"}
    with pytest.raises(ValueError, match="asset 'red' of item 'one': the CRS .* never opened"):
        by_us(record)
    assert by_odc(record)[0]["red", 1].geobox.crs.geographic


@pytest.mark.parametrize(
    "fields", [{"bands": 7}, {"bands": [None]}, {"raster:bands": "x"}], ids=str
)
def test_fields_of_another_kind_end_the_parser_of_odc_and_say_nothing_to_us(fields: Any) -> None:
    record = item(red=red(**fields))
    with pytest.raises((AttributeError, TypeError)):
        by_odc(record)
    assert by_us(record)[0] == FINE


def test_a_shape_that_is_none_is_an_error_that_has_the_name_of_the_item_with_us_alone() -> None:
    record = item(red=red(**{"proj:shape": 7}))
    with pytest.raises(TypeError) as raised:
        by_odc(record)
    assert "one" not in str(raised.value).split()
    with pytest.raises(ValueError, match="asset 'red' of item 'one': its proj:shape, 7,"):
        by_us(record)
