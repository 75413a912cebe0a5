"""Areas and their uncertainty: against sums over all pairs of pixels, and against known answers."""

import warnings
from collections.abc import Callable
from typing import Any

import dask
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
from scipy.special import ndtr

import xfusion as xf
from tests.laziness import nothing_computes
from xfusion.datamodel.pixel_area import PixelArea

UTM = GeoBox((11, 14), Affine(10, 0, 300000, 0, -10, 5e6), "EPSG:32633")
GRIDS = {
    "UTM": UTM,
    "degrees": GeoBox((13, 9), Affine(1e-4, 0, 16, 0, -1e-4, 60), "EPSG:4326"),
    "upside down": GeoBox((8, 12), Affine(2e-4, 0, 16, 0, 1e-4, 48), "EPSG:4326"),
    "turned": GeoBox((9, 12), Affine(8, 3, 300000, 3, -8, 5e6), "EPSG:32633"),
}
DIMS = ("y", "x")
RANGES: list[Any] = [None, 35.0, 400.0, np.inf, [(0.5, 20.0), (0.2, 150.0)]]


def retrieval_on(geobox: GeoBox, *, seed: int = 0, leading: tuple[int, ...] = ()) -> xr.Dataset:
    """Random shares with random sigmas, some of them not usable."""
    rng = np.random.default_rng(seed)
    grid = xr_zeros(geobox, "float64")
    shape = (*leading, *geobox.shape)
    times = [f"t{i}" for i in range(len(leading))]
    arrays = [
        xr.DataArray(values, grid.coords, (*times, *grid.dims))
        for values in (rng.random(shape), rng.random(shape) * 0.3, rng.random(shape) < 0.2)
    ]
    arrays[0][..., 0, 1], arrays[1][..., 1, 0] = np.nan, np.inf
    return xf.retrieval(*arrays, sensor="radar")


def pixel_areas(geobox: GeoBox) -> NDArray[np.float64]:
    rows, columns = geobox.shape
    areas = PixelArea(geobox).of_block(slice(0, rows), slice(0, columns))
    return np.broadcast_to(areas, geobox.shape)


def distances(geobox: GeoBox) -> NDArray[np.float64]:
    """Return how far apart all pixels are in metres, as geodesics between their centres."""
    rows, columns = np.indices(geobox.shape) + 0.5
    x, y = geobox.pix2wld(columns.ravel(), rows.ravel())  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    crs = pyproj.CRS(str(geobox.crs))
    x, y = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    one, other = np.meshgrid(np.arange(x.size), np.arange(x.size), indexing="ij")
    metres: Any = pyproj.Geod(ellps="WGS84").inv(x[one], y[one], x[other], y[other])[2]
    return np.asarray(metres)


def variance_of_pairs(errors: NDArray[Any], h: NDArray[Any], correlation: Any) -> float:
    """Return the variance of the sum of errors, by all pairs."""
    pairs = [] if correlation is None else correlation
    pairs = pairs if isinstance(pairs, list) else [(1.0, pairs)]
    r = np.eye(h.shape[0]) * (1 - sum(share for share, _ in pairs))
    for share, length in pairs:
        r = r + share * np.exp(-h / length)
    e = errors.ravel()
    return float(e @ r @ e)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("correlation", RANGES, ids=str)
def test_area_is_the_sum_over_pixels_and_its_variance_over_all_pairs(
    name: str, correlation: Any
) -> None:
    geobox = GRIDS[name]
    water = retrieval_on(geobox)
    usable = water.fusion.usable.to_numpy()
    found = water.fusion.area(correlation=correlation)
    areas = pixel_areas(geobox)
    expected = np.where(usable, areas * water.mu.to_numpy(), 0).sum()
    errors = np.where(usable, areas * water.sigma.to_numpy(), 0)
    variance = variance_of_pairs(errors, distances(geobox), correlation)
    assert found.zone.values.tolist() == ["all"]
    assert found.area.item() == pytest.approx(expected, rel=1e-12)
    assert found.unusable.item() == pytest.approx(areas[~usable].sum(), rel=1e-12)
    assert found.area_sigma.item() == pytest.approx(np.sqrt(variance), rel=2e-4)
    assert all(found[v].attrs["units"] == "km2" for v in found)


