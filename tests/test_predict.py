"""Predictions tile by tile: equal to those of the whole scene, in any blocks, for any passes."""

import pickle
import threading
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import cloudpickle
import dask
import dask.array
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from tests.laziness import nothing_computes
from xfusion.kernels.running_moments import RunningMoments
from xfusion.models.returned import derived
from xfusion.models.tile_grid import TileGrid

UNKNOWN = int(xf.Exclusion.UNKNOWN)
ONE_DRAW = pytest.mark.filterwarnings("ignore:passes=1 of the model:UserWarning")


def scene(bands: int = 2, shape: tuple[int, int] = (70, 90), dtype: Any = np.float32) -> Any:
    rng = np.random.default_rng(0)
    pixels = rng.random((bands, *shape)).astype(dtype)
    coords = xr_coords(GeoBox.from_bbox((0, 0, 900, 700), "EPSG:32633", shape=shape))
    labels = {"band": ["vv", "vh", "slope"][:bands]}
    return xr.DataArray(pixels, {**labels, **coords}, ("band", "y", "x"))


def blurred(pixels: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Convolve with 5 x 5 weights of each band, zeros around, in one order of sums."""
    rows, columns = pixels.shape[-2:]
    padded = np.pad(pixels, [(0, 0), (0, 0), (2, 2), (2, 2)])
    total = np.zeros((len(pixels), rows, columns), pixels.dtype)
    for band, of_band in enumerate(weights):
        for i, j in np.ndindex(of_band.shape):
            total += of_band[i, j] * padded[:, band, i : i + rows, j : j + columns]
    return total


def drawn(seed: int) -> NDArray[Any]:
    return np.random.default_rng(seed).random((2, 5, 5)).astype(np.float32)


def convolution(pixels: NDArray[Any], seed: int = 0) -> NDArray[Any]:
    """A fully convolutional model whose weights are those of a pass."""
    return blurred(pixels, drawn(seed))


def steady(pixels: NDArray[Any]) -> NDArray[Any]:
    result: NDArray[Any] = pixels.mean(axis=1)
    return result


def recorded(model: Callable[..., Any]) -> tuple[Callable[..., Any], list[Any]]:
    calls: list[Any] = []

    def with_record(pixels: NDArray[Any], seed: int, tile_seeds: list[int]) -> Any:
        calls.append((seed, tuple(tile_seeds), pixels.shape))
        return model(pixels)

    return with_record, calls


# Tiles


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(0, 9), st.data())
def test_every_pixel_is_kept_once_from_a_tile_that_sees_around_it(
    rows: int, columns: int, tile: int, overlap: int, data: Any
) -> None:
    tile = max(tile, 2 * overlap + 1)
    grid = TileGrid((rows, columns), tile, overlap, data.draw(st.integers(1, 9)))
    kept = np.zeros((rows, columns), int)
    edges = [np.concatenate([[0], np.cumsum(sizes)]) for sizes in grid.blocks]
    numbers = []
    for i, j in np.ndindex(*map(len, grid.blocks)):
        block = grid.block(i, j)
        assert len(block.tiles) <= grid.batch
        for each in block.tiles:
            numbers.append(each.number)
            for axis, length in enumerate((rows, columns)):
                first = edges[axis][(i, j)[axis]] + each.kept[axis].start
                seen = block.seen[axis].start + each.seen[axis].start
                assert each.seen[axis].stop - each.seen[axis].start == tile
                assert seen + each.middle[axis].start == first
                assert first - max(0, first - overlap) <= each.middle[axis].start
                stop = seen + each.middle[axis].stop
                assert min(length, stop + overlap) <= seen + tile
            kept[edges[0][i] :, edges[1][j] :][each.kept] += 1
    assert (kept == 1).all()
    assert len({*numbers}) == len(numbers)


@ONE_DRAW
@pytest.mark.parametrize("tile", [16, 40, 70])
def test_a_convolution_over_tiles_is_that_over_the_scene_bit_for_bit(tile: int) -> None:
    bands = scene()
    options: dict[str, Any] = {"seed": 3, "overlap": 2, "batch": 5}
    one = xf.predict(bands, convolution, sigma=0.1, tile=tile, **options)
    whole = blurred(bands.to_numpy()[None], drawn(derived(3, 0)))[0]
    np.testing.assert_array_equal(one.mu, whole)
    found = xf.predict(bands, convolution, passes=5, tile=tile, **options)
    passes = [blurred(bands.to_numpy()[None], drawn(derived(3, k)))[0] for k in range(5)]
    moments = RunningMoments(whole.shape)
    for each in passes:
        moments.add(each)
    np.testing.assert_array_equal(found.mu, moments.mean.astype(np.float32))
    sigma = moments.deviation * np.sqrt(4 / 2)
    np.testing.assert_array_equal(found.sigma, sigma.astype(np.float32))


def test_passes_are_the_retrieval_that_all_their_samples_at_once_would_be() -> None:
    bands = scene()
    found = xf.predict(bands, convolution, passes=9, seed=3, tile=30, overlap=4, sensor="s1")
    passes = [blurred(bands.to_numpy()[None], drawn(derived(3, k)))[0] for k in range(9)]
    samples = bands.isel(band=0, drop=True).expand_dims(sample=9).copy(data=np.stack(passes))
    expected = samples.astype(np.float64).fusion.from_samples("sample", sensor="s1")
    xr.testing.assert_allclose(found[["mu", "sigma"]].astype(float), expected, rtol=1e-6)
    assert found.attrs["passes"] == expected.attrs["passes"] == 9
    assert found.attrs["sensor"] == "s1"
    assert found.mu.dtype == found.sigma.dtype == np.float32
    assert not found.mask.any()
    with pytest.warns(UserWarning, match="3 samples of the model: .*too little"):
        few = xf.predict(bands, convolution, passes=3, seed=3, tile=30, overlap=4)
    with pytest.warns(UserWarning, match="3 samples along 'sample'"):
        also = samples[:3].fusion.from_samples("sample")
    np.testing.assert_allclose(few.sigma, also.sigma, rtol=1e-5)


@ONE_DRAW
@pytest.mark.parametrize("shape", [(1, 1), (5, 90), (64, 64), (65, 63)])
def test_a_model_sees_tiles_of_one_size_whatever_the_scene(shape: tuple[int, int]) -> None:
    model, calls = recorded(steady)
    found = xf.predict(scene(shape=shape), model, tile=32, overlap=4, sigma=0.1)
    np.testing.assert_array_equal(found.mu, steady(scene(shape=shape).to_numpy()[None])[0])
    assert {shape[1:] for *_, shape in calls} == {(2, 32, 32)}


# Laziness


@pytest.mark.parametrize("chunks", [(2, 70, 90), (1, 13, 17), (2, (1, 69), (89, 1))])
def test_blocks_change_nothing_and_nothing_is_computed_before(chunks: Any) -> None:
    bands = scene().where(scene() > 0.01)
    options: dict[str, Any] = {"passes": 5, "seed": 1, "tile": 32, "overlap": 5, "batch": 3}
    eager = xf.predict(bands, noisy, **options)
    with nothing_computes():
        lazy = xf.predict(bands.chunk(dict(zip(bands.dims, chunks, strict=True))), noisy, **options)
        assert lazy.mu.chunks is not None
    xr.testing.assert_identical(lazy.compute(), eager)
    as_dataset = lazy_dataset(bands)
    with dask.config.set(scheduler="sync"):
        found = xf.predict(as_dataset, noisy, **options)
        xr.testing.assert_equal(found.compute(), eager)


def lazy_dataset(bands: xr.DataArray) -> xr.Dataset:
    dataset = bands.to_dataset("band")
    return dataset.assign(vv=dataset.vv.chunk(x=31), vh=dataset.vh.chunk(y=9))


def noisy(pixels: NDArray[Any], seed: int, tile_seeds: list[int]) -> NDArray[Any]:
    """Noise of a pass, and of each tile."""
    each = [np.random.default_rng(s).normal(0, 0.1, pixels.shape[2:]) for s in tile_seeds]
    return convolution(pixels, seed) + np.stack(each).astype(np.float32)


def test_a_graph_grows_with_blocks_of_the_result_and_has_the_model_once() -> None:
    sizes = []
    for rows in (64, 128):
        lazy = xf.predict(scene(shape=(rows, 64)).chunk(y=8), steady, tile=16, overlap=4, sigma=0.1)
        blocks = lazy.mu.data.npartitions
        layer = next(v for k, v in lazy.mu.data.dask.layers.items() if k.startswith("predict"))
        sizes.append(len(dict(layer)) - blocks)
    assert sizes == [1, 1]


def test_it_runs_in_other_processes_with_a_model_that_only_cloudpickle_knows() -> None:
    factor = 0.5
    bands = scene(shape=(40, 40)).chunk(y=20)
    lazy = xf.predict(bands, lambda pixels: factor * pixels[:, 0], tile=32, overlap=4, sigma=0.1)
    again = cloudpickle.loads(cloudpickle.dumps(lazy))
    xr.testing.assert_identical(again.compute(), lazy.compute())
    with dask.config.set(scheduler="processes", num_workers=1):
        xr.testing.assert_identical(lazy.compute(), again.compute(scheduler="sync"))


def test_memory_is_that_of_two_passes_for_any_number() -> None:
    bands = scene(shape=(256, 256))
    peaks = []
    for passes in (5, 40):
        tracemalloc.start()
        xf.predict(bands, convolution, passes=passes, seed=0, tile=128, overlap=8, batch=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_memory_is_that_of_blocks_for_any_area() -> None:
    peaks = []
    for rows in (512, 4096):
        made = dask.array.ones((1, rows, 256), chunks=(1, 64, 256), dtype=np.float32)
        bands = xr.DataArray(made, dims=("band", "y", "x"))
        lazy = xf.predict(bands, steady, tile=256, overlap=8, batch=1, sigma=0.1)
        tracemalloc.start()
        with dask.config.set(scheduler="sync"):
            lazy.mu.data.sum().compute()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


# Noise


def test_the_seed_of_a_pass_is_that_of_all_tiles_and_each_tile_has_one_of_its_own() -> None:
    model, calls = recorded(steady)
    xf.predict(scene(), model, passes=4, seed=9, tile=32, overlap=4, batch=2)
    assert {seed for seed, *_ in calls} == {derived(9, k) for k in range(4)}
    of_tiles = [s for _, seeds, _ in calls for s in seeds]
    assert len({*of_tiles}) == len(of_tiles) == 4 * 3 * 4


def test_a_seed_decides_all_and_without_one_it_is_noted_which_it_was() -> None:
    bands = scene()
    one, other = (xf.predict(bands, noisy, passes=4, tile=32, overlap=4) for _ in range(2))
    assert not one.mu.equals(other.mu)
    again = xf.predict(
        bands, noisy, passes=4, tile=32, overlap=4, seed=one.attrs["prediction_seed"]
    )
    xr.testing.assert_identical(again, one)


# What a model returns


def test_samples_passes_and_ensembles_count_together() -> None:
    bands = scene()

    def two(pixels: NDArray[Any], seed: int) -> NDArray[Any]:
        return np.stack([convolution(pixels, seed), convolution(pixels, seed + 1)], axis=1)

    several = xf.models.ensemble([xf.models.samples(two, 2), convolution])
    found = xf.predict(bands, several, passes=3, seed=1, tile=40, overlap=2)
    seeds = [[derived(derived(1, k), member) for member in range(2)] for k in range(3)]
    drawn_with = [s for a, b in seeds for s in (a, a + 1, b)]
    pixels = bands.to_numpy()[None]
    samples = np.stack([convolution(pixels, s)[0] for s in drawn_with]).astype(np.float64)
    assert found.attrs["passes"] == 9
    np.testing.assert_allclose(found.mu, samples.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.sigma, samples.std(0, ddof=1) * np.sqrt(8 / 6), rtol=1e-5)
    assert found.attrs["prediction_model"] == "ensemble of 2: two, convolution"


@ONE_DRAW
@pytest.mark.parametrize("log", [False, True])
def test_a_variance_of_the_model_and_the_spread_of_passes_are_kept_apart(log: bool) -> None:
    def head(pixels: NDArray[Any], seed: int) -> tuple[Any, Any]:
        variance = 0.01 + pixels[:, 1]
        return convolution(pixels, seed), np.log(variance) if log else variance

    bands = scene(dtype=np.float64)
    model = xf.models.mean_and_variance(head, log=log)
    found = xf.predict(bands, model, passes=6, seed=0, tile=40, overlap=4)
    spread = xf.predict(bands, convolution, passes=6, seed=0, tile=40, overlap=4).sigma
    np.testing.assert_allclose(found.sigma_epistemic, spread)
    np.testing.assert_allclose(found.sigma_aleatoric**2, 0.01 + bands[1])
    np.testing.assert_allclose(found.sigma**2, spread**2 + 0.01 + bands[1])
    assert found.mu.attrs["ancillary_variables"] == "sigma mask sigma_epistemic sigma_aleatoric"
    with pytest.raises(ValueError, match="sigma holds the aleatoric part already, 'variance of"):
        found.fusion.add_aleatoric()
    one = xf.predict(bands, model, seed=0)
    np.testing.assert_allclose(one.sigma**2, 0.01 + bands[1])
    assert "passes" not in one.attrs
    assert "sigma_epistemic" not in one


def test_one_mean_has_the_sigma_it_is_given_and_else_is_refused() -> None:
    found = xf.predict(scene(), steady, sigma=0.0)
    assert (found.sigma == 0).all()
    made = found.fusion.add_aleatoric()
    np.testing.assert_allclose(made.sigma**2, found.mu * (1 - found.mu), rtol=1e-5)
    with pytest.raises(ValueError, match=r"tells nothing of sigma: passes=20 .*ensemble.*add_alea"):
        xf.predict(scene(), steady)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            lambda p: p,
            r"returned float32 of shape \(\d, 2, 32, 32\) .* not floats of shape \(\d, 32",
        ),
        (
            lambda p: p[0, 0],
            r"of shape \(32, 32\) of pixels of shape \(\d, 2, 32, 32\), not floats",
        ),
        (lambda p: p[:, 0, 1:], r"of shape \(\d, 31, 32\)"),
        (
            lambda p: (p[:, 0], p[:, 1]),
            r"returned tuple of 2 .*xf.models.mean_and_variance\(model\)",
        ),
        (lambda p: p[:, 0] > 0.5, r"returned bool of shape"),
        (lambda p: None, r"returned NoneType"),
        (lambda p: p[:, 0] * np.nan, r"has the mean nan in \d+ pixels of a tile where all bands"),
        (lambda p: p[:, 0] / np.float32(0), r"returned inf, bounded"),
        (lambda p: p[:, 0] + 1, r"returned 1\.\d+, bounded=\(0, 1\): end it .* sigmoid"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_is_no_prediction_is_refused_with_what_it_should_be(
    returned: Any, message: str
) -> None:
    bands = scene()
    with pytest.raises(ValueError, match=message):
        xf.predict(bands, returned, sigma=0.1, bounded=(0, 1), tile=32, overlap=4)


def test_samples_and_variances_are_what_they_are_said_to_be() -> None:
    said = xf.models.samples(lambda p: p, 3)
    with pytest.raises(ValueError, match=r"not 3 samples of them, floats of shape \(1, 3, 512"):
        xf.predict(scene(), said, correct_few=False)
    with pytest.raises(ValueError, match="not a mean and a variance"):
        xf.predict(scene(), xf.models.mean_and_variance(steady))
    negative = xf.models.mean_and_variance(lambda p: (p[:, 0], -p[:, 1]))
    with pytest.raises(ValueError, match="standard deviation nan .* no negative variance"):
        xf.predict(scene(), negative)


def test_a_model_cannot_change_what_the_next_pass_is_given() -> None:
    def careless(pixels: NDArray[Any], seed: int) -> NDArray[Any]:
        pixels -= 1
        return pixels[:, 0]

    with pytest.raises(ValueError, match="read-only"):
        xf.predict(scene(), careless, passes=5)


# Missing bands


def test_a_pixel_where_a_band_is_missing_is_missing_and_what_a_model_sees_there_is_said() -> None:
    bands = scene()
    bands[0, 10, 20], bands[1, 50:, :] = np.nan, np.inf
    seen: list[Any] = []
    lock = threading.Lock()

    def model(pixels: NDArray[Any]) -> NDArray[Any]:
        with lock:
            seen.append(pixels)
        return pixels[:, 0]

    found = xf.predict(bands, model, tile=32, overlap=4, sigma=0.1, fill=-5.0)
    missing = ~np.isfinite(bands).all("band").to_numpy()
    np.testing.assert_array_equal(found.mask, np.where(missing, UNKNOWN, 0))
    np.testing.assert_array_equal(np.isnan(found.mu), missing)
    np.testing.assert_array_equal(np.isnan(found.sigma), missing)
    np.testing.assert_array_equal(found.mu.to_numpy()[~missing], bands[0].to_numpy()[~missing])
    assert all(np.isfinite(pixels).all() for pixels in seen)
    assert min(pixels.min() for pixels in seen) == -5
    assert not found.fusion.usable.to_numpy()[missing].any()


@ONE_DRAW
def test_a_tile_without_pixels_is_not_predicted() -> None:
    model, calls = recorded(steady)
    bands = scene() * np.nan
    found = xf.predict(bands, model, sigma=0.1)
    assert not calls
    assert (found.mask == UNKNOWN).all()


# What is refused before pixels are read


def wrong_bands(which: str) -> Any:
    bands = scene()
    return {
        "integers": lambda: bands.astype("uint16"),
        "times": lambda: bands.expand_dims(time=2),
        "none": lambda: bands.isel(band=slice(0)),
        "plain": lambda: bands.drop_vars("spatial_ref").rename(x="columns"),
        "empty": xr.Dataset,
        "flags": lambda: bands.to_dataset("band").assign(qa=bands[0] > 0),
        "array": bands.to_numpy,
    }[which]()


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("integers", "bands is uint16, not float32 or float64: scale it"),
        ("times", r"bands has dims .* select of the others, .isel\(time=0\)"),
        ("none", "has no band along 'band'"),
        ("plain", r"no spatial ones: rename them to \('y', 'x'\)"),
        ("empty", "a Dataset without variables"),
        ("flags", "qa is bool, not float32"),
        ("array", "bands are a DataArray or a Dataset, not ndarray"),
    ],
)
def test_what_are_no_bands_is_refused_by_metadata(which: str, message: str) -> None:
    bands = wrong_bands(which)
    lazy = bands.chunk() if hasattr(bands, "chunk") else bands
    with nothing_computes(), pytest.raises((ValueError, TypeError), match=message):
        xf.predict(lazy, steady, sigma=0.1)


def test_bands_on_two_grids_are_refused() -> None:
    bands = scene()
    apart = xr.Dataset({"vv": bands[0].drop_vars("band")})
    other = bands[1].drop_vars("band").isel(x=slice(30))
    shifted = other.rename(x="longitude", y="latitude")
    with pytest.raises(ValueError, match=r"vh and vv are not on one grid"):
        xf.predict(apart.assign(vh=shifted), steady, sigma=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 0}, "tile=0: must be a whole number of at least 1"),
        ({"tile": 512.0}, "tile=512.0"),
        ({"overlap": -1}, "overlap=-1"),
        ({"batch": True}, "batch=True"),
        (
            {"tile": 128, "overlap": 64},
            "nothing of a tile would be kept; give a tile of more than 128",
        ),
        ({"passes": 0}, "passes=0"),
        ({"passes": 5}, "passes=5 of the model steady, which draws no noise from a seed"),
        ({"sigma": -1.0}, "sigma=-1.0"),
        ({"seed": -1}, "seed=-1"),
        ({"fill": np.nan}, "fill=nan"),
        ({"bounded": (1, 0)}, "bounded"),
    ],
)
def test_options_are_refused_before_pixels_are_read(options: Any, message: str) -> None:
    bands = scene().chunk()
    with nothing_computes(), pytest.raises(ValueError, match=message):
        xf.predict(bands, steady, **({"sigma": 0.1} | options))


def test_a_sigma_is_not_given_twice() -> None:
    with pytest.raises(ValueError, match="tells sigma itself: leave sigma out"):
        xf.predict(scene(), convolution, passes=5, sigma=0.1)


def test_one_draw_of_noise_is_warned_of_where_it_is_all_that_there_is() -> None:
    head = xf.models.mean_and_variance(lambda p, seed: (convolution(p, seed), p[:, 0]))
    for model, sigma in ((convolution, 0.1), (head, None)):
        with pytest.warns(UserWarning, match=r"passes=1 .* mu is one draw .*passes=20, or") as told:
            xf.predict(scene().chunk(), model, sigma=sigma, seed=0)
        assert {str(w.message)[:8]: w.filename for w in told}["passes=1"] == __file__
    two = xf.models.samples(lambda p, seed: np.stack([convolution(p, seed)] * 2, axis=1), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        xf.predict(scene(), steady, sigma=0.1)
        xf.predict(scene(), two, seed=0, correct_few=False)
        xf.predict(scene(), xf.models.ensemble([convolution] * 4), seed=0)


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    plain: dict[str, Any] = {"passes": 4, "tile": 32, "overlap": 4, "batch": 2, "seed": 1}
    of_numpy: dict[str, Any] = {name: np.int64(number) for name, number in plain.items()}
    found = xf.predict(scene(), convolution, **of_numpy)
    xr.testing.assert_identical(found, xf.predict(scene(), convolution, **plain))
    assert {type(found.attrs[f"prediction_{name}"]) for name in plain} == {int}
    assert xf.models.samples(convolution, np.int64(2)).count == 2  # type: ignore[arg-type]  # as above


def test_a_probability_is_in_the_units_of_water_and_else_it_is_told_how_to_say_them() -> None:
    bands = scene()
    other = xf.water.from_backscatter(-20 * bands[0].drop_vars("band"), units="dB")
    found = xf.predict(bands, steady, sigma=0.1, bounded=(0, 1))
    assert found.mu.attrs["units"] == "1"
    assert found.fusion.gaussian(other).mu.attrs["units"] == "1"
    assert "units" not in xf.predict(bands, steady, sigma=0.1, bounded=(0, 2)).mu.attrs
    with pytest.raises(ValueError, match=r"of 'model' in None: .*\.mu\.attrs\['units'\] = '1' if"):
        xf.predict(bands, steady, sigma=0.1, sensor="model").fusion.gaussian(other)


def test_bands_predict_themselves() -> None:
    bands = scene()
    found = xf.predict(bands, steady, sigma=0.1)
    xr.testing.assert_identical(bands.fusion.predict(steady, sigma=0.1), found)
    named = bands.to_dataset("band")
    xr.testing.assert_identical(named.fusion.predict(steady, sigma=0.1), found)


def test_models_that_are_none_or_two_are_refused() -> None:
    with pytest.raises(TypeError, match="the model is str: give a callable"):
        xf.predict(scene(), "net.onnx")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError, match="an ensemble of no models"):
        xf.models.ensemble([])
    with pytest.raises(TypeError, match="is one model"):
        xf.models.ensemble(steady)  # type: ignore[arg-type]  # as above
    with pytest.raises(ValueError, match="either all know a variance"):
        xf.models.ensemble([steady, xf.models.mean_and_variance(steady)])
    with pytest.raises(TypeError, match="say of each model itself"):
        xf.models.samples(xf.models.samples(steady, 2), 2)
    with pytest.raises(ValueError, match="count=0"):
        xf.models.samples(steady, 0)


# The result


def test_it_is_a_retrieval_that_says_how_it_was_made() -> None:
    bands = scene().assign_attrs(sensor="sentinel-1")
    found = xf.predict(bands, convolution, passes=5, seed=4, time="2023-06-20", bounded=(0, 99))
    assert found.odc.geobox == bands.odc.geobox
    said = {k: v for k, v in found.attrs.items() if k.startswith("prediction_")}
    np.testing.assert_array_equal(said.pop("prediction_bounded"), [0, 99])
    assert said == {
        "prediction_model": "convolution",
        "prediction_bands": "vv vh",
        "prediction_tile": 512,
        "prediction_overlap": 64,
        "prediction_batch": 8,
        "prediction_passes": 5,
        "prediction_fill": 0.0,
        "prediction_seed": 4,
    }
    assert "predicted by convolution" in found.attrs["history"]
    assert found.attrs["sensor"] == "sentinel-1"
    fused = found.fusion.gaussian(found)
    np.testing.assert_allclose(fused.mu, found.mu)


def test_both_parts_of_sigma_go_to_a_store(tmp_path: Any) -> None:
    model = xf.models.mean_and_variance(lambda p, seed: (convolution(p, seed), p[:, 1]))
    made = xf.predict(scene().chunk(y=20), model, passes=5, seed=0, tile=32, overlap=4)
    made.fusion.to_zarr(tmp_path / "made.zarr", progress=False)
    back = xr.open_zarr(tmp_path / "made.zarr")
    np.testing.assert_array_equal(back.sigma_epistemic, made.sigma_epistemic)


def test_models_with_what_they_return_can_be_pickled() -> None:
    several = xf.models.ensemble([convolution, xf.models.samples(convolution, 1)])
    assert pickle.loads(pickle.dumps(several)) == several
