"""Files of two runs at once, and of runs that end while they move them: all of one, or of none."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from xfusion.cog import moving, scratch
from xfusion.run.process import this_process

FILES = {"mu.tif", "sigma.tif", "item.json"}
MOVES = 6  # three old files away, three new ones in
GONE = {**this_process(), "pid": "0", "begun": "never"}


def retrieval(value: float) -> xr.Dataset:
    grid = GeoBox.from_bbox((16, 48, 16.1, 48.1), "EPSG:4326", resolution=0.01)
    mu = xr_zeros(grid, dtype="float32") + value
    return xf.retrieval(mu, mu / 5, sensor=f"s{value:.0f}", time="2023-06-20")


def write(value: float, folder: Path, *, overwrite: bool = False) -> None:
    xf.to_cog(retrieval(value), folder, overwrite=overwrite, progress=False)


def values_in(folder: Path) -> set[float]:
    """Return of which runs the files of a folder are; it holds all of them and nothing else."""
    assert {path.name for path in folder.iterdir()} == FILES
    with rasterio.open(folder / "mu.tif") as mu, rasterio.open(folder / "sigma.tif") as sigma:
        found = {*np.unique(mu.read()), *np.unique(np.round(sigma.read() * 5))}
        found.add(float(mu.tags()["sensor"][1:]))
    return {float(value) for value in found}


def at_move(number: int, act: Callable[[], object]) -> Callable[[Path, Path], Path]:
    """Return how a path is replaced, with something done before the move of a number."""
    replace, count = Path.replace, iter(range(1000))

    def replaced(self: Path, target: Path) -> Path:
        if scratch.MOVING in f"{self} {target}" and next(count) == number:
            act()
        return replace(self, target)

    return replaced


def fail() -> None:
    raise PermissionError


@pytest.mark.parametrize("number", range(MOVES))
def test_a_move_that_fails_leaves_all_old_files_and_no_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write(1, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", at_move(number, fail))
        with pytest.raises(PermissionError):
            write(2, tmp_path, overwrite=True)
    assert values_in(tmp_path) == {1.0}
    write(2, tmp_path, overwrite=True)
    assert values_in(tmp_path) == {2.0}


@pytest.mark.parametrize("number", range(3))
def test_a_first_move_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", at_move(number, fail))
        with pytest.raises(PermissionError):
            write(1, tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_old_files_that_cannot_be_put_back_are_not_deleted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(1, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace = Path.replace

    def replaced(self: Path, target: Path) -> Path:
        if self.name == "mu.tif" and target == tmp_path / "mu.tif":
            fail()
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replaced)
        with pytest.raises(OSError, match=r"what was there before is in .*old now"):
            write(2, tmp_path, overwrite=True)
    left = tmp_path / scratch.MOVING / moving.OLD
    there = {
        path.name: path.read_bytes()
        for path in [*left.iterdir(), *tmp_path.glob("*.*")]
        if path.is_file()
    }
    assert there == before


def work(folder: str, number: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", at_move(number, lambda: os._exit(9)))
        write(2, Path(folder), overwrite=True)


@pytest.mark.some(one_in=3)
@pytest.mark.slow
@pytest.mark.parametrize("number", range(MOVES))
def test_what_a_killed_run_was_moving_is_moved_by_the_next(tmp_path: Path, number: int) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    write(1, tmp_path)
    killed = processes.Process(target=work, args=(str(tmp_path), number))
    killed.start()
    killed.join(120)
    assert killed.exitcode == 9
    assert (tmp_path / scratch.MOVING).exists()
    with pytest.raises(FileExistsError):
        write(3, tmp_path)
    assert values_in(tmp_path) == {2.0}
    write(3, tmp_path, overwrite=True)
    assert values_in(tmp_path) == {3.0}


@pytest.mark.parametrize("number", range(1, MOVES))
def test_of_two_runs_that_move_their_files_at_once_one_waits_for_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write(1, tmp_path)
    sleep, waits = time.sleep, threading.Event()
    other = threading.Thread(target=write, args=(3, tmp_path), kwargs={"overwrite": True})

    def sleeping(seconds: float) -> None:
        waits.set()
        sleep(seconds)

    def meanwhile() -> None:
        other.start()
        while other.is_alive() and not waits.is_set():
            other.join(0.01)

    monkeypatch.setattr(time, "sleep", sleeping)
    monkeypatch.setattr(Path, "replace", at_move(number, meanwhile))
    write(2, tmp_path, overwrite=True)
    other.join()
    assert values_in(tmp_path) == {3.0}


def test_of_many_runs_that_replace_the_same_files_at_once_those_of_one_are_there(
    tmp_path: Path,
) -> None:
    write(1, tmp_path)
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda value: write(value, tmp_path, overwrite=True), [2, 3] * 4):
            pass
    assert len(values_in(tmp_path)) == 1


def slowly(value: float, meanwhile: Callable[[], object]) -> xr.Dataset:
    """Return a retrieval of which something else is done while it is computed."""

    def act(block: Any) -> Any:
        meanwhile()
        return block

    lazy = retrieval(value).chunk()
    acted = lazy.mu.data.map_blocks(act, meta=np.empty((0, 0), np.float32))
    return lazy.assign(mu=lazy.mu.copy(data=acted))


def test_the_second_of_two_runs_is_refused_before_it_computes(tmp_path: Path) -> None:
    computed: list[float] = []

    def second() -> None:
        with pytest.raises(RuntimeError, match=rf"another run writes .*{os.getpid()}: let it"):
            xf.to_cog(slowly(2, lambda: computed.append(2)), tmp_path, progress=False)
        # other files in the same folder are nobody's
        xf.to_cog(retrieval(3), tmp_path / "in", progress=False)
        xf.to_cog(retrieval(3), tmp_path, prefix="other_", progress=False)

    xf.to_cog(slowly(1, second), tmp_path, progress=False)
    assert not computed
    with rasterio.open(tmp_path / "mu.tif") as file:
        assert (file.read() == 1).all()


def test_a_run_that_another_has_overtaken_with_overwrite_replaces_nothing(tmp_path: Path) -> None:
    second = slowly(1, lambda: write(2, tmp_path, overwrite=True))
    with pytest.raises(FileExistsError, match="overwrite=True"):
        xf.to_cog(second, tmp_path, progress=False)
    assert values_in(tmp_path) == {2.0}


def holding(folder: Path, process: dict[str, str], files: list[str]) -> Path:
    """Leave what a run has that moves files."""
    write(1, folder)
    held = folder / scratch.MOVING
    held.mkdir()
    scratch.Owner(process, tuple(files)).note(held)
    return held


def test_a_run_that_moves_for_long_is_waited_for_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = holding(tmp_path, this_process(), [])
    monkeypatch.setattr(moving, "WAIT", 0.1)
    with pytest.raises(RuntimeError, match=r"\.xfusion-moving holds what another run is moving"):
        write(2, tmp_path, overwrite=True)
    (held / "owner.json").unlink()
    held.rmdir()
    assert values_in(tmp_path) == {1.0}


def test_a_run_waits_for_another_that_moves(tmp_path: Path) -> None:
    held = holding(tmp_path, this_process(), [])

    def end() -> None:
        time.sleep(0.3)
        held.rename(tmp_path / ".xfusion-done")

    other = threading.Thread(target=end)
    other.start()
    write(2, tmp_path, overwrite=True)
    other.join()
    (tmp_path / ".xfusion-done" / "owner.json").unlink()
    (tmp_path / ".xfusion-done").rmdir()
    assert values_in(tmp_path) == {2.0}


def test_a_folder_from_elsewhere_moves_nothing_out_of_itself(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (tmp_path / "thesis.txt").write_text("all of it")
    held = holding(folder, GONE, ["../thesis.txt", "/abs.txt", "..", ".", ""])
    (held / "in").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("other")
    write(2, folder, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "all of it"
    (folder / "thesis.txt").unlink()
    assert values_in(folder) == {2.0}


def test_of_those_that_find_what_a_dead_run_was_moving_one_goes_on(tmp_path: Path) -> None:
    for _ in range(20):
        held = tmp_path / scratch.MOVING
        held.mkdir()
        scratch.Owner(GONE, ("a.tif",)).note(held)
        (held / "a.tif").write_text("new")
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(moving.finish_moving, [tmp_path] * 4):
                pass
        assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
        (tmp_path / "a.tif").unlink()


def test_a_run_that_lives_is_not_taken_for_the_dead_one_that_was_there_before(
    tmp_path: Path,
) -> None:
    held = tmp_path / scratch.MOVING
    held.mkdir()
    living = scratch.Owner(this_process(), ("a.tif",))
    living.note(held)
    assert not moving._is_taken_over(held, scratch.Owner(GONE, ("a.tif",)))
    assert scratch.Owner.of(held) == living


@pytest.mark.parametrize("noted", ["null", "[]", "{", "7", '{"files": 7}', '{"files": [[]]}'])
def test_a_folder_of_nobody_knows_whom_is_neither_moved_nor_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: str
) -> None:
    held = holding(tmp_path, GONE, [])
    (held / "owner.json").write_text(noted)
    (held / "mu.tif").write_text("of whom?")
    monkeypatch.setattr(moving, "WAIT", 0.0)
    with pytest.raises(RuntimeError, match="remove it"):
        write(2, tmp_path, overwrite=True)
    assert (held / "mu.tif").read_text() == "of whom?"
