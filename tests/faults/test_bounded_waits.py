"""Bodies that break off, again and again: how long a file may take with all of its blocks."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.env import get_gdal_config

from tests.asset_server import serve_folder
from tests.faults.assets import READ_FAILED, item, projection, random, target, write
from tests.faulty import Fault
from xfusion.raster import patience
from xfusion.raster.deadline import DeadlineError

BLOCKS = 3  # a side: nine
GRID = GeoBox((1536, 1536), rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32634")
PIXELS = random(1).integers(0, 2, GRID.shape).astype("uint8")
LONGEST = 60  # seconds, as docs/catalogues.md says
PATIENT = {"GDAL_HTTP_RETRY_DELAY": "0.5", "GDAL_HTTP_TIMEOUT": "300"}  # as it is by default

FAULTS = {
    "at once": Fault("close", after=2**15, part=0.3),
    "reset": Fault("reset", after=2**15, part=0.3),
    "late": Fault("late close", after=2**15, part=0.3, seconds=3),
    "very late": Fault("late close", after=2**15, part=0.3, seconds=5),
    "later still": Fault("late close", after=2**15, part=0.3, seconds=12),
    "silent": Fault("stall", after=2**15, part=0.3, seconds=25),
    "dripping": Fault("drip", after=2**15, part=0.3, seconds=2),
    "late in the file": Fault("late close", after=200_000, part=0.3, seconds=3),
    "busy": Fault("status", status=503, after=2**15),
}


CASES = [(case, workers) for case in FAULTS for workers in (1, 2)]


def place(case: str, workers: int) -> str:
    return f"{case.replace(' ', '_')}_{workers}"


@pytest.fixture(scope="module")
def waited(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[tuple[str, int], tuple[Any, float]]]:
    """Case -> mask and seconds, with the pauses and time-outs that users have.

    All at a time, as each file is waited for by itself, and waiting keeps no processor busy.
    """
    folder = tmp_path_factory.mktemp("broken")
    write(folder / "well" / "exclusion_mask.tif", PIXELS, GRID)
    for case in CASES:
        (folder / place(*case)).symlink_to(folder / "well", target_is_directory=True)
    faults = {f"/{place(*case)}/*": FAULTS[case[0]] for case in CASES}
    with (
        pytest.MonkeyPatch.context() as patch,
        serve_folder(folder, faults) as url,
        ThreadPoolExecutor(len(CASES)) as pool,
    ):
        patch.setattr(patience, "ATTEMPT_DELAY", 0.5)
        for name, value in PATIENT.items():
            patch.setenv(name, value)

        def wait(case: tuple[str, int]) -> tuple[Any, float]:
            lazy = mask_over(f"{url}/{place(*case)}")
            with ThreadPoolExecutor(case[1]) as workers:
                start = time.monotonic()
                mask = lazy.compute(scheduler="threads", pool=workers, num_workers=case[1])
                return mask.to_numpy(), time.monotonic() - start

        yield dict(zip(CASES, pool.map(wait, CASES), strict=True))


def mask_over(root: str) -> Any:
    one = item("gfm", root)
    one["assets"]["exclusion_mask"] |= projection(GRID)
    like = target(GRID, GRID.shape[0] // BLOCKS)
    return like.fusion.attach_gfm_mask(items=[one], on_read_error="flag")["mask"]


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_all_blocks_of_a_file_together_take_no_longer_than_is_said(
    waited: dict[tuple[str, int], tuple[Any, float]], case: tuple[str, int]
) -> None:
    mask, seconds = waited[case]
    assert seconds < LONGEST
    read = mask != READ_FAILED
    assert not read.all()
    np.testing.assert_array_equal(mask[read], (PIXELS * 16)[read])


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_server_that_sends_just_enough_for_ever_takes_no_longer_than_the_worst_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """That of the page, twice `GDAL_HTTP_TIMEOUT` and what failed reads may take, scaled down."""
    whole, lost = 4.0, 3.0
    monkeypatch.setattr(patience, "MOST_LOST", lost)
    monkeypatch.setattr(patience, "MUCH_LOST", lost / 4)
    monkeypatch.setattr(patience, "TOO_LITTLE", lost / 20)
    monkeypatch.setattr(patience, "ATTEMPT_DELAY", 0.05)
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", f"{whole:g}")
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.05")
    write(tmp_path / "slow" / "exclusion_mask.tif", PIXELS, GRID)
    # some 2000 bytes a second, of windows of 60 KB
    dripping = Fault("drip", after=2**15, part=0.1, seconds=0.0004)
    with (
        serve_folder(tmp_path, {"/slow/*": dripping}) as url,
        ThreadPoolExecutor(workers) as pool,
    ):
        lazy = mask_over(f"{url}/slow")
        start = time.monotonic()
        mask = lazy.compute(scheduler="threads", pool=pool, num_workers=workers).to_numpy()
        seconds = time.monotonic() - start
    assert (mask == READ_FAILED).any()
    assert whole < seconds < 2 * whole + lost + 1  # for what is no waiting


def test_what_was_lost_is_counted_over_blocks_that_were_read_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(np.arange(0.0, 1e6, 1.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(patience, "MOST_LOST", 20.0)
    waits, path = patience.Waits(), "http://127.0.0.1/a.tif"
    failures = 0
    while not waits.is_given_up(path):
        fail(waits, path)
        failures += 1
        with waits.noted(path), waits.counted(path):
            pass  # this one is read
    assert 5 <= failures <= 20
    assert waits.is_given_up(path)
    assert not waits.is_given_up("http://127.0.0.1/b.tif")


def test_seconds_that_many_threads_lost_at_one_time_count_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A glitch of four seconds that sixteen threads meet would else end a file of a large run."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    waits, path = patience.Waits(), "http://127.0.0.1/a.tif"
    known = np.zeros(1000, bool)
    random_times = random(7).uniform(0, 900, (60, 2))
    for start, end in sorted((sorted(pair) for pair in random_times), key=lambda p: p[1]):
        clock[0] = start
        read = waits.counted(path)
        read.__enter__()
        clock[0] = end
        with contextlib.suppress(ZeroDivisionError):
            read.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        known[int(start) : int(end)] = True
        assert waits.lost(path) == pytest.approx(known.sum(), abs=60)
    assert waits.lost(path) <= 900


def test_no_read_of_a_file_takes_more_than_half_of_what_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader that hangs, as GDAL may: it is left behind, and the file after some of them."""
    monkeypatch.setattr(patience, "MOST_LOST", 4.0)
    monkeypatch.setattr(patience, "TOO_LITTLE", 1.0)
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")
    path = "http://127.0.0.1:9/hangs.tif"
    for seconds in (2.0, 1.0, 0.5):
        assert patience.WAITS.share(path) == pytest.approx(seconds, rel=0.2)
        with pytest.raises(DeadlineError):
            patience.read_in_time(path, threading.Event().wait)
    assert patience.WAITS.is_given_up(path)
    assert patience.WAITS.lost(path) < 4


