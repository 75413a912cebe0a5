"""Levels of stores of every kind: the same everywhere, and read where a screen shows no more."""

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import obstore.store
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore, MemoryStore, ObjectStore

import xfusion as xf
from tests.append_runs import add
from tests.test_cf import one
from xfusion.store import overviews
from xfusion.store.commits import store_of
from xfusion.store.inside import Inside
from xfusion.store.levels import halved
from xfusion.view.looking import OVERVIEW, STEP, look

SIDE = 16
KINDS: dict[str, Callable[[Path], Any]] = {
    "memory": lambda _: MemoryStore(),
    "object store": lambda _: ObjectStore(obstore.store.MemoryStore()),
    "folder of zarr": lambda folder: LocalStore(folder / "w.zarr"),
    "icechunk": lambda _: icechunk.Repository.create(icechunk.in_memory_storage()),
}


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overviews, "SIDE", SIDE)
        yield


@pytest.fixture(scope="module")
def water() -> xr.Dataset:
    return xf.gaussian(one("a"), one("bc")).compute().chunk(20)


@pytest.fixture(scope="module")
def levels(water: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, xr.Dataset]:
    """Return what levels of a folder are, which have tests of their own."""
    store = tmp_path_factory.mktemp("levels") / "w.zarr"
    xf.to_zarr(water, store, progress=False)
    groups = xf.add_overviews(store, progress=False).values()
    return {group: xr.open_zarr(store, group=group).load() for group in groups}


def opened(store: Any, group: str) -> xr.Dataset:
    found: xr.Dataset
    if isinstance(store, icechunk.Repository):
        found = xr.open_zarr(store_of(store), group=group, consolidated=False)
    else:
        found = xr.open_zarr(store, group=group)
    loaded: xr.Dataset = found.load()
    return loaded


def root_of(store: Any) -> dict[str, Any]:
    store = store_of(store) if isinstance(store, icechunk.Repository) else store
    return dict(zarr.open_group(store, mode="r").attrs)


@pytest.mark.parametrize("kind", KINDS)
def test_levels_of_any_store_are_those_of_a_folder(
    kind: str, water: xr.Dataset, levels: dict[str, xr.Dataset], tmp_path: Path
) -> None:
    store = KINDS[kind](tmp_path)
    xf.to_zarr(water, store, progress=False)
    before = {k: v for k, v in root_of(store).items() if k.startswith(("proj:", "spatial:"))}
    for _ in range(2):  # the second call finds them
        assert [*xf.add_overviews(store, progress=False).values()] == [*levels]
        for group, expected in levels.items():
            xr.testing.assert_identical(opened(store, group).drop_attrs(), expected.drop_attrs())
        assert xf.verify(store, progress=False) == {}
    listed = root_of(store)["multiscales"]["layout"]
    assert [each["asset"] for each in listed] == [".", *levels]
    assert before == {key: root_of(store)[key] for key in before}
    xr.testing.assert_equal(xf.open_result(store), water)
    xr.testing.assert_equal(xf.to_zarr(water, store, progress=False), water)


@pytest.mark.parametrize("kind", ["memory", "icechunk"])
def test_any_store_that_has_grown_has_no_levels_until_they_are_made_anew(
    kind: str, tmp_path: Path
) -> None:
    store = KINDS[kind](tmp_path)
    first, second = (one(time=f"2023-06-2{day}").chunk(20) for day in (0, 1))
    add(first, store)
    groups = xf.add_overviews(store, progress=False)
    add(second, store)
    assert "multiscales" not in root_of(store)
    for group in groups.values():
        with pytest.raises((FileNotFoundError, KeyError)):
            opened(store, group)
    assert xf.verify(store, progress=False) == {}
    assert xf.add_overviews(store, progress=False) == groups
    assert opened(store, groups[2]).sizes["time"] == 2
    assert xf.open_result(store).sizes["time"] == 2


