"""Shares as percent: everywhere with a space before the sign."""

from __future__ import annotations

KEPT = "\u00a0"  # a space where no line is broken


def in_percent(share: float, digits: int = 1) -> str:
    """Return a share as percent for people, such as "12.5 %".

    Examples
    --------
    >>> in_percent(0.125), in_percent(0.5, 0)
    ('12.5 %', '50 %')
    """
    return f"{100 * share:.{digits}f} %"


def kept_together(text: str) -> str:
    """Return a text in which no line is broken before a sign of percent."""
    return text.replace(" %", f"{KEPT}%")


def let_go(text: str) -> str:
    """Return a text that was kept together, after it is broken into lines."""
    return text.replace(KEPT, " ")
