"""What all tests have, doctests of the package included."""

import os
import zlib
from collections import defaultdict

import pytest

pytest_plugins = ["tests.working_directory", "tests.kernel_warming"]


NOT_UNLESS_CHOSEN = ("network", "thorough")  # marks


def pytest_configure(config: pytest.Config) -> None:
    """Ask no server on the internet, and try no thousands of cases, unless -m says so."""
    chosen = config.option.markexpr
    terms = [f"({chosen})"] if chosen else []
    terms += [f"not {mark}" for mark in NOT_UNLESS_CHOSEN if mark not in chosen]
    config.option.markexpr = " and ".join(terms)


@pytest.hookimpl(tryfirst=True)  # before -m takes out what is not chosen
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave one in so many cases of a test that is marked so; the others are thorough.

    Which these are is as good as random, and always the same.
    """
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    marks: dict[str, pytest.Mark] = {}
    for item in items:
        mark = item.get_closest_marker("some")
        if mark is not None:
            test = item.nodeid.partition("[")[0]
            cases[test].append(item)
            marks[test] = mark
    for test, found in cases.items():
        found.sort(key=lambda item: zlib.crc32(item.nodeid.encode()))
        for item in found[-(-len(found) // marks[test].kwargs["one_in"]) :]:
            item.add_marker("thorough")


def pytest_xdist_auto_num_workers() -> int:
    """Have one worker more than cores: one in four tests waits, for a server or another process."""
    return (os.cpu_count() or 1) + 1
