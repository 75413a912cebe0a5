"""Levels of a result in an Icechunk repository: one commit, which has all of them."""

from __future__ import annotations

import json
from typing import Any

import xarray as xr

from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.provenance import JOB
from xfusion.datamodel.version import __version__

from .blocks import in_blocks
from .commit_of_dates import opened_branch
from .commits import FINISHED, Branch, fill
from .declared import FOLDER, MARK, MARKED, factors_of, with_levels, without_levels
from .levels import areas_of, halved, longest_of
from .metadata import GROUP, is_in_shards, key_of
from .notes import digest_of, is_of
from .place import ROOT
from .tasks import blocks_of
from .template import template_of


def commit_levels(repository: Any, *, side: int, progress: bool) -> dict[int, str]:
    """Give the finished result in a repository its levels, see :func:`~xfusion.add_overviews`.

    Parameters
    ----------
    repository : icechunk.Repository
        Its branch ``main`` is written to.
    side : int
        Pixels: a level that is not longer is the last.
    progress : bool
        Show how far it is.
    """
    whole = opened_branch(repository)
    branch = Branch(repository)
    root = _read(branch, ROOT)
    if root.get("attributes", {}).get(JOB) is None:
        msg = f"{branch.name} holds a Zarr group that xf.to_zarr did not write: nothing was changed"
        raise FileExistsError(msg)
    is_there = FOLDER in branch.names()
    if is_there and MARKED not in _read(branch, f"{FOLDER}/{ROOT}").get("attributes", {}):
        msg = f"{branch.name} holds data called {FOLDER!r} of its own: nothing was changed"
        raise FileExistsError(msg)
    plain = without_levels(root)
    jobs = _jobs(whole, plain, side, branch.name)
    groups = {factor: f"{FOLDER}/{factor}" for factor in jobs}
    if factors_of(root) == [*jobs] and (is_there or not jobs):
        notes = {n: _read(branch, f"{g}/{ROOT}").get("attributes", {}) for n, g in groups.items()}
        if all(is_of(str(notes[n].get(JOB, "")), job) for n, job in jobs.items()):
            return groups
    branch.open()
    if is_there:
        branch.delete(FOLDER)
    mark = {"zarr_format": 3, "node_type": GROUP, "attributes": MARK}
    levels = {}
    if jobs:
        branch.write(f"{FOLDER}/{ROOT}", json.dumps(mark).encode())
        shards = is_in_shards(_read(branch, key_of("mu")))
        for factor, job in jobs.items():
            below = groups.get(factor // 2, "")
            made = _level(branch, below, whole, factor, side)
            levels[factor] = _write(branch, groups[factor], made, job, shards, progress=progress)
    changed = with_levels(plain, mark, levels) if levels else plain
    branch.write(ROOT, json.dumps(changed).encode())
    branch.commit(f"{len(levels)} levels", {FINISHED: True})
    return groups


def _read(branch: Branch, key: str) -> dict[str, Any]:
    content = json.loads(branch.read(key) or b"{}")
    return content if isinstance(content, dict) else {}


def _jobs(
    whole: xr.Dataset, plain: dict[str, Any], side: int, name: str
) -> dict[int, dict[str, str]]:
    """Return how much smaller each level is, and what it is made of."""
    jobs, factor, longest = {}, 1, longest_of(whole, name)
    while -(-longest // factor) > side:
        factor *= 2
        jobs[factor] = {"xfusion": __version__, "level": str(factor), "of": digest_of(plain)}
    return jobs


def _level(branch: Branch, below: str, whole: xr.Dataset, factor: int, side: int) -> xr.Dataset:
    opened = branch.opened_level(below, {})
    dims = spatial_dims(whole) or ()
    sides = {d: 2 * min(side, max(opened.chunksizes[d])) for d in dims}
    areas = {d: areas_of(whole.sizes[d], factor // 2) for d in dims}
    return in_blocks(halved(branch.opened_level(below, sides), areas))


def _write(
    branch: Branch,
    group: str,
    level: xr.Dataset,
    job: dict[str, str],
    shards: bool,  # noqa: FBT001  # as it was written
    *,
    progress: bool,
) -> dict[str, Any]:
    """Write a level in the open session; return its metadata."""
    template = template_of(level, job, shards=shards)
    root: dict[str, Any] = json.loads(template[ROOT])
    root.pop("consolidated_metadata", None)
    branch.write(f"{group}/{ROOT}", json.dumps(root).encode())
    # an array is there before its chunks
    for key in sorted({*template} - {ROOT}, key=lambda key: not key.endswith(ROOT)):
        branch.write(f"{group}/{key}", template[key])
    blocks, graph = blocks_of(level, lambda name: branch.target(f"{group}/{name}"))
    fill(branch, level, blocks, graph, set(), progress=progress, in_one=True)
    return root