def test_a_repository_gets_its_levels_in_one_commit_and_none_twice(water: xr.Dataset) -> None:
    repository = KINDS["icechunk"](Path())
    with pytest.raises(ValueError, match="holds no finished result"):
        xf.add_overviews(repository, progress=False)
    xf.to_zarr(water, repository, progress=False)
    counts = [len([*repository.ancestry(branch="main")])]
    for _ in range(2):
        xf.add_overviews(repository, progress=False)
        counts.append(len([*repository.ancestry(branch="main")]))
    assert counts == [counts[0], counts[0] + 1, counts[0] + 1]


def test_a_run_that_breaks_off_leaves_a_repository_as_it_was(
    water: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xfusion.store import commit_of_levels

    repository = KINDS["icechunk"](Path())
    xf.to_zarr(water, repository, progress=False)
    tip = repository.lookup_branch("main")

    def broken(dataset: xr.Dataset, areas: Any) -> xr.Dataset:
        if dataset.sizes["x"] < water.sizes["x"]:
            raise KeyboardInterrupt
        return halved(dataset, areas)

    with monkeypatch.context() as patch:
        patch.setattr(commit_of_levels, "halved", broken)
        with pytest.raises(KeyboardInterrupt):
            xf.add_overviews(repository, progress=False)
    assert repository.lookup_branch("main") == tip
    assert len(xf.add_overviews(repository, progress=False)) == 2


def test_what_is_not_ours_in_a_repository_stays() -> None:
    repository = KINDS["icechunk"](Path())
    mine = one().rename(mask="overviews").chunk(20)
    xf.to_zarr(mine, repository, progress=False)
    with pytest.raises(FileExistsError, match="data called 'overviews' of its own"):
        xf.add_overviews(repository, progress=False)
    other = KINDS["icechunk"](Path())
    session = other.writable_session("main")
    xr.Dataset({"a": (("y", "x"), np.zeros((9, 9)))}).to_zarr(session.store, consolidated=False)
    session.commit("mine")
    with pytest.raises(FileExistsError, match="did not write"):
        xf.add_overviews(other, progress=False)


def test_a_group_of_a_store_is_a_store_of_its_own() -> None:
    whole = MemoryStore()
    zarr.open_group(whole, mode="w")
    group = Inside(whole, "a")
    mine = xr.Dataset({"v": ("x", np.arange(5))})
    mine.to_zarr(Inside(whole, "ab"))  # a longer name
    mine.to_zarr(group)
    xr.testing.assert_identical(xr.open_zarr(whole, group="a").load(), mine)
    xr.testing.assert_identical(
        xr.open_zarr(pickle.loads(pickle.dumps(group))).load(), mine
    )  # our own
    assert group == Inside(whole, "a") != Inside(whole, "ab")
    assert group.with_read_only(read_only=True).read_only
    zarr.open_group(group, mode="w")
    assert [*zarr.open_group(group, mode="r").array_keys()] == []
    xr.testing.assert_identical(xr.open_zarr(whole, group="ab").load(), mine)


# What a screen shows


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return which chunks are read of stores in folders, as it goes."""
    keys: list[str] = []
    get = LocalStore.get

    async def counted(self: LocalStore, key: str, *arguments: Any, **named: Any) -> Any:
        if "/c/" in key and key[0] not in "xyt":
            keys.append(str(self.root / key))
        return await get(self, key, *arguments, **named)

    monkeypatch.setattr(LocalStore, "get", counted)
    return keys


@pytest.fixture(scope="module")
def store(water: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("looked") / "w.zarr"
    xf.to_zarr(water.assign(count=water.source * 3), store, progress=False)
    xf.add_overviews(store, progress=False)
    return store


def test_a_look_at_a_store_reads_the_level_that_fits_and_no_pixel(
    store: Path, read: list[str]
) -> None:
    whole = xf.open_result(store)
    read.clear()
    looked = look(whole, side=10)
    assert looked.attrs[STEP] == 4
    assert {v.attrs[OVERVIEW] for v in looked.data_vars.values()} == {4}
    assert {key.split("/c/")[0].split("w.zarr/")[1] for key in read} == {
        f"overviews/4/{name}" for name in whole.data_vars
    }
    # one block of each layer
    assert len({*read}) == len(whole.data_vars)
    level = xr.open_zarr(store, group="overviews/4").load()
    for name in whole.data_vars:
        np.testing.assert_array_equal(looked[name], level[name][: looked.sizes["y"]])
    np.testing.assert_array_equal(looked.x, whole.x[2::4])
    read.clear()
    assert OVERVIEW not in look(whole, side=40).mu.attrs
    assert not [key for key in read if "overviews" in key]


def test_a_picture_and_a_report_of_a_store_read_no_pixel(
    store: Path, read: list[str], tmp_path: Path
) -> None:
    from xfusion.console import write_picture

    whole = xf.open_result(store)
    read.clear()
    figure = xf.plot(whole, side=10)
    assert figure.axes[0].images[0].get_array().shape == (7, 10)  # type: ignore[union-attr]  # it has one
    xf.report(whole, tmp_path / "r.html", statistics="shown")  # all fits the screen
    assert [key for key in read if "overviews" not in key]
    read.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xfusion.view.reporting.SIDE", 10)
        xf.report(whole, tmp_path / "r.html", statistics="shown")
        patch.setattr("xfusion.view.pictures.SIDE", 10)
        xf.plot(whole, side=10)
        assert not [key for key in read if "overviews" not in key]
    assert len({*read}) == len(whole.data_vars)
    text = (tmp_path / "r.html").read_text()
    assert "overviews were read: a value is that of up to 4 x 4 pixels" in text
    write_picture(str(store), tmp_path / "p.png")
    assert (tmp_path / "p.png").exists()


def test_one_time_of_a_cube_is_seen_as_its_level_shows_it(tmp_path: Path, read: list[str]) -> None:
    store = tmp_path / "w.zarr"
    for day in (0, 1):
        made = one(time=f"2023-06-2{day}")
        add(made.assign(mu=made.mu + day).chunk(20), store)
    before = xf.open_result(store)
    xf.add_overviews(store, progress=False)
    level = xr.open_zarr(store, group="overviews/4").load()
    for cube in (before, xf.open_result(store)):
        for time in (0, 1):
            for part in (cube.isel(time=time), cube.sel(time=cube.time[time])):
                read.clear()
                looked = look(part, side=10)
                assert not [key for key in read if "overviews" not in key]
                np.testing.assert_array_equal(looked.mu, level.mu[time, :7])
    xf.plot(before, time="2023-06-21", side=10)
    assert not [key for key in read if "overviews" not in key]
    add(one(time="2023-06-22").chunk(20), store)
    xf.add_overviews(store, progress=False)
    # of fewer dates than the store has now
    looked = look(before.isel(time=1), side=10)
    assert OVERVIEW not in looked.mu.attrs


def test_what_is_no_longer_the_whole_of_a_layer_is_not_seen_as_it(store: Path) -> None:
    whole = xf.open_result(store)
    parts = {
        "computed": whole.assign(mu=whole.mu * 2),
        "rows": whole.isel(y=slice(1, None)),
        "turned": whole.isel(y=slice(None, None, -1)),
    }
    for name, part in parts.items():
        looked = look(part, side=10)
        expected = look(part.compute(), side=10)
        np.testing.assert_array_equal(looked.mu, expected.mu, err_msg=name)
        assert OVERVIEW not in looked.mu.attrs
    assert look(parts["computed"], side=10).sigma.attrs[OVERVIEW] == 4


def test_what_was_opened_of_a_store_can_be_copied_pickled_and_written(
    store: Path, tmp_path: Path
) -> None:
    whole = xf.open_result(store)
    for again in (
        copy.deepcopy(whole),
        pickle.loads(pickle.dumps(whole)),  # our own
        whole.chunk(),
    ):
        xr.testing.assert_identical(again, whole)
    assert look(copy.deepcopy(whole), side=10).mu.attrs[OVERVIEW] == 4
    assert look(pickle.loads(pickle.dumps(whole)), side=10).mu.attrs[OVERVIEW] == 4  # our own
    whole.to_zarr(tmp_path / "plain.zarr")
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "plain.zarr"), whole)
