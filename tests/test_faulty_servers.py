"""The servers of other tests misbehave as they are told, and well otherwise."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse, IncompleteRead, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import rasterio
import requests
from pystac_client import Client
from pystac_client.exceptions import APIError
from rasterio.errors import RasterioIOError

from tests.asset_server import serve_folder
from tests.faulty import Fault
from tests.search_proxy import search_proxy
from xfusion.demo import serve
from xfusion.raster.deadline import within

PIXELS = np.random.default_rng(0).integers(1, 2**15, (512, 512)).astype("uint16")
HEADER = 2**15  # GDAL opens a file with its first 16 KiB
TILE = ((256, 512), (256, 512))
TEXT = b"0123456789" * 10
PATIENT = 30  # seconds: a machine that is busy answers in the end


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    (folder / "text").write_bytes(TEXT)
    (folder / "other").write_bytes(b"other")
    with rasterio.open(
        folder / "cog.tif",
        "w",
        driver="COG",
        dtype="uint16",
        count=1,
        width=512,
        height=512,
        crs="EPSG:32634",
        transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
        blocksize=256,
        overviews="NONE",
    ) as file:
        file.write(PIXELS, 1)
    return folder


def ask(url: str, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENT)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def stats(url: str) -> dict[str, Any]:
    counts: dict[str, Any] = json.loads(ask(url, "/__stats__").read())
    return counts


def read_tile(url: str, **options: str) -> np.ndarray:
    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", **options),
        rasterio.open(f"{url}/cog.tif") as file,
    ):
        pixels: np.ndarray = file.read(1, window=TILE)
        return pixels


# The asset server


def test_a_status_with_headers_so_many_times(folder: Path) -> None:
    fault = Fault("status", status=429, headers={"Retry-After": "1"}, times=2)
    with serve_folder(folder, {"/t*": fault}) as url:
        answers = [ask(url, "/text", method) for method in ("HEAD", "GET", "GET")]
        assert [a.status for a in answers] == [429, 429, 200]
        assert [a.headers["Retry-After"] for a in answers] == ["1", "1", None]
        assert answers[-1].read() == TEXT
        assert ask(url, "/other").read() == b"other"
        assert stats(url) == {
            "requests": 4,
            "ranges": 0,
            "bytes": len(TEXT) + len(b"other"),
            "faults": 2,
            "methods": {"HEAD": 1, "GET": 3},
            "paths": {"/text": 3, "/other": 1},
        }


def test_the_first_fault_that_is_due(folder: Path) -> None:
    faults = {
        "/text": Fault("status", status=500, times=1),
        "/other": Fault("none"),
        "/*": Fault("status"),
    }
    with serve_folder(folder, faults) as url:
        assert [ask(url, "/text").status for _ in range(2)] == [500, 503]
        assert ask(url, "/other").status == 200
        assert ask(url, "/missing").status == 503


@pytest.mark.parametrize(
    ("kind", "error"), [("close", IncompleteRead), ("reset", ConnectionResetError)]
)
def test_a_connection_breaks_within_the_body(
    folder: Path, kind: Any, error: type[Exception]
) -> None:
    with serve_folder(folder, {"/text": Fault(kind, part=0.3, times=1)}) as url:
        answer = ask(url, "/text")
        assert (answer.status, answer.headers["Content-Length"]) == (200, "100")
        with pytest.raises(error):
            answer.read()
        assert ask(url, "/text").read() == TEXT


@pytest.mark.parametrize(
    ("kind", "error"), [("close", RemoteDisconnected), ("reset", ConnectionResetError)]
)
def test_a_connection_breaks_before_the_headers(
    folder: Path, kind: Any, error: type[Exception]
) -> None:
    with serve_folder(folder, {"/text": Fault(kind, part=None)}) as url, pytest.raises(error):
        ask(url, "/text")


def test_a_truncated_file_is_shorter(folder: Path) -> None:
    with serve_folder(folder, {"/text": Fault("truncate", part=0.2)}) as url:
        assert ask(url, "/text", "HEAD").headers["Content-Length"] == "20"
        assert ask(url, "/text").read() == TEXT[:20]
        part = ask(url, "/text", Range="bytes=15-30")
        assert part.headers["Content-Range"] == "bytes 15-19/20"
        assert part.read() == TEXT[15:20]
        assert ask(url, "/text", Range="bytes=20-30").status == 416


def test_a_stall_is_a_pause_that_ends_with_the_server(folder: Path) -> None:
    faults = {
        "/text": Fault("stall", seconds=0.2),
        "/other": Fault("stall", part=None, seconds=3600),
    }
    with ExitStack() as stack:
        url = stack.enter_context(serve_folder(folder, faults))
        answer = ask(url, "/text")
        assert answer.read(50) == TEXT[:50]
        before = time.monotonic()
        assert answer.read() == TEXT[50:]
        assert time.monotonic() - before > 0.1
        connection = HTTPConnection(urlsplit(url).netloc, timeout=0.1)
        connection.request("GET", "/other")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        within(PATIENT, stack.close)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect(folder: Path, status: int) -> None:
    with serve_folder(
        folder, {"/text": Fault("redirect", status=status, location="/other")}
    ) as url:
        answer = requests.get(f"{url}/text", timeout=PATIENT)
    assert answer.content == b"other"
    assert [r.status_code for r in answer.history] == [status]


def test_a_page_of_html_in_place_of_the_file(folder: Path) -> None:
    with serve_folder(folder, {"/cog.tif": Fault("wrong")}) as url:
        answer = ask(url, "/cog.tif", Range="bytes=0-9")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html")
        assert answer.read().startswith(b"<!DOCTYPE html>")
        with pytest.raises(RasterioIOError, match="not recognized"):
            read_tile(url)


def test_bytes_are_garbled_from_one_on(folder: Path) -> None:
    with serve_folder(folder, {"/text": Fault("garble", after=60)}) as url:
        assert ask(url, "/text", "HEAD").headers["Content-Length"] == "100"
        assert ask(url, "/text", Range="bytes=0-59").read() == TEXT[:60]
        body = ask(url, "/text").read()
        assert body[:60] == TEXT[:60]
        assert body[60:] != TEXT[60:]
        assert ask(url, "/text", Range="bytes=50-79").read() == body[50:80]


def test_only_ranges_that_reach_beyond_a_byte(folder: Path) -> None:
    with serve_folder(folder, {"/text": Fault("status", after=50)}) as url:
        ranges = ["bytes=0-49", "bytes=0-50", "bytes=80-", "bytes=-2"]
        answers = [ask(url, "/text", Range=r).status for r in ranges]
        assert answers == [206, 503, 503, 503]
        assert ask(url, "/text").status == 503
        assert ask(url, "/text", "HEAD").status == 200


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", after=HEADER, times=1),
        Fault("reset", after=HEADER, times=1, part=None),
        Fault("redirect", after=HEADER, location="/moved/../cog.tif", times=1),
    ],
    ids=lambda fault: fault.kind,
)
def test_gdal_gets_over_it(folder: Path, fault: Fault) -> None:
    with serve_folder(folder, {"/cog.tif": fault}) as url:
        pixels = read_tile(url, GDAL_HTTP_MAX_RETRY="1", GDAL_HTTP_RETRY_DELAY="0.1")
        assert stats(url)["faults"] == 1
    np.testing.assert_array_equal(pixels, PIXELS[256:, 256:])


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", after=HEADER),
        Fault("reset", after=HEADER, part=0.3),
        Fault("close", after=HEADER, part=0.3),
        Fault("stall", after=HEADER),
        Fault("truncate"),
        Fault("garble", after=HEADER),
        Fault("wrong", after=HEADER),
        Fault("redirect", after=HEADER, location="file:///etc/passwd"),
    ],
    ids=lambda fault: fault.kind,
)
def test_gdal_opens_the_file_but_cannot_read_its_pixels(folder: Path, fault: Fault) -> None:
    with serve_folder(folder, {"/cog.tif": fault}) as url:
        with pytest.raises(RasterioIOError, match="Read failed"):
            read_tile(url, GDAL_HTTP_TIMEOUT="1")
        assert stats(url)["faults"] > 0


# The proxy of a STAC API


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real one, of three items."""
    items = tmp_path_factory.mktemp("api") / "items.json"
    features = [
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": f"item {day}",
            "collection": "GFM",
            "bbox": [20, 40, 21, 41],
            "geometry": {"type": "Point", "coordinates": [20.5, 40.5]},
            "properties": {"datetime": f"2023-06-0{day}T00:00:00Z"},
            "links": [],
            "assets": {},
        }
        for day in (1, 2, 3)
    ]
    items.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with serve(items) as url:
        yield url


