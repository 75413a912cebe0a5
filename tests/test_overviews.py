"""Smaller copies of a store, compared with plain loops over its pixels."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
import zarr_cm
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests.append_runs import add
from tests.store_runs import contents
from tests.test_geozarr import GRIDS, root
from xfusion.store import overviews
from xfusion.store.levels import halved

UNKNOWN = 32


@pytest.fixture(autouse=True, scope="module")
def small() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overviews, "SIDE", 3)
        yield


def layers(rows: int, columns: int, seed: int, dtype: str = "float32") -> xr.Dataset:
    """Return a retrieval with layers of all kinds, and all that makes a pixel unusable."""
    rng = np.random.default_rng(seed)
    shape = rows, columns
    mu = rng.normal(size=shape).astype(dtype)
    mu[rng.random(shape) < 0.2] = np.nan
    sigma = rng.random(shape).astype(dtype)
    sigma[rng.random(shape) < 0.1] = -1
    sigma[rng.random(shape) < 0.1] = np.inf
    made = xf.retrieval(mu, sigma)
    mask = np.where(rng.random(shape) < 0.5, rng.integers(1, 8, shape), 0).astype(np.uint8)
    flags = {"flag_masks": np.array([1, 2, 4], np.uint8), "flag_meanings": "a b c"}
    chi2 = np.where(rng.random(shape) < 0.3, np.nan, rng.random(shape)).astype(np.float32)
    return made.assign(
        mask=(("y", "x"), mask),
        source=(("y", "x"), rng.integers(0, 8, shape).astype(np.uint8), flags),
        conflict=(("y", "x"), rng.random(shape) < 0.2),
        chi2=(("y", "x"), chi2),
        count=(("y", "x"), rng.integers(0, 9, shape).astype(np.uint16)),
    )


def expected(below: xr.Dataset, shape: tuple[int, int], factor: int) -> dict[str, Any]:
    """Return layers of a level by loops over those below; `shape` is that of the store."""
    sizes = [-(-below.sizes[d] // 2) for d in ("y", "x")]
    found = {str(n): np.zeros(sizes, v.dtype) for n, v in below.data_vars.items()}
    before = {str(n): v.to_numpy() for n, v in below.data_vars.items()}
    for i, j in np.ndindex(*sizes):
        pixels = [
            (r, c)
            for r in (2 * i, 2 * i + 1)
            for c in (2 * j, 2 * j + 1)
            if r < below.sizes["y"] and c < below.sizes["x"]
        ]
        size = {
            (r, c): (min((r + 1) * factor, shape[0]) - r * factor)
            * (min((c + 1) * factor, shape[1]) - c * factor)
            for r, c in pixels
        }
        usable = [
            p
            for p in pixels
            if before["mask"][p] == 0
            and np.isfinite(before["mu"][p])
            and np.isfinite(before["sigma"][p])
            and before["sigma"][p] >= 0
        ]
        known = [p for p in pixels if np.isfinite(before["chi2"][p])]
        for name, seen in {"mu": usable, "sigma": usable, "chi2": known}.items():
            values = [float(before[name][p]) for p in seen]
            weights = [size[p] for p in seen]
            found[name][i, j] = np.average(values, weights=weights) if seen else np.nan
        either = dict.fromkeys(("mask", "source", "conflict"), 0)
        for p in pixels:
            either = {n: each | int(before[n][p]) for n, each in either.items()}
        found["mask"][i, j] = 0 if usable else either["mask"] or UNKNOWN
        found["source"][i, j], found["conflict"][i, j] = either["source"], either["conflict"]
        found["count"][i, j] = before["count"][pixels[0]]
    return found


@settings(max_examples=5, deadline=None)
@given(
    rows=st.integers(1, 13),
    columns=st.integers(1, 13),
    block=st.integers(1, 7),
    seed=st.integers(0, 99),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_each_layer_of_each_level_is_what_its_kind_is_of_the_pixels_below(
    rows: int, columns: int, block: int, seed: int, dtype: str
) -> None:
    made = layers(rows, columns, seed, dtype)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "w.zarr"
        below = xf.to_zarr(made.chunk(block), store, progress=False).load()
        found = xf.add_overviews(store, progress=False)
        assert max(rows, columns) <= 3 * 2 ** len(found) < 2 * max(rows, columns, 2)
        for factor, group in found.items():
            level = xr.open_zarr(store, group=group).load()
            for name, layer in expected(below, (rows, columns), factor // 2).items():
                assert level[name].dtype == made[name].dtype
                np.testing.assert_allclose(level[name], layer, rtol=1e-6, err_msg=name)
            assert not ({*made.data_vars} ^ {*level.data_vars})
            below = level
        assert not xf.verify(store, progress=False)


@pytest.mark.parametrize("name", GRIDS)
def test_a_level_lies_where_its_store_does_and_says_so(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    mu = xr_zeros(grid, dtype="float32")
    water = xf.retrieval(mu, mu + 1, sensor="s", time="2023-06-20")
    before = xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    (group,) = xf.add_overviews(tmp_path / "w.zarr", progress=False).values()
    level = xr.open_zarr(tmp_path / "w.zarr", group=group)
    box = xf.datamodel.grid.geobox_of(level)  # type: ignore[attr-defined]  # a room of the package
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    np.testing.assert_allclose(tuple(box.transform)[:6], (2 * a, 2 * b, c, 2 * d, 2 * e, f))
    assert box.crs == grid.crs
    assert dict(level.sizes) == dict(zip(water.mu.dims, (3, 3), strict=True))
    assert level.mu.attrs == xr.open_zarr(tmp_path / "w.zarr").mu.attrs
    xr.testing.assert_identical(level.time.variable, before.time.variable)
    metadata = root(tmp_path / "w.zarr")
    metadata.pop("consolidated_metadata")
    for convention in (zarr_cm.proj, zarr_cm.spatial, zarr_cm.multiscales):
        convention.validate_group_metadata(metadata)
    layout = metadata["attributes"]["multiscales"]["layout"]
    assert [each["asset"] for each in layout] == [".", group]
    assert layout[1]["spatial:shape"] == [3, 3]
    assert [*zarr.open_group(tmp_path / "w.zarr", mode="r")[group].array_keys()]  # type: ignore[union-attr]  # a group


def test_the_store_opens_as_before_and_a_second_call_changes_no_byte(tmp_path: Path) -> None:
    store, made = tmp_path / "w.zarr", layers(9, 5, 0).chunk(4)
    before = xf.to_zarr(made, store, progress=False).load()
    plain = contents(store)
    assert xf.add_overviews(store, progress=False) == {2: "overviews/2", 4: "overviews/4"}
    first = contents(store)
    assert {k for k in plain if plain[k] != first[k]} == {"zarr.json"}
    xf.add_overviews(store, progress=False)
    assert contents(store) == first
    xr.testing.assert_equal(xf.to_zarr(made, store, progress=False).load(), before)
    assert contents(store) == first


def test_a_block_of_a_level_that_is_lost_is_told_and_written_again(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    xf.to_zarr(layers(9, 5, 0), store, progress=False)
    xf.add_overviews(store, progress=False)
    whole = contents(store)
    (store / "overviews/2/mu/c/0/0").unlink()
    assert [*xf.verify(store, progress=False)] == ["overviews/2/mu/c/0/0"]
    xf.add_overviews(store, progress=False)
    assert contents(store) == whole


def test_a_store_that_has_grown_lists_no_levels_until_they_are_made_anew(tmp_path: Path) -> None:
    store, made = tmp_path / "w.zarr", layers(9, 5, 0)
    first, second = (made.assign_coords(time=np.datetime64(f"2023-06-0{n}", "ns")) for n in (1, 2))
    add(first, store)
    xf.add_overviews(store, progress=False)
    add(second, store)
    assert "multiscales" not in root(store)["attributes"]
    assert not (store / "overviews").exists()
    assert not xf.verify(store, progress=False)
    xf.add_overviews(store, progress=False)
    level = xr.open_zarr(store, group="overviews/2")
    assert level.sizes["time"] == 2
    np.testing.assert_array_equal(level.mu[0], level.mu[1])
    assert not xf.verify(store, progress=False)


def test_levels_are_not_listed_before_all_are_whole_and_a_later_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, made = tmp_path / "w.zarr", layers(9, 5, 0)
    xf.to_zarr(made, store, progress=False)
    plain = contents(store)

    def broken(dataset: xr.Dataset, areas: Any) -> xr.Dataset:
        if dataset.sizes["y"] < 9:
            raise KeyboardInterrupt
        return halved(dataset, areas)

    with monkeypatch.context() as patch:
        patch.setattr(overviews, "halved", broken)
        with pytest.raises(KeyboardInterrupt):
            xf.add_overviews(store, progress=False)
    assert {k: v for k, v in contents(store).items() if "overviews" not in k} == plain
    xf.add_overviews(store, progress=False)
    resumed = contents(store)
    other = tmp_path / "v.zarr"
    xf.to_zarr(made, other, progress=False)
    xf.add_overviews(other, progress=False)
    assert contents(other) == resumed


def test_data_of_a_user_under_the_name_of_the_levels_stay(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    xf.to_zarr(layers(9, 5, 0).rename(chi2="overviews"), store, progress=False)
    before = contents(store)
    with pytest.raises(FileExistsError, match="data called 'overviews' of its own"):
        xf.add_overviews(store, progress=False)
    assert contents(store) == before


def test_what_has_no_pixels_to_spare_gets_no_levels(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    xf.to_zarr(layers(3, 3, 0), store, progress=False)
    before = contents(store)
    assert xf.add_overviews(store, progress=False) == {}
    assert contents(store) == before


def test_a_store_of_others_is_left_alone(tmp_path: Path) -> None:
    xr.Dataset({"a": (("y", "x"), np.zeros((9, 9)))}).to_zarr(tmp_path / "w.zarr")
    with pytest.raises(FileExistsError, match="did not write"):
        xf.add_overviews(tmp_path / "w.zarr", progress=False)
    assert json.loads((tmp_path / "w.zarr" / "zarr.json").read_text())["attributes"] == {}
