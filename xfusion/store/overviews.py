"""Smaller copies of a finished store, for who looks at all of it from afar."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import xarray as xr

from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.provenance import JOB
from xfusion.datamodel.version import __version__

from .arrays import needs_zarr
from .blocks import in_blocks
from .commit_of_levels import commit_levels
from .commits import is_repository
from .declared import FOLDER, MARK, MARKED, with_levels, without_levels
from .draft import Draft, discard
from .filling import Filling
from .lease import Lease, held
from .levels import areas_of, halved, longest_of
from .links import refuse_links
from .metadata import GROUP, changed_metadata, consolidated, is_in_shards, root_of
from .notes import digest_of, is_of
from .place import FINISHED, ROOT, Place, StoreLike
from .soundness import broken_blocks
from .template import template_of

SIDE = 1024  # pixels: a level that is not longer is the last
TIMEOUT = 60.0  # seconds, as of to_zarr


def add_overviews(
    store: StoreLike, /, *, force: bool = False, progress: bool = True
) -> dict[int, str]:
    """Give a finished store smaller copies of itself, each on pixels twice as large as before.

    Parameters
    ----------
    store : path, URL, zarr store or icechunk.Repository
        That :func:`~xfusion.to_zarr` has finished. On the branch ``main`` of a repository all of
        them are one commit.
    force : bool
        Take the store from another run that still writes to it.
    progress : bool
        Show how far it is.

    Returns
    -------
    dict
        How many pixels of the store are one of a level, along a side -> its group, such as
        ``{2: "overviews/2", 4: "overviews/4"}``; empty where no side is longer than 1024 pixels.

    Raises
    ------
    ValueError
        If the store is not finished, or has no rows and columns.
    FileExistsError
        If :func:`~xfusion.to_zarr` did not write it, or it has other data under that name.
    RuntimeError
        If another run writes to the store.
    TypeError
        If it is a store that cannot be changed, a zip file say; or in the memory of this process,
        and others compute.

    Notes
    -----
    A level is a retrieval, made of the level below it, block by block. `mu` is the mean of the
    usable pixels by their areas; `sigma` that of theirs, as if their errors were the same, so that
    a level is never surer than its pixels; `mask` is 0 where any is usable, else it has the flags
    of all. `source` and other flags are those of any pixel, other floats the mean, other integers
    the first.

    The attribute `multiscales` of the convention of that name lists them, once all are whole.
    Dates that are added with ``append_dim`` end that: call this again afterwards. A run that was
    killed goes on when it is called again.

    Examples
    --------
    >>> import numpy as np, tempfile, xarray as xr, xfusion as xf
    >>> mu = np.zeros((4, 1500), np.float32)
    >>> store = f"{tempfile.mkdtemp()}/water.zarr"
    >>> water = xf.to_zarr(xf.retrieval(mu, mu + 1), store, progress=False)
    >>> xf.add_overviews(store, progress=False)
    {2: 'overviews/2'}
    >>> dict(xr.open_zarr(store, group="overviews/2").sizes)
    {'y': 2, 'x': 750}
    """
    needs_zarr()
    if is_repository(store):
        return commit_levels(store, side=SIDE, progress=progress)
    place = Place(store)
    place.check_is_changeable()
    with place.named_errors():
        place.check_is_finished()
        _check_is_ours(place)
        refuse_links(place, FOLDER)
        with held(place, force=force) as lease:
            root = without_levels(root_of(place))
            _switch(place, root, lease)
            mark = {"zarr_format": 3, "node_type": GROUP, "attributes": MARK}
            place.write(f"{FOLDER}/{ROOT}", json.dumps(mark, indent=2).encode())
            levels = _levels(place, root, lease, progress=progress)
            for name in {*place.children(FOLDER)} - {ROOT, *map(str, levels)}:
                place.delete_folder(f"{FOLDER}/{name}")
            if levels:
                _switch(place, with_levels(root, mark, levels), lease)
            else:
                place.delete_folder(FOLDER)
        return {factor: f"{FOLDER}/{factor}" for factor in levels}


def _check_is_ours(place: Place) -> None:
    root = root_of(place)
    if root.get("attributes", {}).get(JOB) is None:
        msg = f"{place.name} holds a Zarr group that xf.to_zarr did not write: nothing was changed"
        raise FileExistsError(msg)
    there = place.children(FOLDER)
    if FOLDER in consolidated(without_levels(root)) or (there and not _is_marked(place)):
        msg = f"{place.name} holds data called {FOLDER!r} of its own: nothing was changed"
        raise FileExistsError(msg)


def _is_marked(place: Place) -> bool:
    return MARKED in (place.json(f"{FOLDER}/{ROOT}") or {}).get("attributes", {})


def forget_undeclared(place: Place) -> None:
    """Delete levels that a store no longer lists, as what they were made of has changed."""
    declared = place.json(ROOT) or {}
    if FOLDER not in consolidated(declared) and _is_marked(place):
        place.delete_folder(FOLDER)


def _switch(place: Place, root: Mapping[str, Any], lease: Lease) -> None:
    if place.json(ROOT) != root:
        draft = Draft(place, uuid.uuid4().hex)
        draft.switch({ROOT: json.dumps(root, indent=2).encode()}, lease)
        place.delete_folder(draft.folder)


def _levels(
    place: Place, root: Mapping[str, Any], lease: Lease, *, progress: bool
) -> dict[int, dict[str, Any]]:
    """Write all levels that are not there; return how much smaller they are, and their roots."""
    from .inside import place_in

    below = place.opened({})
    longest_of(below, place.name)
    dims = spatial_dims(below) or ()
    sizes, found, factor = {d: below.sizes[d] for d in dims}, {}, 1
    source, shards = place, is_in_shards(consolidated(root)["mu"])
    while max(below.sizes[d] for d in dims) > SIDE:
        lease.check()
        sides = {d: 2 * min(SIDE, max(below.chunksizes[d])) for d in dims}
        chunked = source.opened({d: (side,) for d, side in sides.items()})
        areas = {d: areas_of(sizes[d], factor) for d in dims}
        factor *= 2
        job = {"xfusion": __version__, "level": str(factor), "of": digest_of(root)}
        source = place_in(place, f"{FOLDER}/{factor}")
        _write(source, in_blocks(halved(chunked, areas)), job, shards=shards, progress=progress)
        below = source.opened({})
        found[factor] = root_of(source)
    return found


def _write(
    place: Place, level: xr.Dataset, job: Mapping[str, str], *, shards: bool, progress: bool
) -> None:
    """Write a level, unless it is there and whole."""
    template = template_of(level, job, shards=shards)
    filling = Filling(place, level, job, template, TIMEOUT, progress)
    if place.state() == FINISHED:
        root = root_of(place)
        is_same = is_of(str(root.get("attributes", {}).get(JOB, "")), job)
        names = [str(name) for name in level.variables]
        is_whole = is_same and not changed_metadata(place, root)
        if is_whole and not broken_blocks(place, names, progress=False):
            return
        place.delete_folder("")
    with held(place, force=False) as lease:
        try:
            filling.write(lease, resume=True)
        except ValueError:
            # of another state of the store
            discard(place, lease, job)
            filling.write(lease, resume=False)
    place.tidy()
