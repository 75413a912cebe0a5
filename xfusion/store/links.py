"""Links in a store, which lead to what is not its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .place import Place


def refuse_links(place: Place, prefix: str = "") -> None:
    """Refuse links below a prefix of a store: a run would write or delete where they lead.

    Raises
    ------
    FileExistsError
        If there is one.
    """
    from zarr.storage import LocalStore

    if isinstance(place.zarr, LocalStore):
        for link in _links(place.zarr.root / prefix):
            msg = f"{link} is a link, and a run would write or delete where it leads: remove it"
            raise FileExistsError(msg)


def _links(folder: Path) -> Iterator[Path]:
    # the store itself may be one: where it leads is what was asked for
    for path, folders, files in os.walk(folder):
        yield from (link for name in (*folders, *files) if (link := Path(path, name)).is_symlink())
