"""Addresses and errors without what is secret in them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

# of addresses in errors: where one is redirected, or a client adds its key, it is not the href
QUERY = re.compile(r"\?[^\s'\"<>()]+")
USER = re.compile(r"(?<=://)[^/\s@]+@")


def is_on_loopback(href: str) -> bool:
    """Whether an address is that of a server on this machine, by its loopback address."""
    try:
        host = urlsplit(href).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def public(href: str) -> str:
    """Return an href without its query and its user: signatures, tokens and passwords."""
    scheme, separator, rest = href.partition("://")
    if not separator:
        return href
    host, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def without_secrets(text: str, href: str) -> str:
    """Return a text, such as that of an error, without what is not public of an href in it.

    Nor of any other address.
    """
    address, _, query = href.partition("?")
    user = address.partition("://")[2].partition("/")[0].rpartition("@")[0]
    for secret in (query, f"{user}@" if user else ""):
        text = text.replace(secret, "...") if secret else text
    return QUERY.sub("?...", USER.sub("...", text))
