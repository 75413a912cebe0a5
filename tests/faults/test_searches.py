"""Searches that fail: all items, or an error that names the catalogue."""

import json
from typing import Any

import pytest
import requests
from pystac_client import Client

import xfusion as xf
from tests.faults.assets import A_FILE, AROUND, DAY, item, target
from tests.faults.searches import IDS, asked_by, search, stats
from tests.faulty import Fault
from tests.search_proxy import search_proxy
from tests.waits import AT_MOST
from xfusion import stac


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=503, times=3),
        pytest.param(
            Fault("status", status=429, headers={"Retry-After": "1"}, times=1),
            marks=pytest.mark.slow,
        ),
        Fault("close", times=1),
        Fault("close", part=None, times=1),
        Fault("reset", times=1),
        Fault("status", status=500, after=1, times=1),
        Fault("close", after=1, times=1),
    ],
    ids=["503", "429", "broken", "closed", "reset", "page two", "page two broken"],
)
def test_a_search_that_fails_at_first_finds_all_items(
    api: str, small_pages: None, fault: Fault
) -> None:
    with search_proxy(api, {"/search": fault}) as url:
        assert search(url) == IDS
        counts = stats(url)
    assert counts["faults"] == fault.times
    assert counts["methods"]["POST"] == len(IDS) + (fault.times or 0)


def test_a_catalogue_that_is_busy_when_it_is_opened_is_asked_again(api: str) -> None:
    with search_proxy(api, {"/": Fault("status", status=503, times=2)}) as url:
        assert search(url) == IDS


@pytest.mark.parametrize("part", ["/", "/search"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=503),
        Fault("status", status=400),
        Fault("close"),
        Fault("reset", part=None),
        Fault("wrong"),
        Fault("truncate"),
        Fault("redirect", location=A_FILE),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status or ''}",
)
def test_a_search_that_fails_is_an_error_and_never_no_items(
    api: str, part: str, fault: Fault
) -> None:
    with search_proxy(api, {part: fault}) as url:
        with pytest.raises(
            ConnectionError, match=rf"search for 'GFM' in {url} failed.*items="
        ) as e:
            search(url)
        assert len(str(e.value)) < 600


def test_a_second_page_that_fails_is_an_error_and_not_the_first(
    api: str, small_pages: None
) -> None:
    with search_proxy(api, {"/search": Fault("status", status=500, after=1)}) as url:
        ds = target()
        with pytest.raises(ConnectionError, match=rf"search for 'GFM' in {url} failed"):
            ds.fusion.attach_gfm_mask(catalog=url)


@pytest.mark.parametrize("after", [0, 1], ids=["page one", "page two"])
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"message": "Endpoint request timed out"},
        {"type": "FeatureCollection", "features": None},
    ],
    ids=["nothing", "message", "null"],
)
def test_a_page_that_is_none_is_an_error_and_not_the_end_of_the_items(
    api: str, small_pages: None, answer: Any, after: int
) -> None:
    """Some servers say of an error that all is well."""
    fault = Fault("answer", body=json.dumps(answer), after=after)
    with (
        search_proxy(api, {"/search": fault}) as url,
        pytest.raises(ConnectionError, match=rf"{url} failed.*no page of a search"),
    ):
        search(url)


def test_an_open_client_that_gets_no_page_finds_no_items_but_does_not_invent_any(api: str) -> None:
    """What it takes for the end of the pages is its own affair, as its documentation says."""
    with (
        search_proxy(api, {"/search": Fault("answer", body="{}")}) as url,
        pytest.raises(LookupError, match="no items of 'GFM'"),
    ):
        search(Client.open(url))


def test_items_of_a_search_know_the_client_of_the_user(api: str) -> None:
    client = Client.open(api)
    for found in stac.search(client, AROUND, DAY, default=xf.stac.EODC):
        assert found.get_root() is client


@pytest.mark.parametrize("who", ["ours", "theirs"])
@pytest.mark.parametrize(
    "error", [TypeError("a slip"), KeyError("a slip"), ValueError("a slip"), KeyboardInterrupt()]
)
def test_an_error_in_the_program_is_not_taken_for_one_of_the_catalogue(
    api: str, who: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = asked_by(who, api)

    def slip(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(Client, "search", slip)
    with pytest.raises(type(error), match="" if isinstance(error, KeyboardInterrupt) else "a slip"):
        search(catalog)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        7,
        {"features": 7},
        {"features": [7]},
        {"features": [{"type": "Feature"}]},
        {"features": [{}], "links": [{"rel": "next"}]},
        {"features": [{}], "links": {}},
    ],
)
@pytest.mark.parametrize("part", ["/", "/search"])
def test_json_that_is_not_of_a_stac_api_is_an_error_that_names_the_catalogue(
    api: str, part: str, answer: Any
) -> None:
    json_of = Fault("answer", body=json.dumps(answer))
    with (
        search_proxy(api, {part: json_of}) as url,
        pytest.raises(ConnectionError, match=rf"search for 'GFM' in {url} failed"),
    ):
        search(url)


@pytest.mark.parametrize("body", ["[" * 20_000, f'{{"features": [{"1" * 5000}]}}', "NaN", "{"])
@pytest.mark.parametrize("part", ["/", "/search"])
def test_json_that_breaks_its_reader_is_an_error_that_names_the_catalogue(
    api: str, part: str, body: str
) -> None:
    with (
        search_proxy(api, {part: Fault("answer", body=body)}) as url,
        pytest.raises(ConnectionError, match=rf"search for 'GFM' in {url} failed.*JSON"),
    ):
        search(url)


def test_an_item_that_is_none_is_named(api: str) -> None:
    without = item("gfm", "http://127.0.0.1:9", "frame 4")
    without["properties"]["datetime"] = None
    body = json.dumps({"type": "FeatureCollection", "features": [without]})
    with (
        search_proxy(api, {"/search": Fault("answer", body=body)}) as url,
        pytest.raises(ConnectionError, match=rf"{url} failed.*'{without['id']}'.*datetime"),
    ):
        search(url)


@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_a_search_that_leads_to_a_file_is_refused(who: str, api: str) -> None:
    said = requests.get(api, timeout=AT_MOST).json()
    for link in said["links"]:
        if link["rel"] == "search":
            link["href"] = "file:///etc/passwd"
    with search_proxy(api, {"/": Fault("answer", body=json.dumps(said))}) as url:
        catalog = asked_by(who, url)
        with pytest.raises(ConnectionError, match="leads to 'file:.*which is no address"):
            search(catalog)
