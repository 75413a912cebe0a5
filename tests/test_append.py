"""Dates that are added to a finished store: the same as all at once, or refused."""

import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import rioxarray  # noqa: F401  # registers .rio
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from tests.append_runs import add, as_each_array_is, as_readers_see, days, scene
from tests.store_runs import KilledError, contents, fused, write_inputs
from xfusion.store import filling, tasks
from xfusion.store.place import ROOT, Place


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("whole") / "w.zarr"
    add(days(1, 3), store)
    return store


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "w.zarr"))


# Equal to one call


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(1, 2), min_size=1, max_size=4))
def test_dates_in_any_parts_are_those_of_one_call_bit_for_bit(parts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        day = itertools.count(1)
        for number, count in enumerate(parts):
            which = [next(day) for _ in range(count)]
            # a state of one day has a scalar time
            dates = scene(which[0]) if count == 1 else days(*which)
            back = add(dates, Path(folder, "parts.zarr"))
            assert back.sizes["time"] == sum(parts[: number + 1])
        at_once = add(days(*range(1, sum(parts) + 1)), Path(folder, "whole.zarr"))
        found, expected = (contents(Path(folder, f"{n}.zarr")) for n in ("parts", "whole"))
        # the root says which jobs they were
        assert {k for k in {**found, **expected} if found.get(k) != expected.get(k)} <= {
            "zarr.json"
        }
        assert xf.verify(Path(folder, "parts.zarr"), progress=False) == {}
        xr.testing.assert_identical(
            back.load().drop_attrs(deep=False), at_once.load().drop_attrs(deep=False)
        )


def test_the_store_that_to_zarr_has_made_of_a_cube_gets_more_dates(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    xf.to_zarr(days(1, 3), store, progress=False)
    back = add(days(4, 9), store)
    np.testing.assert_array_equal(back.time.dt.day, [1, 3, 4, 9])
    expected = days(1, 3, 4, 9).compute()
    xr.testing.assert_equal(back.load(), expected)
    for found in as_readers_see(store).values():
        assert found.sizes["time"] == 4 or "mu_" in found
    alone = as_each_array_is(store)
    np.testing.assert_array_equal(alone["dask mu"], expected.mu)
    np.testing.assert_array_equal(alone["mask"], expected.mask)
    assert not (store / ".xfusion").exists()


def test_accessor_and_product_add_the_same(store: Path, tmp_path: Path) -> None:
    for other in ("a", "p"):
        shutil.copytree(store, tmp_path / f"{other}.zarr")
    scene(4).fusion.to_zarr(tmp_path / "a.zarr", append_dim="time", progress=False)
    product = scene(4).fusion.product.to_zarr(
        tmp_path / "p.zarr", append_dim="time", progress=False
    )
    add(scene(4), store)
    assert isinstance(product, xf.SensorProduct)
    assert contents(store) == contents(tmp_path / "a.zarr") == contents(tmp_path / "p.zarr")


def test_a_state_is_carried_on_day_by_day(tmp_path: Path) -> None:
    store = tmp_path / "state.zarr"
    add(days(1, 3).fusion.filter(q=0.01), store)
    for day in (4, 6):
        add(xf.update(xr.open_zarr(store), scene(day)), store)
    expected = days(1, 3, 4, 6).fusion.filter(q=0.01).compute()
    xr.testing.assert_equal(xr.open_zarr(store).load(), expected)


@pytest.mark.parametrize("lazy", [True, False])
def test_a_state_that_another_run_has_overtaken_is_not_added(tmp_path: Path, lazy: bool) -> None:
    store = tmp_path / "state.zarr"
    add(scene(1).fusion.filter(q=0.01), store)
    state = xr.open_zarr(store) if lazy else xr.open_zarr(store).load()
    # two runs that begin at once
    second, third = (xf.update(state, scene(day)) for day in (2, 3))
    add(second, store)
    before = contents(store)
    with pytest.raises(
        ValueError, match=r"state of 2023-06-01T05:.* is 2023-06-02T05:.*xf\.update"
    ):
        add(third, store)
    assert contents(store) == before
    # one that has ended is not told so
    add(second, store)
    assert contents(store) == before
    counts = add(xf.update(xr.open_zarr(store), scene(3)), store)["count"].max(["y", "x"])
    assert counts.to_numpy().tolist() == [1, 2, 3]
    # neither the store nor what is made of it is of one step
    assert "series_carried" not in xr.open_zarr(store).attrs
    assert "series_carried" not in xr.open_zarr(store).fusion.filter(q=0.01).attrs


def test_states_are_added_several_at_once_and_to_a_store_that_one_of_them_made(
    tmp_path: Path,
) -> None:
    begun = scene(1).fusion.filter(q=0.01)
    second = xf.update(begun, scene(2))
    third = xf.update(second, scene(3))
    for name, parts in {"a": [begun, xf.stack([second, third])], "b": [second, third]}.items():
        for part in parts:
            back = add(part, tmp_path / f"{name}.zarr")
        assert back.time.dt.day.to_numpy().tolist()[-2:] == [2, 3]
    xf.to_zarr(second, tmp_path / "c.zarr", progress=False)
    again = xf.update(xr.open_zarr(tmp_path / "c.zarr"), scene(3))
    xr.testing.assert_identical(again.compute(), third.compute())


def test_smoothed_dates_are_added_with_what_the_last_of_them_saw(tmp_path: Path) -> None:
    for first in (1, 3):
        add(days(first, first + 1).fusion.smooth(q=0.01), tmp_path / "w.zarr")
    stored = xr.open_zarr(tmp_path / "w.zarr")
    assert stored.attrs["series_last_look"] == "2023-06-04T05:00:00"
    assert xf.verify(tmp_path / "w.zarr", progress=False) == {}


def test_a_date_of_a_state_that_is_made_once_more_ends_what_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    add(scene(1).fusion.filter(q=0.01), store)
    move = Place.move

    def every_morning(seen: xr.Dataset) -> xr.Dataset:
        known = xr.open_zarr(store)
        state = known.sel(time=known.time < seen.time).isel(time=-1).load()
        return add(xf.update(state, seen), store)

    def interrupted(place: Place, source: str, target: str) -> None:
        move(place, source, target)
        if target == ROOT:
            raise KilledError

    every_morning(scene(2))
    with monkeypatch.context() as patch:
        patch.setattr(Place, "move", interrupted)
        with pytest.raises(KilledError):
            every_morning(scene(3))
    assert zarr.open_array(store, path="mu", mode="r").shape[0] == 2
    for _ in range(2):
        assert every_morning(scene(3)).sizes["time"] == 3
        assert zarr.open_array(store, path="mu", mode="r").shape[0] == 3
        assert xf.verify(store, progress=False) == {}
    with pytest.raises(ValueError, match="of other inputs or parameters"):
        every_morning(scene(3, value=1.0))
    expected = days(1, 2, 3).fusion.filter(q=0.01).compute()
    xr.testing.assert_equal(xr.open_zarr(store).load(), expected)


def test_labels_beside_time_and_items_of_masks_are_added(tmp_path: Path) -> None:
    def dated(day: int, item: str) -> xr.Dataset:
        dates = xf.stack([scene(day).assign_attrs(mask_items=item, mask_items_found=1)])
        numbers = {"orbit": ("time", [day]), "pass_": ("time", np.array(["asc"]))}
        return dates.assign_coords(numbers).assign_coords(height=("y", np.arange(4.0)))

    store = tmp_path / "w.zarr"
    add(dated(1, "a"), store)
    back = add(dated(2, "b"), store)
    assert back.attrs["mask_items"] == "a b"
    assert back.attrs["mask_items_found"] == 2
    by_time = {"2023-06-01T05:00:00": ["a"], "2023-06-02T05:00:00": ["b"]}
    assert json.loads(back.attrs["mask_items_by_time"]) == by_time
    assert back.orbit.to_numpy().tolist() == [1, 2]
    assert back["pass_"].to_numpy().tolist() == ["asc", "asc"]
    single = scene(3).assign_attrs(mask_items="c", mask_items_found=1)
    single = single.assign_coords(height=("y", np.arange(4.0)))
    with pytest.raises(ValueError, match="the store has orbit, they have not"):
        add(single, store)


def test_moments_of_any_precision_go_together(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    moments = ["2023-06-01", "2023-06-02T05:10:11", "2023-06-03T05:10:11.123456"]
    for moment in moments:
        back = add(scene(1).assign_coords(time=np.datetime64(moment, "ns")), store)
    np.testing.assert_array_equal(back.time, np.array(moments, "M8[ns]"))
    with pytest.raises(ValueError, match=r"time\.units is 'nanoseconds .*'microseconds"):
        add(scene(1).assign_coords(time=np.datetime64("2023-06-04T00:00:00.000000001")), store)


@pytest.mark.some(one_in=5)
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("append_dim", [None, "time"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_of_any_unit_are_not_lost(
    unit: Any, append_dim: Any, lazy: bool, tmp_path: Path
) -> None:
    def dated(day: int) -> xr.Dataset:
        cube = days(day, day + 1).compute()
        moments = cube.time.to_numpy().astype(f"M8[{unit}]")
        spans = moments - moments[:1] + np.timedelta64(3, "m").astype(f"m8[{unit}]")
        begun = np.datetime64("2023-05-01T01:02:03", unit)
        pixels = np.broadcast_to(moments[:, None, None], cube.mu.shape).copy()
        labels = {"time": moments, "began": ("time", moments), "lasted": ("time", spans)}
        cube = cube.assign_coords(labels).assign_coords(begun=begun)
        if append_dim is None:
            cube = cube.assign_coords(surveyed=("y", np.repeat(moments[:1], 4)))
        cube = cube.assign(when=(cube.mu.dims, pixels))
        return cube.chunk(time=1, x=2) if lazy else cube

    store = tmp_path / "w.zarr"
    expected = dated(1)
    back = xf.to_zarr(expected, store, append_dim=append_dim, progress=False)
    if append_dim:
        back = add(dated(4), store)
        expected = xr.concat([expected, dated(4)], "time", data_vars="minimal")
    assert xf.verify(store, progress=False) == {}
    for name in [n for n, v in expected.variables.items() if v.dtype.kind in "mM"]:
        for found in (back, xr.open_zarr(store)):
            np.testing.assert_array_equal(found[name], expected[name], err_msg=str(name))


def test_moments_that_a_store_would_not_read_back_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xfusion.store.template._with_moments_of_store", lambda dataset: dataset)
    cube = days(1, 2).assign_coords(time=np.array(["2023-06-01", "2023-06-02"], "M8[s]"))
    with pytest.raises(ValueError, match=r"time is .*2023-06-01.*read from the store as .*NaT"):
        xf.to_zarr(cube, tmp_path / "w.zarr", progress=False)
    assert not (tmp_path / "w.zarr").exists()


def test_more_labels_than_a_chunk_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xfusion.store.template.LABELS", 2)
    for count, day in enumerate((1, 2, 3, 5, 8), 1):
        assert add(scene(day), tmp_path / "w.zarr").sizes["time"] == count
    assert xr.open_zarr(tmp_path / "w.zarr").time.dt.day.to_numpy().tolist() == [1, 2, 3, 5, 8]
    assert xf.verify(tmp_path / "w.zarr", progress=False) == {}


# The same again


def test_the_same_call_again_changes_nothing(store: Path) -> None:
    add(scene(4), store)
    add(scene(5), store)
    before = contents(store)
    for dates in (days(1, 3), scene(4), scene(5)):
        assert add(dates, store).sizes["time"] == 4
        assert contents(store) == before


@pytest.mark.parametrize("block", ["mu/c/0/0/1", "sigma/c/2/0/0", "mask/c/3/0/1"])
def test_a_broken_block_of_any_date_is_computed_again(store: Path, block: str) -> None:
    calls = {"0": days(1, 3), "2": scene(4), "3": scene(5)}
    add(scene(4), store)
    add(scene(5), store)
    before = contents(store)
    damaged = bytearray((store / block).read_bytes())
    damaged[3] ^= 1
    (store / block).write_bytes(bytes(damaged))
    assert [*xf.verify(store, progress=False)] == [block]
    with pytest.warns(UserWarning, match=f"{block} did not read"):
        add(calls[block.split("/")[2]], store)
    assert contents(store) == before


def test_the_call_that_made_a_store_mends_it_without_its_new_dates(store: Path) -> None:
    before = add(scene(4), store).load()
    kept = contents(store)
    (store / "mu/c/1/0/0").unlink()
    (store / "mu/zarr.json").write_bytes(b"{}")
    with pytest.warns(UserWarning, match="mu/zarr.json changed"):
        back = xf.to_zarr(days(1, 3), store, progress=False)
    xr.testing.assert_identical(back.load(), before)
    assert contents(store) == kept


def test_a_note_that_is_damaged_does_not_shorten_a_store(store: Path) -> None:
    add(scene(4), store)
    root = (store / "zarr.json").read_text()
    (store / "zarr.json").write_text(root.replace('\\"grown\\"', '\\"grovn\\"'))
    before = contents(store)
    assert [*xf.verify(store, progress=False)] == ["zarr.json"]
    with pytest.raises(ValueError, match="holds more dates than this call has written"):
        xf.to_zarr(days(1, 3), store, progress=False)
    assert contents(store) == before


def test_what_a_user_has_given_the_store_stays(store: Path) -> None:
    zarr.open_group(store).attrs["title"] = "my lake"
    back = add(scene(4), store)
    assert back.attrs["title"] == "my lake"
    # and is told, as it was before
    assert [*xf.verify(store, progress=False)] == ["zarr.json"]


# What is refused


def located(dataset: xr.Dataset, left: float = 16.0, crs: str = "EPSG:4326") -> xr.Dataset:
    grid = GeoBox.from_bbox((left, 48, left + 0.04, 48.04), crs, resolution=0.01)
    return dataset.rename(y="latitude", x="longitude").assign_coords(xr_coords(grid))


def with_units(dataset: xr.Dataset) -> xr.Dataset:
    dataset = dataset.copy()
    dataset["mu"].attrs["units"] = "m"
    return dataset


REFUSED: dict[str, tuple[xr.Dataset, str]] = {
    "a date that is there": (
        scene(3, value=1),
        r"2023-06-03T05:00:00 is in .*w.zarr already, of other inputs .*nothing was written",
    ),
    "one between": (scene(2), r"2023-06-02T05:00:00 is not later than 2023-06-03.*\.sel\("),
    "one before": (scene(1).assign_coords(time=np.datetime64("2020-01-01", "ns")), "not later"),
    "some of which are there": (days(3, 4), "time 2023-06-03T05:00:00 is in"),
    "in no order": (days(4, 5).isel(time=[1, 0]), r"2023-06-04.* follows 2023-06-05.*\.sortby"),
    "twice": (days(4, 5).isel(time=[1, 1]), r"2023-06-05.* follows 2023-06-05.*xf\.fuse"),
    "no time": (scene(4).drop_vars("time"), r"no coordinate 'time'.*\.expand_dims\('time'\)"),
    "another size": (scene(4).isel(y=slice(3)), "they have 3 pixels along y, the store 4"),
    "other labels": (
        scene(4).assign_coords(x=np.arange(4) * 10.0 + 5),
        r"x is 5.0 to 35.0, in the store 0.0 to 30.0: \.coregister",
    ),
    "another dtype": (
        scene(4).assign(mu=scene(4).mu.astype("f8")),
        r"mu is of float64, in the store of float32: \.assign\(mu=",
    ),
    "more variables": (scene(4).assign(deep=scene(4).mu), r"have deep.*\.drop_vars\('deep'\)"),
    "fewer": (scene(4).drop_vars("mask"), "the store has mask, they have not"),
    "other units": (with_units(scene(4)), "attribute mu.units is 'm', in the store none"),
    "another sensor": (
        scene(4).assign_attrs(sensor="s2"),
        r"attribute sensor is 's2', in the store 's1'.*\.attrs\['sensor'\] = 's1'",
    ),
    "another parameter": (scene(4).assign_attrs(fusion_rule="mixture"), "fusion_rule is 'mixture'"),
    "other blocks": (scene(4).chunk(x=4), r"of \(1, 4, 4\), .*\(1, 4, 2\): \.chunk\(time=1"),
    "a scalar that the store has not": (scene(4).assign_coords(orbit=3), r"\.drop_vars\('orbit'\)"),
    "a CRS": (scene(4).rio.write_crs(32633), "only these dates have a CRS"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_dates_that_do_not_go_with_the_store_are_refused_untouched(store: Path, case: str) -> None:
    dates, said = REFUSED[case]
    before = contents(store)
    with pytest.raises(ValueError, match=said):
        add(dates, store)
    assert contents(store) == before


def test_dates_on_another_grid_are_refused(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    add(located(scene(1)), store)
    for other in (located(scene(2), 16.01), located(scene(2), crs="EPSG:4258")):
        with pytest.raises(ValueError, match=r"their grid is EPSG.*that of the store EPSG:4326"):
            add(other, store)
    assert add(located(scene(2)), store).sizes["time"] == 2


def test_what_has_no_time_is_one_for_all_dates(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"

    def with_maps(day: int, value: float) -> xr.Dataset:
        dates = scene(day).expand_dims("time").assign(weight=("sensor", [value]))
        return dates.assign(hills=(("y", "x"), da.full((4, 4), value, chunks=(4, 2))))

    add(with_maps(1, 0.5), store)
    with pytest.raises(ValueError, match="(weight|hills), which has no time .* is another map"):
        add(with_maps(2, 0.6), store)
    add(with_maps(2, 0.5), store)
    back = add(scene(3), store)
    assert back.sizes["time"] == 3
    assert back.hills.dims == ("y", "x")


def test_a_store_whose_last_block_has_room_is_not_written_into(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    xf.to_zarr(days(1, 2, 3).chunk(time=2), store, progress=False)
    before = contents(store)
    with pytest.raises(ValueError, match=r"has 1 dates, and is not full .* append_dim='time'"):
        add(scene(4), store)
    assert contents(store) == before
    full = tmp_path / "full.zarr"
    xf.to_zarr(days(1, 2).chunk(time=2), full, progress=False)
    with pytest.raises(ValueError, match="has 2 dates in a block, and these are 1"):
        add(scene(4), full)
    assert add(days(4, 5), full).chunks["time"] == (2, 2)


def test_other_stores_are_refused(tmp_path: Path) -> None:
    xr.Dataset({"mu": ("time", [1.0])}).to_zarr(tmp_path / "other.zarr")
    with pytest.raises(FileExistsError, match="a Zarr group that xf.to_zarr did not write"):
        add(scene(1), tmp_path / "other.zarr")
    xf.to_zarr(scene(1), tmp_path / "single.zarr", progress=False)
    with pytest.raises(ValueError, match="without a dim 'time'"):
        add(scene(2), tmp_path / "single.zarr")
    with pytest.raises(ValueError, match="append_dim='y': a store grows along 'time' alone"):
        xf.to_zarr(scene(1), tmp_path / "y.zarr", append_dim="y", progress=False)
    assert not (tmp_path / "y.zarr").exists()


def test_a_link_in_the_store_is_not_written_through(store: Path, tmp_path: Path) -> None:
    shutil.move(store / "mu", tmp_path / "elsewhere")
    (store / "mu").symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError, match="w.zarr/mu is a link"):
        add(scene(4), store)
    assert contents(tmp_path / "elsewhere") == before


# While it runs


def test_inputs_that_change_while_they_are_added_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, store = write_inputs(tmp_path / "in", side=32), tmp_path / "w.zarr"
    add(fused(inputs), store)
    before = contents(store)
    later = fused(inputs).assign_coords(time=np.datetime64("2023-06-21", "ns"))
    write = tasks._write

    def touched(*arguments: Any) -> None:
        os.utime(inputs / "a_mu.tif", (0, 0))
        write(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(tasks, "_write", touched)
        with pytest.raises(OSError, match=r"inputs changed while they were read: .*a_mu.tif"):
            add(later, store)
    found = {k: v for k, v in contents(store).items() if not k.startswith(".xfusion")}
    assert found == before
    later = fused(inputs).assign_coords(time=np.datetime64("2023-06-21", "ns"))
    assert add(later, store).sizes["time"] == 2


def test_a_run_that_was_taken_over_adds_nothing(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    write = tasks._write

    def taken_over(*arguments: Any) -> None:
        if not begun:
            begun.append("another")
            with pytest.raises(RuntimeError, match="force=True"):
                add(scene(5), store)
            add(scene(5), store, force=True, resume=False)
        write(*arguments)

    monkeypatch.setattr(tasks, "_write", taken_over)
    with (
        dask.config.set(scheduler="sync"),
        pytest.raises(RuntimeError, match="another run has taken over"),
    ):
        add(scene(4), store)
    assert xr.open_zarr(store).time.dt.day.to_numpy().tolist() == [1, 3, 5]
    assert xf.verify(store, progress=False) == {}


def test_blocks_that_are_lost_before_the_switch_are_told(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(store)
    monkeypatch.setattr(tasks, "_write", lambda *_: None)
    with pytest.raises(OSError, match="blocks that were written are not there"):
        add(scene(4), store)
    assert {k: v for k, v in contents(store).items() if not k.startswith(".xfusion")} == before
    assert filling.ROUNDS > 1
