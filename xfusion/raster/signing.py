"""Sign the address of a file by a function that somebody else wrote: it may hang, fail or leak."""

from __future__ import annotations

from collections.abc import Callable

from xfusion.datamodel.redaction import public, without_secrets

from .deadline import within

LONGEST = 30.0  # seconds: the signer of the Planetary Computer has no time-out of its own


class RefusedError(ValueError):
    """What an address leads to may not be read; the message says why, without secrets."""


def signed(path: str, signer: Callable[[str], str]) -> str:
    """Return what a signer makes of an href.

    Raises
    ------
    RasterioIOError
        If the signer raises, or takes too long; the message names the href, without secrets.
    ImportError
        If it needs a package that is not installed.
    RefusedError
        If the signer refuses to.
    """
    from rasterio.errors import RasterioIOError

    try:
        return within(LONGEST, lambda: signer(path))
    except (ImportError, RefusedError):
        # what is not installed is no fault of the file, and what may not be read will not be later
        raise
    except Exception as error:  # noqa: BLE001  # signers may raise anything
        # the address of a token may hold a key as well
        message = without_secrets(f"{type(error).__name__}: {error}", path)
        msg = f"{public(path)} could not be signed: {message}"
        raise RasterioIOError(msg) from None
