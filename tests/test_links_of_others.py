"""Links that others have set, in attributes and items: nothing secret of them goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests import catalogues as c
from tests.test_stac_item import one
from xfusion.datamodel.redaction import is_link, public, without_secrets

SECRET = "S3CRET"  # noqa: S105  # what must not be found anywhere
LINKS = [
    f"//user:{SECRET}@example.org/x",
    f"//user:{SECRET}@example.org/x?sig={SECRET}",
    f"/x.json?sig={SECRET}",
    f"x.json?sig={SECRET}",
    f"/x.json#{SECRET}",
    f"javascript:alert('{SECRET}')",
    f"JavaScript:{SECRET}",
    f" javascript:{SECRET}",
    f"java\nscript:{SECRET}",
    f"data:text/html,{SECRET}",
    f"vbscript:{SECRET}",
    f"mailto:{SECRET}@example.org",
    f"https:/user:{SECRET}@example.org/x",
    f"https:user:{SECRET}@example.org/x",
    f"https://example.org/x%3Fsig={SECRET}",
    f"https://example.org/x%23{SECRET}",
    f"https://example.org/x\n{SECRET}",
    f"https://example.org/\udc80{SECRET}",
    f"\\\\user:{SECRET}@host\\x",
    f"ftp://user:{SECRET}@example.org/x",
    f"file://user:{SECRET}@host/x",
]
HARMLESS = ["https://example.org/x.json", "s3://bucket/x.json", "http://example.org:8080/a/b"]
CUT = {
    f"https://user:{SECRET}@example.org/x?sig={SECRET}": "https://example.org/x",
    f"https://user:{SECRET}%40example.org/x": "https://example.org/x",
    f"https://user%3A{SECRET}%40{SECRET}@example.org/x": "https://example.org/x",
    f"HTTPS://{SECRET}@example.org/x#{SECRET}": "HTTPS://example.org/x",
}


def linked(**links: str) -> xr.Dataset:
    attrs = {"mask_catalog": "https://example.org", "mask_items": " ".join(links)}
    return one().assign_attrs(attrs | {"mask_links": json.dumps(links)})


@pytest.mark.parametrize("href", LINKS)
def test_what_is_no_link_is_none(href: str) -> None:
    assert not is_link(href) or SECRET not in public(href)


@pytest.mark.parametrize("href", HARMLESS)
def test_what_is_a_link_stays_one(href: str) -> None:
    assert is_link(href)
    assert public(href) == href


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("href", [*LINKS, *CUT])
def test_secrets_in_attributes_of_others_do_not_reach_results_files_and_items(
    href: str, tmp_path: Path
) -> None:
    dataset = linked(a=href, b=HARMLESS[0])
    if not any(map(str.isspace, href)):
        dataset.attrs["mask_catalog"] = f"https://example.org {href}"
    fused = dataset.fusion.gaussian(one(sensor="s2"))
    assert SECRET not in f"{fused.attrs}"
    assert SECRET not in f"{fused!r}{fused._repr_html_()}"
    for name, result in {"fused": fused, "as it is": dataset}.items():
        folder = tmp_path / name
        result.fusion.to_cog(folder)
        for path in folder.iterdir():
            assert SECRET.encode() not in path.read_bytes(), path
        (item,) = folder.glob("*.json")
        links = json.loads(item.read_text())["links"]
        expected = {HARMLESS[0], *([CUT[href]] if href in CUT else [])}
        assert {link["href"] for link in links} == expected
    dataset.chunk(x=2).fusion.to_zarr(tmp_path / "store.zarr")
    for path in (tmp_path / "store.zarr").rglob("*.json"):
        assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("href", LINKS)
def test_secrets_in_the_place_of_an_item_are_not_kept(href: str, tmp_path: Path) -> None:
    mask = np.zeros(c.EQUI7.shape, np.uint8)
    path = Path(c.write(tmp_path / "mask.tif", mask, c.EQUI7))
    found = c.gfm_item("05:10:00", c.EQUI7, exclusion_mask=path.as_uri())
    found["links"] = [{"rel": "self", "href": href}]
    masked, _ = c.attach_gfm([found], c.DAY)
    assert SECRET not in f"{masked.attrs}{masked!r}"
    assert "mask_links" not in masked.attrs or SECRET not in masked.attrs["mask_links"]


@pytest.mark.parametrize(
    "table", ["7", "[1]", "null", "{", '{"a": 7}', '{"a": ["x"]}', '{"a": {}}']
)
def test_tables_of_others_that_are_none_are_no_error(table: str, tmp_path: Path) -> None:
    dataset = linked(a=HARMLESS[0]).assign_attrs(mask_links=table)
    fused = dataset.fusion.gaussian(one(sensor="s2"))
    fused.fusion.to_cog(tmp_path / "out")
    (item,) = (tmp_path / "out").glob("*.json")
    assert json.loads(item.read_text())["links"] == []


def test_a_user_is_cut_from_messages_however_it_is_written() -> None:
    for user in (f"{SECRET}@", f"a:{SECRET}@{SECRET}@", f"a:{SECRET}%40", f"a%3A{SECRET}@"):
        text = f"could not open 'https://{user}example.org/x' (//{user}example.org)"
        assert SECRET not in without_secrets(text, "/a")
        assert SECRET not in public(f"https://{user}example.org/x")


def test_a_network_path_is_public_without_its_user() -> None:
    assert public("//user:word@example.org/x?sig=a") == "//example.org/x"
    told = without_secrets("//user:word@example.org/x could not be read", "/a")
    assert told == "//...example.org/x could not be read"
