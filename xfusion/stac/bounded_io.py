"""The requests of our own clients: bounded, patient, and careful with what comes back.

Imported late: pystac-client and requests take long to import.
"""

from __future__ import annotations

import io
import time
from typing import Any

import urllib3
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests.adapters import HTTPAdapter

from . import bounds
from .pages import check_address, check_answer, check_page


class PatientRetry(urllib3.Retry):
    """Waits as long as the server asks, within bounds."""

    def get_retry_after(self, response: Any) -> float | None:
        """Return the seconds that an answer asks to wait."""
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, bounds.LONGEST_WAIT)


class BoundedAdapter(HTTPAdapter):
    """Reads each answer to its end, that of a redirect as well, as long as the bounds allow."""

    def __init__(self, limits: bounds.Bounds, origin: str, **options: Any) -> None:
        super().__init__(**options)
        self.limits = limits
        self.origin = origin

    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        """Send a request, and return its answer with the body in memory."""
        self.limits.check()
        # here and not before: each redirect comes by, as a request of its own
        check_address(request.url, self.origin)
        response = super().send(request, *args, **{**options, "stream": True})
        body, raw = io.BytesIO(), response.raw
        try:
            while part := raw.read(bounds.CHUNK, decode_content=True):
                self.limits.check(len(part))
                body.write(part)
            self.limits.check()  # a body without a length ends where its connection does
        except BaseException:
            raw.close()  # what is left of the answer would be read as the next one
            raise
        body.seek(0)
        response.raw = urllib3.HTTPResponse(
            body, status=raw.status, preload_content=False, original_response=None
        )
        return response


class BoundedIO(StacApiIO):
    """Asks an API within bounds, and again where there was no whole answer.

    That of pystac-client has no time-out, and repeats neither a POST nor a request that was
    answered with an error, nor one whose answer broke off.
    """

    def __init__(self, limits: bounds.Bounds, origin: str) -> None:
        super().__init__(timeout=bounds.TIMEOUT)
        self.limits = limits
        again = PatientRetry(
            total=bounds.REPEATS,
            connect=0,
            read=0,
            other=0,  # such as a certificate that is not trusted
            status_forcelist=bounds.BUSY,
            allowed_methods={"GET", "POST"},  # a search changes nothing
            backoff_factor=bounds.DELAY,
            backoff_max=bounds.LONGEST_WAIT,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, BoundedAdapter(limits, origin, max_retries=again))

    def request(self, href: str, *args: Any, **options: Any) -> str:
        """Return the text of an answer."""
        for attempt in range(1, bounds.ATTEMPTS):
            try:
                return super().request(href, *args, **options)
            except APIError as error:
                if getattr(error, "status_code", None) is not None:
                    raise
                self.limits.check()
            time.sleep(bounds.DELAY * 2 ** (attempt - 1))
        try:
            return super().request(href, *args, **options)
        except APIError:
            self.limits.check()
            raise

    def read_json(self, source: Any, *args: Any, **options: Any) -> Any:
        """Return an answer that is one of a STAC API."""
        check_address(source)
        try:
            answer = super().read_json(source, *args, **options)
        except (RecursionError, ValueError) as error:
            # a thousand brackets, or a number of thousands of digits, are JSON as well
            msg = f"the answer is no JSON that can be read, {type(error).__name__}: {error}"
            raise APIError(msg) from error
        check_answer(answer)
        if "parameters" in options:
            # which come with each page of a search, and with nothing else
            check_page(answer)
        return answer
