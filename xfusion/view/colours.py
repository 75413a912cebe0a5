"""Colours that colour-blind readers tell apart, also in print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import palette

NOTHING = "#ececec"  # where there is no value
EXCLUDED = "#b5b5b5"
SEVERAL = "#3c3c3c"

# Of matplotlib, at every sixteenth: lightness rises evenly, so that they print in grey
STOPS = {
    "viridis": (
        "#440154 #48186a #472d7b #424086 #3b528b #33638d #2c728e #26828e #21918c "
        "#1fa088 #28ae80 #3fbc73 #5ec962 #84d44b #addc30 #d8e219 #fde725"
    ),
    "magma": (
        "#000004 #0a0822 #1d1147 #36106b #51127c #6a1c81 #832681 #9c2e7f #b73779 "
        "#d0416f #e75263 #f56b5c #fc8961 #fea772 #fec488 #fde2a3 #fcfdbf"
    ),
    "cividis": (
        "#00224e #002e6a #1a386f #32436d #434e6c #535a6d #61656f #6f7073 #7d7c78 "
        "#8c8878 #9b9476 #aba072 #bcae6c #cdbb63 #dec958 #f0d846 #fee838"
    ),
    "puor": (
        "#7f3b08 #a04d07 #be630a #db7d12 #ef9e3c #fdbd6e #fed7a2 #fbe9cf #f6f6f7 "
        "#e3e4ef #cecde4 #b6b0d4 #988dbe #7967a6 #5d3790 #44176f #2d004b"
    ),
}
RAMPS: Mapping[str, Sequence[str]] = {name: stops.split() for name, stops in STOPS.items()}

# by their names in words
REASONS: Mapping[str, str] = {name.replace("_", " "): hue for name, hue in palette.REASONS.items()}
CATEGORIES = palette.CATEGORIES
