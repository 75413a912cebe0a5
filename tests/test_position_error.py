"""Across edges sigma is the size of the error, however far the grids are apart."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from tests.laziness import nothing_computes

FINE = 20  # points a source pixel: the truth
SIDE, SIGMA = 40, 0.02
GRID = GeoBox((SIDE, SIDE), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")


def edge(angle: float, blur: float, place: float = 0.13) -> Any:
    """Return what is 0 on one side of a line, and 1 on the other."""
    y, x = np.mgrid[: SIDE * FINE, : SIDE * FINE] / FINE
    beyond = (x - SIDE / 2 - place) * np.cos(angle) + (y - SIDE / 2 - 0.31) * np.sin(angle)
    return np.clip(beyond / blur + 0.5, 0, 1) if blur else (beyond > 0).astype(float)


def means(fine: Any, size: int) -> Any:
    rows, columns = (n // size for n in fine.shape)
    return fine.reshape(rows, size, columns, size).mean(axis=(1, 3))


def retrieval(mu: Any, mask: Any = None) -> xr.Dataset:
    coords = xr_coords(GRID, "spatial_ref")
    arrays = [xr.DataArray(a, coords, GRID.dimensions) for a in (mu, np.full(mu.shape, SIGMA))]
    return xf.retrieval(arrays[0], arrays[1], mask)


@pytest.mark.some(one_in=5)
@pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("angle", [0.0, 0.6, np.pi / 2])
def test_errors_across_edges_are_not_above_what_sigma_says(
    resampling: Any, scale: float, angle: float
) -> None:
    rng = np.random.default_rng(0)
    size = int(FINE * scale)
    count = (SIDE - 4) * FINE // size
    for blur in (0.0, 1.0, 3.0):
        fine = edge(angle, blur)
        source = retrieval(means(fine, FINE) + SIGMA * rng.normal(size=(SIDE, SIDE)))
        for shift in (0.0, 0.1, 0.25, 0.4, 0.5, 0.75, 0.9):
            first = FINE + round(shift * FINE)
            part = slice(first, first + count * size)
            truth = means(fine[part, part], size)
            place = GRID.transform * Affine.translation(1 + shift, 1 + shift) * Affine.scale(scale)
            found = source.fusion.coregister(
                GeoBox((count, count), place, GRID.crs), resampling=resampling
            )
            z2 = ((found.mu.to_numpy() - truth) / found.sigma.to_numpy()) ** 2
            steep = np.hypot(*np.gradient(truth)) > 0.05
            assert z2[steep].mean() < 3.5, (blur, shift)


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.75, 1.0, 2.0])
@pytest.mark.parametrize("angle", [0.0, 0.15, np.pi / 4])
def test_wherever_in_a_pixel_an_edge_is_errors_are_not_above_what_sigma_says(
    scale: float, angle: float
) -> None:
    rng = np.random.default_rng(0)
    size = int(FINE * scale)
    count = (SIDE - 4) * FINE // size
    for place in (0.0, 0.25, 0.37, 0.5, 0.62, 0.87):
        fine = edge(angle, 0.0, place)
        source = retrieval(means(fine, FINE) + SIGMA * rng.normal(size=(SIDE, SIDE)))
        for down, across in ((0, 0), (2, 7), (7, 7), (10, 10), (17, 0)):
            part = slice(FINE + down, FINE + down + count * size)
            beside = slice(FINE + across, FINE + across + count * size)
            truth = means(fine[part, beside], size)
            corner = Affine.translation(1 + across / FINE, 1 + down / FINE) @ Affine.scale(scale)
            box = GeoBox((count, count), GRID.transform @ corner, GRID.crs)
            found = source.fusion.coregister(box)
            z2 = ((found.mu.to_numpy() - truth) / found.sigma.to_numpy()) ** 2
            steep = np.hypot(*np.gradient(truth)) > 0.05
            assert z2[steep].mean() < 3.5, (place, down, across)


def test_a_slope_adds_what_a_position_that_is_off_makes_of_it() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
    source = retrieval(0.03 * rows + 0.04 * columns)
    shifted = GeoBox((30, 30), GRID.transform * Affine.translation(4.3, 4.6), GRID.crs)
    for rho in (1.0, 0.3, 0.0):
        plain = source.fusion.coregister(shifted, error_correlation=rho, position_error=0.0)
        wider = source.fusion.coregister(shifted, error_correlation=rho, position_error=0.8)
        expected = np.sqrt(plain.sigma**2 + (0.05 * 0.8) ** 2)
        np.testing.assert_allclose(wider.sigma, expected, rtol=1e-9)
        xr.testing.assert_equal(wider.mu, plain.mu)
    for resampling in ("bilinear", "nearest"):
        same = source.fusion.coregister(GRID, resampling=resampling, position_error=0.8)
        np.testing.assert_allclose(same.sigma, np.hypot(SIGMA, 0.04), rtol=1e-9)
        np.testing.assert_array_equal(same.mu, source.mu)


def test_pixels_that_coincide_are_copied() -> None:
    source = retrieval(np.random.default_rng(1).random((SIDE, SIDE)))
    xr.testing.assert_equal(source.fusion.coregister(GRID).sigma, source.sigma)
    whole = GeoBox((9, 9), GRID.transform * Affine.translation(3, 5), GRID.crs)
    np.testing.assert_array_equal(source.fusion.coregister(whole).sigma, SIGMA)


def test_a_cloud_is_no_edge_and_nor_is_what_has_no_value() -> None:
    mu = np.full((SIDE, SIDE), 0.2)
    mu[:, 20:30], mu[:, 30:35], mu[:, 35:] = 0.9, np.nan, 0.2
    mask = xr.DataArray(
        (mu > 0.5).astype(np.uint8), xr_coords(GRID, "spatial_ref"), GRID.dimensions
    )
    shifted = GeoBox((38, 38), GRID.transform * Affine.translation(0.4, 0.4), GRID.crs)
    for resampling in ("bilinear", "nearest"):
        found = retrieval(mu, mask).fusion.coregister(shifted, resampling=resampling)
        known = found.sigma.to_numpy()[np.isfinite(found.mu)]
        np.testing.assert_allclose(known, SIGMA, rtol=1e-9)


@pytest.mark.some(one_in=5)
@pytest.mark.parametrize("position_error", [None, 0.0, 0.7])
@pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("rho", [1.0, 0.4])
def test_blocks_have_the_sigma_of_the_whole(
    position_error: float | None, resampling: Any, rho: float
) -> None:
    rng = np.random.default_rng(2)
    mu = rng.random((SIDE, SIDE))
    mu[rng.random(mu.shape) < 0.1] = np.nan
    mask = xr.DataArray(rng.random(mu.shape) < 0.2, xr_coords(GRID, "spatial_ref"), GRID.dimensions)
    source = retrieval(mu, mask)
    options: dict[str, Any] = {
        "resampling": resampling,
        "error_correlation": rho,
        "position_error": position_error,
    }
    for target in (
        GRID,
        GeoBox.from_bbox(GRID.extent.to_crs("EPSG:4326").boundingbox, shape=(37, 51)),
    ):
        eager = source.fusion.coregister(target, **options)
        for block in (7, 16):
            lazy = source.chunk({"y": block, "x": 11}).fusion.coregister(
                target, **options, chunks=block
            )
            xr.testing.assert_identical(lazy.compute(), eager)


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf, "x", "0.5", True, np.True_, [0.5, 0.5]])
@pytest.mark.parametrize("name", ["position_error", "error_correlation"])
def test_an_error_of_positions_or_neighbours_that_is_none_is_refused(name: str, wrong: Any) -> None:
    lazy = retrieval(np.ones((SIDE, SIDE))).chunk()
    with nothing_computes(), pytest.raises(ValueError, match=f"{name}=.*: .* a number"):
        lazy.fusion.coregister(GRID, **{name: wrong})


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("rho", [1.0, 0.3])
def test_slopes_of_the_smallest_and_largest_numbers_add_up(size: float, rho: float) -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    source = retrieval((size * (0.03 * rows + 0.04 * columns)).astype(np.float32))
    source["sigma"] = (source.sigma * size).astype(np.float32)
    found = source.fusion.coregister(GRID, error_correlation=rho, position_error=0.8)
    np.testing.assert_allclose(found.sigma, np.hypot(SIGMA, 0.04) * size, rtol=1e-4)


@pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
def test_a_pixel_beside_an_infinite_one_keeps_its_sigma(resampling: Any) -> None:
    mu = np.full((SIDE, SIDE), 0.2)
    mu[20, 20], mu[10, :] = np.inf, -np.inf
    found = retrieval(mu).fusion.coregister(GRID, resampling=resampling, position_error=0.8)
    np.testing.assert_array_equal(found.sigma, SIGMA)


def test_a_single_row_or_column_has_a_slope_along_it() -> None:
    source = retrieval(0.05 * np.mgrid[:SIDE, :SIDE][1].astype(float))
    for part, expected in (({"y": slice(1)}, np.hypot(SIGMA, 0.04)), ({"x": slice(1)}, SIGMA)):
        line = source.isel(part)
        found = line.fusion.coregister(line.odc.geobox, position_error=0.8)
        np.testing.assert_allclose(found.sigma, expected, rtol=1e-9)
