"""Where the maps of a picture stand, with the bars and legends beneath them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .figures import new_figure
from .panels import Panel

MOST_COLUMNS = 5
# in inches
MAP, GAP, EDGE = 3.1, 0.15, 0.1  # width of a map, and what is left beside it
TITLE = 0.2  # a line of it
BENEATH = 0.08  # between a map and what is beneath it
BAR, TICKS = 0.13, 0.45  # a bar, and its numbers and label
LINE = 0.17  # of a legend
SINGLE, SHARED = 0.92, 0.6  # width of a bar over that of the map, or the maps, above it


class Bar(NamedTuple):
    """A bar of colours."""

    axis: Any
    """Its own axes, None where it takes its room from those of the map."""
    panels: tuple[int, ...]
    """Positions of the panels whose scale it is."""


def layout(panels: Sequence[Panel], form: float, box: float, *, lines: int) -> tuple[Any, ...]:
    """Return a figure, axes of its panels, and its bars of colours.

    Maps beside each other that have one scale have one bar.

    Parameters
    ----------
    panels : sequence of Panel
    form : float
        Height over width of a map.
    box : float
        Height over width of the room that a map has, in the top of which it stands.
    lines : int
        Of a title.
    """
    rows = -(-len(panels) // MOST_COLUMNS)
    columns = -(-len(panels) // rows)
    parts = [range(len(panels))[k : k + columns] for k in range(0, len(panels), columns)]
    room = MAP * box
    height = min(room, MAP * form)
    feet = [max(_foot(panels[k], room - height) for k in part) for part in parts]
    head = TITLE * lines + BENEATH
    width = 2 * EDGE + columns * MAP + (columns - 1) * GAP
    total = sum(head + room + foot for foot in feet) + EDGE
    figure = new_figure(figsize=(width, total))

    def place(left: float, top: float, wide: float, high: float) -> Any:
        return figure.add_axes((left / width, 1 - (top + high) / total, wide / width, high / total))

    axes, bars = [], []
    top = 0.0
    for part, foot in zip(parts, feet, strict=True):
        top += head
        axes += [place(EDGE + k * (MAP + GAP), top, MAP, room) for k in range(len(part))]
        for group in _of_one_scale(panels, part):
            span = len(group) * (MAP + GAP) - GAP
            wide = span * (SINGLE if len(group) == 1 else SHARED)
            left = EDGE + (group[0] - part[0]) * (MAP + GAP) + (span - wide) / 2
            bars.append(((left, top + height + BENEATH, wide, BAR), tuple(group)))
        top += room + foot
    return figure, axes, [Bar(place(*where), group) for where, group in bars]


def _foot(panel: Panel, spare: float) -> float:
    """Return how much room there is to be beneath the room of a map."""
    needed = LINE * panel.lines if panel.classes else BAR + TICKS
    return max(0.0, needed + 2 * BENEATH - spare)


def _of_one_scale(panels: Sequence[Panel], part: Sequence[int]) -> list[list[int]]:
    """Return positions of panels of numbers in a row, those beside each other of one scale."""
    groups: list[list[int]] = []
    for k in part:
        if panels[k].classes:
            continue
        if groups and groups[-1][-1] == k - 1 and panels[k - 1].scale == panels[k].scale:
            groups[-1].append(k)
        else:
            groups.append([k])
    return groups