def found(url: str, method: str = "POST") -> int:
    # rustac fails to link a second page to a GET search of collections
    collections = ["GFM"] if method == "POST" else None
    search = Client.open(url).search(method=method, limit=1, collections=collections)
    return len(list(search.items()))


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_all_pages_come_through_the_proxy(api: str, method: str) -> None:
    with search_proxy(api) as url:
        assert found(url, method) == 3
        links = requests.get(url, timeout=PATIENT).json()["links"]
        assert all(link["href"].startswith(f"{url}/") for link in links)
        counts = stats(url)
        assert counts["paths"]["/search"] == 3
        assert counts["methods"].get("POST", 0) == (3 if method == "POST" else 0)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_later_page_fails_so_many_times(api: str, method: str) -> None:
    fault = Fault("status", status=500, after=1, times=1)
    with search_proxy(api, {"/search": fault}) as url:
        with pytest.raises(APIError):
            found(url, method)
        assert stats(url)["paths"]["/search"] == 2
        assert found(url, method) == 3


def test_the_third_page_fails(api: str) -> None:
    with search_proxy(api, {"/search": Fault("status", after=2)}) as url:
        with pytest.raises(APIError):
            found(url)
        assert stats(url)["paths"]["/search"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 503])
def test_pystac_client_waits_to_get_but_not_to_post(api: str, status: int) -> None:
    fault = Fault("status", status=status, headers={"Retry-After": "1"}, times=1)
    with search_proxy(api, {"/search": fault}) as url:
        before = time.monotonic()
        assert found(url, "GET") == 3
        assert time.monotonic() - before > 1
    with search_proxy(api, {"/search": fault}) as url:
        with pytest.raises(APIError):
            found(url)
        assert stats(url)["faults"] == 1


