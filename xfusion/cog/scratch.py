"""A folder beside the results, that is gone when they are there, or when the next run begins."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from xfusion.run.process import has_ended, this_process

PREFIX = ".xfusion-"
MOVING = f"{PREFIX}moving"  # what such a folder is called while files are moved out of it
OWNER = "owner.json"  # in it


@dataclass(frozen=True)
class Owner:
    """Which process has made a folder, and which files it will move out of it."""

    process: dict[str, str]
    files: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path, name: str = OWNER) -> Owner | None:
        """Return who a folder says that its owner is, None if it says nothing."""
        try:
            noted = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(noted, dict) or folder.is_symlink():
            return None
        files = noted.pop("files", ())
        process = {str(name): str(value) for name, value in noted.items()}
        return cls(process, tuple(map(str, files if isinstance(files, list) else ())))

    def note(self, folder: Path) -> None:
        """Say so in a folder."""
        noted = {**self.process, "files": [*self.files]}
        made = folder / f"{OWNER}.new"
        made.write_text(json.dumps(noted), encoding="utf-8")
        made.replace(folder / OWNER)

    def is_gone(self) -> bool:
        """Whether its process has ended for certain."""
        return has_ended(self.process)


@contextlib.contextmanager
def aside(folder: Path, files: Collection[str]) -> Iterator[Path]:
    """Make a folder, and one in it that is gone afterwards with all that was left in it.

    Those of runs that were killed are removed.

    Parameters
    ----------
    folder : Path
    files : collection of str
        Names of what will be moved from the one to the other.

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
        Owner(this_process(), tuple(files)).note(Path(name))
        yield Path(name)


def refuse_others(beside: Path, shared: Collection[str] = ()) -> None:
    """Refuse to write the same files as a run that has begun before.

    Parameters
    ----------
    beside : Path
        The folder of ours.
    shared : collection of str
        Files that each run writes so that it holds what is of the other.

    Raises
    ------
    RuntimeError
        If there is one that has not ended for certain, and is of this machine.
    """
    ours = Owner.of(beside)
    for theirs in sorted(beside.parent.glob(f"{PREFIX}*")):
        owner = None if theirs == beside else Owner.of(theirs)
        if owner is None or ours is None or owner.is_gone():
            continue
        same = sorted(({*ours.files} & {*owner.files}) - {*shared})
        # of one of another machine nobody knows here whether it lives: the files are looked at
        is_here = owner.process.get("machine") == ours.process["machine"]
        if same and is_here and _is_before(theirs, beside):
            msg = (
                f"another run writes {beside.parent / same[0]}, that of process "
                f"{owner.process.get('pid')}: let it finish, or choose another folder or prefix"
            )
            raise RuntimeError(msg)


def _is_before(theirs: Path, ours: Path) -> bool:
    """Whether a run has noted its name before another one: of two at once one goes on."""
    begun = [((folder / OWNER).stat().st_mtime_ns, folder.name) for folder in (theirs, ours)]
    return begun[0] < begun[1]


def _remove_left(folder: Path) -> None:
    for left in folder.glob(f"{PREFIX}*"):
        owner = Owner.of(left) if left.name != MOVING else None
        if owner is not None and owner.is_gone():
            shutil.rmtree(left, ignore_errors=True)
