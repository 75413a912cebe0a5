"""What a retrieval says of itself in words: its title, its history, and names of what it holds."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import xarray as xr

from .names import CALIBRATED, CONVENTIONS, MU, PREDICTED, SPAN, SPATIAL_REF
from .version import __version__

Of = TypeVar("Of", xr.Dataset, xr.DataArray)
TITLE, HISTORY = "title", "history"
OF_OURS = ", with its standard deviation"  # ends a title that nobody gave
OURS = "xfusion "  # begins the line of a history that nobody gave
LONG_NAMES = {
    SPATIAL_REF: "coordinate reference system",
    "time": "time of acquisition, UTC",
    "sensor": "name of the sensor",
    SPAN[0]: "first acquisition, UTC",
    SPAN[1]: "last acquisition, UTC",
}
# attribute -> what is said with its value
STEPS = {
    PREDICTED: "predicted by {}",
    "fusion_rule": "fused by the rule {}",
    "series_model": "followed through time by the model {}",
    CALIBRATED: "calibrated by {}",
    "mask_collection": "masked by items of {}",
}


def in_words(dataset: xr.Dataset) -> dict[str, str]:
    """Return the title and the history of a retrieval: what its user wrote stays.

    There is no time of day in them: a run that is called again gives the same bytes, and what is
    lazy says the same as what is computed. What they say follows from other attributes, so that
    it is as right after these are changed.
    """
    attrs = dataset.attrs
    said = {TITLE: str(attrs.get(TITLE, ""))}
    if not said[TITLE] or said[TITLE].endswith(OF_OURS):
        by = f" by {attrs['sensor']}" if attrs.get("sensor") else ""
        said[TITLE] = f"{dataset[MU].attrs.get('long_name', 'best estimate')}{by}{OF_OURS}"
    steps = _steps(attrs) or ["estimate and its uncertainty"]
    return said | {HISTORY: _history(attrs, steps)}


def titled(result: xr.Dataset, what: str, *, of: xr.Dataset) -> xr.Dataset:
    """Give what is made of a retrieval, but is none, title, history and names in words."""
    by = f" by {of.attrs['sensor']}" if of.attrs.get("sensor") else ""
    said = {TITLE: f"{what}{by}", HISTORY: _history(of.attrs, [*_steps(of.attrs), what])}
    result = with_long_names(result.assign_attrs(said | {"Conventions": CONVENTIONS}))
    return without_missing_labels(result)


def without_missing_labels(result: Of) -> Of:
    """Say of labels along dims that none is missing, in place: CF has no mark for one that is."""
    for name in result.dims:
        if name in result.coords:
            result.coords[name].encoding["_FillValue"] = None
    return result


def _steps(attrs: Mapping[Any, Any]) -> list[str]:
    return [text.format(attrs[key]) for key, text in STEPS.items() if key in attrs]


def _history(attrs: Mapping[Any, Any], steps: Sequence[str]) -> str:
    return "\n".join([*_lines_of_others(attrs), f"{OURS}{__version__}: {'; '.join(steps)}"])


def histories(datasets: Iterable[xr.Dataset]) -> dict[str, str]:
    """Return the history that several retrievals brought along, each line once, if there is any."""
    lines = dict.fromkeys(line for dataset in datasets for line in _lines_of_others(dataset.attrs))
    return {HISTORY: "\n".join(lines)} if lines else {}


def with_long_names(dataset: xr.Dataset) -> xr.Dataset:
    """Give each variable and coordinate that has no name in words one, in place.

    Its own name, if no better one is known.
    """
    for name in [k for k, v in dataset.variables.items() if "long_name" not in v.attrs]:
        # of an index xarray hands out another variable each time
        array = dataset[name]
        array.attrs = {"long_name": _long_name(name, array.attrs)} | array.attrs
    return dataset


def _long_name(name: Hashable, attrs: Mapping[Any, Any]) -> str:
    text = attrs.get("standard_name") if name not in LONG_NAMES else None
    return LONG_NAMES.get(str(name), str(text or name).replace("_", " "))


def _lines_of_others(attrs: Mapping[Any, Any]) -> list[str]:
    lines = str(attrs.get(HISTORY, "")).splitlines()
    return [line for line in lines if line.strip() and not line.startswith(OURS)]
