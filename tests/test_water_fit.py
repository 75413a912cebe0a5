"""Parameters of water that are fitted: beside other libraries, and what they are worth."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import statsmodels.api as sm  # type: ignore[import-untyped]
import xarray as xr
from sklearn.linear_model import LogisticRegression

import xfusion as xf

SHAPE = (60, 50)


def scene(seed: int, shape: tuple[int, int] = SHAPE) -> tuple[xr.Dataset, xr.DataArray, Any]:
    rng = np.random.default_rng(seed)
    groups = np.arange(shape[0])[:, None] // 6 + np.zeros(shape, int)
    truth = rng.random(shape) < 0.3
    shift = rng.normal(0, 0.8, groups.max() + 1)[groups]
    vv = np.where(truth, -18.0, -11.0) + shift + rng.normal(0, 3, shape)
    vh = np.where(truth, -25.0, -18.0) + shift + rng.normal(0, 3, shape)
    dims = ("y", "x")
    bands = xr.Dataset({"vv": (dims, vv), "vh": (dims, vh)})
    for each in bands.values():
        each.attrs["units"] = "dB"
    return bands, xr.DataArray(truth, dims=dims), xr.DataArray(groups, dims=dims)


def design(bands: xr.Dataset) -> np.ndarray[Any, Any]:
    columns = [np.ones(bands.vv.size), *(bands[v].to_numpy().ravel() for v in ("vv", "vh"))]
    return np.stack(columns, axis=1)


def test_coefficients_and_clustered_covariance_are_those_of_statsmodels() -> None:
    bands, truth, groups = scene(1)
    model = xf.water.fit(bands, truth, groups=groups, ridge=0)
    expected = sm.Logit(truth.to_numpy().ravel().astype(float), design(bands)).fit(
        disp=0,
        cov_type="cluster",
        cov_kwds={"groups": groups.to_numpy().ravel(), "use_correction": False},
    )
    np.testing.assert_allclose(model.coefficients, expected.params, rtol=1e-6)
    number = len(model.groups)
    covariance = expected.cov_params() * number / (number - 1)
    np.testing.assert_allclose(np.array(model.covariance), covariance, rtol=1e-5)
    assert model.log_loss == pytest.approx(-expected.llf / truth.size, rel=1e-9)
    assert model.base_rate == pytest.approx(float(truth.mean()))


def test_without_groups_the_covariance_is_that_of_pixels_and_is_warned_of() -> None:
    bands, truth, _ = scene(2)
    with pytest.warns(UserWarning, match="pixels without groups.*far too small"):
        model = xf.water.fit(bands, truth, ridge=0)
    expected = sm.Logit(truth.to_numpy().ravel().astype(float), design(bands)).fit(
        disp=0, cov_type="HC0"
    )
    np.testing.assert_allclose(np.array(model.covariance), expected.cov_params(), rtol=1e-5)


@pytest.mark.parametrize("ridge", [0.5, 20.0, 3000.0])
def test_ridge_and_weights_are_those_of_sklearn(ridge: float) -> None:
    bands, truth, groups = scene(3)
    rng = np.random.default_rng(0)
    weights = truth.copy(data=rng.gamma(1.0, 1.0, SHAPE) * (rng.random(SHAPE) < 0.9))
    model = xf.water.fit(bands, truth, groups=groups, weights=weights, ridge=ridge)
    features, w = design(bands)[:, 1:], weights.to_numpy().ravel()
    center = np.average(features, axis=0, weights=w)
    width = np.sqrt(np.average((features - center) ** 2, axis=0, weights=w))
    other = LogisticRegression(C=1 / ridge, tol=1e-12, max_iter=10_000)
    other.fit((features - center) / width, truth.to_numpy().ravel(), sample_weight=w)
    slopes = other.coef_[0] / width
    np.testing.assert_allclose(model.coefficients[1:], slopes, rtol=1e-5)
    intercept = other.intercept_[0] - slopes @ center
    assert model.coefficients[0] == pytest.approx(intercept, rel=1e-5)


def test_blocks_do_not_matter_nor_what_is_missing() -> None:
    bands, truth, groups = scene(4)
    known = truth.astype(float).where(groups != 3)
    bands["vv"][5:9] = np.nan
    whole = xf.water.fit(bands, known, groups=groups)
    assert whole.count == int((known.notnull() & bands.vv.notnull()).sum())
    assert 3 not in whole.groups
    for chunks in ({"y": 7, "x": 50}, {"y": 60, "x": 11}):
        lazy = xf.water.fit(bands.chunk(chunks), known.chunk(y=13), groups=groups)
        np.testing.assert_allclose(lazy.coefficients, whole.coefficients, rtol=1e-9)
        np.testing.assert_allclose(lazy.covariance, whole.covariance, rtol=1e-7)
        assert (lazy.count, lazy.groups) == (whole.count, whole.groups)


def test_pixels_that_a_threshold_parts_have_finite_coefficients() -> None:
    vv = xr.DataArray(np.linspace(-25.0, 0, 100).reshape(10, 10), dims=("y", "x"))
    rows = xr.DataArray(np.arange(10), dims="y")
    found = xf.water.fit({"vv": vv}, vv < -15, units="dB", groups=rows.broadcast_like(vv))
    assert np.isfinite(found.coefficients).all()
    assert -found.coefficients[0] / found.coefficients[1] == pytest.approx(-15, abs=0.5)


def test_the_spread_between_fits_to_other_scenes_is_what_the_covariance_says() -> None:
    fitted = [xf.water.fit(*scene(100 + n)[:2], groups=scene(100 + n)[2]) for n in range(60)]
    spread = np.std([f.coefficients[1] for f in fitted], ddof=1)
    said = np.sqrt(np.mean([f.covariance[1][1] for f in fitted]))
    assert said == pytest.approx(spread, rel=0.35)


def test_what_cannot_be_fitted_is_refused_by_name() -> None:
    bands, truth, groups = scene(5)
    fit = xf.water.fit
    with pytest.raises(ValueError, match="give 'vv' and maybe 'vh'"):
        fit(bands.rename(vv="red"), truth)
    with pytest.raises(ValueError, match="pixels of the reference are dry"):
        fit(bands, truth & False, groups=groups)
    with pytest.raises(ValueError, match="no pixel has all bands"):
        fit(bands, truth.astype(float) * np.nan, groups=groups)
    with pytest.raises(ValueError, match="the reference is 2 somewhere"):
        fit(bands, truth * 2, groups=groups)
    with pytest.raises(ValueError, match="ridge=-1"):
        fit(bands, truth, ridge=-1)
    with pytest.raises(ValueError, match="not on one grid"):
        fit(bands, truth.isel(y=slice(5)), groups=groups)
    with pytest.raises(ValueError, match="weights are below 0"):
        fit(bands, truth, groups=groups, weights=xr.full_like(bands.vv, -1.0))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda bands, truth: bands[["vv"]] * 0 - 3.0, "a band is the same everywhere"),
        (lambda bands, truth: bands.assign(vh=bands.vv * 2), "or follows from the others"),
        (lambda bands, truth: bands.assign(vv=-12 - 5.0 * truth), "a threshold parts water"),
        (
            lambda bands, truth: bands.assign(vv=-12 - (5.0 + bands.vv**2) * truth),
            "a threshold parts water",
        ),
        (lambda bands, truth: bands.assign(vv=-1.0 * (truth & (bands.vv > -15))), "of itself"),
    ],
)
@pytest.mark.filterwarnings("ignore:parameters fitted to")
def test_what_no_likelihood_decides_is_refused_without_a_penalty_and_fitted_with_it(
    change: Any, why: str
) -> None:
    bands, truth, _ = scene(5)
    bands = change(bands, truth)
    with pytest.raises(ValueError, match=rf"ridge=0, and .*{why}.*: fit with a penalty, ridge=1"):
        xf.water.fit(bands, truth, ridge=0, units="dB")
    assert np.isfinite(xf.water.fit(bands, truth, units="dB").coefficients).all()


# Real chips

Chip = tuple[dict[str, xr.DataArray], xr.DataArray]
SENSORS = {
    "VV": ["vv"],
    "VV, VH": ["vv", "vh"],
    "MNDWI": ["green", "swir16"],
    "NDWI": ["green", "nir"],
    "MNDWI, NDWI": ["green", "swir16", "nir"],
}


def chip(folder: Path, name: str) -> Chip:
    def layer(path: str, band: int) -> xr.DataArray:
        with rasterio.open(folder / path) as file:
            return xr.DataArray(file.read(band).astype(float), dims=("y", "x"))

    if name == "Spain":
        root, swir = "sen1floods11/Spain_7370579_", 12
        label = layer(f"{root}LabelHand.tif", 1)
        truth = (label == 1).where(label >= 0)
        radar, optical = f"{root}S1Hand.tif", f"{root}S2Hand.tif"
    else:
        root, swir = f"terramind/{name}_", 11
        truth = (layer(f"{root}LULC.tif", 1) == 1).astype(float)
        radar, optical = f"{root}S1RTC.tif", f"{root}S2L2A.tif"
    numbers = {"green": 3, "swir16": swir, "nir": 8}
    bands = {p: layer(radar, n + 1).assign_attrs(units="dB") for n, p in enumerate(("vv", "vh"))}
    return bands | {
        k: (layer(optical, n) / 1e4).assign_attrs(units="1") for k, n in numbers.items()
    }, truth


def retrieved(bands: dict[str, xr.DataArray], names: list[str], model: Any = None) -> xr.Dataset:
    given: dict[str, Any] = {name: bands[name] for name in names}
    if "vv" in given:
        return xf.water.from_backscatter(**given, parameters=model)
    return xf.water.from_reflectance(**given, parameters=model)


def scores(mu: xr.DataArray, truth: xr.DataArray) -> tuple[float, float, float]:
    known = np.isfinite(truth) & np.isfinite(mu)
    p, t = mu.where(known).clip(1e-7, 1 - 1e-7), truth.where(known)
    water = (p > 0.5) & known
    iou = float((water & (t == 1)).sum() / (water | (t == 1)).sum())
    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    return round(iou, 3), round(float(((p - t) ** 2).mean()), 3), round(float(loss.mean()), 3)


NAMES = ("Spain", "282D_485L_3_3", "433D_629L_3_1")


@pytest.fixture(scope="module")
def chips(shared_data: Path) -> dict[str, Chip]:
    return {name: chip(shared_data, name) for name in NAMES}


def by_tiles(bands: dict[str, xr.DataArray], truth: xr.DataArray, names: list[str]) -> xr.DataArray:
    """Return what every second tile of 64 pixels gets by parameters fitted to those between."""
    rows, columns = np.indices(truth.shape) // 64
    is_black = truth.copy(data=(rows + columns) % 2 == 1)
    tile = truth.copy(data=rows * 100 + columns)
    water = xr.full_like(truth, np.nan)
    for tried in (is_black, ~is_black):
        given = {name: bands[name] for name in names}
        model = xf.water.fit(given, truth.where(~tried), groups=tile)
        water = xr.where(tried, retrieved(bands, names, model).mu, water)
    return water


def by_other_chips(chips: dict[str, Chip], name: str, names: list[str]) -> xr.DataArray:
    others = [chips[other] for other in NAMES if other != name]
    bands = {}
    for n in names:
        flat = np.concatenate([b[n].to_numpy().ravel() for b, _ in others])
        bands[n] = xr.DataArray(flat[None], dims=("y", "x"), attrs=others[0][0][n].attrs)
    truth = np.concatenate([t.to_numpy().ravel() for _, t in others])
    of = np.concatenate([np.full(t.size, i) for i, (_, t) in enumerate(others)])
    model = xf.water.fit(
        bands, bands[n].copy(data=truth[None]), groups=bands[n].copy(data=of[None])
    )
    water: xr.DataArray = retrieved(chips[name][0], names, model).mu
    return water


def table(chips: dict[str, Chip]) -> str:
    """Return the table of docs/water.md: python -m tests.test_water_fit prints it."""
    lines = []
    for name in NAMES:
        bands, truth = chips[name]
        for sensor, of in SENSORS.items():
            found = [
                retrieved(bands, of).mu,
                by_tiles(bands, truth, of),
                by_other_chips(chips, name, of),
            ]
            cells = [" / ".join(f"{v:.3f}" for v in scores(mu, truth)) for mu in found]
            lines.append(f"| {name} | {sensor} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def test_the_page_says_what_the_retrievals_are_worth_on_the_real_chips(
    chips: dict[str, Chip],
) -> None:
    page = (Path(__file__).parents[1] / "docs/water.md").read_text()
    assert table(chips) in page


def test_published_parameters_reach_the_recipe_on_the_hand_drawn_chip(
    chips: dict[str, Chip],
) -> None:
    bands, truth = chips["Spain"]
    found = {s: scores(retrieved(bands, of).mu, truth)[0] for s, of in SENSORS.items()}
    assert found["VV"] >= 0.55
    assert found["VV, VH"] >= 0.55
    assert found["MNDWI, NDWI"] >= 0.696


if __name__ == "__main__":
    folder = Path(__file__).parents[2] / "shared/data"
    print(table({name: chip(folder, name) for name in NAMES}))
