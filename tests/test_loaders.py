"""Both loaders on the same files: what they agree on, by how much they differ, what is refused."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

import xfusion as xf
from tests import catalogues as c
from tests.laziness import nothing_computes
from xfusion.warp.pixel_mapping import PixelMapping

SIDE = 600
SOURCE = GeoBox((SIDE, SIDE), Affine(10, 0, 600_000, 0, -10, 5_200_000), "EPSG:32633")
DOWN, ACROSS, FIRST = 5, 3, 1000  # of a slope: how much a pixel is more than that above, and left
APPROXIMATION = 1 / 8  # pixels: how far from where they are GDAL takes positions to be
TIME = f"{c.DAY}T10:00:00Z"


def of_extent(crs: str, resolution: float) -> GeoBox:
    return GeoBox.from_geopolygon(SOURCE.extent.to_crs(crs), resolution=resolution)


def in_utm(side: float, x: float, y: float, pixels: int = 500) -> GeoBox:
    return GeoBox((pixels, pixels), Affine(side, 0, x, 0, -side, y), SOURCE.crs)


ROTATED = GeoBox((500, 500), Affine(9.3, 2, 601_050, 1.5, -9.1, 5_199_000), SOURCE.crs)
# how far a loaded value may be from the right one, in source pixels along each axis
GRIDS: dict[str, tuple[GeoBox, float]] = {
    "a part": (SOURCE[50:300, 60:200], 0),
    "rotated": (ROTATED, APPROXIMATION),
    "degrees": (of_extent("EPSG:4326", 1e-4), APPROXIMATION),
    "equal area": (of_extent("EPSG:3035", 10), APPROXIMATION),
    "next zone": (of_extent("EPSG:32634", 11), APPROXIMATION),
    "moved": (in_utm(10, 600_104, 5_199_996), 0),
    "moved a little": (in_utm(10, 600_100.4, 5_200_000.4), 1 / 20),
    "a little larger": (in_utm(10.009, 600_100, 5_199_990), 1 / 2),
    "finer": (in_utm(5, 600_100, 5_199_990), 0),
    "coarser": (in_utm(25, 600_103, 5_199_990, 150), APPROXIMATION),
}
OVER = pytest.mark.parametrize("name", GRIDS)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An item whose pixels say which they are, and a slope in several dtypes."""
    folder = tmp_path_factory.mktemp("numbered")
    row, column = np.mgrid[:SIDE, :SIDE]
    bands = {"number": row * SIDE + column}
    slope = DOWN * row + ACROSS * column + FIRST
    files = {"number": c.write(folder / "number.tif", bands["number"].astype(np.int32), SOURCE, -1)}
    for dtype in ("uint16", "int16", "float32", "float64"):
        files[dtype] = c.write(folder / f"{dtype}.tif", slope.astype(dtype), SOURCE)
    assets = {name: {"href": href, **c.proj(SOURCE)} for name, href in files.items()}
    return c.item("numbered", TIME, SOURCE, assets, {"proj:epsg": 32633})


def profile(*bands: str, nodata: Any = 0) -> xf.Catalog:
    return xf.Catalog(
        url="https://stac.example.org",
        collection="sentinel-2-l2a",
        assets={band: band for band in bands},
        nodata=nodata,
    )


def loaded(grid: Any, item: Any, loader: Any, bands: Any, **options: Any) -> xr.Dataset:
    options = {"catalog": profile(*bands), "allow_local": True, "loader": loader} | options
    options["items"] = item if isinstance(item, list) else [item]
    return xf.load_bands(grid, bands, **options).isel(time=0)


def places(grid: GeoBox) -> Any:
    """Where the centres of a grid lie in the source: column and row."""
    row, column = np.mgrid[: grid.shape.y, : grid.shape.x] + 0.5
    return PixelMapping.between(SOURCE, grid).positions(row, column)


# By how much they differ


