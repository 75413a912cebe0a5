"""Several collections in one catalogue, bits by their names, and bands without nodata."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tests.catalogues as c
import xfusion as xf

FIELDS = [
    {"name": "cloud", "offset": 1, "length": 1},
    {"name": "cloud_shadow", "offset": 3, "length": 1},
]
HLS = xf.Catalog(
    url="https://stac.example.org",
    collection=["HLSL30", "HLSS30"],
    assets={"fmask": "Fmask", "nir": {"HLSL30": "B05", "HLSS30": "B8A"}},
    nodata={"fmask": 255, "nir": -9999},
)


def hls_mask(bands: xr.Dataset) -> xr.DataArray:
    flags = xf.flags(bands["fmask"], cloud="cloud", shadow="cloud_shadow")
    dark = (bands["nir"] < 100) * np.uint8(xf.Exclusion.DEFECTIVE)
    return flags | dark


RECIPE = xf.MaskRecipe(
    exclusion=hls_mask, bands={"fmask": "nearest", "nir": "bilinear"}, catalog=HLS
)


def hls(
    folder: Path, collection: str, key: str, fmask: Any, nir: Any, time: str, fields: Any = FIELDS
) -> dict[str, Any]:
    hrefs = {
        "Fmask": c.write(folder / f"{collection}.Fmask.tif", fmask, c.GRID),
        key: c.write(folder / f"{collection}.{key}.tif", nir, c.GRID),
    }
    assets = {name: {"href": href, **c.proj(c.GRID)} for name, href in hrefs.items()}
    assets["Fmask"]["classification:bitfields"] = fields
    return c.item(collection, time, c.GRID, assets, {"proj:epsg": 32633}, collection=collection)


def both(folder: Path) -> tuple[list[dict[str, Any]], np.ndarray]:
    rng = np.random.default_rng(2)
    masks = [rng.choice([0, 2, 8, 10, 255], (64, 64)).astype(np.uint8) for _ in range(2)]
    nirs = [rng.choice([50, 3000, -9999], (64, 64)).astype(np.int16) for _ in range(2)]
    items = [
        hls(folder, "HLSL30", "B05", masks[0], nirs[0], "2023-06-20T09:30:00Z"),
        hls(folder, "HLSS30", "B8A", masks[1], nirs[1], "2023-06-20T10:10:00Z"),
    ]
    flags = []
    for mask, nir in zip(masks, nirs, strict=True):
        each = (mask >> 1 & 1) | (mask >> 3 & 1) * 2
        each = np.where(mask == 255, 32, each) | ((nir < 100) & (nir != -9999)) * 8
        flags.append(each)
    a, b = flags
    unseen = a & b & 32
    expected = np.where((a == 0) | (b == 0), 0, ((a | b) & ~32) | unseen)
    return items, expected


@pytest.mark.parametrize("chunks", [None, {"y": 20, "x": 64}])
def test_two_collections_are_one_catalogue_with_a_key_for_each(
    tmp_path: Path, chunks: dict[str, int] | None
) -> None:
    items, expected = both(tmp_path)
    masked = xf.attach_mask(c.retrieval(chunks=chunks), RECIPE, items=items, allow_local=True)
    np.testing.assert_array_equal(masked["mask"], expected)
    assert "nodata" not in masked["mask"].attrs
    assert masked.attrs["mask_collection"] == "HLSL30 HLSS30"


def test_a_file_of_items_is_searched_for_all_collections(tmp_path: Path) -> None:
    import json

    items, expected = both(tmp_path)
    other = {**items[0], "id": "other", "collection": "landsat"}
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [*items, other]}))
    catalog = dataclasses.replace(HLS, url=str(path))
    masked = xf.attach_mask(c.retrieval(), RECIPE, catalog=catalog)
    np.testing.assert_array_equal(masked["mask"], expected)
    with pytest.raises(ValueError, match=r"collection 'landsat'.*no key for 'nir'.*HLSL30"):
        xf.attach_mask(c.retrieval(), RECIPE, items=[other], allow_local=True)


def test_items_of_one_pass_that_name_bits_differently_are_refused(tmp_path: Path) -> None:
    zero = np.zeros((64, 64), np.uint8)
    nir = np.full((64, 64), 3000, np.int16)
    fields = [{**FIELDS[0], "offset": 2}, FIELDS[1]]
    items = [
        hls(tmp_path, "HLSL30", "B05", zero, nir, "2023-06-20T10:09:00Z"),
        hls(tmp_path, "HLSS30", "B8A", zero, nir, "2023-06-20T10:10:00Z", fields),
    ]
    with pytest.raises(ValueError, match="'HLSL30' and 'HLSS30' of one pass .*different meanings"):
        xf.attach_mask(c.retrieval(), RECIPE, items=items, allow_local=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"collection": []}, r"collection=\[\]: give its id"),
        ({"collection": ["a", 7]}, "give its id, or a list"),
        ({"collection": ["HLSL30", "other"]}, r"'nir' no key in the collections \['other'\]"),
        ({"nodata": np.inf}, "nodata=inf is no whole number"),
    ],
)
def test_a_catalogue_of_several_that_cannot_work_is_refused(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(HLS, **fields)


def of_two_bands(nodata: Any) -> xf.Catalog:
    return xf.Catalog(
        url="https://stac.example.org",
        collection="sentinel-2-l2a",
        assets={"qa": "qa", "nir": "nir"},
        nodata=nodata,
    )


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("nodata", [None, np.nan])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_without_nodata_every_number_is_an_observation_and_outside_is_unknown(
    tmp_path: Path, nodata: float | None, dtype: Any
) -> None:
    grid = c.part(c.GRID, (0, 40), (0, 64))
    numbers = np.random.default_rng(0).choice([0, 1, 127], (40, 64)).astype(dtype)
    most = 0 if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max
    numbers[0, :3] = most
    if dtype is np.float32:
        numbers[1, :3] = np.nan
    nir = np.full((40, 64), 5.0, np.float32)
    nir[2, :3] = np.nan
    hrefs = {
        "qa": c.write(tmp_path / "qa.tif", numbers, grid),
        "nir": c.write(tmp_path / "nir.tif", nir, grid),
    }
    assets = {k: {"href": href, **c.proj(grid)} for k, href in hrefs.items()}
    found = c.item("one", "2023-06-20T10:00:00Z", grid, assets, {"proj:epsg": 32633})
    seen: list[xr.Dataset] = []

    def rule(bands: xr.Dataset) -> xr.DataArray:
        seen.append(bands)
        outside = bands["qa"] == bands["qa"].attrs["nodata"]
        missing = bands["qa"].isnull() | outside
        flags: xr.DataArray = missing * np.uint8(32) + bands["nir"].isnull() * np.uint8(8)
        return flags

    catalog = of_two_bands(nodata)
    recipe = xf.MaskRecipe(
        exclusion=rule, bands={"qa": "nearest", "nir": "bilinear"}, catalog=catalog
    )
    masked = xf.attach_mask(c.retrieval(), recipe, items=[found], allow_local=True)
    expected = np.zeros((64, 64), np.uint8)
    expected[40:] = 40
    expected[2, :3] = 8
    if dtype is np.float32:
        expected[1, :3] = 32
    np.testing.assert_array_equal(masked["mask"], expected)
    inside = seen[0]["qa"].to_numpy()[:40]
    np.testing.assert_array_equal(inside.astype(np.float64), numbers.astype(np.float64))


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("nodata", [None, np.nan])
@pytest.mark.parametrize(
    ("dtype", "declared"),
    [("uint8", 7), ("uint8", 0), ("int16", -9999), ("uint16", 65535), ("float32", 0.1)],
)
def test_what_a_file_declares_counts_where_the_catalogue_leaves_it_to_the_file(
    tmp_path: Path, nodata: float | None, dtype: str, declared: float
) -> None:
    """None leaves it to the file; NaN says that every number is an observation."""
    numbers = np.random.default_rng(0).choice([0, 1, 2, 3], c.GRID.shape).astype(dtype)
    numbers[:, :9] = declared
    nir = np.full(c.GRID.shape, 300, np.int16)
    nir[5, :20] = 7
    hrefs = {
        "qa": c.write(tmp_path / "qa.tif", numbers, c.GRID, nodata=declared),
        "nir": c.write(tmp_path / "nir.tif", nir, c.GRID, nodata=7),
    }
    assets = {k: {"href": href, **c.proj(c.GRID)} for k, href in hrefs.items()}
    found = c.item("one", "2023-06-20T10:00:00Z", c.GRID, assets, {"proj:epsg": 32633})

    def rule(bands: xr.Dataset) -> xr.DataArray:
        missing = bands["qa"].isnull() | (bands["qa"] == bands["qa"].attrs["nodata"])
        bad = (bands["qa"] == 1) & ~missing
        unseen = bands["nir"].isnull()
        flags: xr.DataArray = missing * np.uint8(32) + unseen * np.uint8(8) + bad * np.uint8(1)
        return flags

    catalog = of_two_bands(nodata)
    bands: Any = {"qa": "nearest", "nir": "bilinear"}
    recipe = xf.MaskRecipe(exclusion=rule, bands=bands, catalog=catalog)
    of_file = nodata is None
    missing = (numbers == np.array(declared, dtype)) & of_file
    expected = missing * 32 + ((nir == 7) & of_file) * 8 + ((numbers == 1) & ~missing) * 1
    for chunks in (None, {"y": 20, "x": 64}):
        options: dict[str, Any] = {"items": [found], "allow_local": True}
        masked = xf.attach_mask(c.retrieval(chunks=chunks), recipe, **options)
        np.testing.assert_array_equal(masked["mask"], expected)


def test_sentinel2_without_a_nodata_in_the_catalogue_has_that_of_its_files(tmp_path: Path) -> None:
    """Beside the edge of one tile another has the pixel; the zeros are not its darkest water."""
    scene = c.landscape()
    left, right = (c.part(c.GRID, (0, 64), columns) for columns in ((0, 40), (32, 64)))
    items = []
    for name, grid, columns in (("left", left, (0, 40)), ("right", right, (32, 64))):
        halves = columns[0] // 2, columns[1] // 2
        part = c.Scene(
            scene.red[:, slice(*columns)],
            scene.nir[:, slice(*columns)],
            scene.scl[:, slice(*halves)],
            grid,
        )
        hrefs = c.stored(part, tmp_path / name, raw=False)
        # 0 is a class of its own
        hrefs["scl"] = c.write(tmp_path / name / "classes.tif", part.scl, part.coarse, nodata=255)
        items.append(c.earth_search(part, hrefs, name=name, applied=False, baseline="05.09"))
    profile = dataclasses.replace(xf.stac.EARTH_SEARCH, nodata=None)
    for order in (items, items[::-1]):
        by_file, said = c.attach_s2(order, profile)
        by_catalogue, also = c.attach_s2(order, xf.stac.EARTH_SEARCH)
        np.testing.assert_array_equal(by_file["mask"], by_catalogue["mask"])
        assert said == also
        assert by_file.attrs["mask_offsets"] == by_catalogue.attrs["mask_offsets"]
