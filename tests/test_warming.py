"""xfusion warm: what usual work needs is on disk afterwards."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import xfusion as xf
from tests.local_clusters import client_of_own_cluster
from xfusion import cli, warming

REPOSITORY = Path(__file__).parents[1]
USUAL = """
import numba.core.event as events
import xfusion as xf
from xfusion import warming

class Listener(events.Listener):
    def on_start(self, event):
        raise AssertionError(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event):
        pass

events.register("numba:compile", Listener())
one, two = warming._sensors("float32", 2)
grid = two.odc.geobox.zoom_out(1.3)
warped = [s.fusion.coregister(grid) for s in (one, two)]
fused = warped[0].fusion.gaussian(warped[1])
warped[0].fusion.fuse(warped[1], rule="log_odds", prior=0.5)
warped[0].fusion.gaussian(warped[1], correlation=0.3, diagnostics=True)
print("none was compiled")
"""


@pytest.mark.thorough
@pytest.mark.slow
def test_nothing_of_usual_work_is_compiled_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    first = xf.warm(dtypes=["float32"])
    assert list(first) == [f"{purpose}, float32" for purpose in warming.PURPOSES]
    assert min(first.values()) > 0
    told = capfd.readouterr().err
    for purpose, count in first.items():
        assert f"kernels of {purpose}: {count} compiled (" in told
    kept = {file: file.read_bytes() for file in tmp_path.rglob("*.nb[ic]")}
    assert set(xf.warm(dtypes=["float32"]).values()) == {0}
    assert capfd.readouterr().err.count("on disk already") == len(first)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.nb[ic]")} == kept
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", USUAL], check=False, capture_output=True, text=True, env=env
    )
    assert done.stdout == "none was compiled\n", done.stderr


@pytest.mark.thorough
@pytest.mark.slow
def test_workers_of_a_cluster_find_what_one_of_them_has_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with client_of_own_cluster() as client:
        one_of_each = {host: worker for worker, host in client.run(socket.gethostname).items()}
        assert len(one_of_each) == 1
        (first,) = client.run(
            xf.warm, dtypes=["float32"], workers=list(one_of_each.values())
        ).values()
        assert min(first.values()) > 0
        done = client.run(usual_work)
        assert [*done.values()] == [[], []]
        assert all(kept.is_relative_to(tmp_path) for kept in client.run(warming.kept_at).values())


def usual_work() -> list[str]:
    """Return the kernels that are compiled by a worker for usual work."""
    from numba.core import event as events
    from odc.geo.geobox import GeoBox

    compiled: list[str] = []

    class Listener(events.Listener):
        def on_start(self, event: events.Event) -> None:
            compiled.append(event.data["dispatcher"].py_func.__name__)

        def on_end(self, event: events.Event) -> None:
            pass

    sensors = warming._sensors("float32", 2)
    target = GeoBox.from_bbox((500010, 4999930, 500070, 4999990), "EPSG:32633", resolution=11)
    with events.install_listener("numba:compile", Listener()):
        xf.gaussian(*(xf.coregister(sensor, target) for sensor in sensors))
    return compiled


def test_a_folder_that_cannot_be_written_to_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file / "folder"))
    monkeypatch.setattr(warming, "PURPOSES", {"fusion and masks": warming._fuse})
    with pytest.raises(OSError, match=r"cannot be kept in .*set NUMBA_CACHE_DIR"):
        xf.warm(dtypes=["float32"], progress=False)


def test_where_numba_does_not_compile_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setattr(warming, "PURPOSES", {"fusion and masks": warming._fuse})
    with pytest.raises(OSError, match="unset NUMBA_DISABLE_JIT"):
        xf.warm(dtypes=["float32"], progress=False)


def test_no_other_program_is_started_for_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/qgis")
    with pytest.raises(OSError, match="qgis is no Python: call `python -m xfusion warm`"):
        xf.warm(progress=False)


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(ValueError, match="float16.*there are kernels for"):
        xf.warm(dtypes=["float16"])  # type: ignore[list-item]  # what is refused


@pytest.mark.parametrize("quiet", [True, False])
def test_the_command_says_what_it_did(quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def warm(**options: object) -> dict[str, int]:
        asked.append(options)
        return {"fusion": 2, "masks": 1}

    monkeypatch.setattr(warming, "warm", warm)
    arguments = ["warm", "--dtype", "float32", *(["--quiet"] if quiet else [])]
    done = CliRunner().invoke(cli.main, arguments)
    assert done.exit_code == 0, done.output
    assert asked == [{"dtypes": ("float32",), "progress": not quiet}]
    assert done.output == ("" if quiet else f"3 kernels compiled, kept in {warming.kept_at()}\n")
