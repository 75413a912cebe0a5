"""Dates whose addition is killed: the store is as before or after, and the same call ends it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import xfusion as xf
from tests.append_runs import add, as_each_array_is, as_readers_see, days, scene
from tests.store_runs import contents
from xfusion.store import overviews, tasks
from xfusion.view.looking import OVERVIEW, look

ROOT = Path(__file__).parents[1]
FEWEST = 20  # moments
FEW = 6
LEVELS = 2

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are copies of one process")


def make(store: Path) -> None:
    add(days(1, 3), store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overviews, "SIDE", 1)
        assert len(xf.add_overviews(store, progress=False)) == LEVELS


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return stores with levels whose runs were killed, each some steps later than the last."""
    folder = tmp_path_factory.mktemp("killed")
    make(folder / "before.zarr")
    done = subprocess.run(
        [sys.executable, "-m", "tests.append_runs", str(folder)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    moments = json.loads(done.stdout)
    assert len(moments) >= FEWEST
    return [folder / f"{moment}.zarr" for moment in moments]


@pytest.fixture
def each(killed: list[Path], tmp_path: Path) -> Iterator[Path]:
    """Return copies of some of them, one after the other; there are many."""
    some = [*killed[::FEW], killed[-1]]
    return (Path(shutil.copytree(store, tmp_path / store.name)) for store in some)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("before") / "w.zarr"
    make(store)
    return store


@pytest.fixture(scope="module")
def after(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("after") / "w.zarr"
    shutil.copytree(before, store)
    add(days(7), store)
    return store


def same(a: Any, b: Any) -> Any:
    if isinstance(a, xr.Dataset):
        return a.identical(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_a_killed_run_leaves_the_store_as_it_was_or_as_it_is_to_be_for_every_reader(
    killed: list[Path], before: Path, after: Path
) -> None:
    seen, alone = [], []
    ends = [(as_readers_see(store), as_each_array_is(store)) for store in (before, after)]
    for store in killed:
        found, arrays = as_readers_see(store), as_each_array_is(store)
        states = {
            (name, state)
            for name, dataset in found.items()
            for state in (0, 1)
            if same(dataset, ends[state][0][name])
        }
        # all readers the same of the two
        assert len(found) == len(states), store.name
        assert len({state for _, state in states}) == 1, store.name
        seen.append(next(iter(states))[1])
        for name, array in arrays.items():
            fits = [state for state in (0, 1) if same(array, ends[state][1][name])]
            assert fits, (store.name, name)
        alone.append({name: array.shape for name, array in arrays.items()})
    # one switch, and steps on both sides of it
    assert seen == sorted(seen)
    assert 0 < sum(seen) < len(seen)
    # no array is longer than the whole says
    first = seen.index(1)
    assert all(shapes == alone[0] for shapes in alone[:first])


def test_levels_of_a_killed_run_are_those_of_the_store_or_are_listed_no_more(
    killed: list[Path], before: Path, after: Path
) -> None:
    ends = {2: as_readers_see(before)["xarray"], 3: as_readers_see(after)["xarray"]}
    listed, there = [], []
    for store in killed:
        root = zarr.open_group(store, mode="r")
        whole = xf.open_result(store)
        expected = ends[whole.sizes["time"]]
        groups = [each for each in (2, 4) if f"overviews/{each}" in root]
        assert bool(groups) == ("multiscales" in root.attrs), store.name
        listed.append(len(groups))
        below = expected
        for factor in groups:
            level = xr.open_zarr(store, group=f"overviews/{factor}").load()
            usable = (below.mask == 0).astype(float)
            sums = [each.coarsen(y=2, x=2).sum() for each in (below.mu * usable, usable)]
            np.testing.assert_allclose(level.mu, sums[0] / sums[1], rtol=1e-5)
            below = level
        # a picture takes no level that is not listed
        looked = look(whole.isel(time=0), side=2)
        assert (OVERVIEW in looked.mu.attrs) == bool(groups), store.name
        there.append((store / "overviews").exists())
    assert {*listed} == {0, LEVELS}
    assert listed == sorted(listed, reverse=True)
    assert there == sorted(there, reverse=True)


def test_the_same_call_ends_what_was_killed(each: Iterator[Path], after: Path) -> None:
    expected = contents(after)
    for store in each:
        add(days(7), store)
        assert contents(store) == expected, store.name


@pytest.mark.thorough
def test_other_dates_are_refused_until_what_was_killed_is_given_up(
    each: Iterator[Path], before: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.zarr"
    shutil.copytree(before, other)
    add(days(8), other)
    refused = 0
    for store in each:
        if xr.open_zarr(store).sizes["time"] > 2:
            break
        if [*store.glob(".xfusion/*/done/*")]:
            with pytest.raises(ValueError, match=r"an unfinished run of another job.*resume=False"):
                add(days(8), store)
            refused += 1
        add(days(8), store, resume=[*store.glob(".xfusion/*/done/*")] == [])
        assert same(xr.open_zarr(store).load(), xr.open_zarr(other).load()), store.name
        assert xf.verify(store, progress=False) == {}
    assert refused >= 2


@pytest.mark.thorough
def test_the_call_that_made_the_store_leaves_dates_that_are_half_added(
    each: Iterator[Path], after: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    write = tasks._write

    def counted(*arguments: Any) -> None:
        counts[-1] += 1
        write(*arguments)

    monkeypatch.setattr(tasks, "_write", counted)
    for store in each:
        counts.append(0)
        with dask.config.set(scheduler="sync"):
            add(days(1, 3), store)
            xf.to_zarr(days(1, 3), store, progress=False)
            assert counts[-1] == 0
            add(days(7), store)
        assert contents(store) == contents(after)
    # two blocks of three variables; each is computed once
    assert counts[0] == 6
    assert counts[-1] == 0
    assert counts == sorted(counts, reverse=True)


def test_a_store_whose_making_was_killed_is_made(tmp_path: Path) -> None:
    from tests.store_runs import break_off

    store = tmp_path / "w.zarr"
    break_off(days(1, 3), store)
    add(days(1, 3), store)
    add(scene(4), store)
    assert xr.open_zarr(store).time.dt.day.to_numpy().tolist() == [1, 3, 4]
