"""What a search finds, and what it tells."""

import dataclasses
import functools
import json
import traceback
from pathlib import Path
from typing import Any

import pytest
from pystac_client import Client

import xfusion as xf
from tests.faults.assets import AROUND, DAY, NOON, item, target
from tests.faults.searches import IDS, search
from tests.faulty import Fault
from tests.search_proxy import search_proxy
from xfusion.stac import api as api_search


def test_a_catalogue_without_end_is_refused(
    api: str, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_search, "MOST_ITEMS", 2)
    with pytest.raises(ValueError, match=f"{api} has 2 items of 'GFM' or more"):
        search(api)


def test_the_last_day_of_an_interval_belongs_to_it(api: str, tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    items = [item("gfm", "http://127.0.0.1:9", name) for name in IDS]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    for where in (api, str(path)):
        assert search(where, f"2023-06-19/{DAY}") == IDS
        with pytest.raises(LookupError, match="no items"):
            search(where, "2023-06-18/2023-06-19")


@pytest.mark.parametrize("where", ["api", "file", "items", "client"])
@pytest.mark.parametrize(
    ("interval", "found"),
    [
        (f"{DAY}/..", True),
        (f"../{DAY}", True),
        (f"{DAY}/", True),
        (f"/{NOON}", True),
        ("2023-06-21/..", False),
        ("../2023-06-19", False),
        ("../2023-06-20T11:59:59", False),
    ],
)
def test_open_intervals_are_understood_by_every_kind_of_catalogue(
    api: str, where: str, interval: str, found: bool, tmp_path: Path
) -> None:
    items = [item("gfm", "http://127.0.0.1:9", name) for name in IDS]
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    known: dict[str, Any] = {
        "api": {"catalog": api},
        "file": {"catalog": str(path)},
        "items": {"items": items},
        "client": {"catalog": Client.open(api)},
    }
    attached = functools.partial(
        target(chunks=160).fusion.attach_gfm_mask, datetime=interval, **known[where]
    )
    if found:
        assert attached().attrs["mask_items"].count("frame") == len(IDS)
    else:
        with pytest.raises(LookupError):
            attached()


def test_no_items_is_an_error_with_all_that_was_asked_for(api: str) -> None:
    ds = target()
    west = AROUND.geographic_extent.boundingbox.left
    with pytest.raises(LookupError) as raised:
        ds.fusion.attach_gfm_mask(catalog=api, datetime="2019-01-01")
    for part in ("'GFM'", api, "2019-01-01T00:00:00Z", "2019-01-01T23:59:59", f"{west:.5f}"):
        assert part in str(raised.value)
    profile = dataclasses.replace(xf.stac.EARTH_SEARCH, url=api)
    with pytest.raises(LookupError, match="'sentinel-2-l2a'"):
        ds.fusion.attach_s2_mask(catalog=profile)


@pytest.mark.parametrize("day", [DAY, "2019-01-01"], ids=["fails", "finds nothing"])
def test_secrets_of_a_catalogue_are_not_told(api: str, day: str) -> None:
    faults = {"/search": Fault("close")} if day == DAY else {}
    with search_proxy(api, faults) as url:
        secret = f"{url}?token=S3CRET".replace("://", "://someone:S3CRET@")
        with pytest.raises((ConnectionError, LookupError), match=url) as raised:
            search(secret, day)
    told = "".join(traceback.format_exception(raised.value))
    assert "S3CRET" not in told
    assert "someone" not in told


def test_a_key_that_a_client_adds_is_not_told(api: str) -> None:
    with search_proxy(api) as url:
        catalog = Client.open(url, parameters={"key": "S3CRET"})
    with pytest.raises(ConnectionError, match=rf"{url} failed.*refused") as raised:
        search(catalog)
    assert "S3CRET" not in "".join(traceback.format_exception(raised.value))


def test_a_key_that_a_redirect_adds_is_not_told(api: str) -> None:
    elsewhere = "http://someone:S3CRET@127.0.0.1:9/?key=S3CRET"
    with (
        search_proxy(api, {"/": Fault("redirect", location=elsewhere)}) as url,
        pytest.raises(ConnectionError, match=rf"{url} failed.*refused") as raised,
    ):
        search(url)
    assert "S3CRET" not in "".join(traceback.format_exception(raised.value))


def test_secrets_of_a_catalogue_are_not_kept(api: str) -> None:
    secret = f"{api}?token=S3CRET".replace("://", "://someone:S3CRET@")
    masked = target(chunks=160).fusion.attach_gfm_mask(catalog=secret)
    assert masked.attrs["mask_catalog"] == api
    assert "S3CRET" not in f"{masked!r}{masked._repr_html_()}{masked.attrs}"
