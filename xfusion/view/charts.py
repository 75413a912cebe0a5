"""Charts of a report, as SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from .markup import Markup, element, joined
from .percentages import in_percent

WIDTH, HEIGHT, LEFT, TOP, SIDE = 340, 330, 52, 12, 256
CENTRE = 0.5
BINS = 10  # of a reliability diagram, as of the scores


def ramp(identity: str, colours: Sequence[str], low: str, high: str, *, name: str) -> Markup:
    """Return a colour scale with what its ends stand for.

    Parameters
    ----------
    identity : str
        Of its gradient in the page.
    colours : sequence of str
    low, high : str
    name : str
        What it is the scale of.
    """
    last = len(colours) - 1
    stops = [
        element("stop", offset=f"{k / last:.4f}", stop_color=colour)
        for k, colour in enumerate(colours)
    ]
    gradient = element("linearGradient", *stops, id=identity)
    bar = element("rect", width=150, height=12, fill=f"url(#{identity})", stroke="#777")
    drawn = element(
        "svg",
        element("title", f"Colours of {name}: from {low} to {high}"),
        element("defs", gradient),
        bar,
        width=152,
        height=13,
        viewBox="-1 -0.5 152 13",
        role="img",
    )
    return joined(low, " ", drawn, " ", high)


def swatch(colour: str) -> Markup:
    """Return a patch of a colour."""
    box = element("rect", x=0.5, y=0.5, width=13, height=13, fill=colour, stroke="#777")
    return element("svg", box, width=14, height=14, aria_hidden="true")


def share_bar(share: float) -> Markup:
    """Return a bar as long as a share."""
    inside = element("rect", width=round(100 * share, 3), height=10, fill="currentColor")
    outside = element("rect", width=100, height=10, fill="currentColor", opacity="0.12")
    ratio = {"preserveAspectRatio": "none", "viewBox": "0 0 100 10"}
    return element("svg", outside, inside, aria_hidden="true", **ratio)


def reliability(scores: xr.Dataset) -> Markup:
    """Return the reliability diagram of a probability: how often it came true.

    Parameters
    ----------
    scores : Dataset
        Of :func:`xfusion.assess`, of a binary reference; of the pixels that are usable.
    """
    edges = np.append(scores["mu_bin"].to_numpy(), 1.0)
    middle = (edges[:-1] + edges[1:]) / 2
    wet, dry = (scores[name].to_numpy() for name in ("wet", "dry"))
    bins = np.minimum((edges[:-1] * BINS + 1e-9).astype(int), BINS - 1)
    both, hits, sums = (
        np.bincount(bins, weights=w, minlength=BINS) for w in (wet + dry, wet, (wet + dry) * middle)
    )
    there = both > 0
    predicted, observed = sums[there] / both[there], hits[there] / both[there]
    shares = both[there] / max(both.sum(), np.finfo(float).tiny)
    places = [_at(x, y) for x, y in zip(predicted, observed, strict=True)]
    line = element(
        "polyline",
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places),
        fill="none",
        stroke="#0072b2",
        stroke_width=2,
    )
    dots = []
    for (x, y), p, o, share in zip(places, predicted, observed, shares, strict=True):
        said = element(
            "title", f"predicted {p:.3f}, came true {o:.3f}, {in_percent(share)} of the area"
        )
        radius = round(3 + 9 * float(np.sqrt(share)), 1)
        dots.append(
            element(
                "circle",
                said,
                cx=round(x, 1),
                cy=round(y, 1),
                r=radius,
                fill="#0072b2",
                fill_opacity="0.65",
                stroke="currentColor",
            )
        )
    return _framed(
        _diagonal(),
        line,
        *dots,
        across="predicted probability",
        up="share that came true",
        title="Reliability diagram: predicted probability against the share that came true",
    )


def pit(scores: xr.Dataset) -> Markup:
    """Return the histogram of the probability integral transform of a quantity.

    Parameters
    ----------
    scores : Dataset
        Of :func:`xfusion.assess`, of a continuous reference; of the pixels that are usable.
    """
    shares = np.nan_to_num(scores["pit"].to_numpy())
    count = len(shares)
    top = max(2.0, float(shares.max(initial=0) * count))
    bars = []
    for k, share in enumerate(shares):
        height = share * count / top * SIDE
        bars.append(
            element(
                "rect",
                element("title", f"{k / count:.2f} to {(k + 1) / count:.2f}: {in_percent(share)}"),
                x=round(LEFT + k / count * SIDE + 0.5, 2),
                y=round(TOP + SIDE - height, 2),
                width=round(SIDE / count - 1, 2),
                height=round(height, 2),
                fill="#0072b2",
            )
        )
    y = TOP + SIDE - SIDE / top
    even = element(
        "line",
        x1=LEFT,
        x2=LEFT + SIDE,
        y1=round(y, 1),
        y2=round(y, 1),
        stroke="currentColor",
        stroke_dasharray="5 4",
    )
    return _framed(
        *bars,
        even,
        across="place of the reference in what was predicted",
        up="density",
        top=top,
        title="Histogram of the probability integral transform: even where sigma is right",
    )


def coverage(scores: xr.Dataset) -> Markup:
    """Return how much of the reference is inside central intervals, against their probability.

    Parameters
    ----------
    scores : Dataset
        As of :func:`pit`.
    """
    levels, shares = scores["level"].to_numpy(), np.nan_to_num(scores["coverage"].to_numpy())
    places = [_at(x, y) for x, y in zip(levels, shares, strict=True)]
    line = element(
        "polyline",
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places),
        fill="none",
        stroke="#0072b2",
        stroke_width=2,
    )
    dots = [
        element(
            "circle",
            element("title", f"interval of {in_percent(level, 0)}: {in_percent(share)} inside"),
            cx=round(x, 1),
            cy=round(y, 1),
            r=5,
            fill="#0072b2",
            stroke="currentColor",
        )
        for (x, y), level, share in zip(places, levels, shares, strict=True)
    ]
    return _framed(
        _diagonal(),
        line,
        *dots,
        across="probability of the interval",
        up="share inside",
        title="Coverage: the share of references inside central intervals",
    )


def _at(x: float, y: float) -> tuple[float, float]:
    return LEFT + float(x) * SIDE, TOP + SIDE - float(y) * SIDE


def _diagonal() -> Markup:
    (x1, y1), (x2, y2) = _at(0, 0), _at(1, 1)
    return element(
        "line", x1=x1, y1=y1, x2=x2, y2=y2, stroke="currentColor", stroke_dasharray="5 4"
    )


def _framed(*marks: Markup, across: str, up: str, title: str, top: float = 1.0) -> Markup:
    frame = element(
        "rect", x=LEFT, y=TOP, width=SIDE, height=SIDE, fill="none", stroke="currentColor"
    )
    ticks = []
    for place in (0.0, CENTRE, 1.0):
        x, y = _at(place, place)
        ticks.append(_text(f"{place:g}", x, TOP + SIDE + 17, "middle"))
        ticks.append(_text(f"{place * top:.3g}", LEFT - 6, y + 4, "end"))
    middle = TOP + SIDE / 2
    labels = [
        _text(across, LEFT + SIDE / 2, TOP + SIDE + 38, "middle"),
        _text(up, 14, middle, "middle", transform=f"rotate(-90 14 {middle:g})"),
    ]
    view = {"viewBox": f"0 0 {WIDTH} {HEIGHT}"}
    return element(
        "svg", element("title", title), frame, *marks, *ticks, *labels, role="img", **view
    )


def _text(content: str, x: float, y: float, anchor: str, **more: str) -> Markup:
    style = {"text_anchor": anchor, "font_size": 12, "fill": "currentColor"}
    return element("text", content, x=round(x, 1), y=round(y, 1), **style, **more)
