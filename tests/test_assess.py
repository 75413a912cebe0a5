"""Scores against scikit-learn and plain numpy: wet and dry, any weights, any excluded pixels."""

import warnings
from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401  # registers .rio
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

import xfusion as xf
from tests import score_oracle
from tests.fuzzing import on
from xfusion.datamodel.pixel_area import PixelArea

GRIDS = {
    "degrees": GeoBox((90, 130), Affine(0.1, 0, 16, 0, -0.1, 70), "EPSG:4326"),
    "UTM": GeoBox((90, 130), Affine(3000, 0, 2e5, 0, -3000, 6e6), "EPSG:32633"),
    "Mercator": GeoBox((90, 130), Affine(2e4, 0, 1e6, 0, -2e4, 9e6), "EPSG:3857"),
}
# these are of counts at the threshold or of sums over pixels, the others of bins
EXACT = ("iou", "f1", "precision", "recall", "accuracy", "kappa", "bias", "brier", "z2")
SHAPES = {
    "uniform": lambda rng, shape: rng.random(shape),
    "sure": lambda rng, shape: rng.beta(0.15, 0.3, shape).clip(3e-7, 1 - 3e-7),
    "of ten passes": lambda rng, shape: rng.integers(0, 11, shape) / 10,
    "saturated": lambda rng, shape: np.round(rng.beta(0.1, 0.2, shape)) * (1 - 1e-5) + 5e-6,
}


def water(
    grid: GeoBox, *, seed: int = 0, dtype: str = "float64", shape: str = "sure", masked: float = 0.3
) -> tuple[xr.Dataset, xr.DataArray]:
    """A map with all that a pixel can be, and the truth it was drawn from, with gaps."""
    rng = np.random.default_rng(seed)
    size = grid.shape.yx
    mu = SHAPES[shape](rng, size).astype(dtype)
    truth = (rng.random(size) < 0.1 + 0.7 * mu).astype(np.float32)
    truth[rng.random(size) < 0.1] = np.nan
    sigma = rng.uniform(0.05, 1, size).astype(dtype)
    mask = (rng.random(size) < masked).astype(np.uint8) * np.uint8(xf.Exclusion.CLOUD)
    mu[rng.random(size) < 0.03] = np.nan
    sigma[rng.random(size) < 0.03] = np.nan
    return xf.retrieval(on(grid, mu), on(grid, sigma), on(grid, mask)), on(grid, truth)


def area(grid: GeoBox) -> NDArray[Any]:
    rows, columns = grid.shape
    block = PixelArea(grid).of_block(slice(0, rows), slice(0, columns))
    return np.broadcast_to(block, grid.shape.yx)


