"""What all tests have, doctests of the package included."""

import os

import pytest

pytest_plugins = ["tests.working_directory", "tests.kernel_warming"]


def pytest_configure(config: pytest.Config) -> None:
    """Ask no server on the internet unless the option -m says network."""
    chosen = config.option.markexpr
    if "network" not in chosen:
        config.option.markexpr = f"({chosen}) and not network" if chosen else "not network"


def pytest_xdist_auto_num_workers() -> int:
    """Have one worker more than cores: one in four tests waits, for a server or another process."""
    return (os.cpu_count() or 1) + 1
