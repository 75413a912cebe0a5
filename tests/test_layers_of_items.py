"""Which band of an asset is read, and how classes and bits are, whatever their files store."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pyproj import CRS
from rasterio.enums import ColorInterp

import xfusion as xf
from tests import catalogues as c
from tests.laziness import nothing_computes
from xfusion.raster.classes import as_classes

ES = xf.stac.EARTH_SEARCH
ONE_ASSET = dataclasses.replace(ES, assets=dict.fromkeys(("red", "nir", "scl"), "image"))
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


def write_bands(path: Path, bands: list[np.ndarray], alpha: int | None = None) -> str:
    """Write bands, one of which may be alpha."""
    pixels = np.stack(bands).astype(bands[0].dtype)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(pixels),
        height=pixels.shape[1],
        width=pixels.shape[2],
        dtype=pixels.dtype,
        crs=CRS(str(c.GRID.crs)).to_wkt(),
        transform=c.GRID.affine,
        tiled=True,
        blockxsize=16,
        blockysize=16,
    ) as file:
        if alpha is not None:
            colors = [*file.colorinterp]
            colors[alpha] = ColorInterp.alpha
            file.colorinterp = colors
        file.write(pixels)
    return str(path)


# Several bands in one asset


@pytest.fixture(scope="module")
def scene() -> c.Scene:
    return c.landscape()


@pytest.fixture(scope="module")
def image(scene: c.Scene, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An item whose one asset has four bands, the first of them none that is wanted.

    Read as red, it would have another offset, and another index.
    """
    classes = scene.scl.repeat(2, 0).repeat(2, 1).astype(np.uint16)
    bright = np.full(scene.red.shape, 9000, np.uint16)
    nir, red = (np.where(b > 0, b + 1000, 0).astype(np.uint16) for b in (scene.nir, scene.red))
    path = tmp_path_factory.mktemp("image") / "image.tif"
    href = write_bands(path, [bright, classes, nir, red])
    found = c.earth_search(scene, {"red": href}, baseline="05.09", applied=False)
    found["assets"] = {"image": {"href": href, **c.proj(scene.geobox)}}
    return found


NAMES = ["B02", "scl", "nir", "red"]
WAYS: dict[str, dict[str, list[Any]]] = {
    "bands": {"bands": [{"name": name} for name in NAMES]},
    "eo:bands": {"eo:bands": [{"name": name.upper()} for name in NAMES]},
    "common names": {
        "eo:bands": [
            {"name": "B02"},
            {"name": "SCL"},
            {"name": "B08", "common_name": "nir"},
            {"name": "B04", "common_name": "red"},
        ]
    },
    "common names of 1.1": {
        "bands": [{"name": "b1"}, {"name": "scl"}]
        + [{"name": f"b{i}", "eo:common_name": n} for i, n in ((3, "nir"), (4, "red"))]
    },
    "two lists": {
        "raster:bands": [{"data_type": "uint16", "nodata": 1000}] * 4,
        "eo:bands": [{"name": name} for name in NAMES],
    },
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chunks", [None, {"y": 17, "x": 23}])
def test_a_band_of_an_asset_is_found_by_its_name(
    scene: c.Scene, image: dict[str, Any], way: str, chunks: dict[str, int] | None
) -> None:
    named = copy.deepcopy(image)
    named["assets"]["image"] |= WAYS[way]
    masked, said = c.attach_s2([named], ONE_ASSET, c.retrieval(chunks=chunks))
    np.testing.assert_array_equal(masked["mask"], scene.mask())
    assert not said  # the pixels that tell the offset are of the same band


def test_the_name_of_a_band_may_be_said_with_the_asset(
    scene: c.Scene, image: dict[str, Any]
) -> None:
    named = copy.deepcopy(image)
    named["assets"]["image"]["bands"] = [{"name": f"X{k}"} for k in range(4)]
    keys = {"red": "image.X3", "nir": "image.X2", "scl": "image.X1"}
    masked, _ = c.attach_s2([named], dataclasses.replace(ES, assets=keys))
    np.testing.assert_array_equal(masked["mask"], scene.mask())
    keys["scl"] = "image.X9"
    with pytest.raises(ValueError, match=r"asset 'image'.*'X0'.*not exactly one is 'X9'"):
        c.attach_s2([named], dataclasses.replace(ES, assets=keys))
    for missing, assets in (("other.X1", {}), ("scl.tif", {"scl": {"href": "https://a.org/b"}})):
        lacking = copy.deepcopy(named)
        lacking["assets"] |= assets
        profile = dataclasses.replace(ES, assets=keys | {"scl": missing})
        masked, said = c.attach_s2([lacking], profile)
        assert any(f"lacks the assets ['{missing}']" in warning for warning in said)
        assert (masked["mask"] == 32).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"bands": [{"name": f"b{k}"} for k in range(4)]},
        {"bands": [{"name": "red"}] * 2 + [{"name": "nir"}, {"name": "scl"}]},
        {"raster:bands": [{"data_type": "uint16"}] * 4},
        {"bands": [None, 7, "red", []]},
    ],
)
def test_bands_that_are_not_told_apart_are_refused_before_anything_is_read(
    image: dict[str, Any], fields: dict[str, Any]
) -> None:
    unnamed = copy.deepcopy(image)
    unnamed["assets"]["image"] |= fields | {"href": "https://127.0.0.1:9/image.tif"}
    for offset in (0, None):
        with pytest.raises(ValueError, match=r"asset 'image' of item .* and not exactly one is"):
            c.attach_s2([unnamed], ONE_ASSET, c.retrieval(chunks={"y": 17}), offset=offset)


