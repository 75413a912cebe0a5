"""Results in a repository of Icechunk: commits, conflicts, and no half of a result."""

import itertools
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import xfusion as xf
from tests.append_runs import add, days, scene
from tests.store_runs import KilledError, fused, write_inputs
from xfusion.store import commits, fingerprint, tasks, workers

icechunk = pytest.importorskip("icechunk", reason="an extra")


@pytest.fixture
def repository() -> Any:
    return icechunk.Repository.create(icechunk.in_memory_storage())


def retrieval(value: float = 0.0) -> xr.Dataset:
    mu = xr.DataArray(
        np.arange(256, dtype=np.float32).reshape(16, 16) + value,
        {"y": -10.0 * np.arange(16), "x": 10.0 * np.arange(16)},
        ("y", "x"),
    )
    return xf.retrieval(mu, mu * 0 + 1, mask=mu == 3).chunk(4)


def opened(repository: Any) -> xr.Dataset:
    store = repository.readonly_session("main").store
    found: xr.Dataset = xr.open_zarr(store, consolidated=False).load()
    return found


def test_a_repository_gets_the_same_pixels_as_a_folder(repository: Any, tmp_path: Path) -> None:
    water = fused(write_inputs(tmp_path / "in"))
    back = xf.to_zarr(water, repository, progress=False)
    folder = xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    xr.testing.assert_equal(back.load(), folder.load())
    xr.testing.assert_equal(opened(repository), folder.load())
    assert (
        opened(repository).mu.attrs["standard_name"] == folder.mu.attrs["standard_name"]
        if ("standard_name" in folder.mu.attrs)
        else True
    )
    ids = [commit.id for commit in repository.ancestry(branch="main")]
    again = xf.to_zarr(water, repository, progress=False)
    xr.testing.assert_equal(again.load(), folder.load())
    assert [commit.id for commit in repository.ancestry(branch="main")] == ids