def test_a_file_that_never_failed_may_come_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST_LOST", 0.2)
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "30")
    path = "http://127.0.0.1:9/slow.tif"

    def read() -> int:
        time.sleep(0.5)
        return 7

    assert patience.read_in_time(path, read) == 7
    assert patience.WAITS.lost(path) == 0


def test_who_lets_gdal_wait_longer_is_not_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    assert patience.most_lost() == patience.MOST_LOST
    assert patience.options_in_time() == {"GDAL_HTTP_LOW_SPEED_TIME": "7"}
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "100")
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1000")
    assert patience.options_in_time() == {}
    assert patience.most_lost() == 200
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "0")
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "0")
    # no limit at all
    assert patience.read_in_time("http://127.0.0.1:9/a.tif", lambda: 7) == 7


def test_options_of_a_thread_hold_where_its_reads_are_made() -> None:
    """`rasterio.Env` in a thread that is not the main one is of this thread alone."""

    def ask() -> object:
        with rasterio.Env(GDAL_HTTP_USERAGENT="mine"):
            return patience.read_in_time(
                "http://127.0.0.1:9/a.tif", lambda: get_gdal_config("GDAL_HTTP_USERAGENT")
            )

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(ask).result() == "mine"


def test_a_file_that_was_lost_gets_another_chance_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    waits, path = patience.Waits(), "http://127.0.0.1/a.tif"
    fail(waits, path, lambda: clock.append(clock.pop() + patience.MOST_LOST))
    assert waits.is_given_up(path)
    clock[0] += patience.REMEMBERED_FOR - 1
    assert waits.is_given_up(path)
    clock[0] += 1
    assert not waits.is_given_up(path)
    assert waits.lost(path) == 0
    # of a file of this machine nothing is counted
    fail(waits, "/data/a.tif", lambda: clock.append(clock.pop() + 1000))
    assert waits.lost("/data/a.tif") == 0


def fail(waits: patience.Waits, path: str, wait: Callable[[], None] = lambda: None) -> None:
    with contextlib.suppress(ZeroDivisionError), waits.noted(path), waits.counted(path):
        wait()
        1 / 0  # noqa: B018  # the point