@pytest.mark.parametrize("fields", [{}, {"bands": [{"name": "red"}]}, {"bands": "red"}])
def test_a_file_of_several_bands_of_which_nothing_is_said_is_refused_or_flagged(
    image: dict[str, Any], fields: dict[str, Any]
) -> None:
    silent = copy.deepcopy(image)
    silent["assets"]["image"] |= fields
    for key in ("red", "nir", "scl"):
        silent["assets"][key] = silent["assets"]["image"]
    with pytest.raises(ValueError, match="image.tif has 4 bands, its item names none of them"):
        c.attach_s2([silent], ES, offset=0)
    masked, said = c.attach_s2([silent], ES, on_read_error="flag")
    assert set(np.unique(masked["mask"])) == {int(xf.Exclusion.READ_FAILED)}
    assert any("its pixels could not be read" in warning for warning in said)


def test_a_file_of_other_bands_than_its_item_says_is_refused(image: dict[str, Any]) -> None:
    wrong = copy.deepcopy(image)
    wrong["assets"]["image"]["bands"] = [{"name": name} for name in ("red", "nir", "scl")]
    with pytest.raises(ValueError, match="image.tif has 4 bands, its item names 3"):
        c.attach_s2([wrong], ONE_ASSET, offset=-1000)


def test_a_band_that_says_where_there_are_pixels_is_not_one_of_several(tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 2, c.GRID.shape).astype(np.uint8)
    seen = np.random.default_rng(1).choice([0, 255], c.GRID.shape).astype(np.uint8)
    href = write_bands(tmp_path / "gfm.tif", [frame, seen], alpha=1)
    found = c.item(
        "gfm",
        f"{c.DAY}T05:10:00Z",
        c.GRID,
        {"exclusion_mask": {"href": href}},
        {"proj:epsg": 32633, **c.proj(c.GRID)},
        collection="GFM",
    )
    masked = c.retrieval().fusion.attach_gfm_mask(items=[found], allow_local=True)
    np.testing.assert_array_equal(masked["mask"], np.where(seen == 0, 32, frame * 16))
    # but before another it would be taken for that
    found["assets"]["exclusion_mask"]["href"] = write_bands(
        tmp_path / "other.tif", [seen, frame], alpha=0
    )
    with pytest.raises(ValueError, match="other.tif has 2 bands, its item names none"):
        c.retrieval().fusion.attach_gfm_mask(items=[found], allow_local=True)


def test_a_file_of_several_pages_is_refused(scene: c.Scene, tmp_path: Path) -> None:
    """The first of them is all that is seen of it, as of a file of one."""
    hrefs = c.stored(scene, tmp_path, raw=False)
    hrefs["scl"] = str(tmp_path / "pages.tif")
    pages = scene.scl, scene.scl[::-1]
    for pixels, append in zip(pages, ("NO", "YES"), strict=True):
        options: dict[str, Any] = {"driver": "GTiff", "APPEND_SUBDATASET": append}
        c.write(Path(hrefs["scl"]), pixels, scene.coarse, blocksize=None, **options)
    items = [c.earth_search(scene, hrefs, baseline="02.12")]
    with pytest.raises(ValueError, match="pages.tif has 2 pages"):
        c.attach_s2(items, ES)
    with pytest.raises(ValueError, match=r"pages.tif: 2 pages, one is needed: name one, .*DIR:1:"):
        xf.raster.open_raster(hrefs["scl"])
    second = xf.raster.open_raster(f"GTIFF_DIR:2:{hrefs['scl']}", masked=False)
    np.testing.assert_array_equal(second, pages[1])