def compared(
    scores: xr.Dataset, mu: NDArray[Any], truth: NDArray[Any], weight: NDArray[Any], **options: Any
) -> None:
    """Compare scores with those of the oracle, of the pixels that are scored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of precision where nothing is predicted
        expected = score_oracle.binary(mu, truth, weight, **options)
    rtol = 1e-6 if mu.dtype == np.float32 else 1e-10
    for name, value in expected.items():
        relative, absolute = (rtol, 1e-13) if name in EXACT else (0.0, 1e-3)
        found = scores[name].to_numpy()
        np.testing.assert_allclose(found, value, rtol=relative, atol=absolute, err_msg=name)
    assert int(scores["count"]) == mu.size


@pytest.mark.some(one_in=5)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.123456])
def test_scores_are_those_of_scikit_learn(dtype: str, shape: str, threshold: float) -> None:
    grid = GRIDS["UTM"]
    retrieval, reference = water(grid, dtype=dtype, shape=shape)
    scores = xf.assess(retrieval, reference, threshold=threshold, weights="equal")
    mu, truth, usable = retrieval.mu.values, reference.values, retrieval.fusion.usable.values
    known = ~np.isnan(truth)
    for pixels, here in (("all", known & ~np.isnan(mu)), ("usable", known & usable)):
        ones = np.ones(here.sum())
        options = {"threshold": np.dtype(dtype).type(threshold)}
        compared(scores.sel(pixels=pixels), mu[here], truth[here], ones, **options)
    z2 = ((mu - truth) / retrieval.sigma.values)[known & usable] ** 2
    np.testing.assert_allclose(scores.z2.sel(pixels="usable"), z2.mean(), rtol=1e-6)


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("excluded", ["wet", "dry", "score"])
def test_pixels_that_are_not_usable_count_as_they_are_told_to(excluded: Any) -> None:
    grid = GRIDS["UTM"]
    retrieval, reference = water(grid)
    scores = xf.assess(retrieval, reference, excluded=excluded, weights=None)
    mu, truth, usable = retrieval.mu.values, reference.values, retrieval.fusion.usable.values
    stand_in = {"wet": 1.0, "dry": 0.0}.get(excluded)
    told = mu if stand_in is None else np.where(usable, mu, stand_in)
    here = ~np.isnan(truth) & ~np.isnan(told)
    compared(scores.sel(pixels="all"), told[here], truth[here], np.ones(here.sum()))
    known = ~np.isnan(truth)
    assert int(scores.unscored.sel(pixels="all")) == (known & ~here).sum()
    assert int(scores.unscored.sel(pixels="usable")) == (known & ~usable).sum()
    # of z^2 a pixel without mu or sigma of its own has no part
    counted = here & usable
    if excluded == "score":
        counted = here & ~np.isnan(retrieval.sigma.values)
    z2 = ((mu - truth) / retrieval.sigma.values)[counted] ** 2
    np.testing.assert_allclose(scores.z2.sel(pixels="all"), z2.mean(), rtol=1e-10)


@pytest.mark.parametrize("name", GRIDS)
def test_pixels_weigh_as_much_as_their_area_on_the_ellipsoid(name: str) -> None:
    grid = GRIDS[name]
    retrieval, reference = water(grid)
    scores = xf.assess(retrieval, reference)
    assert scores.attrs["weights"] == "area"
    mu, truth = retrieval.mu.values, reference.values
    here = ~np.isnan(truth) & ~np.isnan(mu)
    compared(scores.sel(pixels="all"), mu[here], truth[here], area(grid)[here])
    wet = area(grid)[here & (truth == 1)].sum()
    np.testing.assert_allclose(scores.wet.sel(pixels="all").sum(), wet, rtol=1e-6)
    assert scores.wet.attrs["units"] == "km2"


def test_weights_of_an_array_leave_out_what_has_none() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    rng = np.random.default_rng(5)
    weight = rng.random(reference.shape) * 1e-9
    weight[rng.random(reference.shape) < 0.2] = 0
    weight[rng.random(reference.shape) < 0.2] = np.nan
    scores = xf.assess(retrieval, reference, weights=on(GRIDS["UTM"], weight))
    mu, truth = retrieval.mu.values, reference.values
    here = ~np.isnan(truth) & ~np.isnan(mu) & (weight > 0)
    compared(scores.sel(pixels="all"), mu[here], truth[here], weight[here])
    with pytest.raises(ValueError, match=r"weights has the value -1.0.*weights.where"):
        xf.assess(retrieval, reference, weights=on(GRIDS["UTM"], weight * 0 - 1))


def test_without_a_place_on_the_earth_pixels_weigh_the_same() -> None:
    mu, truth = np.array([[0.9, 0.2, 0.6]]), xr.DataArray([[1, 0, 0]], dims=("y", "x"))
    scores = xf.assess(xf.retrieval(mu, 0.1), truth)
    assert scores.attrs["weights"] == "equal, no CRS"
    assert scores.iou.values.tolist() == [0.5, 0.5]
    assert scores.wet.attrs["units"] == "1"
    site = xf.retrieval(on(GRIDS["UTM"], np.full((90, 130), 0.7)), 0.1)
    site = site.rio.write_crs('LOCAL_CS["a building site",UNIT["metre",1]]')
    truth = xr.ones_like(site.mu, np.uint8)
    assert xf.assess(site, truth).attrs["weights"] == "equal, local CRS"


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_other_threshold_is_read_from_the_bins(threshold: float, dtype: str) -> None:
    retrieval, reference = water(GRIDS["UTM"], dtype=dtype, shape="of ten passes")
    read = xf.assess(retrieval, reference, threshold=0.55)
    exact = xf.assess(retrieval, reference, threshold=threshold)
    above = {"mu_bin": slice(threshold, None)}
    true, false = (read[name].sel(above).sum("mu_bin") for name in ("wet", "dry"))
    iou = true / (read.wet.sum("mu_bin") + false)
    np.testing.assert_allclose(iou, exact.iou, rtol=1e-12)


def test_the_best_threshold_has_the_best_iou() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    scores = xf.assess(retrieval, reference).sel(pixels="usable")
    again = xf.assess(retrieval, reference, threshold=float(scores.best_threshold))
    np.testing.assert_allclose(again.iou.sel(pixels="usable"), scores.best_iou, rtol=1e-12)
    # as good as any from 0.2 to 0.8 is the one in the middle
    sure = xf.retrieval(np.array([[0.8, 0.2]]), 0.1)
    truth = xr.DataArray([[1, 0]], dims=("y", "x"))
    assert xf.assess(sure, truth).best_threshold.values.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("value", [0.0, 1e-9, 1e-7, 1e-6, 1e-5, 1e-3, 0.02, 0.0501, 0.3])
@pytest.mark.parametrize("near", [0, 1])
def test_log_loss_is_right_near_0_and_1(value: float, near: int) -> None:
    p = abs(near - value)
    retrieval = xf.retrieval(np.full((3, 4), p), 0.1)
    truth = xr.zeros_like(retrieval.mu, np.uint8)
    truth[0] = 1
    loss = xf.assess(retrieval, truth, weights=None).log_loss.sel(pixels="all")
    clipped = np.clip(p, 2.0**-23, 1 - 2.0**-23)
    np.testing.assert_allclose(loss, -(np.log(clipped) + 2 * np.log1p(-clipped)) / 3, rtol=1e-6)


def test_scores_that_are_not_defined_are_missing_without_a_warning() -> None:
    dry = xf.retrieval(np.array([[0.1, 0.2]]), 0.1)
    zeros = xr.DataArray([[0, 0]], dims=("y", "x"))
    scores = xf.assess(dry, zeros).sel(pixels="all")
    undefined = {"iou", "f1", "precision", "recall", "bias", "kappa", "average_precision"}
    undefined |= {"roc_auc", "best_threshold", "best_iou"}
    assert {name for name in scores if scores[name].isnull().all()} == undefined
    nothing = xf.assess(dry, zeros * np.nan)
    assert nothing["count"].values.tolist() == [0, 0]
    assert all(nothing[name].isnull().all() for name in (*undefined, "brier", "log_loss", "z2"))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_no_pixels_have_no_scores(shape: tuple[int, int]) -> None:
    empty = xf.retrieval(np.empty(shape), np.empty(shape))
    scores = xf.assess(empty, xr.zeros_like(empty.mu, np.uint8))
    assert scores["count"].values.tolist() == [0, 0]
    assert scores.iou.isnull().all()
    assert xf.assess(empty.chunk(), empty.mu, kind="continuous").compute().rmse.isnull().all()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int64", "float32", "float64"])
def test_a_reference_of_any_dtype_says_the_same(dtype: str) -> None:
    retrieval, reference = water(GRIDS["UTM"])
    known = reference.notnull()
    plain = reference.fillna(0).astype(dtype).where(known) if dtype == "float32" else None
    nodata = 0 if dtype == "bool" else -1 if dtype[0] in "if" else 255
    if plain is None:
        plain = xr.where(known, reference, nodata).astype(dtype).assign_coords(reference.coords)
        if dtype != "bool":
            plain.attrs["_FillValue"] = np.dtype(dtype).type(nodata)
    expected = xf.assess(retrieval, reference if dtype != "bool" else reference.fillna(0))
    xr.testing.assert_equal(xf.assess(retrieval, plain), expected)


def test_several_values_may_be_no_data() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    codes = reference.fillna(7).astype(np.uint8)
    codes[0] = 9
    codes.attrs = {"nodata": 7, "missing_value": 9}
    expected = reference.copy()
    expected[0] = np.nan
    xr.testing.assert_equal(xf.assess(retrieval, codes), xf.assess(retrieval, expected))
    floats = codes.astype(np.float32).assign_attrs(codes.attrs)
    xr.testing.assert_equal(xf.assess(retrieval, floats), xf.assess(retrieval, expected))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64"])
def test_a_reference_that_is_neither_wet_nor_dry_is_named(dtype: str) -> None:
    retrieval, reference = water(GRIDS["UTM"])
    wrong = reference.fillna(0).astype(dtype)
    wrong[3, 4] = 2
    said = r"value 2(\.0)?, which is neither 0, dry, nor 1.*attrs\['nodata'\] = 2.*where"
    with pytest.raises(ValueError, match=said):
        xf.assess(retrieval, wrong, kind="binary")
    lazy = xf.assess(retrieval.chunk(), wrong.chunk(), kind="binary")
    with pytest.raises(ValueError, match=said):
        lazy.compute()


def test_a_mu_that_is_no_probability_is_named() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    decibels = retrieval.assign(mu=retrieval.mu * -20)
    with pytest.raises(ValueError, match=r"mu has the value -.*no probability.*continuous"):
        xf.assess(decibels, reference)
    rounded = retrieval.assign(mu=retrieval.mu.clip(1, 1) + 5e-7)
    assert float(xf.assess(rounded, reference).roc_auc.sel(pixels="all")) == 0.5


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("threshold", 1.5, "probability from 0 to 1"),
        ("threshold", "half", "probability from 0 to 1"),
        ("excluded", "water", "must be one of"),
        ("bootstrap", -1, "whole number"),
        ("bootstrap", 2.5, "whole number"),
        ("block", 64, "give bootstrap=1000"),
        ("kind", "class", "'binary', 'continuous'"),
        ("weights", "sigma", "'area', 'equal'"),
        ("by", "scene", "DataArray of labels"),
        ("by", "source", "lacks 'source'"),
        ("sigma_floor", -1, ">= 0"),
    ],
)
def test_an_option_that_means_nothing_is_refused(option: str, value: Any, said: str) -> None:
    retrieval, reference = water(GRIDS["UTM"])
    with pytest.raises(ValueError, match=said):
        xf.assess(retrieval, reference, **{option: value})


def test_a_reference_on_another_grid_is_refused() -> None:
    retrieval, _ = water(GRIDS["UTM"])
    _, elsewhere = water(GRIDS["degrees"])
    with pytest.raises(ValueError, match="reproject_match"):
        xf.assess(retrieval, elsewhere)
    with pytest.raises(TypeError, match="not a DataArray"):
        xf.assess(retrieval, elsewhere.values)  # type: ignore[arg-type]  # what is tested


def test_what_a_reference_is_shows_in_it() -> None:
    retrieval, reference = water(GRIDS["UTM"])

    def kind(truth: xr.DataArray, of: xr.Dataset = retrieval) -> str:
        return str(xf.assess(of, truth).attrs["kind"])

    assert kind(reference) == "binary"
    assert kind(reference.fillna(0).astype(bool)) == "binary"
    assert kind(reference * 0.5) == "continuous"
    assert kind((reference * 0.5).chunk().fillna(0) > 0.2) == "binary"
    of_file = reference.copy()
    of_file.encoding = {"rasterio_dtype": "uint8", "dtype": "uint8"}
    assert kind(of_file.chunk()) == "binary"
    metres = retrieval.assign(mu=retrieval.mu.assign_attrs(units="m"))
    in_metres = reference.assign_attrs(units="m")
    assert kind(in_metres.chunk(), metres) == "continuous"
    assert kind(in_metres, metres) == "continuous"
    with pytest.raises(ValueError, match=r"in None, mu in 'm'.*reference\.attrs\['units'\]"):
        kind(reference, metres)
    declared = reference.fillna(-9999).assign_attrs(nodata=-9999)
    assert kind(declared) == "binary"


@pytest.mark.parametrize("lazy", [False, True])
def test_a_fill_value_of_an_excluded_pixel_is_said_to_be_one(lazy: bool) -> None:
    cloud = np.array([[0, 1]], np.uint8)
    water = xf.retrieval(np.array([[0.9, 255.0]]), 0.1, cloud)
    truth = water.mu.copy(data=[[1.0, 0.0]])
    asked = water.chunk(x=1) if lazy else water
    said = r"255\.0, .*not usable, its mask is 1.*excluded='dry'.*mu\.where\(usable\).*\['nodata'\]"
    with pytest.raises(ValueError, match=said):
        xf.assess(asked, truth, kind="binary").compute()
    # each of what it says mends it
    declared = water.mu.assign_attrs(nodata=255.0)
    mended = [
        xf.assess(asked, truth, kind="binary", excluded="dry"),
        xf.assess(asked.assign(mu=asked.mu.where(asked.fusion.usable)), truth, kind="binary"),
        xf.assess(xf.retrieval(declared, 0.1, water["mask"]), truth, kind="binary"),
    ]
    assert [int(scores["count"][0]) for scores in mended] == [2, 1, 1]
    broken = xf.retrieval(water.mu, np.array([[0.1, -1.0]]))
    with pytest.raises(ValueError, match=r"not usable, its sigma is -1\.0"):
        xf.assess(broken, truth, kind="binary")
    with pytest.raises(ValueError, match=r"value 7\.0, which is no probability .*: give one"):
        xf.assess(water.assign(mu=water.mu.copy(data=[[7.0, 255.0]])), truth, kind="binary")


def test_a_series_is_scored_over_all_its_times() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    other, truth = water(GRIDS["UTM"], seed=1)
    times = [np.datetime64("2023-06-20", "ns"), np.datetime64("2023-06-26", "ns")]
    series = xr.concat([retrieval, other], "time").assign_coords(time=times)
    both = xr.concat([reference, truth], "time").assign_coords(time=times)
    scores = xf.assess(series, both)
    assert int(scores["count"].sel(pixels="all")) == sum(
        int(xf.assess(a, b)["count"].sel(pixels="all"))
        for a, b in ((retrieval, reference), (other, truth))
    )
    # whatever the order of dims, and one reference for all times
    turned = series.transpose("x", "time", "y")
    xr.testing.assert_equal(xf.assess(turned, both), scores)
    same = xr.concat([reference, reference], "time").assign_coords(time=times)
    xr.testing.assert_equal(xf.assess(series, reference), xf.assess(series, same))


def test_points_without_rows_and_columns_are_scored() -> None:
    mu = xr.DataArray([0.9, 0.2, 0.8], dims="station")
    points = xf.retrieval(mu, 0.1)
    truth = xr.DataArray([1, 0, 0], dims="station")
    assert xf.assess(points, truth).iou.values.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="no rows and columns"):
        xf.assess(points, truth, bootstrap=10)


def test_accessor_and_product_give_the_same() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    scores = xf.assess(retrieval, reference)
    xr.testing.assert_identical(retrieval.fusion.assess(reference), scores)
    product = xf.Sentinel1Product(dataset=retrieval)
    of_product = product.assess(reference)
    assert of_product.attrs["sensor"] == "sentinel-1"
    xr.testing.assert_equal(of_product, scores)


def test_input_is_left_as_it_was() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    reference.attrs["nodata"] = 255
    before = retrieval.copy(deep=True), reference.copy(deep=True)
    xf.assess(retrieval, reference, by="mask", bootstrap=5)
    xr.testing.assert_identical(retrieval, before[0])
    xr.testing.assert_identical(reference, before[1])


def test_the_result_says_how_it_was_made_and_can_be_written(tmp_path: Any) -> None:
    retrieval, reference = water(GRIDS["UTM"])
    scores = xf.assess(retrieval.assign_coords(time=np.datetime64("2023-06-20", "ns")), reference)
    assert scores.attrs["threshold"] == 0.5
    assert scores.attrs["excluded"] == "score"
    assert all("long_name" in v.attrs and "units" in v.attrs for v in scores.values())
    scores.to_netcdf(tmp_path / "scores.nc")
    with xr.open_dataset(tmp_path / "scores.nc") as again:
        xr.testing.assert_allclose(again.load(), scores)
