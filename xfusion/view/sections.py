"""What a report says below its maps: numbers, sources, reasons, area, scores."""

from __future__ import annotations

import xarray as xr

from xfusion.datamodel.names import MASK, MU, SIGMA, SOURCE

from . import charts
from .evidence import PERCENTILES, Evidence
from .markup import Markup, element
from .summary import Summary
from .tables import number, paragraph, percent, section, shares, table

SHOWN_ONLY = "Of the cells shown in the maps, not of all pixels: the report was made so."
ALL = "Of all pixels."
BINARY = (
    "iou",
    "f1",
    "precision",
    "recall",
    "accuracy",
    "kappa",
    "bias",
    "brier",
    "brier_reliability",
    "brier_resolution",
    "log_loss",
    "ece",
    "average_precision",
    "roc_auc",
    "z2",
)
CONTINUOUS = ("bias", "rmse", "mae", "crps", "z2")
ABOUT_BINARY = (
    "Of usable pixels. On the dashed line, what is said to happen with a probability does so that "
    "often; the larger a dot, the more area."
)
ABOUT_CONTINUOUS = (
    "Of usable pixels. Bars at the dashed line, and dots on it, are those of a sigma that is "
    "right; a hollow in the middle is one of a sigma that is too small."
)
BY_SOURCE = {"binary": ("iou", "brier", "z2"), "continuous": ("bias", "rmse", "z2")}


def statistics(found: Evidence, units: str) -> Markup:
    """Return ranges, means and percentiles."""
    summary = found.summary
    rows = []
    for name in (MU, SIGMA):
        of = summary.statistics[name]
        exact = [number(n) for n in (of.minimum, of.mean, of.maximum)]
        rows.append([name, *exact, *(number(n) for n in found.percentiles[name])])
    head = ["", "minimum", "mean", "maximum", *(f"{p} %" for p in PERCENTILES)]
    said = "Minimum, mean and maximum of all usable pixels"
    if not found.of_all:
        said = "Minimum, mean and maximum of the usable cells shown in the maps"
    where = f", in {units}" if units else ""
    caption = f"{said}{where}; percentiles of the usable cells shown in the maps."
    usable = f"{percent(summary.usable)} of the pixels are usable: they have an estimate."
    return section(
        "statistics", "Statistics", paragraph(usable), table(caption, head, rows, numbers=-1)
    )


def sources(found: Evidence, dataset: xr.Dataset) -> Markup:
    """Return who contributed where, and where sensors contradict each other."""
    summary = found.summary
    of = ALL if found.of_all else SHOWN_ONLY
    content = []
    if SOURCE not in dataset.data_vars:
        names = ", ".join(summary.sensors) or "a sensor without a name"
        content.append(paragraph(f"This is a retrieval of {names}: no layer says who contributed."))
    else:
        each = summary.contributions.items()
        content.append(
            shares(f"Pixels that a sensor contributed to. {of}", ("sensor", "share"), each)
        )
        among = sorted(summary.sources.items(), key=lambda pair: -pair[1])
        content.append(
            shares(f"Pixels by all that contributed. {of}", ("contributors", "share"), among[:64])
        )
    if summary.conflict is not None:
        content.append(
            paragraph(
                f"Sensors contradict each other in {percent(summary.conflict)} of the pixels: they "
                "are further apart than 3 sigmas of each, so that sigma may be too small there."
            )
        )
    return section("sources", "Sources", *content)


def reasons(found: Evidence, dataset: xr.Dataset) -> Markup:
    """Return why pixels are excluded."""
    if MASK not in dataset.data_vars:
        return section(
            "reasons", "Reasons of exclusion", paragraph("There is no mask: nothing is excluded.")
        )
    of = ALL if found.of_all else SHOWN_ONLY
    pairs = sorted(found.summary.masks.items(), key=lambda pair: -pair[1])
    caption = f"Pixels that no sensor had an estimate of, by reason; a pixel may have several. {of}"
    named = [(name.replace("_", " "), share) for name, share in pairs]
    return section("reasons", "Reasons of exclusion", shares(caption, ("reason", "share"), named))


