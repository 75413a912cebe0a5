"""How long a search may take, how much it may receive, and how often a request is repeated."""

from __future__ import annotations

import math
import time

LONGEST = 600.0  # seconds of a search: a time-out is for each byte, and there are pages and repeats
MOST_BYTES = 2**29  # of all answers, unpacked: ten thousand items of 50 kB
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between bytes of an answer
REPEATS = 5  # of a request whose server was busy
BUSY = (429, 500, 502, 503, 504)
ATTEMPTS = 3  # at a request without an answer, or without the whole of it
DELAY = 0.5  # seconds, doubled each time
LONGEST_WAIT = 30.0  # seconds, whatever a server asks for
CHUNK = 2**16  # bytes that are read at a time


class ExceededError(Exception):
    """A search took longer, or its answers were larger, than any search should."""


class TooMuchError(ConnectionError):
    """A catalogue did not answer all of a search within its bounds: of fewer days it might."""


class TooManyItemsError(ValueError):
    """A search found more items than any should."""


def too_long(seconds: float) -> ExceededError:
    """Return the error of a search that took too long."""
    return ExceededError(f"it took more than {seconds:g} s in all")


class Bounds:
    """What is left of the time and of the bytes of one search."""

    def __init__(self) -> None:
        self._seconds, self._bytes = LONGEST, float(MOST_BYTES)
        self._until, self._received = time.monotonic() + LONGEST, 0

    def check(self, received: int = 0) -> None:
        """Count what has been received, and raise if the time is over or it is too much."""
        self._received += received
        if time.monotonic() > self._until:
            raise too_long(self._seconds)
        if self._received > self._bytes:
            msg = f"it sent more than {self._bytes:.0f} bytes in all"
            raise ExceededError(msg)

    def lift(self) -> None:
        """End the search: its items know the client, and may ask it later."""
        self._until = self._bytes = math.inf
