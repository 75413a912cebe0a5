"""A report of a result: one file with maps, tables, charts and where it is from."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from xfusion.assessment.correlation_range import Correlation
from xfusion.assessment.truth import Kind
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MU
from xfusion.datamodel.redaction import public
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.raster.file import FilePath
from xfusion.run.objects import folder_of, is_address

from .embedding import side_within
from .evidence import Statistics, evidence_of
from .looking import SIDE, look
from .map_layers import in_dtypes, layers_of
from .page import GENERATOR, page_of
from .summary import Summary
from .whereabouts import indexed, north_up, place_of

BEGINNING = 4096  # bytes of a file that tell whether it is a report


def report(
    dataset: Retrieval,
    /,
    path: FilePath,
    *,
    reference: xr.DataArray | None = None,
    sensors: Sequence[Retrieval] = (),
    threshold: float | None = None,
    correlation: Correlation = None,
    kind: Kind | None = None,
    statistics: Statistics = "all",
    overwrite: bool = False,
) -> Path:
    """Write a report of a result: one HTML file that needs no network, below 15 MB.

    Maps of all layers that move together, with values and reasons under the cursor; tables of
    sources, reasons, statistics and completeness; the area and its uncertainty; with a reference
    scores and calibration; parameters, inputs with links, versions, how to cite.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval of one map, dims (y, x) or (latitude, longitude), usually a fused one. Further
        variables of these dims are shown as well. A lazy one is read once for the numbers, and
        once, thinned, for the maps.
    path : path
        Of the file, such as ``"report.html"``. Its folder is made if it is missing.
    reference : DataArray, optional
        What is true, on the same grid, as :func:`xfusion.assess` takes it.
    sensors : sequence of Dataset or product, optional
        Retrievals on the same grid, such as those that were fused, to be shown beside the result.
    threshold, correlation
        Of the area, see :func:`xfusion.area`; a result of ``xfusion fuse --threshold`` has its own
        threshold unless one is given. Without a correlation the one is taken that is
        measured against the reference, :func:`xfusion.error_correlation`; and without a
        reference the uncertainty is a range, from independent errors to errors that are alike.
    kind : {"binary", "continuous"}, optional
        What the reference is, see :func:`xfusion.assess`.
    statistics : {"all", "shown"}
        Read all pixels once for numbers and area; or make them of those that the maps show, and
        leave the area out: a look at a result that has not been computed.
    overwrite : bool
        Replace a file that is no report of xfusion. A report is always replaced.

    Returns
    -------
    Path
        Of the file, which is there once it is whole.

    Raises
    ------
    ValueError
        If there is a dim besides the spatial ones, or none; if `reference` or a sensor is on
        another grid; if `path` is an address.
    FileExistsError
        If the file exists and is no report, unless `overwrite`. Nothing is computed before.

    Notes
    -----
    A map has one cell for so many pixels that the file stays below 15 MB, at most 1024 cells a
    side; the page says how many. A value under the cursor is that of one pixel, in steps that the
    page states, or, of large files with overviews and of stores with levels, the mean that these
    have.

    Nothing in an attribute or a name can run in the page, and secrets in addresses are left out.

    Examples
    --------
    >>> import tempfile, numpy as np, xfusion as xf
    >>> water = xf.retrieval(np.full((20, 30), 0.8), np.full((20, 30), 0.1), sensor="radar")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = water.fusion.report(f"{folder}/report.html")
    ...     path.name, path.stat().st_size < 15_000_000
    ('report.html', True)
    """
    return report_and_summary(
        dataset,
        path,
        reference=reference,
        sensors=sensors,
        threshold=threshold,
        correlation=correlation,
        kind=kind,
        statistics=statistics,
        overwrite=overwrite,
    )[0]


def report_and_summary(
    dataset: Retrieval,
    path: FilePath,
    *,
    reference: xr.DataArray | None = None,
    sensors: Sequence[Retrieval] = (),
    threshold: float | None = None,
    correlation: Correlation = None,
    kind: Kind | None = None,
    statistics: Statistics = "all",
    overwrite: bool = False,
) -> tuple[Path, Summary]:
    """Write a report, see :func:`report`, and return its numbers too, so that they are read once.

    Parameters
    ----------
    dataset, path, reference, sensors, threshold, correlation, kind, statistics, overwrite
        As of :func:`report`.
    """
    one = _one_map(as_retrieval(dataset))
    _check(statistics)
    target = report_target(path, overwrite=overwrite)
    layers_there, layers = layers_of(one, sensors, reference)
    place = place_of(one)
    shape = tuple(one.sizes[dim] for dim in spatial_dims(one) or ())
    of_cell = sum(layer.of_cell for layer in layers) + 1
    side = side_within((shape[0], shape[1]), of_cell, most=SIDE)
    if statistics == "all":  # all pixels are read in any case: each cell is a pixel, not a mean
        looked = look(indexed(layers_there).drop_encoding(), side=side, most=math.inf)
    else:
        looked = look(indexed(layers_there), side=side)
    looked = in_dtypes(looked, layers)
    found = evidence_of(
        one,
        looked,
        has_grid=place.geobox is not None,
        reference=reference,
        threshold=threshold,
        correlation=correlation,
        kind=kind,
        statistics=statistics,
    )
    page = page_of(one, north_up(looked, place), layers, place, found, sensors)
    return _written(page, target, overwrite=overwrite), found.summary


def _check(statistics: Any) -> None:
    if statistics not in ("all", "shown"):
        msg = f"{statistics=}: must be 'all' or 'shown'"
        raise ValueError(msg)


def _one_map(dataset: xr.Dataset) -> xr.Dataset:
    """Return a retrieval without dims of one label besides the spatial ones."""
    dims = spatial_dims(dataset[MU])
    if dims is None:
        msg = f"mu has the dims {dataset[MU].dims}, a report shows rows and columns: ('y', 'x')"
        raise ValueError(msg)
    others = [dim for dim in dataset[MU].dims if dim not in dims]
    long = [dim for dim in others if dataset.sizes[dim] != 1]
    if long:
        msg = (
            f"mu has the dims {long} besides rows and columns, a report shows one map: select it, "
            f".isel({long[0]}=0)"
        )
        raise ValueError(msg)
    if not dataset[MU].size:
        msg = f"mu has no pixels: its sizes are {dict(dataset[MU].sizes)}"
        raise ValueError(msg)
    return dataset.isel(dict.fromkeys(others, 0)).transpose(..., *dims)


def report_target(path: FilePath, *, overwrite: bool) -> Path:
    """Return where a report goes; what is no report is not replaced, unless `overwrite`."""
    text = os.fspath(path)
    if is_address(text):
        msg = f"{public(text)} is an address, a report is a file of this machine: copy it there"
        raise ValueError(msg)
    target = folder_of(text)
    _refuse_another(target, overwrite=overwrite)
    return target


def _refuse_another(target: Path, *, overwrite: bool) -> None:
    if target.is_dir():
        msg = f"{target} is a folder: name a file in it, {target / 'report.html'}"
        raise FileExistsError(msg)
    if overwrite or not target.exists():
        return
    with target.open("rb") as file:
        ours = f'content="{GENERATOR}'.encode() in file.read(BEGINNING)
    if not ours:
        msg = f"{target} exists and is no report: pass overwrite=True to replace it"
        raise FileExistsError(msg)


def _written(page: str, target: Path, *, overwrite: bool) -> Path:
    """Write a page aside, then put it in its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{os.getpid()}-{threading.get_ident()}-{target.name}")
    try:
        aside.write_text(page, encoding="utf-8", newline="\n")
        _refuse_another(target, overwrite=overwrite)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return target
