"""Calls that hang, and files that do not answer, are remembered within bounds by all threads."""

import contextlib
import contextvars
import threading
import time

import pytest

from xfusion.raster import patience
from xfusion.raster.deadline import within
from xfusion.stac.bounds import Bounds, ExceededError


def fail(waits: patience.Waits, path: str) -> None:
    with contextlib.suppress(ZeroDivisionError), waits.noted(path):
        1 / 0  # noqa: B018  # the point


def test_a_call_that_hangs_is_given_up_and_one_that_fails_raises_its_error() -> None:
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
        within(60, lambda: within(0.1, threading.Event().wait))
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 / 0)
    assert within(60, lambda: 7) == 7


def test_a_call_with_a_deadline_sees_the_context_of_its_caller() -> None:
    name = contextvars.ContextVar("name", default="none")
    name.set("caller")
    assert within(60, name.get) == "caller"


def test_a_search_that_is_over_has_no_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xfusion.stac.bounds.MOST_BYTES", 10)
    limits = Bounds()
    limits.check(10)
    with pytest.raises(ExceededError, match="sent more than 10 bytes"):
        limits.check(1)
    limits.lift()
    limits.check(10**9)


def test_no_more_files_are_remembered_than_the_bound_and_the_last_are_kept() -> None:
    waits = patience.Waits(most=3)
    for number in range(10):
        fail(waits, f"http://127.0.0.1/{number}.tif")
        waits.give_up(f"http://127.0.0.1/{number}.tif")
    given_up = [n for n in range(10) if waits.is_given_up(f"http://127.0.0.1/{n}.tif")]
    assert given_up == [7, 8, 9]
    assert len(waits._waited) == len(waits._given_up) == 3


def test_a_file_that_answers_is_no_longer_given_up_and_a_local_one_never_is() -> None:
    waits = patience.Waits()
    waits.give_up("http://127.0.0.1/a.tif")
    assert waits.is_given_up("http://127.0.0.1/a.tif")
    with waits.noted("http://127.0.0.1/a.tif"):
        pass
    assert not waits.is_given_up("http://127.0.0.1/a.tif")
    waits.give_up("/data/a.tif")
    assert not waits.is_given_up("/data/a.tif")
    waits.give_up("http://127.0.0.1/a.tif")
    waits.forget()
    assert not waits.is_given_up("http://127.0.0.1/a.tif")


def test_a_file_is_not_left_alone_by_others_while_one_asks_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may answer now: a block that begins meanwhile would be flagged without being asked."""
    waits, path = patience.Waits(), "http://127.0.0.1/a.tif"
    monkeypatch.setattr(patience, "WAITS", waits)
    monkeypatch.setattr(patience, "ATTEMPT_DELAY", 0.0)
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "0.2")
    seen_by_others = []

    def silent(times: int) -> str:
        def read(options: dict[str, str]) -> str:
            seen_by_others.append(waits.is_given_up(path))
            if len(seen_by_others) <= times:
                time.sleep(0.25)
                raise OSError(110, "time-out")
            return "pixels"

        return patience.read_with_retries(path, read)

    assert silent(times=1) == "pixels"
    with pytest.raises(OSError, match="time-out"):
        silent(times=9)
    assert seen_by_others == [False] * len(seen_by_others)
    assert waits.is_given_up(path)


def test_waits_of_many_threads_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read, added to and written back without a lock loses some of them."""
    monkeypatch.setattr(time, "monotonic", iter(range(10**9)).__next__)
    waits, path = patience.Waits(), "http://127.0.0.1/a.tif"

    def work() -> None:
        for _ in range(500):
            fail(waits, path)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # each wait is of one tick of the clock at least
    assert waits._waited[path][0] >= 8 * 500
