"""Hrefs of items: untrusted text that says what is to be opened."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from .catalog import Catalog
from .rasterfile import check_size, public

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

# file systems of GDAL (/vsicurl/...) and its drivers' own names (GTIFF_DIR:1:...)
GDAL_PREFIX = re.compile(r"^/+vsi|^\w*_\w*:", re.IGNORECASE)


def is_local(url: str) -> bool:
    """Whether a catalogue is on this machine: a file, or a server on a loopback address."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        return True
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_hrefs(items: Iterable[pystac.Item], catalog: Catalog, *, allow_local: bool) -> None:
    """Refuse assets that an untrusted item must not make us read.

    Parameters
    ----------
    items : iterable of pystac.Item
    catalog : Catalog
        Its assets are checked.
    allow_local : bool
        Whether files of this machine may be read: the catalogue is local, or the caller
        said so.

    Raises
    ------
    ValueError
        If an href is not http(s) or s3, or a local file without leave, or a GDAL prefix
        such as ``/vsicurl/``; or if an asset claims a size that no raster has.
    """
    for item in items:
        for key in catalog.assets.values():
            href = unquote(asset_href(item, key))
            parts = urlsplit(href)
            where = f"asset {key!r} of item {item.id!r}"
            foreign = parts.scheme not in ("", "file", "http", "https", "s3")
            if foreign or GDAL_PREFIX.search(local_path(href)):
                msg = f"{where}: href {public(href)!r} is not http(s) or s3 and is never opened"
                raise ValueError(msg)
            if parts.scheme in ("", "file") and not allow_local:
                msg = (
                    f"{where}: href {href!r} is a file of this machine, the catalogue is not: "
                    "pass allow_local=True if you trust it"
                )
                raise ValueError(msg)
            for fields in (item.assets[key].extra_fields, item.properties):
                if fields.get("proj:shape"):
                    check_size(tuple(fields["proj:shape"]), where)


def asset_href(item: pystac.Item, key: str) -> str:
    """Return the href of an asset, a relative one resolved against its item.

    Of an asset in s3 its https alternate, if it has one and there are no credentials for s3.
    """
    asset = item.assets[key]
    # pystac would resolve file: URLs against the address of the API as well
    absolute = asset.href if urlsplit(asset.href).scheme else asset.get_absolute_href()
    href = absolute or asset.href
    alternate = asset.extra_fields.get("alternate", {}).get("https", {}).get("href")
    if urlsplit(href).scheme == "s3" and alternate and not S3_CREDENTIALS & {*os.environ}:
        return str(alternate)
    return href


def local_path(href: str) -> str:
    """Return the path behind a file: URL, anything else as it is; GDAL does not unquote."""
    parts = urlsplit(href)
    return url2pathname(parts.path) if parts.scheme == "file" else href
