"""A file on the web is read under its whole name, whatever characters are in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

import xfusion as xf
from tests.asset_server import serve_folder
from tests.faults.assets import GRID, item, mask_of, target, write
from tests.faulty import Fault

PLAIN = "m.tif"
OF_PARAMETERS = ["m.tif;v=2", "m.tif;v=3", "m.tif;a;b"]
NAMES = [PLAIN, *OF_PARAMETERS, "m;x/m.tif", "m.tif#1", "m.tif?v=2"]
KEYS = ["m.tif", "m.tif;v=2", "m.tif#1", "m.tif?v=2"]
VALUES = {PLAIN: 0, "m;x/m.tif": 2, "m.tif#1": 3, "m.tif?v=2": 4}
VALUES |= dict.fromkeys(OF_PARAMETERS, 1)  # excluded, where a file of GFM is


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Files whose names differ in what readers of addresses take away; each has its number."""
    folder = tmp_path_factory.mktemp("named")
    for name, value in VALUES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write(folder / "new.tif", np.full(GRID.shape, value, "uint8"), GRID)
        (folder / "new.tif").rename(folder / name)
    fault = Fault("close", times=1)
    with serve_folder(folder, {"/m.tif;v=3": fault}) as url:
        yield url, folder


def read(address: str) -> set[int]:
    return {*np.unique(xf.raster.open_raster(address, masked=False).values)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("query", ["", "?sig=a;b"])
def test_the_file_of_that_name_is_read(
    named: tuple[str, Path], name: str, quoted: bool, query: str
) -> None:
    written = quote(name) if quoted else quote(name, safe=";/=")
    assert read(f"{named[0]}/{written}{query}") == {VALUES[name]}
    assert read(str(named[1] / name)) == {VALUES[name]}


def test_a_fragment_is_not_sent(named: tuple[str, Path]) -> None:
    assert read(f"{named[0]}/m.tif;v=2#page=1") == {1}
    assert read(f"{named[0]}/m.tif#v=2") == {0}


@pytest.mark.parametrize("name", [PLAIN, *OF_PARAMETERS])
@pytest.mark.parametrize("chunks", [None, 160])
@pytest.mark.parametrize("stated", [True, False], ids=["grid stated", "grid read"])
def test_an_asset_is_read_under_its_whole_name(
    named: tuple[str, Path], name: str, chunks: int | None, stated: bool
) -> None:
    one = item("gfm", named[0])
    one["assets"]["exclusion_mask"]["href"] = f"{named[0]}/{name}"
    if not stated:
        for field in ("proj:shape", "proj:transform"):
            del one["assets"]["exclusion_mask"][field]
    mask = mask_of("gfm", one, like=target(GRID, chunks))
    np.testing.assert_array_equal(mask, np.full(GRID.shape, 16 * VALUES[name]))


@pytest.mark.parametrize("key", KEYS)
def test_a_key_in_s3_is_read_under_its_whole_name(
    named: tuple[str, Path], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", urlsplit(named[0]).netloc)
    monkeypatch.setenv("AWS_HTTPS", "NO")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    bucket = named[1] / "bucket"
    bucket.mkdir(exist_ok=True)
    for number, name in enumerate(KEYS):
        write(named[1] / "new.tif", np.full(GRID.shape, number, "uint8"), GRID)
        (named[1] / "new.tif").rename(bucket / name)
    assert read(f"s3://bucket/{key}") == {KEYS.index(key)}


@pytest.mark.parametrize("href", ["file:///a/m.tif?v=2", "file:///a/m.tif#1", "FILE:///a/m.tif#"])
def test_a_file_url_that_would_lose_a_part_of_it_is_refused(href: str) -> None:
    one: dict[str, Any] = item("gfm", "http://127.0.0.1:9")
    one["assets"]["exclusion_mask"]["href"] = href
    with pytest.raises(ValueError, match=r"'exclusion_mask' of item .*write \? as %3F"):
        mask_of("gfm", one, allow_local=True)
    with pytest.raises(ValueError, match=r"catalog.*write \? as %3F"):
        xf.stac.search(href, GRID, "2023-06-20", default=xf.stac.EODC)
