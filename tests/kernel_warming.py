"""Compile the kernels that many tests need once, before workers start.

Else each worker, and each program that a test starts meanwhile, would compile the same ones. A run
without workers compiles what its tests need, no more.
"""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.pluginmanager.has_plugin("dsession"):  # which starts the workers, later
        from xfusion.warming import warm

        warm(progress=False)
