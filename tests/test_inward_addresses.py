"""Addresses that lead inwards by another door than the plain one."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import xfusion as xf
from tests import catalogues as c
from xfusion.stac.network import network_of
from xfusion.stac.pages import check_address
from xfusion.stac.untrusted import check_hrefs

INWARDS = {
    "a private network": [
        "stac.default.svc",
        "minio.storage.svc.cluster.local",
        "STAC.DEFAULT.SVC.",
        "10-0-0-1.default.pod",
        "stac.default.svc.k8s.example.org",
        "db-0.stac.default.svc.example.org",
        "10-0-0-1.default.pod.cluster.test",
        "stac.service.consul",
        "nas.fritz.box",
        "fritz.box",
        "pc.mshome.net",
        "[3fff::1]",
        "[5f00::1]",
        "a.private",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b::a00:1]",
        "[64:ff9b:1::808:808]",
        "[2002:a00:1::]",
        "[2002:c0a8:0101:ffff::1]",
        "[::10.1.2.3]",
        "[::ffff:0:192.168.1.1]",
        "[::ffff:172.16.0.1]",
        "[fec0::1]",
        "[fd12::1]",
        "[2a00::5efe:10.0.0.1]",
        "[2a00::0200:5efe:10.0.0.1]",
        "[2001:0:a00:1::]",
        "[2001:0:808:808::f5ff:fffe]",
        "224.0.0.1",
        "239.255.255.250",
        "[ff02::1]",
        "[ff0e::1]",
        "0.1.2.3",
        "240.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "100.64.0.1",
    ],
    "this machine": [
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[2001:0:808:808::80ff:fffe]",
        "0.0.0.0",  # noqa: S104  # nothing binds to it
    ],
    "the local link": [
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[2002:A9FE:A9FE::1%25eth0]",
        "[::169.254.169.254]",
        "[::ffff:0:a9fe:a9fe]",
        "[fe80::5efe:8.8.8.8]",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        "[fd00:42::42]",
        "[64:ff9b::100.100.100.200]",
        "[::ffff:168.63.129.16]",
        "168.63.129.16",
        "100.100.100.200",
        "0x646464c8",
        "192.0.0.192",
        "metadata",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "metadata.tencentyun.com",
        "instance-data.ec2.internal",
    ],
    "the internet": [
        "svc.ms",
        "eastus1.svc.ms",
        "consul.io",
        "pod.example.org",
        "[3ffe::1]",
        "8.8.8.8",
        "[64:ff9b::8.8.8.8]",
        "[2002:808:808::]",
        "[::ffff:8.8.8.8]",
        "[2a00:1450:4001::1]",
        "[2001:4860:4860::8888]",
        "svc.example.org",
        "metadata.example.org",
        "private.example.org",
    ],
}
HOSTS = [(host, network) for network, hosts in INWARDS.items() for host in hosts]


@pytest.mark.parametrize(("host", "network"), HOSTS)
def test_an_address_is_on_the_network_to_which_it_leads(host: str, network: str) -> None:
    for scheme, rest in (("http", "/a.tif"), ("https", ":8443/a.tif?sig=x"), ("HTTP", "")):
        assert network_of(f"{scheme}://{host}{rest}") == network
        assert network_of(f"{scheme}://user:word@{host}{rest}") == network


@pytest.mark.parametrize(("host", "network"), HOSTS)
def test_no_item_of_a_public_catalogue_reaches_inwards(host: str, network: str) -> None:
    item = c.gfm_item("05:10:00", c.EQUI7, exclusion_mask=f"http://{host}/a.tif")
    items = xf.stac.as_items([item])
    origin = "https://stac.eodc.eu/api/v1"
    check_hrefs(items, xf.stac.EODC, allow_local=True, origin=origin)
    if network == "the internet":
        check_hrefs(items, xf.stac.EODC, allow_local=False, origin=origin)
        return
    with pytest.raises(ValueError, match=f"is on {network}, .*allow_local=True"):
        check_hrefs(items, xf.stac.EODC, allow_local=False, origin=origin)


def wrapped(inner: ipaddress.IPv4Address) -> list[ipaddress.IPv6Address]:
    """The addresses of IPv6 that lead to one of IPv4, by the RFCs that define them."""
    last, middle = int(inner), int(inner) << 80
    return [
        ipaddress.IPv6Address(last),  # 4291, section 2.5.5.1
        ipaddress.IPv6Address(0xFFFF << 32 | last),  # 4291, section 2.5.5.2
        ipaddress.IPv6Address(0xFFFF << 48 | last),  # 2765
        ipaddress.IPv6Address(0x64FF9B << 96 | last),  # 6052
        ipaddress.IPv6Address(0x2002 << 112 | middle),  # 3056
    ]


@given(st.ip_addresses(v=4).filter(lambda address: int(address) > 1))
def test_a_wrapped_address_is_where_the_plain_one_is(inner: ipaddress.IPv4Address) -> None:
    plain = network_of(f"http://{inner}/")
    for outer in wrapped(inner):
        assert network_of(f"http://[{outer}]/") == plain, outer
    if not inner.is_global or inner.is_multicast:
        assert plain != "the internet"


@pytest.mark.parametrize("host", [host for host, network in HOSTS if network != "the internet"])
def test_no_page_of_a_public_catalogue_leads_inwards(host: str) -> None:
    from pystac_client.exceptions import APIError

    with pytest.raises(APIError, match="is not there itself.*pystac_client.Client"):
        check_address(f"http://{host}/search", "https://stac.eodc.eu/api/v1")
    # the catalogue that the caller has named may be anywhere
    check_address(f"http://{host}/search", f"http://{host}/")


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "/etc/passwd", "ftp://h/a", "http:///a", "http://[::1/a", ""]
)
def test_what_is_no_address_of_the_web_is_never_asked(address: str) -> None:
    from pystac_client.exceptions import APIError

    with pytest.raises(APIError, match="no address of the web"):
        check_address(address, "http://127.0.0.1")
