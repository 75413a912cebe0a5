"""A summary as lines of text, and as JSON whose keys stay."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from odc.geo.crs import CRS

from xfusion.datamodel.grid import crs_name, unit_suffix

from .percentages import in_percent, kept_together, let_go
from .summary import AreaOfMap, Summary

WIDTH = 80  # columns of a terminal
MOST_MAPS = 12  # that are listed; JSON has all
UNIT = "km2"


def lines_of(summary: Summary, *, name: str) -> list[str]:
    """Return a summary as lines of text, of at most 80 columns where words allow it.

    Parameters
    ----------
    summary : Summary
    name : str
        Of the result.
    """
    lines = [f"{name}: {size_text(summary.sizes)}{crs_suffix(summary.crs)}{_pixel_of(summary)}"]
    lines.append(f"sensors: {', '.join(summary.sensors) or 'unknown'}")
    lines += [f"time: {summary.time}"] if summary.time else []
    lines.append(f"usable: {in_percent(summary.usable)}")
    lines += _ranges(summary)
    lines += _areas(summary)
    lines += [_conflict(summary)] if summary.conflict is not None else []
    for title, shares in (
        ("pixels by sensor", summary.contributions),
        ("pixels by source", summary.sources),
        ("excluded, by reason", {k: share for k, share in summary.masks.items() if share}),
    ):
        if shares:
            lines += [title, *(f"  {k:<32}{in_percent(share):>8}" for k, share in shares.items())]
    if summary.parameters:
        lines += ["parameters", *(f"  {k:<31} {value}" for k, value in summary.parameters.items())]
    return [part for line in lines for part in _wrapped(line)]


def document_of(summary: Summary, *, name: str) -> dict[str, Any]:
    """Return a summary as what JSON can hold; ``docs/command.md`` says what the keys mean.

    Parameters
    ----------
    summary : Summary
    name : str
        Of the result.

    Returns
    -------
    dict
        What is not finite is None.
    """
    maps = [vars(each) for each in summary.areas]
    document = {
        "result": name,
        "sensors": list(summary.sensors),
        "time": summary.time,
        "grid": {
            "sizes": dict(summary.sizes),
            "crs": summary.crs,
            "resolution": summary.resolution,
            "bounds": summary.bounds,
        },
        "pixels": summary.pixels,
        "usable": summary.usable,
        "units": summary.units,
        **{k: vars(of_layer) for k, of_layer in summary.statistics.items()},
        "area": {
            "unit": UNIT,
            "of": summary.area_of,
            "why_not": summary.no_area,
            "correlation": summary.correlation,
            "maps": maps,
        },
        "conflict": summary.conflict,
        "by_sensor": dict(summary.contributions),
        "by_source": dict(summary.sources),
        "by_reason": dict(summary.masks),
        "parameters": dict(summary.parameters),
    }
    finite: dict[str, Any] = _finite(document)
    return finite


def number(value: float) -> str:
    """Return a number for people, to four digits."""
    return "none" if math.isnan(value) else f"{value:.4g}"


def area_text(value: float) -> str:
    """Return an area for people: km2 to four digits, whole ones where it is large."""
    return f"{value:.0f} {UNIT}" if value >= 1000 else f"{value:.4g} {UNIT}"  # noqa: PLR2004  # four digits


def _ranges(summary: Summary) -> Iterator[str]:
    unit = f", in {summary.units}" if summary.units not in (None, "") else ""
    title = f"usable pixels{unit}"
    yield f"{title:<34}{'minimum':>12}{'mean':>12}{'maximum':>12}"
    for name, found in summary.statistics.items():
        numbers = (found.minimum, found.mean, found.maximum)
        yield f"  {name:<32}" + "".join(f"{number(n):>12}" for n in numbers)


def _areas(summary: Summary) -> Iterator[str]:
    if not summary.areas:
        yield f"area: unknown, {summary.no_area}"
    elif len(summary.areas) == 1:
        yield _area_line(summary.areas[0], summary)
        if summary.area_of:
            yield f"  {_uncertainty(summary.areas[0], summary)}"
    else:
        yield from _table_of_areas(summary)


def _area_line(area: AreaOfMap, summary: Summary) -> str:
    of_all = f"{area_text(area.usable)} usable of {area_text(area.total)}"
    if area.expected is None:
        return f"area: {of_all}; {summary.no_area}: give --threshold"
    return f"area: {area_text(area.expected)}, {summary.area_of}, in {of_all}"


def _uncertainty(area: AreaOfMap, summary: Summary) -> str:
    if area.sigma is not None:
        sigma = area_text(area.sigma)
        return f"standard uncertainty {sigma}, errors of pixels correlated as {summary.correlation}"
    least, most = area.sigma_independent, area.sigma_alike
    assert least is not None  # noqa: S101  # as an area is expected
    assert most is not None  # noqa: S101  # as before
    return (
        f"standard uncertainty {area_text(least)} if pixels err independently, {area_text(most)} "
        "if all err alike; --correlation METRES says over what distance they do"
    )


def _table_of_areas(summary: Summary) -> Iterator[str]:
    columns = ["usable", "expected", "sigma from", "to"] if summary.area_of else ["usable"]
    columns[2:] = ["sigma"] if summary.correlation else columns[2:]
    said = f": {summary.area_of}" if summary.area_of else f"; {summary.no_area}: give --threshold"
    yield f"area of each map, {UNIT}, of {area_text(summary.areas[0].total)}{said}"
    if summary.correlation:
        yield f"  sigma: errors of pixels correlated as {summary.correlation}"
    elif summary.area_of:
        yield "  sigma: from where pixels err independently, to where all err alike"
    yield f"  {'':<22}" + "".join(f"{each:>13}" for each in columns)
    for area in summary.areas[-MOST_MAPS:]:
        numbers = [area.usable, area.expected]
        numbers += (
            [area.sigma] if summary.correlation else [area.sigma_independent, area.sigma_alike]
        )
        shown = "".join(f"{number(n):>13}" for n in numbers if n is not None)
        yield f"  {area.time or '':<22}{shown}"
    left = len(summary.areas) - MOST_MAPS
    if left > 0:
        yield f"  and of {left} before: --json"


def _conflict(summary: Summary) -> str:
    share = summary.conflict or 0.0
    pixels = round(share * summary.pixels)
    number_of = "1 pixel" if pixels == 1 else f"{pixels} pixels"
    if not share:
        return "conflict: 0 pixels, 0.0 %"
    apart = f"sensors are further apart than 3 sigmas of each{_advice(summary.parameters)}"
    return f"conflict: {number_of}, {in_percent(share)}: {apart}"


def _advice(parameters: Mapping[str, str]) -> str:
    """Return what may be done about sigma where sensors contradict each other."""
    if "fusion_inflate" in parameters:
        return f", and sigma is larger there, by inflate={parameters['fusion_inflate']!r}"
    rule = parameters.get("fusion_rule", "gaussian")
    if rule != "gaussian":  # which alone can be told so
        return f"; what sigma makes of that is in the rule {rule!r}"
    return (
        ", so sigma is too small there; --inflate birge, or inflate='birge' of xf.gaussian, "
        "enlarges it"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _wrapped(line: str) -> list[str]:
    """Return a line as several where it is too long, those that follow further in."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    parts = textwrap.wrap(
        kept_together(line),
        WIDTH,
        subsequent_indent=indent,
        drop_whitespace=True,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [let_go(part) for part in parts] or [line]


def _pixel_of(summary: Summary) -> str:
    if summary.resolution is None or summary.crs is None:
        return ""
    across, down = summary.resolution
    return f", pixels of {across:.7g} x {down:.7g}{unit_suffix(CRS(summary.crs))}"


def size_text(sizes: Mapping[Any, int]) -> str:
    """Return the lengths of dims for people."""
    return " x ".join(f"{d} {n}" for d, n in sizes.items())


def crs_suffix(text: str | None) -> str:
    """Return what to call a CRS, whose text may be long."""
    if text is None:
        return ""
    return f", {text if text.startswith('EPSG:') else crs_name(CRS(text))}"
