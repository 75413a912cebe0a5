"""The sigma of a probability, and that of few passes: formulas, draws, and what is refused."""

import warnings
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from affine import Affine
from hypothesis import given
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from tests.laziness import nothing_computes
from tests.strategies import retrievals


def water(mu: object, sigma: object = 0.1) -> xr.Dataset:
    values = np.atleast_2d(np.asarray(mu, np.float64))
    return xf.retrieval(values, np.broadcast_to(np.asarray(sigma, np.float64), values.shape))


@given(st.floats(0, 1), st.floats(0, 1), st.none() | st.integers(1, 1000))
def test_it_is_the_variance_of_a_truth_of_0_or_1_and_never_less_than_the_passes_tell(
    mu: float, sigma: float, passes: int | None
) -> None:
    made = water(mu, sigma).fusion.add_aleatoric(passes=passes)
    expected = sigma**2 + mu * (1 - mu)
    if passes is not None:
        ones, zeros = passes * mu + 1, passes * (1 - mu) + 1
        total = ones + zeros
        expected = max(expected, ones * zeros / (total**2 * (total + 1)))
    np.testing.assert_allclose(made.sigma.item() ** 2, expected, rtol=1e-12, atol=1e-300)
    assert made.mu.item() == mu


def test_z2_of_calibrated_probabilities_is_one() -> None:
    rng = np.random.default_rng(0)
    mu = rng.beta(0.6, 1.4, (1, 400_000))
    truth = rng.random(mu.shape) < mu
    made = xf.retrieval(mu, np.zeros_like(mu)).fusion.add_aleatoric()
    z2 = ((truth - made.mu) / made.sigma) ** 2
    assert float(z2.where((mu > 0.02) & (mu < 0.98)).mean()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_lazy_keeps_the_dtype_and_leaves_excluded_pixels_unjudged(dtype: object) -> None:
    mu = np.array([[0.2, np.nan, -9999.0], [0.7, 1.0, 0.0]], dtype)  # type: ignore[call-overload]  # a dtype
    mask = np.array([[0, 0, 1], [0, 0, 0]], np.uint8)
    eager = xf.retrieval(mu, np.full_like(mu, 0.1), mask)
    lazy = eager.chunk(x=2).fusion.add_aleatoric(passes=20)
    assert lazy.sigma.chunks is not None
    xr.testing.assert_identical(lazy.compute(), eager.fusion.add_aleatoric(passes=20))
    assert lazy.sigma.dtype == dtype


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mu has the value 20\.0.*divide percent"):
        water(20.0).fusion.add_aleatoric()
    percent = water(0.2)
    percent.mu.attrs["units"] = "%"
    with pytest.raises(ValueError, match="probabilities"):
        percent.fusion.add_aleatoric()
    with pytest.raises(ValueError, match=r"passes=0\.5"):
        water(0.2).fusion.add_aleatoric(passes=0.5)
    with pytest.raises(ValueError, match="already"):
        water(0.2).fusion.add_aleatoric().fusion.add_aleatoric()
    with pytest.raises(ValueError, match="mean square error"):
        water(0.2).assign_attrs(calibration_sigma="rms").fusion.add_aleatoric()


def test_the_error_of_a_calibrated_probability_has_the_stated_variance() -> None:
    rng = np.random.default_rng(2)
    p = 0.1 + 0.8 * rng.beta(0.4, 1.2, (400, 500))
    wet = rng.random(p.shape) < p
    for spread in (0.005, 0.02):
        mu = p + spread * rng.choice([-1, 1], p.shape)
        ds = xf.retrieval(mu, spread)
        stated = ds.fusion.add_aleatoric()
        z2 = [(((each.mu - wet) / each.sigma) ** 2).mean().item() for each in (ds, stated)]
        assert z2[0] > 200
        np.testing.assert_allclose(z2[1], 1, atol=0.03)


@given(retrievals(count=1))
def test_a_sigma_that_is_broken_stays_broken_and_what_is_usable_stays_so(
    sensors: list[xr.Dataset],
) -> None:
    (ds,) = sensors
    ds = ds.assign(mu=abs(ds.mu) % 1)
    changed = ds.fusion.add_aleatoric(20)
    xr.testing.assert_equal(changed.fusion.usable, ds.fusion.usable)
    sound = np.isfinite(ds.mu) & np.isfinite(ds.sigma) & (ds.sigma >= 0)
    np.testing.assert_array_equal(changed.sigma.where(~sound), ds.sigma.where(~sound))
    assert (changed.sigma.where(sound, 1) >= ds.sigma.where(sound, 1)).all()


def test_passes_are_those_of_the_samples_unless_mu_was_calibrated() -> None:
    samples = xr.DataArray(np.ones((25, 2, 2)), dims=("sample", "y", "x"))
    ds = samples.fusion.from_samples(sensor="unet")
    floor = ds.fusion.add_aleatoric()
    np.testing.assert_allclose(floor.sigma, np.sqrt(26 / 27 / 27 / 28))
    assert floor.attrs["aleatoric"] == "mu (1 - mu), of 25 passes"
    fewer = ds.fusion.add_aleatoric(passes=4)
    assert (fewer.sigma > floor.sigma).all()
    calibrated = ds.assign_attrs(calibration_method="isotonic")
    assert (calibrated.fusion.add_aleatoric().sigma == 0).all()
    for wrong in (0, 2.5, -1, np.inf, np.nan, "many"):
        with pytest.raises(ValueError, match="passes=.*whole number"):
            ds.fusion.add_aleatoric(wrong)


def test_it_is_added_once_whatever_became_of_it_since(tmp_path: Path) -> None:
    grid = GeoBox((4, 4), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
    x = xr.DataArray(np.full((4, 4), 0.3, np.float32), xr_coords(grid), ("y", "x"))
    plain = xf.retrieval(x, x * 0 + 0.1, sensor="unet", time="2023-06-20")
    ds = plain.assign_attrs(passes=20).fusion.add_aleatoric()
    ds.fusion.to_cog(tmp_path, progress=False)
    opened = xf.SensorProduct.open(tmp_path / "mu.tif", tmp_path / "sigma.tif").dataset
    assert opened.attrs["passes"] in (20, "20")
    later = plain.assign_coords(time=np.datetime64("2023-06-21", "ns"))
    rms = plain.assign_attrs(calibration_method="isotonic", calibration_sigma="rms")
    fused = ds.fusion.gaussian(plain.assign_attrs(sensor="other"))
    cube = xf.stack([later, ds])
    for again in (ds, opened, rms, fused, cube, cube.fusion.gaussian(dim="time")):
        with pytest.raises(ValueError, match="aleatoric part already"):
            again.fusion.add_aleatoric()
    raw = xf.SensorProduct.open(tmp_path / "mu.tif", tmp_path / "sigma.tif").dataset
    raw.attrs.pop("aleatoric")
    assert raw.fusion.add_aleatoric().attrs["aleatoric"] == "mu (1 - mu), of 20 passes"


def test_what_is_no_probability_has_no_variance_of_an_event() -> None:
    mu = xr.DataArray([[0.5, 1.5]], dims=("y", "x"))
    with nothing_computes():
        lazy = xf.retrieval(mu, 0.1).chunk(x=1).fusion.add_aleatoric()
    with pytest.raises(ValueError, match=r"value 1\.5, which is no probability.*percent.*clip"):
        lazy.compute()
    assert np.isfinite(xf.retrieval(mu, 0.1, mu > 1).fusion.add_aleatoric().sigma).all()
    rounded = xf.retrieval(mu * 0 + 1.0000002, 0.1)
    np.testing.assert_allclose(rounded.fusion.add_aleatoric().sigma, 0.1)
    for units, message in (("%", "'%'.*/ 100"), ("m", "'m'.*probabilities")):
        with pytest.raises(ValueError, match=message):
            xf.retrieval(mu.assign_attrs(units=units), 0.1).fusion.add_aleatoric()


@pytest.mark.parametrize(("passes", "slack"), [(8, 0.2), (20, 0.1), (100, 0.1)])
def test_sigma_of_few_passes_is_that_of_the_error_after_fusion(passes: int, slack: float) -> None:
    rng = np.random.default_rng(passes)
    n = 40_000
    truth, fused = 0.5, []
    for corrected in (True, False):
        pair = []
        for scale in (0.05, 0.08):
            # a spread as large as the error; what it is of T passes is all that is known
            draws = rng.normal(0, scale, (passes, 1, n))
            mean = truth + rng.normal(0, scale, (1, n))
            samples = xr.DataArray(mean + draws - draws.mean(0), dims=("sample", "y", "x"))
            pair.append(samples.fusion.from_samples(correct_few=corrected))
        both = pair[0].fusion.gaussian(pair[1])
        fused.append((((both.mu - truth) / both.sigma) ** 2).mean().item())
    assert abs(fused[0] - 1) < slack
    assert fused[1] > fused[0]
    np.testing.assert_allclose(fused[1] / fused[0], (passes - 1) / (passes - 3), rtol=0.1)


def test_two_or_three_passes_are_warned_of_and_left_as_they_are() -> None:
    for count in (2, 3):
        samples = xr.DataArray(np.arange(count * 1.0)[:, None, None], dims=("sample", "y", "x"))
        with pytest.warns(UserWarning, match=f"{count} samples.*too little.*correct_few=False"):
            ds = samples.fusion.from_samples()
        np.testing.assert_allclose(ds.sigma, np.arange(count).std(ddof=1))
        with warnings.catch_warnings(action="error"):
            xr.testing.assert_identical(samples.fusion.from_samples(correct_few=False), ds)
