"""Records of items as catalogues and callers give them: refused by name where they are none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from xfusion.datamodel.redaction import is_link

if TYPE_CHECKING:
    import pystac

# of an id: no attribute, file or message could hold it as it is
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")
LONGEST_NAME = 60  # characters of an id that a message shows


def item_of(record: Any, root: Any = None, folder: Path | None = None) -> pystac.Item:
    """Return the item of a record.

    Parameters
    ----------
    record : mapping
    root : pystac_client.Client, optional
        That has found it.
    folder : Path, optional
        To which its place is relative, if that is; of a file, where it is.

    Raises
    ------
    ValueError
        If it is none; the message begins with its id.
    """
    import pystac

    try:
        check_id(record.get("id") if isinstance(record, Mapping) else None)
        # a copy: pystac changes what it is given
        return pystac.Item.from_dict(dict(record) | {"links": _placed(record, folder)}, root=root)
    except RecursionError:
        error: Exception = ValueError("it is nested without end")
    except malformed() as raised:
        error = raised
    said = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    msg = f"{name_of(record)} is no STAC item, {said}"
    raise ValueError(msg) from error


def _placed(record: Mapping[str, Any], folder: Path | None) -> list[Any]:
    """Return the links of a record, without a place of its own that is none.

    pystac makes a path of this machine of it, in which what is secret is no longer told.
    """
    links = []
    for link in record.get("links") or []:
        if link.get("rel") != "self":
            links.append(link)
        elif is_link(href := str(link.get("href"))):
            if folder is not None and not urlsplit(href).scheme:
                link = {**link, "href": str(folder / href)}  # noqa: PLW2901  # the link, whole
            links.append(link)
    return links


def check_id(name: Any) -> None:
    """Refuse what does not name an item."""
    if not isinstance(name, str) or not name or UNPRINTABLE.search(name):
        msg = "its id is no text that names it"
        raise ValueError(msg)


def name_of(record: Any) -> str:
    """Return how a message calls a record."""
    name = record.get("id") if isinstance(record, Mapping) else record
    shown = repr(name)
    return shown if len(shown) <= LONGEST_NAME else f"{shown[:LONGEST_NAME]}..."


def malformed() -> tuple[type[Exception], ...]:
    """Return what pystac raises where an answer lacks a field, or is something else."""
    from pystac import STACError, STACTypeError
    from pystac_client.errors import ClientTypeError

    of_pystac = STACError, STACTypeError, ClientTypeError
    return AttributeError, KeyError, TypeError, ValueError, *of_pystac
