"""A fused result goes to files and other accessors, and back, without losing anything."""

import warnings
from pathlib import Path
from typing import Any

import cf_xarray  # noqa: F401  # registers .cf
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401  # registers .rio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords, xr_zeros

import xfusion as xf
from xfusion.datamodel import comparison

EQUI7 = (
    'PROJCS["Azimuthal_Equidistant",GEOGCS["WGS 84",DATUM["WGS_1984",'
    'SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Azimuthal_Equidistant"],'
    'PARAMETER["latitude_of_center",53],PARAMETER["longitude_of_center",24],'
    'PARAMETER["false_easting",5837287.81977],PARAMETER["false_northing",2121415.69617],'
    'UNIT["metre",1]]'
)


@pytest.fixture(params=["EPSG:32633", "EPSG:4326", EQUI7], ids=["utm", "geographic", "equi7"])
def fused(request: pytest.FixtureRequest) -> xr.Dataset:
    crs = request.param
    bbox = (16.0, 48.0, 16.004, 48.003) if crs == "EPSG:4326" else (500000, 0, 500040, 30)
    geobox = GeoBox.from_bbox(bbox, crs, resolution=0.001 if crs == "EPSG:4326" else 10)
    rng = np.random.default_rng(0)

    def one(sensor: str) -> xr.Dataset:
        mu = xr_zeros(geobox, dtype="float32") + rng.random(geobox.shape, np.float32)
        mu.attrs = {"units": "1", "standard_name": "area_fraction", "long_name": "water"}
        mask = rng.choice(np.array([0, 0, 1, 6], np.uint8), geobox.shape)
        return xf.retrieval(mu, mu * 0 + 0.1, mask, sensor=sensor, time="2023-06-20T05:00")

    return xf.gaussian(one("sentinel-1"), one("sentinel-2"))


def check(back: xr.Dataset, fused: xr.Dataset) -> None:
    xr.testing.assert_equal(back.drop_vars("time"), fused.drop_vars("time"))
    assert back.time == fused.time
    assert back.odc.geobox == fused.odc.geobox
    assert back.mu.odc.crs == fused.mu.odc.crs
    assert back.mu.rio.crs == fused.mu.rio.crs
    assert back.sigma.attrs["units"] == "1"
    assert back.mu.attrs["ancillary_variables"] == "sigma mask source conflict"
    assert back.sigma.attrs["standard_name"] == "area_fraction standard_error"
    assert back["mask"].dtype == back.source.dtype == np.uint8
    assert back["mask"].attrs["flag_meanings"] == fused["mask"].attrs["flag_meanings"]
    np.testing.assert_array_equal(back.source.attrs["flag_masks"], [1, 2])
    again = back.fusion.gaussian(fused)  # it is still a retrieval
    assert again.sizes == fused.sizes


@pytest.mark.parametrize("coords", [True, "all"])
def test_zarr_and_back(fused: xr.Dataset, tmp_path: Path, coords: Any) -> None:
    fused.chunk().to_zarr(tmp_path / "fused.zarr")
    back = xr.open_zarr(tmp_path / "fused.zarr", decode_coords=coords)
    check(back, fused)


@pytest.mark.parametrize("coords", [True, "all"])
def test_netcdf_and_back(fused: xr.Dataset, tmp_path: Path, coords: Any) -> None:
    fused.to_netcdf(tmp_path / "fused.nc")
    with xr.open_dataset(tmp_path / "fused.nc", decode_coords=coords) as back:
        check(back, fused)


def test_cf_finds_the_variables(fused: xr.Dataset) -> None:
    assert set(fused.cf["area_fraction"].coords) <= set(fused.variables)
    assert "sigma" in fused.cf.get_associated_variable_names("mu")["ancillary_variables"]
    cloud = fused["mask"].cf == "cloud"
    np.testing.assert_array_equal(cloud, (fused["mask"] & 1) != 0)
    assert set(fused.source.cf.flags) == {"sentinel-1", "sentinel-2"}


def test_geotiff_keeps_crs_nodata_and_values(fused: xr.Dataset, tmp_path: Path) -> None:
    fused.mu.rio.to_raster(tmp_path / "rio.tif")
    fused.mu.odc.write_cog(tmp_path / "odc.tif")
    for name in ("rio.tif", "odc.tif"):
        back = xf.raster.open_raster(tmp_path / name)
        np.testing.assert_array_equal(back, fused.mu)
        assert comparison.same_crs(back.odc.crs, fused.odc.crs)


def test_to_cog_and_open_again(fused: xr.Dataset, tmp_path: Path) -> None:
    files = xf.to_cog(fused, tmp_path / "out", prefix="water_", item=False, progress=False)
    assert {f.name for f in files.values()} == {
        f"water_{v}.tif" for v in ("mu", "sigma", "mask", "source", "conflict")
    }
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        f.name for f in files.values()
    )
    product = xf.SensorProduct.open(
        files["mu"], files["sigma"], files["mask"], time="2023-06-20T05:00"
    )
    for name in ("mu", "sigma", "mask"):
        np.testing.assert_array_equal(product.dataset[name], fused[name])
    assert comparison.same_geobox(product.geobox, fused.odc.geobox)
    assert product.dataset.mu.chunks is not None


def test_quantities_of_pint_are_understood(fused: xr.Dataset) -> None:
    import pint_xarray  # noqa: F401  # registers .pint

    metres = fused[["mu", "sigma"]].copy()
    for dim in metres.mu.dims:
        metres[dim].attrs.clear()  # pint does not know degrees_east
    metres.mu.attrs["units"] = metres.sigma.attrs["units"] = "m"
    again = metres.pint.quantify().fusion.gaussian(metres.pint.quantify())
    assert again.mu.attrs["units"] in ("m", "meter")
    np.testing.assert_allclose(again.mu, fused.mu, rtol=1e-6)


def test_diagnostics_survive_every_way_to_write_a_result(tmp_path: Path) -> None:
    sensors = [retrieval_on_grid(name) for name in ("sentinel-1", "sentinel-2")]
    fused = xf.gaussian(*sensors, diagnostics=True).fusion.flag_conflict()
    with warnings.catch_warnings(action="error"):
        fused.to_zarr(tmp_path / "fused.zarr", consolidated=False)
    for opened in (
        xr.open_zarr(tmp_path / "fused.zarr", consolidated=False),
        written_as_netcdf(fused, tmp_path / "fused.nc"),
    ):
        xr.testing.assert_equal(opened.load()[list(fused)], fused)
        assert opened.fusion.flag_conflict().conflict.equals(fused.conflict)
    files = xf.to_cog(fused, tmp_path, item=False, progress=False)
    with rasterio.open(files["weight"]) as file:
        assert file.descriptions == ("weight sentinel-1", "weight sentinel-2")
        np.testing.assert_array_equal(file.read(), fused.weight)
    with rasterio.open(files["conflict"]) as file:
        assert file.dtypes == ("uint8",)
        np.testing.assert_array_equal(file.read(1), fused.conflict)


def retrieval_on_grid(sensor: str) -> xr.Dataset:
    grid = GeoBox.from_bbox((500000, 5300000, 500400, 5300300), "EPSG:32633", resolution=10)
    rng = np.random.default_rng(len(sensor) + ord(sensor[-1]))
    mu = xr.DataArray(rng.random(grid.shape), dims=grid.dimensions).assign_coords(xr_coords(grid))
    return xf.retrieval(mu, np.full(grid.shape, 0.1), sensor=sensor)


def written_as_netcdf(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    dataset.to_netcdf(path)
    return xr.open_dataset(path, decode_coords="all")
