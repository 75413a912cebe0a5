"""Two runs on one store, in any order of start, stop, freeze and kill: never a mixture."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests.forked import Forked
from tests.s3_server import BUCKET, s3_server
from tests.store_runs import contents
from xfusion.store import lease, tasks, workers
from xfusion.store.place import Place
from xfusion.store.write import open_store

SIDE, BLOCK = 24, 4
REFUSALS = ("another run", "unfinished run of another job", "finished result of another")


class Run(Forked):
    """A run in another process."""

    def __init__(
        self,
        store: Path | str,
        value: int,
        *,
        pause: float,
        resume: bool = True,
        force: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(work, str(store), float(value), pause, resume, force, environment or {})

    def end(self) -> bool:
        """Wait for the end, and return whether it finished."""
        said = self.said()
        if self.process.exitcode == 0 and said != "finished":
            assert any(text in said for text in REFUSALS), said
        return said == "finished"


def work(
    pipe: Any,
    store: str,
    value: float,
    pause: float,
    resume: bool,
    force: bool,
    environment: Mapping[str, str],
) -> None:
    os.environ.update(environment)
    lease.BEAT_EVERY, lease.SILENT_FOR, lease.LOOK_EVERY = 0.05, 0.6, 0.02

    def slow(block: Any, dtype: Any = np.float32) -> Any:
        time.sleep(pause)
        return np.full_like(block, value)

    side = int(environment.get("SIDE", SIDE))
    zeros = xr.DataArray(np.zeros((side, side), np.float32), dims=("y", "x")).chunk(BLOCK)
    mu = zeros.copy(data=zeros.data.map_blocks(slow, dtype=np.float32))
    water = xf.retrieval(mu, zeros + 1)
    pipe.send("ready")
    pipe.recv()
    try:
        target = repository(environment) if store == "icechunk" else store
        xf.to_zarr(water, target, resume=resume, force=force, progress=False)
        pipe.send("finished")
    except (RuntimeError, ValueError, OSError) as error:
        pipe.send(f"{type(error).__name__}: {error}")


def repository(environment: Mapping[str, str]) -> Any:
    """Return a repository in S3, where two commits at once are a conflict."""
    import icechunk

    storage = icechunk.s3_storage(
        bucket=BUCKET,
        prefix=environment["PREFIX"],
        endpoint_url=environment["AWS_ENDPOINT"],
        region=environment["AWS_REGION"],
        access_key_id=environment["AWS_ACCESS_KEY_ID"],
        secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        allow_http=True,
        force_path_style=True,
    )
    return icechunk.Repository.open_or_create(storage)


def values_in(store: Path) -> set[float] | None:
    """Return which values a finished store holds, None if none is finished."""
    try:
        water = xr.open_zarr(store).load()
    except (FileNotFoundError, OSError, KeyError, ValueError):
        return None
    return values_of(water)


def values_of(water: xr.Dataset) -> set[float]:
    assert np.isfinite(water.mu).all()
    return {*np.unique(water.mu).tolist()}


def published(store: Path) -> dict[str, str]:
    return {k: v for k, v in contents(store).items() if not k.startswith(".xfusion")}


@pytest.fixture
def running() -> Iterator[list[Run]]:
    runs: list[Run] = []
    yield runs
    for run in runs:
        run.kill()


PAIRS = [
    (what, resume, force, moment)
    for what in ("let it run", "kill", "freeze", "freeze and wake at once")
    for resume, force in ((True, False), (False, False), (False, True))
    for moment in (0.0, 0.1, 0.25, 0.4)
]


@pytest.mark.some(one_in=7)
@pytest.mark.slow
@pytest.mark.parametrize(("what", "resume", "force", "moment"), PAIRS)
def test_of_two_runs_at_once_a_finished_store_is_that_of_one(
    tmp_path: Path, running: list[Run], what: str, resume: bool, force: bool, moment: float
) -> None:
    store = tmp_path / "w.zarr"
    a = Run(store, 1, pause=0.03)
    running.append(a)
    b = Run(store, 2, pause=0.002, resume=resume, force=force)
    running.append(b)
    a.go()
    time.sleep(moment)
    if what == "kill":
        a.signal(signal.SIGKILL)
    elif what.startswith("freeze"):
        a.signal(signal.SIGSTOP)
    b.go()
    if what == "freeze and wake at once":
        time.sleep(0.1)
        a.signal(signal.SIGCONT)
    finished = {2.0} if b.end() else set()
    after_b = values_in(store)
    a.signal(signal.SIGCONT)
    finished |= {1.0} if a.end() else set()
    found = values_in(store)
    assert found is None or (len(found) == 1 and found <= finished)
    # what was whole once stays as it was
    assert after_b is None or found == after_b
    assert bool(finished) == (found is not None)


# what happens to each of two runs, and after how many seconds
SIGNALS = {"kill": signal.SIGKILL, "interrupt": signal.SIGINT, "stop": signal.SIGTERM}
OF_BOTH = [
    (
        of_a,
        of_b,
        (0.05, 0.3)[number % 2],
        ((True, False), (False, False), (False, True))[number % 3],
    )
    for number, (of_a, of_b) in enumerate(
        itertools.product(
            ("", "kill", "freeze", "interrupt"), ("kill", "freeze", "interrupt", "stop")
        )
    )
]


def meet(a: Run, b: Run, of_a: str, of_b: str, second: float) -> set[float]:
    """Let two runs meet what happens to them, and return the values of those that finished."""
    a.go()
    time.sleep(0.15)
    if of_a:
        a.signal(SIGNALS.get(of_a, signal.SIGSTOP))
    b.go()
    time.sleep(second)
    b.signal(SIGNALS.get(of_b, signal.SIGSTOP))
    if of_a == "freeze":
        a.signal(signal.SIGCONT)
    finished = {1.0} if a.end() else set()
    b.signal(signal.SIGCONT)
    return finished | ({2.0} if b.end() else set())


@pytest.mark.some(one_in=5)
@pytest.mark.slow
@pytest.mark.parametrize(("of_a", "of_b", "second", "how"), OF_BOTH)
def test_whatever_happens_to_both_of_two_runs_a_finished_store_is_that_of_one(
    tmp_path: Path,
    running: list[Run],
    of_a: str,
    of_b: str,
    second: float,
    how: tuple[bool, bool],
) -> None:
    store = tmp_path / "w.zarr"
    resume, force = how
    running += [Run(store, 1, pause=0.03), Run(store, 2, pause=0.03, resume=resume, force=force)]
    finished = meet(running[0], running[1], of_a, of_b, second)
    found = values_in(store)
    # one that was killed may have finished, but could not say so
    assert found is None or (len(found) == 1 and found <= {1.0, 2.0})
    assert not finished or found == finished
    if found is None:
        third = Run(store, 3, pause=0.0, resume=False)
        running.append(third)
        third.go()
        assert third.end()
        assert values_in(store) == {3.0}


@pytest.fixture(scope="module")
def in_s3() -> Iterator[dict[str, str]]:
    """What a process needs to reach an S3."""
    with s3_server() as endpoint:
        yield {
            "AWS_ENDPOINT": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
        }


FAR = [
    ("kill", "freeze", 0.3, False, False),
    ("freeze", "kill", 0.6, False, True),
    ("freeze", "freeze", 1.0, False, False),
    ("interrupt", "stop", 0.4, True, False),
    ("", "interrupt", 0.6, False, True),
]


@pytest.mark.some(one_in=3)
@pytest.mark.slow
@pytest.mark.parametrize("where", ["zarr", "icechunk"])
@pytest.mark.parametrize(("of_a", "of_b", "second", "resume", "force"), FAR)
def test_whatever_happens_to_two_runs_in_s3_a_finished_store_is_that_of_one(
    in_s3: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    running: list[Run],
    where: str,
    of_a: str,
    of_b: str,
    second: float,
    resume: bool,
    force: bool,
) -> None:
    environment = in_s3 | {"PREFIX": f"{of_a}-{of_b}", "SIDE": "12"}
    store = where if where == "icechunk" else f"s3://{BUCKET}/{environment['PREFIX']}.zarr"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def values() -> set[float] | None:
        try:
            if where == "icechunk":
                session = repository(environment).readonly_session("main")
                return values_of(xr.open_zarr(session.store, consolidated=False).load())
            return values_of(open_store(store).load())
        except (FileNotFoundError, OSError, KeyError, ValueError):
            return None

    if where == "icechunk":
        repository(environment)  # there before either run: one that is half made is the engine's
    options: dict[str, Any] = {"pause": 0.03, "environment": environment}
    running += [Run(store, 1, **options), Run(store, 2, **options, resume=resume, force=force)]
    finished = meet(running[0], running[1], of_a, of_b, second)
    found = values()
    assert found is None or (len(found) == 1 and found <= {1.0, 2.0})
    assert not finished or found == finished
    if found is None:
        third = Run(store, 3, pause=0.0, resume=False, environment=environment)
        running.append(third)
        third.go()
        assert third.end()
        assert values() == {3.0}


@pytest.mark.slow
def test_a_run_that_wakes_after_another_has_finished_changes_nothing(
    tmp_path: Path, running: list[Run]
) -> None:
    store = tmp_path / "w.zarr"
    a = Run(store, 1, pause=0.2)
    running.append(a)
    a.go()
    time.sleep(0.5)
    a.signal(signal.SIGSTOP)
    b = Run(store, 2, pause=0.0, resume=False)
    running.append(b)
    b.go()
    assert b.end()
    before = {
        p: p.read_bytes() for p in store.rglob("*") if p.is_file() and ".xfusion" not in p.parts
    }
    a.signal(signal.SIGCONT)
    assert not a.end()
    after = {
        p: p.read_bytes() for p in store.rglob("*") if p.is_file() and ".xfusion" not in p.parts
    }
    assert after == before
    assert values_in(store) == {2.0}


def retrieval(value: float) -> xr.Dataset:
    mu = xr.DataArray(np.full((8, 8), value, np.float32), dims=("y", "x"))
    return xf.retrieval(mu, mu * 0 + 1).chunk(4)


def test_a_run_that_lives_keeps_its_store_unless_it_is_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    count = itertools.count()

    def write(target: Any, region: Any, block: Any) -> None:
        # blocks are written by several threads, and only the first tries to take the store
        if next(count) == 0:
            with pytest.raises(RuntimeError, match=rf"{os.getpid()}.*force=True"):
                xf.to_zarr(retrieval(2.0), store, progress=False)
            with pytest.raises(RuntimeError, match="another run writes to"):
                xf.to_zarr(retrieval(2.0), store, resume=False, progress=False)
            xf.to_zarr(retrieval(2.0), store, resume=False, force=True, progress=False)
        target[region] = block

    monkeypatch.setattr(tasks, "_write", write)
    with pytest.raises(RuntimeError, match="another run has taken over"):
        xf.to_zarr(retrieval(1.0), store, progress=False)
    assert values_in(store) == {2.0}


def test_a_silent_run_of_another_machine_is_waited_for_and_then_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SILENT_FOR", 0.6)
    monkeypatch.setattr(lease, "NOTICE", 0.1)
    monkeypatch.setattr(lease, "LOOK_EVERY", 0.05)
    store = tmp_path / "w.zarr"
    state = store / ".xfusion"
    (state / "beats").mkdir(parents=True)
    (state / "beats" / "theirs").write_text("7")
    (state / "run").write_text('{"run": "theirs", "host": "far", "pid": "9", "machine": "other"}')
    begun = time.monotonic()
    with pytest.warns(UserWarning, match="process 9 on far has not ended"):
        xf.to_zarr(retrieval(1.0), store, progress=False)
    assert time.monotonic() - begun > 0.6
    assert values_in(store) == {1.0}
    assert not state.exists()


def test_a_run_of_another_machine_that_beats_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SILENT_FOR", 30.0)
    monkeypatch.setattr(lease, "LOOK_EVERY", 0.01)
    counts = itertools.count()
    store = tmp_path / "w.zarr"
    state = store / ".xfusion"
    (state / "beats").mkdir(parents=True)
    (state / "beats" / "theirs").write_text("7")
    (state / "run").write_text('{"run": "theirs", "host": "far", "pid": "9", "machine": "other"}')

    def sleep(_: float) -> None:
        (state / "beats" / "theirs").write_text(str(next(counts)))

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(RuntimeError, match="process 9 on far"):
        xf.to_zarr(retrieval(1.0), store, progress=False)


STEPS = ("read", "write", "delete", "move", "delete_folder", "listed", "children", "has", "tail")


class GoneError(BaseException):
    """A process that is gone tells nothing."""


def at_step(patch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> Iterator[int]:
    """Do something before the step of a number that a run takes in its store; return the steps."""
    steps = itertools.count()
    inside: list[bool] = []

    def wrapped(method: Any) -> Any:
        def step(self: Place, *arguments: Any) -> Any:
            if not inside and next(steps) == number:
                inside.append(True)
                act()
                inside.clear()
            return method(self, *arguments)

        return step

    for name in STEPS:
        patch.setattr(Place, name, wrapped(getattr(Place, name)))
    return steps


def end_of(value: float, store: Path, **how: Any) -> str:
    """Return how a run of two blocks ends: "" if it finishes."""
    mu = xr.DataArray(np.full((2, 4), value, np.float32), dims=("y", "x"))
    try:
        with dask.config.set(scheduler="sync"):
            xf.to_zarr(xf.retrieval(mu, mu * 0 + 1).chunk(2), store, progress=False, **how)
    except GoneError:
        return "gone"
    except (RuntimeError, ValueError, FileExistsError) as error:
        return str(error)
    return ""


@pytest.mark.some(one_in=3)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "resume", "each"), [("take", False, 1), ("take", True, 3), ("kill", False, 2)]
)
def test_at_whichever_step_a_store_is_taken_it_is_that_of_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, resume: bool, each: int
) -> None:
    whole = {
        value: published(tmp_path / f"{value}.zarr")
        for value in (1.0, 2.0)
        if not end_of(value, tmp_path / f"{value}.zarr")
    }
    with monkeypatch.context() as patch:
        steps = at_step(patch, -1, lambda: None)
        assert not end_of(1.0, tmp_path / "counted.zarr")
    count = next(steps)
    assert count > 40
    ends = set()
    for number in range(0, count, each):
        store = tmp_path / f"at {number}.zarr"
        seconds: list[str] = []

        def second(store: Path = store, seconds: list[str] = seconds) -> None:
            if what == "kill":
                raise GoneError
            seconds.append(end_of(2.0, store, resume=resume, force=True))

        with monkeypatch.context() as patch:
            at_step(patch, number, second)
            first = end_of(1.0, store)
        if what == "kill":
            seconds.append(end_of(2.0, store, resume=resume))
        # one of them has finished, whichever; or the first was killed after it had
        assert "" in (first, *seconds) or "finished result of another" in seconds[0], number
        assert published(store) == whole[1.0 if seconds[0] else 2.0], (number, first, seconds)
        assert all(
            end in ("", "gone") or any(text in end for text in REFUSALS)
            for end in (first, *seconds)
        ), (number, first, seconds)
        ends.add((not first, not seconds[0]))
    assert len(ends) > 1


def test_a_run_that_is_refused_for_its_job_does_not_stop_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    written: list[Any] = []

    def write(target: Any, region: Any, block: Any) -> None:
        # a batch is noted by now
        if len(written) == 6:
            with pytest.raises(ValueError, match="unfinished run of another job"):
                xf.to_zarr(retrieval(2.0), store, force=True, progress=False)
        written.append(region)
        target[region] = block

    monkeypatch.setattr(tasks, "_write", write)
    monkeypatch.setattr(workers, "BLOCKS_A_WORKER", 1)
    with dask.config.set(scheduler="sync", num_workers=1):
        xf.to_zarr(retrieval(1.0), store, progress=False)
    assert len(written) > 6
    assert values_in(store) == {1.0}