@pytest.mark.some(one_in=3)
@OVER
def test_nearest_is_the_pixel_in_which_a_centre_lies_but_for_an_eighth_of_a_pixel(
    numbered: Any, name: str
) -> None:
    grid, _ = GRIDS[name]
    bands = {"number": "nearest"}
    options: dict[str, Any] = {"catalog": profile("number", nodata=-1)}
    of_odc = loaded(grid, numbered, "odc", bands, **options)["number"].to_numpy()
    ours = loaded(grid, numbered, "xfusion", bands, **options)["number"].to_numpy()
    assert of_odc.dtype == ours.dtype == np.int32
    column, row = places(grid)
    for number, allowed in ((of_odc, APPROXIMATION), (ours, 2e-3)):
        seen = number >= 0
        apart = np.maximum(abs(number % SIDE + 0.5 - column), abs(number // SIDE + 0.5 - row))
        assert apart[seen].max() <= 0.5 + allowed
        beyond = np.maximum(abs(column - SIDE / 2), abs(row - SIDE / 2)) - SIDE / 2
        assert (beyond[seen] <= allowed).all()
        assert (beyond[~seen] >= -allowed).all()
    assert (of_odc != ours).mean() < 0.03


@pytest.mark.some(one_in=4)
@OVER
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_bilinear_differs_by_what_an_eighth_of_a_pixel_makes(
    numbered: Any, name: str, dtype: str
) -> None:
    grid, off = GRIDS[name]
    bands = {dtype: "bilinear"}
    of_odc = loaded(grid, numbered, "odc", bands)[dtype].to_numpy()
    ours = loaded(grid, numbered, "xfusion", bands)[dtype].to_numpy()
    assert of_odc.dtype == ours.dtype == np.float32
    column, row = places(grid)
    # a kernel reaches over the edge of the source, by more where the grid is coarser
    inside = np.minimum.reduce([column, row, SIDE - column, SIDE - row]) > 3
    assert inside.mean() > 0.5
    right = DOWN * (row - 0.5) + ACROSS * (column - 0.5) + FIRST
    rounding = 2e-3 * (DOWN + ACROSS)
    assert abs(of_odc - right)[inside].max() <= off * (DOWN + ACROSS) + rounding
    assert abs(ours - of_odc)[inside].max() <= (off + 1 / 20) * (DOWN + ACROSS) + rounding


# What they agree on


@pytest.mark.parametrize(
    ("dtype", "declared"),
    [
        ("uint8", None),
        ("int8", 0),
        ("uint16", 7),
        ("int16", None),
        ("int32", 7),
        ("float32", 0),
        ("float64", None),
    ],
)
def test_on_one_grid_they_are_the_same_whatever_a_file_declares(
    tmp_path: Path, dtype: str, declared: float | None
) -> None:
    pixels = np.random.default_rng(1).integers(0, 90, (64, 64)).astype(dtype)
    href = c.write(tmp_path / "a.tif", pixels, c.GRID, declared)
    assets = {name: {"href": href, **c.proj(c.GRID)} for name in ("class", "value")}
    item = c.item("a", TIME, c.GRID, assets, {"proj:epsg": 32633})
    bands = {"class": "nearest", "value": "bilinear"}
    wide = c.GRID.pad(5)
    options: dict[str, Any] = {
        "catalog": profile(*bands, nodata={"class": 99, "value": 0}),
        "offset": -30,
        "scale": 0.5,
        "chunks": {"y": 37, "x": 43},
    }
    ours, of_odc = (loaded(wide, item, loader, bands, **options) for loader in ("xfusion", "odc"))
    xr.testing.assert_identical(of_odc.compute(), ours.compute())
    known = np.where(pixels == 0, np.nan, np.maximum(pixels.astype("float32") - 30, 0) / 2)
    np.testing.assert_array_equal(of_odc["value"][5:-5, 5:-5], known)
    np.testing.assert_array_equal(of_odc["class"][5:-5, 5:-5], pixels)
    assert (of_odc["class"][:5] == 99).all()


@pytest.fixture
def overlapping(tmp_path: Path) -> list[Any]:
    """Two tiles of one pass, in which gaps are, and that lie over each other."""
    rng = np.random.default_rng(2)
    items = []
    for n, columns in enumerate([slice(0, 40), slice(24, 64)]):
        part = c.GRID[:, columns]
        files = {}
        for band in ("red", "nir"):
            pixels = rng.integers(1, 4000, part.shape.yx).astype(np.uint16)
            pixels[rng.random(pixels.shape) < 0.2] = 0
            files[band] = c.write(tmp_path / f"{n}{band}.tif", pixels, part, 0)
        classes = rng.integers(0, 12, part.zoom_out(2).shape.yx).astype(np.uint8)
        files["scl"] = c.write(tmp_path / f"{n}scl.tif", classes, part.zoom_out(2), 0)
        scene = c.Scene(classes, classes, classes, part)
        items.append(c.earth_search(scene, files, name=f"tile{n}", time=f"{c.DAY}T10:00:{n:02}Z"))
    return items


@pytest.mark.parametrize("chunks", [None, {"y": 25, "x": 30}])
def test_masks_of_overlapping_tiles_are_the_same_of_both(
    overlapping: list[Any], chunks: Any
) -> None:
    like = c.retrieval(chunks=chunks)
    options: dict[str, Any] = {"items": overlapping, "allow_local": True, "offset": 0}
    ours = like.fusion.attach_s2_mask(**options)
    of_odc = like.fusion.attach_s2_mask(**options, loader="odc")
    xr.testing.assert_identical(of_odc.compute(), ours.compute())
    assert len(np.unique(ours["mask"])) > 5
    of_product = xf.Sentinel2Product(dataset=like).attach_mask(**options, loader="odc")
    xr.testing.assert_identical(of_product.dataset.mask.compute(), ours.mask.compute())


def test_masks_of_gfm_with_advisory_flags_and_of_cubes_are_the_same_of_both(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    items = []
    for n, (rows, columns) in enumerate([((0, 30), (0, 60)), ((20, 48), (10, 50))]):
        part = c.part(c.EQUI7, rows, columns)
        shape = part.shape.yx
        mask = rng.choice(np.array([0, 1, 255], np.uint8), shape)
        advisory = rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), shape)
        hrefs = {
            "exclusion_mask": c.write(tmp_path / f"m{n}.tif", mask, part),
            "advisory_flags": c.write(tmp_path / f"a{n}.tif", advisory, part, 255),
        }
        items.append(c.gfm_item(f"05:10:{n:02}", part, **hrefs))
    one = c.retrieval(c.EQUI7, time=f"{c.DAY}T05:10")
    cube = xf.stack(
        [one, one.assign_coords(time=np.datetime64(f"{c.DAY}T05:12", "ns"))], dim="time"
    )
    options: dict[str, Any] = {"items": items, "allow_local": True, "advisory_flags": True}
    for like, mode in ((one, "flag"), (one.chunk(x=33), "raise"), (cube, "raise")):
        ours, of_odc = (
            like.fusion.attach_gfm_mask(**options, loader=loader, on_read_error=mode)
            for loader in ("xfusion", "odc")
        )
        xr.testing.assert_identical(of_odc.compute(), ours.compute())


# Laziness


@pytest.mark.parametrize("blocks", [(600, 333), (511, 513)])
def test_blocks_do_not_show_in_what_odc_reads(numbered: Any, blocks: tuple[int, int]) -> None:
    grid = GRIDS["degrees"][0]
    bands = {"number": "nearest", "uint16": "bilinear"}
    options: dict[str, Any] = {"catalog": profile(*bands, nodata={"number": -1, "uint16": 0})}
    with nothing_computes():
        lazy = loaded(grid, numbered, "odc", bands, chunks=blocks, **options)
    whole = loaded(grid, numbered, "odc", bands, chunks=-1, **options)
    xr.testing.assert_identical(lazy.compute(), whole.compute())


def test_the_graph_grows_with_the_blocks_alone(overlapping: list[Any]) -> None:
    sizes = []
    for items in (overlapping[:1], overlapping):
        bands = ["red", "nir", "scl"]
        catalog = dataclasses.replace(xf.stac.EARTH_SEARCH, offset=0)
        lazy = loaded(c.GRID, items, "odc", bands, catalog=catalog, chunks=16)
        sizes.append(len(dict(lazy.__dask_graph__())))
    assert sizes[0] == sizes[1]


# What is refused


def one_file(href: str, **fields: Any) -> dict[str, Any]:
    asset = {"value": {"href": href, **c.proj(c.GRID), **fields}}
    return c.item("one", TIME, c.GRID, asset, {"proj:epsg": 32633})


@pytest.mark.parametrize(
    "href", ["/vsicurl/http://a.org/a.tif", "/etc/passwd", "http://[::1/a.tif"]
)
@pytest.mark.parametrize("loader", ["xfusion", "odc"])
def test_an_href_that_may_not_be_read_never_reaches_a_loader(
    href: str, loader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rasterio, "open", lambda *args, **_: pytest.fail(f"{args} was opened"))
    for like in (c.GRID, c.retrieval()):
        with pytest.raises(ValueError, match="of item 'one'.*(never opened|allow_local=True)"):
            loaded(like, one_file(href), loader, ["value"], allow_local=False)


def vrt(path: Path, of: str) -> str:
    path.write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32633</SRS>'
        "<GeoTransform>600000, 10, 0, 5200000, 0, -10</GeoTransform>"
        '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{of}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return str(path)


@pytest.fixture
def pixels() -> Any:
    return np.random.default_rng(4).integers(1, 4000, (64, 64)).astype(np.uint16)


@pytest.mark.parametrize("says_where", [True, False])
@pytest.mark.parametrize("kind", ["VRT", "HFA", "ENVI"])
def test_other_formats_are_read_by_odc_alone_and_from_whom_one_trusts(
    tmp_path: Path, pixels: Any, kind: str, says_where: bool
) -> None:
    if kind == "VRT":
        href = vrt(tmp_path / "a.tif", c.write(tmp_path / "b.tif", pixels, c.GRID))
    else:
        href = c.write(tmp_path / "a.img", pixels, c.GRID, driver=kind)
    item = one_file(href)
    if not says_where:
        del item["assets"]["value"]["proj:transform"], item["assets"]["value"]["proj:shape"]
    found = loaded(c.GRID, item, "odc", {"value": "nearest"})
    np.testing.assert_array_equal(found["value"], pixels)
    with pytest.raises(OSError, match="a.(tif|img) could not be read.*not recognized"):
        loaded(c.GRID, item, "xfusion", {"value": "nearest"}).compute()


def test_a_format_that_may_name_other_files_is_not_read_from_strangers(
    tmp_path: Path, pixels: Any
) -> None:
    from tests.asset_server import serve_folder

    (tmp_path / "served").mkdir()
    vrt(tmp_path / "served" / "a.tif", c.write(tmp_path / "secret.tif", pixels, c.GRID))
    with serve_folder(tmp_path / "served") as url:
        item = one_file(f"{url}/a.tif")
        far = loaded(c.GRID, item, "odc", ["value"], allow_local=False)
        with pytest.raises(OSError, match="could not be read.*not recognized"):
            far.compute()
        flagged = loaded(
            c.GRID, item, "odc", ["value"], allow_local=False, on_read_error="flag"
        ).compute()
        assert flagged["read_failed"].all()
        assert flagged["value"].isnull().all()
        near = loaded(c.GRID, item, "odc", {"value": "nearest"}, allow_local=True)
        np.testing.assert_array_equal(near["value"], pixels)


def test_a_file_that_odc_would_misread_is_refused_with_the_loader_that_reads_it(
    tmp_path: Path, pixels: Any
) -> None:
    masked, bare = tmp_path / "masked.tif", tmp_path / "bare.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        c.write(masked, pixels, c.GRID, driver="GTiff", blocksize=None)
        with rasterio.open(masked, "r+") as file:
            file.write_mask(pixels > 2000)
    with rasterio.open(
        bare, "w", "GTiff", 64, 64, 1, dtype="uint16", transform=c.GRID.affine
    ) as file:
        file.write(pixels, 1)
    zero = c.write(tmp_path / "zero.tif", pixels, c.GRID, 0)
    for path, said, nodata in (
        (masked, "a mask of its own", 0),
        (bare, "does not say its CRS", 0),
        (zero, "declares the nodata 0", np.nan),
    ):
        item, options = one_file(str(path)), {"nodata": nodata}
        with pytest.raises(ValueError, match=f"{said}.*loader='xfusion' does"):
            loaded(c.GRID, item, "odc", ["value"], **options).compute()
        ours = loaded(c.GRID, item, "xfusion", ["value"], **options).compute()
        assert ours["value"].notnull().any()
        flagged = loaded(c.GRID, item, "odc", ["value"], on_read_error="flag", **options)
        assert flagged["read_failed"].to_numpy().all()


@pytest.mark.parametrize("wrong", [300.0, 4.5])
@pytest.mark.parametrize("loader", ["xfusion", "odc"])
def test_a_number_that_is_none_of_the_classes_is_an_error_of_both(
    tmp_path: Path, wrong: float, loader: Any
) -> None:
    pixels = np.full((64, 64), 4, np.float32)
    pixels[3, 3], pixels[5, 5] = wrong, np.nan
    href = c.write(tmp_path / "scl.tif", pixels, c.GRID)
    item = c.item(
        "a", TIME, c.GRID, {"scl": {"href": href, **c.proj(c.GRID)}}, {"proj:epsg": 32633}
    )
    options: dict[str, Any] = {"catalog": profile("scl", nodata=255)}
    with pytest.raises(ValueError, match=rf"scl.tif holds float32, not classes.*{wrong}"):
        loaded(c.GRID, item, loader, ["scl"], **options).compute()
    pixels[3, 3] = 5
    c.write(tmp_path / "scl.tif", pixels, c.GRID)
    scl = loaded(c.GRID, item, loader, ["scl"], **options)["scl"].compute()
    assert scl.dtype == np.uint8
    assert [int(scl[3, 3]), int(scl[5, 5]), int(scl[0, 0])] == [5, 255, 4]


def test_a_file_that_is_not_where_its_item_says_is_refused_by_both(
    tmp_path: Path, pixels: Any
) -> None:
    href = c.write(tmp_path / "a.tif", pixels, c.GRID.translate_pix(3, 0))
    for loader in ("xfusion", "odc"):
        with pytest.raises(ValueError, match="a.tif has the transform"):
            loaded(c.GRID, one_file(href), loader, ["value"]).compute()


def test_a_band_of_several_is_read_by_its_name_and_its_href_signed_at_each_read(
    tmp_path: Path, pixels: Any
) -> None:
    path = tmp_path / "image.tif"
    with rasterio.open(
        path, "w", "GTiff", 64, 64, 3, crs="EPSG:32633", dtype="uint16", transform=c.GRID.affine
    ) as file:
        file.write(np.stack([pixels * 0 + 9, pixels, pixels * 0 + 8]))
    asset = {"href": str(tmp_path / "unsigned.tif"), **c.proj(c.GRID)}
    names = [{"name": name} for name in ("other.1", "value", "third")]
    item = c.item("a", TIME, c.GRID, {"image": asset | {"bands": names}}, {"proj:epsg": 32633})
    catalog = dataclasses.replace(
        profile("value"),
        assets={"value": "image"},
        signer=lambda href: href.replace("unsigned", "image"),
    )
    found = loaded(c.GRID, pystac.Item.from_dict(item), "odc", ["value"], catalog=catalog)
    np.testing.assert_array_equal(found["value"], pixels)


def test_a_loader_of_another_name_is_refused_before_a_search() -> None:
    wrong: Any = "stackstac"
    for call in (
        lambda: xf.load_bands(c.GRID, ["red"], loader=wrong),
        lambda: c.retrieval().fusion.attach_gfm_mask(loader=wrong),
        lambda: c.retrieval().fusion.attach_s2_mask(loader=wrong),
    ):
        with pytest.raises(ValueError, match="loader='stackstac': must be 'xfusion' or 'odc'"):
            call()
