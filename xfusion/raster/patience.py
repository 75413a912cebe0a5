"""How files on the web are read: what GDAL is told, and how long a server is waited for."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from .deadline import within

T = TypeVar("T")
SCHEMES = ("http://", "https://", "s3://")
# Of our own reads, not of the process, and of files on the web only: beside a local file there
# may be others that belong to it. What the user has set, by rasterio.Env or in the environment,
# is left as it is.
OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",  # a COG's header in one request
    "GDAL_HTTP_MAX_RETRY": "3",  # of 429, 500 and 502 to 504
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    # a server that falls silent is known by its speed: all of a window may be one request
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
    "GDAL_HTTP_TIMEOUT": "300",
}
SILENCE, WHOLE = LIMITS = ("GDAL_HTTP_LOW_SPEED_TIME", "GDAL_HTTP_TIMEOUT")
ATTEMPTS = 3  # GDAL itself gives up at a body that breaks off or a time-out, and remembers it
ATTEMPT_DELAY = 0.5  # seconds, doubled each time
FINAL = ("response code: 401", "response code: 403", "response code: 404", "response code: 410")
GIVEN_UP_FOR = 30.0  # seconds
# Of all failed reads of a file, each of which may be quick: a server that breaks off every body
# would else be met anew at each of thousands of blocks.
MOST_LOST = 45.0  # seconds, after which it is left alone
MUCH_LOST = 10.0  # seconds, after which it is read block by block at once, each in its time
TOO_LITTLE = 2.0  # seconds, of which nothing is begun
ASKED = 6  # times that GDAL asks in one read for a body that breaks off or does not come
REMEMBERED_FOR = 600.0  # seconds since the last of them
MOST_FILES = 4096  # that are remembered, the last ones


def is_on_the_web(path: str) -> bool:
    """Whether GDAL reads a path over the network."""
    return path.startswith(SCHEMES)


def gdal_options() -> dict[str, str]:
    """Return the options of GDAL for reads from the web, but those that the user has set."""
    return {name: value for name, value in OPTIONS.items() if _set(name) in (None, value)}


def longest_silence() -> float:
    """Return after how many seconds without an answer a file is taken not to answer."""
    return min(map(_limit, LIMITS))


def most_lost() -> float:
    """Return how many seconds all failed reads of a file may take together."""
    # who has told GDAL to wait longer for one answer means it
    return MOST_LOST if _set(SILENCE) is None else max(MOST_LOST, 2 * longest_silence())


def options_in_time() -> dict[str, str]:
    """Return options by which a read ends in time whose server is silent each time it is asked.

    A slow line is no silence.
    """
    if _set(SILENCE) is not None:
        return {}
    return {SILENCE: str(max(1, int(most_lost() / ASKED)))}


def _limit(name: str) -> float:
    value = _set(name)
    try:
        limit = float(OPTIONS[name] if value is None else value)
    except ValueError:
        return np.inf
    # none is what 0 means to curl
    return limit if limit > 0 else np.inf


def _set(name: str) -> str | None:
    """Return an option as it is in force in this thread, whoever has set it."""
    from rasterio.env import get_gdal_config

    # rasterio.env.getenv has only what was set in this thread
    value = get_gdal_config(name, normalize=False)
    return None if value is None else str(value)


class Waits:
    """How long files on the web were waited for in vain, known to all threads of the process.

    Every block of a lazy mask would wait anew for a server that is down.
    """

    def __init__(self, most: int = MOST_FILES) -> None:
        self._most = most
        self._lock = threading.Lock()
        # file -> seconds it was waited for since something of it came, and when that was known
        self._waited: OrderedDict[str, tuple[float, float]] = OrderedDict()
        # file -> when it may be asked again
        self._given_up: OrderedDict[str, float] = OrderedDict()
        # file -> when reads of it failed, from and to, whatever came of it between them
        self._lost: OrderedDict[str, list[tuple[float, float]]] = OrderedDict()

    @contextmanager
    def noted(self, path: str) -> Iterator[None]:
        """Note how long a file was waited for, if reading it fails; forget it if it does not."""
        start = time.monotonic()
        try:
            yield
        except Exception:
            now = time.monotonic()
            with self._lock:
                before = self._waited.pop(path, (0.0, now))[0]
                self._waited[path] = before + now - start, now
                self._forget_oldest(self._waited)
            raise
        with self._lock:
            self._waited.pop(path, None)
            self._given_up.pop(path, None)

    def give_up(self, path: str) -> None:
        """Leave a file alone for a while: it did not open, however often it was asked.

        That costs little time where a server is quick to refuse, but much of its patience.
        """
        if is_on_the_web(path):
            with self._lock:
                self._given_up.pop(path, None)
                self._given_up[path] = time.monotonic() + GIVEN_UP_FOR
                self._forget_oldest(self._given_up)

    @contextmanager
    def counted(self, path: str) -> Iterator[None]:
        """Count the time of a read, with its pauses, as lost, if it fails."""
        start = time.monotonic()
        try:
            yield
        except Exception:
            if is_on_the_web(path):
                self._lose(path, start, time.monotonic())
            raise

    def lost(self, path: str) -> float:
        """Return during how many seconds reads of a file were under way that failed, of late."""
        with self._lock:
            return self._lost_of(path, time.monotonic())

    def share(self, path: str) -> float:
        """Return how many seconds the next read of a file may take: half of what is left to it.

        Else one place that is never answered would take them from all others.
        """
        return max(0.0, most_lost() - self.lost(path)) / 2

    def _lose(self, path: str, start: float, now: float) -> None:
        with self._lock:
            spans = self._lost.pop(path, []) if self._lost_of(path, now) else []
            # of threads that wait at one time each second counts once
            while spans and spans[-1][1] > start:
                start = min(start, spans.pop()[0])
            self._lost[path] = [*spans, (start, now)]
            self._forget_oldest(self._lost)

    def _lost_of(self, path: str, now: float) -> float:
        spans = self._lost.get(path, [])
        if not spans or now - spans[-1][1] >= REMEMBERED_FOR:
            return 0.0
        return sum(end - start for start, end in spans)

    def is_given_up(self, path: str) -> bool:
        """Whether a file has not answered so long or so often that it is left alone for now."""
        with self._lock:
            until = self._given_up.get(path, 0.0)
            waited, since = self._waited.get(path, (0.0, 0.0))
            now = time.monotonic()
            lost = self._lost_of(path, now)
        if now < until or most_lost() - lost < TOO_LITTLE:
            return True
        return bool(waited >= longest_silence() and now - since < waited)

    def forget(self) -> None:
        """Ask all files anew, as when the network is back."""
        with self._lock:
            self._waited.clear()
            self._given_up.clear()
            self._lost.clear()

    def _forget_oldest(self, files: OrderedDict[str, Any]) -> None:
        while len(files) > self._most:
            files.popitem(last=False)


WAITS = Waits()


def read_with_retries(path: str, read: Callable[[dict[str, str]], T], seconds: float = np.inf) -> T:
    """Read a file, and again if that fails on the web; a time-out counts as another attempt.

    Parameters
    ----------
    path : str
    read : callable
        Takes further options of GDAL.
    seconds : float
        After which there is no further attempt; silences are cut short if there are any.
    """
    begun = time.monotonic()
    if not is_on_the_web(path):
        return read({})
    ours = options_in_time() if seconds < np.inf else {}
    attempts, options = 0, ours
    # once for all attempts: between them other threads would leave alone what answers the next
    with WAITS.noted(path):
        for number in itertools.count():
            start, pause = time.monotonic(), ATTEMPT_DELAY * 2**number
            try:
                return read(options)
            except OSError as error:
                now = time.monotonic()
                attempts += 1 + int((now - start) / longest_silence())
                late = now + pause - begun >= seconds
                if late or attempts >= ATTEMPTS or any(final in str(error) for final in FINAL):
                    raise
            time.sleep(pause)
            options = uncached(path) | ours
    raise AssertionError  # the count has no end


def read_in_time(path: str, read: Callable[[], T]) -> T:
    """Read a file within its share of time, and count what it took as lost if that fails.

    Raises
    ------
    DeadlineError
        If it takes longer. It goes on in a thread of its own, until GDAL gives up. A file of
        which nothing failed before may come slowly, for as long as GDAL waits for one answer.
    """
    if not is_on_the_web(path):
        return read()
    seconds = WAITS.share(path)
    if not WAITS.lost(path):
        seconds = max(seconds, _limit(WHOLE))
    with WAITS.counted(path):
        # without a limit where the user has set none
        return read() if seconds == np.inf else within(seconds, with_options_of_here(read))


def with_options_of_here(call: Callable[[], T]) -> Callable[[], T]:
    """Return a call that has the options of GDAL of this thread in another one as well."""
    import rasterio
    from rasterio.env import getenv, hasenv, setenv

    # those of the main thread hold for all
    options = getenv() if hasenv() else {}

    def called() -> T:
        with rasterio.Env():
            setenv(**options)
            return call()

    return called


def uncached(path: str) -> dict[str, str]:
    """Return options by which GDAL asks the server, not its own memory of failures."""
    scheme, _, rest = path.partition("?")[0].partition("://")
    # a fragment is not sent, but "#" may be part of a key in s3
    name = f"/vsicurl/{scheme}://{rest.partition('#')[0]}"
    cached_as = f"/vsis3/{rest}" if scheme == "s3" else name
    return {"CPL_VSIL_CURL_NON_CACHED": cached_as}
