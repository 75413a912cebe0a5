"""Warnings that point at the line of the caller."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import FrameType


def warn(message: str) -> None:
    """Warn at the line that called this package, through an accessor or not."""
    here, level = str(Path(__file__).parents[1]), 1
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # inspect.stack reads sources
    while frame is not None and frame.f_code.co_filename.startswith(here):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def is_for_one_group() -> bool:
    """Whether ``groupby(...).map`` or ``resample(...).map`` of xarray calls, for a group of many.

    It concatenates what it gets, and of attributes keeps those of the first group for all.
    """
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # inspect.stack reads sources
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.startswith("xarray.") and module.endswith((".groupby", ".resample")):
            return True
        frame = frame.f_back
    return False
