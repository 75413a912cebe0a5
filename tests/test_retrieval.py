"""The Dataset convention: building, checking, excluding."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests.laziness import nothing_computes
from tests.strategies import retrievals

GEOBOX = GeoBox.from_bbox((500000, 0, 500040, 30), "EPSG:32633", resolution=10)


def on_grid(geobox: GeoBox = GEOBOX, **attrs: str) -> xr.DataArray:
    zeros: xr.DataArray = xr_zeros(geobox, dtype="float32")
    return (zeros + 0.5).assign_attrs(attrs)


def test_cf_attributes_tie_the_variables_together() -> None:
    mu = on_grid(units="1", standard_name="water_fraction", long_name="water")
    ds = xf.retrieval(mu, mu * 0 + 0.1, mu > 1, sensor="s", time="2023-06-20T05:06:07Z")
    assert ds.mu.attrs["ancillary_variables"] == "sigma mask"
    assert ds.mu.attrs["long_name"] == "water"
    assert ds.sigma.attrs["standard_name"] == "water_fraction standard_error"
    assert ds.sigma.attrs["units"] == "1"
    assert ds["mask"].attrs["flag_meanings"].split()[4] == "gfm"
    assert ds["mask"].attrs["flag_masks"].dtype == ds["mask"].dtype
    assert all(v.encoding["grid_mapping"] == "spatial_ref" for v in ds.data_vars.values())
    assert ds.attrs["Conventions"].startswith("CF-")
    assert ds.time == np.datetime64("2023-06-20T05:06:07")
    assert "ancillary_variables" not in mu.attrs


def test_two_libraries_coordinates_of_one_grid_fit_together() -> None:
    mu = on_grid()
    sigma = (mu + 0).assign_coords(x=mu.x + 1e-9).assign_coords(spatial_ref=mu.spatial_ref * 0)
    ds = xf.retrieval(mu, sigma)
    xr.testing.assert_equal(ds.x, mu.x)
    assert ds.odc.geobox == GEOBOX
    turned = sigma.rename(y="latitude", x="longitude")
    assert xf.retrieval(mu, turned).sigma.dims == ("y", "x")


def test_a_shifted_sigma_is_refused() -> None:
    mu = on_grid()
    with pytest.raises(ValueError, match=r"sigma and mu are not on one grid.*reproject_match"):
        xf.retrieval(mu, on_grid(GEOBOX.translate_pix(1, 0)))


def test_another_crs_is_refused() -> None:
    mu = on_grid()
    other = GeoBox(GEOBOX.shape, GEOBOX.transform, "EPSG:32634")
    with pytest.raises(ValueError, match="EPSG:32634 and EPSG:32633"):
        xf.retrieval(mu, on_grid(other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": None}, r"lacks \['sigma'\]"),
        ({"mu": np.int16}, "mu is int16.*astype"),
        ({"mask": np.int64}, "mask is int64.*uint8"),
    ],
)
def test_errors_name_the_variable_and_the_mend(change: dict[str, Any], message: str) -> None:
    ds = xf.retrieval(np.ones((2, 2)), np.ones((2, 2)), np.zeros((2, 2), bool))
    for name, dtype in change.items():
        ds = ds.drop_vars(name) if dtype is None else ds.assign({name: ds[name].astype(dtype)})
    with pytest.raises(ValueError, match=message):
        xf.gaussian(ds)


def test_mismatched_units_dims_and_shapes_are_refused() -> None:
    mu = on_grid(units="m")
    with pytest.raises(ValueError, match="sigma is in 'cm', mu in 'm'"):
        xf.retrieval(mu, mu.assign_attrs(units="cm"))
    with pytest.raises(ValueError, match=r"sigma has shape \(2, 2\), mu has \(3, 4\)"):
        xf.retrieval(mu, np.ones((2, 2)))
    ds = xf.retrieval(mu, mu)
    with pytest.raises(ValueError, match=r"sigma has dims \('x', 'y'\)"):
        xf.usable(ds.assign(sigma=ds.sigma.transpose()))


def test_bool_mask_becomes_the_user_flag() -> None:
    ds = xf.retrieval(np.ones((1, 2)), np.ones((1, 2)), np.array([[True, False]]))
    assert ds["mask"].values.tolist() == [[128, 0]]


@given(retrievals(count=1))
def test_usable_is_mask_zero_and_everything_finite(sensors: list[xr.Dataset]) -> None:
    (ds,) = sensors
    expected = np.isfinite(ds.mu.values) & np.isfinite(ds.sigma.values) & (ds.sigma.values >= 0)
    if "mask" in ds:
        expected &= ds["mask"].values == 0
    np.testing.assert_array_equal(ds.fusion.usable, expected)


@given(retrievals(count=1), st.data())
def test_excluding_adds_a_flag_and_keeps_the_others(
    sensors: list[xr.Dataset], data: st.DataObject
) -> None:
    (ds,) = sensors
    bits = st.lists(st.booleans(), min_size=ds.mu.size, max_size=ds.mu.size)
    excluded = xr.DataArray(np.array(data.draw(bits)).reshape(ds.mu.shape), dims=ds.mu.dims)
    before = ds.copy(deep=True)
    once = ds.fusion.exclude(excluded)
    old = ds["mask"].values if "mask" in ds else 0
    np.testing.assert_array_equal(once["mask"], old | np.where(excluded, 128, 0))
    xr.testing.assert_identical(once.fusion.exclude(excluded), once)
    xr.testing.assert_identical(ds, before)
    cloudy = ds.fusion.exclude(excluded, flag=xf.Exclusion.CLOUD)
    np.testing.assert_array_equal(cloudy["mask"], old | np.where(excluded, 1, 0))


def test_excluding_a_time_series_with_one_map() -> None:
    ds = xf.retrieval(np.ones((3, 2, 2)), np.ones((3, 2, 2)))
    excluded = xr.DataArray(np.eye(2, dtype=bool), dims=("latitude", "longitude"))
    result = ds.fusion.exclude(excluded)
    assert result["mask"].dims == ("time", "y", "x")
    np.testing.assert_array_equal(result["mask"], np.broadcast_to(np.eye(2) * 128, (3, 2, 2)))


def test_a_float_exclusion_is_not_guessed_at() -> None:
    ds = xf.retrieval(np.ones((1, 1)), np.ones((1, 1)))
    with pytest.raises(ValueError, match="float64, not bool"):
        ds.fusion.exclude(xr.DataArray([[1.0]], dims=("y", "x")))


def test_from_samples_is_mean_and_sample_deviation() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((20, 3, 4)).astype(np.float32)
    samples = xr.DataArray(values, dims=("sample", "y", "x"), attrs={"units": "1"})
    ds = samples.fusion.from_samples("sample", sensor="unet", time="2023-06-20")
    np.testing.assert_allclose(ds.mu, values.mean(0), rtol=1e-6)
    deviation = values.std(0, ddof=1)
    np.testing.assert_allclose(ds.sigma, deviation * np.sqrt(19 / 17), rtol=1e-5)
    plain = samples.fusion.from_samples(correct_few=False)
    np.testing.assert_allclose(plain.sigma, deviation, rtol=1e-5)
    assert ds.attrs["passes"] == plain.attrs["passes"] == 20
    assert ds.mu.attrs["units"] == ds.sigma.attrs["units"] == "1"
    assert ds.mu.dtype == np.float32
    with nothing_computes():
        lazy = samples.chunk(x=2).fusion.from_samples()
    np.testing.assert_allclose(lazy.mu, ds.mu, rtol=1e-6)
    with pytest.raises(ValueError, match="1 sample"):
        samples.isel(sample=[0]).fusion.from_samples()
    with pytest.raises(ValueError, match="none is 'pass'"):
        samples.fusion.from_samples("pass")


def test_nothing_computes_when_retrievals_are_built_and_changed() -> None:
    lazy = on_grid().chunk(x=2)
    with nothing_computes():
        ds = xf.retrieval(lazy, lazy, lazy > 1, sensor="s", time="2023-06-20")
        ds = ds.fusion.exclude(lazy > 2)
        assert ds.fusion.usable.chunks is not None
        xf.SensorProduct(dataset=ds).exclude(lazy > 3).gaussian(ds)
    assert ds.mu.chunks is not None
    assert ds["mask"].chunks is not None


@pytest.mark.parametrize(
    "sigma", ["0.1", True, b"0.1", 1j, np.bool_(True), np.array("0.1"), xr.DataArray(False)]
)
def test_a_sigma_for_all_pixels_is_a_number(sigma: Any) -> None:
    with pytest.raises(TypeError, match=r"sigma=.* is no number: give one standard deviation"):
        xf.retrieval(np.ones((2, 2)), sigma)


def test_numbers_of_all_kinds_are_a_sigma() -> None:
    mu = xr.DataArray(np.ones((2, 2), np.float32), dims=("y", "x"), attrs={"units": "degC"})
    for sigma in (0.5, np.float32(0.5), np.array(0.5), xr.DataArray(0.5)):
        assert xf.retrieval(mu, sigma).sigma.values.tolist() == [[0.5, 0.5]] * 2
    assert xf.retrieval(mu, 1).sigma.dtype == np.float32
    pint = pytest.importorskip("pint", reason="units are an extra")
    kelvin = pint.get_application_registry().Quantity(0.5, "K")
    assert xf.retrieval(mu, kelvin).sigma.attrs["units"] in ("K", "kelvin")


def test_arrays_that_changed_places_are_noticed(recwarn: pytest.WarningsRecorder) -> None:
    water = xf.retrieval(np.ones((2, 2)), 0.1)
    xf.retrieval(water.mu, water.sigma)
    xf.retrieval(water.mu, water.mu)
    assert not recwarn
    with pytest.warns(UserWarning, match="mu is the array 'sigma'.*exchange them"):
        xf.retrieval(water.sigma, water.mu)


def test_what_is_missing_is_named() -> None:
    none: Any = None
    with pytest.raises(TypeError, match=r"sigma is None: give an array, or"):
        xf.retrieval(np.ones((2, 2)), none)
    with pytest.raises(TypeError, match=r"mu is None"):
        xf.retrieval(none, 0.1)
    water = xf.retrieval(np.ones((2, 2)), 0.1)
    for other in (water, xf.SensorProduct(dataset=water)):
        with pytest.raises(TypeError, match=r"sigma is a \w+: give one of its arrays"):
            xf.retrieval(np.ones((2, 2)), other)  # type: ignore[arg-type]  # the point
    with pytest.raises(TypeError, match=r"mu='mu\.tif' is no array: open files with"):
        xf.retrieval("mu.tif", "sigma.tif")


@pytest.mark.parametrize("lacking", [("y", "x"), ("time",), ("time", "y", "x"), ()])
@pytest.mark.parametrize("name", ["sigma", "mask"])
def test_what_lacks_dims_is_that_of_each_pixel(lacking: tuple[str, ...], name: str) -> None:
    rng = np.random.default_rng(0)
    mu = on_grid().expand_dims(time=np.array(["2023-06-01", "2023-06-02"], "M8[ns]"))
    part = mu.isel(dict.fromkeys(lacking, 0), drop=True)
    values = rng.integers(0, 3, part.shape).astype(np.uint8 if name == "mask" else np.float64)
    layers: dict[str, Any] = {"sigma": 0.1} | {name: part.copy(data=values)}
    made = xf.retrieval(mu, **layers)
    assert made[name].dims == mu.dims
    for label in np.ndindex(mu.shape):
        kept = tuple(i for i, dim in zip(label, mu.dims, strict=True) if dim not in lacking)
        assert made[name][label].item() == values[kept]
    xr.testing.assert_equal(
        made.fusion.gaussian(dim="time").compute(), made.copy(deep=True).fusion.gaussian(dim="time")
    )


def test_a_sigma_for_each_time_has_the_labels_of_mu() -> None:
    mu = on_grid().expand_dims(time=[1, 2])
    with pytest.raises(ValueError, match="not the same labels along 'time'"):
        xf.retrieval(mu, xr.DataArray([0.1, 0.2], dims="time", coords={"time": [1, 3]}))
    with pytest.raises(ValueError, match="sigma has dims"):
        xf.retrieval(mu, xr.DataArray(np.ones(4), dims="x"))


def test_the_one_band_of_a_file_is_squeezed_from_a_dataset_as_well() -> None:
    flat = xf.retrieval(on_grid(), on_grid(), on_grid() > 2)
    by_hand = flat.expand_dims(band=[1])
    assert by_hand.mu.dims == ("band", "y", "x")
    assert by_hand.fusion.usable.dims == ("y", "x")
    fused = by_hand.fusion.gaussian(flat)
    assert fused.mu.dims == ("y", "x")
    assert "band" not in fused.coords
    xr.testing.assert_equal(fused, flat.fusion.gaussian(flat))
    product = xf.SensorProduct(dataset=by_hand)
    assert product.exclude(on_grid() > 2).dataset["mask"].dims == ("y", "x")
    with pytest.raises(ValueError, match="dims"):
        flat.expand_dims(band=[1, 2]).fusion.gaussian(flat)
