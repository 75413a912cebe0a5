"""Colours of pictures: apart for colour-blind readers, and in grey by their lightness."""

from __future__ import annotations

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
    "several": "#1a4444",
}
PLAIN = "#ffffff"  # usable, in a mask
MISSING = "#d9d9d9"  # no estimate
MEAN, SPREAD, APART, SHARE = "YlGnBu", "magma", "PuOr", "cividis"  # of matplotlib
