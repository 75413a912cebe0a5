"""Hrefs of items: untrusted text that says what is to be opened."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from xfusion.datamodel.components import local_path
from xfusion.datamodel.redaction import AMBIGUOUS, SECRET, WEB_ADDRESS, public
from xfusion.raster.asset import check_size

from .asset_bands import asset_of
from .network import is_local, network_of, reached_from
from .profiles import Catalog

if TYPE_CHECKING:
    import pystac

# what GDAL takes credentials for s3 from, or that it needs none
S3_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_NO_SIGN_REQUEST",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
}

WEB, LOCAL = ("http", "https", "s3"), ("", "file")

# file systems of GDAL (/vsicurl/...) and its drivers' own names (GTIFF_DIR:1:...)
GDAL_NAME = re.compile(r"/+vsi|[^/]*:", re.IGNORECASE)

# A CRS is untrusted as well: PROJ opens the files that "+init=", grids and bound CRS name.
CRS_FIELDS = ("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson")  # what is newer comes first
CRS_CODE = re.compile(r"((EPSG|ESRI|OGC|IAU)(_\d+)?:)?\w+", re.IGNORECASE)
CRS_WKT = re.compile(r"\s*(PROJ|GEOG|GEOD|COMPOUND|COMPD)\w*\s*\[", re.IGNORECASE)
CRS_FILES = re.compile(
    r"EXTENSION|PARAMETERFILE|BOUND_?CRS|nadgrids|geoidgrids|\+init", re.IGNORECASE
)


def check_hrefs(
    items: Iterable[pystac.Item],
    catalog: Catalog,
    *,
    allow_local: bool,
    origin: str | None = None,
) -> None:
    """Refuse assets that an untrusted item must not make us read.

    Parameters
    ----------
    items : iterable of pystac.Item
    catalog : Catalog
        Its assets are checked.
    allow_local : bool
        Whether the caller trusts the items with this machine and its networks.
    origin : str, optional
        URL or path of the catalogue that the items are from, if it is known: it may refer to
        what is as near as it is itself.

    Raises
    ------
    ValueError
        If an href is not http(s) or s3, or a local file without leave, or on a network without
        leave, or a GDAL prefix such as ``/vsicurl/``; if an asset claims a size that no raster
        has; or if its CRS may name a file.
    """
    for item in items:
        for key in catalog.keys_of(item.collection_id).values():
            where = f"asset {key!r} of item {item.id!r}"
            _check_href(asset_href(item, key), where, allow_local=allow_local, origin=origin)
            for fields in (asset_of(item, key).extra_fields, item.properties):
                _check_claim(fields.get("proj:shape"), where)
                _check_crs(stated_crs(fields), where)


def _check_href(href: str, where: str, *, allow_local: bool, origin: str | None) -> None:
    readings = [*_readings(href)]
    shown = SECRET.split(public(href), maxsplit=1)[0]
    ambiguous = AMBIGUOUS.search(href) or len({_scheme(text) for text in readings}) > 1
    if ambiguous or any(_never_opened(text) for text in readings):
        msg = f"{where}: href {shown!r} is not http(s) or s3 and is never opened"
        raise ValueError(msg)
    check_file_url(href, where)
    if allow_local and href:
        return
    is_ours = origin is not None and is_local(origin)
    if not href and (allow_local or is_ours):
        msg = f"{where}: its href is empty: correct it, or leave the item out"
        raise ValueError(msg)
    if _scheme(href) in LOCAL and not is_ours:
        msg = (
            f"{where}: href {shown!r} is a file of this machine, the catalogue is not: "
            "pass allow_local=True if you trust it"
        )
        raise ValueError(msg)
    network = network_of(href) if _scheme(href) in ("http", "https") else "the internet"
    if network not in reached_from(origin):
        msg = (
            f"{where}: href {shown!r} is on {network}, its catalogue is not: "
            "pass allow_local=True if you trust it"
        )
        raise ValueError(msg)


def _readings(href: str) -> Iterator[str]:
    """Yield an href as it is, and as those understand it who unquote it, once or more."""
    yield href
    while (plain := unquote(href)) != href:
        yield (href := plain)


def _never_opened(href: str) -> bool:
    scheme = _scheme(href)
    if scheme in LOCAL:
        return GDAL_NAME.match(local_path(href)) is not None
    return scheme not in WEB or WEB_ADDRESS.match(href) is None


def is_relative(href: str) -> bool:
    """Whether an href is a path that leads on from some place, and to nothing of GDAL's own."""
    readings = [*_readings(href)]
    plain = all(_scheme(text) == "" and not _never_opened(text) for text in readings)
    return plain and not (AMBIGUOUS.search(href) or re.match(r"[/\\]", readings[-1]))


