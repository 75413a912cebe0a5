"""Cubes that people load with odc.stac.load, straight into the rules and into `exclude`."""

from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac
import pytest
import xarray as xr

import xfusion as xf
from tests import catalogues as c
from tests.laziness import nothing_computes

DAYS = ("2023-06-20T10:00:10Z", "2023-06-23T10:00:10Z")


def scene(seed: int) -> c.Scene:
    rng = np.random.default_rng(seed)
    bands = rng.integers(1, 4000, (2, 64, 64)).astype(np.uint16)
    bands[:, :5, :9] = 0
    return c.Scene(bands[0], bands[1], rng.integers(1, 12, (32, 32)).astype(np.uint8))


@pytest.fixture
def items(tmp_path: Path) -> list[pystac.Item]:
    made = []
    for seed, time in enumerate(DAYS):
        shown = scene(seed)
        files = {
            "red": c.write(tmp_path / f"{seed}r.tif", shown.red, c.GRID, 0),
            "nir": c.write(tmp_path / f"{seed}n.tif", shown.nir, c.GRID, 0),
            "scl": c.write(tmp_path / f"{seed}s.tif", shown.scl, shown.coarse, 0),
        }
        assets = {name: {"href": href} for name, href in files.items()}
        properties = {"proj:epsg": 32633, **c.proj(c.GRID)}
        made.append(pystac.Item.from_dict(c.item(f"i{seed}", time, c.GRID, assets, properties)))
    return made


def loaded(items: list[pystac.Item], **options: Any) -> xr.Dataset:
    cube: xr.Dataset = odc.stac.load(
        items, bands=["red", "nir", "scl"], geobox=c.GRID, resampling={"scl": "nearest"}, **options
    )
    return cube


@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": {"x": 20, "y": 30}}, {"dtype": {"scl": "uint8", "*": "uint16"}}],
    ids=["in memory", "lazy", "integers"],
)
def test_each_acquisition_of_a_loaded_cube_is_judged_for_itself(
    items: list[pystac.Item], options: Any
) -> None:
    cube = loaded(items, **options)
    flags = cube.fusion.s2_exclusion(ndvi_max=0.6)
    valid = cube.fusion.s2_validity(ndvi_max=0.6)
    assert flags.dims == valid.dims == ("time", "y", "x")
    assert (flags.chunks is None) == ("chunks" not in options)
    for seed in range(len(DAYS)):
        expected = scene(seed).mask()
        np.testing.assert_array_equal(flags.isel(time=seed), expected)
        np.testing.assert_array_equal(valid.isel(time=seed), expected == 0)


@pytest.mark.parametrize("chunks", [None, {}])
@pytest.mark.parametrize(
    ("time", "seed"),
    [("2023-06-20", 0), ("2023-06-23", 1), ("2023-06-23T09:20", 1), ("2023-06-20T10:30", 0)],
)
def test_a_cube_excludes_by_the_acquisition_of_the_retrieval(
    items: list[pystac.Item], chunks: Any, time: str, seed: int
) -> None:
    flags = loaded(items, chunks=chunks).fusion.s2_exclusion(ndvi_max=0.6)
    masked = c.retrieval(time=time).fusion.exclude(flags)
    assert masked.mask.dims == ("y", "x")
    np.testing.assert_array_equal(masked.mask, scene(seed).mask())
    assert masked.time.values == np.datetime64(time)


@pytest.mark.parametrize("time", ["2023-06-21", "2023-06-20T12:00", "2023-06-19T23:00"])
def test_a_cube_of_other_times_is_refused_with_both(items: list[pystac.Item], time: str) -> None:
    flags = loaded(items).fusion.s2_exclusion()
    with pytest.raises(ValueError, match=rf"of 2023-06-20T10.*the retrieval of {time}.*\.sel\("):
        c.retrieval(time=time).fusion.exclude(flags)
    bare = c.retrieval().drop_vars("time")
    with pytest.raises(ValueError, match=r"does not say of which time.*assign_coords"):
        bare.fusion.exclude(flags)


