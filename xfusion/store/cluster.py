"""Blocks computed by the workers of a cluster, some of which freeze, die or never come."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from xfusion.run.progress import Advance

from .lease import Lease, holder_of
from .parts import with_large_apart

BLOCKS_A_WORKER = 8  # of a batch
BLOCKS_ON_CLUSTER = 64  # of a batch, at least: workers come where there is work for them
IN_MEMORY = "{} is in the memory of this process, its workers are others: choose a folder"

LOOK_EVERY = 0.02  # seconds, at what has ended
ASK_EVERY = 1.0  # seconds, the scheduler for its workers
SILENT_AFTER = 15.0  # seconds without a sign of life: a worker gives one every few seconds
ANSWER_WITHIN = 5.0  # seconds, of what is there
FAILED = ("error", "cancelled")  # what distributed calls it
NOTICE = 5.0  # seconds of waiting after which the user is told
RUNNING = "running"  # a client that is connected
GONE = "the scheduler of the cluster is gone, or has forgotten its work: connect a new Client"


class LostWorkersError(OSError):
    """The cluster does not go on."""


class Cluster:
    """The workers of a :class:`distributed.Client`."""

    def __init__(self, client: Any, timeout: float) -> None:
        self.client = client
        self._workers = _Workers(client, timeout)

    def check(self, lease: Lease, advance: Advance) -> None:
        """Refuse workers that do not see the store, of those that answer."""
        from .inside import is_in_memory

        if is_in_memory(lease.zarr):
            raise TypeError(IN_MEMORY.format(lease.name))
        asked: dict[str, Any] = {}
        try:
            with _named_losses(self.client):
                # a cluster that adapts has no workers before there is work
                asked[""] = self.client.submit(holder_of, lease.zarr, pure=False)
                for worker in self._workers.wait(advance):
                    asked[worker] = self.client.submit(
                        holder_of, lease.zarr, workers=[worker], pure=False
                    )
                del asked[""]
                self._workers.wait_for(asked.values(), advance)
                runs = _answers(asked)
        finally:
            with contextlib.suppress(Exception):
                self.client.cancel(list(asked.values()))
        blind = sorted(worker for worker, run in runs.items() if run != lease.run)
        if blind:
            msg = (
                f"{lease.name} is another one, or none, for the workers {', '.join(blind)}: choose "
                "a store that all see under this name, on a shared disk or an object store"
            )
            raise OSError(msg)

    def count(self) -> int:
        """Return how many blocks are computed at a time."""
        return self._workers.thread_count()

    def batch(self) -> int:
        """Return how many blocks are computed before a note is made."""
        return max(BLOCKS_ON_CLUSTER, BLOCKS_A_WORKER * self.count())

    def run(
        self, graph: Mapping[Any, Any], keys: list[Any], lasting: list[Any], advance: Advance
    ) -> dict[Any, Any]:
        """Compute some blocks; return what others need, to take its place in their graph.

        Raises
        ------
        LostWorkersError
            If no worker answers for too long, the scheduler is gone, or workers die of a block.
        """
        from dask.task_spec import Alias

        graph = with_large_apart(graph)
        names = {key: key for key in (*keys, *lasting)}
        left = dict.fromkeys(keys)
        others: list[Any] = []
        while left:
            # others than those that are frozen, if there are such
            some = self._workers.wait(advance) if self._workers.silent() else None
            with _named_losses(self.client):
                asked = [[names[key] for key in part] for part in (left, lasting)]
                futures, others = self.client.get(graph, asked, workers=some, sync=False)
            key_of = dict(zip(futures, [*left], strict=True))
            try:
                for future in self._workers.ended(futures, advance):
                    # the result, which is none, may be gone with its worker: nobody waits for it
                    if future.status in FAILED:
                        with _named_losses(self.client):
                            future.result(timeout=self._workers.timeout)
                    del left[key_of[future]]
                    advance(1)
            finally:
                # an error that is kept would keep these, and the cluster its failed tasks; what a
                # frozen worker has of the others is computed again
                with contextlib.suppress(Exception):
                    self.client.cancel(futures)
                # not cancelled: the scheduler drops a client that cancels what others need which
                # it has not asked for, with all that this client has
                if left:
                    for other in others:
                        other.release()
            # the scheduler's word of what is cancelled may come late, and name what is asked anew
            names |= {key: f"again-{uuid.uuid4().hex}" for key in keys}
            graph |= {names[key]: Alias(names[key], key) for key in keys}
        return dict(zip(lasting, others, strict=True))


def _answers(asked: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what some workers have answered, without those that are gone meanwhile."""
    from distributed import TimeoutError as Late

    answers = {}
    for worker, future in asked.items():
        if future.done():
            with contextlib.suppress(Late):
                answers[worker] = future.result(timeout=ANSWER_WITHIN)
    return answers


