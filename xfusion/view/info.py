"""What a path holds, as text: a result, or a folder of several."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xfusion.datamodel.grid import crs_text, geobox_of, has_crs
from xfusion.datamodel.names import MU
from xfusion.datamodel.times import as_text
from xfusion.series.folder import DatedRetrieval, retrievals_in
from xfusion.store.write import is_store

from .listing import crs_suffix, document_of, lines_of, size_text
from .results import open_result
from .summary import summarise


def info_of(
    path: str,
    *,
    name: str,
    as_json: bool = False,
    threshold: float | None = None,
    correlation: float | None = None,
) -> str:
    """Return what a path holds as text: a result, or a folder of several by their dates.

    Parameters
    ----------
    path : str
        As of :func:`~xfusion.view.results.open_result`.
    name : str
        For people.
    as_json : bool
        One object of JSON instead of lines.
    threshold, correlation : float, optional
        As of :func:`~xfusion.view.summary.summarise`.

    Raises
    ------
    ValueError
        As :func:`~xfusion.view.results.open_result` and
        :func:`~xfusion.view.summary.summarise`.
    """
    there = _series_in(path)
    if there is not None:
        series = _document_of_series(there, name)
        return _json(series) if as_json else "\n".join(_lines_of_series(there, name))
    summary = summarise(open_result(path), threshold=threshold, correlation=correlation)
    if as_json:
        return _json(document_of(summary, name=name))
    return "\n".join(lines_of(summary, name=name))


def _series_in(path: str) -> Sequence[DatedRetrieval] | None:
    """Return the retrievals of a folder of several, None of anything else."""
    folder = Path(path)
    if is_store(path) or not folder.is_dir() or (folder / f"{MU}.tif").exists():
        return None
    there = retrievals_in(folder)
    return there if len(there) > 1 else None


def _lines_of_series(there: Sequence[DatedRetrieval], name: str) -> list[str]:
    """Return the retrievals of a folder, of which only the metadata are known."""
    days = [np.datetime_as_string(r.time, unit="D") for r in there if r.time is not None]
    sensors = {each.sensor: None for each in there if each.sensor}
    lines = [f"{name}: {len(there)} retrievals, {', or '.join(_grids(there))}"]
    lines.append(f"sensors: {', '.join(sensors) or 'unknown'}")
    lines += [f"time: {days[0]} to {days[-1]}"] if days else []
    lines.append("retrievals")
    for each in there:
        time = "no date" if each.time is None else as_text(each.time)
        lines.append(f"  {time:<22}{each.sensor or 'unknown':<16}{each.file.name}")
    lines.append(f"what one of them contains: xfusion info {name}/{there[0].file.name}")
    return lines


def _document_of_series(there: Sequence[DatedRetrieval], name: str) -> dict[str, Any]:
    retrievals = [
        {
            "file": each.file.name,
            "sensor": each.sensor or None,
            "time": None if each.time is None else as_text(each.time),
        }
        for each in there
    ]
    return {"result": name, "grids": _grids(there), "retrievals": retrievals}


def _grids(there: Sequence[DatedRetrieval]) -> list[str]:
    found: dict[str, None] = {}
    for each in there:
        crs = crs_text(geobox_of(each.dataset).crs) if has_crs(each.dataset) else None
        found[size_text(each.dataset[MU].sizes) + crs_suffix(crs)] = None
    return sorted(found)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
