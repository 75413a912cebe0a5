"""Follow the redirects of an asset before GDAL does, which follows them anywhere."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.redaction import public
from xfusion.raster.signing import RefusedError

from .network import Network, is_local, network_of, reached_from
from .profiles import Catalog

if TYPE_CHECKING:
    from requests import Session

WEB = ("http", "https")
MOST_HOPS = 10  # as many as GDAL follows
TIMEOUT = (5.0, 10.0)  # seconds to connect, and for an answer
ASKED_FOR = {"Range": "bytes=0-0"}  # what is signed for GET has no HEAD
REDIRECTS = (301, 302, 303, 307, 308)
MOST_FILES = 4096  # that are remembered, the last ones

_lock = threading.Lock()
# href and networks -> why it is refused, None if it is not
_known: OrderedDict[tuple[str, tuple[Network, ...]], str | None] = OrderedDict()


@dataclasses.dataclass(frozen=True)
class GuardedSigner(InGraph):
    """Signs an href, and refuses it if it is redirected farther inwards than it may lead."""

    signer: Callable[[str], str] | None
    networks: tuple[Network, ...]

    def __call__(self, href: str) -> str:
        """Return the signed href; its server is asked once in a process where it leads."""
        address = href if self.signer is None else self.signer(href)
        # signatures change, the file is the same
        key = href, self.networks
        with _lock:
            is_known, refused = key in _known, _known.get(key)
        if not is_known:
            refused = self._refused(address)
            with _lock:
                _known[key] = refused
                while len(_known) > MOST_FILES:
                    _known.popitem(last=False)
        if refused is not None:
            raise RefusedError(refused)
        return address

    def _refused(self, address: str) -> str | None:
        for hop in _hops(address):
            where = network_of(hop) if urlsplit(hop).scheme in WEB else "no network"
            if where not in self.networks:
                return (
                    f"{public(address)} is redirected to {public(hop)!r}, which is on {where}; its "
                    "catalogue is not: pass allow_local=True if you trust it"
                )
        return None


def guarded(catalog: Catalog, origin: str | None, *, allow_local: bool) -> Catalog:
    """Return a catalogue whose files do not lead farther inwards than it is itself.

    Parameters
    ----------
    catalog : Catalog
    origin : str or None
        URL of the catalogue that the items are from; one on this machine, or that is not known,
        may lead anywhere, and costs no request.
    allow_local : bool
        Whether the caller trusts the items with this machine and its networks.
    """
    if allow_local or origin is None or is_local(origin):
        return catalog
    networks = reached_from(origin)
    return dataclasses.replace(catalog, signer=GuardedSigner(catalog.signer, networks))


def _hops(address: str) -> Iterator[str]:
    """Yield where an address is redirected to, hop by hop; the next is asked after each."""
    import requests

    for _ in range(MOST_HOPS):
        if urlsplit(address).scheme not in WEB:
            return
        try:
            answer = _session().get(
                address, headers=ASKED_FOR, timeout=TIMEOUT, allow_redirects=False, stream=True
            )
        except (requests.RequestException, UnicodeError, ValueError):
            return  # GDAL asks as well, more patiently, and says what is wrong
        with answer:
            location = answer.headers.get("Location")
            if answer.status_code not in REDIRECTS or not location:
                return
        address = urljoin(address, location)
        yield address


@functools.cache
def _session() -> Session:
    import requests

    return requests.Session()
