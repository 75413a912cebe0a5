"""Where tests run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.working_directory import REPOSITORY


@pytest.fixture(scope="module")
def of_the_module() -> Path:
    return Path.cwd()


def test_a_test_runs_in_an_empty_folder_of_its_own(tmp_path: Path) -> None:
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_fixtures_of_a_module_run_outside_of_the_checkout(of_the_module: Path) -> None:
    assert not of_the_module.is_relative_to(REPOSITORY)


def test_a_program_that_a_test_starts_has_the_package_of_the_checkout() -> None:
    code = "import tests, xfusion; print(xfusion.__file__)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert Path(ran.stdout.strip()).is_relative_to(REPOSITORY)