def areas(found: Evidence, dataset: xr.Dataset) -> Markup:
    """Return the area and its uncertainty, and what that takes for granted."""
    title, summary = "Area", found.summary
    if not found.of_all:
        said = 'It takes all pixels, and this report read only those it shows: statistics="all".'
        return section("area", title, paragraph(said))
    if not summary.areas:
        return section("area", title, paragraph(f"There is none: {summary.no_area}."))
    one = summary.areas[0]
    rows = [
        ["all pixels", number(one.total, 6), ""],
        ["usable pixels", number(one.usable, 6), ""],
        ["not usable: nothing is known of it", number(one.total - one.usable, 6), ""],
    ]
    content: list[Markup] = []
    if one.expected is not None:
        most, least = number(one.sigma_alike, 3), number(one.sigma_independent, 3)
        own = number(one.sigma, 3) if one.sigma is not None else f"{least} to {most}"
        rows.insert(0, [f"expected: {summary.area_of}", number(one.expected, 6), own])
        content.append(paragraph(element("strong", f"{number(one.expected)} km² "), f"± {own} km²"))
        content += _assumed(found, least, most)
    head = ["", "area, km²", "standard uncertainty, km²"]
    content.append(table("On the ellipsoid. Of all pixels.", head, rows, numbers=-1))
    if one.expected is None:
        content.append(paragraph(f"No area is expected of the quantity: {summary.no_area}."))
    elif "aleatoric" not in dataset.attrs and summary.area_of and "sum of mu" in summary.area_of:
        content.append(
            paragraph(
                "Of a probability sigma must be the whole error, as what is true is 0 or 1. "
                "Nothing in this result says so (xf.add_aleatoric): the uncertainty may be too "
                "small.",
                note=True,
            )
        )
    return section("area", title, *content)


def _assumed(found: Evidence, least: str, most: str) -> list[Markup]:
    """Return what the uncertainty takes the correlation of errors for."""
    summary: Summary = found.summary
    bounds = (
        f"{least} km² if each pixel errs alone, which is far too sure of a map, and {most} km² if "
        "all err alike"
    )
    if found.correlation == "given":
        taken = f"Errors of two pixels are taken to go together by {summary.correlation}"
        said = f"{taken}. It would be {bounds}."
    elif found.correlation == "measured":
        said = (
            "How errors of two pixels go together was measured against the reference on this very "
            f"map, and sigma by the errors that were found. It would be {bounds}."
        )
    else:
        said = (
            "No correlation of errors was given and there is no reference to measure it with, so "
            f"the uncertainty is a range: {bounds}. With correlation= it is one number."
        )
    return [paragraph(said)]


def calibration(found: Evidence) -> Markup:
    """Return scores and charts, or that there is no reference."""
    title, scores = "Calibration and scores", found.scores
    if scores is None:
        said = "No reference was given, so nothing here was compared with what is true."
        return section("calibration", title, paragraph(said))
    binary = scores.attrs["kind"] == "binary"
    names = [n for n in (BINARY if binary else CONTINUOUS) if n in scores]
    rows = [
        [name, *(number(float(n)) for n in scores[name]), scores[name].attrs.get("long_name", "")]
        for name in names
    ]
    counts = [f"{int(n):,}" for n in scores["count"]]
    rows.append(["count", *counts, "pixels that are scored"])
    caption = "Against the reference. All: every pixel of known truth that has mu."
    head = ["score", "all pixels", "usable pixels", "what it is"]
    content = [table(caption, head, rows, numbers=2)]
    usable = scores.sel(pixels="usable")
    if int(usable["count"]):
        drawn = (
            [charts.reliability(usable)]
            if binary
            else [charts.pit(usable), charts.coverage(usable)]
        )
        figures = [element("figure", chart) for chart in drawn]
        content.insert(0, element("div", *figures, class_="charts"))
        said = ABOUT_BINARY if binary else ABOUT_CONTINUOUS
        content.insert(1, paragraph(said, note=True))
    if found.by_source is not None:
        content.append(_by_source(found.by_source, BY_SOURCE[str(scores.attrs["kind"])]))
    return section("calibration", title, *content)


def _by_source(scores: xr.Dataset, names: tuple[str, ...]) -> Markup:
    usable = scores.sel(pixels="usable")
    rows = []
    for k, group in enumerate(usable["group"].to_numpy()):
        one = usable.isel(group=k)
        if int(one["count"]):
            rows.append(
                [str(group), f"{int(one['count']):,}", *(number(float(one[n])) for n in names)]
            )
    return table(
        "Usable pixels by who contributed.", ["contributors", "pixels", *names], rows, numbers=-1
    )


def completeness(found: Evidence, attrs: dict[str, object], missing: int) -> Markup:
    """Return what masks were found, and what could not be read."""
    masks, of = found.summary.masks, ALL if found.of_all else SHOWN_ONLY
    items = attrs.get("mask_items_found", 0)
    if not masks:
        return section("completeness", "Completeness", paragraph("There is no mask."))
    rows = [
        ["items that masks are from", str(items)],
        ["assets that items lack", str(missing)],
        ["pixels without any observation for a mask (unknown)", percent(masks.get("unknown", 0.0))],
        ["pixels that could not be read (read failed)", percent(masks.get("read_failed", 0.0))],
        ["usable pixels", percent(found.summary.usable)],
    ]
    if "none" in found.summary.sources or found.summary.sources:
        seen = 1 - found.summary.sources.get("none", 0.0)
        rows.append(["pixels that some sensor has seen", percent(seen)])
    return section("completeness", "Completeness", table(of, ["", ""], rows, numbers=-1))
