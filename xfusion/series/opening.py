"""A cube of files: those of many times, opened lazily."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import xarray as xr

from xfusion.datamodel.chunks import Chunks
from xfusion.datamodel.comparison import on_grid_of
from xfusion.datamodel.names import MASK, MU, SIGMA
from xfusion.datamodel.redaction import public
from xfusion.datamodel.times import Time, as_time, label_text
from xfusion.fusion.stacking import stack
from xfusion.raster.file import FilePath
from xfusion.raster.opening import CHUNK, open_retrieval
from xfusion.warp.coregistration import coregister

from .cubes import TIME
from .dated_files import EXAMPLE, DatedFiles, paired

Files: TypeAlias = FilePath | Sequence[FilePath]
MaskFiles: TypeAlias = FilePath | Sequence[FilePath | None]
FilesOfOne: TypeAlias = tuple[FilePath, FilePath, FilePath | None]


def open_series(
    mu: Files,
    sigma: Files,
    mask: MaskFiles | None = None,
    *,
    sensor: str | None = None,
    times: Sequence[Time] | None = None,
    like: Any = None,
    chunks: Chunks = CHUNK,
    nodata: float | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> xr.Dataset:
    """Open the rasters of a retrieval of many times lazily, as one cube.

    Parameters
    ----------
    mu, sigma : list of paths or URLs, or pattern
        Files of mean and standard deviation, of each time one. A pattern is a path on this machine
        with the time in it, as ``strftime`` writes it, such as ``"s1_{time:%Y%m%d}_mu.tif"`` or
        ``"{time:%Y}/S1A_*_{time:%Y%m%dT%H%M%S}_mu.tif"``: the files of such names are found, and
        their times read from them, in UTC. A star stands for what else differs, within a name.
    mask : list of paths or URLs, or pattern, optional
        Files of flags, as in :func:`xfusion.raster.open_retrieval`; None in a list is a time
        without.
    sensor
        As in :func:`~xfusion.retrieval`; by default that in the tags of `mu`, if any.
    times : list, optional
        Of lists, the time of each file; by default those in the tags of `mu`.
    like : GeoBox, Dataset, DataArray, product or path, optional
        The grid onto which each time is brought first, by :func:`coregister` with its defaults;
        needed where files differ in grid.
    chunks : int, str, pair, mapping of y and x, or None
        Rows and columns of a block, in one of the ways of xarray: -1 for all of them, "auto", or
        the lengths of all blocks. None reads now. With `like`, its blocks come before.
    nodata : float, optional
        A value of `mu` and `sigma` that means no data, besides what the files declare.
    scale, offset : float, optional
        ``mu = number * scale + offset`` and ``sigma = number * scale``, instead of what the files
        declare. Of integers that declare none it must be said, 1 where they are right as they
        are.

    Returns
    -------
    Dataset
        A retrieval along `time`, in its order, as of :func:`xfusion.stack`, in blocks of one time.
        Opening reads metadata of all files, and no pixel; co-registration then reads the windows
        that it needs straight from the files.

    Raises
    ------
    ValueError
        If there are no files, one has no time or no date of the calendar in its name, two have
        the same time, or one is without its mu or sigma; if they do not lie on one grid and there
        is no `like`; or for what :func:`xfusion.raster.open_retrieval` refuses of each. It names
        the files.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> from tempfile import TemporaryDirectory
    >>> from odc.geo.geobox import GeoBox
    >>> from odc.geo.xr import xr_zeros
    >>> mu = xr_zeros(GeoBox.from_bbox((16, 48, 17, 49), "EPSG:4326", resolution=0.1), dtype="f4")
    >>> with TemporaryDirectory() as folder:
    ...     for day in ("2023-06-20", "2023-06-18"):
    ...         water = xf.retrieval(mu, mu + 0.1, sensor="radar")
    ...         _ = water.fusion.to_cog(folder, prefix=f"{day}_", item=False, progress=False)
    ...     names = (f"{folder}/{{time:%Y-%m-%d}}_{name}.tif" for name in ("mu", "sigma"))
    ...     series = xf.open_series(*names)
    ...     series.time.dt.day.values, series.mu.chunks
    (array([18, 20]), ((1, 1), (10,), (10,)))
    """
    moments, files = _files_of(mu, sigma, mask, times)
    stored: dict[str, Any] = {"nodata": nodata, "scale": scale, "offset": offset}
    scenes: list[xr.Dataset] = []
    for moment, of_one in zip(moments, files, strict=True):
        scene = open_retrieval(*of_one, sensor=sensor, time=moment, chunks=chunks, **stored)
        scenes.append(scene if like is None else coregister(scene, like))
    names = [public(os.fspath(means)) for means, _, _ in files]
    _check_times(scenes, names)
    for scene, name in zip(scenes[1:], names[1:], strict=True):
        on_grid_of(
            scene,
            scenes[0],
            names=(name, names[0]),
            mend="open_series with like= a grid over all, such as xf.common_grid(a, b), or bring "
            "each onto it with coregister",
        )
    return stack(scenes)


def _files_of(
    mu: Files, sigma: Files, mask: MaskFiles | None, times: Sequence[Time] | None
) -> tuple[Sequence[np.datetime64 | None], list[FilesOfOne]]:
    """Return the time of each, None where its file must say it, and its files."""
    given: dict[str, Any] = {MU: mu, SIGMA: sigma} | ({} if mask is None else {MASK: mask})
    single = [name for name, files in given.items() if isinstance(files, str | os.PathLike)]
    if single and len(single) < len(given):
        others = [name for name in given if name not in single]
        msg = (
            f"{single[0]} is a path and {others[0]} a list: give patterns of both, such as "
            f"{EXAMPLE}, or lists of both"
        )
        raise ValueError(msg)
    if single:
        if times is not None:
            msg = f"times= is of lists of files, of a pattern they are in the names: {mu}"
            raise ValueError(msg)
        patterns = {name: _pattern(name, os.fspath(files)) for name, files in given.items()}
        moments, found = paired(patterns)
        masks: Sequence[str | None] = found.get(MASK, [None] * len(moments))
        return moments, [*zip(found[MU], found[SIGMA], masks, strict=True)]
    if isinstance(times, str | np.datetime64 | dt.date):
        msg = f"{times=} is one time: give a list of them, [{times!r}], one for each file"
        raise ValueError(msg)  # noqa: TRY004  # as for all else that is said of files and times
    lists = {name: [*files] for name, files in given.items()}
    if not lists[MU]:
        msg = f"mu is an empty list: give at least one file, or a pattern such as {EXAMPLE}"
        raise ValueError(msg)
    for name, files in (*lists.items(), *([("times", [*times])] if times is not None else [])):
        if len(files) != len(lists[MU]):
            longer = max((lists[MU], files), key=len)
            first_without = longer[min(len(files), len(lists[MU]))]
            msg = (
                f"{len(lists[MU])} files of mu, and {len(files)} of {name}: {first_without} has "
                "none beside it; each needs one, in the same order"
            )
            raise ValueError(msg)
    of_lists = zip(lists[MU], lists[SIGMA], lists.get(MASK, [None] * len(lists[MU])), strict=True)
    of_files = [None] * len(lists[MU]) if times is None else _moments(times, lists[MU])
    return of_files, cast("list[FilesOfOne]", [*of_lists])


def _pattern(name: str, text: str) -> DatedFiles:
    if "://" in text:
        msg = (
            f"{name}={public(text)!r}: names of files on the web cannot be listed, give a list of "
            "their URLs, [...], and times=[...] if the files do not say theirs"
        )
        raise ValueError(msg)
    return DatedFiles.of(text, name=name)


def _moments(times: Sequence[Time], files: Sequence[FilePath]) -> list[np.datetime64]:
    moments = []
    for i, (time, file) in enumerate(zip(times, files, strict=True)):
        try:
            moments.append(as_time(time))
        except ValueError as error:
            msg = f"times[{i}], of {public(os.fspath(file))}: {error}"
            raise ValueError(msg) from error
    return moments


def _check_times(scenes: Sequence[xr.Dataset], names: Sequence[str]) -> None:
    known: dict[Any, str] = {}
    for scene, name in zip(scenes, names, strict=True):
        if TIME not in scene.coords:
            msg = (
                f"{name} does not say its time: give times=[...], one for each file, or a pattern "
                f"with the time in the names, such as {EXAMPLE}"
            )
            raise ValueError(msg)
        time = scene.coords[TIME].to_numpy()[()]
        if time in known:
            msg = (
                f"{known[time]} and {name} are both of {label_text(time)}: leave one out, or fuse "
                "the two first, xf.gaussian(a, b), and xf.stack the results"
            )
            raise ValueError(msg)
        known[time] = name