def check_file_url(href: str, where: str) -> None:
    """Refuse a file: URL with a query or a fragment, without which it is another file."""
    if _scheme(href) == "file" and re.search(r"[?#]", href):
        msg = (
            f"{where}: {SECRET.split(href, maxsplit=1)[0]!r} and what follows are a file: URL with "
            "a query or a fragment, which files have not: write ? as %3F and # as %23, or a path"
        )
        raise ValueError(msg)


def stated_crs(fields: Mapping[str, Any]) -> Any:
    """Return the CRS that an item or an asset states, None if it does not."""
    # GFM has only the text, where Equi7 once had no EPSG code
    return next((fields[name] for name in CRS_FIELDS if fields.get(name)), None)


def _check_crs(crs: Any, where: str) -> None:
    text = json.dumps(crs) if isinstance(crs, Mapping) else str(crs)
    of_known_form = isinstance(crs, Mapping) or CRS_CODE.fullmatch(text) or CRS_WKT.match(text)
    if not of_known_form or CRS_FILES.search(text):
        msg = (
            f"{where}: the CRS {text[:60]!r} is not a code, WKT or PROJJSON without files, and is "
            "never opened: state it as proj:code"
        )
        raise ValueError(msg)


def _check_claim(shape: Any, where: str) -> None:
    if shape is None:
        return
    try:
        check_size(tuple(shape), where)
    except TypeError:
        msg = f"{where}: its proj:shape, {shape!r}, is no number of rows and columns"
        raise ValueError(msg) from None


def asset_href(item: pystac.Item, key: str) -> str:
    """Return the href of an asset, a relative one resolved against its item.

    Of an asset in s3 its https alternate, if it has one and there are no credentials for s3.
    """
    asset = asset_of(item, key)
    # pystac would resolve file: URLs against the address of the API as well
    absolute = asset.href if _scheme(asset.href) else _beside_item(item, asset)
    href = absolute or asset.href
    if _scheme(href) == "s3" and not S3_CREDENTIALS & {*os.environ}:
        href = _https_alternate(asset) or href
    scheme, colon, rest = href.partition(":")
    return f"{scheme.lower()}{colon}{rest}" if _scheme(href) == scheme.lower() else href


def _beside_item(item: pystac.Item, asset: pystac.Asset) -> str | None:
    """Return where a relative href leads from the place of its item, None if that is unknown."""
    place = item.get_self_href()
    if place is None or _scheme(place) not in LOCAL:
        return asset.get_absolute_href()
    # pystac would take a ";" or "#" in a name for the end of it
    return os.path.normpath(Path(local_path(place)).parent / asset.href)


def _https_alternate(asset: pystac.Asset) -> str | None:
    field: Any = asset.extra_fields
    for name in ("alternate", "https", "href"):
        field = field.get(name) if isinstance(field, Mapping) else None
    return field if isinstance(field, str) else None


def _scheme(href: str) -> str:
    try:
        return urlsplit(href).scheme
    except ValueError:
        # such as a bracket that is not closed
        return "invalid"
