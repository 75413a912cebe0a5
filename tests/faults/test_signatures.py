"""Secrets of addresses are not told; signatures that fail or come late."""

import dataclasses
import sys
import time
import traceback
from typing import Any

import numpy as np
import pytest
import requests

import xfusion as xf
from tests.faults.assets import (
    GRID,
    READ_FAILED,
    Served,
    around,
    attach,
    expected,
    item,
    mask_of,
    target,
)
from tests.waits import AT_MOST, FOR_EVER
from xfusion.raster import signing
from xfusion.raster.file import RasterFile


def signed(href: str) -> str:
    return f"{href}?sig=S3CRET&se=2030"


@pytest.mark.parametrize("how", ["query", "signer", "user"])
@pytest.mark.parametrize("case", ["missing", "sign-in", "truncated", "moved to a file"])
def test_secrets_of_an_href_are_not_told(served: Served, case: str, how: str) -> None:
    root = served.root(case, "secret", how)
    options: dict[str, Any] = {}
    if how == "signer":
        profile = dataclasses.replace(xf.stac.EARTH_SEARCH, offset=0, signer=signed)
        options["catalog"] = profile
    if how == "user":
        root = root.replace("://", "://someone:S3CRET@")
    one = item("s2", root)
    if how == "query":
        for asset in one["assets"].values():
            asset["href"] = signed(asset["href"])
    with pytest.raises(OSError, match="red.tif could not be read") as raised:
        mask_of("s2", one, **options)
    told = "".join(traceback.format_exception(raised.value))
    masked = attach("s2", one, like=target(chunks=160), on_read_error="flag", **options)
    told += f"{masked!r}{masked._repr_html_()}{masked.attrs}{masked['mask'].data!r}"
    told += f"{masked['mask'].encoding}{masked.fusion.completeness()!r}"
    assert "S3CRET" not in told
    assert "someone" not in told
    assert (masked["mask"] != 0).any()


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("no token at https://sas/token?key=S3CRET"),
        requests.HTTPError("403 for url: /token?key=S3CRET (Caused by a signer)"),
        ValueError("no token"),
        KeyError("token"),
        TypeError("a slip of the signer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_signature_that_cannot_be_had_names_the_asset(
    served: Served, error: Exception, chunks: int | None
) -> None:
    def fails(href: str) -> str:
        raise error

    profile = dataclasses.replace(xf.stac.EODC, signer=fails)
    one = item("gfm", served.root("well"))
    one["assets"]["exclusion_mask"]["href"] += "?sig=S3CRET"
    said = f"{served.url}/well/exclusion_mask.tif could not be signed: {type(error).__name__}"
    with pytest.raises(OSError, match=said) as raised:
        mask_of("gfm", one, catalog=profile, chunks=chunks)
    assert "S3CRET" not in "".join(traceback.format_exception(raised.value))
    mask = mask_of("gfm", one, catalog=profile, on_read_error="flag", chunks=chunks)
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))


class SlowTokens:
    """In place of the package planetary_computer, whose request has no time-out."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.asked = seconds, 0

    def sign(self, href: str) -> str:
        self.asked += 1
        time.sleep(self.seconds)
        return href


def signed_by(package: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "planetary_computer", package)
    return dataclasses.replace(xf.stac.PLANETARY_COMPUTER, assets=xf.stac.EARTH_SEARCH.assets)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["raise", "flag"])
def test_a_signature_that_does_not_come_is_not_waited_for(
    served: Served, mode: str, chunks: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "LONGEST", 0.3)
    package = SlowTokens(FOR_EVER)
    options = {"catalog": signed_by(package, monkeypatch), "on_read_error": mode, "offset": 0}
    one = item("s2", served.root("well"))
    start = time.monotonic()
    if mode == "raise":
        said = "/well/(red|nir|scl).tif could not be signed: DeadlineError: no answer within 0.3 s"
        with pytest.raises(OSError, match=said):
            mask_of("s2", one, chunks=chunks, **options)
    else:
        mask = mask_of("s2", one, chunks=chunks, **options)
        np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))
    assert time.monotonic() - start < AT_MOST
    # of nine blocks of three files, by two threads
    assert 3 <= package.asked <= 24 or mode == "raise"


def test_a_signature_that_comes_late_is_waited_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = SlowTokens(0.2)
    one = item("s2", served.root("well"))
    mask = mask_of("s2", one, catalog=signed_by(package, monkeypatch))
    np.testing.assert_array_equal(mask, around(expected("s2")))
    assert package.asked >= 3


@pytest.mark.parametrize("mode", ["raise", "flag"])
def test_a_package_that_is_missing_is_no_read_that_failed(
    served: Served, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = signed_by(None, monkeypatch)
    with pytest.raises(ModuleNotFoundError, match=r"xfusion\[planetary-computer\]"):
        mask_of("s2", item("s2", served.root("well")), catalog=profile, on_read_error=mode)


def test_a_signature_is_asked_for_anew_at_each_read(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    hrefs: list[str] = []
    reads: list[str] = []
    root = served.root("well", "signer")
    read = RasterFile.read_some

    def noted(self: RasterFile, *how: Any) -> Any:
        if self.path.startswith(root):  # an earlier test may still have threads that read
            reads.append(self.path)
        return read(self, *how)

    monkeypatch.setattr(RasterFile, "read_some", noted)

    def sign(href: str) -> str:
        hrefs.append(href)
        return f"{href}?n={len(hrefs)}"

    profile = dataclasses.replace(xf.stac.EODC, signer=sign)
    one = item("gfm", root)
    masked = attach("gfm", one, like=target(chunks=160), catalog=profile)
    assert not hrefs
    for _ in range(2):
        np.testing.assert_array_equal(masked["mask"], around(expected("gfm")))
    # of nine blocks; what one has read of another's is not read again
    assert 2 <= len(hrefs) == len(reads) <= 2 * 9
