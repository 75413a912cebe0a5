"""Correlation of errors: of pixels by their distance, of sensors with each other; the real chip."""

import hypothesis.strategies as st
import numpy as np
import pyproj
import pytest
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests.laziness import nothing_computes

UTM = GeoBox((11, 14), Affine(10, 0, 300000, 0, -10, 5e6), "EPSG:32633")
DEGREES = GeoBox((12, 9), Affine(1e-4, 0, 16, 0, -1e-4, 60), "EPSG:4326")


def seen_on(geobox: GeoBox, *, leading: tuple[int, ...] = ()) -> tuple[xr.Dataset, xr.DataArray]:
    """A random retrieval, some of it not usable, and what is true, some of it not known."""
    rng = np.random.default_rng(0)
    grid = xr_zeros(geobox, "float64")
    shape = (*leading, *geobox.shape)
    dims = (*("time" for _ in leading), *grid.dims)
    mu, sigma = (xr.DataArray(rng.random(shape), grid.coords, dims) for _ in range(2))
    truth = grid + rng.normal(0.3, 1, geobox.shape)
    truth[2, 3:6] = np.nan
    return xf.retrieval(mu, sigma, rng.random(shape) < 0.2), truth


def by_pairs(
    geobox: GeoBox,
    errors: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    lags: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Return correlation, mean squared error over sigma squared, and pairs, pair by pair."""
    rows, columns = np.indices(geobox.shape) + 0.5
    x, y = geobox.pix2wld(columns.ravel(), rows.ravel())  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    to = pyproj.Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True)
    x, y = to.transform(x, y)
    e, s = errors.ravel(), sigmas.ravel()
    known = np.flatnonzero(np.isfinite(e))
    i, j = (known[n.ravel()] for n in np.indices((known.size, known.size)))
    h = np.asarray(pyproj.Geod(ellps="WGS84").inv(x[i], y[i], x[j], y[j])[2])
    # the height at h of a line from lag to lag, as a sum of triangles; at 0 is only the pixel
    h = np.where(i == j, 0.0, np.maximum(h, lags[1]))
    within = h < lags[-1] + lags[1]
    i, j, h = i[within], j[within], h[within]
    triangles = np.clip(1 - np.abs(h[:, None] - lags) / lags[1], 0, 1)
    weights = s[i] * s[j]
    around = weights @ triangles
    mean = (e[i] * e[j]) @ triangles / around
    rows = np.sqrt(weights)[:, None] * triangles
    ridge = np.diag(np.sqrt(1e-3 * around))
    ratio = np.linalg.lstsq(
        np.vstack([rows, ridge]), np.concatenate([e[i] * e[j] / np.sqrt(weights), ridge @ mean])
    )[0]
    return np.clip(ratio / ratio[0], -1, 1), float(ratio[0]), triangles.sum(axis=0)


@pytest.mark.parametrize("geobox", [UTM, DEGREES], ids=["UTM", "degrees"])
def test_it_is_what_all_pairs_of_pixels_say(geobox: GeoBox) -> None:
    seen, truth = seen_on(geobox)
    found = xf.error_correlation(seen, truth, max_lag=61.0)
    errors = (truth - seen.mu).where(seen.fusion.usable).to_numpy()
    expected, z2, pairs = by_pairs(geobox, errors, seen.sigma.to_numpy(), found.lag.to_numpy())
    # where a distance is that of a lag, a millimetre decides to which two it goes
    np.testing.assert_allclose(found, expected, atol=5e-3)
    np.testing.assert_allclose(found.pairs, pairs, atol=2)
    assert float(found.z2) == pytest.approx(z2, rel=1e-12)
    assert found[0] == 1
    assert found.lag[0] == 0
    assert found.lag.attrs["units"] == "m"


@given(data=st.data(), leading=st.sampled_from([(), (2,)]))
@settings(max_examples=12)
def test_blocks_change_nothing_and_nothing_is_computed_before(
    data: st.DataObject, leading: tuple[int, ...]
) -> None:
    seen, truth = seen_on(UTM, leading=leading)
    eager = xf.error_correlation(seen, truth, max_lag=50)
    lazy = seen.chunk({dim: data.draw(st.integers(min(3, n), n)) for dim, n in seen.sizes.items()})
    with nothing_computes():
        found = xf.error_correlation(lazy, truth.chunk(), max_lag=50)
        areas = lazy.fusion.area(correlation=found)
    assert found.chunks is not None
    xr.testing.assert_allclose(found.compute(), eager, rtol=1e-9)
    xr.testing.assert_allclose(areas.compute(), seen.fusion.area(correlation=eager), rtol=1e-9)


def field(side: int, length: float, number: int, seed: int) -> NDArray[np.float64]:
    """Normal errors of variance 1 whose correlation is exp(-h / length), h in pixels."""
    rng = np.random.default_rng(seed)
    wide = 2 * side
    lag = np.fft.fftfreq(wide, 1 / wide)
    spectrum = np.fft.fft2(np.exp(-np.hypot(lag[:, None], lag) / length)).real.clip(0)
    noise = rng.normal(size=(number, wide, wide)) + 1j * rng.normal(size=(number, wide, wide))
    errors: NDArray[np.float64] = np.fft.ifft2(noise * np.sqrt(spectrum) * wide).real
    return errors[:, :side, :side]


def test_the_correlation_and_the_size_of_errors_are_found_and_make_areas_right() -> None:
    geobox = GeoBox((64, 64), Affine(10, 0, 4e5, 0, -10, 5e6), "EPSG:32633")
    grid, number = xr_zeros(geobox), 300
    sigma = grid + 0.01 + 0.04 * np.random.default_rng(1).random(geobox.shape)
    truth = grid + 0.5
    errors = field(64, 5.0, number, seed=2)
    # errors are twice as large as stated
    seen = xf.retrieval(
        truth + xr.DataArray(2 * sigma.values * errors, dims=("time", *grid.dims)), sigma
    )
    found = xf.error_correlation(seen, truth)
    assert float(found.z2) == pytest.approx(4.0, rel=0.02)
    np.testing.assert_allclose(found, np.exp(-found.lag / 50), atol=0.02)
    half = geobox.shape[0] // 2
    zones = (grid + (np.indices(geobox.shape) // half).sum(axis=0)).astype(int)
    areas = seen.fusion.area(zones=zones, correlation=found)
    right = xf.retrieval(truth, sigma).fusion.area(zones=zones)
    z2 = (((areas.area - right.area) / areas.area_sigma) ** 2).mean("time")
    np.testing.assert_allclose(z2, 1.0, atol=4 * np.sqrt(2 / number))


def test_a_correlation_of_one_grid_is_for_another_of_other_pixels() -> None:
    coarse = GeoBox((60, 60), Affine(20, 0, 4e5, 0, -20, 5e6), "EPSG:32633")
    fine = GeoBox((120, 120), Affine(10, 0, 4e5, 0, -10, 5e6), "EPSG:32633")
    lags = np.arange(0, 420, 20.0)
    rho = xr.DataArray(np.exp(-lags / 60), {"lag": lags}, ("lag",))
    one, other = (
        xf.retrieval(xr_zeros(g) + 0.5, 0.1).fusion.area(correlation=rho) for g in (coarse, fine)
    )
    assert one.area_sigma.item() == pytest.approx(other.area_sigma.item(), rel=0.02)


def test_by_default_it_reaches_a_quarter_of_the_shorter_side_and_128_pixels_at_most() -> None:
    small = GeoBox((40, 80), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
    large = GeoBox((600, 700), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
    for geobox, pixels in ((small, 10), (large, 128)):
        rows, columns = geobox.shape
        grid = xr_zeros(geobox, chunks=(rows, columns))
        with nothing_computes():
            found = xf.error_correlation(xf.retrieval(grid + 0.5, 0.1), grid)
        assert found.sizes["lag"] == pixels + 1
        assert float(found.lag[-1]) == pytest.approx(10 * pixels, rel=1e-3)


def test_a_threshold_is_of_the_errors_of_the_probability_to_exceed_it() -> None:
    seen, truth = seen_on(UTM)
    found = xf.error_correlation(seen, truth, threshold=0.4, max_lag=40)
    p = seen.fusion.exceedance(0.4)
    probability = xf.retrieval(p, (p * (1 - p)) ** 0.5, seen.mask)
    expected = xf.error_correlation(probability, (truth > 0.4).where(truth.notnull()), max_lag=40)
    xr.testing.assert_allclose(found, expected)


def test_a_reference_in_other_units_is_converted() -> None:
    seen, truth = seen_on(UTM)
    in_m = seen.assign(mu=seen.mu.assign_attrs(units="m"))
    found = xf.error_correlation(in_m, (truth * 100).assign_attrs(units="cm"))
    xr.testing.assert_allclose(found, xf.error_correlation(seen, truth))
    with pytest.raises(ValueError, match="'kg'"):
        xf.error_correlation(in_m, truth.assign_attrs(units="kg"))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_where_no_pixel_errs_a_pixel_goes_with_itself_alone_and_the_area_is_certain() -> None:
    seen, _ = seen_on(UTM)
    found = xf.error_correlation(seen, seen.mu)
    assert found.values.tolist() == [1.0] + [0.0] * (found.size - 1)
    assert float(found.z2) == 0
    assert xf.area(seen, correlation=found).area_sigma.values.tolist() == [0.0]


def test_where_nothing_is_known_nothing_is_said() -> None:
    seen, truth = seen_on(UTM)
    found = xf.error_correlation(seen, truth * np.nan, max_lag=30)
    assert np.isnan(found[0])
    assert not found.pairs.any()
    assert np.isnan(seen.fusion.area(correlation=found).area_sigma).all()
    assert seen.fusion.area(correlation=found).area.item() > 0


@pytest.mark.parametrize("max_lag", [0, -10.0, 5.0, np.inf, np.nan, "far", True, 179.0, [50, 60]])
def test_a_lag_shorter_than_a_pixel_or_longer_than_the_grid_is_refused_before_pixels_are_read(
    max_lag: float,
) -> None:
    seen, truth = seen_on(UTM)  # 110 m by 140 m
    said = "max_lag=.*in metres, at least .* 10, and at most the diagonal of the grid, 17"
    with nothing_computes(), pytest.raises(ValueError, match=said):
        xf.error_correlation(seen.chunk(), truth.chunk(), max_lag=max_lag)
    # nor those in memory, of which some are no share
    with pytest.raises(ValueError, match=said):
        xf.error_correlation(seen, truth + 2.0, max_lag=max_lag)


# Between sensors


def three_sensors(correlation: float, seed: int = 0) -> tuple[list[xr.Dataset], xr.DataArray]:
    rng = np.random.default_rng(seed)
    shape = (200, 250)
    truth = xr.DataArray(rng.random(shape), dims=("y", "x"))
    shared, *own = rng.normal(size=(4, *shape))
    weights = np.sqrt([correlation, 1 - correlation])
    errors = [0.1 * k * (weights[0] * shared + weights[1] * e) for k, e in enumerate(own, start=1)]
    masks = rng.random((3, *shape)) < 0.3
    names = ("a", "b", "c")
    sensors = [
        xf.retrieval(truth + e, 0.1, m, sensor=n)
        for e, m, n in zip(errors, masks, names, strict=True)
    ]
    return sensors, truth.where(rng.random(shape) < 0.9)


def test_what_sensors_share_is_found_and_is_taken_by_gaussian() -> None:
    sensors, truth = three_sensors(0.6)
    found = xf.estimate_correlation(*sensors, reference=truth)
    assert found.dims == ("sensor", "sensor_2")
    assert found.sensor.values.tolist() == found.sensor_2.values.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(found, 0.6 + 0.4 * np.eye(3), atol=0.02)
    fused = sensors[0].fusion.gaussian(*sensors[1:], correlation=found)
    same = sensors[0].fusion.gaussian(*sensors[1:], correlation=found.values)
    xr.testing.assert_identical(fused, same)


def test_each_pair_is_seen_where_both_are_usable_also_when_lazy() -> None:
    sensors, truth = three_sensors(0.4)
    found = xf.estimate_correlation(*sensors, reference=truth)
    usable = [s.fusion.usable & truth.notnull() for s in sensors]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both = (usable[i] & usable[j]).values
        e, f = ((truth - sensors[k].mu).values[both] for k in (i, j))
        assert float(found[i, j]) == pytest.approx(
            (e * f).sum() / np.sqrt((e**2).sum() * (f**2).sum())
        )
    lazy = xf.estimate_correlation(*(s.chunk(y=33, x=70) for s in sensors), reference=truth)
    xr.testing.assert_allclose(lazy, found, rtol=1e-12)
    assert lazy.chunks is None


def test_pairs_that_no_errors_have_are_brought_to_some_that_have() -> None:
    rng = np.random.default_rng(0)
    e = rng.normal(size=(3, 100))
    # each pair on a third of the pixels: a = b, b = c, and a = -c
    errors = np.array([[e[0], e[1], e[0]], [e[0], e[1], e[1]], [e[2], e[1], -e[0]]])
    usable = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1]], bool)
    truth = xr.DataArray(np.zeros((3, 100)), dims=("y", "x"))
    sensors = [
        xf.retrieval(truth + errors[k], 0.1, np.repeat(~usable[k][:, None], 100, axis=1))
        for k in range(3)
    ]
    with pytest.warns(UserWarning, match="eigenvalue -1.*set to 0"):
        found = xf.estimate_correlation(*sensors, reference=truth)
    values = np.linalg.eigvalsh(found)
    assert values[0] > -1e-9
    np.testing.assert_allclose(np.diag(found), 1.0)
    sensors[0].fusion.gaussian(*sensors[1:], correlation=found)


def test_sensors_that_never_see_the_same_are_refused() -> None:
    truth = xr.DataArray(np.zeros((2, 2)), dims=("y", "x"))
    left, right = (
        xf.retrieval(truth + 0.1, 0.1, np.array([[m, 1 - m]] * 2, bool), sensor=n)
        for m, n in ((0, "a"), (1, "b"))
    )
    with pytest.raises(ValueError, match="'a' and 'b': there is no pixel where both"):
        xf.estimate_correlation(left, right, reference=truth)
    with pytest.raises(ValueError, match="1 retrieval: .*two or more"):
        xf.estimate_correlation(left, reference=truth)
    with pytest.raises(ValueError, match="reference.*reproject_match"):
        xf.estimate_correlation(left, left, reference=truth.isel(y=[0]))
