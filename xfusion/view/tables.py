"""Tables of a report: of numbers and texts, with headers that readers of screens find."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from .charts import share_bar
from .markup import Markup, element, escaped, joined

MOST_ROWS = 500
LONGEST = 2000  # letters of a text
LONG_WORD = 24  # letters: on a phone a column that is as wide as this leaves no place for another
POWER = re.compile(r"[-+]?\d[\d.,]*e[-+]?\d+")


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: int = 0,
    of: int | None = None,
) -> Markup:
    """Return a table whose rows begin with what they are of.

    Parameters
    ----------
    caption : str
    head : sequence of str
        Names of the columns.
    rows : iterable of sequences
        Markup or text; of more than MOST_ROWS the first, and how many there are.
    numbers : int
        How many columns behind the first hold numbers: all of them with -1.
    of : int, optional
        How many rows there are, if not all are given.
    """
    rows = [*rows]
    count = len(head) - 1 if numbers < 0 else numbers
    kinds = ["text", *["number"] * count, *["text"] * (len(head) - 1 - count)]
    titles = [
        element("th", name, scope="col", class_="number" if kind == "number" else None)
        for name, kind in zip(head, kinds, strict=True)
    ]
    body = [_row(row, kinds) for row in rows[:MOST_ROWS]]
    total = len(rows) if of is None else of
    said = caption if total <= MOST_ROWS else f"{caption} The first {MOST_ROWS} of {total}."
    return element(
        "div",
        element(
            "table",
            element("caption", said),
            element("thead", element("tr", *titles)),
            element("tbody", *body),
        ),
        class_="scrolls",
    )


def shares(caption: str, head: tuple[str, str], pairs: Iterable[tuple[str, float]]) -> Markup:
    """Return a table of shares, 0 to 1, with bars."""
    rows = []
    for name, share in pairs:
        cells = [
            _head_of_row(shortened(name)),
            element("td", percent(share), class_="number"),
            element("td", share_bar(share), class_="bar"),
        ]
        rows.append(element("tr", *cells))
    titles = [
        element("th", head[0], scope="col"),
        element("th", head[1], scope="col", class_="number"),
        element("td", class_="bar"),
    ]
    inside = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *titles)),
        element("tbody", *rows),
    )
    return element("div", inside, class_="scrolls")


def paragraph(*content: object, note: bool = False) -> Markup:
    """Return a paragraph, in whose text no line ends within a number."""
    return element("p", *map(_whole_numbers, content), class_="note" if note else None)


def _whole_numbers(content: object) -> Markup:
    """Return content in which 3.2e-05 is not broken at its hyphen; what is markup stays."""
    if isinstance(content, Markup):
        return content
    text, parts, end = str(content), [], 0
    for found in POWER.finditer(text):
        parts += [text[end : found.start()], element("span", found[0], class_="whole")]
        end = found.end()
    return joined(*parts, text[end:])


def section(identity: str, title: str, *content: Markup) -> Markup:
    """Return a section with its heading."""
    heading = element("h2", title, id=f"{identity}-title")
    return element("section", heading, *content, id=identity, aria_labelledby=f"{identity}-title")


def link(href: str, text: str | None = None) -> Markup:
    """Return a link to an address of the web; of any other the text alone."""
    if not href.lower().startswith(("https://", "http://")):
        return escaped(shortened(text or href))
    return element("a", shortened(text or href), href=href, rel="noopener noreferrer")


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many digits that say something."""
    if value is None or math.isnan(value):
        return "none"
    return f"{value:.{digits}g}"


def percent(share: float) -> str:
    """Return a share as percent, never 0 or 100 of what is not quite so."""
    if math.isnan(share):
        return "none"
    if 0 < share < 0.0001:  # noqa: PLR2004  # what would be rounded to 0
        return "< 0.01 %"
    if 0.9999 < share < 1:  # noqa: PLR2004  # what would be rounded to 100
        return "> 99.99 %"
    return f"{100 * share:.2f} %"


def shortened(text: str) -> str:
    """Return a text that is not longer than a page."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text)} letters)"


def _row(cells: Sequence[object], kinds: Sequence[str]) -> Markup:
    first, *others = cells
    told = [element("td", cell, class_=kind) for cell, kind in zip(others, kinds[1:], strict=True)]
    return element("tr", joined(_head_of_row(first), *told))


def _head_of_row(name: object) -> Markup:
    long = max(map(len, str(name).split()), default=0) >= LONG_WORD
    return element("th", name, scope="row", class_="long" if long else None)
