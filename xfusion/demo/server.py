"""The example scene behind a real STAC API, by a server that never outlives its user.

The server is ``rustac serve``, which the extra ``demo`` brings.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

PORT_ATTEMPTS = 5

# Its stdin is a pipe from our process. A byte means stop, and so does its end, which comes even
# with SIGKILL. A process that we forked may hold the pipe open after us, hence the look at the
# parent.
SUPERVISOR = """
import os, shutil, signal, subprocess, sys, threading
parent, folder, *command = sys.argv[1:]
deserted = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: deserted.set())
def watch():
    os.read(0, 1)
    deserted.set()
threading.Thread(target=watch, daemon=True).start()
try:
    server = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL)
    while server.poll() is None and os.getppid() == int(parent) and not deserted.wait(0.1):
        pass
    server.kill()
    server.wait()
finally:
    shutil.rmtree(folder, ignore_errors=True)
    sys.stderr.flush()
    os._exit(0)
"""


@contextmanager
def serve(items: Path | str, *, timeout: float = 30.0) -> Iterator[str]:
    """Serve STAC items with ``rustac serve`` on a free loopback port.

    The server stops when the context ends, however it ends, and when this process dies, however it
    dies.

    Parameters
    ----------
    items
        A FeatureCollection of STAC items that name their collections and have absolute hrefs.
    timeout
        Seconds until the server must answer a search.

    Yields
    ------
    str
        The address of the API, for `pystac_client.Client.open`.

    Raises
    ------
    ModuleNotFoundError
        If rustac is not installed.
    ValueError
        If an item names no collection, or there is none at all.
    RuntimeError
        If the server does not start or does not answer in time; its last words are quoted.

    Examples
    --------
    >>> from pystac_client import Client
    >>> from xfusion.demo.scene import write_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = write_scene(folder, size=0.2)
    ...     with serve(scene.items) as url:
    ...         sorted(collection.id for collection in Client.open(url).get_collections())
    ['GFM', 'sentinel-2-l2a']
    """
    binary = _rustac()
    catalogue = json.loads(Path(items).read_text())
    token = uuid4().hex
    collections = _collections(catalogue["features"], token)
    deadline = time.monotonic() + timeout
    for _ in range(PORT_ATTEMPTS):
        with tempfile.TemporaryFile() as log:
            port = _free_port()
            supervisor = _start(binary, port, [catalogue, *collections], log)
            try:
                while supervisor.poll() is None and time.monotonic() < deadline:
                    if _answers(port, collections, token):
                        yield f"http://127.0.0.1:{port}"
                        return
                    time.sleep(0.02)
            finally:
                supervisor.communicate(b"stop")
            log.seek(0)
            last_words = log.read().decode(errors="replace")[-2000:].strip()
        if time.monotonic() >= deadline:
            message = f"{binary} did not answer within {timeout:g} s: {last_words}"
            raise RuntimeError(message)
    message = f"{binary} stopped at once, {PORT_ATTEMPTS} times: {last_words}"
    raise RuntimeError(message)


def _rustac() -> str:
    # The environment that runs us may not be activated, and another one's rustac may be on PATH.
    beside_python = str(Path(sys.executable).parent)
    binary = shutil.which("rustac", path=beside_python) or shutil.which("rustac")
    if binary is None:
        message = 'rustac is not installed: pip install "xfusion[demo]"'
        raise ModuleNotFoundError(message, name="rustac")
    return binary


def _collections(features: list[dict[str, Any]], token: str) -> list[dict[str, Any]]:
    """Describe the collections of the items, marked with a token that tells our server's apart."""
    members: dict[str, list[dict[str, Any]]] = {}
    for feature in features:
        if not feature.get("collection"):
            message = f"item {feature.get('id')!r} names no collection"
            raise ValueError(message)
        members.setdefault(feature["collection"], []).append(feature)
    if not members:
        message = "there are no items to serve"
        raise ValueError(message)
    collections = []
    for name, group in members.items():
        west, south, east, north = zip(*(feature["bbox"] for feature in group), strict=True)
        # of a span, when it begins and when it ends
        times = [
            feature["properties"][name]
            for feature in group
            for name in ("datetime", "start_datetime", "end_datetime")
            if feature["properties"].get(name) is not None
        ]
        collections.append(
            {
                "type": "Collection",
                "stac_version": "1.0.0",
                "id": name,
                "description": f"Synthetic items in the manner of {name}",
                "keywords": [token],
                "license": "other",
                "extent": {
                    "spatial": {"bbox": [[min(west), min(south), max(east), max(north)]]},
                    "temporal": {"interval": [[min(times), max(times)]]},
                },
                "links": [],
            }
        )
    return collections


def _free_port() -> int:
    """Find a port that is free now. Another process may take it first: the caller tries again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(
    binary: str, port: int, documents: list[dict[str, Any]], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start the server under a supervisor, which stops it on a word from us or without us."""
    folder = Path(tempfile.mkdtemp(prefix="xfusion-serve-"))
    # Plain names in the server's own folder: rustac would take some characters of a path for a URL.
    names = [f"{index}.json" for index in range(len(documents))]
    try:
        for name, document in zip(names, documents, strict=True):
            (folder / name).write_text(json.dumps(document))
        command = [binary, "serve", "--addr", f"127.0.0.1:{port}", *names]
        return subprocess.Popen(  # noqa: S603  # the user's own rustac, without a shell
            [sys.executable, "-I", "-S", "-c", SUPERVISOR, str(os.getpid()), folder, *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            # Ctrl-C in the terminal is for us alone: we still need the server to wind up.
            start_new_session=True,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _answers(port: int, collections: list[dict[str, Any]], token: str) -> bool:
    """Tell whether the server at the port is ours, and finds items of every collection."""
    served = _get(port, "/collections").get("collections", [])
    ours = {collection["id"] for collection in served if token in collection.get("keywords", [])}
    return ours == {collection["id"] for collection in collections} and all(
        _get(port, f"/collections/{name}/items?limit=1").get("features") for name in ours
    )


def _get(port: int, path: str) -> dict[str, Any]:
    # Not urllib, which would ask the proxy of the environment for our loopback address.
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else {}
