"""Dates that are added to a finished store: written behind what is there, then made part of it."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import SPAN
from xfusion.datamodel.provenance import ITEMS, JOB, with_time_of_items, without_scenes
from xfusion.datamodel.state import CARRIED, carried_from
from xfusion.datamodel.times import label_text

from .agreement import UNTOUCHED, check_agreement, check_store
from .blocks import in_blocks
from .draft import is_being_added_to
from .filling import Filling
from .fingerprint import job_of
from .growth import Stored, grown_files, is_longer, stored_at
from .lease import held
from .metadata import consolidated, root_of
from .notes import first_count, has_added, has_grown
from .place import ROOT, Place
from .span import Span
from .template import TIME, template_of

FIRST: dict[Hashable, int] = {TIME: 1}  # dates in a block of a store that is to grow
MADE_THROUGH_TIME = "series_model"  # of a state: its items are not those of its date


def in_dates(dataset: xr.Dataset, dim: str) -> xr.Dataset:
    """Return a retrieval with a dim of times, of which it may have one as a scalar.

    Raises
    ------
    ValueError
        If `dim` is none that a store can grow along; if the retrieval has no times there, or
        some are missing, or not one later than the other.
    """
    if dim != TIME:
        msg = f"append_dim={dim!r}: a store grows along {TIME!r} alone"
        raise ValueError(msg)
    if TIME not in dataset.coords:
        msg = (
            f"the retrieval has no coordinate {TIME!r}, and a date is to be added: "
            f".assign_coords({TIME}=np.datetime64('2023-06-20', 'ns')).expand_dims({TIME!r})"
        )
        raise ValueError(msg)
    if TIME not in dataset.dims:
        if ITEMS in dataset.attrs and MADE_THROUGH_TIME not in dataset.attrs:
            dataset = dataset.assign_attrs(with_time_of_items(dataset))
        grid = {*(spatial_dims(dataset) or dataset["mu"].dims)}
        pixels = [n for n, v in dataset.data_vars.items() if grid & {*v.dims}]
        # of the scenes of several dates there is no one
        dataset = dataset.drop_attrs(deep=False).assign_attrs(without_scenes(dataset.attrs))
        others = dataset.drop_vars(pixels)
        dataset = dataset[pixels].expand_dims(TIME).assign(others.data_vars)
    elif dataset.coords[TIME].dims != (TIME,) or TIME not in dataset["mu"].dims:
        msg = f"mu has no dim {TIME!r}, along which the store is to grow: .expand_dims({TIME!r})"
        raise ValueError(msg)
    moments = _moments(dataset)
    if moments.dtype.kind != "M" or np.isnat(moments).any():
        msg = (
            f"{TIME} holds {label_text(moments[0])}, and each must be a date: "
            f".assign_coords({TIME}=...)"
        )
        raise ValueError(msg)
    for before, after in itertools.pairwise(moments):
        if after <= before:
            msg = (
                f"{TIME} {label_text(after)} follows {label_text(before)}, and dates of a store "
                f"are in order, each once: .sortby({TIME!r}), or xf.fuse of two of one date"
            )
            raise ValueError(msg)
    kept = {name: value for name, value in dataset.attrs.items() if name not in SPAN}
    return dataset.drop_attrs(deep=False).assign_attrs(kept)


def without_origin(dataset: xr.Dataset) -> xr.Dataset:
    """Return dates without what is said of the first alone: a store holds it for all it gets."""
    kept = {name: value for name, value in dataset.attrs.items() if name != CARRIED}
    return dataset.drop_attrs(deep=False).assign_attrs(kept)


@dataclass(frozen=True)
class Addition:
    """Dates as they are to be added to a store, with which they agree."""

    dataset: xr.Dataset
    """In the blocks of the store, without what has no time and is lazy: that is there."""
    job: Mapping[str, str]
    template: Mapping[str, bytes]
    span: Span
    files: Mapping[str, bytes]
    """What makes them part of the store, see :func:`~xfusion.store.growth.grown_files`."""
    is_there: bool
    """Whether it was this job that added them before."""


def addition_to(stored: Stored, dataset: xr.Dataset, *, shards: bool) -> Addition:
    """Compare dates with the store that they are to be added to.

    Raises
    ------
    ValueError, FileExistsError
        If they cannot be: see :mod:`xfusion.store.agreement`; or if one of them is not later than
        the last of the store.
    """
    check_store(stored, shards=shards)
    own_dates = without_origin(dataset)
    lazy = _alike(stored, in_blocks(own_dates, _blocks_for(stored, own_dates)))
    job = job_of(lazy, shards=stored.is_in_shards)
    template = template_of(lazy, job, shards=stored.is_in_shards)
    count = lazy.sizes[TIME]
    start = _start_of_same(stored, lazy, job)
    is_there = start is not None
    if not is_there:
        block = stored.blocks()[TIME]
        if count % block:
            msg = (
                f"{stored.name} has {block} dates in a block, and these are {count}, {UNTOUCHED}: "
                f"add {block} at a time, or write all dates to another store with "
                f"append_dim={TIME!r}, which gives each blocks of its own"
            )
            raise ValueError(msg)
        check_agreement(stored, lazy, template)
        _check_is_later(stored, lazy)
        _check_is_carried_from_the_last(stored, dataset)
    fixed = [n for n, v in lazy.variables.items() if v.chunks is not None and TIME not in v.dims]
    own = lazy.drop_vars(fixed)
    return Addition(
        own,
        job,
        template,
        stored.span(stored.count if start is None else start, count),
        {} if is_there else grown_files(stored, own, template, job),
        is_there,
    )


def append_dates(
    place: Place,
    dataset: xr.Dataset,
    *,
    shards: bool,
    resume: bool,
    force: bool,
    timeout: float,
    progress: bool,
) -> Mapping[Hashable, tuple[int, ...]]:
    """Add dates to a finished store; return in which blocks they are.

    Parameters
    ----------
    place : Place
        Of a finished store.
    dataset : Dataset
        As :func:`in_dates` returns it.
    shards, resume, force, timeout, progress
        As of :func:`~xfusion.to_zarr`.
    """

    def filling(root: dict[str, Any]) -> tuple[Filling, Addition]:
        add = addition_to(stored_at(place, root, consolidated(root)), dataset, shards=shards)
        work = Filling(place, add.dataset, add.job, add.template, timeout, progress, span=add.span)
        return work, add

    def check() -> None:
        if not filling(root_of(place))[1].is_there:
            msg = f"{place.name} has become another store meanwhile: call to_zarr again"
            raise RuntimeError(msg)

    root = root_of(place)
    work, add = filling(root)
    if not add.is_there:
        # before a run that lives is stopped for nothing
        work.former_addition(resume=resume)
        with held(place, force=force) as lease:
            now = root_of(place)
            if now != root:
                # another run has added some meanwhile
                work, add = filling(now)
            if not add.is_there:
                work.add(lease, add.files, resume=resume)
                return add.dataset.chunksizes
    work.mend(check, force=force)
    return add.dataset.chunksizes


def span_of_first(place: Place, template: Mapping[str, bytes]) -> Span | None:
    """Return where the dates are that a store was made with; None if there were never others.

    Parameters
    ----------
    place : Place
        Of a finished store.
    template : mapping
        What it held besides its pixels when it was made.

    Raises
    ------
    ValueError
        If there are others, and what was noted of them is damaged.
    """
    root = root_of(place)
    note = str(root.get("attributes", {}).get(JOB, ""))
    if not has_grown(note) and not is_being_added_to(place):
        if is_longer(place, template):
            msg = (
                f"{place.name} holds more dates than this call has written, and {ROOT} does not "
                "say since when: it is damaged. Nothing was changed; restore that file"
            )
            raise ValueError(msg)
        return None
    stored = stored_at(place, root, consolidated(root))
    return stored.span(0, first_count(note, stored.count))


def _blocks_for(stored: Stored, dataset: xr.Dataset) -> dict[Hashable, int]:
    """Return in which blocks dates are wanted: those in memory have none of their own."""
    blocks: dict[Hashable, int] = dict(stored.blocks().items())
    if any(v.chunks is not None for v in dataset.variables.values()):
        return {TIME: blocks[TIME]}
    return blocks


def _alike(stored: Stored, dataset: xr.Dataset) -> xr.Dataset:
    """Return dates with their texts in the room that the store has for them."""
    for name, coord in dataset.coords.items():
        if coord.dtype.kind == "U" and TIME in coord.dims and name in stored.dataset.variables:
            room = stored.dataset.variables[name].dtype
            if room.kind == "U" and (coord.astype(room) == coord).all():
                dataset = dataset.assign_coords({name: coord.astype(room)})
    return dataset


def _moments(dataset: xr.Dataset) -> NDArray[Any]:
    moments: NDArray[Any] = np.atleast_1d(dataset.coords[TIME].to_numpy())
    return moments


def _start_of_same(stored: Stored, dataset: xr.Dataset, job: Mapping[str, str]) -> int | None:
    """Return where in a store the dates of a dataset are that the same job has added; else None."""
    there, ours = _moments(stored.dataset), _moments(dataset)
    start = int(np.searchsorted(there, ours[0]))
    same = np.array_equal(there[start : start + ours.size], ours)
    return start if same and has_added(stored.note or "", start, job) else None


def _check_is_later(stored: Stored, dataset: xr.Dataset) -> None:
    there, ours = _moments(stored.dataset), _moments(dataset)
    early = ours[ours <= there[-1]]
    if not early.size:
        return
    last = label_text(there[-1])
    if np.isin(early, there).any():
        twice = label_text(early[np.isin(early, there)][0])
        what = (
            f"{TIME} {twice} is in {stored.name} already, of other inputs or parameters, or by "
            "another version"
        )
    else:
        what = f"{TIME} {label_text(early[0])} is not later than {last}, the last of {stored.name}"
    msg = (
        f"{what}, {UNTOUCHED}: dates are added after the last alone, "
        f".sel({TIME}=ds.{TIME} > np.datetime64({last!r})); to change or add earlier ones write "
        "all of them to another store"
    )
    raise ValueError(msg)


def _check_is_carried_from_the_last(stored: Stored, dataset: xr.Dataset) -> None:
    """Refuse a state of an earlier date than the last: what was seen on that would be lost."""
    last, ours = _moments(stored.dataset)[-1], _moments(dataset)[0]
    began = carried_from(dataset.attrs, ours)
    if began is not None and began != last:
        msg = (
            f"{TIME} {label_text(ours)} is carried from the state of {label_text(began)}, and the "
            f"last of {stored.name} is {label_text(last)}, which another run may have added "
            f"meanwhile; {UNTOUCHED}, as what was seen on it would be lost: carry that one on, "
            f"xf.update(xr.open_zarr(store), ...); where a store is to have some dates alone, "
            f"del .attrs[{CARRIED!r}]"
        )
        raise ValueError(msg)
