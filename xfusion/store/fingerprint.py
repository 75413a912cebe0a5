"""What a run computes, described so that another run can be compared with it."""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.graph import InGraph, parts_of, tasks_of_layers
from xfusion.datamodel.grid import crs_text, geobox_of, spatial_dims
from xfusion.datamodel.provenance import JOB
from xfusion.datamodel.redaction import public
from xfusion.datamodel.version import __version__
from xfusion.raster.file import RasterFile
from xfusion.raster.patience import is_on_the_web
from xfusion.raster.state import ON_THE_WEB, differ, state_of

INPUT, ASSET, PARAMETER = "input ", "asset ", "parameter "  # begin what a job calls these
SHARDS = "shards"
SHOWN = 3  # differences that an error tells
OF_STEPS = {
    "rasterfile": "the files that are read",
    "warp": "the co-registration",
    "warpedfiles": "the co-registration",
    "pixelmapping": "the co-registration",
    "fusiontask": "the fusion",
    "seriestask": "the filter through time",
    "randomwalk": "the random walk",
    "twostates": "the two states",
    "warpedbands": "the bands of masks",
    "warpeditem": "the items of masks",
    "mosaic": "the mosaic of masks",
    "prediction": "the prediction",
}  # what takes a parameter -> how its user calls it
STANDARD_LIBRARY = sysconfig.get_path("stdlib")


def job_of(dataset: xr.Dataset, *, shards: bool = True) -> dict[str, str]:
    """Describe what a lazy Dataset is computed from: inputs, parameters, grid and blocks.

    Parameters
    ----------
    dataset : Dataset
        A retrieval.
    shards : bool
        As of :func:`~xfusion.to_zarr`.

    Returns
    -------
    dict
        What is described to its description; two runs with equal ones give the same bytes. Local
        files are described by size and time of writing, those on the web by their address without
        its query, arrays in memory by their content.
    """
    job = {"xfusion": __version__, SHARDS: str(shards)}
    job |= metadata_of(dataset) | _of_graph(dataset)
    # last: what nothing before tells apart
    for name, variable in dataset.variables.items():
        job[f"pixels {name}"] = _token(variable)
    return job


def metadata_of(dataset: xr.Dataset) -> dict[str, str]:
    """Describe grid, variables, blocks and attributes: what a store of the Dataset says as well."""
    job: dict[str, str] = {}
    if spatial_dims(dataset) and "spatial_ref" in dataset.coords:
        geobox = geobox_of(dataset)
        job |= {"CRS": crs_text(geobox.crs), "transform": str(tuple(geobox.transform)[:6])}
    for name, variable in dataset.variables.items():
        sizes = ", ".join(f"{d} {n}" for d, n in variable.sizes.items())
        blocks = [c[0] for c in variable.chunks or ()]
        job[f"variable {name}"] = f"{variable.dtype} ({sizes}), blocks of {blocks}"
        job |= {f"attribute {name}.{k}": _as_stored(v) for k, v in variable.attrs.items()}
    job |= {f"attribute {k}": _as_stored(v) for k, v in dataset.attrs.items() if k != JOB}
    return job


def changed_inputs(dataset: xr.Dataset, job: Mapping[str, str]) -> str:
    """Name in a line which files are not what they were when a job was described; "" if none."""
    now = {k: v for k, v in _of_graph(dataset).items() if k.startswith((INPUT, ASSET))}
    changed = {k: v for k, v in now.items() if differ(job.get(k, ON_THE_WEB), v)}
    return differences({k: job[k] for k in changed}, changed) if changed else ""


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Name what differs between two jobs, in a line."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    named = [name for name in names if not name.startswith("pixels ")]
    if not named:
        variables = ", ".join(name.removeprefix("pixels ") for name in names)
        return (
            f"values in memory, or a function or parameter, that {variables} are computed with; "
            "or a class that is defined in a notebook, which is another one each time: import it"
        )
    each = [
        f"{_in_words(n)} was {before.get(n, 'none')}, is {now.get(n, 'none')}"
        for n in named[:SHOWN]
    ]
    more = f"; and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return "; ".join(each) + more


def _in_words(name: str) -> str:
    """Return what a job calls something as its user does."""
    if not name.startswith(PARAMETER):
        return name
    step, _, parameter = name.removeprefix(PARAMETER).rpartition(".")
    return f"{parameter} of {OF_STEPS.get(step, step.strip('_'))}"


def _as_stored(value: Any) -> str:
    """Return an attribute as text, a store having lists of plain numbers for arrays."""
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return str([*plain] if isinstance(plain, tuple) else plain)


def _token(variable: xr.Variable) -> str:
    from dask.base import tokenize

    return str(tokenize(variable.data if variable.chunks is not None else variable.to_numpy()))


def _of_graph(dataset: xr.Dataset) -> dict[str, str]:
    """Describe the files that are read and the parameters of what is done with them."""
    graph = dataset.__dask_graph__()
    texts: dict[str, set[str]] = {}
    for tasks in tasks_of_layers(graph):
        for name, text in _walked(tasks, set()):
            texts.setdefault(name, set()).add(text)
    return {name: ", ".join(sorted(text)) for name, text in sorted(texts.items())}


def _walked(part: Any, seen: set[int]) -> Iterator[tuple[str, str]]:
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, RasterFile):
        # an asset of a catalogue is told by its item as well
        kind = INPUT if part.trusted else ASSET
        assets = not part.trusted and is_on_the_web(part.path)
        yield f"{kind}{public(part.path)}", ON_THE_WEB if assets else state_of(part.path)
    if isinstance(part, functools.partial) and _is_ours(part.func):
        of = part.func.__name__
        yield from (
            (f"{PARAMETER}{of}.{k}", str(v))
            for k, v in part.keywords.items()
            if _text(v) is not None
        )
    if callable(part) and not isinstance(part, type):
        yield from _code(part)
    if isinstance(part, InGraph):
        of = type(part).__name__.lower()
        texts = {name: _text(value) for name, value in part.described().items()}
        yield from ((f"{PARAMETER}{of}.{n}", text) for n, text in texts.items() if text is not None)
    for inner in parts_of(part):
        yield from _walked(inner, seen)


def _is_ours(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).partition(".")[0] == "xfusion"


def _code(function: Any) -> Iterator[tuple[str, str]]:
    """Tell the file of a function of the user's: dask knows what can be imported by its name."""
    module = sys.modules.get(str(getattr(function, "__module__", "")))
    path = getattr(module, "__file__", None)
    installed = path is None or "site-packages" in path or path.startswith(STANDARD_LIBRARY)
    if not installed and not _is_ours(function) and module is not sys.modules["__main__"]:
        yield f"code {path}", state_of(str(path))


def _text(value: Any) -> str | None:
    """Return a parameter as text, None for what is none: a part, or pixels."""
    from odc.geo.geobox import GeoBox

    if isinstance(value, bool | int | float | str | np.dtype | type(None)):
        return str(value)
    if isinstance(value, GeoBox):
        return f"{crs_text(value.crs)} {tuple(value.shape)} {tuple(value.transform)[:6]}"
    if isinstance(value, tuple | Mapping):
        each = value.items() if isinstance(value, Mapping) else enumerate(value)
        texts = {str(name): _text(inner) for name, inner in each}
        if None not in texts.values():
            return str(texts if isinstance(value, Mapping) else tuple(texts.values()))
    return None
