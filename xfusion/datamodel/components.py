"""Which names can be those of a file or folder: one component of a path, and nothing else."""

from __future__ import annotations

from collections.abc import Hashable

SEPARATORS = "/\\\0"
RELATIVE = ("", ".", "..")
LONGEST = 200  # bytes: file systems take 255, and more is added to a name


def is_component(name: Hashable) -> bool:
    """Whether a name stays where it is put, as a file or folder there."""
    return (
        isinstance(name, str)
        and name not in RELATIVE
        and not any(separator in name for separator in SEPARATORS)
        and len(name.encode(errors="replace")) <= LONGEST
    )
