"""Opening rasters: nodata, CRS and grids are honoured or refused, never guessed."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401  # registers .rio
import xarray as xr
from numpy.typing import NDArray

import xfusion as xf
from tests.laziness import nothing_computes
from xfusion.raster.file import RasterFile

TRANSFORM = rasterio.transform.from_origin(500000, 5000000, 10, 10)


def write(path: Path, array: NDArray[Any], **profile: Any) -> Path:
    bands = array if array.ndim == 3 else array[None]
    options = {"crs": "EPSG:32633", "transform": TRANSFORM, "driver": "GTiff"} | profile
    with rasterio.open(
        path,
        "w",
        count=bands.shape[0],
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype,
        **options,
    ) as file:
        file.write(bands)
    return path


def test_nodata_becomes_nan_and_nothing_is_read_at_opening(tmp_path: Path) -> None:
    values = np.array([[0.25, -9999.0], [np.nan, 1.0]], np.float32)
    mu = write(tmp_path / "mu.tif", values, nodata=-9999)
    sigma = write(tmp_path / "sigma.tif", np.full((2, 2), 0.1, np.float32))
    with nothing_computes():
        s1 = xf.Sentinel1Product.open(mu, sigma, time="2023-06-20")
    np.testing.assert_array_equal(s1.mu, [[0.25, np.nan], [np.nan, 1.0]])
    assert s1.mu.dtype == np.float32
    assert s1.mu.chunks is not None
    assert s1.dataset.attrs["sensor"] == "sentinel-1"
    assert s1.geobox.crs.epsg == 32633  # type: ignore[union-attr]  # it has one
    assert xf.Sentinel1Product.open(mu, sigma, chunks=None).mu.chunks is None


def test_declared_scale_is_applied(tmp_path: Path) -> None:
    mu = write(tmp_path / "mu.tif", np.array([[10, 255]], np.uint8), nodata=255)
    with rasterio.open(mu, "r+") as file:
        file.scales = (0.01,)
    np.testing.assert_allclose(xf.raster.open_raster(mu), [[0.1, np.nan]], rtol=1e-6)


def test_nodata_of_a_mask_is_unknown(tmp_path: Path) -> None:
    one = write(tmp_path / "one.tif", np.ones((1, 3), np.float32))
    flags = np.array([[0, 4, 255]], np.uint8)
    declared = write(tmp_path / "declared.tif", flags, nodata=255)
    assert xf.SensorProduct.open(one, one, declared).dataset["mask"].values.tolist() == [[0, 4, 32]]
    bare = write(tmp_path / "bare.tif", flags)
    assert xf.SensorProduct.open(one, one, bare).dataset["mask"].values.tolist() == [[0, 4, 255]]


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    ones = np.ones((2, 2), np.float32)
    mu = write(tmp_path / "mu.tif", ones)
    shifted = write(
        tmp_path / "shifted.tif",
        ones,
        transform=rasterio.transform.from_origin(500010, 5000000, 10, 10),
    )
    with pytest.raises(ValueError, match=r"sigma and mu are not on one grid: x\[0\]"):
        xf.Sentinel1Product.open(mu, shifted)
    with pytest.raises(ValueError, match="other.tif.*2 bands"):
        xf.Sentinel1Product.open(mu, write(tmp_path / "other.tif", np.ones((2, 2, 2), np.float32)))
    with pytest.raises(ValueError, match="bare.tif: no CRS"):
        xf.Sentinel1Product.open(mu, write(tmp_path / "bare.tif", ones, crs=None))
    with pytest.raises(ValueError, match="mask is int16"):
        xf.Sentinel1Product.open(mu, mu, write(tmp_path / "m.tif", ones.astype(np.int16)))


def written_pair(folder: Path, mu: NDArray[Any], sigma: NDArray[Any]) -> tuple[Path, Path]:
    return write(folder / "mu.tif", mu), write(folder / "sigma.tif", sigma)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8])
def test_integers_without_a_scale_are_not_taken_for_values(dtype: Any, tmp_path: Path) -> None:
    mu, sigma = written_pair(tmp_path, np.array([[80, 20]], dtype), np.array([[10, 5]], dtype))
    with pytest.raises(
        ValueError, match=r"mu.tif holds u?int\d+ and declares no scale.*scale=.*nodata="
    ):
        xf.SensorProduct.open(mu, sigma)
    half = write(tmp_path / "half.tif", np.ones((1, 2), np.float32))
    with pytest.raises(ValueError, match="sigma.tif holds"):
        xf.SensorProduct.open(half, sigma)
    s1 = xf.Sentinel1Product.open(mu, sigma, scale=0.01, offset=0.5)
    # a standard deviation is not moved
    np.testing.assert_allclose(s1.mu, [[1.3, 0.7]], rtol=1e-6)
    np.testing.assert_allclose(s1.sigma, [[0.1, 0.05]], rtol=1e-6)
    np.testing.assert_array_equal(xf.SensorProduct.open(mu, sigma, scale=1).mu, [[80, 20]])


def test_nodata_that_no_file_declares_can_be_said(tmp_path: Path) -> None:
    values = np.array([[-9999, 0.5, 7]], np.float32)
    mu = write(tmp_path / "mu.tif", values, nodata=7)
    with nothing_computes():
        opened = xf.SensorProduct.open(mu, mu, nodata=-9999)
    np.testing.assert_array_equal(opened.mu, [[np.nan, 0.5, np.nan]])
    np.testing.assert_array_equal(opened.sigma, [[np.nan, 0.5, np.nan]])
    small = write(tmp_path / "small.tif", np.array([[1, 255]], np.uint8))
    np.testing.assert_array_equal(xf.raster.open_raster(small, nodata=-9999), [[1, 255]])
    np.testing.assert_array_equal(xf.raster.open_raster(small, nodata=255), [[1, np.nan]])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"scale": 0}, "scale=0 makes of sigma what is no standard deviation"),
        ({"scale": -0.01}, "scale=-0.01 makes of sigma"),
        ({"scale": np.nan}, "scale=nan: give a number"),
        ({"scale": "0.01"}, "scale='0.01': give a number"),
        ({"offset": np.inf}, "offset=inf: give a number"),
        ({"nodata": "none"}, "nodata='none': give a number, or leave it out"),
    ],
)
def test_numbers_that_make_none_of_sigma_are_told_at_opening(
    said: Any, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "mu.tif", np.ones((2, 2), np.float32))
    with nothing_computes(), pytest.raises(ValueError, match=message):
        xf.SensorProduct.open(path, path, **said)
    xf.SensorProduct.open(path, path, nodata=np.nan, scale=0.5)


def test_an_alpha_band_is_kept_as_the_mask_that_it_is(tmp_path: Path) -> None:
    both = np.stack([np.zeros((2, 2), np.uint8), np.array([[0, 255], [255, 255]], np.uint8)])
    path = write(tmp_path / "mask.tif", both, photometric="minisblack", alpha="yes")
    with pytest.raises(ValueError, match=r"2 bands.*gdal_translate -b 1 -mask 2"):
        xf.raster.open_raster(path)


@pytest.mark.parametrize("internal", [True, False], ids=["internal", ".msk"])
def test_where_a_mask_file_is_not_valid_nothing_is_known(internal: bool, tmp_path: Path) -> None:
    one = write(tmp_path / "one.tif", np.ones((1, 3), np.float32))
    path = write(tmp_path / "mask.tif", np.array([[0, 4, 0]], np.uint8))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as file:
        file.write_mask(np.array([[255, 255, 0]], np.uint8))
    assert (tmp_path / "mask.tif.msk").exists() != internal
    opened = xf.SensorProduct.open(one, one, path)
    assert opened.dataset["mask"].values.tolist() == [[0, 4, 32]]
    assert opened.dataset["mask"].dtype == np.uint8


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "slc.tif", np.ones((1, 3), np.complex64))
    with pytest.raises(ValueError, match="slc.tif holds complex64, not real numbers"):
        xf.SensorProduct.open(path, path)


@pytest.mark.parametrize(
    ("chunks", "blocks"),
    [
        ({"y": 2, "x": 3}, ((2, 2), (3, 2))),
        ({"x": 3}, ((4,), (3, 2))),
        ((3, 2), ((3, 1), (2, 2, 1))),
        (-1, ((4,), (5,))),
        ("auto", ((4,), (5,))),
        ({"y": "auto", "x": 2}, ((4,), (2, 2, 1))),
        (((1, 3), (2, 3)), ((1, 3), (2, 3))),
        ({"y": (1, 3), "x": None}, ((1, 3), (5,))),
        ((None, 3), ((4,), (3, 2))),
        ({}, ((4,), (5,))),
        ("32B", None),
        (np.int64(3), ((3, 1), (3, 2))),
    ],
)
def test_chunks_are_those_of_xarray(chunks: Any, blocks: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "mu.tif", np.arange(20, dtype=np.float32).reshape(4, 5))
    plain = xr.DataArray(np.empty((4, 5), np.float32), dims=("y", "x"))
    # a number of bytes is that of xarray; of a mapping xarray leaves other dims whole
    blocks = plain.chunk(chunks).chunks if blocks is None else blocks
    opened = xf.SensorProduct.open(path, path, chunks=chunks)
    assert opened.mu.chunks == opened.sigma.chunks == blocks
    np.testing.assert_array_equal(opened.mu.data[-1], np.arange(15, 20))
    moved = opened.coregister(opened.geobox.translate_pix(0.5, 0.5), chunks=chunks)
    assert moved.mu.chunks == blocks


@pytest.mark.parametrize(
    "chunks", [0, {"y": 0, "x": 3}, {"time": 1}, (3, 2, 1), (2, -7), True, ((1, 2), (2, 3)), "many"]
)
def test_chunks_that_are_no_blocks_are_told(chunks: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "mu.tif", np.ones((4, 5), np.float32))
    with pytest.raises(ValueError, match="chunks=.*rows and columns of a block"):
        xf.SensorProduct.open(path, path, chunks=chunks)


SELECTED = [0, -1, np.int64(2), slice(None), slice(None, None, 2), slice(4, 0, -2), [0, 3], []]


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("rows", [*SELECTED, slice(1, 6, 3), slice(2, 2)])
@pytest.mark.parametrize("columns", SELECTED)
@pytest.mark.parametrize("chunks", [3, -1])
def test_what_is_selected_of_a_file_is_what_numpy_selects(
    rows: Any, columns: Any, chunks: int, tmp_path: Path
) -> None:
    values = np.arange(42, dtype=np.float32).reshape(6, 7)
    opened = xf.raster.open_raster(write(tmp_path / "mu.tif", values), chunks=chunks)
    selected = opened.isel(y=rows, x=columns)
    np.testing.assert_array_equal(selected, values[rows][..., columns])
    np.testing.assert_array_equal(opened.data[rows][..., columns], values[rows][..., columns])
    if not isinstance(rows, list) and not isinstance(columns, list):
        np.testing.assert_array_equal(opened.data[rows, columns], values[rows, columns])


def test_files_that_changed_places_are_noticed(tmp_path: Path) -> None:
    mu = write(tmp_path / "s1_mu.tif", np.full((2, 2), 0.5, np.float32))
    sigma = write(tmp_path / "s1_sigma.tif", np.full((2, 2), 0.1, np.float32))
    with pytest.warns(UserWarning, match="other way round"):
        xf.Sentinel1Product.open(sigma, mu)
    written = xf.to_cog(xf.Sentinel1Product.open(mu, sigma), tmp_path / "o", item=False)
    a, b = (tmp_path / name for name in ("a.tif", "b.tif"))
    written["mu"].rename(a)
    written["sigma"].rename(b)
    with pytest.warns(UserWarning, match="tags of the first"):
        xf.Sentinel1Product.open(b, a)
    with warnings.catch_warnings(action="error", category=UserWarning):
        xf.Sentinel1Product.open(a, b)
        xf.Sentinel1Product.open(mu, sigma)


@pytest.mark.parametrize(
    ("mu", "sigma", "warned"),
    [
        ("s2-uncertainty.tif", "s2-prob.tif", "other way round"),
        ("s2-uncertainty.tif", "s2.tif", "other way round"),
        ("s2.tif", "s2-prob.tif", "other way round"),
        ("waterStd.tif", "waterMean.tif", "other way round"),
        ("S2_STDERR.tif", "S2_LIKELIHOOD.tif", "other way round"),
        ("s2_mean.tif", "s2_variance.tif", "is a variance.*square root"),
        ("s2_mean.tif", "s2_var.tif", "is a variance.*square root"),
        ("s2.tif", "./s2.tif", "one file for both"),
        ("s2-prob.tif", "s2-uncertainty.tif", ""),
        ("s2-prob.tif", "s2-prob-std.tif", ""),
        ("position_error.tif", "position_error_sigma.tif", ""),
        ("meander.tif", "student.tif", ""),
        ("a.tif", "b.tif", ""),
    ],
)
def test_names_of_files_that_say_otherwise_are_noticed(
    mu: str, sigma: str, warned: str, tmp_path: Path
) -> None:
    ones = np.ones((2, 2), np.float32)
    files = [f"{tmp_path}/{name}" for name in (mu, sigma)]
    for file in files:
        write(Path(file), ones)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        xf.SensorProduct.open(*files)
    said = [str(w.message) for w in caught if w.category is UserWarning]
    assert [bool(re.search(warned, text)) for text in said] == [True] * bool(warned)
    linked = tmp_path / "linked.tif"
    linked.symlink_to(files[0])
    with pytest.warns(UserWarning, match="one file for both"):
        xf.SensorProduct.open(files[0], linked)


def test_an_offset_of_a_standard_deviation_is_noticed(tmp_path: Path) -> None:
    mu, sigma = (
        write(tmp_path / f"{name}.tif", np.full((2, 2), 20, np.int16)) for name in ("mu", "sigma")
    )
    for path in (mu, sigma):
        with rasterio.open(path, "r+") as file:
            file.scales, file.offsets = (0.01,), (-5.0,)
    with pytest.warns(UserWarning, match=r"sigma.tif, which declares the offset -5.*scale=0.01"):
        wrong = xf.SensorProduct.open(mu, sigma)
    np.testing.assert_allclose(wrong.sigma, -4.8, rtol=1e-6)
    with warnings.catch_warnings(action="error", category=UserWarning):
        mended = xf.SensorProduct.open(mu, sigma, scale=0.01, offset=-5.0)
    np.testing.assert_allclose(mended.mu, -4.8, rtol=1e-6)
    np.testing.assert_allclose(mended.sigma, 0.2, rtol=1e-6)
    with rasterio.open(sigma, "r+") as file:
        file.scales, file.offsets = (-0.01,), (0.0,)
    with pytest.warns(UserWarning, match=r"sigma.tif, which declares the scale -0.01.*scale=0.01"):
        turned = xf.SensorProduct.open(mu, sigma)
    assert not turned.usable.any()


@pytest.mark.parametrize("crs", ["EPSG:32633+5773", "EPSG:9518"])
def test_the_unit_of_heights_is_not_that_of_mu(crs: str, tmp_path: Path) -> None:
    ones = np.ones((2, 2), np.float32)
    mu = write(tmp_path / "mu.tif", ones, crs=crs)
    with rasterio.open(mu) as file:
        assert file.units == ("metre",)  # as GDAL has it
    assert "units" not in xf.SensorProduct.open(mu, mu).mu.attrs
    with rasterio.open(mu, "r+") as file:
        file.units = ("K",)
    assert xf.SensorProduct.open(mu, mu).mu.attrs["units"] == "K"
    with rasterio.open(mu, "r+") as file:
        file.units = ("m",)  # which GDAL does not say of the CRS
    assert xf.SensorProduct.open(mu, mu).mu.attrs["units"] == "m"


def netcdf(path: Path, *names: str, axes: bool = True, crs: str = "EPSG:32633") -> Path:
    coords = {"time": np.array(["2023-06-20"], "M8[ns]"), "y": [25.0, 15.0, 5.0], "x": [5.0, 15.0]}
    array = xr.DataArray(np.ones((1, 3, 2), np.float32), coords, ("time", "y", "x"))
    dataset = xr.Dataset(dict.fromkeys(names, array)).rio.write_crs(crs)
    for dim in "yx":
        standard_name = f"projection_{dim}_coordinate"
        dataset[dim].attrs = {"standard_name": standard_name, "units": "m"} if axes else {}
    dataset.to_netcdf(path)
    return path


def test_netcdf_of_one_time_is_opened_and_keeps_it(tmp_path: Path) -> None:
    path = netcdf(tmp_path / "mu.nc", "mu")
    opened = xf.SensorProduct.open(path, path)
    assert opened.mu.dims == ("y", "x")
    assert opened.dataset.time.values == np.datetime64("2023-06-20")
    assert tuple(opened.geobox.transform)[:6] == (10, 0, 0, 0, -10, 30)


@pytest.mark.parametrize("name", ["crs", "transverse_mercator"])
def test_a_netcdf_file_keeps_its_crs_whatever_its_variable_is_called(
    name: str, tmp_path: Path
) -> None:
    def renamed(crs: str) -> xf.SensorProduct:
        path = netcdf(tmp_path / f"{crs[-2:]}.nc", "mu", crs=crs)
        dataset = xr.open_dataset(path, decode_coords="all").load().rename(spatial_ref=name)
        dataset["mu"].encoding["grid_mapping"] = name
        dataset.close()
        dataset.to_netcdf(path)
        return xf.SensorProduct.open(path, path)

    opened = renamed("EPSG:32633")
    assert opened.geobox.crs == "EPSG:32633"
    assert tuple(opened.geobox.transform)[:6] == (10, 0, 0, 0, -10, 30)
    with pytest.raises(ValueError, match="not on one grid: CRS EPSG:32634 and EPSG:32633"):
        opened.gaussian(renamed("EPSG:32634"))


def of_degrees(
    path: Path, latitude: Any, longitude: Any, *dims: str, attributes: bool = True
) -> Path:
    """A netCDF file of pixels that count, in longitude and latitude."""
    labels = {"lat": np.asarray(latitude), "lon": np.asarray(longitude, np.float64)}
    shape = [labels[dim].size for dim in dims]
    mu = xr.DataArray(np.arange(float(np.prod(shape))).reshape(shape), labels, dims)
    dataset = mu.to_dataset(name="mu").rio.write_crs("EPSG:4326")
    dataset["mu"].encoding["grid_mapping"] = "spatial_ref"
    said = ("lat", "latitude", "degrees_north"), ("lon", "longitude", "degrees_east")
    for name, standard_name, units in said if attributes else ():
        dataset[name].attrs = {"standard_name": standard_name, "units": units}
    dataset.to_netcdf(path)
    return path


@pytest.mark.parametrize("attributes", [True, False])
def test_uneven_latitudes_of_a_netcdf_file_are_refused_that_gdal_evens_out(
    attributes: bool, tmp_path: Path
) -> None:
    # even in Mercator's map, 1.8 pixels off in degrees, within the 0.1 degrees that GDAL allows
    south, north = np.arctanh(np.sin(np.radians([45.0, 47.0])))
    y = np.linspace(south, north, 400)
    latitude = np.degrees(np.arcsin(np.tanh(y)))
    uneven = of_degrees(
        tmp_path / "m.nc", latitude, [10, 11, 12], "lat", "lon", attributes=attributes
    )
    with rasterio.open(uneven) as file:
        assert file.transform.e == pytest.approx(-2 / 399)
    with pytest.raises(ValueError, match=r"m\.nc: 'lat' is not evenly spaced.* 1\.8 pixels off"):
        xf.raster.open_raster(uneven)
    rounded = (50 + np.arange(300) / 120).astype(np.float32)
    for i, labels in enumerate((rounded, rounded[::-1])):
        path = tmp_path / f"{i}.nc"
        even = of_degrees(path, labels, [358, 359, 360], "lat", "lon", attributes=attributes)
        np.testing.assert_allclose(xf.raster.open_raster(even).y, rounded[::-1], atol=1e-5)


def test_a_netcdf_file_with_longitude_as_its_first_dim_is_refused(tmp_path: Path) -> None:
    labels = [50.0, 51.0, 52.0, 53.0], [10.0, 11.0, 12.0, 13.0]
    turned = of_degrees(tmp_path / "t.nc", *labels, "lon", "lat")
    with pytest.raises(ValueError, match=r"t\.nc: 'lat' is along its columns, GDAL.*xarray"):
        xf.raster.open_raster(turned)
    by_name = f'netcdf:"{turned}":mu'
    with pytest.raises(ValueError, match=r"'lat' is along its columns, GDAL.*xarray"):
        xf.raster.open_raster(by_name)
    opened = xr.open_dataset(turned, decode_coords="all")
    water = xf.retrieval(opened["mu"], 0.1)
    assert tuple(water.fusion.product.geobox.transform)[:6] == (1, 0, 9.5, 0, 1, 49.5)
    assert float(water.mu.sel(lat=50, lon=13)) == 12


def test_netcdf_and_zarr_that_gdal_does_not_understand_go_through_xarray(tmp_path: Path) -> None:
    mend = r"open it with xarray, and build xf.retrieval\(ds\['mu'\]"
    without_axes = netcdf(tmp_path / "plain.nc", "mu", axes=False)
    with pytest.raises(ValueError, match=f"no geotransform.*{mend}"):
        xf.SensorProduct.open(without_axes, without_axes)
    several = netcdf(tmp_path / "several.nc", "mu", "sigma")
    xr.open_dataset(several).to_zarr(tmp_path / "several.zarr", consolidated=False)
    for path in (several, tmp_path / "several.zarr"):
        with pytest.raises(ValueError, match=rf"several\.\w+: \d subdatasets.*{mend}"):
            xf.SensorProduct.open(path, path)


def test_all_layers_are_brought_onto_a_grid_straight_from_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).random((60, 80), np.float32)
    files = [
        write(tmp_path / f"{name}.tif", layer, nodata=None)
        for name, layer in (
            ("mu", pixels),
            ("sigma", pixels),
            ("mask", (pixels < 0.2) * np.uint8(1)),
        )
    ]
    water = xf.raster.open_retrieval(*files, chunks=16)
    moved = xf.coregister(water, water.odc.geobox.zoom_out(1.7), chunks=-1)
    reads: list[str] = []
    read = RasterFile.read_some

    def noted(self: RasterFile, *how: Any) -> Any:
        reads.append(Path(self.path).stem)
        return read(self, *how)

    monkeypatch.setattr(RasterFile, "read_some", noted)
    moved.compute(scheduler="sync")
    # the window of a block of the target each once, not block by block of lazy arrays
    assert sorted(reads) == ["mask", "mu", "sigma"]