@pytest.mark.parametrize("side", [1, 30, 700])
def test_errors_that_are_independent_or_one_have_the_known_answers(side: int) -> None:
    geobox = GeoBox((side, side), Affine(10, 0, 4e5, 0, -10, 5e6), "EPSG:32633")
    water = xf.retrieval(xr_zeros(geobox) + 0.4, 0.1)
    areas = pixel_areas(geobox)
    alone, one, nearly = (water.fusion.area(correlation=c) for c in (None, np.inf, 1e9))
    assert alone.area_sigma.item() == pytest.approx(0.1 * np.sqrt((areas**2).sum()), rel=1e-9)
    assert one.area_sigma.item() == pytest.approx(0.1 * areas.sum(), rel=1e-9)
    assert nearly.area_sigma.item() == pytest.approx(0.1 * areas.sum(), rel=1e-4)
    assert "too small" in alone.attrs["area_correlation"]


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("length", [640.0, 700.0, 2000.0])
def test_what_reaches_far_is_summed_over_cells_as_over_pixels(length: float) -> None:
    geobox = GeoBox((600, 900), Affine(10, 0, 4e5, 0, -10, 5e6), "EPSG:32633")
    rng = np.random.default_rng(1)
    # as on a map: sure but for some rims, and clouds
    sigma = xr_zeros(geobox) + np.where(rng.random(geobox.shape) < 0.1, 0.5, 0.01)
    sigma[100:300, 200:500] = np.nan
    water = xf.retrieval(xr_zeros(geobox) + 0.4, sigma)
    errors = np.nan_to_num(pixel_areas(geobox) * sigma.to_numpy())
    scale = np.sqrt(pixel_areas(geobox).mean() / 1e-4)  # of metres on the map
    shape = (1200, 1800)
    lags = [np.fft.fftfreq(n, 1 / n) * 10 * scale for n in shape]
    r = np.exp(-np.hypot(lags[0][:, None], lags[1]) / length)
    spread = np.fft.irfft2(np.fft.rfft2(errors, shape) * np.fft.rfft2(r), shape)
    expected = np.sqrt((errors * spread[:600, :900]).sum())
    found = water.fusion.area(correlation=length).area_sigma.item()
    assert found == pytest.approx(expected, rel=3e-3)
    lazy = water.chunk(dict.fromkeys(water.mu.dims, 250)).fusion.area(correlation=length)
    assert lazy.area_sigma.compute().item() == pytest.approx(found, rel=1e-9)


def test_correlated_errors_spread_areas_as_much_as_it_says() -> None:
    geobox = GeoBox((48, 48), Affine(10, 0, 4e5, 0, -10, 5e6), "EPSG:32633")
    rng = np.random.default_rng(2)
    number, side = 400, 128
    lag = np.fft.fftfreq(side, 1 / side) * 10
    spectrum = np.fft.fft2(np.exp(-np.hypot(lag[:, None], lag) / 60)).real.clip(0)
    noise = rng.normal(size=(number, side, side)) + 1j * rng.normal(size=(number, side, side))
    errors = np.fft.ifft2(noise * np.sqrt(spectrum) * side).real[:, :48, :48]
    sigma = xr_zeros(geobox) + rng.random(geobox.shape) * 0.08
    seen = xf.retrieval(sigma * 0 + 0.5 + sigma.expand_dims(time=number) * errors, sigma)
    areas = seen.fusion.area(correlation=60.0)
    z = (areas.area - 0.5 * pixel_areas(geobox).sum()) / areas.area_sigma
    assert float((z**2).mean()) == pytest.approx(1.0, abs=4 * np.sqrt(2 / number))
    alone = seen.fusion.area()
    assert float(areas.area_sigma.mean() / alone.area_sigma.mean()) > 5


# Zones on pixels


def zones_like(water: xr.Dataset, seed: int = 3) -> xr.DataArray:
    labels = np.random.default_rng(seed).choice([0, 3, 7, 250], water.mu.shape[-2:])
    dims = water.mu.dims[-2:]
    coords = {k: v for k, v in water.mu.coords.items() if {*v.dims} <= {*dims}}
    return xr.DataArray(labels.astype(np.uint8), coords, dims)


