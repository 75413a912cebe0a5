"""Colours of flags, in files, pictures and reports alike: told apart by colour-blind readers.

They are also apart in grey, by their lightness.
"""

from __future__ import annotations

from collections.abc import Sequence

# Found by a search: 9 steps of lightness (CIE L* from 17 to 89), hues so that each two are at least
# 30 apart in CIE 1976, as all see them and as in deuteranopia and protanopia (Machado et al. 2009)
CATEGORIES = (
    "#256e9c",
    "#0ddbee",
    "#7f4309",
    "#6ec151",
    "#060098",
    "#60ff29",
    "#1a4444",
    "#798dff",
    "#638767",
)
REASONS = {
    "cloud": "#0ddbee",
    "shadow": "#060098",
    "vegetation": "#6ec151",
    "defective": "#7f4309",
    "gfm": "#256e9c",
    "unknown": "#638767",
    "read_failed": "#60ff29",
    "user": "#798dff",
}
SEVERAL = "#1a4444"  # reasons
OTHERS = CATEGORIES[-1]  # combinations of many sensors that have no colour of their own
PLAIN = "#ffffff"  # usable, in a mask
MISSING = "#d9d9d9"  # no estimate, and so nobody who contributed
CONTRADICTION = "#d55e00"


def colours_of_source(sensors: int) -> dict[int, str]:
    """Return value of a source -> its colour; sensors alone have the first."""
    alone = [1 << bit for bit in range(sensors)]
    together = [code for code in range(1 << sensors) if code.bit_count() > 1]
    together.sort(key=lambda code: (-code.bit_count(), code))
    own = dict(zip([*alone, *together], CATEGORIES[:-1], strict=False))
    return {0: MISSING} | {code: own.get(code, OTHERS) for code in (*alone, *together)}


def colours_of_mask(reasons: Sequence[str]) -> dict[int, str]:
    """Return value of a mask -> its colour, of the names of its bits in words or as flags have."""
    table = {0: PLAIN} | dict.fromkeys(range(1, 1 << len(reasons)), SEVERAL)
    for bit, name in enumerate(reasons):
        own = REASONS.get(name.replace(" ", "_"))
        table[1 << bit] = own or CATEGORIES[bit % len(CATEGORIES)]
    return table
