"""The process that compiles beside this one: what it does, and that nothing depends on it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xfusion.kernels import parallel
from xfusion.kernels import second_process as companions
from xfusion.kernels.second_process import KERNELS, Companion

REPOSITORY = Path(__file__).parents[1]
COREGISTER = """
import hashlib, json, sys
import numpy as np
import numba.core.event as events
from xfusion import warming
from xfusion.kernels.second_process import companion

class Listener(events.Listener):
    def on_start(self, event):
        compiled.append(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event):
        pass

compiled = []
events.register("numba:compile", Listener())
companion.alone = sys.argv[1] == "alone"
one, two = warming._sensors("float32", 2)
rng = np.random.default_rng(1)
for sensor in (one, two):
    for name in ("mu", "sigma"):
        sensor[name][:] = rng.random((8, 8), np.float32)
from odc.geo.geobox import GeoBox
import xfusion as xf
target = GeoBox.from_bbox((500010, 4999930, 500070, 4999990), "EPSG:32633", resolution=11)
error_correlation = float(sys.argv[2])
warped = [xf.coregister(s, target, error_correlation=error_correlation) for s in (one, two)]
fused = xf.gaussian(*warped)
digest = hashlib.sha256()
for result in (*warped, fused):
    for name in ("mu", "sigma", "mask"):
        digest.update(result[name].to_numpy().tobytes())
print(json.dumps([compiled, digest.hexdigest()]))
"""


def coregistered(cache: Path, *arguments: str) -> tuple[list[str], str]:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", COREGISTER, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=env,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    compiled, digest = json.loads(done.stdout.splitlines()[-1])
    return compiled, digest


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.skipif(parallel.core_count() < 2, reason="there is no core for it")
@pytest.mark.parametrize("error_correlation", ["1.0", "0.5"])
def test_its_kernels_are_not_compiled_here_and_results_are_equal(
    error_correlation: str, tmp_path: Path
) -> None:
    both, of_both = coregistered(tmp_path / "both", "both", error_correlation)
    alone, of_one = coregistered(tmp_path / "alone", "alone", error_correlation)
    assert of_both == of_one
    # its work names the types that the kernels have: a change of theirs ends here
    assert {"_joint", *KERNELS} <= set(alone)
    assert "_joint" in both
    for kernel in KERNELS:
        # with squares of sigma, both kinds of sums are parts of a kernel, and one of them is here
        assert both.count(kernel) < alone.count(kernel)


def a_companion(work: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Companion:
    script = folder / "work.py"
    script.write_text(work)
    monkeypatch.setattr(companions, "WORK", script)
    monkeypatch.setattr(companions, "core_count", lambda: 2)
    companion = Companion()
    companion.expect("float32", squared=False)
    return companion


def test_a_kernel_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = tmp_path / "done"
    work = "import sys, time; time.sleep(.5)\n"
    work += f"open({str(done)!r}, 'w').write(' '.join(sys.argv[1:]))"
    work += f"\nprint({KERNELS[0]!r}, flush=True)"
    companion = a_companion(work, tmp_path, monkeypatch)
    assert not companion.has_compiled("_interleave")
    assert companion.has_compiled(KERNELS[0])
    assert done.read_text() == "float32 0"
    assert not companion.has_compiled(KERNELS[0])  # it is on disk, or was not kept


@pytest.mark.parametrize("work", ["import nothing_of_that_name", "print('noise')", "1 +"])
def test_one_that_fails_is_not_waited_for(
    work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companions, "LONGEST", 1e6)
    companion = a_companion(work, tmp_path, monkeypatch)
    for kernel in KERNELS:
        companion.has_compiled(kernel)


def test_one_that_cannot_be_started_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companions, "LONGEST", 1e6)
    companion = a_companion("", tmp_path, monkeypatch)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for kernel in KERNELS:
        companion.has_compiled(kernel)


@pytest.mark.parametrize(
    "why", ["alone", "one core", "pool", "frozen", "embedded", "none", "fork", "not asked for"]
)
def test_none_is_started_where_it_does_not_pay(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    companion: Any = a_companion("", tmp_path, monkeypatch)
    if why == "alone":
        companion.alone = True
    elif why == "one core":
        monkeypatch.setattr(companions, "core_count", lambda: 1)
    elif why == "pool":
        monkeypatch.setattr("multiprocessing.parent_process", object)
    elif why == "frozen":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    elif why == "embedded":
        monkeypatch.setattr(sys, "executable", "/usr/bin/qgis")
    elif why == "none":
        monkeypatch.setattr(sys, "executable", None)
    elif why == "fork":
        companion._of = -1
    else:
        companion._wanted = ()
    monkeypatch.setattr(companion, "_start", lambda: pytest.fail("it was started"))
    assert not companion.has_compiled(KERNELS[0])
