"""Paths, and which names can be those of a file or folder: one component, and nothing else."""

from __future__ import annotations

from collections.abc import Hashable
from urllib.parse import urlsplit
from urllib.request import url2pathname

SEPARATORS = "/\\\0"
RELATIVE = ("", ".", "..")
LONGEST = 200  # bytes: file systems take 255, and more is added to a name


def is_component(name: Hashable) -> bool:
    """Whether a name stays where it is put, as a file or folder there."""
    return (
        isinstance(name, str)
        and name not in RELATIVE
        and not any(separator in name for separator in SEPARATORS)
        and len(name.encode(errors="replace")) <= LONGEST
    )


def local_path(href: str) -> str:
    """Return the path behind a file: URL, anything else as it is; GDAL does not unquote."""
    parts = urlsplit(href)
    return url2pathname(parts.path) if parts.scheme == "file" else href
