"""A Chromium without a network, driven by chromedriver over HTTP as the WebDriver standard says."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",  # a container runs tests as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


class Browser:
    """A session of chromedriver."""

    def __init__(self, port: int, profile: Path) -> None:
        self._port, self._session = port, ""
        options = {
            "binary": shutil.which("chromium"),
            "args": [*FLAGS, f"--user-data-dir={profile}"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        found = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{found['sessionId']}"

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{self._session}{path}",
            None if body is None else json.dumps(body).encode(),
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # chromedriver on this machine
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def open(
        self, page: Path, *, width: int = 1280, height: int = 1000, mobile: bool = False
    ) -> None:
        """Open a page, and wait until its maps are drawn."""
        self.logs("browser")
        self.logs("performance")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.devtools("Emulation.setDeviceMetricsOverride", **metrics)
        self._ask("POST", "/url", {"url": page.as_uri()})
        self.wait_for("return document.getElementById('panels').dataset.ready === 'yes'")
        self.settle()

    def run(self, script: str, *arguments: object) -> Any:
        """Return what a script in the page returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": arguments})

    def settle(self) -> None:
        """Wait until the page has drawn what it was asked to."""
        script = "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0](1)))"
        self._ask("POST", "/execute/async", {"script": script, "args": []})

    def wait_for(self, script: str) -> None:
        """Wait until a script in the page returns something true."""
        for _ in range(600):
            if self.run(script):
                return
            time.sleep(0.05)
        message = f"it never came true: {script}"
        raise AssertionError(message)

    def devtools(self, command: str, **parameters: object) -> Any:
        """Send a command of the developer tools."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def perform(self, *sources: dict[str, Any]) -> None:
        """Let pointers, keys or a wheel do something."""
        self._ask("POST", "/actions", {"actions": sources})
        self._ask("DELETE", "/actions")
        self.settle()

    def move_to(self, x: float, y: float) -> None:
        """Move the mouse to a place in the window."""
        self.perform(mouse(at(x, y)))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at a place, and let it go at another."""
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        self.perform(
            mouse(at(*start), {"type": "pointerDown", "button": 0}, at(*middle), at(*end), up())
        )

    def turn_wheel(self, x: float, y: float, by: int) -> None:
        """Turn the wheel of the mouse at a place."""
        turn = {"type": "scroll", "x": round(x), "y": round(y), "deltaX": 0, "deltaY": by}
        self.perform({"type": "wheel", "id": "wheel", "actions": [turn]})

    def press(self, *keys: str) -> None:
        """Press keys one after the other; the first of several in one word is held down."""
        for key in keys:
            down = [{"type": "keyDown", "value": letter} for letter in key]
            ups = [{"type": "keyUp", "value": letter} for letter in reversed(key)]
            self.perform({"type": "key", "id": "keys", "actions": [*down, *ups]})

    def logs(self, kind: str) -> list[dict[str, Any]]:
        """Return what was logged since the last time."""
        entries: list[dict[str, Any]] = self._ask("POST", "/se/log", {"type": kind})
        return entries

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last time."""
        events = [json.loads(entry["message"])["message"] for entry in self.logs("performance")]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in sent]

    def picture(self) -> bytes:
        """Return the window as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def printed(self) -> bytes:
        """Return the page as PDF."""
        return base64.b64decode(self._ask("POST", "/print", {}))

    def close(self) -> None:
        """End the session, and the browser with it."""
        self._ask("DELETE", "")


def at(x: float, y: float) -> dict[str, Any]:
    """Return the move of a pointer to a place in the window."""
    return {
        "type": "pointerMove",
        "x": round(x),
        "y": round(y),
        "origin": "viewport",
        "duration": 0,
    }


def up() -> dict[str, Any]:
    """Return that a pointer lets go."""
    return {"type": "pointerUp", "button": 0}


def mouse(*actions: dict[str, Any]) -> dict[str, Any]:
    """Return what the mouse does."""
    return {
        "type": "pointer",
        "id": "mouse",
        "parameters": {"pointerType": "mouse"},
        "actions": actions,
    }


def finger(name: str, *actions: dict[str, Any]) -> dict[str, Any]:
    """Return what a finger does."""
    return {
        "type": "pointer",
        "id": name,
        "parameters": {"pointerType": "touch"},
        "actions": actions,
    }


@contextmanager
def browser_in(folder: Path) -> Iterator[Browser]:
    """Start chromedriver and a browser; without them skip, but in CI fail."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        reason = f"the Debian packages chromium and chromium-driver have it: {missing}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(shutil.which("chromedriver")), f"--port={port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        try:
            _wait_for(port)
            browser = Browser(port, folder)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            driver.terminate()


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    message = "chromedriver does not answer"
    raise AssertionError(message)
