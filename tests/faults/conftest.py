"""Servers of this folder's tests, and how little they wait."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.asset_server import serve_folder
from tests.faults.assets import ALL, FAULTY, KEYS, Served, item, mask_of, write_layers
from tests.faults.searches import IDS
from xfusion.demo.server import serve
from xfusion.raster import patience as web
from xfusion.stac import api as api_search
from xfusion.stac import bounds, network


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("faults")
    write_layers(folder / "well")
    faults = {}
    for (name, fault), file in itertools.product(ALL.items(), FAULTY.values()):
        there = dataclasses.replace(fault, location=fault.location.replace("{file}", file))
        faults[f"/{name.replace(' ', '_')}-*/{file}"] = there
    with serve_folder(folder, faults) as url:
        for sensor in KEYS:  # kernels are compiled before anything is timed
            mask_of(sensor, item(sensor, f"{url}/well"))
        yield Served(url, folder)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause to speak of; time-outs that no server meets that answers, on a busy machine too."""
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "10")
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    monkeypatch.setattr(web, "ATTEMPT_DELAY", 0.01)
    web.WAITS.forget()
    monkeypatch.setattr(bounds, "DELAY", 0.01)


@pytest.fixture
def impatient(hurried: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs of a second: for servers that do not answer."""
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")


@pytest.fixture(params=["s2", "gfm"])
def sensor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[None, 160], ids=["eager", "lazy"])
def chunks(request: pytest.FixtureRequest) -> int | None:
    return request.param  # type: ignore[no-any-return]  # a number or None


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("api") / "items.json"
    items = [item("gfm", "http://127.0.0.1:9", name) for name in IDS]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with serve(path) as url:
        yield url


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_search, "PAGE_SIZE", 1)


@pytest.fixture
def loopback_is_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1, for who looks, as no test may ask the internet; others are what they are."""
    of_address = network._network_of_address

    def pretended(address: Any) -> Any:
        return "the internet" if str(address) == "127.0.0.1" else of_address(address)

    monkeypatch.setattr(network, "_network_of_address", pretended)
    monkeypatch.setattr(network, "is_on_loopback", lambda _: False)
