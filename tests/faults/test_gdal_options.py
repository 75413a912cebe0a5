"""The options of GDAL: how long it waits, how often it asks, and whose they are."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.env import get_gdal_config

from tests.faults.assets import (
    GRID,
    READ_FAILED,
    RIM,
    Served,
    around,
    attach,
    expected,
    item,
    mask_of,
    target,
)
from tests.waits import AT_MOST, FOR_EVER
from xfusion.raster import patience as web


def in_a_thread(function: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join(timeout=30)
    return found[0]


def options_in_force() -> dict[str, Any]:
    return {name: get_gdal_config(name) for name in (*web.OPTIONS, "CPL_VSIL_CURL_NON_CACHED")}


@pytest.mark.parametrize("case", ["well", "truncated"])
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_reads_leave_the_options_of_the_process_as_they_were(
    served: Served, case: str, scheduler: Any
) -> None:
    import dask

    before = options_in_force()
    one = item("gfm", served.root(case, "options", scheduler))
    with dask.config.set(scheduler=scheduler):
        mask_of("gfm", one, chunks=160, on_read_error="flag")
    mask_of("gfm", one, on_read_error="flag")
    assert options_in_force() == before
    assert in_a_thread(options_in_force) == before
    with rasterio.Env(GDAL_HTTP_CONNECTTIMEOUT="7"):
        mask_of("gfm", one, on_read_error="flag")
        assert get_gdal_config("GDAL_HTTP_CONNECTTIMEOUT") == 7
    assert options_in_force() == before


def test_what_the_user_has_set_is_left_alone_in_every_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GDAL_HTTP_TIMEOUT")
    monkeypatch.delenv("GDAL_HTTP_RETRY_DELAY")
    assert web.gdal_options() == web.OPTIONS
    assert web.longest_silence() == 30
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "9")
    with rasterio.Env(GDAL_HTTP_TIMEOUT=5):
        for ours in (web.gdal_options(), in_a_thread(web.gdal_options)):
            assert {*web.OPTIONS} - {*ours} == {"GDAL_HTTP_MAX_RETRY", "GDAL_HTTP_TIMEOUT"}
        assert web.longest_silence() == in_a_thread(web.longest_silence) == 5
    # 0 is no limit
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "0")
    assert web.longest_silence() == 300


@pytest.mark.parametrize("how", ["environment", "rasterio.Env"])
def test_the_retries_that_the_user_has_set_are_made(
    served: Served, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "ATTEMPTS", 1)
    root = served.root("down", "retries", how)
    if how == "environment":
        monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    options = {} if how == "environment" else {"GDAL_HTTP_MAX_RETRY": "0"}
    with rasterio.Env(**options), pytest.raises(OSError, match="503"):
        mask_of("gfm", item("gfm", root))
    assert served.asked(root, "exclusion_mask.tif") == 1


@pytest.mark.slow
def test_a_server_that_is_silent_is_known_by_its_speed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large window over a slow line takes long; that alone is no reason to give up."""
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", f"{FOR_EVER:g}")
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "1")
    root = served.root("silent", "speed")
    start = time.monotonic()
    with pytest.raises(OSError, match="could not be read"):
        mask_of("gfm", item("gfm", root))
    assert time.monotonic() - start < AT_MOST


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_file_that_does_not_answer_is_not_asked_for_every_block(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    root = served.root("silent", "blocks")
    start = time.monotonic()
    mask = mask_of("gfm", item("gfm", root), chunks=32, on_read_error="flag")
    assert time.monotonic() - start < AT_MOST
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))
    asked = served.asked(root, "exclusion_mask.tif")
    assert asked < 20  # of 169 blocks


@pytest.mark.parametrize("case", ["down", "missing", "sign-in", "cut off"])
def test_a_file_that_never_opens_is_not_asked_anew_for_every_block(
    served: Served, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fast as its server refuses, one block of it does not wait for the other's attempts."""
    import dask

    def lazily(name: str) -> tuple[str, xr.Dataset]:
        root = served.root(case, "blocks", name)
        like = target(chunks=32)
        return root, attach("gfm", item("gfm", root), like=like, on_read_error="flag")

    def asked_in(attempts: int, name: str) -> int:
        root, masked = lazily(name)
        with monkeypatch.context() as patch:
            patch.setattr(web, "ATTEMPTS", attempts)
            masked["mask"][:32, :32].compute()
        return served.asked(root, "exclusion_mask.tif")

    with dask.config.set(scheduler="synchronous"):
        # how often GDAL asks at each opening is for its version to say, see it here; where a
        # connection that others left open breaks, curl asks once more, so that none may be left
        asked_in(1, "none left")
        one, two = asked_in(1, "one"), asked_in(2, "two")
        root, masked = lazily("all")
        first = masked["mask"][:32, :32].values
        asked = served.asked(root, "exclusion_mask.tif")
        # the first attempt and the look for blocks, and as many more as there are
        assert 0 < asked <= one + (web.ATTEMPTS - 1) * (two - one)
        mask = masked["mask"].values
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))
    np.testing.assert_array_equal(mask[:32, :32], first)
    assert served.asked(root, "exclusion_mask.tif") == asked
    # another chance, later; only of a 404 GDAL does not ask again
    web.WAITS._given_up.clear()
    assert masked["mask"][:64, :64].values.any()
    assert (served.asked(root, "exclusion_mask.tif") > asked) == (case != "missing")


def test_a_file_that_opens_again_is_read_again(served: Served) -> None:
    root = served.root("well", "opens again")
    web.WAITS.give_up(f"{root}/exclusion_mask.tif")
    one = item("gfm", root)
    assert (mask_of("gfm", one, on_read_error="flag")[RIM:-RIM, RIM:-RIM] == READ_FAILED).all()
    # who wants an error gets the pixels, or one
    np.testing.assert_array_equal(mask_of("gfm", one), around(expected("gfm")))
    mask = mask_of("gfm", one, on_read_error="flag")
    np.testing.assert_array_equal(mask, around(expected("gfm")))
