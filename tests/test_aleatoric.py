"""The sigma of a probability is that of its truth, and is added once."""

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given

import xfusion as xf


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


def test_the_number_of_samples_is_noted_and_used() -> None:
    samples = xr.DataArray(np.zeros((20, 1, 2)), dims=("sample", "y", "x"))
    made = samples.fusion.from_samples().fusion.add_aleatoric()
    np.testing.assert_allclose(made.sigma, np.sqrt(1 / 22 * 21 / 22 / 23))
    assert made.attrs["aleatoric"] == "mu (1 - mu), of 20 passes"


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


@pytest.mark.parametrize(("passes", "within"), [(8, 0.2), (20, 0.1), (100, 0.1)])
def test_sigma_of_few_samples_is_the_size_of_the_error_after_fusion(
    passes: int, within: float
) -> None:
    rng = np.random.default_rng(passes)
    pixels = 50_000
    truth = rng.uniform(0.2, 0.8, (1, pixels))
    sensors = []
    for spread in (0.05, 0.08):
        # a network errs by as much as its passes differ
        centre = truth + spread * rng.normal(size=truth.shape)
        draws = centre + spread * rng.normal(size=(passes, 1, pixels))
        of_passes = xr.DataArray(draws, dims=("sample", "y", "x")).fusion.from_samples()
        sensors.append(of_passes.assign(mu=xr.DataArray(centre, dims=("y", "x"))))
    fused = sensors[0].fusion.gaussian(sensors[1])
    z2 = float((((fused.mu - truth) / fused.sigma) ** 2).mean())
    assert z2 == pytest.approx(1.0, abs=within)


def test_two_or_three_samples_are_warned_of() -> None:
    samples = xr.DataArray([[[0.2]], [[0.4]], [[0.3]]], dims=("sample", "y", "x"))
    with pytest.warns(UserWarning, match="3 samples"):
        few = samples.fusion.from_samples()
    np.testing.assert_allclose(few.sigma, 0.1)
