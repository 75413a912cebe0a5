"""What a lazy Dataset is computed with, in words: found in its graph, not in its attributes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from xfusion.datamodel.graph import parts_of, tasks_of_layers
from xfusion.datamodel.grid import crs_name, unit_suffix
from xfusion.fusion.block import FusionTask
from xfusion.masks.mosaic import Mosaic, WarpedBands
from xfusion.masks.odc_bands import OdcBands
from xfusion.series.block import SeriesTask
from xfusion.warp.on_block import Warp
from xfusion.warp.pixel_mapping import PixelMapping

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

DEFAULTS = {
    "fusion_nonfinite_sigma": "exclude",
    "fusion_sigma_floor": 1e-6,
    "fusion_correlation": 0,
}


def steps_of(graph: Any) -> list[str]:
    """Return what a graph does, a line for each operation, inputs first.

    Parameters
    ----------
    graph : dask.highlevelgraph.HighLevelGraph
    """
    words: dict[str, None] = {}
    for tasks in tasks_of_layers(_in_order(graph)):
        words |= dict.fromkeys(_words(tasks, set()))
    return [*words]


class _InOrder:
    """A graph whose layers come after those that they need, in the same order each time."""

    def __init__(self, graph: Any) -> None:
        place = {name: k for k, name in enumerate(graph.layers)}
        self.layers: dict[str, Any] = {}
        left = [*reversed(place)]
        while left:
            name = left.pop()
            # sets of names are in another order in each process
            needed = sorted(graph.dependencies.get(name, ()), key=lambda n: place.get(n, -1))
            before = [n for n in needed if n in place and n not in self.layers]
            if before:
                left += [name, *reversed(before)]
            else:
                self.layers[name] = graph.layers[name]


def _in_order(graph: Any) -> Any:
    return _InOrder(graph) if hasattr(graph, "layers") else graph


def _words(part: Any, seen: set[int]) -> Iterator[str]:
    if id(part) in seen:
        return
    seen.add(id(part))
    for kind, words in WORDS.items():
        if isinstance(part, kind):
            yield words(part)
            return
    rule = _rule_of(part)
    if rule is not None:
        yield rule
        return
    # how a mosaic is made of items is no step of its own
    inside = part.items if isinstance(part, Mosaic) else parts_of(part)
    for inner in inside:
        yield from _words(inner, seen)


def _rule_of(part: Any) -> str | None:
    """Return what a rule of masks or a calibration does with a block, None of anything else."""
    function = part.func if isinstance(part, functools.partial) else part
    module = str(getattr(function, "__module__", ""))
    room = module.removeprefix("xfusion.").partition(".")[0]
    if not module.startswith("xfusion.") or not callable(function):
        return None
    name = str(getattr(function, "__name__", "")).strip("_").replace("_", " ")
    if module.startswith("xfusion.assessment.appl"):
        return "calibration of mu and sigma"
    if module.startswith("xfusion.assessment.aleatoric"):
        return "sigma with the aleatoric part added"
    if room != "masks" or not name:
        return None
    keywords = getattr(part, "keywords", {})
    numbers = [f"{k}={v}" for k, v in keywords.items() if isinstance(v, float | int)]
    return f"mask: rule {name}" + (f", {', '.join(numbers)}" if numbers else "")


def _of_warp(warp: Warp) -> str:
    how = warp.resampling
    if warp.mapping.shift is not None:
        how = "a copy, as pixels coincide"
    rho = "" if warp.error_correlation == 1 else f", error_correlation={warp.error_correlation:g}"
    return f"co-registration: {how}, {_between(warp.mapping)}{rho}"


def _of_bands(bands: WarpedBands | OdcBands) -> str:
    by = " by odc.stac.load" if isinstance(bands, OdcBands) else ""
    names = ", ".join(bands.names)
    return f"bands {names}: {bands.resampling}{by}, {_between(bands.mapping)}"


def _of_fusion(task: FusionTask) -> str:
    said = task.provenance
    given = [
        f"{name.removeprefix('fusion_')}={value}"
        for name, value in said.items()
        if name != "fusion_rule" and not _is_default(name, value)
    ]
    rule = said["fusion_rule"]
    count = task.sensor_count
    what = f"{count} retrievals" if count > 1 else "one retrieval"
    return f"fusion: {rule} of {what}" + (f", {', '.join(given)}" if given else "")


def _is_default(name: str, value: Any) -> bool:
    default = DEFAULTS.get(name)
    return isinstance(value, str | float | int) and value == default


def _of_series(task: SeriesTask) -> str:
    model = task.model if isinstance(task.model, str) else type(task.model).__name__
    what = "smoother" if task.smooth else "filter"
    return f"{what} through time: {model}, {len(task.looks)} dates seen, {task.time_count} given"


def _between(mapping: PixelMapping) -> str:
    return f"{words_of_grid(mapping.source)} to {words_of_grid(mapping.target)}"


def words_of_grid(geobox: GeoBox) -> str:
    """Return CRS and sides of a pixel of a grid, such as "EPSG:32633 at 10 m"."""
    across, down = abs(geobox.resolution.x), abs(geobox.resolution.y)
    sides = f"{across:.7g}" if across == down else f"{across:.7g} x {down:.7g}"
    return f"{crs_name(geobox.crs)} at {sides}{unit_suffix(geobox.crs)}"


WORDS: dict[type[Any], Callable[[Any], str]] = {
    Warp: _of_warp,
    WarpedBands: _of_bands,
    OdcBands: _of_bands,
    FusionTask: _of_fusion,
    SeriesTask: _of_series,
}
