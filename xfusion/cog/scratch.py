"""A folder beside the results, that is gone when they are there, or when the next run begins."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xfusion.run.process import has_ended, this_process

PREFIX = ".xfusion-"
OWNER = "owner.json"  # which process has made such a folder


@contextmanager
def aside(folder: Path) -> Iterator[Path]:
    """Make a folder, and one in it that is gone afterwards with all that was left in it.

    Those of runs that were killed are removed.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_left(folder)
        made = tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder)
    except OSError as error:
        msg = f"{folder} cannot be written, {error.strerror}: choose another folder"
        raise OSError(error.errno, msg) from error
    with made as name:
        (Path(name) / OWNER).write_text(json.dumps(this_process()))
        yield Path(name)


def _remove_left(folder: Path) -> None:
    for left in folder.glob(f"{PREFIX}*"):
        try:
            owner = json.loads((left / OWNER).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(owner, dict) and not left.is_symlink() and has_ended(owner):
            shutil.rmtree(left, ignore_errors=True)