@pytest.mark.parametrize("correlation", RANGES, ids=str)
def test_a_zone_has_the_area_of_its_pixels(correlation: Any) -> None:
    water = retrieval_on(UTM)
    zones = zones_like(water)
    found = water.fusion.area(zones=zones, correlation=correlation)
    assert found.zone.values.tolist() == [0, 3, 7, 250]
    for label in (0, 3, 7, 250):
        # all else has no area where it cannot be seen
        alone = water.fusion.exclude(zones != label).fusion.area(correlation=correlation)
        one = found.sel(zone=label)
        assert one.area.item() == pytest.approx(alone.area.item(), rel=1e-12)
        assert one.area_sigma.item() == pytest.approx(alone.area_sigma.item(), rel=1e-9)
        bad = ~water.fusion.usable & (zones == label)
        assert one.unusable.item() == pytest.approx(pixel_areas(UTM)[bad.values].sum(), rel=1e-12)


KINDS: dict[str, tuple[Callable[[xr.DataArray], xr.DataArray], list[Any]]] = {
    "texts": (
        lambda z: xr.where(z == 7, "lake", xr.where(z == 3, "", "river")),
        ["lake", "river"],
    ),
    "objects": (lambda z: xr.where(z == 7, "lake", "river").astype(object), ["lake", "river"]),
    "bool": (lambda z: z == 7, [False, True]),
    "floats with NaN": (lambda z: z.astype("float32").where(z != 3), [0, 7, 250]),
    "nodata": (lambda z: z.assign_attrs(_FillValue=250), [0, 3, 7]),
    "floats with nodata": (
        lambda z: xr.where(z == 3, np.float32(-3.4e38), z).assign_attrs(nodata=-3.4e38),
        [0, 7, 250],
    ),
    "large numbers": (lambda z: z.astype(np.int64) + 2**60, [2**60 + n for n in (0, 3, 7, 250)]),
    "one band of a file": (lambda z: z.expand_dims("band"), [0, 3, 7, 250]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lazy", [False, True])
def test_zones_may_be_of_any_kind_of_label(kind: str, lazy: bool) -> None:
    change, labels = KINDS[kind]
    water = retrieval_on(UTM)
    zones = change(zones_like(water)).assign_coords(spatial_ref=water.spatial_ref)
    found = water.fusion.area(zones=zones.chunk(y=4, x=5) if lazy else zones).compute()
    assert found.zone.values.tolist() == labels
    same = zones.squeeze("band") if "band" in zones.dims else zones
    of_first = water.mu.where(water.fusion.usable & (same == labels[0]))
    expected = np.nansum(of_first.to_numpy() * pixel_areas(UTM))
    assert found.area[0].item() == pytest.approx(expected, rel=1e-12)


def test_labels_that_are_declared_are_not_read() -> None:
    water = retrieval_on(UTM)
    zones = zones_like(water).assign_attrs(flag_values=[3, 7, 9]).chunk(y=4)
    with nothing_computes():
        found = water.fusion.area(zones=zones)
    assert found.zone.values.tolist() == [3, 7, 9]
    assert found.area.compute().sel(zone=9).item() == 0


def test_zones_may_differ_from_time_to_time() -> None:
    water = retrieval_on(UTM, leading=(3,)).rename(t0="time")
    zones = xr.concat([zones_like(water, seed) for seed in range(3)], "time", join="exact")
    whole = water.fusion.area(zones=zones, correlation=40.0)
    lazy = water.chunk(time=2, y=5).fusion.area(zones=zones.chunk(time=1), correlation=40.0)
    xr.testing.assert_allclose(lazy.compute(), whole, rtol=1e-12)
    for i in range(3):
        each = water.isel(time=i).fusion.area(zones=zones.isel(time=i), correlation=40.0)
        xr.testing.assert_allclose(whole.isel(time=i), each, rtol=1e-9)


# Dims, blocks and dtypes


@given(data=st.data(), correlation=st.sampled_from(RANGES), leading=st.sampled_from([(), (2,)]))
@settings(max_examples=25)
def test_blocks_change_nothing_and_nothing_is_computed_before(
    data: st.DataObject, correlation: Any, leading: tuple[int, ...]
) -> None:
    water = retrieval_on(UTM, leading=leading)
    zones = zones_like(water)
    eager = water.fusion.area(zones=zones, correlation=correlation)
    lazy = water.chunk({d: data.draw(st.integers(min(3, n), n)) for d, n in water.sizes.items()})
    with nothing_computes():
        areas = lazy.fusion.area(zones=zones, correlation=correlation)
    assert all(areas[v].chunks is not None for v in areas)
    assert all(areas[v].dtype == np.float64 for v in areas)
    xr.testing.assert_allclose(areas.compute(), eager, rtol=1e-9)


def test_further_dims_and_their_coordinates_stay() -> None:
    water = retrieval_on(UTM, leading=(2,)).rename(t0="time")
    water = water.assign_coords(time=[2020, 2021], orbit=("time", ["a", "d"]), height=3.0)
    areas = water.transpose("y", "x", "time").fusion.area()
    assert areas.area.dims == ("time", "zone")
    assert {"time", "orbit", "height"} <= {*areas.coords}
    assert "spatial_ref" not in areas.coords
    for year in (2020, 2021):
        each = water.sel(time=year).fusion.area()
        assert areas.area.sel(time=year).item() == pytest.approx(each.area.item(), rel=1e-12)


def test_float32_is_summed_up_in_double_precision() -> None:
    water = retrieval_on(UTM)
    single = water.assign(mu=water.mu.astype("float32"), sigma=water.sigma.astype("float32"))
    xr.testing.assert_allclose(single.fusion.area(), water.fusion.area(), rtol=1e-6)
    assert single.fusion.area().area.dtype == np.float64


def test_where_nothing_is_usable_the_area_is_unusable() -> None:
    water = retrieval_on(UTM)
    nothing = water.assign(mu=water.mu * np.nan).fusion.area(correlation=30.0)
    assert nothing.area.item() == nothing.area_sigma.item() == 0
    assert nothing.unusable.item() == pytest.approx(pixel_areas(UTM).sum(), rel=1e-12)


def test_the_graph_grows_with_blocks_and_not_with_what_they_see_around_them() -> None:
    geobox = GeoBox((4000, 4000), Affine(10, 0, 4e5, 0, -10, 5e6), "EPSG:32633")
    sizes = []
    for length in (20.0, 600.0):
        for block in (2000, 1000):
            water = xf.retrieval(xr_zeros(geobox, chunks=(block, block)) + 0.4, 0.1)
            graph = dask.optimize(water.fusion.area(correlation=length))[0].__dask_graph__()
            sizes.append(len(graph) / (4000 / block) ** 2)
    assert max(sizes) < 2.5 * min(sizes)
    assert max(sizes) < 120


def test_accessor_function_and_product_say_the_same() -> None:
    water = retrieval_on(UTM)
    product = xf.SensorProduct(dataset=water)
    xr.testing.assert_identical(xf.area(water), water.fusion.area())
    xr.testing.assert_identical(product.area(), water.fusion.area())
    assert water.fusion.area().attrs["sensor"] == "radar"


# A threshold


def test_a_threshold_counts_the_probability_to_exceed_it() -> None:
    water = retrieval_on(UTM)
    height = water.assign(mu=(water.mu * 10).assign_attrs(units="m"), sigma=water.sigma * 10)
    found = height.fusion.area(threshold=4.0)
    usable = height.fusion.usable.to_numpy()
    with np.errstate(invalid="ignore"):
        p = ndtr((height.mu.to_numpy() - 4) / height.sigma.to_numpy())
    areas = np.where(usable, pixel_areas(UTM), 0)
    p = np.where(usable, p, 0)
    assert found.area.item() == pytest.approx((areas * p).sum(), rel=1e-9)
    sigma = np.sqrt((areas**2 * p * (1 - p)).sum())
    assert found.area_sigma.item() == pytest.approx(sigma, rel=1e-9)
    assert "4.0" in found.attrs["area_of"]


def test_it_is_said_whether_sigma_holds_the_whole_error() -> None:
    water = retrieval_on(UTM)
    assert "add_aleatoric()" in water.fusion.area().attrs["area_errors"]
    whole = water.fusion.add_aleatoric()
    assert "which holds" in whole.fusion.area().attrs["area_errors"]
    usable = water.fusion.usable.to_numpy()
    mu, sigma = (np.where(usable, water[v].to_numpy(), 0) for v in ("mu", "sigma"))
    variance = (pixel_areas(UTM) ** 2 * (sigma**2 + mu * (1 - mu))).sum()
    assert whole.fusion.area().area_sigma.item() == pytest.approx(np.sqrt(variance), rel=1e-9)


# What is refused


@pytest.mark.parametrize("chunks", [None, {"y": 4}], ids=["eager", "lazy"])
@pytest.mark.parametrize("zoned", [False, True])
def test_mu_that_is_no_share_of_a_pixel_is_not_added_up(chunks: Any, zoned: bool) -> None:
    percent = retrieval_on(UTM)
    percent["mu"] = percent.mu * 100
    asked = percent if chunks is None else percent.chunk(chunks)
    zones = xr.ones_like(percent.mu, int) if zoned else None
    with pytest.raises(ValueError, match=r"no share of a pixel.*divide mu.*threshold="):
        asked.fusion.area(zones=zones).compute()
    assert xf.area(percent, threshold=50.0).area.item() > 0


def test_rounding_and_pixels_that_are_not_usable_are_no_reason_to_refuse() -> None:
    water = retrieval_on(UTM)
    fill = water.assign(mu=water.mu.where(water.mask == 0, 255.0))
    xr.testing.assert_equal(xf.area(fill), xf.area(water))
    xf.area(water.assign(mu=water.mu.where(water.mu < 0.5, 1 + 5e-7)))


def refused() -> dict[str, tuple[Callable[[xr.Dataset], Any], str]]:
    def zones(change: Callable[[xr.DataArray], Any]) -> Callable[[xr.Dataset], Any]:
        return lambda w: w.fusion.area(zones=change(zones_like(w)))

    def measured(*lags: float, **attrs: str) -> xr.DataArray:
        lag = xr.Variable("lag", [*lags], attrs)
        return xr.DataArray(np.ones(len(lags)), {"lag": lag}, ("lag",))

    return {
        "percent": (
            lambda w: w.assign(mu=w.mu.assign_attrs(units="%")).fusion.area(),
            r"mu is in '%'.*divide mu and sigma by 100.*threshold=",
        ),
        "no CRS": (lambda w: w.drop_vars("spatial_ref").drop_attrs().fusion.area(), "write_crs"),
        "no place": (lambda w: w.isel(y=0).fusion.area(), "no spatial dims"),
        "empty": (lambda w: w.isel(y=slice(0)).fusion.area(), "no pixels along 'y'"),
        "another grid": (
            zones(lambda z: z.isel(y=slice(5)).chunk(y=2)),
            "zones.*reproject_match",
        ),
        "halves": (zones(lambda z: z + 0.5), "which is not whole"),
        "dates": (zones(lambda z: z.astype("datetime64[s]")), "zones are datetime64"),
        "complex": (zones(lambda z: z.astype(complex)), "zones are complex"),
        "length of 0": (lambda w: w.fusion.area(correlation=0), "above 0 metres"),
        "length below 0": (lambda w: w.fusion.area(correlation=-3.0), "above 0 metres"),
        "NaN": (lambda w: w.fusion.area(correlation=np.nan), "above 0 metres"),
        "text": (lambda w: w.fusion.area(correlation="exponential"), "a length in metres"),
        "bool": (lambda w: w.fusion.area(correlation=True), "a length in metres"),
        "shares above 1": (
            lambda w: w.fusion.area(correlation=[(0.8, 10), (0.4, 100)]),
            "add up to 1.2",
        ),
        "share below 0": (lambda w: w.fusion.area(correlation=[(-0.1, 10)]), "a share from 0"),
        "no pairs": (lambda w: w.fusion.area(correlation=[0.5, 10.0]), "pairs such as"),
        "matrix": (
            lambda w: w.fusion.area(correlation=xr.DataArray(np.eye(2), dims=("a", "b"))),
            "must be along 'lag'",
        ),
        "lags from 1": (lambda w: w.fusion.area(correlation=measured(1, 2)), "from 0 on"),
        "lags in km": (
            lambda w: w.fusion.area(correlation=measured(0, 1, units="km")),
            "convert them to metres",
        ),
    }


@pytest.mark.parametrize("what", refused())
def test_what_cannot_be_meant_is_refused_before_pixels_are_read(what: str) -> None:
    call, said = refused()[what]
    with nothing_computes(), pytest.raises(ValueError, match=said):
        call(retrieval_on(UTM).chunk(y=3))


def test_a_length_shorter_than_a_pixel_is_warned_of() -> None:
    water = retrieval_on(UTM)
    with pytest.warns(UserWarning, match=r"over 1 m, and a pixel is 10 m.*np.inf"):
        water.fusion.area(correlation=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        water.fusion.area(correlation=10.5)
