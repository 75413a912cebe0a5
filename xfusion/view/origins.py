"""Where a result is from: parameters, inputs with links, versions, and how to cite it."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from xfusion.datamodel.names import CALIBRATED
from xfusion.datamodel.provenance import (
    ASSETS_MISSING,
    BY_TIME,
    CATALOG,
    COLLECTION,
    FILES,
    ITEMS,
    ITEMS_FOUND,
    LINKS,
    OFFSETS,
    SCENE_ITEMS,
    SCENE_LINKS,
    item_links,
    scene_links,
)
from xfusion.datamodel.redaction import public, without_secrets
from xfusion.datamodel.times import as_text, moment_of
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.datamodel.version import __version__

from . import citing
from .markup import Markup, element, joined
from .tables import MOST_ROWS, link, paragraph, section, shortened, table

OF_MASKS = (CATALOG, COLLECTION, ITEMS, ITEMS_FOUND, ASSETS_MISSING, OFFSETS, LINKS, BY_TIME)
NO_PARAMETERS = ("sensor", "Conventions", *OF_MASKS)
SHOWN_AS_INPUTS = (FILES, SCENE_ITEMS, SCENE_LINKS)  # and a sensor
PACKAGES = ("numpy", "xarray", "dask", "numba", "odc-geo", "pyproj", "rasterio", "zarr")
SECRET = re.compile(
    r"passw|secret|token|api_?key|credential|signature|authori[sz]ation|cookie", re.IGNORECASE
)


def text_of(name: str, value: Any) -> str:
    """Return an attribute as text, without what is secret in it."""
    if SECRET.search(name):
        return "not shown, as its name is that of a secret"
    text = " ".join(str(value).split())
    return shortened(without_secrets(text, ""))


def parameters(attrs: Mapping[Any, Any]) -> Markup:
    """Return what the result was made with, by its attributes."""
    attrs = {str(k): v for k, v in attrs.items() if k not in NO_PARAMETERS}
    attrs = {k: v for k, v in attrs.items() if not k.startswith(SHOWN_AS_INPUTS)}
    if not attrs:
        return section("parameters", "Parameters", paragraph("The result says none."))
    rows = [[shortened(name), text_of(name, value)] for name, value in attrs.items()]
    return section(
        "parameters", "Parameters", table("Attributes of the result.", ["name", "value"], rows)
    )


def inputs(attrs: Mapping[Any, Any], sensors: Sequence[Retrieval]) -> Markup:
    """Return what the result is from, with links where they lead to the web."""
    content: list[Markup] = []
    if sensors:
        rows = [_sensor(k, as_retrieval(each)) for k, each in enumerate(sensors)]
        head = ["sensor", "time", "calibration"]
        content.append(table("Retrievals that are shown beside the result.", head, rows))
    files = {str(k): str(v) for k, v in attrs.items() if str(k).startswith(FILES)}
    if files:
        of_sensors = [
            [shortened(name.removeprefix(FILES)), joined(*_linked(told))]
            for name, told in files.items()
        ]
        content.append(table("Files that were fused.", ["sensor", "files"], of_sensors))
    content += _scenes(attrs)
    for name, said in ((CATALOG, "Catalogues of the masks"), (COLLECTION, "Collections")):
        words = [link(public(word)) for word in str(attrs.get(name, "")).split()]
        if words:
            listed = [part for word in words for part in (", ", word)][1:]
            content.append(paragraph(f"{said}: ", *listed))
    content += _items(attrs)
    if not content:
        content = [paragraph("The result does not say what it is from.")]
    return section("inputs", "Inputs", *content)


def _linked(files: str) -> list[Any]:
    """Return files after one another, with links to those on the web."""
    shown = [link(public(f)) if "://" in f else shortened(f) for f in files.split(", ")]
    return [part for file in shown for part in (", ", file)][1:]


def _scenes(attrs: Mapping[Any, Any]) -> list[Markup]:
    """Return the items that retrievals were made of."""
    rows = [
        [shortened(sensor), shortened(item), link(public(href)) if href else "not known"]
        for sensor, items in scene_links(attrs).items()
        for item, href in items.items()
    ]
    head = ["sensor", "item", "where it is"]
    about = "Scenes that retrievals were made of."
    return [table(about, head, rows[:MOST_ROWS], of=len(rows))] if rows else []


def _sensor(number: int, dataset: xr.Dataset) -> list[str]:
    moment = moment_of(dataset.coords.get("time"))
    return [
        shortened(str(dataset.attrs.get("sensor", f"sensor {number + 1}"))),
        "not said" if moment is None else as_text(moment),
        text_of(CALIBRATED, dataset.attrs.get(CALIBRATED, "none")),
    ]


def _items(attrs: Mapping[Any, Any]) -> list[Markup]:
    words = str(attrs.get(ITEMS, "")).split()
    if not words:
        return []
    links = {k.replace(" ", "%20"): href for k, href in item_links(attrs).items()}
    rows = []
    for word in words[:MOST_ROWS]:
        href = links.get(word, "")
        rows.append([shortened(word), link(public(href)) if href else "not known"])
    return [table("Items that the masks are from.", ["item", "where it is"], rows, of=len(words))]


def versions(dataset: xr.Dataset) -> Markup:
    """Return what made the report, and how to cite it."""
    rows = [["xfusion", __version__], ["Python", platform.python_version()]]
    for name in PACKAGES:
        try:
            rows.append([name, importlib.metadata.version(name)])
        except importlib.metadata.PackageNotFoundError:
            continue
    made = {k: v for k, v in dataset.attrs.items() if "version" in str(k).lower()}
    rows += [[f"{shortened(str(k))} of the result", text_of(str(k), v)] for k, v in made.items()]
    authors = ", ".join(f"{family}, {given}" for family, given in citing.PAPER_AUTHORS)
    paper = joined(
        f"{authors} ({citing.YEAR}): {citing.PAPER}. ",
        f"{citing.CONFERENCE}, {citing.NUMBER}. ",
        link(f"https://doi.org/{citing.DOI}"),
    )
    software = f"{citing.AUTHORS}: xfusion, version {__version__}."
    return section(
        "versions",
        "Versions and citation",
        table("What wrote this report.", ["package", "version"], rows, numbers=-1),
        element("h3", "How to cite"),
        paragraph("The abstract that the method follows, and the software itself:"),
        element("ul", element("li", paper), element("li", software)),
    )
