"""Redirects of files: of a public catalogue they lead no farther inwards than it is."""

import dataclasses
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

import xfusion as xf
from tests.asset_server import serve_folder
from tests.faults.assets import GRID, READ_FAILED, around, expected, item, target, write_layers
from tests.faulty import Fault
from tests.test_inward_addresses import INWARDS
from tests.waits import AT_MOST
from xfusion.demo.server import serve
from xfusion.raster.signing import RefusedError
from xfusion.stac import redirects

INSIDE = [host for network, hosts in INWARDS.items() if network != "the internet" for host in hosts]
SCHEMES = ["ftp://h/a", "file:///etc/passwd", "//127.0.0.2/a", "gopher:x"]
PLACES = [*(f"http://{host}/a" for host in INSIDE), *SCHEMES]
FILE = "exclusion_mask.tif"


def named(url: str) -> str:
    return url.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    there = tmp_path_factory.mktemp("redirected")
    write_layers(there / "well")
    return there


@pytest.fixture(scope="module")
def inside(folder: Path) -> Iterator[str]:
    """A server that is reached by its name, in the tests below, on this machine."""
    with serve_folder(folder) as url:
        yield url


@pytest.fixture(autouse=True)
def nothing_is_known() -> None:
    redirects._known.clear()


def masked(root: str, tmp_path: Path, **options: Any) -> Any:
    """The mask by a catalogue whose server is, for who looks, on the internet."""
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [item("gfm", root)]}))
    with serve(path) as url:
        return target().fusion.attach_gfm_mask(catalog=url, **options)["mask"].to_numpy()


def asked(url: str) -> int:
    return int(requests.get(f"{url}/__stats__", timeout=AT_MOST).json()["requests"])


@pytest.mark.usefixtures("loopback_is_the_internet")
@pytest.mark.parametrize(("status", "hops"), [(301, 1), (302, 3), (303, 1), (307, 3), (308, 1)])
def test_a_file_of_a_public_catalogue_is_not_read_through_a_redirect_inwards(
    folder: Path, inside: str, tmp_path: Path, status: int, hops: int
) -> None:
    before = asked(inside)
    faults = {
        f"/{hop}/*": Fault(
            "redirect",
            status=status,
            location=f"../{hop + 1}/{FILE}"
            if hop < hops
            else f"{named(inside)}/well/{FILE}?k=S3CRET",
        )
        for hop in range(1, hops + 1)
    }
    with serve_folder(folder, faults) as outside:
        said = (
            rf"{outside}/1/{FILE} is redirected to '{named(inside)}.*on this machine.*allow_local"
        )
        with pytest.raises(ValueError, match=said) as error:
            masked(f"{outside}/1", tmp_path)
        assert "S3CRET" not in str(error.value)
        flags = masked(f"{outside}/1", tmp_path, on_read_error="flag")
        np.testing.assert_array_equal(flags, around(np.full(GRID.shape, READ_FAILED)))
        # once for both
        assert asked(outside) == hops
        assert asked(inside) == before
        # who trusts it has the pixels, and no request before
        trusted = masked(f"{outside}/1", tmp_path, allow_local=True)
        np.testing.assert_array_equal(trusted, around(expected("gfm")))


@pytest.mark.usefixtures("loopback_is_the_internet")
def test_a_redirect_outside_is_followed_for_pixels_as_well(folder: Path, tmp_path: Path) -> None:
    with (
        serve_folder(folder) as there,
        serve_folder(folder, {"/*": Fault("redirect", location=f"{there}/well/{FILE}")}) as url,
    ):
        np.testing.assert_array_equal(masked(url, tmp_path), around(expected("gfm")))


@pytest.fixture(scope="module")
def leading_inside(folder: Path) -> Iterator[str]:
    """A server that redirects the folder of each number to the place of that number."""
    faults = {f"/{n}/*": Fault("redirect", location=place) for n, place in enumerate(PLACES)}
    with serve_folder(folder, faults) as url:
        yield url


@pytest.mark.parametrize("number", range(len(PLACES)), ids=PLACES)
def test_no_place_inwards_is_asked_however_it_is_written(leading_inside: str, number: int) -> None:
    guard = redirects.GuardedSigner(None, ("the internet",))
    before = asked(leading_inside)
    with pytest.raises(RefusedError, match=r"is redirected to .*allow_local=True"):
        guard(f"{leading_inside}/{number}/a.tif")
    assert asked(leading_inside) == before + 1


def test_a_file_is_asked_once_for_where_it_leads_whatever_its_signature(folder: Path) -> None:
    signatures = iter(range(10))
    guard = redirects.GuardedSigner(
        lambda href: f"{href}?sig={next(signatures)}", ("the internet",)
    )
    with serve_folder(folder) as url:
        assert guard(f"{url}/well/{FILE}") == f"{url}/well/{FILE}?sig=0"
        assert guard(f"{url}/well/{FILE}") == f"{url}/well/{FILE}?sig=1"
        assert asked(url) == 1
        # another query may lead elsewhere
        guard(f"{url}/well/{FILE}?to=b")
        assert asked(url) == 2


@pytest.mark.parametrize("fault", [Fault("close", part=None), Fault("status", status=503)])
def test_a_server_that_fails_is_left_to_gdal(folder: Path, fault: Fault) -> None:
    guard = redirects.GuardedSigner(None, ("the internet",))
    with serve_folder(folder, {"/*": fault}) as url:
        assert guard(f"{url}/a.tif") == f"{url}/a.tif"


def test_only_files_of_a_catalogue_elsewhere_cost_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for origin in (None, "items.json", "file:///data/items.json"):
        assert redirects.guarded(xf.stac.EODC, origin, allow_local=False) == xf.stac.EODC
    assert redirects.guarded(xf.stac.EODC, xf.stac.EODC.url, allow_local=True) == xf.stac.EODC
    catalog = redirects.guarded(xf.stac.EODC, "https://stac.corp/v1", allow_local=False)
    assert catalog == dataclasses.replace(xf.stac.EODC, signer=catalog.signer)
    # it goes to workers
    assert pickle.loads(pickle.dumps(catalog.signer)) == catalog.signer
    assert catalog.signer == redirects.GuardedSigner(None, ("the internet", "a private network"))


def test_no_more_files_are_remembered_than_the_bound(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redirects, "MOST_FILES", 3)
    guard = redirects.GuardedSigner(None, ("the internet",))
    for number in range(10):
        guard(f"s3://bucket/{number}.tif")
    assert [key[0] for key in redirects._known] == [f"s3://bucket/{n}.tif" for n in (7, 8, 9)]
