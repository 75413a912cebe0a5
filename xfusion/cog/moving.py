"""Files that are whole moved to where readers look: all of one run, or none.

The folder that holds them gets a name that only one folder can have, so that of two runs one waits.
Where its process dies, the next run finds it under that name and moves the rest: what is in there
is whole.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from xfusion.datamodel.components import is_component
from xfusion.run.process import this_process

from .scratch import MOVING, OWNER, PREFIX, Owner

OLD = "old"  # in that folder: what was there before
TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES)  # by another run; the last on Windows
WAIT, LOOK_EVERY = 30.0, 0.05  # seconds; moving takes much less


def move_in(beside: Path, files: Sequence[Path], prepare: Callable[[Path], None]) -> None:
    """Move whole files to where readers look.

    Parameters
    ----------
    beside : Path
        The folder that holds them, as :func:`~xfusion.cog.scratch.aside` made it.
    files : sequence of Path
        What they become, the one last that says that the others are there.
    prepare : callable
        Given the folder that holds them when no other run moves files: raises where they must not
        replace what is there, and writes what depends on that.

    Raises
    ------
    OSError
        If one cannot be moved. What was there before is there again.
    RuntimeError
        If another run has been moving files there for long.
    """
    moving = _entered(beside)
    try:
        prepare(moving)
        _replace(moving, files)
    finally:
        # whoever waits goes on; but what could not be put back is not to be deleted
        if not _is_kept(moving, files):
            moving.rename(beside)


def finish_moving(folder: Path) -> None:
    """Move the rest of what a run was moving when it was killed."""
    moving = folder / MOVING
    owner = Owner.of(moving)
    if owner is None or not owner.is_gone() or not _is_taken_over(moving, owner):
        return
    for name in owner.files:
        if is_component(name):
            with contextlib.suppress(FileNotFoundError):
                (moving / name).replace(folder / name)
    done = moving.rename(folder / f"{PREFIX}{uuid.uuid4().hex}")
    shutil.rmtree(done, ignore_errors=True)


def _entered(beside: Path) -> Path:
    moving = beside.with_name(MOVING)
    begun = time.monotonic()
    while True:
        finish_moving(beside.parent)
        try:
            return beside.rename(moving)
        except OSError as error:
            if error.errno not in TAKEN:
                raise
            if time.monotonic() - begun > WAIT:
                msg = (
                    f"{moving} holds what another run is moving to {beside.parent}, and has held "
                    f"it for {WAIT:.0f} s: if that run is no more, move the files in it yourself, "
                    "and remove it"
                )
                raise RuntimeError(msg) from error
        time.sleep(LOOK_EVERY)


def _replace(moving: Path, files: Sequence[Path]) -> None:
    """Put old files away and new ones in their places; in between there are none, never both."""
    old = moving / OLD
    old.mkdir()
    away: list[Path] = []
    there: list[Path] = []
    try:
        for path in reversed(files):
            if path.exists():
                path.replace(old / path.name)
                away.append(path)
        for path in files:
            (moving / path.name).replace(path)
            there.append(path)
    except BaseException as error:
        try:
            for path in there:
                path.replace(moving / path.name)
            for path in away:
                (old / path.name).replace(path)
        except OSError:
            msg = f"{error}; and what was there before is in {old} now: move it back yourself"
            raise OSError(errno.EIO, msg) from error
        raise


def _is_kept(moving: Path, files: Sequence[Path]) -> bool:
    """Whether old files are neither in their places nor replaced."""
    return any((moving / OLD / path.name).exists() and not path.exists() for path in files)


def _is_taken_over(moving: Path, owner: Owner) -> bool:
    """Take a folder over from a run that is gone; of several that try, one does."""
    claimed = f"{OWNER}.{uuid.uuid4().hex}"
    try:
        (moving / OWNER).rename(moving / claimed)
    except FileNotFoundError:
        return False
    if Owner.of(moving, claimed) != owner:
        # meanwhile it is that of a run that lives, or that has just ended and taken it away
        with contextlib.suppress(FileNotFoundError):
            (moving / claimed).rename(moving / OWNER)
        return False
    Owner(this_process(), owner.files).note(moving)
    return True
