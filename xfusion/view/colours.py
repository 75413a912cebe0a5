"""Colours that a page has besides those of its layers."""

from __future__ import annotations

NOTHING = "#ececec"  # where there is no value
EXCLUDED = "#b5b5b5"
