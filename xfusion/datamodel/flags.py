"""Why a pixel is excluded, and who contributed to it: the bit flags."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np


class Exclusion(enum.IntFlag):
    """Why a pixel is excluded: the bits of `mask`. 0 is usable."""

    CLOUD = 1
    SHADOW = 2
    VEGETATION = 4
    DEFECTIVE = 8
    GFM = 16
    UNKNOWN = 32
    READ_FAILED = 64
    USER = 128


FLAG_ATTRS: dict[str, Any] = {
    "standard_name": "status_flag",
    "long_name": "reasons for exclusion, 0 where usable",
    "flag_masks": np.array(list(Exclusion), np.uint8),
    "flag_meanings": " ".join(str(flag.name).lower() for flag in Exclusion),
}
FLAG_ATTRS["flag_masks"].flags.writeable = False  # one table, shared by every mask


def contributors(code: int, names: Sequence[str]) -> str:
    """Return the sensors whose bits a `source` has, joined by "+", or "none"."""
    return "+".join(name for bit, name in enumerate(names) if code >> bit & 1) or "none"
