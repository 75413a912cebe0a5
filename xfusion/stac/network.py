"""On which network an address is, as far as the address itself tells."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from xfusion.datamodel.redaction import is_on_loopback

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = Literal["the internet", "a private network", "this machine", "the local link"]

LOOPBACK_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
PRIVATE_NAME = re.compile(
    r"[^.]*"
    r"|.*\.(local|localdomain|localnet|internal|intranet|lan|corp|home|home\.arpa|private)"
    # of routers, and of what finds services
    r"|(.*\.)?(fritz\.box|mshome\.net|consul|nomad)"
    # services of Kubernetes: name.namespace.svc, then the domain of the cluster, any
    r"|.*\.(svc|pod)|.*[^.]\.[^.]+\.(svc|pod)\..+"
)
# where clouds tell their machines secrets, on the local link or as good as on it
METADATA_NAMES = {
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.tencentyun.com",
    "metadata.packet.net",
    "instance-data",
    "instance-data.ec2.internal",
}
METADATA = {
    ipaddress.ip_address(text)
    for text in (
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure, of its host
        "192.0.0.192",  # Oracle
        "fd00:42::42",  # Scaleway
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
    )
}
# IPv6 addresses that hold one of IPv4: the network, and how many bits follow those of IPv4
HOLDING = [
    (ipaddress.IPv6Network(text), following)
    for text, following in (
        ("::/96", 0),  # compatible, as of old
        ("::ffff:0:0/96", 0),  # mapped
        ("::ffff:0:0:0/96", 0),  # translated
        ("64:ff9b::/96", 0),  # NAT64
        ("2002::/16", 80),  # 6to4
    )
]
LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")  # a prefix of a network's own
# no address of the internet, which not all versions of Python know
NOT_GLOBAL = [
    ipaddress.IPv6Network("fec0::/10"),  # private, as of old
    ipaddress.IPv6Network("3fff::/20"),  # of documentation
    ipaddress.IPv6Network("5f00::/16"),  # of segment routing, within a domain
]
TEREDO = ipaddress.IPv6Network("2001::/32")
ISATAP = re.compile(r"0[02]005efe")  # of an interface, before the address of IPv4
INWARDS: tuple[Network, ...] = (
    "the local link",
    "this machine",
    "a private network",
    "the internet",
)


def network_of(url: str) -> Network:
    """Return on which network the host of a URL is, as far as the URL itself tells."""
    host = unquote(urlsplit(url).hostname or "").rstrip(".").lower()
    with contextlib.suppress(UnicodeError):
        # digits and dots of other scripts
        host = host.encode("idna").decode()
    host = host.rstrip(".")
    address = _address(host)
    if address is not None:
        return _network_of_address(address)
    if host in METADATA_NAMES:
        return "the local link"
    if host in LOOPBACK_NAMES or host.endswith(".localhost"):
        return "this machine"
    return "a private network" if PRIVATE_NAME.fullmatch(host) else "the internet"


def reached_from(origin: str | None) -> tuple[Network, ...]:
    """Return the networks that a catalogue may refer to: not farther inwards than it is itself."""
    # never the local link, where clouds tell their machines secrets
    near: tuple[Network, ...] = ("the internet", "a private network", "this machine")
    if origin is None or is_local(origin):
        return near
    inwards = {"the internet": 1, "this machine": 3}
    return near[: inwards.get(network_of(origin), 2)]


def is_local(url: str) -> bool:
    """Whether a catalogue is on this machine: a file, or a server on a loopback address."""
    try:
        return urlsplit(url).scheme in ("", "file") or is_on_loopback(url)
    except ValueError:
        return False  # such as a bracket that is not closed


def _network_of_address(address: IPAddress) -> Network:
    inner, is_only_a_way = _held(address)
    networks = [*map(_network_of_address, inner)]
    if not is_only_a_way:
        networks.append(_own_network(address))
    return next(network for network in INWARDS if network in networks)


def _own_network(address: IPAddress) -> Network:
    if address.is_link_local or address in METADATA:
        return "the local link"
    if address.is_loopback or address.is_unspecified:
        return "this machine"
    # a group is of machines that are near
    inwards = address.is_multicast or not address.is_global
    inwards |= any(address in network for network in NOT_GLOBAL)
    return "a private network" if inwards or address in LOCAL_NAT64 else "the internet"


def _held(address: IPAddress) -> tuple[list[ipaddress.IPv4Address], bool]:
    """Return the addresses of IPv4 that one of IPv6 leads to, and if it leads nowhere else."""
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback or address.is_unspecified:
        return [], False
    number = int(address)
    if address in TEREDO:
        # its server, and the client behind it, all bits of which are turned
        return [_of_number(number >> 64), _of_number(~number)], True
    held = [_of_number(number >> bits) for network, bits in HOLDING if address in network]
    if not held and ISATAP.fullmatch(f"{number >> 32 & 0xFFFFFFFF:08x}"):
        return [_of_number(number)], False
    return held, bool(held)


def _of_number(number: int) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(number & 0xFFFFFFFF)


def _address(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            # curl takes 127.1 and 0x7f000001 for an address as well
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError, ValueError):
            return None  # a name; or what cannot be one, such as a host with a NUL
