"""Co-registration of 25 Mpx from UTM to EPSG:4326 in memory, against warps through GDAL."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import odc.geo.xr  # noqa: F401  # registers .odc
import rasterio.warp
import rioxarray  # noqa: F401  # registers .rio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import Transformer
from rasterio.enums import Resampling
from scipy.ndimage import map_coordinates

import xfusion as xf
from benchmarks.tables import Row, Table, timed
from benchmarks.timing import best_of

SIDE = 5000
TARGET = GeoBox.from_bbox((16.0, 48.0, 16.5, 48.5), "EPSG:4326", shape=(SIDE, SIDE))  # 0.0001 deg
CHECKED = slice(100, -100, 10)  # rows of the target whose values are compared

Warp = Callable[[xr.DataArray], Any]


def source_grid(pixel: float) -> GeoBox:
    """A UTM grid that reaches 20 pixels beyond the target, so that edges play no part."""
    bounds = TARGET.extent.to_crs("EPSG:32633").boundingbox
    return GeoBox.from_bbox(bounds.buffered(20 * pixel), resolution=pixel)


def layer(geobox: GeoBox, values: Any) -> xr.DataArray:
    array = xr.DataArray(values, dims=geobox.dimensions).assign_coords(xr_coords(geobox))
    return array.rio.write_nodata(np.nan)


def retrieval(geobox: GeoBox) -> xr.Dataset:
    """Random numbers, masked in clouds of some hundred pixels."""
    rng = np.random.default_rng(0)
    mu, sigma = (rng.random(geobox.shape, np.float32) for _ in range(2))
    shady = np.sin(np.arange(geobox.shape[0]) / 90)[:, None] * np.sin(
        np.arange(geobox.shape[1]) / 70
    )
    flags = (shady > 0.5).astype(np.uint8) * np.uint8(xf.Exclusion.CLOUD)
    return xf.retrieval(layer(geobox, mu), sigma, flags)


def with_rasterio(array: xr.DataArray) -> Any:
    source = array.odc.geobox
    out = np.empty(TARGET.shape, array.dtype)
    rasterio.warp.reproject(
        array.to_numpy(),
        out,
        src_transform=source.affine,
        src_crs=str(source.crs),
        src_nodata=np.nan,
        dst_transform=TARGET.affine,
        dst_crs=str(TARGET.crs),
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
        num_threads=2,
    )
    return out


def gdal_tools() -> dict[str, Warp]:
    match = xr.DataArray(
        np.broadcast_to(np.float32(0), TARGET.shape), dims=("y", "x")
    ).assign_coords(xr_coords(TARGET, dims=("y", "x")))
    return {
        "rasterio.warp.reproject, 2 threads": with_rasterio,
        ".rio.reproject_match": lambda a: a.rio.reproject_match(
            match, resampling=Resampling.bilinear
        ).to_numpy(),
        ".odc.reproject": lambda a: a.odc.reproject(TARGET, resampling="bilinear").to_numpy(),
    }


def speed(pixel: float) -> Table:
    sensor = retrieval(source_grid(pixel))
    tenth = np.random.default_rng(2).random(sensor.mu.shape, np.float32) < 0.1
    masks = {
        "a random tenth masked": xf.exclude(
            sensor.drop_vars("mask"), xr.DataArray(tenth, sensor.mu.coords, sensor.mu.dims)
        ),
        "no mask": sensor.drop_vars("mask"),
    }
    alternatives: dict[str, Callable[[], Any]] = {}
    for name, warp in gdal_tools().items():
        alternatives[name] = lambda warp=warp: [warp(sensor[v]) for v in ("mu", "sigma")]
    alternatives["xfusion"] = lambda: xf.coregister(sensor, TARGET)
    alternatives["xfusion, error_correlation=0"] = lambda: xf.coregister(
        sensor, TARGET, error_correlation=0
    )
    for name, other in masks.items():
        alternatives[f"xfusion, {name}"] = lambda other=other: xf.coregister(other, TARGET)
    times = best_of(alternatives, rounds=3)
    rows, columns = sensor.mu.shape
    title = (
        f"Co-registering {rows} x {columns} pixels of {pixel:g} m to {SIDE} x {SIDE} of 0.0001 "
        "degrees, bilinear, in memory;\n"
        "mu and sigma through GDAL, mu, sigma and mask through xfusion"
    )
    against = "rasterio.warp.reproject, 2 threads"
    name = f"coregistration, {pixel:.0f} m"
    return timed(name, title, times, against=against, pixels=SIDE**2)


def exact_positions(source: GeoBox) -> tuple[Any, Any]:
    """Source columns and rows of the checked target pixels, from the source's outer corner."""
    rows = np.arange(SIDE)[CHECKED] + 0.5
    columns, rows = np.meshgrid(np.arange(SIDE)[100:-100] + 0.5, rows)
    x, y = TARGET.affine * (columns, rows)
    transformer = Transformer.from_crs(str(TARGET.crs), str(source.crs), always_xy=True)
    return ~source.affine * transformer.transform(x, y)


def accuracy(pixel: float) -> Table:
    source = source_grid(pixel)
    u, v = exact_positions(source)
    down, across = (np.arange(n, dtype=np.float64) + 0.5 for n in source.shape)
    ramps = {"v": np.repeat(down[:, None], across.size, 1), "u": np.tile(across, (down.size, 1))}
    smooth = np.sin(down * pixel / 700)[:, None] * np.cos(across * pixel / 900)
    fields = {
        "smooth": smooth.astype(np.float32),
        "random": np.random.default_rng(1).random(source.shape, np.float32),
    }
    truth = {k: map_coordinates(f, (v - 0.5, u - 0.5), order=1) for k, f in fields.items()}

    def errors(warped: Mapping[str, Any]) -> Row:
        at = {k: np.asarray(w)[CHECKED, 100:-100] for k, w in warped.items()}
        off = max(np.abs(at["u"] - u).max(), np.abs(at["v"] - v).max())
        smooth, random = (np.abs(at[k] - truth[k]).max() for k in truth)
        return {"position": float(off), "smooth": float(smooth), "random": float(random)}

    def by_xfusion() -> dict[str, Any]:
        pairs = [(ramps, "u", "v"), (fields, "smooth", "random")]
        warped: dict[str, Any] = {}
        for layers, first, second in pairs:
            pair = xf.retrieval(layer(source, layers[first]), layers[second])
            result = xf.coregister(pair, TARGET, position_error=0.0)
            warped |= {first: result.mu, second: result.sigma}
        return warped

    title = (
        f"Largest errors from {pixel:g} m to 0.0001 degrees, every tenth row\n"
        "(position in source pixels; value against bilinear interpolation at the exact one)"
    )
    rows = [
        {"what": name} | errors({k: warp(layer(source, f)) for k, f in (ramps | fields).items()})
        for name, warp in gdal_tools().items()
    ]
    rows.append({"what": "xfusion"} | errors(by_xfusion()))
    return Table("coregistration, errors", title, ("position", "smooth", "random"), rows)


def main() -> Iterator[Table]:
    for pixel in (10.0, 20.0):
        yield speed(pixel)
    # pixels of 0.0001 degrees are finer than 20 m: there all tools mean bilinear interpolation
    yield accuracy(20.0)
