"""Builds wheel and sdist into dist/, and fails where a user would find something wrong with them.

What they hold is compared with what git knows, the wheel of the sdist with that of the clone. Then
the wheel is installed with the extra demo into an environment that knows nothing of the clone, and
used from another folder: whoever has installed xfusion has no more than that.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """Run a command as in a shell of its own; return what it prints."""
    alone = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(  # noqa: S603  # commands of this file
        command, check=True, cwd=folder, env=alone, stdout=subprocess.PIPE, encoding="utf-8"
    ).stdout


def build(source: Path, kind: str, folder: Path) -> Path:
    """Build one of the two from a folder with a pyproject.toml."""
    run(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "-o", folder, source)
    (built,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def members(wheel: Path) -> dict[str, bytes]:
    """Return the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tracked() -> set[str]:
    """Return the files in git, without links."""
    names = run("git", "ls-files", "-z").split("\0")
    return {name for name in names if name and not (ROOT / name).is_symlink()}


def complain(what: str, names: set[str]) -> None:
    """End with an error where there are such names."""
    if names:
        sys.exit(f"{what}:\n  " + "\n  ".join(sorted(names)))


def check_contents(wheel: Path, sdist: Path, scratch: Path) -> None:
    """Compare both with what git knows, and the wheel with that of the sdist."""
    known = tracked()
    held = members(wheel)
    package = {name for name in held if ".dist-info/" not in name}
    ours = {name for name in known if name.startswith("xfusion/")}
    complain(f"{wheel.name} lacks", ours - package)
    complain(f"{wheel.name} has what git does not know", package - ours)

    with tarfile.open(sdist) as archive:
        archive.extractall(scratch, filter="data")
    (unpacked,) = scratch.iterdir()
    inside = {str(p.relative_to(unpacked)) for p in unpacked.rglob("*") if p.is_file()}
    complain(f"{sdist.name} lacks", known - inside)
    # docs/notebooks is a link, and there a folder of copies
    beyond = {name for name in inside - known if not name.startswith("docs/notebooks/")}
    complain(f"{sdist.name} has what git does not know", beyond - {"PKG-INFO"})

    again = members(build(unpacked, "wheel", unpacked / "dist"))
    differing = {n for n in {*held, *again} if held.get(n) != again.get(n)}
    complain(f"the wheel that {sdist.name} builds differs in", differing)


def check_use(wheel: Path, scratch: Path) -> None:
    """Install the wheel where nothing of the clone is, and run the demo."""
    print(f"Installing {wheel.name} with the extra demo into an empty environment", flush=True)
    venv.create(scratch / "environment", with_pip=True)
    bin_folder = scratch / "environment" / "bin"
    quiet = ["-qq", "--disable-pip-version-check"]
    quiet += ["--no-compile"]  # the demo imports a part of it
    constraints = "-c", ROOT / "constraints.txt"
    wanted = f"xfusion[demo] @ {wheel.as_uri()}"
    run(bin_folder / "python", "-m", "pip", "install", *quiet, *constraints, wanted)
    elsewhere = scratch / "elsewhere"
    elsewhere.mkdir()

    def use(*arguments: str) -> str:
        return run(bin_folder / "xfusion", *arguments, folder=elsewhere)

    version = wheel.name.split("-")[1]
    if use("--version").split()[-1] != version:
        sys.exit(f"xfusion --version does not say {version}")
    print(use("demo", "--quiet"))
    print(use("info", "xfusion-demo"))


def main() -> None:
    """Build, check, install and use."""
    DIST.mkdir(exist_ok=True)
    for old in DIST.iterdir():
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        sdist, wheel = build(ROOT, "sdist", DIST), build(ROOT, "wheel", DIST)
        run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
        (scratch / "sdist").mkdir()
        check_contents(wheel, sdist, scratch / "sdist")
        check_use(wheel, scratch)
    print(*(path.relative_to(ROOT) for path in (sdist, wheel)), sep="\n")


if __name__ == "__main__":
    main()
