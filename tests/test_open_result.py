"""Results that are opened again: what they say, and what other formats can hold of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests.test_cf import cube, faults, one
from tests.test_geozarr import GRIDS

MADE = {
    "one": one,
    "fused": lambda: xf.gaussian(one("a"), one("bc"), diagnostics=True),
    "cube": cube,
}
OF_STORE = ("zarr_conventions", "proj:code", "spatial:transform")


@pytest.fixture(scope="module", params=MADE)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: Callable[[], xr.Dataset] = MADE[request.param]
    store = tmp_path_factory.mktemp("stored") / "w.zarr"
    water = made().chunk(20)
    xf.to_zarr(water, store, progress=False)
    return water, store


def test_a_store_is_opened_as_the_retrieval_was(stored: Any) -> None:
    water, store = stored
    opened = xf.open_result(store)
    xr.testing.assert_equal(opened, water)
    assert opened.chunksizes == water.chunksizes
    assert {*opened.attrs} - {*water.attrs} <= {"fusion_job"}
    for name, variable in water.variables.items():
        if name not in ("x", "y"):
            for key in ("flag_masks", "flag_values"):
                assert (key in variable.attrs) == (key in opened[name].attrs)
                if key in variable.attrs:
                    assert opened[name].attrs[key].dtype == variable.attrs[key].dtype
                    np.testing.assert_array_equal(opened[name].attrs[key], variable.attrs[key])
            assert "grid_mapping" not in opened[name].attrs
    assert {v.encoding["grid_mapping"] for v in opened.data_vars.values()} == {"spatial_ref"}


def test_what_is_opened_of_a_store_can_be_written_to_netcdf_by_the_rules_of_cf(
    stored: Any, tmp_path: Path
) -> None:
    water, store = stored
    assert faults(xf.open_result(store), tmp_path / "w.nc") == []
    with xr.open_dataset(tmp_path / "w.nc", decode_coords="all") as back:
        xr.testing.assert_equal(back, water)
    with rasterio.open(f"netcdf:{tmp_path / 'w.nc'}:mu") as file:
        assert file.crs == "EPSG:32633"


def test_what_xarray_opens_can_be_written_without_the_attributes_of_the_whole(
    stored: Any, tmp_path: Path
) -> None:
    _, store = stored
    plain = xr.open_zarr(store)
    assert {*OF_STORE} <= {*plain.attrs}
    assert "spatial_ref" in plain.coords
    plain.drop_attrs(deep=False).to_netcdf(tmp_path / "w.nc")
    with rasterio.open(f"netcdf:{tmp_path / 'w.nc'}:mu") as file:
        assert file.crs == "EPSG:32633"


def test_no_function_of_ours_passes_on_where_a_whole_store_lies(
    stored: Any, tmp_path: Path
) -> None:
    _, store = stored
    plain = xr.open_zarr(store)
    part = plain.isel(x=slice(0, 20))
    found = [
        part.fusion.exclude(part.mu > 0.5),
        xf.gaussian(part, part.assign_attrs(sensor="other")),
    ]
    if "time" not in part.dims:
        found.append(xf.stack([part]))
    for k, dataset in enumerate(found):
        assert not {*OF_STORE} & {*dataset.attrs}
        dataset.to_netcdf(tmp_path / f"{k}.nc")


def test_layers_and_levels_of_a_store_name_their_crs_as_cf_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xfusion.store import overviews

    monkeypatch.setattr(overviews, "SIDE", 20)
    water = MADE["fused"]().chunk(20)
    xf.to_zarr(water, tmp_path / "w.zarr", shards=False, progress=False)
    (group,) = xf.add_overviews(tmp_path / "w.zarr", progress=False).values()
    for level in ("", group):
        opened = xr.open_zarr(tmp_path / "w.zarr", group=level)
        assert {v.attrs.get("grid_mapping") for v in opened.data_vars.values()} == {"spatial_ref"}
        assert "spatial_ref" in opened.coords


def test_a_turned_grid_is_not_called_one_of_metres_by_its_store(tmp_path: Path) -> None:
    water = xf.retrieval(turned := xr_zeros(GRIDS["rotated"], dtype="float32"), turned + 1)
    xf.to_zarr(water, tmp_path / "w.zarr", shards=False, progress=False)
    assert "grid_mapping" not in xr.open_zarr(tmp_path / "w.zarr").mu.attrs
    xf.open_result(tmp_path / "w.zarr").to_netcdf(tmp_path / "w.nc")
    with rasterio.open(f"netcdf:{tmp_path / 'w.nc'}:mu") as file:
        assert file.crs == "EPSG:32633"
    with xr.open_dataset(tmp_path / "w.nc", decode_coords="all") as back:
        assert back.odc.geobox == GRIDS["rotated"]


def test_flags_that_are_no_such_numbers_are_left_as_they_are() -> None:
    from xfusion.datamodel.conventions import as_opened

    mask = xr.DataArray(np.zeros((2, 2), np.uint8), dims=("y", "x"))
    for wrong in ([1, 300], [1.5], ["a"], "a", [[1], [2, 3]], [2**70], [-1], None, True):
        opened = as_opened(xr.Dataset({"mask": mask.assign_attrs(flag_masks=wrong)}))
        assert opened.mask.attrs["flag_masks"] == wrong
    right = as_opened(xr.Dataset({"mask": mask.assign_attrs(flag_masks=[1, 255])}))
    assert right.mask.attrs["flag_masks"].dtype == np.uint8


def test_a_store_of_zarr_and_a_folder_are_opened_as_well(tmp_path: Path) -> None:
    from zarr.storage import MemoryStore

    water, store = one().chunk(20), MemoryStore()
    xf.to_zarr(water, store, progress=False)
    xr.testing.assert_equal(xf.open_result(store), water)
    xf.to_cog(water, tmp_path / "cogs", progress=False)
    np.testing.assert_array_equal(xf.open_result(tmp_path / "cogs").mu, water.mu)


def test_files_are_opened_with_the_words_of_the_retrieval_and_by_the_rules_of_cf(
    tmp_path: Path,
) -> None:
    water = xf.gaussian(one("a"), one("bc"), diagnostics=True).chunk(20)
    water = water.assign(exceedance=xf.exceedance(water, 0.5))
    water.fusion.to_cog(tmp_path / "cogs", progress=False)
    opened = xf.open_result(tmp_path / "cogs")
    assert {*opened.data_vars} == {*water.data_vars}
    xr.testing.assert_equal(opened.weight.variable, water.weight.variable)
    assert opened.sensor.to_numpy().tolist() == ["a", "bc"]
    assert opened.attrs["history"] == water.attrs["history"]
    assert {*opened.mu.attrs["ancillary_variables"].split()} == {*opened.data_vars} - {"mu"}
    for layer in (opened.mask, opened.source, opened.conflict, opened.exceedance):
        assert not {"scale_factor", "_FillValue", "fusion_rule", "sensor"} & {*layer.attrs}
    assert opened.source.attrs["flag_meanings"] == water.source.attrs["flag_meanings"]
    assert faults(opened, tmp_path / "w.nc") == []
    with rasterio.open(f"netcdf:{tmp_path / 'w.nc'}:conflict") as file:
        np.testing.assert_array_equal(file.read(1), water.conflict)


def test_a_layer_of_several_bands_in_a_folder_is_left_out(tmp_path: Path) -> None:
    water = one().chunk(20)
    water = water.assign(draws=water.mu.expand_dims(draw=3), twice=water.mu * 2)
    water.fusion.to_cog(tmp_path / "cogs", progress=False)
    assert (tmp_path / "cogs/draws.tif").is_file()
    opened = xf.open_result(tmp_path / "cogs")
    assert {*opened.data_vars} == {*water.data_vars} - {"draws"}
    np.testing.assert_array_equal(opened.twice, water.twice)


def test_a_repository_of_icechunk_is_opened(tmp_path: Path) -> None:
    icechunk = pytest.importorskip("icechunk", reason="an extra")
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    with pytest.raises(ValueError, match="holds no finished result"):
        xf.open_result(repository)
    water = one().chunk(20)
    xf.to_zarr(water, repository, progress=False)
    xr.testing.assert_equal(xf.open_result(repository), water)
