"""Dates that are added to a result in an Icechunk repository: one commit, which has all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .appending import addition_to
from .commits import FINISHED, Branch, fill
from .declared import FOLDER, factors_of
from .fingerprint import changed_inputs
from .growth import Stored, axis_of
from .metadata import ARRAY, key_of
from .place import ROOT
from .tasks import blocks_of


def holds_result(repository: Any) -> bool:
    """Whether a repository holds a finished result, or something else."""
    return Branch(repository).read(ROOT) is not None


def opened_branch(repository: Any) -> xr.Dataset:
    """Open the finished result in a repository lazily.

    Raises
    ------
    ValueError
        If there is none.
    """
    branch = Branch(repository)
    if branch.read(ROOT) is None:
        msg = f"{branch.name} holds no finished result: call xf.to_zarr again, and it goes on"
        raise ValueError(msg)
    return branch.opened(xr.Dataset())


def commit_dates(
    dataset: xr.Dataset, repository: Any, *, shards: bool, progress: bool
) -> xr.Dataset:
    """Add dates to the finished result in a repository.

    Parameters
    ----------
    dataset : Dataset
        As :func:`~xfusion.store.appending.in_dates` returns it.
    repository : icechunk.Repository
        Its branch ``main`` is written to.
    shards, progress : bool
        As of :func:`~xfusion.to_zarr`.

    Raises
    ------
    FileExistsError, ValueError, OSError, RuntimeError, TypeError
        As of :func:`~xfusion.to_zarr`.
    """
    branch = Branch(repository)
    stored = _stored(branch)
    add = addition_to(stored, dataset, shards=shards)
    if add.is_there:
        return branch.opened(add.dataset)
    branch.open()
    if factors_of(stored.root):
        branch.delete(FOLDER)  # levels of the dates before
    for key, content in add.files.items():
        branch.write(key, content)
    axes = {name: axis_of(node) or 0 for name, node in stored.nodes.items()}

    def target(name: str) -> _Behind:
        return _Behind(branch, name, branch.array(name), axes[name], stored.count)

    blocks, graph = blocks_of(add.dataset, target)
    fill(branch, add.dataset, blocks, graph, set(), progress=progress, in_one=True)
    changed = changed_inputs(add.dataset, add.job)
    if changed:
        msg = (
            f"{branch.name}: inputs changed while they were read: {changed}. Nothing is kept of "
            "what was computed: once they are all there, open them and call to_zarr again"
        )
        raise OSError(msg)
    branch.commit(f"add {add.dataset.sizes['time']} dates", {FINISHED: True})
    return branch.opened(add.dataset)


@dataclass(frozen=True)
class _Behind:
    """An array of the open session, to whose dates others are added."""

    branch: Branch
    name: str
    array: Any
    axis: int
    start: int

    def __setitem__(self, region: tuple[slice, ...], block: NDArray[np.generic]) -> None:
        own = region[self.axis]
        moved = slice(own.start + self.start, own.stop + self.start)
        place = (*region[: self.axis], moved, *region[self.axis + 1 :])
        self.branch.array(self.name)[place] = block


def _stored(branch: Branch) -> Stored:
    root: dict[str, Any] = json.loads(branch.read(ROOT) or b"{}")
    nodes = {}
    for name in branch.names():
        node = json.loads(branch.read(key_of(name)) or b"null") if name != ROOT else None
        if isinstance(node, dict) and node.get("node_type") == ARRAY:
            nodes[name] = node
    empty = xr.Dataset()
    return Stored(branch.name, root, nodes, branch.opened(empty), branch.read)
