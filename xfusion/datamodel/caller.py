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
