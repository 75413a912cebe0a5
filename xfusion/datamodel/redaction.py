"""Addresses and errors without what is secret in them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit

# of addresses in errors: where one is redirected, or a client adds its key, it is not the href
QUERY = re.compile(r"\?[^\s'\"<>()]+")
USER = re.compile(r"(?<=//)[^/\s]+(@|%40)", re.IGNORECASE)
AT = re.compile(r"@|%40", re.IGNORECASE)  # after a user, who is one however that is quoted
# "https:/host" and "https:host" are to GDAL what "https://host" is, but to nobody else
WEB_ADDRESS = re.compile(r"(https?|s3)://[^/?#\\]", re.IGNORECASE)
NETWORK_PATH = re.compile(r"[/\\]{2}")
DRIVE = re.compile(r"[a-z]:[/\\]", re.IGNORECASE)  # of a path of Windows
SECRET = re.compile(r"[?#]|%3f|%23", re.IGNORECASE)  # where a query or a fragment begins
# what one reader drops, another takes for part of the name, and a third cannot write
AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|^\s|\s$")


def is_on_loopback(href: str) -> bool:
    """Whether an address is that of a server on this machine, by its loopback address."""
    try:
        host = urlsplit(href).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def public(href: str) -> str:
    """Return an href without its query and its user: signatures, tokens and passwords."""
    scheme, separator, rest = href.partition("//" if href.startswith("//") else "://")
    if not separator:
        return href
    host, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}{separator}{AT.split(host)[-1]}{slash}{path}"


def is_link(href: str) -> bool:
    """Whether what is public of an href says where something is, and tells no secret."""
    # "//user:word@host" and "/a.json?sig=" have no scheme, which is what public() goes by
    shown = public(href)
    if AMBIGUOUS.search(href) or NETWORK_PATH.match(href) or SECRET.search(shown):
        return False
    try:
        parts = urlsplit(shown)
    except ValueError:
        return False
    is_path = parts.scheme in ("", "file") or DRIVE.match(href) is not None
    of_known_form = WEB_ADDRESS.match(href) is not None or is_path
    return of_known_form and "@" not in unquote(parts.netloc)


def without_secrets(text: str, href: str) -> str:
    """Return a text, such as that of an error, without what is not public of an href in it.

    Nor of any other address.
    """
    address, _, query = href.partition("?")
    user = address.partition("://")[2].partition("/")[0].rpartition("@")[0]
    for secret in (query, f"{user}@" if user else ""):
        text = text.replace(secret, "...") if secret else text
    return QUERY.sub("?...", USER.sub("...", text))
