"""Nothing that a test, a doctest or a fixture writes by a relative path reaches the checkout."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def outside_of_the_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures of modules run in a folder of the session; programs still find package and tests."""
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        patch.chdir(tmp_path_factory.mktemp("working_directory"))
        yield


@pytest.fixture(autouse=True)
def working_directory(
    outside_of_the_checkout: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each test runs in a folder of its own, which is empty at first."""
    monkeypatch.chdir(tmp_path)
