"""What a result contains: sensors, shares of pixels by source and by mask, parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import usable
from xfusion.datamodel.flags import Exclusion, contributors
from xfusion.datamodel.grid import crs_name, crs_text, geobox_of, spatial_dims
from xfusion.datamodel.names import CONFLICT, MASK, MU, SOURCE
from xfusion.datamodel.provenance import JOB
from xfusion.datamodel.times import as_text, moment_of, moments_of
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.run.memory import compute
from xfusion.series.folder import DatedRetrieval, retrievals_in
from xfusion.store.write import is_store

from .results import open_result

CODES = 256  # of uint8 flags
NO_PARAMETERS = ("sensor", "Conventions", JOB)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Shares are of all pixels, 0 to 1."""

    sensors: tuple[str, ...]
    sizes: Mapping[str, int]
    crs: str | None
    time: str | None
    usable: float
    """Share of pixels that have an estimate."""
    contributions: Mapping[str, float]
    """Sensor to the share of pixels that it contributed to, 0 where it did to none."""
    sources: Mapping[str, float]
    """Sensors that contributed, joined by "+", to the share of pixels; "none" where none did."""
    conflict: float
    """Share of pixels where sensors contradict each other, see :func:`xfusion.gaussian`."""
    masks: Mapping[str, float]
    """Reason of exclusion to the share of pixels; a pixel may have several."""
    parameters: Mapping[str, str]
    """What the result was made with."""


def summarise(dataset: Retrieval) -> Summary:
    """Summarise a retrieval; a lazy one is read, block by block.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, usually a fused one.

    Returns
    -------
    Summary
    """
    dataset = as_retrieval(dataset)
    layers: dict[str, xr.DataArray] = {"usable": usable(dataset)}
    layers |= {name: dataset[name] for name in (MASK, SOURCE, CONFLICT) if name in dataset}
    counted = compute(xr.Dataset({name: _counts(layer) for name, layer in layers.items()}))
    counts = {name: counted[name].to_numpy() / dataset[MU].size for name in layers}
    names = str(dataset[SOURCE].attrs.get("flag_meanings", "")).split() if SOURCE in dataset else []
    sensors = names or str(dataset.attrs.get("sensor", "")).split("+")
    return Summary(
        sensors=tuple(name for name in sensors if name),
        sizes={str(d): n for d, n in dataset[MU].sizes.items()},
        crs=_crs(dataset),
        time=_time(dataset.coords.get("time")),
        usable=float(counts["usable"][1]),
        contributions=_by_sensor(counts[SOURCE], names) if SOURCE in counts else {},
        sources=_by_source(counts[SOURCE], names) if SOURCE in counts else {},
        conflict=float(counts[CONFLICT][1]) if CONFLICT in counts else 0.0,
        masks=_by_reason(counts[MASK]) if MASK in counts else {},
        parameters={str(k): str(v) for k, v in dataset.attrs.items() if k not in NO_PARAMETERS},
    )


def lines_of(summary: Summary, *, name: str) -> list[str]:
    """Return a summary as lines of text.

    Parameters
    ----------
    summary : Summary
    name : str
        Of the result.
    """
    lines = [f"{name}: {_size(summary.sizes)}{_in_crs(summary.crs)}"]
    lines.append(f"sensors: {', '.join(summary.sensors) or 'unknown'}")
    lines += [f"time: {summary.time}"] if summary.time else []
    lines.append(f"usable: {summary.usable:.1%}")
    if summary.conflict:
        number = round(summary.conflict * math.prod(summary.sizes.values()))
        apart = f"sensors are further apart than 3 sigmas of each{_advice(summary.parameters)}"
        lines.append(f"conflict: {number} pixels, {summary.conflict:.1%}: {apart}")
    for title, shares in (
        ("pixels by sensor", summary.contributions),
        ("pixels by source", summary.sources),
        ("excluded", summary.masks),
    ):
        if shares:
            lines += [title, *(f"  {k:<32}{share:>8.1%}" for k, share in shares.items())]
    if summary.parameters:
        lines += ["parameters", *(f"  {k:<32}{value}" for k, value in summary.parameters.items())]
    return lines


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


