"""Sensors in other units than the first."""

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests.laziness import nothing_computes


def test_sensors_in_other_units_are_converted_to_those_of_the_first() -> None:
    pytest.importorskip("pint", reason="units are an extra")
    level = xf.retrieval(
        xr.DataArray(np.full((2, 2), 2.0), dims=("y", "x"), attrs={"units": "m"}),
        np.full((2, 2), 0.1),
    )
    gauge = xf.retrieval(
        xr.DataArray(np.full((2, 2), 210.0), dims=("y", "x"), attrs={"units": "cm"}),
        np.full((2, 2), 10.0),
    )
    fused = level.fusion.gaussian(gauge)
    np.testing.assert_allclose(fused.mu, 2.05)
    np.testing.assert_allclose(fused.sigma, 0.1 / np.sqrt(2))
    assert fused.mu.attrs["units"] == fused.sigma.attrs["units"] == "m"
    celsius, kelvin = (
        xf.retrieval(xr.DataArray(np.full((1, 1), v), dims=("y", "x"), attrs={"units": u}), [[1.0]])
        for v, u in ((20.0, "degC"), (294.15, "K"))
    )
    warm = celsius.fusion.gaussian(kelvin)
    np.testing.assert_allclose([warm.mu.item(), warm.sigma.item()], [20.5, 0.5**0.5])
    with nothing_computes():
        lazy = level.chunk().fusion.gaussian(gauge.chunk())
    xr.testing.assert_identical(lazy.compute(), fused)
    seconds = xf.retrieval(level.mu.assign_attrs(units="s"), np.ones((2, 2)))
    with pytest.raises(ValueError, match="'s'.*'m'.*cannot be converted"):
        level.fusion.gaussian(seconds)


def test_dask_inside_pint_fuses_lazily() -> None:
    pytest.importorskip("pint_xarray", reason="units are an extra")
    array = xr.DataArray(np.full((2, 2), 2.0), dims=("y", "x"), attrs={"units": "m"})
    level = xf.retrieval(array, array * 0 + 0.1).chunk(y=1)
    quantified = level.pint.quantify()
    with nothing_computes():
        fused = quantified.fusion.gaussian(level, correlation=0.5)
    assert fused.mu.chunks is not None
    assert fused.mu.attrs["units"] in ("m", "meter")
    np.testing.assert_allclose(fused.compute().mu, 2.0)


@pytest.mark.parametrize(
    ("units", "other", "scale"),
    [
        ("m s-1", "cm s-1", 100),
        ("m s-1", "m/s", 1),
        ("m3 m-3", "1", 1),
        ("m2", "m^2", 1),
        ("1", "%", 100),
    ],
)
def test_units_are_read_as_cf_writes_them(units: str, other: str, scale: float) -> None:
    pytest.importorskip("pint", reason="units are an extra")
    a, b = (
        xf.retrieval(
            xr.DataArray(np.full((1, 1), 2.0 * s), dims=("y", "x"), attrs={"units": u}), [[1.0 * s]]
        )
        for s, u in ((1, units), (scale, other))
    )
    fused = a.fusion.gaussian(b)
    np.testing.assert_allclose([fused.mu.item(), fused.sigma.item()], [2.0, 0.5**0.5])


def test_sigma_may_be_in_the_units_of_a_difference() -> None:
    pytest.importorskip("pint", reason="units are an extra")
    mu = xr.DataArray([[20.0]], dims=("y", "x"), attrs={"units": "degC"})
    sigma = xr.DataArray([[0.5]], dims=("y", "x"), attrs={"units": "delta_degC"})
    assert xf.retrieval(mu, sigma).fusion.gaussian().sigma.item() == 0.5
    metres = mu.assign_attrs(units="meter")
    assert xf.retrieval(metres, sigma.assign_attrs(units="m")).sigma.attrs["units"] == "meter"


@pytest.mark.parametrize("unit", ["K", "kelvin", "delta_degC"])
def test_sigma_in_kelvin_fits_a_mean_in_celsius(unit: str) -> None:
    mu = xr.DataArray([[20.0]], dims=("y", "x"), attrs={"units": "degC"})
    sigma = xr.DataArray([[0.3]], dims=("y", "x"), attrs={"units": unit})
    water = xf.retrieval(mu, sigma)
    assert water.sigma.item() == 0.3
    assert water.sigma.attrs["units"] == unit  # that of a difference has no zero to be moved
    other = xf.retrieval(mu.copy(data=[[22.0]]), sigma)
    assert xf.gaussian(water, other).mu.item() == 21.0


