"""make fuzz tries what it says, counts it, and stops at what is wrong."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests import fuzzing

ROOT = Path(__file__).parents[1]


# of whose kernels each dtype is compiled anew
LONG = ("assess", "fuse")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.thorough] * (case.__name__ in LONG))
        for case in fuzzing.CASES
    ],
    ids=lambda case: case.__name__,
)
def test_some_random_inputs_of_each_function_end_well(case: fuzzing.Case) -> None:
    assert fuzzing.run(case, 8, 0, 600.0) == 8


def test_it_states_its_count() -> None:
    command = [sys.executable, "-m", "tests.fuzzing", "--only", "merge_mask", "--count", "3"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert "NUMBA_BOUNDSCHECK=1" in done.stdout
    assert done.stdout.endswith("merge_mask   3 cases\n3 cases, none failed\n")


def test_a_case_that_fails_is_named_with_its_seed() -> None:
    def differing(rng: np.random.Generator) -> None:
        # which differ in the sign of zero alone
        zero = xr.DataArray([0.0 * rng.random()])
        fuzzing.assert_same(zero, -zero)

    with pytest.raises(AssertionError) as caught:
        fuzzing.run(differing, 3, 7, 600.0)
    assert caught.value.__notes__ == ["differing, seed=7, case 0"]
