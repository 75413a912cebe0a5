"""Hrefs of items: untrusted text that says what is to be opened."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from xfusion.datamodel.redaction import is_on_loopback, public
from xfusion.raster.asset import check_size

from .asset_bands import asset_of
from .profiles import Catalog

if TYPE_CHECKING:
    import pystac

# what GDAL takes credentials for s3 from, or that it needs none
S3_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_NO_SIGN_REQUEST",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
}

Network: TypeAlias = Literal["the internet", "a private network", "this machine", "the local link"]
LOOPBACK_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
PRIVATE_NAME = re.compile(
    r"[^.]*|.*\.(local|localdomain|internal|intranet|lan|corp|home|home\.arpa)"
)

WEB, LOCAL = ("http", "https", "s3"), ("", "file")

# file systems of GDAL (/vsicurl/...) and its drivers' own names (GTIFF_DIR:1:...)
GDAL_NAME = re.compile(r"/+vsi|[^/]*:", re.IGNORECASE)
# "https:/host" and "https:host" are to GDAL what "https://host" is, but to nobody else
WEB_ADDRESS = re.compile(r"(https?|s3)://[^/?#\\]", re.IGNORECASE)
SECRET = re.compile(r"[?#]|%3f|%23", re.IGNORECASE)  # where a query or a fragment begins
# what one reader drops, another takes for part of the name
AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")

# A CRS is untrusted as well: PROJ opens the files that "+init=", grids and bound CRS name.
CRS_FIELDS = ("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson")  # what is newer comes first
CRS_CODE = re.compile(r"((EPSG|ESRI|OGC|IAU)(_\d+)?:)?\w+", re.IGNORECASE)
CRS_WKT = re.compile(r"\s*(PROJ|GEOG|GEOD|COMPOUND|COMPD)\w*\s*\[", re.IGNORECASE)
CRS_FILES = re.compile(
    r"EXTENSION|PARAMETERFILE|BOUND_?CRS|nadgrids|geoidgrids|\+init", re.IGNORECASE
)


def is_link(href: str) -> bool:
    """Whether what is public of an href says where something is, and tells no secret."""
    # "//user:word@host" and "/a.json?sig=" have no scheme, which is what public() goes by
    if AMBIGUOUS.search(href) or href.startswith("//") or SECRET.search(public(href)):
        return False
    return WEB_ADDRESS.match(href) is not None or _scheme(href) in LOCAL


def is_local(url: str) -> bool:
    """Whether a catalogue is on this machine: a file, or a server on a loopback address."""
    return _scheme(url) in LOCAL or is_on_loopback(url)


def network_of(url: str) -> Network:
    """Return on which network the host of a URL is, as far as the URL itself tells."""
    host = unquote(urlsplit(url).hostname or "").rstrip(".").lower()
    with contextlib.suppress(UnicodeError):
        # digits and dots of other scripts
        host = host.encode("idna").decode()
    address = _address(host)
    if address is None:
        if host in LOOPBACK_NAMES or host.endswith(".localhost"):
            return "this machine"
        return "a private network" if PRIVATE_NAME.fullmatch(host) else "the internet"
    if address.is_link_local:
        return "the local link"
    if address.is_loopback or address.is_unspecified:
        return "this machine"
    return "the internet" if address.is_global else "a private network"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            # curl takes 127.1 and 0x7f000001 for an address as well
            address = ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def check_hrefs(
    items: Iterable[pystac.Item],
    catalog: Catalog,
    *,
    allow_local: bool,
    origin: str | None = None,
) -> None:
    """Refuse assets that an untrusted item must not make us read.

    Parameters
    ----------
    items : iterable of pystac.Item
    catalog : Catalog
        Its assets are checked.
    allow_local : bool
        Whether the caller trusts the items with this machine and its networks.
    origin : str, optional
        URL or path of the catalogue that the items are from, if it is known: it may refer to
        what is as near as it is itself.

    Raises
    ------
    ValueError
        If an href is not http(s) or s3, or a local file without leave, or on a network without
        leave, or a GDAL prefix such as ``/vsicurl/``; if an asset claims a size that no raster
        has; or if its CRS may name a file.
    """
    for item in items:
        for key in catalog.keys_of(item.collection_id).values():
            where = f"asset {key!r} of item {item.id!r}"
            _check_href(asset_href(item, key), where, allow_local=allow_local, origin=origin)
            for fields in (asset_of(item, key).extra_fields, item.properties):
                _check_claim(fields.get("proj:shape"), where)
                _check_crs(stated_crs(fields), where)


def _check_href(href: str, where: str, *, allow_local: bool, origin: str | None) -> None:
    readings = [*_readings(href)]
    shown = SECRET.split(public(href), maxsplit=1)[0]
    ambiguous = AMBIGUOUS.search(href) or len({_scheme(text) for text in readings}) > 1
    if ambiguous or any(_never_opened(text) for text in readings):
        msg = f"{where}: href {shown!r} is not http(s) or s3 and is never opened"
        raise ValueError(msg)
    if allow_local:
        return
    if _scheme(href) in LOCAL and not (origin is not None and is_local(origin)):
        msg = (
            f"{where}: href {shown!r} is a file of this machine, the catalogue is not: "
            "pass allow_local=True if you trust it"
        )
        raise ValueError(msg)
    network = network_of(href) if _scheme(href) in ("http", "https") else "the internet"
    if network not in _reached_from(origin):
        msg = (
            f"{where}: href {shown!r} is on {network}, its catalogue is not: "
            "pass allow_local=True if you trust it"
        )
        raise ValueError(msg)


def _reached_from(origin: str | None) -> tuple[Network, ...]:
    """Return the networks that items may refer to: not farther inwards than their catalogue."""
    # never the local link, where clouds tell their machines secrets
    near: tuple[Network, ...] = ("the internet", "a private network", "this machine")
    if origin is None or is_local(origin):
        return near
    inwards = {"the internet": 1, "this machine": 3}
    return near[: inwards.get(network_of(origin), 2)]


def _readings(href: str) -> Iterator[str]:
    """Yield an href as it is, and as those understand it who unquote it, once or more."""
    yield href
    while (plain := unquote(href)) != href:
        yield (href := plain)


def _never_opened(href: str) -> bool:
    scheme = _scheme(href)
    if scheme in LOCAL:
        return GDAL_NAME.match(local_path(href)) is not None
    return scheme not in WEB or WEB_ADDRESS.match(href) is None


def stated_crs(fields: Mapping[str, Any]) -> Any:
    """Return the CRS that an item or an asset states, None if it does not."""
    # GFM has only the text, where Equi7 once had no EPSG code
    return next((fields[name] for name in CRS_FIELDS if fields.get(name)), None)


def _check_crs(crs: Any, where: str) -> None:
    text = json.dumps(crs) if isinstance(crs, Mapping) else str(crs)
    of_known_form = isinstance(crs, Mapping) or CRS_CODE.fullmatch(text) or CRS_WKT.match(text)
    if not of_known_form or CRS_FILES.search(text):
        msg = (
            f"{where}: the CRS {text[:60]!r} is not a code, WKT or PROJJSON without files, and is "
            "never opened: state it as proj:code"
        )
        raise ValueError(msg)


def _check_claim(shape: Any, where: str) -> None:
    if shape is None:
        return
    try:
        check_size(tuple(shape), where)
    except TypeError:
        msg = f"{where}: its proj:shape, {shape!r}, is no number of rows and columns"
        raise ValueError(msg) from None


def asset_href(item: pystac.Item, key: str) -> str:
    """Return the href of an asset, a relative one resolved against its item.

    Of an asset in s3 its https alternate, if it has one and there are no credentials for s3.
    """
    asset = asset_of(item, key)
    # pystac would resolve file: URLs against the address of the API as well
    absolute = asset.href if _scheme(asset.href) else asset.get_absolute_href()
    href = absolute or asset.href
    if _scheme(href) == "s3" and not S3_CREDENTIALS & {*os.environ}:
        href = _https_alternate(asset) or href
    scheme, colon, rest = href.partition(":")
    return f"{scheme.lower()}{colon}{rest}" if _scheme(href) == scheme.lower() else href


def _https_alternate(asset: pystac.Asset) -> str | None:
    field: Any = asset.extra_fields
    for name in ("alternate", "https", "href"):
        field = field.get(name) if isinstance(field, Mapping) else None
    return field if isinstance(field, str) else None


def _scheme(href: str) -> str:
    try:
        return urlsplit(href).scheme
    except ValueError:
        # such as a bracket that is not closed
        return "invalid"


def local_path(href: str) -> str:
    """Return the path behind a file: URL, anything else as it is; GDAL does not unquote."""
    parts = urlsplit(href)
    return url2pathname(parts.path) if parts.scheme == "file" else href
