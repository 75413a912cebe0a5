"""Links in a store, which lead to what is not its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from .place import Place

IS_LINK = "{} is a link, and a run would write or delete where it leads: remove it"


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
            raise FileExistsError(IS_LINK.format(link))


def refuse_links_on_the_way(place: Place, keys: Iterable[str]) -> None:
    """Refuse links that lead to where some keys of a store are written.

    Raises
    ------
    FileExistsError
        If there is one.
    """
    from zarr.storage import LocalStore

    if isinstance(place.zarr, LocalStore):
        paths = {Path(key) for key in keys}
        paths |= {folder for path in paths for folder in path.parents if folder.name}
        for path in sorted(paths):
            link = place.zarr.root / path
            if link.is_symlink():
                raise FileExistsError(IS_LINK.format(link))


def _links(folder: Path) -> Iterator[Path]:
    # the store itself may be one: where it leads is what was asked for
    for path, folders, files in os.walk(folder):
        yield from (link for name in (*folders, *files) if (link := Path(path, name)).is_symlink())