@pytest.mark.parametrize("kind", ["close", "reset", "wrong", "truncate"])
def test_a_search_is_answered_with_rubbish(api: str, kind: Any) -> None:
    with search_proxy(api, {"/search": Fault(kind)}) as url:
        with pytest.raises((APIError, ValueError)):
            found(url)
        assert stats(url)["faults"] == 1


def test_a_search_stalls(api: str) -> None:
    with search_proxy(api, {"/search": Fault("stall", part=None)}) as url:
        client = Client.open(url, timeout=PATIENT)
        reader: Any = client._stac_io
        reader.timeout = 0.2
        with pytest.raises(APIError, match="timed out"):
            list(client.search(collections=["GFM"]).items())


def test_pages_are_known_by_links_that_carry_a_token_or_merge_bodies() -> None:
    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            href = f"{upstream}/search"
            link = {"rel": "next", "href": href, "method": "POST", "merge": True}
            link["body"] = {"token": "next:a"}
            body = json.dumps({"features": [], "links": [link]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/geo+json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        upstream = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with search_proxy(upstream, {"/search": Fault("status", after=1)}) as url:
            bodies = [{"limit": 1}, {"limit": 2}, {"token": "next:a", "limit": 1}]
            answers = [
                requests.post(f"{url}/search", json=body, timeout=PATIENT) for body in bodies
            ]
        server.shutdown()
    assert [answer.status_code for answer in answers] == [200, 200, 503]
    assert answers[0].json()["links"][0]["href"] == f"{url}/search"


def test_an_api_that_is_gone_is_a_bad_gateway(api: str) -> None:
    with search_proxy("http://127.0.0.1:9") as url:
        assert requests.get(f"{url}/search", timeout=PATIENT).status_code == 502


def test_servers_stop_with_their_context(folder: Path, api: str) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with serve_folder(folder) as assets, search_proxy(api) as proxy:
        assert len(psutil.Process().children()) == len(before) + 2
    assert {child.pid for child in psutil.Process().children()} == before
    for url in (assets, proxy):
        with pytest.raises(ConnectionRefusedError):
            ask(url, "/")
