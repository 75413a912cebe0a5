"""What is lawful is accepted, and means the same in memory, in a file and in parts."""

import re
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import CRS

import xfusion as xf
from tests.test_composition import EQUI7
from tests.test_raster import write

PROJECTED = ["EPSG:32633", "EPSG:3035", "EPSG:3857", EQUI7, "EPSG:31287"]
GEOGRAPHIC = ["EPSG:4326", "EPSG:4258", "OGC:CRS84"]


@st.composite
def grids(draw: DrawFn) -> GeoBox:
    """Any regular grid: of any CRS, turned or not, north or south up, beyond 180 degrees."""
    shape = draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    if draw(st.booleans()):
        crs = draw(st.sampled_from(GEOGRAPHIC))
        pixel = draw(st.sampled_from([1e-4, 1 / 120, 0.1, 0.25]))
        left, top = draw(st.integers(-180, 357)), draw(st.integers(-80, 85))
    else:
        crs = draw(st.sampled_from(PROJECTED))
        pixel = draw(st.sampled_from([0.5, 10.0, 20.0, 463.3127]))
        left, top = draw(st.integers(100_000, 900_000)), draw(st.integers(1_000_000, 6_000_000))
    turned = draw(st.sampled_from([0.0, 0.0, 0.0, 17.0, 90.0]))
    up = draw(st.sampled_from([-1.0, -1.0, 1.0]))
    angle = np.deg2rad(turned)
    cos, sin = (float(np.round(f(angle), 15)) * pixel for f in (np.cos, np.sin))
    return GeoBox(shape, Affine(cos, sin * up * -1, left, sin, cos * up, top), crs)


def arrays(grid: GeoBox, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(grid.shape, np.float32), rng.random(grid.shape, np.float32) + np.float32(0.1)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grid=grids(), seed=st.integers(0, 99), point=st.booleans(), data=st.data())
def test_any_regular_grid_is_one_in_memory_in_a_file_and_in_parts(
    grid: GeoBox, seed: int, point: bool, data: st.DataObject, tmp_path: Path
) -> None:
    mu, sigma = arrays(grid, seed)
    profile: dict[str, Any] = {"crs": CRS(str(grid.crs)).to_wkt(), "transform": grid.transform}
    for name, array in (("mu", mu), ("sigma", sigma)):
        path = write(tmp_path / f"{name}.tif", array, **profile)
        if point:
            with rasterio.open(path, "r+") as file:
                file.update_tags(AREA_OR_POINT="Point")
    opened = xf.SensorProduct.open(tmp_path / "mu.tif", tmp_path / "sigma.tif", chunks=4)
    coords = xr_coords(grid, dims=("y", "x"))
    memory = xf.retrieval(
        xr.DataArray(mu, dims=("y", "x"), coords=coords),
        xr.DataArray(sigma, dims=("y", "x"), coords=coords),
    )
    np.testing.assert_allclose(
        tuple(opened.geobox.transform), tuple(grid.transform), rtol=1e-9, atol=1e-9
    )
    fused = opened.gaussian(memory)
    np.testing.assert_allclose(fused.mu, mu, rtol=1e-6)
    np.testing.assert_allclose(fused.sigma, sigma / np.sqrt(2), rtol=1e-6)
    rows, columns = (
        slice(*sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))))
        for n in grid.shape
    )
    part = memory.isel(y=rows, x=columns)
    # a part is the whole, brought onto the grid of the part
    moved = opened.coregister(part)
    np.testing.assert_array_equal(moved.mu, mu[rows, columns])
    np.testing.assert_array_equal(moved.sigma, sigma[rows, columns])


@pytest.mark.parametrize(
    "times",
    [
        pd.date_range("2023-01-31", periods=3, freq="D"),
        pd.DatetimeIndex(["1900-01-01", "2023-06-20T05:11:13", "2100-01-01"]),
        [cftime.DatetimeNoLeap(2023, 2, d) for d in (1, 2, 28)],
        [cftime.Datetime360Day(2023, 2, d) for d in (1, 2, 30)],
        [2020, 2021, 2022],
        ["dry", "wet", "winter"],
    ],
    ids=["days", "moments", "noleap", "360_day", "numbers", "names"],
)
def test_labels_of_time_of_any_calendar_are_carried(times: Any) -> None:
    mu = xr.DataArray(np.full((3, 2, 2), 0.5), dims=("time", "y", "x"), coords={"time": times})
    water = xf.retrieval(mu, 0.2)
    fused = xf.gaussian(water, water)
    np.testing.assert_allclose(fused.sigma, 0.2 / np.sqrt(2))
    reduced = xf.gaussian(water, dim="time")
    np.testing.assert_allclose(reduced.sigma, 0.2 / np.sqrt(3))


@pytest.mark.parametrize("kind", ["levels", "texts"])
def test_labels_that_have_no_nearest_are_selected_by_what_both_have(kind: str) -> None:
    def labelled(last: int) -> xr.Dataset:
        cube = xf.retrieval(np.ones((2, 2)), 0.1).expand_dims(scene=3).copy()
        if kind == "texts":
            return cube.assign_coords(scene=["a", "b", str(last)])
        levels = pd.MultiIndex.from_tuples([(1, "a"), (2, "b"), (last, "c")], names=["n", "pol"])
        return cube.assign_coords(xr.Coordinates.from_pandas_multiindex(levels, "scene"))

    a, b = labelled(3), labelled(4)
    with pytest.raises(ValueError, match="not the same labels along 'scene'") as caught:
        a.fusion.gaussian(b)
    said = str(caught.value)
    assert "nearest" not in said
    assert ("(1, 'a'), (2, 'b'), (4, 'c')" if kind == "levels" else "3 of a, b, 4") in said
    call = re.search(r"a\.isel.*\)\)$", said)
    assert call is not None
    left = eval(call[0], {"a": a, "b": b})  # noqa: S307  # it is what the error says
    right = eval(call[0], {"a": b, "b": a})  # noqa: S307  # it is what the error says
    assert left.fusion.gaussian(right).sizes["scene"] == 2
    with pytest.raises(ValueError, match=r"3 without labels and 3 of .*assign_coords\(scene="):
        a.fusion.gaussian(b.drop_vars(["scene", "n", "pol"], errors="ignore"))
