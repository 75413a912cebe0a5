"""How a catalogue is asked: with a time-out, and again where it was busy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pystac_client.stac_api_io import StacApiIO

ATTEMPTS = 5
BUSY = (429, 500, 502, 503, 504)
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between bytes of an answer
LONGEST_WAIT = 30.0  # seconds, whatever a server asks for


def stac_io(*, timeout: tuple[float, float] = TIMEOUT, attempts: int = ATTEMPTS) -> StacApiIO:
    """Return what a `pystac_client.Client` asks with.

    That of pystac-client waits for ever, and repeats neither a POST nor a request that was
    answered with an error.
    """
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    class Patient(Retry):
        """Waits as long as the server asks, within bounds."""

        def get_retry_after(self, response: Any) -> float | None:
            """Return the seconds that an answer asks to wait."""
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, LONGEST_WAIT)

    again = Patient(
        total=attempts,
        connect=2,
        read=2,
        status_forcelist=BUSY,
        allowed_methods={"GET", "POST"},  # a search changes nothing
        backoff_factor=0.5,
        backoff_max=LONGEST_WAIT,
        raise_on_status=False,
    )
    return StacApiIO(timeout=timeout, max_retries=again)