def lines_of_path(path: str, *, name: str) -> list[str]:
    """Return what a path holds as lines of text: a result, or a folder of several by their dates.

    Raises
    ------
    ValueError
        As :func:`open_result`.
    """
    folder = Path(path)
    if not is_store(path) and folder.is_dir() and not (folder / f"{MU}.tif").exists():
        there = retrievals_in(folder)
        if len(there) > 1:
            return _lines_of_series(there, name)
    return lines_of(summarise(open_result(path)), name=name)


def _lines_of_series(there: Sequence[DatedRetrieval], name: str) -> list[str]:
    """Return the retrievals of a folder, of which only the metadata are known."""
    grids = {_size(each.dataset[MU].sizes) + _in_crs(_crs(each.dataset)) for each in there}
    days = [np.datetime_as_string(r.time, unit="D") for r in there if r.time is not None]
    sensors = {each.sensor: None for each in there if each.sensor}
    lines = [f"{name}: {len(there)} retrievals, {', or '.join(sorted(grids))}"]
    lines.append(f"sensors: {', '.join(sensors) or 'unknown'}")
    lines += [f"time: {days[0]} to {days[-1]}"] if days else []
    lines.append("retrievals")
    for each in there:
        time = "no date" if each.time is None else as_text(each.time)
        lines.append(f"  {time:<22}{each.sensor or 'unknown':<16}{each.file.name}")
    lines.append(f"what one of them contains: xfusion info {name}/{there[0].file.name}")
    return lines


def _time(label: xr.DataArray | None) -> str | None:
    """Return the time of a retrieval, or the first and the last of a cube."""
    moment = moment_of(label)
    if moment is not None:
        return str(moment.astype("datetime64[s]"))
    moments = None if label is None or not label.size else moments_of(label.to_numpy())
    if moments is None or np.isnat(moments).any():
        return None
    first, last = (str(each.astype("datetime64[s]")) for each in (moments.min(), moments.max()))
    return f"{first} to {last}, {moments.size} dates"


def _counts(layer: xr.DataArray) -> xr.Variable:
    """Return how many pixels have each code."""
    if layer.chunks is None:
        codes = np.bincount(layer.to_numpy().astype(np.uint8).ravel(), minlength=CODES)
        return xr.Variable("code", codes)
    import dask.array as da

    edges = np.arange(CODES + 1) - 0.5
    return xr.Variable("code", da.histogram(layer.data.astype(np.uint8), bins=edges)[0])


def _by_source(shares: Any, names: list[str]) -> dict[str, float]:
    return {
        contributors(code, names): float(share)
        for code, share in enumerate(shares[: 1 << len(names)])
        if share
    }


def _by_sensor(shares: Any, names: list[str]) -> dict[str, float]:
    codes = np.arange(CODES)
    return {name: float(shares[codes >> bit & 1 > 0].sum()) for bit, name in enumerate(names)}


def _by_reason(shares: Any) -> dict[str, float]:
    codes = np.arange(CODES)
    by_reason = {str(f.name).lower(): float(shares[codes & f.value > 0].sum()) for f in Exclusion}
    return {name: share for name, share in by_reason.items() if share}


def _size(sizes: Mapping[Any, int]) -> str:
    return " x ".join(f"{d} {n}" for d, n in sizes.items())


def _in_crs(text: str | None) -> str:
    """Return what to call a CRS, whose text may be long."""
    from odc.geo.crs import CRS

    if text is None:
        return ""
    return f", {text if text.startswith('EPSG:') else crs_name(CRS(text))}"


def _crs(dataset: xr.Dataset) -> str | None:
    if spatial_dims(dataset) is None or "spatial_ref" not in dataset.coords:
        return None
    return crs_text(geobox_of(dataset).crs)
