"""Paths, and which names can be those of a file or folder: one component, and nothing else."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Hashable
from urllib.parse import urlsplit
from urllib.request import url2pathname

# Separators, and what Windows takes for one of drives, streams, pipes and patterns
FORBIDDEN = '/\\<>:"|?*'
LONGEST = 200  # bytes: file systems take 255, and more is added to a name
# of Windows, whatever follows them behind a dot
DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}

PLAIN = (
    "a plain one: without any of " + " ".join(FORBIDDEN) + ", without a blank or dot at its end, "
    "not that of a device of Windows (con, nul), and not another's in capitals"
)


def is_component(name: Hashable) -> bool:
    """Whether a name stays where it is put, as a file or folder there, on any system."""
    if not isinstance(name, str) or not name.isprintable() or name[-1:] in ("", ".", " "):
        return False
    device = name.partition(".")[0].rstrip().casefold()
    return (
        not any(character in name for character in FORBIDDEN)
        and device not in DEVICES
        and len(name.encode(errors="replace")) <= LONGEST
    )


def unfit_names(names: Collection[Hashable], *, taken: Collection[str] = ()) -> list[Hashable]:
    """Return which names cannot all be those of files or folders beside each other.

    Parameters
    ----------
    names : collection
        Of variables, say.
    taken : collection of str
        Names that others have there.
    """
    # many disks hold names as one that differ in case, or in how an accent is written
    folded = {name: _folded(name) for name in names if is_component(name)}
    count = Counter([*folded.values(), *map(_folded, taken)])
    return [name for name in names if name not in folded or count[folded[name]] > 1]


def local_path(href: str) -> str:
    """Return the path behind a file: URL, anything else as it is; GDAL does not unquote."""
    parts = urlsplit(href)
    return url2pathname(parts.path) if parts.scheme == "file" else href


def _folded(name: Hashable) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", str(name)).casefold())
