"""The STAC server in front of the synthetic scene: what it finds, and that it ends."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from pystac_client import Client

from xfusion.demo import server
from xfusion.demo.scene import Scene
from xfusion.demo.server import serve

BBOX = [17.95, 47.72, 18.05, 47.78]


def found(url: str, collection: str, day: str, bbox: list[float] | None = None) -> set[str]:
    search = Client.open(url).search(collections=[collection], datetime=day, bbox=bbox or BBOX)
    return {item.id for item in search.items()}


def listens(url: str) -> bool:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/")
    except OSError:
        return False
    finally:
        connection.close()
    return True


def falls_silent(url: str) -> bool:
    deadline = time.monotonic() + 60
    while listens(url) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not listens(url)


@pytest.fixture(scope="module")
def url(scene: Scene) -> Iterator[str]:
    with serve(scene.items) as address:
        yield address


def test_one_day_finds_that_day_only(url: str) -> None:
    assert found(url, "sentinel-2-l2a", "2023-06-20") == {"S2B_34TBT_20230620_0_L2A"}
    assert found(url, "GFM", "2023-06-20") == {
        "ENSEMBLE_FLOOD_20230620T164500_VV_EU020M_E051N015T3",
        "ENSEMBLE_FLOOD_20230620T164525_VV_EU020M_E051N015T3",
    }


def test_two_days_find_the_next_day_as_well(url: str) -> None:
    assert len(found(url, "sentinel-2-l2a", "2023-06-20/2023-06-21")) == 2
    assert len(found(url, "GFM", "2023-06-20/2023-06-21")) == 3


def test_search_elsewhere_finds_nothing(url: str) -> None:
    assert found(url, "GFM", "2023-06-20", [10.0, 40.0, 10.1, 40.1]) == set()


def test_two_servers_at_once_do_not_meet(scene: Scene, url: str) -> None:
    with serve(scene.items) as other:
        assert other != url
        assert found(other, "GFM", "2023-06-20") == found(url, "GFM", "2023-06-20")
    assert falls_silent(other)
    assert listens(url)


def test_server_stops_when_the_body_raises(scene: Scene) -> None:
    addresses = []

    def interrupted() -> None:
        with serve(scene.items) as address:
            addresses.append(address)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not listens(*addresses)


def test_server_on_a_port_that_was_taken_meanwhile_is_not_ours(
    scene: Scene, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_port = server._free_port
    ports = [int(url.rpartition(":")[2]), free_port()]
    monkeypatch.setattr(server, "_free_port", lambda: ports.pop(0))
    with serve(scene.items) as other:
        assert other != url
    assert ports == []
    assert listens(url)


HOLD = """
import os, sys, time
from xfusion.demo.server import serve
with serve(sys.argv[1]) as url:
    child = os.fork() if sys.argv[2] == "fork" else 0
    if sys.argv[2] == "alone" or child:
        print(url, child, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("ending", "company"),
    [
        pytest.param(signal.SIGKILL, "alone", id="killed"),
        pytest.param(signal.SIGTERM, "alone", id="terminated"),
        pytest.param(signal.SIGKILL, "fork", id="killed-while-a-forked-child-lives-on"),
    ],
)
def test_server_dies_with_its_parent(
    scene: Scene, ending: signal.Signals, company: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(scene.items), company],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        address, child = parent.stdout.readline().split()
        try:
            assert listens(address)
            parent.send_signal(ending)
            parent.wait(60)
            assert falls_silent(address)
        finally:
            parent.kill()
            if int(child):
                os.kill(int(child), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while any(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def fake_rustac(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "rustac"
    (folder / "fake.py").write_text(textwrap.dedent(body))
    # started by a shell: the path of Python may have a blank, a first line of a script may not
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder / "fake.py"}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(server, "_rustac", lambda: str(program))


def test_failure_to_start_quotes_the_last_words_of_the_server(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_rustac(tmp_path, "import sys; sys.exit('the disk is on fire')", monkeypatch)
    with pytest.raises(RuntimeError, match="the disk is on fire"), serve(scene.items):
        pass


@pytest.mark.slow
def test_server_that_never_answers_is_given_up_and_stopped(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    fake_rustac(
        tmp_path,
        f"""
        import os, time
        open({str(pid)!r}, "w").write(str(os.getpid()))
        time.sleep(60)
        """,
        monkeypatch,
    )
    with (
        pytest.raises(RuntimeError, match="did not answer within 1 s"),
        serve(scene.items, timeout=1),
    ):
        pass
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_missing_rustac_names_the_extra(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match=r"xfusion\[demo\]"), serve(scene.items):
        pass


@pytest.mark.parametrize(
    ("features", "complaint"),
    [([], "no items"), ([{"id": "orphan"}], "'orphan' names no collection")],
)
def test_items_that_no_search_could_find_are_refused(
    features: list[dict[str, Any]], complaint: str, tmp_path: Path
) -> None:
    items = tmp_path / "items.json"
    items.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.raises(ValueError, match=complaint), serve(items):
        pass
