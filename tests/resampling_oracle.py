"""Co-registration written out: exact positions, plain interpolation, footprints in plain loops."""

import math
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import CRS, Transformer
from scipy.ndimage import map_coordinates

import xfusion as xf

UNKNOWN = 32


def grid(
    crs: str,
    centre: tuple[float, float],
    resolution: float | tuple[float, float],
    shape: tuple[int, int],
    turned: float = 0.0,
) -> GeoBox:
    """A grid about a centre; (x, y) resolution, negative y is north-up; degrees turned."""
    across, down = (resolution, -resolution) if isinstance(resolution, float) else resolution
    turn = math.radians(turned)
    a, b = across * math.cos(turn), -down * math.sin(turn)
    d, e = across * math.sin(turn), down * math.cos(turn)
    rows, columns = shape
    corner = (
        centre[0] - a * columns / 2 - b * rows / 2,
        centre[1] - d * columns / 2 - e * rows / 2,
    )
    affine = Affine(a, b, corner[0], d, e, corner[1])
    return GeoBox(shape, affine, crs)


def on(geobox: GeoBox, mu: Any, sigma: Any = None, mask: Any = None, **kwargs: Any) -> xr.Dataset:
    """A retrieval on a grid; axes before the last two become dims `d0`, `d1`, ..."""
    dims = [*(f"d{i}" for i in range(np.ndim(mu) - 2)), *geobox.dimensions]
    frame = xr.DataArray(mu, dims=dims).assign_coords(xr_coords(geobox))
    sigma = np.ones_like(mu) if sigma is None else sigma
    return xf.retrieval(frame, sigma, mask, **kwargs)


def noise(shape: Any, dtype: Any = np.float64, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Random mu and sigma."""
    rng = np.random.default_rng(seed)
    mu, sigma = rng.uniform(-1.0, 1.0, shape), rng.uniform(0.1, 2.0, shape)
    return mu.astype(dtype, copy=False), sigma.astype(dtype, copy=False)


def flags(shape: Any, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.choice(np.array([0, 0, 0, 1, 6], np.uint8), shape))


def broken(array: NDArray[Any], seed: int, *others: float) -> NDArray[Any]:
    """The same with a tenth of the values missing, infinite or one of the others."""
    rng = np.random.default_rng(seed)
    bad = rng.choice(np.array([np.nan, np.inf, *others], array.dtype), array.shape)
    return np.where(rng.random(array.shape) < 0.1, bad, array)


def assert_same(a: xr.Dataset, b: xr.Dataset) -> None:
    assert list(a.data_vars) == list(b.data_vars)
    for name in a.data_vars:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name], b[name], err_msg=str(name))


def exact_positions(source: GeoBox, target: GeoBox) -> tuple[NDArray[Any], NDArray[Any]]:
    """Source columns and rows of all target pixel centres, from the source's outer corner."""
    columns, rows = np.meshgrid(np.arange(target.shape[1]) + 0.5, np.arange(target.shape[0]) + 0.5)
    x, y = apply(target.affine, columns, rows)
    ours, theirs = (CRS.from_user_input(str(g.crs)) for g in (target, source))
    if ours != theirs:
        x, y = Transformer.from_crs(ours, theirs, always_xy=True).transform(x, y)
    x, y = (np.where(np.isfinite(p), p, np.nan) for p in (x, y))
    if theirs.is_geographic:  # a longitude is known up to full turns
        middle = apply(source.affine, source.shape[1] / 2, source.shape[0] / 2)[0]
        x = (x - middle + 180.0) % 360.0 - 180.0 + middle
    return apply(~source.affine, x, y)


def apply(affine: Affine, x: Any, y: Any) -> tuple[Any, Any]:
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def inside(source: GeoBox, u: NDArray[Any], v: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray((u >= 0) & (u < source.shape[1]) & (v >= 0) & (v < source.shape[0]))


def interpolate(field: NDArray[Any], u: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
    """Plain bilinear interpolation; beyond the outermost centres, their value."""
    at = [np.where(np.isfinite(p), p, 0) - 0.5 for p in (v, u)]
    return np.asarray(map_coordinates(field, at, order=1, mode="nearest"))


def local_gradient(field: NDArray[Any], u: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
    """Range of the four source pixels about each position, at least 1e-9."""
    rows, columns = field.shape
    at = np.where(np.isfinite(u + v), (v, u), 0.0)
    i, j = (
        np.clip(np.floor(p - 0.5), 0, n - 2).astype(int)
        for p, n in zip(at, (rows, columns), strict=True)
    )
    four = np.stack([field[i, j], field[i + 1, j], field[i, j + 1], field[i + 1, j + 1]])
    return np.asarray(np.maximum(four.max(axis=0) - four.min(axis=0), 1e-9))


def average(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[np.uint8],
    u: NDArray[Any],
    v: NDArray[Any],
    width: float,
    rho: float,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8]]:
    """Weigh each source pixel by its overlap with a square footprint, over its own kind."""
    sigma = np.where(sigma < 0, np.nan, sigma)
    means, spreads = np.full(u.shape, np.nan), np.full(u.shape, np.nan)
    flags = np.full(u.shape, UNKNOWN, np.uint8)
    rows, columns = mu.shape
    for place in np.ndindex(u.shape):
        x, y = float(u[place]), float(v[place])
        if not (0 <= x < columns and 0 <= y < rows):
            continue
        near = math.floor(y), math.floor(x)
        means[place], spreads[place], flags[place] = mu[near], sigma[near], mask[near]
        if not (math.isfinite(mu[near]) and math.isfinite(sigma[near])):
            continue
        taps = []
        for i in range(rows):
            high = min(i + 1, y + width / 2) - max(i, y - width / 2)
            for j in range(columns) if high > 0 else ():
                wide = min(j + 1, x + width / 2) - max(j, x - width / 2)
                known = math.isfinite(mu[i, j]) and math.isfinite(sigma[i, j])
                if wide > 0 and known and (mask[i, j] == 0) == (mask[near] == 0):
                    taps.append((high * wide, float(mu[i, j]), float(sigma[i, j])))
        total = math.fsum(w for w, _, _ in taps)
        means[place] = math.fsum(w * m for w, m, _ in taps) / total
        full = math.fsum(w * s for w, _, s in taps) / total
        none = math.fsum((w * s) ** 2 for w, _, s in taps) / total**2
        spreads[place] = math.sqrt(rho * full**2 + (1 - rho) * none)
    return means, spreads, flags