@pytest.mark.parametrize("band", ["red", "scl"])
def test_complex_numbers_are_no_layer(scene: c.Scene, tmp_path: Path, band: str) -> None:
    hrefs = c.stored(scene, tmp_path, raw=False)
    grid = scene.coarse if band == "scl" else scene.geobox
    pixels = getattr(scene, band).astype(np.complex64)
    hrefs[band] = c.write(tmp_path / "complex.tif", pixels, grid, driver="GTiff")
    items = [c.earth_search(scene, hrefs, baseline="02.12")]
    with pytest.raises(ValueError, match="complex.tif holds complex64, not real numbers"):
        c.attach_s2(items, ES)
    recipe = xf.MaskRecipe(exclusion=xf.s2_exclusion, bands={band: "nearest"}, catalog=ES)
    with pytest.raises(ValueError, match="complex.tif holds complex64, not real numbers"):
        xf.attach_mask(c.retrieval(), recipe, items=items, allow_local=True)


# Classes and bits of 16 and 32 bits


@hypothesis.given(
    stored=st.sampled_from([*DTYPES, "int64", "uint64"]).flatmap(
        lambda name: hnp.arrays(name, st.integers(1, 6))
    ),
    dtype=st.sampled_from(["uint8", "int16", "uint16", "uint32", "int32", "int64", "uint64"]),
    nodata=st.sampled_from([None, 0.0, -1.0, 255.0, -9999.0, 65535.0]),
)
def test_what_is_no_integer_of_the_dtype_never_becomes_another_one(
    stored: np.ndarray, dtype: str, nodata: float | None
) -> None:
    limits = np.iinfo(dtype)

    def right(number: Any) -> int | None:
        value = number.item()
        if value == value and abs(value) != np.inf and value == int(value):  # noqa: PLR0124  # NaN
            if limits.min <= int(value) <= limits.max:
                return int(value)
            return 7 if nodata is not None and value == nodata else None
        return 7 if value != value or value == nodata else None  # noqa: PLR0124  # NaN

    expected = [right(number) for number in stored]
    before = stored.copy()
    if None in expected:
        with pytest.raises(ValueError, match=f"a.tif holds {stored.dtype}, not classes of {dtype}"):
            as_classes(stored, np.dtype(dtype), nodata, 7, "a.tif")
    else:
        classes = as_classes(stored, np.dtype(dtype), nodata, 7, "a.tif")
        assert classes.dtype == dtype
        assert classes.tolist() == expected
    np.testing.assert_array_equal(stored, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scene_classification_is_one_whatever_its_dtype(
    scene: c.Scene, tmp_path: Path, dtype: str
) -> None:
    hrefs = c.stored(scene, tmp_path, raw=False)
    scl = scene.scl.astype(dtype)
    unseen = np.zeros(scl.shape, np.bool_)
    nodata = None
    if scl.dtype.kind == "f":
        unseen[3:9, 5:20] = True
        scl[3:6, 5:20], scl[6:9, 5:20], nodata = np.nan, -9999, -9999
    hrefs["scl"] = c.write(tmp_path / f"{dtype}.tif", scl, scene.coarse, nodata)
    ground = c.Scene(scene.red, scene.nir, np.full_like(scene.scl, 4)).mask() & 4
    expected = np.where(unseen.repeat(2, 0).repeat(2, 1), ground | 32, scene.mask())
    items = [c.earth_search(scene, hrefs, baseline="02.12")]
    for chunks in (None, {"y": 17, "x": 23}):
        masked, said = c.attach_s2(items, ES, c.retrieval(chunks=chunks))
        np.testing.assert_array_equal(masked["mask"], expected)
        assert not said


LANDSAT = xf.Catalog(
    url="https://stac.example.org", collection="landsat", assets={"qa": "qa_pixel"}, nodata=1
)


def landsat_flags(bands: xr.Dataset) -> xr.DataArray:
    return xf.flags(bands["qa"], cloud=[1, 3], shadow=4, defective=9, unknown=0)


QA = xf.MaskRecipe(exclusion=landsat_flags, bands={"qa": "nearest"}, catalog=LANDSAT)


def qa_pixels(shape: Any, seed: int, bits: int = 16) -> np.ndarray:
    pixels: np.ndarray = np.random.default_rng(seed).integers(0, 2**bits, shape, np.int64)
    return pixels


def qa_flags(number: int) -> int:
    cloud, shadow = number & 0b1010, number & 0b10000
    flags = (1 if cloud else 0) | (2 if shadow else 0) | (8 if number >> 9 & 1 else 0)
    return flags | (32 if number & 1 else 0)


FLAGS: Any = np.vectorize(qa_flags, otypes=[np.uint8])


def qa_item(href: str, name: str, grid: Any, **fields: Any) -> dict[str, Any]:
    return c.item(
        name,
        f"{c.DAY}T10:06:07Z",
        grid,
        {"qa_pixel": {"href": href, **c.proj(grid), **fields}},
        {"proj:epsg": 32633},
        collection="landsat",
    )


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("how", ["raise", "flag"])
@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint32"])
def test_bits_are_those_of_the_file(tmp_path: Path, dtype: str, how: Any, *, stated: bool) -> None:
    pixels = qa_pixels(c.GRID.shape, 0, bits={"uint16": 16, "int32": 31, "uint32": 32}[dtype])
    href = c.write(tmp_path / "qa.tif", pixels.astype(dtype), c.GRID)
    fields = {"raster:bands": [{"data_type": dtype}]} if stated else {}
    for chunks in (None, {"y": 17, "x": 23}):
        like = c.retrieval(chunks=chunks)
        options: dict[str, Any] = {
            "items": [qa_item(href, "a", c.GRID, **fields)],
            "allow_local": True,
        }
        if chunks is None:
            masked = xf.attach_mask(like, QA, on_read_error=how, **options)
        else:
            with nothing_computes():
                masked = xf.attach_mask(like, QA, on_read_error=how, **options)
        np.testing.assert_array_equal(masked["mask"], FLAGS(pixels))


def test_tiles_of_two_dtypes_are_one_layer(tmp_path: Path) -> None:
    """As of two kinds of integers none of which holds the other."""
    parts = [c.part(c.GRID, (0, 64), columns) for columns in ((0, 30), (30, 58))]
    pixels = [qa_pixels(parts[0].shape, 1, 15), qa_pixels(parts[1].shape, 2, 16)]
    items = [
        qa_item(c.write(tmp_path / f"{d}.tif", p.astype(d), grid), d, grid)
        for d, p, grid in zip(("int16", "uint16"), pixels, parts, strict=True)
    ]
    masked = xf.attach_mask(c.retrieval(chunks={"x": 20}), QA, items=items, allow_local=True)
    outside = np.full((64, 6), 32, np.uint8)  # nodata has the bit that says so
    np.testing.assert_array_equal(
        masked["mask"], np.hstack([FLAGS(pixels[0]), FLAGS(pixels[1]), outside])
    )


def test_a_file_with_numbers_that_its_item_excludes_is_refused_not_wrapped(tmp_path: Path) -> None:
    pixels = qa_pixels(c.GRID.shape, 0)
    href = c.write(tmp_path / "qa.tif", pixels.astype(np.uint16), c.GRID)
    items = [qa_item(href, "a", c.GRID, data_type="int16")]
    with pytest.raises(ValueError, match="qa.tif holds uint16, not classes of int16: .* data_type"):
        xf.attach_mask(c.retrieval(), QA, items=items, allow_local=True)
    masked = xf.attach_mask(c.retrieval(), QA, items=items, allow_local=True, on_read_error="flag")
    assert (masked["mask"] == 64).all()


def test_a_layer_whose_dtype_cannot_be_found_out_is_flagged(tmp_path: Path) -> None:
    items = [qa_item(str(tmp_path / "none.tif"), "a", c.GRID)]
    with pytest.raises(OSError, match="none.tif"):
        xf.attach_mask(c.retrieval(chunks={"y": 20}), QA, items=items, allow_local=True)
    masked = xf.attach_mask(c.retrieval(), QA, items=items, allow_local=True, on_read_error="flag")
    assert (masked["mask"] == 64).all()


@pytest.mark.parametrize("field", ["classification:bitfields", "classification:classes"])
def test_classes_are_not_interpolated(tmp_path: Path, field: str) -> None:
    recipe = dataclasses.replace(QA, bands={"qa": "bilinear"})
    said = [{"name": "cloud", "offset": 3, "length": 1}]
    for fields in ({field: said}, {"bands": [{"name": "qa", field: said}]}):
        items = [qa_item(str(tmp_path / "none.tif"), "a", c.GRID, **fields)]
        with pytest.raises(ValueError, match="asset 'qa_pixel'.*have no mean.*'nearest'"):
            xf.attach_mask(c.retrieval(), recipe, items=items, allow_local=True)


def test_a_number_that_no_dtype_can_hold_with_the_others_is_told(tmp_path: Path) -> None:
    pixels = qa_pixels(c.GRID.shape, 0)
    items = [
        qa_item(c.write(tmp_path / f"{d}.tif", pixels.astype(d), c.GRID, driver="GTiff"), d, c.GRID)
        for d in ("int64", "uint64")
    ]
    with pytest.raises(ValueError, match="'qa' hold .*'int64', 'uint64'.* no dtype of integers"):
        xf.attach_mask(c.retrieval(), QA, items=items, allow_local=True)
