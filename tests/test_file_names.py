"""Files of the repository have names that every system can check out."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
DEVICES = {"con", "prn", "aux", "nul"} | {f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10)}


def tracked() -> list[PurePosixPath]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git, or git is not here")
    command = [git, "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    return [PurePosixPath(name) for name in names.split("\0") if name]


def is_legal(part: str) -> bool:
    """Whether a file or folder may be called so, on Windows as well."""
    printable = all(character >= " " and character not in ':?*<>|"\\' for character in part)
    stem = part.partition(".")[0].strip().lower()
    return printable and part[-1] not in " ." and stem not in DEVICES


def test_every_name_is_legal_on_every_system() -> None:
    assert [str(path) for path in tracked() if not all(map(is_legal, path.parts))] == []


def test_no_two_names_differ_in_case_only() -> None:
    # folders too: some systems would make one of both
    paths = {known for path in tracked() for known in (path, *path.parents)}
    spellings = Counter(str(path).casefold() for path in paths)
    assert [name for name, count in spellings.items() if count > 1] == []


@pytest.mark.parametrize(
    "name", ["foo:", "a?", "a*", "<a", "a>", "a|b", 'a"', "a\\b", "a ", "a.", "NUL", "com1.txt"]
)
def test_a_name_that_windows_refuses_is_none(name: str) -> None:
    assert not is_legal(name)


@pytest.mark.parametrize("name", [".gitignore", "a b.py", "console.py", "com10", "test_ä.py"])
def test_a_name_that_every_system_takes_is_one(name: str) -> None:
    assert is_legal(name)
