"""What all tests have, doctests of the package included."""

import os

import pytest

pytest_plugins = ["tests.working_directory", "tests.kernel_warming"]


NOT_UNLESS_CHOSEN = ("network", "thorough")  # marks


def pytest_configure(config: pytest.Config) -> None:
    """Ask no server on the internet, and try no thousands of cases, unless -m says so."""
    chosen = config.option.markexpr
    terms = [f"({chosen})"] if chosen else []
    terms += [f"not {mark}" for mark in NOT_UNLESS_CHOSEN if mark not in chosen]
    config.option.markexpr = " and ".join(terms)


def pytest_xdist_auto_num_workers() -> int:
    """Have one worker more than cores: one in four tests waits, for a server or another process."""
    return (os.cpu_count() or 1) + 1
