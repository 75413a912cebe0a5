"""How files on the web are read: what GDAL is told, and how long a server is waited for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

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
# File -> seconds it was waited for in vain since something of it came, and when that was known.
# Of the process: every block of a lazy mask would wait anew for a server that is down.
_waited: dict[str, tuple[float, float]] = {}
# File -> when it may be asked again, as it did not open however often it was asked: that costs
# little time where a server is quick to refuse, but much of the server's patience.
_shut: dict[str, float] = {}
SHUT_FOR = 30.0  # seconds


def is_on_the_web(path: str) -> bool:
    """Whether GDAL reads a path over the network."""
    return path.startswith(SCHEMES)


def gdal_options() -> dict[str, str]:
    """Return the options of GDAL for reads from the web, but those that the user has set."""
    return {name: value for name, value in OPTIONS.items() if _set(name) in (None, value)}


def patience() -> float:
    """Return after how many seconds without an answer a file is taken not to answer."""
    limits = []
    for name in LIMITS:
        said = _set(name)
        try:
            limits.append(float(OPTIONS[name] if said is None else said))
        except ValueError:
            continue
    # none is what 0 means to curl
    return min((limit for limit in limits if limit > 0), default=np.inf)


def _set(name: str) -> str | None:
    """Return an option as it is in force in this thread, whoever has set it."""
    from rasterio.env import get_gdal_config

    # rasterio.env.getenv has only what was set in this thread
    said = get_gdal_config(name, normalize=False)
    return None if said is None else str(said)


def persistently(path: str, read: Callable[[dict[str, str]], T]) -> T:
    """Read, and again what fails on the web; a time-out counts as another attempt.

    Parameters
    ----------
    path : str
    read : callable
        Takes further options of GDAL.
    """
    if not is_on_the_web(path):
        return read({})
    attempts, options = 0, dict[str, str]()
    for pause in itertools.count():
        start = time.monotonic()
        try:
            with waiting(path):
                return read(options)
        except OSError as error:
            attempts += 1 + int((time.monotonic() - start) / patience())
            if attempts >= ATTEMPTS or any(final in str(error) for final in FINAL):
                raise
        time.sleep(ATTEMPT_DELAY * 2**pause)
        options = afresh(path)
    raise AssertionError  # the count has no end


def afresh(path: str) -> dict[str, str]:
    """Return options by which GDAL asks the server, not its own memory of failures."""
    scheme, _, rest = path.partition("?")[0].partition("://")
    known_as = f"/vsis3/{rest}" if scheme == "s3" else f"/vsicurl/{scheme}://{rest}"
    return {"CPL_VSIL_CURL_NON_CACHED": known_as}


@contextmanager
def waiting(path: str) -> Iterator[None]:
    """Note how long a file was waited for in vain, if reading it fails."""
    start = time.monotonic()
    try:
        yield
    except Exception:
        now = time.monotonic()
        _waited[path] = _waited.get(path, (0.0, now))[0] + now - start, now
        raise
    _waited.pop(path, None)
    _shut.pop(path, None)


def shut(path: str) -> None:
    """Note that a file did not open after all attempts, or was waited for in vain."""
    if is_on_the_web(path):
        _shut[path] = time.monotonic() + SHUT_FOR


def is_silent(path: str) -> bool:
    """Whether a file has not answered so long or so often that it is not asked for a while."""
    if time.monotonic() < _shut.get(path, 0.0):
        return True
    waited, since = _waited.get(path, (0.0, 0.0))
    return waited >= patience() and time.monotonic() - since < waited
