"""Retrievals after a calibration: mu, sigma, attributes, and what is refused."""

from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray

import xfusion as xf
from tests.laziness import nothing_computes
from tests.resampling_oracle import grid, on
from tests.strategies import FLAGS, chunked
from tests.test_calibration import METHODS, distorted, halves, on_grid

NEAREST = 2.0**-24


@pytest.fixture(scope="module")
def models() -> dict[str, xf.Calibration]:
    retrieval, event, _ = distorted(np.random.default_rng(0), (80, 80))
    return {m: xf.calibrate(retrieval, event, method=m, groups=halves(event)) for m in METHODS}


def at(means: Any, sigma: Any = 0.1, *, sensor: str | None = None) -> xr.Dataset:
    mu = np.atleast_2d(np.asarray(means))
    return xf.retrieval(mu, np.broadcast_to(np.asarray(sigma, mu.dtype), mu.shape), sensor=sensor)


def line(model: xf.Calibration, mu: NDArray[Any]) -> Any:
    """What a calibration says of means, written plainly."""
    if model.method == "isotonic":
        x, y, _ = np.array(model.knots).T
        return np.interp(mu, x, y)
    a, b, c = model.coefficients
    near = np.clip(mu.astype(float), NEAREST, 1 - NEAREST)
    odds = np.exp(a * np.log(near) - b * np.log1p(-near) + c)
    return np.clip(odds / (1 + odds), NEAREST, 1 - NEAREST)


@pytest.mark.parametrize("method", METHODS)
@given(mu=hnp.arrays(float, 30, elements=st.floats(0, 1)))
def test_means_are_those_of_the_map_and_rise(
    models: dict[str, xf.Calibration], method: str, mu: NDArray[Any]
) -> None:
    mu = np.concatenate([[0.0, 0.5, 1.0], mu])
    mended = at(mu).fusion.apply_calibration(models[method]).mu.to_numpy()[0]
    np.testing.assert_allclose(mended, line(models[method], mu), rtol=1e-12)
    assert (np.diff(mended[np.argsort(mu, kind="stable")]) >= -1e-15).all()
    single = at(mu.astype("float32")).fusion.apply_calibration(models[method]).mu.to_numpy()[0]
    assert single.dtype == np.float32
    assert (np.diff(single[np.argsort(mu, kind="stable")]) >= 0).all()
    for p in (mended, single):
        assert (p > 0).all()
        assert (p < 1).all()


@pytest.mark.parametrize("method", ["beta", "platt"])
def test_sigma_is_carried_through_by_the_slope(
    models: dict[str, xf.Calibration], method: str
) -> None:
    mu = np.linspace(0.01, 0.99, 99)
    step = 1e-6
    slope = (line(models[method], mu + step) - line(models[method], mu - step)) / (2 * step)
    sigma = np.linspace(0.05, 0.1, 99)
    mended = at(mu, sigma).fusion.apply_calibration(models[method])
    p = mended.mu.to_numpy()[0]
    expected = np.minimum(slope * sigma, np.sqrt(p * (1 - p)))
    np.testing.assert_allclose(mended.sigma[0], expected, rtol=1e-6)


