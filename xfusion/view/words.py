"""What came out of a run, in a few plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from .listing import area_text, number
from .percentages import in_percent
from .summary import Summary

SOME = 0.0005  # of all pixels: less is 0.0 %
REASONS = {
    "cloud": "clouds",
    "shadow": "shadows",
    "vegetation": "vegetation",
    "defective": "defective pixels",
    "gfm": "the GFM exclusion mask",
    "unknown": "places that no sensor or mask observed",
    "read_failed": "pixels that could not be read",
    "user": "what you excluded",
}
MOST_REASONS = 3


def sentences(
    summary: Summary, *, verb: str = "Fused", sensors: Sequence[str] | None = None
) -> list[str]:
    """Return two to five sentences on a result: of what it is, how much is usable, and how sure.

    Parameters
    ----------
    summary : Summary
        Of :func:`~xfusion.view.summary.summarise`.
    verb : str
        What was done.
    sensors : sequence of str, optional
        Who was asked, where that is not all who have a say in the result.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> from xfusion.view.summary import summarise
    >>> from xfusion.view.words import sentences
    >>> mu = np.array([[0.2, 0.4]])
    >>> radar, optical = (xf.retrieval(mu, 0.1, sensor=n) for n in ("radar", "optical"))
    >>> for sentence in sentences(summarise(radar.fusion.fuse(optical))):
    ...     print(sentence)
    Fused 2 pixels of radar and optical.
    100.0 % of them have an estimate.
    The mean of mu is 0.3, from 0.2 to 0.4; the mean of sigma is 0.07071.
    """
    asked = list(summary.sensors if sensors is None else sensors)
    pixels = "1 pixel" if summary.pixels == 1 else f"{summary.pixels} pixels"
    said = [f"{verb} {pixels} of {_and(asked or ['one sensor'])}."]
    said.append(_usable(summary, asked))
    if summary.conflict is not None and summary.conflict > 0:
        said.append(
            f"In {_percent(summary.conflict)} of them sensors contradict each other, further "
            "apart than 3 sigmas."
        )
    mu, sigma = summary.statistics["mu"], summary.statistics["sigma"]
    if summary.usable > 0:
        unit = f" {summary.units}" if summary.units not in (None, "", "1") else ""
        said.append(
            f"The mean of mu is {number(mu.mean)}{unit}, from {number(mu.minimum)} to "
            f"{number(mu.maximum)}; the mean of sigma is {number(sigma.mean)}."
        )
    if summary.areas and summary.area_of:
        said += [_area(summary)]
    return said


def _usable(summary: Summary, asked: Sequence[str]) -> str:
    idle = [name for name, share in summary.contributions.items() if not share and name in asked]
    nothing = f"; {_and(idle)} contributed to none" if idle else ""
    usable = f"{_percent(summary.usable).capitalize()} of them have an estimate{nothing}"
    reasons = sorted(((s, n) for n, s in summary.masks.items() if s >= SOME), reverse=True)
    if not reasons or summary.usable == 1:
        return f"{usable}."
    named = [f"{REASONS.get(n, n)} ({_percent(s)})" for s, n in reasons[:MOST_REASONS]]
    return f"{usable}; the rest is lost to {_and(named)}."


def _area(summary: Summary) -> str:
    last = summary.areas[-1]
    of = f" of {last.time}" if last.time else ""
    assert last.expected is not None  # noqa: S101  # as an area is expected
    return (
        f"The area{of} is {area_text(last.expected)} ({summary.area_of}), of "
        f"{area_text(last.usable)} that are usable."
    )


def _percent(share: float) -> str:
    """Return a share for people: none that is there is 0.0 %, and none that lacks some is all."""
    if 0 < share < SOME:
        return f"less than {100 * SOME:g} %"
    return (
        in_percent(share) if share == 1 or share < 1 - SOME else f"more than {100 - 100 * SOME:g} %"
    )


def _and(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