def break_off(
    dataset: xr.Dataset,
    repository: Any,
    patch: pytest.MonkeyPatch,
    after: int,
    *,
    resume: bool = True,
) -> None:
    written = iter(range(10**6))

    def write(target: Any, region: Any, block: Any) -> None:
        if next(written) >= after:
            raise KilledError
        target[region] = block

    with patch.context() as patched, dask.config.set(scheduler="sync"):
        patched.setattr(tasks, "_write", write)
        patched.setattr(workers, "BLOCKS_A_WORKER", 1)
        with pytest.raises(KilledError):
            xf.to_zarr(dataset, repository, resume=resume, progress=False)


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("after", [0, 1, 7, 20, 47])
def test_a_run_that_broke_off_shows_nothing_and_goes_on_after_its_last_commit(
    repository: Any, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    break_off(retrieval(), repository, monkeypatch, after)
    with pytest.raises((FileNotFoundError, KeyError, ValueError)):
        opened(repository)
    count = 0

    def write(target: Any, region: Any, block: Any) -> None:
        nonlocal count
        count += 1
        target[region] = block

    with monkeypatch.context() as patched, dask.config.set(scheduler="sync"):
        patched.setattr(tasks, "_write", write)
        patched.setattr(workers, "BLOCKS_A_WORKER", 1)
        xf.to_zarr(retrieval(), repository, progress=False)
    # batches of one or two blocks of three variables
    assert 48 - count <= after <= 48 - count + 6
    xr.testing.assert_equal(opened(repository), retrieval().compute())


def test_two_runs_at_once_are_a_conflict(repository: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def write(target: Any, region: Any, block: Any) -> None:
        if not begun:
            begun.append("the first")
            xf.to_zarr(retrieval(), repository, progress=False)
        target[region] = block

    monkeypatch.setattr(tasks, "_write", write)
    with dask.config.set(scheduler="sync"), pytest.raises(RuntimeError, match="has committed to"):
        xf.to_zarr(retrieval(), repository, progress=False)
    xr.testing.assert_equal(opened(repository), retrieval().compute())


@pytest.mark.some(one_in=5)
@pytest.mark.parametrize("moment", range(1, 10))
@pytest.mark.parametrize("ends", [True, False])
def test_a_run_goes_on_from_its_own_commit_and_no_other(
    repository: Any, monkeypatch: pytest.MonkeyPatch, moment: int, ends: bool
) -> None:
    """Another run commits between two sessions of the first, which is no conflict to the engine."""
    count = itertools.count(1)
    commit = commits.Branch.commit

    def other() -> None:
        if ends:
            xf.to_zarr(retrieval(2.0), repository, resume=False, progress=False)
        else:
            break_off(retrieval(2.0), repository, monkeypatch, 5, resume=False)

    def commits_and_another_begins(branch: Any, *what: Any) -> None:
        commit(branch, *what)
        if next(count) == moment:
            other()

    # a commit to begin with, one for each two of 16 blocks, and one to finish
    monkeypatch.setattr(workers.Local, "batch", lambda _: 2)
    with dask.config.set(scheduler="sync"), monkeypatch.context() as patched:
        patched.setattr(commits.Branch, "commit", commits_and_another_begins)
        with pytest.raises(RuntimeError, match="has committed to"):
            xf.to_zarr(retrieval(1.0), repository, progress=False)
    xf.to_zarr(retrieval(2.0), repository, progress=False)
    xr.testing.assert_equal(opened(repository), retrieval(2.0).compute())


def test_another_run_that_begins_as_inputs_are_looked_at_is_no_result(
    repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = fingerprint.changed_inputs

    def another_begins(*inputs: Any) -> Any:
        monkeypatch.setattr(commits, "changed_inputs", looked_at)
        break_off(retrieval(2.0), repository, monkeypatch, 0, resume=False)
        return looked_at(*inputs)

    monkeypatch.setattr(commits, "changed_inputs", another_begins)
    with pytest.raises(RuntimeError, match="has committed to"):
        xf.to_zarr(retrieval(1.0), repository, resume=False, progress=False)
    with pytest.raises((FileNotFoundError, KeyError, ValueError)):
        opened(repository)


def test_a_result_in_a_repository_is_verified(repository: Any) -> None:
    xf.to_zarr(retrieval(), repository, progress=False)
    assert xf.verify(repository, progress=False) == {}
    assert xf.verify(repository.readonly_session("main").store, progress=False) == {}
    session = repository.writable_session("main")
    group = zarr.open_group(session.store, mode="r+")
    group.attrs["title"] = "another"
    session.commit("an attribute")
    assert list(xf.verify(repository, progress=False)) == ["zarr.json"]


def test_another_job_is_refused_until_it_is_asked_to_begin_anew(
    repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(retrieval().assign(mine=retrieval().mu), repository, monkeypatch, 20)
    with pytest.raises(ValueError, match=r"another job: .*resume=False"):
        xf.to_zarr(retrieval(5.0), repository, progress=False)
    xf.to_zarr(retrieval(5.0), repository, resume=False, progress=False)
    xr.testing.assert_equal(opened(repository), retrieval(5.0).compute())
    with pytest.raises(FileExistsError, match="holds another result"):
        xf.to_zarr(retrieval(), repository, resume=False, progress=False)


def test_data_of_others_stay(repository: Any) -> None:
    session = repository.writable_session("main")
    xr.Dataset({"rain": ("t", [1.0])}).to_zarr(session.store, consolidated=False)
    session.commit("rain")
    with pytest.raises(FileExistsError, match="holds another result, or data"):
        xf.to_zarr(retrieval(), repository, progress=False)
    assert float(opened(repository).rain[0]) == 1.0


def test_stores_that_cannot_be_changed_are_refused_with_what_to_give(
    repository: Any, tmp_path: Path
) -> None:
    from zarr.storage import LocalStore, ZipStore

    session = repository.writable_session("main")
    with pytest.raises(TypeError, match=r"give the repository itself, to_zarr\(repository\)"):
        xf.to_zarr(retrieval(), session.store, progress=False)
    with pytest.raises(TypeError, match=r"give the repository itself, to_zarr\(repository\)"):
        xf.to_zarr(retrieval(), session, progress=False)
    with pytest.raises(TypeError, match=r"ZipStore cannot be changed .* a folder, and pack that"):
        xf.to_zarr(retrieval(), ZipStore(tmp_path / "w.zip", mode="w"), progress=False)
    with pytest.raises(ValueError, match="open for reading only"):
        xf.to_zarr(retrieval(), LocalStore(tmp_path, read_only=True), progress=False)
    with dask.config.set(scheduler="processes"), pytest.raises(TypeError, match="threads of this"):
        xf.to_zarr(retrieval(), repository, progress=False)


def test_dates_are_added_in_one_commit_that_has_all_of_them(repository: Any) -> None:
    add(days(1, 3), repository)
    ids = [commit.id for commit in repository.ancestry(branch="main")]
    back = add(days(4, 9), repository)
    assert [commit.id for commit in repository.ancestry(branch="main")][1:] == ids
    expected = days(1, 3, 4, 9).compute()
    xr.testing.assert_equal(opened(repository), expected)
    xr.testing.assert_equal(back.load(), expected)
    assert xf.verify(repository, progress=False) == {}
    before = [commit.id for commit in repository.ancestry(branch="main")]
    for dates in (days(1, 3), days(4, 9)):
        xr.testing.assert_equal(add(dates, repository).load(), expected)
    for dates, said in ((scene(9, value=1), "is in the Icechunk"), (scene(8), "not later than")):
        with pytest.raises(ValueError, match=said):
            add(dates, repository)
    with pytest.raises(ValueError, match="attribute sensor is 's2'"):
        add(scene(11).assign_attrs(sensor="s2"), repository)
    assert [commit.id for commit in repository.ancestry(branch="main")] == before


@pytest.mark.parametrize("after", [0, 3, 5])
def test_dates_whose_addition_breaks_off_are_not_there(
    repository: Any, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    add(days(1, 3), repository)
    before = opened(repository)
    written = iter(range(10**6))

    def write(target: Any, region: Any, block: Any) -> None:
        if next(written) >= after:
            raise KilledError
        target[region] = block

    with monkeypatch.context() as patched, dask.config.set(scheduler="sync"):
        patched.setattr(tasks, "_write", write)
        with pytest.raises(KilledError):
            add(scene(4), repository)
    xr.testing.assert_identical(opened(repository), before)
    add(scene(4), repository)
    xr.testing.assert_equal(opened(repository), days(1, 3, 4).compute())


def test_of_two_runs_that_add_dates_the_second_to_commit_is_refused(
    repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(days(1, 3), repository)
    begun: list[str] = []

    def write(target: Any, region: Any, block: Any) -> None:
        if not begun:
            begun.append("another")
            add(scene(5), repository)
        target[region] = block

    monkeypatch.setattr(tasks, "_write", write)
    with dask.config.set(scheduler="sync"), pytest.raises(RuntimeError, match="has committed to"):
        add(scene(4), repository)
    xr.testing.assert_equal(opened(repository), days(1, 3, 5).compute())
