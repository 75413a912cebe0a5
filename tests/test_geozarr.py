"""Where a store lies, by the conventions of GeoZarr."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr_cm
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests.append_runs import add
from xfusion.store import template

LAMBERT = "+proj=laea +lat_0=51 +lon_0=11 +x_0=1000 +y_0=2000 +ellps=GRS80 +units=m"
GRIDS = {
    "utm": GeoBox((6, 5), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633"),
    "geographic": GeoBox((6, 5), Affine(1e-3, 0, 12.5, 0, -2e-3, 48.25), "EPSG:4326"),
    "rotated": GeoBox((6, 5), Affine(8, 6, 500_000, 6, -8, 5_000_000), "EPSG:32633"),
    "without a code": GeoBox((6, 5), Affine(10, 0, 0, 0, -10, 0), LAMBERT),
    "upwards": GeoBox((6, 5), Affine(10, 0, 500_000, 0, 10, 5_000_000), "EPSG:32633"),
}


def on(grid: GeoBox) -> xr.Dataset:
    mu = xr_zeros(grid, dtype="float32")
    return xf.retrieval(mu, mu + 1, sensor="s")


def root(store: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((store / "zarr.json").read_text())
    return found


@pytest.mark.parametrize("name", GRIDS)
def test_the_root_says_by_the_conventions_where_the_store_lies(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    xf.to_zarr(on(grid), tmp_path / "w.zarr", progress=False)
    metadata = root(tmp_path / "w.zarr")
    metadata.pop("consolidated_metadata")
    for convention in (zarr_cm.proj, zarr_cm.spatial):
        convention.validate_group_metadata(metadata)
    assert zarr_cm.detect_revisions(metadata["attributes"]).keys() == {"proj", "spatial"}
    attrs = metadata["attributes"]
    assert Affine(*attrs["spatial:transform"]).almost_equals(grid.transform)
    assert attrs["spatial:shape"] == [6, 5]
    assert attrs["spatial:dimensions"] == list(on(grid).mu.dims)
    np.testing.assert_allclose(attrs["spatial:bbox"], grid.boundingbox.bbox)
    crs = attrs.get("proj:code", attrs.get("proj:wkt2"))
    assert grid.crs is not None
    assert grid.crs.proj.equals(crs)
    assert ("proj:wkt2" in attrs) == (name == "without a code")


def test_a_store_without_a_crs_says_nothing_of_where_it_lies(tmp_path: Path) -> None:
    mu = np.zeros((4, 4), np.float32)
    xf.to_zarr(xf.retrieval(mu, mu + 1), tmp_path / "w.zarr", progress=False)
    assert not [k for k in root(tmp_path / "w.zarr")["attributes"] if "proj" in k or "spati" in k]


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_part_of_a_store_does_not_say_that_it_lies_where_the_whole_does(
    tmp_path: Path, *, is_ours: bool
) -> None:
    store = tmp_path / "w.zarr"
    opened = xf.to_zarr(on(GRIDS["utm"]), store, progress=False)
    if is_ours:
        assert not [k for k in opened.attrs if ":" in k or "conventions" in k]
    else:
        opened = xr.open_zarr(store)
    part = opened.isel(y=slice(2, None))
    xf.to_zarr(part, tmp_path / "part.zarr", progress=False)
    attrs = root(tmp_path / "part.zarr")["attributes"]
    assert attrs["spatial:shape"] == [4, 5]
    assert attrs["spatial:transform"][5] == 5_000_000 - 20
    assert len(attrs["zarr_conventions"]) == 2


def test_a_convention_that_a_user_declares_stays_declared(tmp_path: Path) -> None:
    own = zarr_cm.license.create_convention_attrs(spdx="CC-BY-4.0")
    water = on(GRIDS["utm"]).assign_attrs(own)
    once = xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    xf.to_zarr(once, tmp_path / "v.zarr", progress=False)
    for name in ("w", "v"):
        attrs = root(tmp_path / f"{name}.zarr")["attributes"]
        assert zarr_cm.detect_revisions(attrs).keys() == {"license", "proj", "spatial"}


@pytest.mark.parametrize("is_older", [True, False])
def test_a_store_grows_whether_or_not_it_says_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_older: bool
) -> None:
    store, water = tmp_path / "w.zarr", on(GRIDS["utm"])
    first, second = (water.assign_coords(time=np.datetime64(f"2023-06-0{n}", "ns")) for n in (1, 2))
    with monkeypatch.context() as patch:
        if is_older:
            patch.setattr(template, "grid_attrs", lambda _: {})
        add(first, store)
    before = root(store)["attributes"]
    assert ("spatial:transform" in before) != is_older
    assert add(second, store).sizes["time"] == 2
    after = root(store)["attributes"]
    for name in {*before, *after} - {"fusion_job"}:
        assert after[name] == before[name]
    assert not xf.verify(store, progress=False)
