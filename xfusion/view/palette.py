"""Colours of numbers: in grey by their lightness, which rises or falls evenly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MEAN, SPREAD, APART, SHARE = "YlGnBu", "magma", "PuOr", "cividis"  # of matplotlib

# at every sixteenth, for pages without matplotlib
STOPS = {
    MEAN: (
        "#ffffd9 #f6fbc5 #edf8b1 #daf0b3 #c6e9b4 #a2dbb8 #7ecdbb #5fc1c0 #40b5c4 "
        "#2ea3c2 #1d90c0 #2076b3 #225da8 #24489d #243392 #162874 #081d58"
    ),
    SPREAD: (
        "#000004 #0a0822 #1d1147 #36106b #51127c #6a1c81 #832681 #9c2e7f #b73779 "
        "#d0416f #e75263 #f56b5c #fc8961 #fea772 #fec488 #fde2a3 #fcfdbf"
    ),
    SHARE: (
        "#00224e #002e6a #1a386f #32436d #434e6c #535a6d #61656f #6f7073 #7d7c78 "
        "#8c8878 #9b9476 #aba072 #bcae6c #cdbb63 #dec958 #f0d846 #fee838"
    ),
    APART: (
        "#7f3b08 #a04d07 #be630a #db7d12 #ef9e3c #fdbd6e #fed7a2 #fbe9cf #f6f6f7 "
        "#e3e4ef #cecde4 #b6b0d4 #988dbe #7967a6 #5d3790 #44176f #2d004b"
    ),
}
RAMPS: Mapping[str, Sequence[str]] = {name: stops.split() for name, stops in STOPS.items()}
