"""Write a lazy retrieval of any size to a Zarr store, in pieces that a later run can go on with."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from xfusion.datamodel.provenance import JOB
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.run.scheduler import lazy_variables

from .appending import FIRST, append_dates, in_dates, span_of_first, without_origin
from .arrays import needs_zarr
from .blocks import in_blocks
from .commit_of_dates import commit_dates, holds_result, opened_branch
from .commits import is_repository, write_commits
from .draft import is_being_added_to
from .filling import Filling
from .fingerprint import job_of
from .lease import held, is_held
from .links import refuse_links
from .metadata import check_root, root_of
from .notes import is_of, named_differences
from .overviews import forget_undeclared
from .place import FINISHED, FOREIGN, ROOT, Place, StoreLike
from .template import template_of


def to_zarr(
    dataset: Retrieval,
    /,
    store: StoreLike,
    *,
    append_dim: str | None = None,
    shards: bool = True,
    resume: bool = True,
    force: bool = False,
    timeout: float = 60.0,
    progress: bool = True,
) -> xr.Dataset:
    """Compute a retrieval block by block into a Zarr store.

    Blocks are computed in batches, and a note is made of each batch once its pixels are written.
    A run that was killed goes on after its last batch when it is called again in the same way.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, lazy for it to be larger than memory.
    store : path, URL, zarr store or icechunk.Repository
        A folder of this machine; or an address such as ``s3://bucket/water.zarr``, for which
        ``xfusion[cloud]`` is needed, with credentials from the environment; or a repository of
        Icechunk, on whose branch ``main`` each batch is a commit.
    append_dim : "time", optional
        Add the dates of the retrieval to those of a finished store, after its last one; or make the
        store, if there is none, with a block for each date. A retrieval of one date may have a
        scalar `time`. Called again in the same way, it changes nothing.
    shards : bool
        Each block is a shard, one file or object of many chunks. With False it is one chunk, for
        programs that do not read shards: GDAL 3.12 and rasterio 1.5 are such, GDAL 3.13 is the
        first that reads both, and GDAL 3.10 reads neither. Dates that are added are written as the
        store was.
    resume : bool
        Go on with an unfinished run; False discards it and begins anew.
    force : bool
        Take the store from another run that still writes to it. That one ends with an error.
    timeout : float
        Seconds to wait for the workers of a cluster, or its scheduler, while none of them answers.
    progress : bool
        Show how far it is, with the time that is left.

    Returns
    -------
    Dataset
        The finished store, opened lazily.

    Raises
    ------
    FileExistsError
        If the store holds anything else: a finished result of other inputs or parameters (of
        the same ones it is returned), data not of xfusion, or links to elsewhere.
    ValueError
        If the unfinished run there has other inputs or parameters; it names the difference. If
        dates that are to be added are there with other values, or lie before or between those of
        the store; if they have another grid, other variables, dtypes, blocks, or attributes that
        mean something; or if :func:`update` carried them from another date than the last there.
    OSError
        If the store cannot be written, there is no room left, or workers do not see it; if an
        input is not there, or changed meanwhile; if the workers of a cluster do not answer. What
        is written stays, for the run to go on.
    RuntimeError
        If another run writes to the store, or has taken it over.
    TypeError
        If the store is in the memory of this process, and others compute; if it is a zip file or
        another that cannot be changed.
    ImportError
        If zarr is not installed, or obstore for an address.

    Notes
    -----
    Zarr format 3. Each block of the retrieval is a shard, one file or object; a shard holds
    chunks of at most 512 pixels a side, so that a reader of a small part reads little. Of a block
    without shards all is read, and so each is once more as it is written. Memory is
    set by the blocks and the number of workers. Under a :class:`distributed.Client` the workers
    write, and must see the store under the same name.

    Of a MultiIndex the levels are written, as coordinates of its dim; ``.set_index`` makes it anew.

    An unfinished store has no metadata at its root and does not open. Blocks that are lost, with
    the power say, are computed again. A finished store of the same job is read once, and what of
    it is not what was written, by its checksums, is computed anew.

    Dates that are added are written behind those that are there, where no reader looks, and become
    part of the store as its `zarr.json` is replaced: a run that is killed leaves it as it was, or
    as it is to be. What is there is not touched.

    Examples
    --------
    >>> import numpy as np, tempfile, xfusion as xf
    >>> mu = np.zeros((4, 4), np.float32)
    >>> water = xf.retrieval(mu, mu + 1).chunk(2)
    >>> folder = tempfile.mkdtemp()
    >>> xf.to_zarr(water, f"{folder}/water.zarr", progress=False).sizes["y"]
    4

    Each day a date more, from the first on:

    >>> for day in ("2023-06-20", "2023-06-21"):
    ...     today = water.assign_coords(time=np.datetime64(day, "ns"))
    ...     series = xf.to_zarr(today, f"{folder}/all.zarr", append_dim="time", progress=False)
    >>> series.time.dt.day.values
    array([20, 21])
    """
    needs_zarr()
    whole = _with_lone_values(as_retrieval(dataset))
    if append_dim is not None:
        whole = in_dates(whole, append_dim)
        added = _added(
            whole,
            store,
            shards=shards,
            resume=resume,
            force=force,
            timeout=timeout,
            progress=progress,
        )
        if added is not None:
            return added
        whole = without_origin(whole)
    lazy = in_blocks(whole, None if append_dim is None else FIRST)
    job = job_of(lazy, shards=shards)
    if is_repository(store):
        return write_commits(lazy, job, store, shards=shards, resume=resume, progress=progress)
    place = Place(store)
    place.check_is_changeable()
    template = template_of(lazy, job, shards=shards)
    filling = Filling(place, lazy, job, template, timeout, progress)
    with place.named_errors():
        state = place.state()
        if state == FOREIGN:
            msg = (
                f"{place.name} holds data that xfusion did not write: nothing was changed; "
                "choose another store, or delete it"
            )
            raise FileExistsError(msg)
        if state != FINISHED:
            refuse_links(place)
            # before a run that lives is stopped for nothing
            filling.former(resume=resume)
            with held(place, force=force) as lease:
                # another run may have ended meanwhile
                if place.state() != FINISHED:
                    filling.write(lease, resume=resume)
        _same_result(place, job)
        if state == FINISHED:
            filling = dataclasses.replace(filling, span=span_of_first(place, filling.template))
            filling.mend(functools.partial(_same_result, place, job), force=force)
        _tidy(place)
        return place.opened(lazy.chunksizes)


def is_store(path: object) -> bool:
    """Whether a path or URL is that of a Zarr store, by its name or by what is there."""
    if not isinstance(path, str | os.PathLike):
        return True  # or nothing that could be opened
    text = os.fspath(path)
    if "://" in text:
        return not text.endswith((".tif", ".tiff"))
    return text.rstrip("/").endswith(".zarr") or (Path(text) / ROOT).exists()


def open_store(store: StoreLike) -> xr.Dataset:
    """Open a finished store lazily.

    Raises
    ------
    ValueError
        If it is not finished, or there is none.
    """
    needs_zarr()
    if is_repository(store):
        return opened_branch(store)
    place = Place(store)
    with place.named_errors():
        place.check_is_finished()
        check_root(place)
        return place.opened({})


def open_if_finished(store: StoreLike) -> xr.Dataset | None:
    """Open a finished store lazily; None if there is none, or one that is not finished.

    Raises
    ------
    ValueError
        If it is not what :func:`to_zarr` writes.
    """
    needs_zarr()
    return open_store(store) if Place(store).state() == FINISHED else None


def _added(
    dates: xr.Dataset,
    store: StoreLike,
    *,
    shards: bool,
    resume: bool,
    force: bool,
    timeout: float,
    progress: bool,
) -> xr.Dataset | None:
    """Add dates to a store, and return it; None if there is no finished one to add them to."""
    if is_repository(store):
        if not holds_result(store):
            return None
        return commit_dates(dates, store, shards=shards, progress=progress)
    place = Place(store)
    place.check_is_changeable()
    with place.named_errors():
        if place.state() != FINISHED:
            return None
        blocks = append_dates(
            place,
            dates,
            shards=shards,
            resume=resume,
            force=force,
            timeout=timeout,
            progress=progress,
        )
        _tidy(place)
        return place.opened(blocks)


def _tidy(place: Place) -> None:
    """Delete what a run has left that is not needed: dates that are half added are gone on with."""
    if not (is_held(place) or is_being_added_to(place)):
        place.tidy()
        forget_undeclared(place)


def _with_lone_values(dataset: xr.Dataset) -> xr.Dataset:
    """Return the retrieval with what has no dims, and texts, computed: these have no blocks."""
    lazy = lazy_variables(dataset).items()
    lone = [name for name, v in lazy if not v.ndim or v.dtype.kind in "OUT"]
    return dataset.assign({name: dataset[name].compute() for name in lone})


def _same_result(place: Place, job: Mapping[str, str]) -> None:
    before = root_of(place).get("attributes", {}).get(JOB)
    if before is None:
        what = "a Zarr group that xf.to_zarr did not write"
    else:
        if is_of(before, job):
            return
        what = f"the finished result of another job: {named_differences(before, place, job)}"
    msg = f"{place.name} holds {what}. Nothing was changed; choose another store, or delete it"
    raise FileExistsError(msg)
