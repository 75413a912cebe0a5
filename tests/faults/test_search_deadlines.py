"""Searches that take too long, or too much, end; clients stay as their user has set them."""

import contextlib
import socket
import threading
import time
from typing import Any

import pytest
import requests
from pystac_client import Client
from pystac_client.stac_api_io import StacApiIO
from urllib3 import Retry

from tests.faults.searches import DRIPS, IDS, asked_by, search, stats
from tests.faulty import Fault
from tests.search_proxy import search_proxy
from tests.waits import AT_MOST, FOR_EVER
from xfusion.stac import bounds


@pytest.mark.slow
def test_a_search_that_stalls_ends_with_its_time_out(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "TIMEOUT", (1.0, 0.3))
    with search_proxy(api, {"/search": Fault("stall", part=None, seconds=FOR_EVER)}) as url:
        start = time.monotonic()
        with pytest.raises(ConnectionError, match="failed.*timed out"):
            search(url)
        assert 0.8 < time.monotonic() - start < AT_MOST
        assert stats(url)["faults"] == bounds.ATTEMPTS


@pytest.mark.parametrize("who", ["ours", "theirs"])
@pytest.mark.parametrize("drips", DRIPS)
def test_a_search_that_drips_ends_with_its_deadline(
    api: str, drips: str, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No byte is late, and the last would come after a minute."""
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    with search_proxy(api, {"/search": DRIPS[drips]}) as url:
        catalog = asked_by(who, url)
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=rf"{url} failed.* more than 0.7 s in all"):
            search(catalog)
        assert 0.6 < time.monotonic() - start < AT_MOST


@pytest.mark.parametrize("drips", DRIPS)
def test_a_catalogue_that_drips_when_it_is_opened_ends_with_its_deadline(
    api: str, drips: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    with search_proxy(api, {"/": DRIPS[drips]}) as url:
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=rf"{url} failed.* more than 0.7 s in all"):
            search(url)
        assert 0.6 < time.monotonic() - start < AT_MOST


@pytest.mark.slow
def test_a_handshake_that_fails_is_no_server_that_is_busy(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of the attempts is repeated five times, after pauses of up to eight seconds."""
    monkeypatch.setattr(bounds, "DELAY", 0.5)
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="failed.*SSL"):
        search(api.replace("http:", "https:"))
    assert time.monotonic() - start < AT_MOST


def test_a_handshake_that_drips_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)

    def drip(listening: socket.socket) -> None:
        with listening.accept()[0] as connection, contextlib.suppress(OSError):
            for byte in b"\x16\x03\x03\x3f\xff\x02" + bytes(1000):
                connection.sendall(bytes([byte]))
                time.sleep(0.2)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, args=[listening], daemon=True).start()
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=r"failed.* more than 0.7 s in all"):
            search(f"https://127.0.0.1:{listening.getsockname()[1]}")
        assert 0.6 < time.monotonic() - start < AT_MOST


@pytest.mark.slow
@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_pages_that_each_come_in_time_do_not_add_up_without_end(
    api: str, small_pages: None, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 1.9)
    with search_proxy(api, {"/search": Fault("stall", part=None, seconds=0.65)}) as url:
        with pytest.raises(ConnectionError, match=r"failed.* more than 1.9 s in all"):
            search(asked_by(who, url))
        assert 2 <= stats(url)["faults"] <= 3  # it is no page alone


def test_answers_without_end_are_not_kept(
    api: str, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with search_proxy(api) as url:
        # the catalogue itself, and each page, are some kB
        monkeypatch.setattr(bounds, "MOST_BYTES", 5000)
        with pytest.raises(ConnectionError, match=r"failed.* sent more than 5000 bytes in all"):
            search(url)
        assert 1 <= stats(url)["methods"]["POST"] < len(IDS)
        monkeypatch.setattr(bounds, "MOST_BYTES", 100_000)
        assert search(url) == IDS


def test_a_root_that_an_open_client_is_led_to_is_bounded_as_well(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    faults = {"/": Fault("none", times=1), "/*": DRIPS["headers"]}
    with search_proxy(api, faults) as url:
        client = Client.open(url)
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=r"failed.* more than 0.7 s in all"):
            search(client)
        assert 0.6 < time.monotonic() - start < AT_MOST
        assert stats(url)["paths"]["/"] == 2


def test_an_open_client_without_time_outs_does_not_wait_for_ever(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    with search_proxy(api, {"/search": Fault("stall", part=None, seconds=FOR_EVER)}) as url:
        client = Client.open(url, stac_io=StacApiIO(max_retries=None))
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=r"failed.* more than 0.7 s in all"):
            search(client)
        assert 0.2 < time.monotonic() - start < AT_MOST


def test_an_open_client_does_not_wait_beyond_the_deadline_for_a_server_that_asks_it_to(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    busy = Fault("status", status=503, headers={"Retry-After": "3600"})
    with search_proxy(api, {"/search": busy}) as url:
        again = Retry(5, status_forcelist=[503], allowed_methods=None)
        client = Client.open(url, stac_io=StacApiIO(max_retries=again))
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=r"failed.* more than 0.7 s in all"):
            search(client)
        assert 0.6 < time.monotonic() - start < AT_MOST


class ByToken(requests.adapters.HTTPAdapter):
    """An adapter of a user, with a state of its own."""

    def __init__(self, token: str) -> None:
        super().__init__(max_retries=2)
        self.token = token

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.headers["X-Token"] = self.token
        return super().send(request, *args, **kwargs)


def noted(sent: list[Any], send: Any) -> Any:
    def note(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        headers = request.headers
        sent.append((headers.get("X-Token"), headers.get("X-Session"), kwargs["timeout"]))
        return send(self, request, *args, **kwargs)

    return note


def test_an_open_client_asks_as_its_user_has_set_it_and_is_left_as_it_was(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.7)
    sent: list[Any] = []
    kind = requests.adapters.HTTPAdapter
    monkeypatch.setattr(kind, "send", noted(sent, kind.send))
    with search_proxy(api, {"/search": Fault("drip", times=1, seconds=0.2)}) as url:
        io = StacApiIO(max_retries=None)
        io.session.mount("http://", adapter := ByToken("secret"))
        client = Client.open(url, stac_io=io, headers={"X-Session": "mine"})
        before = [dict(vars(known)) for known in (client, io, io.session, adapter)]
        with pytest.raises(ConnectionError, match="more than 0.7 s in all"):
            search(client)
        assert [dict(vars(known)) for known in (client, io, io.session, adapter)] == before
        assert search(client) == IDS
        # it has no deadline and no time-out of ours
        assert len(list(client.search(collections=["GFM"]).items())) == len(IDS)
    assert {(token, session) for token, session, _ in sent} == {("secret", "mine")}
    assert {timeout for _, _, timeout in sent} == {None}


def test_a_server_that_asks_for_an_hour_is_not_waited_for(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LONGEST_WAIT", 0.1)
    fault = Fault("status", status=429, headers={"Retry-After": "3600"}, times=2)
    with search_proxy(api, {"/search": fault}) as url:
        start = time.monotonic()
        assert search(url) == IDS
        assert time.monotonic() - start < AT_MOST
