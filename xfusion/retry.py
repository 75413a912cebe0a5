"""How a catalogue is asked: with a time-out, and again where it was busy or broke off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pystac_client import Client

    from .deadline import Deadline

REPEATS = 5  # where it was busy
BUSY = (429, 500, 502, 503, 504)
ATTEMPTS = 3  # where there was no answer, or not the whole of it
DELAY = 0.5  # seconds, doubled each time
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between bytes of an answer
LONGEST_WAIT = 30.0  # seconds, whatever a server asks for


def open_client(url: str, deadline: Deadline) -> Client:
    """Open an API with a client that neither waits for ever nor gives up at once.

    That of pystac-client has no time-out, and repeats neither a POST nor a request that was
    answered with an error, nor one whose answer broke off.
    """
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    class Patient(Retry):
        """Waits as long as the server asks, within bounds."""

        def get_retry_after(self, response: Any) -> float | None:
            """Return the seconds that an answer asks to wait."""
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, LONGEST_WAIT)

    class Persistent(StacApiIO):
        """Asks again where there was no whole answer; urllib3 has no part in reading its body."""

        def request(self, href: str, *args: Any, **kwargs: Any) -> str:
            """Return the text of an answer."""
            for attempt in range(1, ATTEMPTS):
                try:
                    return super().request(href, *args, **kwargs)
                except APIError as error:
                    if getattr(error, "status_code", None) is not None:
                        raise
                    deadline.check()
                time.sleep(DELAY * 2 ** (attempt - 1))
            return super().request(href, *args, **kwargs)

    again = Patient(
        total=REPEATS,
        connect=0,
        read=0,
        other=0,  # such as a certificate that is not trusted
        status_forcelist=BUSY,
        allowed_methods={"GET", "POST"},  # a search changes nothing
        backoff_factor=DELAY,
        backoff_max=LONGEST_WAIT,
        raise_on_status=False,
    )
    stac_io = deadline.io(Persistent(max_retries=again))
    try:
        # the client sets the time-out anew, to None if it is not told
        return Client.open(url, stac_io=stac_io, timeout=TIMEOUT)
    except malformed() as error:
        msg = f"the answer is not that of a STAC API, {type(error).__name__}: {error}"
        raise APIError(msg) from error


def malformed() -> tuple[type[Exception], ...]:
    """Return what pystac raises where an answer lacks a field, or is something else."""
    from pystac import STACError, STACTypeError
    from pystac_client.errors import ClientTypeError

    of_pystac = STACError, STACTypeError, ClientTypeError
    return AttributeError, KeyError, TypeError, ValueError, *of_pystac