def test_sigma_of_knots_is_carried_through_by_the_slope_within_one_sigma(
    models: dict[str, xf.Calibration],
) -> None:
    model = models["isotonic"]
    mu = np.linspace(0, 1, 101)
    left, right = np.maximum(mu - 0.1, 0), np.minimum(mu + 0.1, 1)
    slope = (line(model, right) - line(model, left)) / (right - left)
    mended = at(mu).fusion.apply_calibration(model)
    p = mended.mu.to_numpy()[0]
    expected = np.minimum(0.1 * slope, np.sqrt(p * (1 - p)))
    np.testing.assert_allclose(mended.sigma[0], expected, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_sigma_is_neither_surer_than_the_calibration_nor_wider_than_a_probability(
    models: dict[str, xf.Calibration], method: str
) -> None:
    model = models[method]
    mu = np.linspace(0, 1, 101)
    sure = at(mu, 0.0).fusion.apply_calibration(model)
    p = sure.mu.to_numpy()[0]
    np.testing.assert_allclose(sure.sigma[0], np.sqrt(p * (1 - p) / model.count))
    wide = at(mu, 50.0).fusion.apply_calibration(model)
    assert (wide.sigma[0] <= np.sqrt(p * (1 - p)) * (1 + 1e-12)).all()
    wider = wide.sigma[0] - sure.sigma[0]
    assert float(wider.max()) > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_the_rms_is_one_sigma_for_all_usable_pixels(
    models: dict[str, xf.Calibration], method: str
) -> None:
    model = models[method]
    mended = at([0.1, 0.5, 0.9], [0.0, 0.1, np.nan]).fusion.apply_calibration(model, sigma="rms")
    np.testing.assert_array_equal(mended.sigma[0], [model.rms, model.rms, np.nan])
    np.testing.assert_allclose(mended.mu[0], line(model, np.array([0.1, 0.5, 0.9])))


@st.composite
def soiled(draw: DrawFn) -> xr.Dataset:
    """A retrieval with all that a pixel can be."""
    shape = draw(st.tuples(*[st.integers(1, 7)] * 2))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    means = st.one_of(st.floats(0, 1, width=32), st.sampled_from([np.nan, np.inf, -0.0, 1.0]))
    sigmas = st.sampled_from([0.0, 0.1, 0.3, np.nan, -1.0, np.inf])
    mask = draw(st.none() | hnp.arrays(np.uint8, shape, elements=st.sampled_from(FLAGS)))
    mu = draw(hnp.arrays(dtype, shape, elements=means))
    return xf.retrieval(mu, draw(hnp.arrays(dtype, shape, elements=sigmas)), mask)


@pytest.mark.parametrize("sigma", ["delta", "rms"])
@given(retrieval=soiled(), data=st.data())
def test_what_is_lazy_stays_so_and_ends_in_the_same_bits(
    models: dict[str, xf.Calibration], sigma: Any, retrieval: xr.Dataset, data: st.DataObject
) -> None:
    model = models[data.draw(st.sampled_from(METHODS))]
    before = retrieval.copy(deep=True)
    eager = retrieval.fusion.apply_calibration(model, sigma=sigma)
    xr.testing.assert_identical(retrieval, before)
    with nothing_computes():
        lazy = data.draw(chunked(retrieval)).fusion.apply_calibration(model, sigma=sigma)
    assert lazy.mu.chunks is not None
    xr.testing.assert_identical(lazy.compute(), eager)
    assert eager.mu.dtype == retrieval.mu.dtype
    assert eager.sigma.dtype == retrieval.sigma.dtype
    xr.testing.assert_identical(eager.fusion.usable, retrieval.fusion.usable)
    if "mask" in retrieval:
        xr.testing.assert_identical(eager.mask, retrieval.mask)
    broken = ~(np.isfinite(retrieval.sigma) & (retrieval.sigma >= 0))
    np.testing.assert_array_equal(eager.sigma.where(broken), retrieval.sigma.where(broken))
    np.testing.assert_array_equal(eager.mu.isnull(), ~np.isfinite(retrieval.mu))


@pytest.mark.parametrize("lazy", [False, True])
def test_a_usable_mean_outside_of_0_and_1_is_named(
    models: dict[str, xf.Calibration], lazy: bool
) -> None:
    retrieval = at([0.2, 1.25, 0.4])
    asked = retrieval.chunk(x=1) if lazy else retrieval
    with pytest.raises(ValueError, match="mu is 1.25 somewhere, no probability from 0 to 1"):
        asked.fusion.apply_calibration(models["beta"]).compute()
    excluded = asked.fusion.exclude(on_grid([[False, True, False]]))
    mended = excluded.fusion.apply_calibration(models["beta"])
    np.testing.assert_array_equal(mended.mu.isnull()[0], [False, True, False])
    # what rounding alone has led outside is the bound
    near = at([-1e-7, 1 + 1e-7]).fusion.apply_calibration(models["beta"])
    np.testing.assert_allclose(near.mu, at([0.0, 1.0]).fusion.apply_calibration(models["beta"]).mu)


def test_means_that_are_no_probabilities_by_their_units_are_refused(
    models: dict[str, xf.Calibration],
) -> None:
    percent = at([20.0])
    percent.mu.attrs["units"] = "%"
    with pytest.raises(ValueError, match="mu is in '%', apply_calibration takes probabilities"):
        percent.fusion.apply_calibration(models["beta"])


def test_a_calibration_of_another_sensor_is_refused_unless_it_is_meant(
    models: dict[str, xf.Calibration],
) -> None:
    other = at([0.2], sensor="sentinel-2")
    with pytest.raises(ValueError, match="is of 's', the retrieval of 'sentinel-2'.*any_sensor="):
        other.fusion.apply_calibration(models["beta"])
    mended = other.fusion.apply_calibration(models["beta"], any_sensor=True)
    assert mended.attrs["calibration_sensor"] == "s"
    assert mended.attrs["sensor"] == "sentinel-2"
    at([0.2]).fusion.apply_calibration(models["beta"])  # of a sensor that nobody has named


def test_what_is_calibrated_is_not_calibrated_again(models: dict[str, xf.Calibration]) -> None:
    mended = at([0.2]).fusion.apply_calibration(models["beta"])
    with pytest.raises(ValueError, match="is calibrated already, calibration_method='beta'"):
        mended.fusion.apply_calibration(models["platt"])
    scenes = [
        scene.assign_coords(time=np.datetime64(f"2023-06-{day}", "ns"))
        for day, scene in ((11, mended), (12, at([0.2])))
    ]
    for order in (scenes, scenes[::-1]):
        with pytest.raises(ValueError, match="is calibrated already"):
            xf.stack(order).fusion.apply_calibration(models["beta"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"sigma": "gum"}, "sigma='gum' is neither 'delta' nor 'rms'"),
        ({"calibration": "model.json"}, "calibration is a str: give what xf.calibrate"),
    ],
)
def test_other_arguments_are_refused(
    models: dict[str, xf.Calibration], arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        xf.apply_calibration(at([0.2]), **{"calibration": models["beta"]} | arguments)


# What is said of it


def test_attributes_say_what_was_applied_in_stores_and_files(
    models: dict[str, xf.Calibration], tmp_path: Path
) -> None:
    model = models["isotonic"]
    there = grid("EPSG:32633", (5e5, 5e6), 10.0, (4, 5))
    source = on(there, np.full((4, 5), 0.3)).assign_attrs(sensor="s")
    mended = source.fusion.apply_calibration(model, sigma="rms")
    expected = {
        "calibration_method": "isotonic",
        "calibration_sensor": "s",
        "calibration_base_rate": model.base_rate,
        "calibration_count": 6400,
        "calibration_groups": 2,
        "calibration_rms": model.rms,
        "calibration_sigma": "rms",
        "calibration_version": xf.__version__,
    }
    assert expected.items() <= mended.attrs.items()
    mended.fusion.to_zarr(tmp_path / "a.zarr")
    mended.to_netcdf(tmp_path / "a.nc")
    mended.fusion.to_cog(tmp_path / "cog", item=False)
    for opened in (xr.open_zarr(tmp_path / "a.zarr"), xr.open_dataset(tmp_path / "a.nc")):
        assert {k: v for k, v in opened.attrs.items() if k in expected} == expected
    (mu,), (sigma,) = ((tmp_path / "cog").rglob(f"*{v}*.tif") for v in ("mu", "sigma"))
    again = xf.SensorProduct.open(mu, sigma).dataset
    assert float(again.attrs["calibration_base_rate"]) == pytest.approx(model.base_rate)
    with pytest.raises(ValueError, match="is calibrated already"):
        again.fusion.apply_calibration(model)


def test_a_fused_result_says_of_whom_it_was_calibrated(models: dict[str, xf.Calibration]) -> None:
    a = at([0.2], sensor="s").fusion.apply_calibration(models["beta"])
    fused = a.fusion.gaussian(at([0.4], sensor="raw"))
    rate = models["beta"].base_rate
    assert fused.attrs["fusion_calibration"] == f"s: beta, base rate {rate}; raw: none"
    assert "calibration_method" not in fused.attrs  # the result is not calibrated, its sensors are
    assert "fusion_calibration" not in at([0.4]).fusion.gaussian(at([0.4])).attrs
    cube = a.expand_dims(time=[2020, 2021])
    for series in (cube, a.expand_dims(time=range(12))):
        along = series.fusion.gaussian(dim="time")
        assert along.attrs["fusion_calibration"] == f"all: beta, base rate {rate}"


def test_methods_are_the_functions(models: dict[str, xf.Calibration]) -> None:
    retrieval, event, _ = distorted(np.random.default_rng(1), (30, 30))
    product = retrieval.fusion.product
    model = product.calibrate(event, groups=halves(event))
    assert model == xf.calibrate(product, event, groups=halves(event))
    assert model == retrieval.fusion.calibrate(event, groups=halves(event))
    mended = product.apply_calibration(model, sigma="rms")
    assert type(mended) is xf.SensorProduct
    xr.testing.assert_identical(mended.dataset, xf.apply_calibration(retrieval, model, sigma="rms"))


# Of quantities


def measured(shape: tuple[int, ...] = (400, 400)) -> tuple[xr.Dataset, xr.DataArray]:
    """A quantity whose sigma is half too small where it is small, and too large where large."""
    rng = np.random.default_rng(2)
    sigma = np.exp(rng.normal(0, 1, shape))
    truth = rng.normal(280, 5, shape)
    mu = xr.DataArray(truth + rng.normal(0, 2 * sigma**0.7), dims=("y", "x"), attrs={"units": "K"})
    return xf.retrieval(mu, sigma), xr.DataArray(truth, dims=("y", "x"), attrs={"units": "K"})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigma_of_a_quantity_becomes_that_of_its_residuals(dtype: str) -> None:
    retrieval, truth = measured()
    model = xf.calibrate(retrieval.astype(dtype), truth, method="sigma", groups=halves(truth))
    assert model.before["z2"] > 2
    assert model.after["z2"] == pytest.approx(1, abs=0.01)
    assert model.left_out is not None
    assert model.left_out["z2"] == pytest.approx(1, abs=0.03)
    assert model.left_out["log_score"] < model.before["log_score"] - 0.1
    assert model.units == "K"
    assert model.base_rate is None
    z = (retrieval.mu - truth) / retrieval.sigma
    assert model.before["z2"] == pytest.approx(float((z**2).mean()), rel=1e-3)
    assert model.rms == pytest.approx(float(((retrieval.mu - truth) ** 2).mean() ** 0.5), rel=1e-3)
    mended = retrieval.fusion.apply_calibration(model)
    xr.testing.assert_identical(mended.mu.variable, retrieval.mu.variable)
    within = (retrieval.sigma > 0.2) & (retrieval.sigma < 5)
    ratio = (mended.sigma / (2 * retrieval.sigma**0.7)).where(within)
    assert float(abs(ratio - 1).quantile(0.95)) < 0.1
    assert mended.attrs["calibration_method"] == "sigma"
    assert "calibration_base_rate" not in mended.attrs
    order = np.argsort(retrieval.sigma.to_numpy().ravel())
    assert (np.diff(mended.sigma.to_numpy().ravel()[order]) >= 0).all()
    xr.testing.assert_identical(
        retrieval.chunk(y=77).fusion.apply_calibration(model).compute(), mended
    )
    assert (
        xf.calibrate(
            retrieval.astype(dtype).chunk(x=77), truth, method="sigma", groups=halves(truth)
        )
        == model
    )


@pytest.mark.filterwarnings("ignore:a calibration fitted to:UserWarning")
def test_one_sigma_for_all_is_scaled_by_one_factor() -> None:
    rng = np.random.default_rng(3)
    residuals = rng.normal(0, 3e-3, (50, 50))
    retrieval = xf.retrieval(residuals, np.full((50, 50), 1e-3))
    model = xf.calibrate(retrieval, xr.zeros_like(retrieval.mu), method="sigma")
    factor = float((residuals**2).mean() ** 0.5) / 1e-3
    sigmas = np.array([[0.0, 1e-3, 2.0, np.nan, -1.0, np.inf]])
    mended = xf.retrieval(np.zeros((1, 6)), sigmas).fusion.apply_calibration(model)
    expected = [0, factor * 1e-3, factor * 2, np.nan, -1, np.inf]
    np.testing.assert_allclose(mended.sigma[0], expected, rtol=1e-5)
    constant = xf.retrieval(np.zeros((1, 6)), sigmas).fusion.apply_calibration(model, sigma="rms")
    np.testing.assert_allclose(
        constant.sigma[0], [*[factor * 1e-3] * 3, np.nan, -1, np.inf], rtol=1e-5
    )


def test_units_of_a_quantity_and_its_reference_are_one() -> None:
    retrieval, truth = measured((60, 60))
    celsius = (truth - 273.15).assign_attrs(units="degC")
    model = xf.calibrate(retrieval, truth, method="sigma", groups=halves(truth))
    converted = xf.calibrate(retrieval, celsius, method="sigma", groups=halves(truth))
    assert converted.rms == pytest.approx(model.rms, rel=1e-6)
    metres = retrieval.assign(mu=retrieval.mu.assign_attrs(units="m"))
    metres = metres.assign(sigma=metres.sigma.assign_attrs(units="m"))
    with pytest.raises(ValueError, match="reference is in 'K', mu in 'm'"):
        xf.calibrate(metres, truth, method="sigma")
    with pytest.raises(ValueError, match="mu is in 'm', the calibration of 'K'"):
        metres.fusion.apply_calibration(model)


def test_a_sigma_of_0_has_no_scale() -> None:
    retrieval, truth = measured((60, 60))
    retrieval.sigma[0] = 0.0
    with pytest.warns(UserWarning, match="sigma is 0 for 60 pixels, which no factor makes larger"):
        model = xf.calibrate(retrieval, truth, method="sigma", groups=halves(truth))
    assert model.count == 59 * 60
    retrieval.sigma[:] = 0.0
    with pytest.raises(ValueError, match="sigma is 0 for 3600 of 3600 pixels"):
        xf.calibrate(retrieval, truth, method="sigma", groups=halves(truth))
    perfect = retrieval.assign(mu=truth, sigma=truth * 0 + 0.1)
    with pytest.raises(ValueError, match="there is nothing to scale"):
        xf.calibrate(perfect, truth, method="sigma", groups=halves(truth))
