"""What each command says of a wrong input: the file or option, and a way out, without Python."""

import json
import re
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from click.testing import CliRunner, Result

from xfusion import console
from xfusion.cli import main

PLACE = Affine(20, 0, 6e5, 0, -20, 5.34e6)
# what is spelled for Python alone, and numbers of errors
PYTHON = re.compile(r"\b[a-z_]+=(?!\S*\.json)|\.[a-z_]+\(|\bxf\.|\bds\.|Errno|Traceback")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def write(
    path: Path, pixels: Any, transform: Affine = PLACE, crs: str | None = "EPSG:32633"
) -> None:
    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "dtype": pixels.dtype, "crs": crs}
    profile |= {"height": pixels.shape[0], "width": pixels.shape[1], "transform": transform}
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what is right, and of what is wrong in some way."""
    folder = tmp_path_factory.mktemp("made")
    mu = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    write(folder / "mu.tif", mu)
    write(folder / "sigma.tif", mu * 0 + np.float32(0.1))
    write(folder / "far.tif", mu, Affine(20, 0, 7e5, 0, -20, 5.34e6))
    write(folder / "nowhere.tif", mu, crs=None)
    write(folder / "whole_mu.tif", (mu * 100).astype(np.int16))
    write(folder / "whole_sigma.tif", np.ones((8, 8), np.int16))
    (folder / "notes.txt").write_text("mine")
    (folder / "text.tif").write_text("mine")
    (folder / "empty").mkdir()
    (folder / "junk.zarr").mkdir()
    (folder / "junk.zarr" / "mine").write_text("mine")
    sensor = ["--sensor", "a", folder / "mu.tif", folder / "sigma.tif"]
    other = ["--sensor", "b", folder / "mu.tif", folder / "sigma.tif"]
    ran = [call("fuse", *sensor, *other, "--out", folder / "w.zarr", "--quiet")]
    for day in ("2023-06-20", "2023-06-21"):
        q = ["--q", "0.01"] if day.endswith("20") else []
        ran += [call("update", folder / "days.zarr", *sensor, "--date", day, *q, "--quiet")]
    assert all(result.exit_code == 0 for result in ran), [result.output for result in ran]
    shutil.copytree(folder / "w.zarr", folder / "broken.zarr")
    (folder / "broken.zarr" / "mu" / "c" / "0" / "0").write_bytes(b"x" * 10)
    xr.Dataset({"t": ("x", [1, 2])}).to_zarr(folder / "other.zarr", zarr_format=3)
    return folder


RESULTS = {
    "none.zarr": "none.zarr is no finished Zarr store: give the path of one",
    "none": "none is not there: give a Zarr store, or a folder",
    "empty": "empty is no result: give a Zarr store, a folder",
    "junk.zarr": "junk.zarr is no finished Zarr store: give the path of one",
    "whole_mu.tif": "whole_mu.tif is no result: the numbers of whole_mu.tif do not say what they",
    "text.tif": "text.tif is no result: give a Zarr store",
    "other.zarr": "other.zarr is no result, there is no mu and no sigma in it: give one",
    "broken.zarr": "broken.zarr is not what was written: xfusion verify says where",
}
A = "--sensor a {0}/mu.tif {0}/sigma.tif"
DAYS = "update {0}/days.zarr " + A
NEW = "update {0}/new.zarr " + A
REPORT = "report {0}/w.zarr --out {0}/r.html "
# what is typed -> what is said
SAID = {
    **{f"info {{0}}/{name}": said for name, said in RESULTS.items()},
    **{f"plot {{0}}/{name} --out {{0}}/p.png": said for name, said in RESULTS.items()},
    **{f"report {{0}}/{name} --out {{0}}/r.html": said for name, said in RESULTS.items()},
    "info {0}/w.zarr --threshold nan": "--threshold is no number",
    "info {0}/w.zarr --correlation 0": "'--correlation': 0.0 is not in the range x>0",
    "verify {0}/none.zarr": "none.zarr is no finished Zarr store: give the path of one",
    "verify {0}/text.tif": "text.tif is a file, and a Zarr store a folder: choose another STORE",
    "verify {0}/broken.zarr": "is broken in 1 place: give the command that wrote it again",
    "plot {0}/w.zarr": "Missing option '--out'",
    "plot {0}/w.zarr --out {0}/p.gif": "must end in png, pdf or svg",
    "plot {0}/w.zarr --out {0}/notes.txt/p.png": "notes.txt is a file, no folder: give another",
    "plot {0}/w.zarr --out {0}/empty": "'--out': File",
    "plot {0}/w.zarr --out {0}/p.png --dpi 5": "'--dpi': 5 is not in the range",
    "plot {0}/days.zarr --out {0}/p.png": "it holds 2 times, 2023-06-20T00:00:00 to",
    "plot {0}/days.zarr --out {0}/p.png --time 2020-01-01": "the nearest is 2023-06-20T00:00:00",
    "plot {0}/days.zarr --out {0}/p.png --time x": "--time 'x' is not a date or time such as",
    "report {0}/days.zarr --out {0}/r.html": "name one with --time",
    "report {0}/days.zarr --out {0}/r.html --time x": "--time 'x' is not a date or time such as",
    "report {0}/w.zarr --out {0}/notes.txt": "is no report: give --overwrite to replace it",
    "report {0}/w.zarr --out {0}/notes.txt/r.html": "notes.txt is a file, no folder",
    "report {0}/w.zarr --out {0}/empty": "is a folder: name a file in it",
    REPORT + "--threshold nan": "--threshold is no number",
    REPORT + "--reference {0}/none.tif": "none.tif: No such file or directory",
    REPORT + "--reference {0}/far.tif": "far.tif and the result do not overlap: x 700000 to",
    REPORT + "--reference {0}/nowhere.tif": "no CRS, so its pixels have no place: set it, e.g. rio",
    REPORT + "--sensor {0}/none": "none is not there: give a Zarr store",
    NEW: "--q, such as 0.002, or for water and dry land --rates",
    NEW + " --q 0.01": "give --date 2023-06-20",
    NEW + " --q 0.01 --date x": "--date 'x' is not a date or time such as",
    NEW + " --q 0.01 --date 2023-06-20 --grid none.tif": "--grid 'none.tif' is no sensor of",
    NEW + " --q 0.01 --scheduler here": "--scheduler here: missing port number",
    "update {0}/new.zarr {0}/mu.tif --q 0.01": "files are given as --sensor NAME MU SIGMA",
    "update {0}/new.tif " + A + " --q 0.01": "new.tif looks like a file",
    "update {0}/notes.txt/w.zarr " + A + " --q 0.01": "notes.txt is a file, no folder",
    "update {0}/junk.zarr "
    + A
    + " --q 0.01 --date 2023-06-20": "choose another STORE, or delete it",
    "update {0}/days.zarr --date 2023-06-22": "give at least one of --s1, --s2 and --sensor",
    DAYS + " --date 2023-06-01": "only what is later is new",
    DAYS + " --date 2023-06-22 --q 0.5": "leave it out, or begin another store",
    DAYS + " --date 2023-06-22 --grid EPSG:3035,20": "has a grid: leave it out",
    "update {0}/days.zarr --sensor b {0}/mu.tif {0}/sigma.tif --date 2023-06-21": (
        "to change or add earlier ones write all of them to another store"
    ),
    "demo --out {0}/notes.txt": "'--out': Directory",
    "demo --out {0}/notes.txt/x": "notes.txt is a file, no folder: give another",
    "demo --size 0.1": "'--size': 0.1 is not in the range",
    "warm --dtype float16": "'float16' is not one of 'float32', 'float64'",
    "warm mu.tif": "Got unexpected extra argument (mu.tif)",
}


@pytest.mark.parametrize("typed", SAID)
def test_an_error_names_what_is_wrong_and_a_way_out(typed: str, made: Path) -> None:
    result = call(*typed.format(made).split())
    output = " ".join(result.output.replace(str(made), "").split())
    assert result.exit_code in (1, 2), output
    assert isinstance(result.exception, SystemExit), result.exception
    assert SAID[typed] in output
    assert len(re.findall(r"Error: ", output)) == 1
    assert not PYTHON.search(output), output
    assert (made / "notes.txt").read_text() == "mine"
    assert not (made / "new.zarr").exists()


def test_verify_has_what_is_broken_as_json_too(made: Path) -> None:
    sound = json.loads(call("verify", made / "w.zarr", "--json", "--quiet").stdout)
    assert sound == {"store": str(made / "w.zarr"), "sound": True, "broken": {}}
    result = call("verify", made / "broken.zarr", "--json", "--quiet")
    assert result.exit_code == 1
    broken = json.loads(result.stdout)
    assert not broken["sound"]
    assert broken["broken"] == {
        "mu/c/0/0": "its index is not what was written; it is mu at y 0 to 7, x 0 to 7"
    }


def test_info_as_json_has_shares_of_none_and_conflict(made: Path) -> None:
    found = json.loads(call("info", made / "w.zarr", "--json").stdout)
    assert found["by_sensor"] == {"a": 1.0, "b": 1.0}
    assert found["by_reason"]["cloud"] == 0
    assert found["conflict"] == 0
    assert found["mu"]["maximum"] == 1
    assert found["area"]["maps"][0]["expected"] > 0


def test_a_picture_gets_its_folder_as_a_report_does(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "p.png"
    assert call("plot", made / "w.zarr", "--out", out, "--dpi", 20).exit_code == 0
    assert out.stat().st_size


def test_a_store_without_the_package_zarr_says_what_to_install(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    for command in ("info", "verify"):
        result = call(command, made / "w.zarr")
        assert "Zarr stores need the package zarr: pip install 'xfusion[zarr]'" in result.output


def test_a_scheduler_that_does_not_answer_is_named_after_some_seconds(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert console.CONNECT_TIMEOUT <= 10
    monkeypatch.setattr(console, "CONNECT_TIMEOUT", 0.3)
    sensors = [f"--sensor {name} {made}/mu.tif {made}/sigma.tif".split() for name in "ab"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        result = call(
            "fuse", *sensors[0], *sensors[1], "--out", tmp_path / "w.zarr", "--scheduler", address
        )
    assert result.exit_code == 1
    assert f"--scheduler {address}: Timed out trying to connect" in result.output
