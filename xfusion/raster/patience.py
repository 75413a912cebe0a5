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
LIMITS = ("GDAL_HTTP_LOW_SPEED_TIME", "GDAL_HTTP_TIMEOUT")
ATTEMPTS = 3  # GDAL itself gives up at a body that breaks off or a time-out, and remembers it
ATTEMPT_DELAY = 0.5  # seconds, doubled each time
FINAL = ("response code: 401", "response code: 403", "response code: 404", "response code: 410")
GIVEN_UP_FOR = 30.0  # seconds
# Of all failed reads of a file, each of which may be quick: a server that breaks off every body
# would else be met anew at each of thousands of blocks.
MOST_LOST = 40.0  # seconds, after which it is left alone; the read in which they end may take more
MUCH_LOST = 10.0  # seconds, after which it is asked once for each window
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
    limits = []
    for name in LIMITS:
        value = _set(name)
        try:
            limits.append(float(OPTIONS[name] if value is None else value))
        except ValueError:
            continue
    # none is what 0 means to curl
    return min((limit for limit in limits if limit > 0), default=np.inf)


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
        # file -> seconds of its failed reads, whatever came of it between them, and the last one
        self._lost: OrderedDict[str, tuple[float, float]] = OrderedDict()

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
                now = time.monotonic()
                with self._lock:
                    self._lost[path] = self._lost_of(path, now) + now - start, now
                    self._lost.move_to_end(path)
                    self._forget_oldest(self._lost)
            raise

    def lost(self, path: str) -> float:
        """Return how many seconds reads of a file took that failed, of late."""
        with self._lock:
            return self._lost_of(path, time.monotonic())

    def _lost_of(self, path: str, now: float) -> float:
        seconds, last = self._lost.get(path, (0.0, now))
        return seconds if now - last < REMEMBERED_FOR else 0.0

    def is_given_up(self, path: str) -> bool:
        """Whether a file has not answered so long or so often that it is left alone for now."""
        with self._lock:
            until = self._given_up.get(path, 0.0)
            waited, since = self._waited.get(path, (0.0, 0.0))
            now = time.monotonic()
            lost = self._lost_of(path, now)
        if now < until or lost >= MOST_LOST:
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
        After which there is no further attempt, but after a time-out.
    """
    begun = time.monotonic()
    if not is_on_the_web(path):
        return read({})
    attempts, options = 0, dict[str, str]()
    for pause in itertools.count():
        start = time.monotonic()
        try:
            with WAITS.noted(path):
                return read(options)
        except OSError as error:
            now, silence = time.monotonic(), longest_silence()
            attempts += 1 + int((now - start) / silence)
            late = now - begun >= seconds and now - start < silence
            if late or attempts >= ATTEMPTS or any(final in str(error) for final in FINAL):
                raise
        time.sleep(ATTEMPT_DELAY * 2**pause)
        options = uncached(path)
    raise AssertionError  # the count has no end


def uncached(path: str) -> dict[str, str]:
    """Return options by which GDAL asks the server, not its own memory of failures."""
    scheme, _, rest = path.partition("?")[0].partition("://")
    # a fragment is not sent, but "#" may be part of a key in s3
    name = f"/vsicurl/{scheme}://{rest.partition('#')[0]}"
    cached_as = f"/vsis3/{rest}" if scheme == "s3" else name
    return {"CPL_VSIL_CURL_NON_CACHED": cached_as}