class _Workers:
    """Which workers give signs of life."""

    def __init__(self, client: Any, timeout: float) -> None:
        self.client, self.timeout = client, timeout
        # worker -> its last sign, by its own clock, and when that was seen to change, by ours
        self._seen: dict[str, tuple[Any, float]] = {}
        self._asked = -ASK_EVERY
        self._is_answered = True
        self._answering: list[str] = []
        self._silent: set[str] = set()
        self._paused: set[str] = set()
        self._threads = 0

    def answering(self) -> list[str]:
        """Return those that answer and take work, as of a moment ago."""
        if self.client.status != RUNNING:
            # the client may find a scheduler again, but has given up what it had begun there
            raise LostWorkersError(GONE)
        now = time.monotonic()
        if now - self._asked < ASK_EVERY:
            return self._answering
        try:
            workers = self._asked_for()
        except Exception:  # noqa: BLE001  # frozen, or on its way to be gone: who waits tells it
            self._is_answered, self._answering = False, []
            return self._answering
        finally:
            self._asked = time.monotonic()
        self._is_answered = True
        for name, worker in workers.items():
            sign = worker.get("last_seen"), worker.get("metrics", {}).get("time")
            if self._seen.get(name, (None,))[0] != sign:
                self._seen[name] = sign, now
        self._threads = sum(int(worker.get("nthreads", 1)) for worker in workers.values())
        self._silent = {name for name in workers if now - self._seen[name][1] > SILENT_AFTER}
        self._paused = {name for name, w in workers.items() if w.get("status") == "paused"}
        self._answering = [name for name in workers if name not in self._silent | self._paused]
        return self._answering

    def _asked_for(self) -> dict[str, Any]:
        """Return what the scheduler tells of its workers; Client.scheduler_info waits for ever."""
        asked = self.client.sync(
            self.client.scheduler.identity,
            n_workers=-1,
            callback_timeout=ANSWER_WITHIN,
        )
        return dict(asked["workers"])

    def thread_count(self) -> int:
        """Return how many blocks are computed at a time."""
        self.answering()
        return self._threads

    def silent(self) -> set[str]:
        """Return those that the scheduler still counts on, though they are frozen."""
        self.answering()
        return self._silent

    def wait(self, advance: Advance) -> list[str]:
        """Return the workers that answer, once there is one."""
        begun = time.monotonic()
        while not (answering := self.answering()):
            waited = time.monotonic() - begun
            if waited > self.timeout:
                raise LostWorkersError(self._silence())
            if waited > NOTICE:
                advance.waits("waiting for workers")
            time.sleep(LOOK_EVERY)
        return answering

    def ended(self, futures: Sequence[Any], advance: Advance) -> Iterator[Any]:
        """Yield what has ended; stop where the rest must be given to other workers."""
        from distributed import as_completed

        ends = as_completed(futures)
        frozen, since = self.silent(), time.monotonic()
        while not ends.is_empty():
            while ends.has_ready():
                yield ends.next()
                since = time.monotonic()
            if not self.answering():
                self.wait(advance)
                since = time.monotonic()
            # a worker that is frozen keeps its blocks, until the scheduler gives it up
            if not self.silent() <= frozen and time.monotonic() - since > SILENT_AFTER:
                return
            time.sleep(LOOK_EVERY)

    def wait_for(self, futures: Collection[Any], advance: Advance) -> None:
        """Wait until each has ended, or some have and the others do not for a while."""
        begun = time.monotonic()
        while not all(future.done() for future in futures):
            self.wait(advance)
            waited = time.monotonic() - begun
            if waited > self.timeout:
                raise LostWorkersError(self._silence())
            if waited > NOTICE and any(future.done() for future in futures):
                return
            time.sleep(LOOK_EVERY)

    def _silence(self) -> str:
        if not self._is_answered:
            return f"the scheduler of the cluster has not answered for {self.timeout:.0f} s"
        paused = "; some are paused, as they have no memory left" if self._paused else ""
        return (
            f"no worker has answered for {self.timeout:.0f} s, of {len(self._seen)} that were "
            f"seen{paused}"
        )


@contextlib.contextmanager
def _named_losses(client: Any) -> Iterator[None]:
    """Tell what is lost with a scheduler or with its workers from what a block raises."""
    from concurrent.futures import CancelledError as Cancelled

    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except KilledWorker as error:
        msg = (
            "a block was begun again and again, as the workers that computed it died, most often "
            "for want of memory: give them more"
        )
        raise LostWorkersError(msg) from error
    except (Cancelled, CancelledError, CommClosedError) as error:
        raise LostWorkersError(GONE) from error
    except Exception as error:
        if isinstance(error, LostWorkersError) or client.status == RUNNING:
            raise
        raise LostWorkersError(GONE) from error
