"""Fails at files that another system could not check out: by their names, or as links."""

import re
import subprocess
import sys
import unicodedata
from pathlib import Path, PurePosixPath

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)
REFUSED = re.compile(r'[\x00-\x1f<>:"\\|?*\udc80-\udcff]|[ .]$')  # and what is not UTF-8


def illegal(part: str) -> bool:
    """Whether Windows has no file or folder of this name."""
    stem = part.partition(".")[0].rstrip(" ")
    return bool(REFUSED.search(part) or RESERVED.fullmatch(stem))


def alike(name: str) -> str:
    """Return what macOS and Windows compare: neither case nor spelling of accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def leads_out(root: Path, file: str) -> bool:
    """Whether a file is a link to what is not in the clone, an environment, say."""
    path = root / file
    return path.is_symlink() and not path.resolve().is_relative_to(root.resolve())


def faults(files: list[str], root: Path) -> list[str]:
    """Return what is wrong with these paths below a folder, a line for each."""
    found = [
        f"{file!r}: no legal name on Windows"
        for file in files
        if any(illegal(part) for part in file.split("/"))
    ]
    found += [f"{file!r}: a link out of the clone" for file in files if leads_out(root, file)]
    first: dict[str, str] = {}
    for file in files:
        path = PurePosixPath(file)
        for name in map(str, [*reversed(path.parents[:-1]), path]):
            other = first.setdefault(alike(name), name)
            if other != name:
                found.append(f"{name!r} and {other!r}: the same name on macOS and Windows")
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607  # where git is differs
        check=True,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
    )
    sys.exit("\n".join(faults(listed.stdout.split("\0")[:-1], Path())) or None)
