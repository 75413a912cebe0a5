"""The panels of a picture: which layers there are, on which scale, with which legend."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.flags import Exclusion, contributors
from xfusion.datamodel.names import CHI2, MASK, MU, SIGMA, SOURCE, WEIGHT
from xfusion.datamodel.palette import (
    OTHERS,
    PLAIN,
    REASONS,
    SEVERAL,
    colours_of_source,
)
from xfusion.datamodel.units import DIMENSIONLESS, units_of

from .palette import MEAN, SHARE, SPREAD
from .percentages import in_percent, kept_together, let_go
from .scales import edges_of, of_usable, scale_of

# letters that a legend of two columns has at most in a text, and any in a line
BESIDE, BROKEN = 21, 38


@dataclass(frozen=True)
class Panel:
    """One map: numbers on a scale, or classes with their names."""

    title: str
    pixels: NDArray[Any]
    """Numbers, NaN where there is none; or numbers of classes."""
    limits: tuple[float, float] = (0.0, 1.0)
    colours: str = MEAN
    label: str = ""
    """Of the bar of colours, with the units."""
    classes: Sequence[tuple[str, str, float]] = field(default=())
    """Name, colour and share of the pixels that were looked at, of each class."""

    @property
    def scale(self) -> tuple[tuple[float, float], str, str]:
        """What panels have in common that have one bar of colours."""
        return self.limits, self.colours, self.label

    @property
    def legend(self) -> list[str]:
        """What its legend says of each class, in lines that are no wider than a map."""
        said = [f"{name} {in_percent(share)}" for name, _, share in self.classes]
        lines = [textwrap.wrap(kept_together(text).replace("+", "+ "), BROKEN) for text in said]
        return [let_go("\n".join(each)).replace("+ ", "+") for each in lines]

    @property
    def columns(self) -> int:
        """How many columns its legend has."""
        return 1 if max(map(len, self.legend), default=0) > BESIDE else 2

    @property
    def lines(self) -> int:
        """How many lines its legend is high."""
        return -(-sum(text.count("\n") + 1 for text in self.legend) // self.columns)


def panels_of(
    looked: xr.Dataset, sensors: Mapping[str, xr.Dataset], seen: NDArray[np.bool_]
) -> list[Panel]:
    """Return the panels of a retrieval in memory.

    Parameters
    ----------
    looked : Dataset, dims (y, x)
    sensors : mapping of name to Dataset
        In memory, on its grid, without pixels that are not usable.
    seen : array of bool, dims (y, x)
        What was looked at.
    """
    means = {f"{name}: mu": each[MU] for name, each in sensors.items()}
    means["fused: mu" if sensors else "mu"] = looked[MU]
    units = units_of(looked[MU])
    mask = looked[MASK].to_numpy() if MASK in looked else None
    told = [each[MU].to_numpy() for each in sensors.values()]
    limits, colours = scale_of([*told, of_usable(looked[MU].to_numpy(), mask)], units)
    panels = [
        Panel(title, mean.to_numpy(), limits, colours, _labelled("mu", units))
        for title, mean in means.items()
    ]
    fused = "fused: sigma" if sensors else "sigma"
    panels.append(_of_numbers(fused, looked[SIGMA], "sigma", units, SPREAD, mask))
    if SOURCE in looked:
        panels.append(_of_source(looked[SOURCE], seen))
    if MASK in looked:
        panels.append(_of_mask(looked[MASK], seen))
    if WEIGHT in looked:
        dim = next(str(d) for d in looked[WEIGHT].dims if d not in looked[MU].dims)
        for position, name in enumerate(looked[WEIGHT][dim].to_numpy().tolist()):
            pixels = looked[WEIGHT].isel({dim: position}).to_numpy()
            panels.append(Panel(f"weight of {name}", pixels, (0, 1), SHARE, "weight"))
    if CHI2 in looked:
        panels.append(_of_numbers("chi2", looked[CHI2], "reduced chi2", None, SPREAD))
    return panels


def _of_numbers(
    title: str,
    layer: xr.DataArray,
    name: str,
    units: str | None,
    colours: str,
    mask: NDArray[Any] | None = None,
) -> Panel:
    pixels = layer.to_numpy()
    finite = of_usable(pixels, mask)
    high = edges_of(finite)[1] if finite.size else 1.0
    return Panel(title, pixels, (0.0, high if high > 0 else 1.0), colours, _labelled(name, units))


def _labelled(name: str, units: str | None) -> str:
    return name if units in DIMENSIONLESS else f"{name} ({units})"


def _of_source(source: xr.DataArray, seen: NDArray[np.bool_]) -> Panel:
    names = str(source.attrs.get("flag_meanings", "")).split()
    codes = source.to_numpy().astype(np.uint8)
    counts = np.bincount(codes[seen], minlength=256) / max(1, seen.sum())
    several = [int(c) for c in np.argsort(-counts, kind="stable") if counts[c] and c & (c - 1)]
    colours = colours_of_source(len(names))
    rest = [code for code in several if colours[code] == OTHERS]
    if len(rest) == 1:
        rest = []  # it has that colour alone
    named = [code for code in several if code not in rest]
    classes: list[tuple[str, str, float]] = []
    of_code = np.zeros(256, np.uint8)
    for code in (0, *(1 << bit for bit in range(len(names))), *named):
        of_code[code] = len(classes)
        classes.append((contributors(code, names), colours[code], float(counts[code])))
    if rest:
        of_code[rest] = len(classes)
        said = f"{len(rest)} other combinations"
        classes.append((said, OTHERS, float(counts[rest].sum())))
    return Panel("source", of_code[codes], classes=classes)


def _of_mask(mask: xr.DataArray, seen: NDArray[np.bool_]) -> Panel:
    codes = mask.to_numpy().astype(np.uint8)
    counts = np.bincount(codes[seen], minlength=256) / max(1, seen.sum())
    classes = [("usable", PLAIN, float(counts[0]))]
    of_code = np.zeros(256, np.uint8)
    for flag in Exclusion:
        if counts[flag.value]:
            name = str(flag.name).lower()
            of_code[flag.value] = len(classes)
            classes.append((name.replace("_", " "), REASONS[name], float(counts[flag.value])))
    several = [c for c in range(1, 256) if counts[c] and c & (c - 1)]
    if several:
        of_code[several] = len(classes)
        share = float(counts[several].sum())
        classes.append(("several reasons", SEVERAL, share))
    return Panel("mask", of_code[codes], classes=classes)
