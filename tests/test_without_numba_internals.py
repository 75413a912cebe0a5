"""Where numba's internals are missing or have changed, results are the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# how a release of numba might differ: a name is gone, or one is there and fails when it is used
MISSING = "del numba.extending.intrinsic"
CHANGED = """
def broken(function):
    def changed(context, array):
        signature, _ = function(context, array)
        def generate(*_):
            raise TypeError("as in another release")
        return signature, generate
    return intrinsic(changed)

intrinsic, numba.extending.intrinsic = numba.extending.intrinsic, broken
"""
WORK = """
import sys
import numpy as np
from xfusion.kernels import buffers, control, correlation, resample, rules

rng = np.random.default_rng(7)
mu, sigma = rng.random((2, 40, 40))
mu[3:5, 7] = np.nan
mask = (rng.random((40, 40)) < 0.1).astype(np.uint8)
corners = np.meshgrid(np.arange(2.0, 35.0, 8.0), np.arange(1.0, 34.0, 8.0))
grid = control.ControlGrid(
    8, (0, 0), *corners, np.full((4, 4), -1), *np.zeros((2, 0, 8, 8)), np.zeros((0, 2))
)
window = control.Window((0, 0), (40, 40), (40, 40))
warped = [np.empty((32, 32)), np.empty((32, 32)), np.empty((32, 32), np.uint8)]
resample.joint(mu, sigma, mask, window, grid, error_correlation=0.5, outside=32, out=warped)
sensors = (
    (mu, mu[::-1].copy()),
    (sigma, sigma[::-1].copy()),
    (mask, None),
)
arguments = dict(
    rule=0,
    correlation=correlation.correlated(np.array([[1, 0.3], [0.3, 1]])),
    prior=np.array([0.5]),
    alpha=1.0,
    sigma_floor=1e-6,
    floor_nonfinite=False,
    unknown=32,
    threads=1,
)
fused = rules.fuse(*sensors, **arguments, inflate=True, diagnostics=True)
closed = rules.fuse(*sensors, **arguments, inflate=False, diagnostics=False)
assert buffers.HAS_INTRINSICS == (sys.argv[2] == "as they are")
np.savez(sys.argv[1], *warped, *fused, *closed[:4])
"""


@pytest.mark.parametrize("how", [MISSING, CHANGED], ids=["missing", "changed"])
def test_kernels_are_told_whether_internals_work(how: str, tmp_path: Path) -> None:
    code = f"import numba.extending\n{how}\nfrom xfusion.kernels import buffers\n"
    code += "assert not buffers.HAS_INTRINSICS\nassert buffers.borrowed(3) == 3"
    run(code, tmp_path)


@pytest.mark.thorough
@pytest.mark.slow
def test_results_are_equal_without_numbas_internals(tmp_path: Path) -> None:
    for name, how in (("as they are", ""), ("missing", MISSING)):
        # kernels on disk are not known to be of other intrinsics, so these are kept apart
        cache = tmp_path / "cache" if how else None
        run(f"import numba.extending\n{how}\n{WORK}", cache, str(tmp_path / name), name)
    with np.load(tmp_path / "as they are.npz") as one, np.load(tmp_path / "missing.npz") as other:
        assert len(one) == 16
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def run(code: str, cache: Path | None, *arguments: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    env |= {"NUMBA_CACHE_DIR": str(cache)} if cache else {}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=env, timeout=300)