def test_two_tiles_of_one_day_exclude_together_and_what_neither_saw_is_unknown() -> None:
    unknown, cloud = int(xf.Exclusion.UNKNOWN), int(xf.Exclusion.CLOUD)
    layers = np.full((2, 64, 64), unknown, np.uint8)
    layers[0, :, :30] = 0
    layers[1, :, 25:50] = cloud
    times = np.array(["2023-06-20T10:00:10", "2023-06-20T10:00:24"], "datetime64[ns]")
    here = c.retrieval()
    flags = xr.DataArray(
        layers,
        {"time": times, "y": here.y.values, "x": here.x.values},
        ("time", "y", "x"),
        name="mask",
    ).assign_coords(spatial_ref=here.spatial_ref.variable)
    mask = here.fusion.exclude(flags).mask.to_numpy()
    assert (mask[:, :25] == 0).all()
    assert (mask[:, 25:50] == cloud).all()
    assert (mask[:, 50:] == unknown).all()


@pytest.fixture
def gfm(tmp_path: Path) -> tuple[pystac.Item, np.ndarray]:
    """An item that shows a quarter of the grid, and which of all pixels are not excluded."""
    part = c.GRID[:32, :32]
    pixels = np.random.default_rng(3).integers(0, 2, (32, 32)).astype(np.uint8)
    asset = {"exclusion_mask": {"href": c.write(tmp_path / "g.tif", pixels, part)}}
    properties = {"proj:epsg": 32633, **c.proj(part)}
    item = c.item("g", DAYS[0], part, asset, properties, collection="GFM")
    expected = np.zeros((64, 64), bool)
    expected[:32, :32] = pixels == 0
    return pystac.Item.from_dict(item), expected


GFM: Any = {"bands": ["exclusion_mask"], "geobox": c.GRID}


def test_a_cube_of_gfm_with_nodata_is_unknown_where_no_item_lies(gfm: Any) -> None:
    item, expected = gfm
    cube = odc.stac.load([item], nodata=255, dtype="uint8", **GFM).exclusion_mask
    np.testing.assert_array_equal(cube.fusion.gfm_validity().squeeze("time"), expected)
    mask = c.retrieval().fusion.exclude(cube.fusion.gfm_exclusion()).mask
    np.testing.assert_array_equal(mask == 0, expected)
    assert (mask[32:, 32:] == xf.Exclusion.UNKNOWN).all()
    # of floats odc fills with NaN
    floats = odc.stac.load([item], **GFM).exclusion_mask
    np.testing.assert_array_equal(floats.fusion.gfm_validity().squeeze("time"), expected)


@pytest.mark.parametrize("chunks", [None, {}])
def test_a_cube_of_gfm_that_odc_filled_with_0_is_refused_before_it_is_read(
    gfm: Any, chunks: Any
) -> None:
    item, _ = gfm
    bare = odc.stac.load([item], dtype="uint8", chunks=chunks, **GFM).exclusion_mask
    zero = odc.stac.load([item], dtype="uint8", nodata=0, chunks=chunks, **GFM).exclusion_mask
    for cube, said in ((bare, "declares no nodata"), (zero, "declares nodata 0")):
        for part in (cube, cube.isel(time=0), cube.squeeze("time")):
            with (
                nothing_computes(),
                pytest.raises(ValueError, match=rf"mask .*{said}.*not excluded.*nodata=255"),
            ):
                part.fusion.gfm_validity()
            with pytest.raises(ValueError, match=said):
                xf.gfm_exclusion(part.to_dataset())
    # who says that every pixel was seen is believed
    said_so = bare.assign_attrs(nodata=255).fusion.gfm_validity()
    assert said_so.squeeze("time")[32:, 32:].all()


def test_a_cube_of_gfm_of_which_nothing_says_who_made_it_is_warned_of_alone() -> None:
    times = np.array(["2023-06-20", "2023-06-23"], "datetime64[ns]")
    cube = xr.DataArray(np.zeros((2, 4, 4), np.uint8), {"time": times}, ("time", "y", "x"))
    with pytest.warns(UserWarning, match=r"declares no nodata.*fills it with 0.*nodata=255"):
        assert cube.fusion.gfm_validity().all()
