"""Searches that would end early, go around, lead elsewhere or be refused: what is said of them."""

import json
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from odc.geo.geobox import GeoBox
from pystac_client import Client

import xfusion as xf
from tests.faults.assets import DAY, NOON, item
from tests.faults.searches import IDS, asked_by, search, stats
from tests.faulty import Fault
from tests.search_proxy import search_proxy
from xfusion import stac

Answer = Callable[[str, dict[str, Any]], Any]


@contextmanager
def an_api(answer: Answer, method: str = "POST") -> Iterator[tuple[str, list[Any]]]:
    """A STAC API whose searches a function answers, from its own address and the request."""
    asked: list[Any] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = f"http://127.0.0.1:{self.connection.getsockname()[1]}"
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.startswith("/search"):
                asked.append(json.loads(body) if body else self.path)
                content = answer(url, asked[-1] if body else {"path": self.path})
            else:
                content = landing(url, method)
            said = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/geo+json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET  # noqa: N815  # as http.server asks for it

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def landing(url: str, method: str) -> dict[str, Any]:
    links = [{"rel": "root", "href": url}, {"rel": "self", "href": url}]
    media_type = "application/geo+json"
    links += [{"rel": "search", "href": f"{url}/search", "method": method, "type": media_type}]
    core = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
    known = {"type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "an API"}
    return known | {"links": links, "conformsTo": core}


def page(names: list[str], **fields: Any) -> dict[str, Any]:
    features = [item("gfm", "http://127.0.0.1:9", name) for name in names]
    return {"type": "FeatureCollection", "features": features, "links": [], **fields}


def next_link(url: str, method: str = "POST", **fields: Any) -> list[dict[str, Any]]:
    return [{"rel": "next", "href": f"{url}/search", "method": method, **fields}]


@pytest.mark.parametrize("who", ["ours", "theirs"])
@pytest.mark.parametrize("said", [{"numberMatched": 12}, {"context": {"matched": 12}}])
def test_more_items_promised_than_given_is_a_warning_with_both_numbers(
    who: str, said: dict[str, Any]
) -> None:
    with an_api(lambda *_: page(IDS, **said)) as (url, _):
        catalog = asked_by(who, url)
        with pytest.warns(UserWarning, match=rf"{url} says that it has 12 .*gave 3 .*items=") as w:
            assert search(catalog) == IDS
        said_of = {Path(each.filename).name for each in w if "says that" in str(each.message)}
        assert said_of == {"searches.py"}


def test_the_same_item_again_is_not_another() -> None:
    with (
        an_api(lambda *_: page([*IDS, IDS[0]], numberMatched=4)) as (url, _),
        pytest.warns(UserWarning, match="has 4 items.*gave 3"),
    ):
        search(url)


@pytest.mark.parametrize("said", [3, 2, 0, None, "12", 12.5, True, [12], -1])
def test_what_was_promised_and_given_or_is_no_number_is_no_warning(said: Any) -> None:
    with an_api(lambda *_: page(IDS, numberMatched=said)) as (url, _), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert search(url) == IDS


def test_pages_that_keep_what_they_promise_are_no_warning() -> None:
    def two_pages(url: str, asked: dict[str, Any]) -> Any:
        if "token" in asked:
            return page(IDS[2:], numberMatched=3)
        return page(IDS[:2], numberMatched=3, links=next_link(url, body={"token": 2}, merge=True))

    with an_api(two_pages) as (url, asked), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert search(url) == IDS
    assert len(asked) == 2


def around(url: str, asked: dict[str, Any]) -> Any:
    """Page a leads to b, and b to a."""
    other = "b" if asked.get("token") != "b" else "a"
    links = next_link(url, body={"token": other}, merge=True)
    return page(IDS[:2] if other == "b" else IDS[2:], links=links)


CIRCLES: dict[str, Answer] = {
    "itself": lambda url, _: page(IDS, links=next_link(url, body={"token": 1}, merge=True)),
    "itself by GET": lambda url, _: page(IDS, links=next_link(url, "GET")),
    "around": around,
    "new tokens for ever": lambda url, asked: page(
        IDS, links=next_link(url, body={"token": asked.get("token", 0) + 1}, merge=True)
    ),
}


@pytest.mark.parametrize("who", ["ours", "theirs"])
@pytest.mark.parametrize("circle", CIRCLES)
def test_a_next_page_that_leads_to_itself_says_so(circle: str, who: str) -> None:
    """And at once, not after ten thousand items."""
    with an_api(CIRCLES[circle]) as (url, asked):
        with pytest.raises(ConnectionError, match=rf"{url} failed.*leads to itself, or around"):
            search(asked_by(who, url))
        assert len(asked) <= 3


def test_pages_that_share_items_are_no_circle() -> None:
    def shifted(url: str, asked: dict[str, Any]) -> Any:
        at = asked.get("token", 0)
        links = next_link(url, body={"token": at + 1}, merge=True) if at < 2 else []
        return page([IDS[at], *IDS[:at]], links=links)

    with an_api(shifted) as (url, _):
        assert search(url) == IDS


@pytest.mark.parametrize("who", ["ours", "theirs"])
@pytest.mark.parametrize(
    "fields",
    [
        {"href": 7},
        {"href": None},
        {"href": ["http://h"]},
        {"href": "7"},
        {"href": "http://[::1/search"},
        {"href": "http://h/\ud800"},
        {"method": 7},
        {"method": ["POST"]},
        {"body": 7},
        {"body": [1]},
        {"headers": 7},
        {"headers": ["a"]},
    ],
)
def test_a_next_link_of_another_kind_is_an_error_that_names_the_catalogue(
    who: str, fields: dict[str, Any]
) -> None:
    def led(url: str, _: dict[str, Any]) -> Any:
        (link,) = next_link(url, merge=True, body={})
        return page(IDS[:1], links=[link | fields])

    with (
        an_api(led) as (url, _),
        pytest.raises(ConnectionError, match=rf"search for 'GFM' in {url} failed.*items="),
    ):
        search(asked_by(who, url))


@pytest.mark.parametrize(
    ("status", "mend"),
    [
        (401, "401 Unauthorized: give it credentials"),
        (403, "403 Forbidden: check that your credentials"),
        (404, "404 Not Found: check its address"),
        (405, "405 Method Not Allowed"),
        (418, "418 I'm a Teapot: try again"),
    ],
)
@pytest.mark.parametrize(
    ("who", "part"), [("ours", "/"), ("ours", "/search"), ("theirs", "/search")]
)
def test_an_answer_without_a_body_is_told_by_its_status(
    api: str, who: str, part: str, status: int, mend: str
) -> None:
    with (
        search_proxy(api, {part: Fault("status", status=status)}) as url,
        pytest.raises(ConnectionError, match=rf"{url} failed, it answered {mend}") as error,
    ):
        search(asked_by(who, url))
    assert ("try again" in str(error.value)) == (status == 418)


# Across the antimeridian


def test_a_grid_across_the_antimeridian_does_not_search_the_whole_belt() -> None:
    boxes: list[list[float]] = []

    def answer(_: str, asked: dict[str, Any]) -> Any:
        boxes.append(asked["bbox"])
        return page(IDS[: len(boxes)])

    grid = GeoBox.from_bbox((3_330_000, -50_000, 3_350_000, 50_000), "EPSG:3832", shape=50)
    with an_api(answer) as (url, _):
        found = stac.search(url, grid, DAY, default=xf.stac.EODC)
    # what lies on both sides comes twice, and counts once
    assert [one.id for one in found] == IDS[:2]
    assert len(boxes) == 2
    (west, south, right, north), (left, *_, east, _) = boxes
    assert (right, left) == (180, -180)
    assert -180 <= left < east < west < right <= 180
    assert (right - west) + (east - left) < 1
    assert -1 < south < north < 1


# Times


SPANS = [
    ("2023-06-20T10:00:00Z", "2023-06-20T11:00:00Z"),
    ("2023-06-19T23:50:00Z", "2023-06-20T00:10:00Z"),
    ("2023-06-20T23:50:00Z", "2023-06-21T00:10:00Z"),
    ("2023-06-01T00:00:00Z", "2023-06-30T00:00:00Z"),
    ("2023-06-19T10:00:00Z", "2023-06-19T11:00:00Z"),
    ("2023-06-21T00:00:01Z", "2023-06-21T11:00:00Z"),
    ("2023-06-20T00:00:00Z", "2023-06-20T00:00:00Z"),
]
INTERVALS = [DAY, "2023-06-19", "2023-06-21/..", "../2023-06-19", "2023-06-20T10:30:00Z/.."]


def of_span(start: str, end: str) -> dict[str, Any]:
    one = item("gfm", "http://127.0.0.1:9", f"{start} to {end}")
    one["properties"] |= {"datetime": None, "start_datetime": start, "end_datetime": end}
    return one


@pytest.mark.parametrize("interval", INTERVALS)
def test_items_files_and_apis_agree_on_what_is_of_an_interval(
    interval: str, tmp_path: Path
) -> None:
    """An item of a span belongs to each interval that has a moment of it."""
    from xfusion.demo.server import serve

    items = [*(of_span(*span) for span in SPANS), item("gfm", "http://127.0.0.1:9", "at noon")]
    first, last = stac.day_interval(interval)
    spans = [*SPANS, (NOON, NOON)]
    lowest, highest = "0", "9"
    expected = sorted(
        one["id"]
        for one, (start, end) in zip(items, spans, strict=True)
        if (first if first != ".." else lowest) <= end
        and start <= (last if last != ".." else highest)
    )
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    assert search(path, interval) == expected
    given = stac.interval.of_interval(stac.as_items(items), interval)
    assert sorted(one.id for one in given) == expected
    with serve(path) as url:
        assert search(url, interval) == expected
        assert search(Client.open(url), interval) == expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"start_datetime": 7, "end_datetime": NOON}, "item 'one'.*correct"),
        ({"start_datetime": "no date", "end_datetime": NOON}, "item 'one'.*correct"),
        ({"start_datetime": [NOON], "end_datetime": NOON}, "item 'one'.*correct"),
        ({"start_datetime": NOON, "end_datetime": None}, "item 'one'.*both start_datetime and"),
        ({"start_datetime": None, "end_datetime": None}, "item 'one'.*both start_datetime and"),
        (
            {"start_datetime": NOON, "end_datetime": "2023-06-19T00:00:00Z"},
            "'one' starts at .*ends",
        ),
    ],
)
def test_times_that_are_none_name_the_item(fields: dict[str, Any], said: str) -> None:
    one = item("gfm", "http://127.0.0.1:9")
    one["properties"] |= {"datetime": None, **fields}
    with pytest.raises(ValueError, match=said):
        stac.interval.of_interval(stac.as_items([one]), DAY)