def test_a_fusion_of_celsius_and_kelvin_moves_the_mean_and_no_sigma() -> None:
    pytest.importorskip("pint", reason="units are an extra")
    celsius = xf.retrieval(
        xr.DataArray([[20.0]], dims=("y", "x"), attrs={"units": "degC"}),
        xr.DataArray([[0.3]], dims=("y", "x"), attrs={"units": "K"}),
    )
    kelvin = xf.retrieval(xr.DataArray([[293.15]], dims=("y", "x"), attrs={"units": "K"}), [[0.3]])
    for a, b, mean in ((celsius, kelvin, 20.0), (kelvin, celsius, 293.15)):
        fused = xf.gaussian(a, b)
        np.testing.assert_allclose(fused.mu.item(), mean)
        np.testing.assert_allclose(fused.sigma.item(), 0.3 / 2**0.5)
    with pytest.raises(ValueError, match=r"sigma is in 'degF', mu in 'K': multiply sigma"):
        xf.retrieval(kelvin.mu, celsius.sigma.assign_attrs(units="degF"))


CELSIUS = ["degC", "degrees_Celsius", "degree_Celsius", "°C", "deg C", "Celsius", "degrees C"]
KELVIN = ["K", "kelvin", "Kelvin", "degK", "degrees_Kelvin"]


@pytest.mark.parametrize("of_mu", [*CELSIUS, *KELVIN])
@pytest.mark.parametrize("of_sigma", [*CELSIUS, *KELVIN, "delta_degC", "delta_degree_Celsius"])
def test_a_difference_of_temperatures_is_one_in_kelvin_and_in_celsius(
    of_mu: str, of_sigma: str
) -> None:
    mu = xr.DataArray([[280.0]], dims=("y", "x"), attrs={"units": of_mu})
    sigma = xr.DataArray([[0.3]], dims=("y", "x"), attrs={"units": of_sigma})
    water = xf.retrieval(mu, sigma)
    again = xf.retrieval(water.mu, water.sigma)
    fused = xf.gaussian(water, again)
    np.testing.assert_allclose([fused.mu.item(), fused.sigma.item()], [280.0, 0.3 / 2**0.5])
    assert fused.sigma.attrs["units"] == of_mu


@pytest.mark.parametrize("of_mu", CELSIUS)
@pytest.mark.parametrize("other", KELVIN)
def test_temperatures_are_converted_however_they_are_written(of_mu: str, other: str) -> None:
    pytest.importorskip("pint", reason="units are an extra")
    a, b = (
        xf.retrieval(xr.DataArray([[value]], dims=("y", "x"), attrs={"units": units}), 0.3)
        for value, units in ((20.0, of_mu), (293.15, other))
    )
    assert xf.gaussian(a, b).mu.item() == pytest.approx(20.0)


@pytest.mark.parametrize("wrong", ["k", "C", "F", "degF", "mK", "m"])
def test_what_is_no_kelvin_is_no_deviation_of_celsius(wrong: str) -> None:
    mu = xr.DataArray([[20.0]], dims=("y", "x"), attrs={"units": "degC"})
    with pytest.raises(ValueError, match=rf"sigma is in '{wrong}', mu in 'degC'"):
        xf.retrieval(mu, xr.DataArray([[0.3]], dims=("y", "x"), attrs={"units": wrong}))


def test_degrees_of_north_are_degrees_and_units_that_do_not_go_together_name_a_mend() -> None:
    pytest.importorskip("pint", reason="units are an extra")
    north, degrees, metres, odd = (
        xf.retrieval(xr.DataArray([[1.0]], dims=("y", "x"), attrs={"units": units}), 0.1)
        for units in ("degrees_north", "degrees", "m", "wavelets")
    )
    assert xf.gaussian(north, degrees).mu.attrs["units"] == "degrees_north"
    for one, other in ((north, metres), (odd, metres), (metres, odd)):
        with pytest.raises(ValueError, match=r"cannot be converted.*name the right unit, \.mu\."):
            xf.gaussian(one, other)
