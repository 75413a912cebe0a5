"""The numbers of a report: of all pixels in one pass, or of those that are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from xfusion.assessment.assessing import assess
from xfusion.assessment.correlation_of_errors import error_correlation
from xfusion.assessment.correlation_range import Correlation
from xfusion.assessment.pixel_errors import check_is_share
from xfusion.assessment.truth import Kind
from xfusion.datamodel.building import usable
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import CONFLICT, MASK, MU, SIGMA, SOURCE, SPATIAL_REF
from xfusion.run.memory import compute

from .census import threshold_of
from .map_layers import LOOKED
from .summary import Summary, summarise

Statistics: TypeAlias = Literal["all", "shown"]
PERCENTILES = (5, 25, 50, 75, 95)
SUMMARISED = (MU, SIGMA, MASK, SOURCE, CONFLICT)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a report says in numbers."""

    summary: Summary
    of_all: bool
    """Whether that is of all pixels, or of those that are shown."""
    percentiles: Mapping[str, Sequence[float]]
    """"mu" and "sigma" to PERCENTILES, of usable pixels that are shown; NaN without any."""
    scores: xr.Dataset | None
    by_source: xr.Dataset | None
    measured: xr.DataArray | None
    """Correlation of errors, measured against the reference."""
    correlation: str
    """Whose correlation the area has: "given", "measured", or none, ""."""


def evidence_of(
    dataset: xr.Dataset,
    looked: xr.Dataset,
    *,
    has_grid: bool,
    reference: xr.DataArray | None,
    threshold: float | None,
    correlation: Correlation,
    kind: Kind | None,
    statistics: Statistics,
) -> Evidence:
    """Return the numbers of a report.

    Parameters
    ----------
    dataset : Dataset
        A retrieval of one map, checked.
    looked : Dataset
        Its look, in memory.
    has_grid : bool
        Whether it has a place, and so areas.
    reference, threshold, correlation, kind, statistics
        As of :func:`~xfusion.view.reporting.report`.
    """
    threshold = threshold_of(dataset, threshold)
    scores, by_source, measured = _judged(
        dataset, reference, has_grid=has_grid, threshold=threshold, kind=kind
    )
    whose = "given" if correlation is not None else "measured" if measured is not None else ""
    summed: dict[str, Any] = {"threshold": threshold}
    if correlation is not None or measured is not None:
        summed["correlation"] = correlation if correlation is not None else measured
    layers = dataset[[n for n in SUMMARISED if n in dataset.data_vars]]
    if not has_grid:
        layers = layers.drop_vars(SPATIAL_REF, errors="ignore")
    if statistics == "shown":
        summary = summarise(_as_one_row(layers, looked))
    else:
        summary = summarise(layers, **summed)
    return Evidence(
        summary=summary,
        of_all=statistics == "all",
        percentiles=_percentiles(looked),
        scores=scores,
        by_source=by_source,
        measured=measured,
        correlation=whose if statistics == "all" and summary.areas else "",
    )


def _judged(
    dataset: xr.Dataset,
    reference: xr.DataArray | None,
    *,
    has_grid: bool,
    threshold: float | None,
    kind: Kind | None,
) -> tuple[xr.Dataset | None, xr.Dataset | None, xr.DataArray | None]:
    """Return scores, scores by source, and the correlation of errors, in one pass."""
    if reference is None:
        return None, None, None
    # labels that are no grid have no areas: each pixel counts the same
    options: dict[str, Any] = {"kind": kind, "weights": "area" if has_grid else "equal"}
    wanted = {"scores": assess(dataset, reference, **options)}
    if SOURCE in dataset.data_vars:
        wanted["by_source"] = assess(dataset, reference, by="source", **options)
    binary = wanted["scores"].attrs["kind"] == "binary"
    if has_grid and (threshold is not None or (binary and _is_share(dataset))):
        measured = error_correlation(dataset, reference, threshold=threshold)
        wanted["measured"] = measured.to_dataset(name="measured")
    found = _together(wanted)
    measured_there = found["measured"]["measured"] if "measured" in found else None
    return found["scores"], found.get("by_source"), measured_there


def _is_share(dataset: xr.Dataset) -> bool:
    try:
        check_is_share(dataset)
    except ValueError:
        return False
    return True


def _together(datasets: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Compute several Datasets at once, as they are made of the same pixels."""
    apart = {
        (name, key): xr.Variable([f"{name}.{d}" for d in v.dims], v.data)
        for name, dataset in datasets.items()
        for key, v in dataset.variables.items()
        if v.chunks is not None
    }
    computed = compute(xr.Dataset({f"{name}.{key}": v for (name, key), v in apart.items()}))
    return {
        name: dataset.assign(
            {
                key: (dataset[key].dims, computed[f"{name}.{key}"].to_numpy(), dataset[key].attrs)
                for of, key in apart
                if of == name
            }
        )
        for name, dataset in datasets.items()
    }


def _as_one_row(layers: xr.Dataset, looked: xr.Dataset) -> xr.Dataset:
    """Return the cells of a look that were read, without a place, as they are no map."""
    seen = _seen(looked)
    cells = {
        name: (("y", "x"), looked[name].to_numpy()[seen][None], layers[name].attrs)
        for name in layers.data_vars
    }
    return xr.Dataset(cells, attrs=layers.attrs)


def _percentiles(looked: xr.Dataset) -> dict[str, list[float]]:
    there = usable(looked[[n for n in (MU, SIGMA, MASK) if n in looked.data_vars]]).to_numpy()
    there &= _seen(looked)
    found = {}
    for name in (MU, SIGMA):
        values = looked[name].to_numpy()[there].astype(np.float64)
        found[name] = (
            np.percentile(values, PERCENTILES).tolist()
            if values.size
            else [np.nan] * len(PERCENTILES)
        )
    return found


def _seen(looked: xr.Dataset) -> Any:
    if LOOKED in looked.coords:
        return looked.coords[LOOKED].to_numpy()
    dims = spatial_dims(looked) or looked[MU].dims
    return np.ones([looked.sizes[d] for d in dims], np.bool_)
