# ruff: noqa: INP001  # Sphinx and the tests import it by its path
"""The imports between rooms as a figure: boxes in their rows, arrows for what is imported."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from itertools import pairwise

from rooms import ROWS, arrows, purpose

# Of the drawing, in units of its own; it is scaled to the width of the page.
WIDTH, LEFT, PITCH = 760.0, 30.0, 100.0
BOX, HEIGHT, MARGIN = 108.0, 34.0, 14.0
LANE = 9.0  # between arrows that go through one gap
HEAD = (
    '<marker id="rooms-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0.5 8 4 0 7.5z" fill="currentColor"/></marker>'
)
ROW_OF = {room: number for number, row in enumerate(ROWS) for room in row}

Point = tuple[float, float]


def figure() -> str:
    """Return the figure in HTML, in the colour of the text around it, whatever the theme.

    An arrow down that a chain of others implies is not drawn.
    """
    imported = arrows()
    drawn = sorted((a, b) for a in imported for b in imported[a] if not implied(a, b, imported))
    height = PITCH * len(ROWS) - PITCH + HEIGHT + 2 * MARGIN
    parts = [
        '<figure class="rooms">',
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" width="100%" font-size="15" fill="currentColor"',
        ' role="img" aria-label="Imports between rooms, as in the table">',
        f"<defs>{HEAD}</defs>",
    ]
    for number in range(len(ROWS)):
        top = _top(number)
        parts.append(
            f'<rect x="{LEFT:g}" y="{top - MARGIN:g}" width="{WIDTH - LEFT:g}" '
            f'height="{HEIGHT + 2 * MARGIN:g}" rx="6" opacity="0.06"/>'
            f'<text x="8" y="{top + 22:g}" opacity="0.75">{number + 1}</text>'
        )
    for room, number in ROW_OF.items():
        x, top = _centre(room), _top(number)
        parts.append(
            f"<g><title>{escape(purpose(room))}</title>"
            f'<rect x="{x - BOX / 2:g}" y="{top:g}" width="{BOX:g}" height="{HEIGHT:g}" rx="5" '
            'fill="none" stroke="currentColor" pointer-events="all"/>'
            f'<text x="{x:g}" y="{top + 22:g}" text-anchor="middle">{room}</text></g>'
        )
    parts += [
        f'<path d="{way}" fill="none" stroke="currentColor" stroke-width="1.3" opacity="0.8" '
        'marker-end="url(#rooms-head)"/>'
        for way in _ways(drawn)
    ]
    return "\n".join([*parts, "</svg>", "</figure>"])


def implied(a: str, b: str, imported: dict[str, set[str]]) -> bool:
    """Whether a chain of arrows down leads from a to b."""
    between = [c for c in imported[a] if ROW_OF[a] < ROW_OF[c] < ROW_OF[b]]
    return any(b in imported[c] or implied(c, b, imported) for c in between)


def _ways(drawn: list[tuple[str, str]]) -> list[str]:
    """Return the paths of arrows: curves between rows, straight lines through a row's gaps."""
    down = [(a, b) for a, b in drawn if ROW_OF[a] < ROW_OF[b]]
    through: dict[tuple[int, float], int] = defaultdict(int)
    gaps: dict[tuple[str, str], list[Point]] = {}
    for a, b in down:
        gaps[a, b] = []
        for number in range(ROW_OF[a] + 1, ROW_OF[b]):
            share = (number - ROW_OF[a]) / (ROW_OF[b] - ROW_OF[a])
            x = _gap(number, _centre(a) + share * (_centre(b) - _centre(a)))
            lane = through[number, x]
            through[number, x] += 1
            x += LANE * ((lane + 1) // 2) * (-1) ** lane
            gaps[a, b] += [(x, _top(number) - MARGIN), (x, _top(number) + HEIGHT + MARGIN)]
    ways = []
    for a, b in down:
        out = sorted((gaps[e] or [(_centre(e[1]), 0)])[0][0] for e in down if e[0] == a)
        back = sorted((gaps[e] or [(_centre(e[0]), 0)])[-1][0] for e in down if e[1] == b)
        start = _port(a, out, (gaps[a, b] or [(_centre(b), 0)])[0][0])
        end = _port(b, back, (gaps[a, b] or [(_centre(a), 0)])[-1][0])
        points = [
            (start, _top(ROW_OF[a]) + HEIGHT),
            *gaps[a, b],
            (end, _top(ROW_OF[b])),
        ]
        ways.append(_curve(points))
    return ways + [_beside(a, b) for a, b in drawn if ROW_OF[a] == ROW_OF[b]]


def _curve(points: list[Point]) -> str:
    way = f"M{points[0][0]:g} {points[0][1]:g}"
    for number, ((x, y), (u, v)) in enumerate(pairwise(points)):
        half = (y + v) / 2
        # through a row it goes straight
        way += f"L{u:g} {v:g}" if number % 2 else f"C{x:g} {half:g} {u:g} {half:g} {u:g} {v:g}"
    return way


def _beside(a: str, b: str) -> str:
    """Return an arrow between neighbours in a row; one to the right lies above one to the left."""
    right = _centre(a) < _centre(b)
    side = BOX / 2 if right else -BOX / 2
    y = _top(ROW_OF[a]) + HEIGHT * (1 if right else 2) / 3
    return f"M{_centre(a) + side:g} {y:g}L{_centre(b) - side:g} {y:g}"


def _top(number: int) -> float:
    return MARGIN + PITCH * number


def _centre(room: str) -> float:
    row = ROWS[ROW_OF[room]]
    return LEFT + (WIDTH - LEFT) * (row.index(room) + 0.5) / len(row)


def _gap(number: int, x: float) -> float:
    """Return the middle of the gap between boxes of a row, or beside them, that is nearest."""
    centres = [_centre(room) for room in ROWS[number]]
    edges = [LEFT - BOX / 2, *centres, WIDTH + BOX / 2]
    return min(((a + b) / 2 for a, b in pairwise(edges)), key=lambda gap: abs(gap - x))


def _port(room: str, others: list[float], other: float) -> float:
    """Return where at a box an arrow begins or ends, in the order of their other ends."""
    return _centre(room) + BOX * ((others.index(other) + 1) / (len(others) + 1) - 0.5)