# Inwards


@pytest.mark.usefixtures("loopback_is_the_internet")
@pytest.mark.parametrize("part", ["/", "/search"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_public_catalogue_does_not_redirect_us_inwards(
    api: str, part: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with search_proxy(api) as inside, search_proxy(api) as outside:
        assert search(outside) == IDS
        target = inside.replace("127.0.0.1", "127.0.0.2")
        assert stats(inside)["requests"] == 0
    fault = Fault("redirect", status=status, location=f"{target}{part}?key=S3CRET")
    with (
        search_proxy(api, {part: fault}) as url,
        pytest.raises(ConnectionError, match=rf"{url} failed.*is on this machine.*Client") as error,
    ):
        search(url)
    assert "S3CRET" not in str(error.value)


@pytest.mark.usefixtures("loopback_is_the_internet")
def test_a_redirect_outside_is_followed(api: str) -> None:
    with (
        search_proxy(api) as there,
        search_proxy(api, {"/": Fault("redirect", location=f"{there}/")}) as url,
    ):
        assert search(url) == IDS


@pytest.mark.usefixtures("loopback_is_the_internet")
@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_a_public_catalogue_does_not_lead_us_inwards_by_its_next_page(who: str) -> None:
    def led(url: str, _: dict[str, Any]) -> Any:
        inside = url.replace("127.0.0.1", "127.0.0.2")
        return page(IDS[:1], links=next_link(inside, body={"token": 1}, merge=True))

    with an_api(led) as (url, asked):
        with pytest.raises(ConnectionError, match="is on this machine"):
            search(asked_by(who, url))
        assert len(asked) == 1
