"""The server of files: parts of them, and what is not there."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.asset_server import serve_folder
from tests.conftest import SIZE_OF_SCENE
from tests.test_scene import asset, items_of
from xfusion.demo.scene import write_scene


@pytest.fixture
def assets(tmp_path: Path) -> Iterator[str]:
    served = tmp_path / "served"
    served.mkdir()
    (served / "ten bytes").write_bytes(b"0123456789")
    (tmp_path / "secret").write_bytes(b"outside")
    with serve_folder(served) as address:
        yield address


def ask(url: str, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, str | None]:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=5)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    answer = response.status, response.read(), response.headers["Content-Range"]
    connection.close()
    return answer


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("bytes=2-4", (206, b"234", "bytes 2-4/10")),
        ("bytes=7-", (206, b"789", "bytes 7-9/10")),
        ("bytes=7-99", (206, b"789", "bytes 7-9/10")),
        ("bytes=-2", (206, b"89", "bytes 8-9/10")),
        ("bytes=10-", (416, b"", "bytes */10")),
        ("bytes=-0", (416, b"", "bytes */10")),
        ("bytes=4-2", (200, b"0123456789", None)),
        ("bytes=0-1,4-5", (200, b"0123456789", None)),
        ("lines=0-1", (200, b"0123456789", None)),
    ],
)
def test_range_requests(assets: str, header: str, answer: tuple[int, bytes, str | None]) -> None:
    assert ask(assets, "/ten%20bytes", Range=header) == answer


def test_head_sends_no_body_and_what_is_not_in_the_folder_is_not_found(assets: str) -> None:
    assert ask(assets, "/ten%20bytes", "HEAD") == (200, b"", None)
    assert ask(assets, "/missing")[0] == 404
    assert ask(assets, "/../secret")[0] == 404
    assert ask(assets, "/%2e%2e/secret")[0] == 404


def test_gdal_reads_a_window_with_range_requests(tmp_path: Path) -> None:
    with serve_folder(tmp_path) as address:
        scene = write_scene(tmp_path, size=SIZE_OF_SCENE, asset_root=address)
        href = items_of(scene)["S2B_34TBT_20230620_0_L2A"]["assets"]["red"]["href"]
        with rasterio.open(href) as file:
            window = file.read(1, window=((0, 16), (0, 16)))
        stats = json.loads(ask(address, "/__stats__")[1])
    np.testing.assert_array_equal(window, asset(scene, "S2B", "red").pixels[:16, :16])
    assert stats["requests"] >= stats["ranges"] > 0
