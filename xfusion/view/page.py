"""The page of a report, put together of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.describing import OF_OURS, TITLE
from xfusion.datamodel.grid import sides_text, spatial_dims
from xfusion.datamodel.names import MU
from xfusion.datamodel.provenance import assets_missing, lasting
from xfusion.datamodel.times import as_text, moment_of
from xfusion.datamodel.units import units_of
from xfusion.datamodel.validation import Retrieval
from xfusion.datamodel.version import __version__

from . import charts, origins, sections
from .colours import EXCLUDED, NOTHING
from .embedding import packed_codes, packed_floats, packed_numbers
from .evidence import Evidence
from .map_layers import LOOKED, MapLayer, drawn
from .markup import Markup, data_element, element, escaped, filled, hash_of, joined
from .percentages import in_percent
from .tables import number, paragraph
from .whereabouts import Place, facts_of

GENERATOR = "xfusion report"
POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
CONTENTS = {
    "maps": "Maps",
    "statistics": "Statistics",
    "sources": "Sources",
    "reasons": "Reasons",
    "completeness": "Completeness",
    "area": "Area",
    "calibration": "Calibration",
    "parameters": "Parameters",
    "inputs": "Inputs",
    "versions": "Versions and citation",
}


def page_of(
    dataset: xr.Dataset,
    looked: xr.Dataset,
    layers: Sequence[MapLayer],
    place: Place,
    found: Evidence,
    sensors: Sequence[Retrieval],
) -> str:
    """Return the whole report as HTML.

    Parameters
    ----------
    dataset : Dataset
        The result.
    looked : Dataset
        Its layers in memory, as they are drawn.
    layers : sequence of MapLayer
    place : Place
    found : Evidence
    sensors : sequence of Dataset or product
    """
    dims = spatial_dims(dataset) or dataset[MU].dims
    shape = (dataset.sizes[dims[0]], dataset.sizes[dims[1]])
    title = _title(dataset, found)
    said = drawn(layers, looked)
    facts, ball = facts_of(looked, place, shape)
    data = _embedded(said, layers, looked)
    facts |= {"excluded": EXCLUDED, "nothing": NOTHING, "looked": _looked(said, data, looked)}
    about = _about_maps(looked, said, shape)
    switches, panels = _panels(said)
    for one in said:
        for name in ("legend", "overview", "panel", "shown"):
            one.pop(name, None)
    blobs = [data_element(f"layer-{k}", text) for k, text in enumerate(data)]
    blobs += [] if ball is None else [data_element("ball", packed_floats(ball))]
    own = {name: _own(name) for name in ("report.html", "report.css", "report.js")}
    policy = POLICY.format(script=hash_of(own["report.js"]), style=hash_of(own["report.css"]))
    units, attrs = units_of(dataset[MU]) or "", lasting(dataset.attrs)
    told = [
        sections.statistics(found, units),
        sections.sources(found, dataset),
        sections.reasons(found, dataset),
        sections.completeness(found, dict(dataset.attrs), assets_missing(dataset.attrs)),
        sections.areas(found, dataset),
        sections.calibration(found),
        origins.parameters(attrs),
        origins.inputs(attrs, sensors),
        origins.versions(dataset),
    ]
    return filled(
        own["report.html"],
        policy=policy,
        generator=f"{GENERATOR} {__version__}",
        title=escaped(title),
        style=own["report.css"],
        script=own["report.js"],
        lead=_lead(dataset, place, shape),
        contents=joined(
            *(element("li", element("a", text, href=f"#{name}")) for name, text in CONTENTS.items())
        ),
        about_maps=about,
        switches=switches,
        panels=panels,
        sections=joined(*told),
        data=joined(data_element("facts", facts | {"layers": said}), *blobs),
        footer=paragraph(
            f"Written by xfusion {__version__}. This file is whole: it loads nothing."
        ),
    )


def _own(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _title(dataset: xr.Dataset, found: Evidence) -> str:
    given = str(dataset.attrs.get(TITLE, ""))
    if given and not given.endswith(OF_OURS):
        return origins.text_of(TITLE, given)
    sensors = " + ".join(found.summary.sensors) or "A retrieval"
    moment = moment_of(dataset.coords.get("time"))
    if moment is None:
        return sensors
    # midnight is a day without a time
    return f"{sensors}, {as_text(moment).removesuffix('T00:00:00Z')}"


def _lead(dataset: xr.Dataset, place: Place, shape: tuple[int, int]) -> Markup:
    """Return what the report is of, in a few lines."""
    rows, columns = shape
    lines = [f"{rows:,} rows x {columns:,} columns"]
    if place.geobox is None:
        lines.append(f"no place on the earth is known: {place.why_not}")
    else:
        lines.append(f"pixels of {sides_text(place.geobox)} in {place.crs}")
    span = [dataset.attrs.get(name) for name in ("time_coverage_start", "time_coverage_end")]
    if all(span):
        lines.append(f"acquired from {span[0]} to {span[1]}")
    quantity = dataset[MU].attrs.get("long_name", "")
    units = units_of(dataset[MU])
    what = f"mu: {quantity or 'best estimate'}" + (f", in {units}" if units else "")
    return joined(
        element("p", "; ".join(lines), ".", class_="lead"),
        element("p", f"{what}; sigma: one standard deviation of its error.", class_="lead"),
    )


def _embedded(
    said: list[dict[str, Any]], layers: Sequence[MapLayer], looked: xr.Dataset
) -> list[str]:
    """Return the texts of all layers, and add to what is said of them how they are read."""
    texts = []
    for one, layer in zip(said, layers, strict=True):
        pixels = looked[layer.name].to_numpy()
        packed = packed_numbers(pixels) if layer.kind == "number" else packed_codes(pixels)
        one.update(packed.form)
        texts.append(packed.text)
    return texts


def _looked(said: list[dict[str, Any]], texts: list[str], looked: xr.Dataset) -> int | None:
    """Add the layer that says which cells were read, if not all were, and return its number."""
    if LOOKED not in looked.coords:
        return None
    packed = packed_codes(looked.coords[LOOKED].to_numpy())
    texts.append(packed.text)
    nothing: dict[str, Any] = {
        "title": None,
        "kind": "flags",
        "bits": [],
        "colours": {},
        "mask": None,
    }
    said.append({**nothing, **packed.form, "panel": False, "shown": False, "sampled": False})
    return len(said) - 1


def _about_maps(looked: xr.Dataset, said: list[dict[str, Any]], shape: tuple[int, int]) -> Markup:
    """Return what stands behind a cell."""
    step = int(looked.attrs.get("look_step", 1))
    if step == 1:
        lines = ["Each cell of the maps is one pixel of the result."]
    else:
        pixels = f"{step} x {step} = {step**2:,} pixels of the result"
        middle = "the values are those of the one in the middle"
        lines = [
            f"Each cell of the maps stands for {pixels}, {shape[0]:,} x {shape[1]:,}: {middle}."
        ]
    means = [one["title"] for one in said if one.get("overview", 1) > 1]
    if means:
        factor = max(one.get("overview", 1) for one in said)
        lines.append(
            f"Of {', '.join(means)} overviews were read: a value is that of up to "
            f"{factor} x {factor} pixels there, of numbers their mean."
        )
    if LOOKED in looked.coords:
        share = float(np.mean(looked.coords[LOOKED].to_numpy()))
        lines.append(
            f"Only {in_percent(share)} of the area was computed for the maps, block by block over "
            "all of it; the rest is empty there."
        )
    steps = sorted({one["step"] for one in said if one.get("step")})
    if steps:
        ends = dict.fromkeys(number(step, 2) for step in (steps[0], steps[-1]))
        lines.append(f"Numbers are kept in steps of {' to '.join(ends)}.")
    if any(one["form"] == "rounded" for one in said):
        titles = [one["title"] for one in said if one["form"] == "rounded"]
        lines.append(f"Of {', '.join(titles)}, whose range is wide, to 3 digits.")
    return paragraph(" ".join(lines))


def _panels(said: list[dict[str, Any]]) -> tuple[Markup, Markup]:
    """Return the switches of the layers, and the places where they are drawn."""
    switches, panels = [], []
    for k, one in enumerate(said):
        if not one["panel"]:
            continue
        box = element("input", type="checkbox", data_layer=k, checked=one["shown"])
        switches.append(element("label", box, element("span", one["title"])))
        caption = element(
            "figcaption",
            element("span", one["title"], class_="title"),
            element("span", class_="value"),
        )
        canvas = element("canvas", role="img", aria_label=f"Map of {one['title']}")
        panels.append(
            element(
                "figure", caption, canvas, _legend(k, one), id=f"panel-{k}", hidden=not one["shown"]
            )
        )
    return joined(*switches), joined(*panels)


def _legend(place: int, one: dict[str, Any]) -> Markup:
    if one["kind"] == "number":
        ends = [f"{number(one[end], 3)}" for end in ("from", "to")]
        units = f" {one['units']}" if one["units"] else ""
        bar = charts.ramp(f"ramp-{place}", one["ramp"], *ends, name=one["title"])
        of_mask = one["mask"] is not None
        grey = element("span", charts.swatch(EXCLUDED), " excluded") if of_mask else ""
        return element("p", element("span", bar, units), " ", grey, class_="legend")
    entries = [element("li", charts.swatch(colour), text) for text, colour in one["legend"]]
    return element("ul", *entries, class_="legend")
