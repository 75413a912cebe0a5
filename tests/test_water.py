"""Water without a network: what its mean and sigma are, and what is refused."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

import xfusion as xf
from tests.laziness import nothing_computes

FLOATS = st.floats(-60, 30, width=32) | st.sampled_from([math.nan, math.inf, -math.inf])
REFLECTANCES = st.floats(-0.0625, 1.5, width=32) | st.just(math.nan)
few = settings(max_examples=25, deadline=None)


def band(values: Any, **attrs: Any) -> xr.DataArray:
    return xr.DataArray(np.atleast_2d(np.asarray(values)), dims=("y", "x"), attrs=attrs)


def db(values: Any) -> xr.DataArray:
    return band(np.asarray(values, np.float32), units="dB")


@few
@given(st.lists(FLOATS, min_size=1, max_size=12), st.sampled_from([1.0, 4.4, 80.0, math.inf]))
def test_water_falls_with_backscatter_and_sigma_stays_what_a_probability_may_have(
    values: list[float], looks: float
) -> None:
    found = xf.water.from_backscatter(db(np.sort(np.array(values))), looks=looks)
    mu, sigma = (found[v].to_numpy().astype(float)[0] for v in ("mu", "sigma"))
    known = np.isfinite(np.sort(np.array(values)))
    np.testing.assert_array_equal(np.isfinite(mu), known)
    np.testing.assert_array_equal(np.isfinite(sigma), known)
    assert (np.diff(mu[known]) <= 0).all()
    assert (sigma[known] >= 0).all()
    assert (sigma[known] <= np.sqrt(mu[known] * (1 - mu[known])) * (1 + 1e-4) + 1e-4).all()
    assert found.mu.dtype == np.float32


@few
@given(st.lists(st.tuples(REFLECTANCES, REFLECTANCES, REFLECTANCES), min_size=1, max_size=12))
def test_water_rises_with_its_index_and_what_is_missing_stays_so(rows: list[Any]) -> None:
    green, swir, nir = (band(np.array(column)) for column in zip(*rows, strict=True))
    found = xf.water.from_reflectance(green, swir, nir, scale=1)
    g, s, n = (np.maximum(each.to_numpy(), 0) for each in (green, swir, nir))
    with np.errstate(invalid="ignore", divide="ignore"):
        index = (g - s) / (g + s) + (g - n) / (g + n)
    mu, sigma = found.mu.to_numpy(), found.sigma.to_numpy()
    # what is unsure of a pixel leads its mean towards 0.5, and never beyond
    sure = expit(index / 2 / 0.1)
    np.testing.assert_array_equal(np.isnan(mu), np.isnan(index))
    seen = np.isfinite(mu)
    assert (np.abs(mu - 0.5)[seen] <= np.abs(sure - 0.5)[seen] + 1e-9).all()
    assert ((mu - 0.5)[seen] * (sure - 0.5)[seen] >= -1e-12).all()
    exact = dataclasses.replace(xf.water.MNDWI_NDWI, covariance=((0.0,) * 3,) * 3)
    without = xf.water.from_reflectance(
        green, swir, nir, scale=1, noise=(0.0, 0.0), parameters=exact
    )
    np.testing.assert_allclose(without.mu, sure, rtol=1e-9)
    np.testing.assert_array_equal(np.isnan(sigma), np.isnan(index))
    known = np.isfinite(mu)
    assert (sigma[known] <= np.sqrt(mu[known] * (1 - mu[known])) + 1e-12).all()


@settings(max_examples=5, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(4, 13), st.integers(4, 13)),
    st.tuples(st.integers(4, 13), st.integers(4, 13)),
)
def test_lazy_is_eager_bit_for_bit_for_any_blocks(
    seed: int, one: tuple[int, int], other: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    power = [band(rng.gamma(2.0, 0.02, (17, 13)).astype("f4"), units="linear") for _ in range(2)]
    power[0][2, 3] = np.nan
    slope = band(rng.uniform(0, 30, (17, 13)))
    eager = xf.water.from_backscatter(power[0], power[1], slope)
    in_blocks = [p.chunk(y=c[0], x=c[1]) for p, c in zip(power, (one, other), strict=True)]
    with nothing_computes():
        lazy = xf.water.from_backscatter(in_blocks[0], in_blocks[1], slope.chunk())
    xr.testing.assert_identical(lazy.compute(), eager)
    refl = [band(rng.uniform(0, 0.4, (17, 13))) for _ in range(3)]
    with nothing_computes():
        lazy = xf.water.from_reflectance(*(r.chunk(y=one[0], x=one[1]) for r in refl), scale=1)
    xr.testing.assert_identical(lazy.compute(), xf.water.from_reflectance(*refl, scale=1))


def test_the_graph_grows_with_the_blocks_alone() -> None:
    def tasks(side: int) -> int:
        lazy = xr.DataArray(da.zeros((side, side), chunks=100, dtype="f4"), dims=("y", "x"))
        found = xf.water.from_backscatter(lazy, units="dB")
        return len(found.mu.data.__dask_graph__())

    assert tasks(800) <= 4.2 * tasks(400)


@pytest.mark.parametrize("looks", [4.4, 50.0])
@pytest.mark.parametrize("vv", [-19.0, -16.5, -15.5, -12.0])
def test_sigma_is_the_spread_by_sampled_parameters_and_speckle(looks: float, vv: float) -> None:
    rng, number = np.random.default_rng(5), 200_000
    model = xf.water.VV_VH
    truth = np.array([vv, vv - 6.5])
    drawn = rng.multivariate_normal(model.coefficients, model.covariance, number)
    # speckle of unit mean in the log, as the pixel that was seen is the centre
    noise = 10 * np.log10(rng.gamma(looks, 1 / looks, (number, 2)))
    seen = truth + noise - noise.mean(axis=0)
    # parameters meet the pixel that was seen, noise the coefficients that are best
    by_parameters = drawn @ [1.0, *truth]
    by_noise = (seen - truth) @ model.coefficients[1:]
    sampled = expit(by_parameters + by_noise).std()
    found = xf.water.from_backscatter(
        *(band([v], units="dB") for v in truth), looks=looks, parameters=model
    )
    # a logarithm of a gamma is skew, the normal that stands for it is not
    assert found.sigma.item() == pytest.approx(sampled, rel=0.06)


@pytest.mark.parametrize("reflectances", [(0.08, 0.05, 0.06), (0.06, 0.06, 0.07), (0.1, 0.2, 0.3)])
def test_sigma_of_reflectance_is_the_spread_by_sampled_parameters_and_noise(
    reflectances: tuple[float, ...],
) -> None:
    rng, number = np.random.default_rng(6), 200_000
    r = np.array(reflectances)
    model = xf.water.MNDWI_NDWI
    g, s, n = (r + rng.standard_normal((number, 3)) * (0.002 + 0.02 * r)).T
    b = rng.multivariate_normal(model.coefficients, model.covariance, number).T
    odds = b[0] + b[1] * (g - s) / (g + s) + b[2] * (g - n) / (g + n)
    found = xf.water.from_reflectance(*(band([v]) for v in r), scale=1, noise=(0.002, 0.02))
    assert found.sigma.item() == pytest.approx(expit(odds).std(), rel=0.05)


def test_power_and_decibels_are_the_same_water() -> None:
    values = np.linspace(-25, 0, 50)
    in_db = xf.water.from_backscatter(band(values, units="dB"))
    power = xf.water.from_backscatter(band(10 ** (values / 10)), units="linear")
    np.testing.assert_allclose(power.mu, in_db.mu, rtol=1e-9)
    np.testing.assert_allclose(power.sigma, in_db.sigma, rtol=1e-9)
    none = xf.water.from_backscatter(band([0.0, -0.1, 0.01]), units="linear")
    assert np.isnan(none.mu).to_numpy().tolist() == [[True, True, False]]


def test_what_backscatter_is_in_is_never_guessed() -> None:
    plain = band([-20.0, -10.0])
    with pytest.raises(ValueError, match="vv does not say whether it is in dB or linear.*units='"):
        xf.water.from_backscatter(plain)
    with pytest.raises(ValueError, match="vh does not say"):
        xf.water.from_backscatter(db([-20, -10]), plain)
    with pytest.raises(ValueError, match="says that it is in 'dB', units='linear'"):
        xf.water.from_backscatter(db([-20]), units="linear")
    with pytest.raises(ValueError, match="'amplitude'.*square"):
        xf.water.from_backscatter(plain.assign_attrs(units="amplitude"))
    wrong: Any = "decibel"
    with pytest.raises(ValueError, match="must be one of dB, linear"):
        xf.water.from_backscatter(plain, units=wrong)


def test_values_that_contradict_their_units_are_warned_of() -> None:
    power = band(np.full((20, 20), 0.05))
    with pytest.warns(UserWarning, match="all of 400 pixels are above 0.*units='linear'"):
        xf.water.from_backscatter(power, units="dB")
    with pytest.warns(UserWarning, match="all of 400 pixels are below 0.*units='dB'"):
        xf.water.from_backscatter(-100 * power, units="linear")


def test_digital_numbers_are_not_taken_for_reflectances() -> None:
    numbers = band(np.full((5, 5), 800, np.int16)), band(np.full((5, 5), 100, np.int16))
    with pytest.raises(ValueError, match=r"units are None: pass scale=0.0001"):
        xf.water.from_reflectance(*numbers)
    with pytest.raises(ValueError, match=r"scale=1: no reflectance is.*scale=0.0001"):
        xf.water.from_reflectance(*numbers, scale=1)
    found = xf.water.from_reflectance(*numbers, scale=1e-4)
    assert found.mu.dtype == np.float32
    assert (found.mu > 0.99).all()
    shifted = [n + np.int16(1000) for n in numbers]
    xr.testing.assert_identical(
        xf.water.from_reflectance(*shifted, scale=1e-4, offset=-1000), found
    )
    said = [n.astype("f4").assign_attrs(units="1") * 1 for n in numbers]
    with pytest.raises(ValueError, match="no reflectance is"):
        xf.water.from_reflectance(*(s.assign_attrs(units="1") for s in said))


def test_nodata_is_missing_whether_it_is_declared_or_usual() -> None:
    numbers = np.array([[0, 900, 7]], np.int16)
    usual = xf.water.from_reflectance(band(numbers), band([[50, 50, 50]]).astype("i2"), scale=1e-4)
    assert np.isnan(usual.mu).to_numpy().tolist() == [[True, False, False]]
    declared = band(numbers, _FillValue=7)
    found = xf.water.from_reflectance(declared, band([[50, 50, 50]]).astype("i2"), scale=1e-4)
    assert np.isnan(found.mu).to_numpy().tolist() == [[False, False, True]]
    radar = band(np.array([-32768.0, -20.0], "f4"), _FillValue=-32768.0, units="dB")
    assert np.isnan(xf.water.from_backscatter(radar).mu).to_numpy().tolist() == [[True, False]]


def test_steep_slopes_are_excluded_and_unknown_ones_are_unknown() -> None:
    vv = db([-20, -20, -20])
    found = xf.water.from_backscatter(vv, None, band([3.0, 15.1, np.nan], units="degrees"))
    flags = [0, int(xf.Exclusion.SHADOW), int(xf.Exclusion.UNKNOWN)]
    assert found["mask"].to_numpy().tolist() == [flags]
    assert "mask" not in xf.water.from_backscatter(vv)
    wide = xf.water.from_backscatter(vv, None, band([3.0, 15.1, 40.0]), slope_max=20)
    assert wide.fusion.usable.to_numpy().tolist() == [[True, True, False]]
    with pytest.raises(ValueError, match="slope is in 'percent'"):
        xf.water.from_backscatter(vv, None, band([3.0, 15.1, 40.0], units="percent"))


def test_bands_of_other_grids_and_parameters_of_other_bands_are_refused() -> None:
    with pytest.raises(ValueError, match="vh and the retrieval are not on one grid"):
        xf.water.from_backscatter(db([-20, -10]), db([-20, -10, -5]))
    with pytest.raises(ValueError, match=r"of \['vv', 'vh'\], the bands given are those of"):
        xf.water.from_backscatter(db([-20]), parameters=xf.water.VV_VH)
    with pytest.raises(ValueError, match="green alone tells no water"):
        xf.water.from_reflectance(band([0.1]), scale=1)
    no_array: Any = np.zeros((2, 2))
    with pytest.raises(TypeError, match="vv is a ndarray, not a DataArray"):
        xf.water.from_backscatter(no_array, units="dB")


def test_the_result_is_a_retrieval_that_says_what_it_was_made_of() -> None:
    vv = xr.DataArray(
        np.full((2, 3, 4), -20.0, "f4"),
        dims=("time", "y", "x"),
        coords={"time": np.array(["2023-06-20", "2023-06-21"], "datetime64[ns]")},
        attrs={"units": "dB", "long_name": "gamma nought"},
    )
    found = xf.water.from_backscatter(vv)
    assert found.mu.dims == vv.dims
    assert found.attrs["sensor"] == "sentinel-1"
    assert found.attrs["water_features"] == "vv"
    assert found.mu.attrs["units"] == "1"
    assert found.mu.attrs["long_name"] == "probability of water"
    assert xf.fuse(found.isel(time=0), found.isel(time=1).assign_attrs(sensor="b")).mu.dims


@pytest.mark.parametrize(
    "change",
    [
        {"features": ("hh",)},
        {"features": ("vv", "vv")},
        {"features": ()},
        {"coefficients": (1.0,)},
        {"coefficients": (1.0, math.nan)},
        {"covariance": ((1.0, 0.0), (0.0, -1.0))},
        {"covariance": ((1.0, 0.5), (0.0, 1.0))},
        {"covariance": ((1.0,),)},
        {"count": -1},
        {"base_rate": 1.5},
        {"groups": [1]},
        {"source": 3},
    ],
)
def test_a_record_of_other_values_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))} of parameters of water"):
        dataclasses.replace(xf.water.VV, **change)


def test_a_record_goes_to_json_and_back_and_strangers_are_refused() -> None:
    for model in (xf.water.VV, xf.water.VV_VH, xf.water.MNDWI_NDWI):
        assert xf.water.WaterParameters.from_json(model.to_json()) == model
        assert hash(model) == hash(dataclasses.replace(model))
    read = xf.water.WaterParameters.from_json
    said = json.loads(xf.water.VV.to_json())
    for text in ("[", "[]", '{"a": 1}', json.dumps(said | {"features": [["vv"]]})):
        with pytest.raises(ValueError, match=r"no JSON|have \[|features of parameters"):
            read(text)


def test_a_quantity_of_pint_says_its_units_itself() -> None:
    pytest.importorskip("pint_xarray", reason="units are an extra")
    vv, slope = db([-20, -15.5, -10]), band([1, 1, 30]).assign_attrs(units="degree")
    expected = xf.water.from_backscatter(vv, slope=slope)
    found = xf.water.from_backscatter(vv.pint.quantify(), slope=slope.pint.quantify())
    xr.testing.assert_identical(found, expected)
    power = (10 ** (vv / 10)).assign_attrs(units="1").pint.quantify()
    np.testing.assert_allclose(xf.water.from_backscatter(power).mu, expected.mu, rtol=1e-6)
    with pytest.raises(ValueError, match=r"units='linear' says otherwise"):
        xf.water.from_backscatter(vv.pint.quantify(), units="linear")
    green, swir = (band([v]).assign_attrs(units="1").pint.quantify() for v in (0.05, 0.01))
    found = xf.water.from_reflectance(green, swir)
    plain = xf.water.from_reflectance(band([0.05]), band([0.01]), scale=1)
    np.testing.assert_array_equal(found.mu, plain.mu)


def test_a_pixel_without_backscatter_is_not_usable_whatever_its_slope() -> None:
    found = xf.water.from_backscatter(db([np.nan, np.nan, -10]), slope=band([1, 30, np.nan]))
    assert found.mask.to_numpy().tolist() == [[32, 34, 32]]


def test_time_is_that_of_the_bands_unless_it_is_given_and_their_coordinates_are_kept() -> None:
    vv = db([-20, -10]).assign_coords(time=np.datetime64("2023-06-20T05:00", "ns"), orbit=22)
    kept = xf.water.from_backscatter(vv)
    assert kept.time == np.datetime64("2023-06-20T05:00")
    assert kept.orbit == 22
    given = xf.water.from_backscatter(vv, time="2023-06-21")
    assert given.time == np.datetime64("2023-06-21")
    green = band([0.1, 0.2])
    assert "time" not in xf.water.from_reflectance(green, green, scale=1).coords
    found = xf.water.from_reflectance(green, green, scale=1, time="2023-06-21")
    assert found.time == np.datetime64("2023-06-21")
    with pytest.raises(ValueError, match="is of one acquisition, and the bands have a dim time"):
        xf.water.from_backscatter(vv.expand_dims("time"), time="2023-06-21")


def test_the_code_of_the_page_runs_and_tells_water_from_land() -> None:
    page = (Path(__file__).parents[1] / "docs/water.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```\{code-cell\}\n(?::[^\n]*\n)?(.*?)```", page, re.DOTALL):
        exec(block, names)  # noqa: S102  # the page is ours
    water, unsure, land = names["water"].mu.to_numpy()[0]
    assert water > 0.9
    assert 0.2 < unsure < 0.8
    assert land < 0.1
    wet = names["lake"].mu > 0.5
    assert wet.where(names["far"] < 300).mean() > 0.8
    assert wet.where(names["far"] > 300).mean() < 0.1
