"""What a finished store is to become with more dates: metadata, and labels along time.

Pixels of dates that are added lie behind those that are there, where no reader looks: how long an
array is, its metadata say. So what makes them part of the store is new metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.provenance import JOB, merged_mask_attrs
from xfusion.datamodel.state import LAST_LOOK

from .arrays import opened_array
from .declared import without_levels
from .metadata import ARRAY, consolidated, is_in_shards, key_of
from .notes import digest_of, noted_digest, with_digest, with_growth
from .place import ROOT, Place
from .sensors import joined_flags, joined_sensors
from .span import Span
from .template import TIME


@dataclass(frozen=True)
class Stored:
    """A finished store, to which dates are added."""

    name: str
    """For people."""
    root: Mapping[str, Any]
    nodes: Mapping[str, Mapping[str, Any]]
    """Metadata of its arrays, by their names."""
    dataset: xr.Dataset
    """Opened lazily."""
    read: Callable[[str], bytes | None]
    """Returns what a key holds."""

    @property
    def attributes(self) -> dict[str, Any]:
        """What it says of all of it."""
        held = self.root.get("attributes", {})
        return held if isinstance(held, dict) else {}

    @property
    def note(self) -> str | None:
        """What it says of the jobs that wrote it; None if it is not of xfusion."""
        note = self.attributes.get(JOB)
        return note if isinstance(note, str) else None

    @property
    def count(self) -> int:
        """How many dates it has."""
        return int(self.dataset.sizes[TIME])

    @property
    def is_in_shards(self) -> bool:
        """Whether each of its blocks is a shard, and not one chunk."""
        return is_in_shards(self.nodes["mu"])

    def blocks(self) -> dict[str, int]:
        """Return how long the blocks of mu are along each of its dims."""
        node = self.nodes["mu"]
        return dict(zip(node["dimension_names"], sides_of(node), strict=True))

    def span(self, start: int, count: int) -> Span:
        """Return the blocks of some of the dates."""
        side = self.blocks()[TIME]
        axes = {n: axis for n, node in self.nodes.items() if (axis := axis_of(node)) is not None}
        return Span(axes, start // side, -(-count // side))


def axis_of(node: Mapping[str, Any]) -> int | None:
    """Return which axis of an array time is."""
    dims = node.get("dimension_names") or []
    return dims.index(TIME) if TIME in dims else None


def sides_of(node: Mapping[str, Any]) -> list[int]:
    """Return the sides of what is one file or object of an array."""
    sides: list[int] = node["chunk_grid"]["configuration"]["chunk_shape"]
    return sides


def grown_nodes(
    stored: Stored, count: int, added: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the metadata of those arrays that are longer with so many dates more.

    Parameters
    ----------
    stored : Stored
    count : int
    added : mapping
        Metadata that a store of the added dates alone would have.
    """
    grown = {}
    for name, node in stored.nodes.items():
        axis = axis_of(node)
        if axis is not None:
            shape = [n + count * (i == axis) for i, n in enumerate(node["shape"])]
            attributes = node.get("attributes", {})
            flags = joined_flags(name, attributes, added.get(name, {}).get("attributes", {}))
            grown[name] = {**node, "shape": shape, "attributes": {**attributes, **flags}}
    return grown


def grown_files(
    stored: Stored, dataset: xr.Dataset, template: Mapping[str, bytes], job: Mapping[str, str]
) -> dict[str, bytes]:
    """Return what a store with more dates has under some of its keys, in the order of the switch.

    First labels, which end where the metadata say; then the metadata of all, from which on the
    dates are there; last the metadata that each array has for itself.

    Parameters
    ----------
    stored : Stored
    dataset : Dataset
        The dates that are added, in blocks.
    template : mapping
        What a store of them alone would hold besides its pixels.
    job : mapping
        What they are computed from.
    """
    added = consolidated(json.loads(template[ROOT]))
    grown = grown_nodes(stored, dataset.sizes[TIME], added)
    labels = [str(n) for n, v in dataset.variables.items() if v.chunks is None and TIME in v.dims]
    files: dict[str, bytes] = {}
    for name in labels:
        files |= _labels(stored, name, grown[name], template)
    root = _grown_root(stored, dataset, grown, job)
    nodes = {key_of(name): node for name, node in grown.items()}
    metadata = {ROOT: root, **nodes}
    return files | {key: json.dumps(node, indent=2).encode() for key, node in metadata.items()}


def _labels(
    stored: Stored, name: str, grown: Mapping[str, Any], template: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return the chunks of labels that are others with more dates."""
    added, memory = _held(template, name), _held({key_of(name): json.dumps(grown).encode()}, name)
    axis = axis_of(grown) or 0
    start, stop = stored.nodes[name]["shape"][axis], grown["shape"][axis]
    sides = sides_of(grown)
    counts = [-(-n // side) for n, side in zip(grown["shape"], sides, strict=True)]
    for index in np.ndindex(*counts):
        if index[axis] >= start // sides[axis]:
            key = "/".join([name, "c", *map(str, index)])
            content = stored.read(key)
            if content is None and index[axis] * sides[axis] < start:
                msg = (
                    f"{stored.name}: {key} is not there, so that labels of {name} would be lost: "
                    "xf.verify tells what else is broken"
                )
                raise ValueError(msg)
            # what lies behind the last date is of a run that was killed
            if content is not None and index[axis] * sides[axis] < start:
                memory.write(key, content)
    region = tuple(slice(start, stop) if i == axis else slice(None) for i in range(len(sides)))
    opened_array(memory.zarr, name)[region] = opened_array(added.zarr, name)[...]
    return {key: memory.read(key) or b"" for key in memory.listed(f"{name}/c")}


def _held(contents: Mapping[str, bytes], name: str) -> Place:
    from zarr.storage import MemoryStore

    held = Place(MemoryStore())
    for key, content in contents.items():
        if key.startswith(f"{name}/"):
            held.write(key, content)
    return held


def _grown_root(
    stored: Stored,
    dataset: xr.Dataset,
    grown: Mapping[str, Mapping[str, Any]],
    job: Mapping[str, str],
) -> dict[str, Any]:
    attributes = stored.attributes
    masks = merged_mask_attrs([attributes, dataset.attrs])
    note = with_growth(stored.note or "", stored.count, job)
    joined = masks | joined_sensors(attributes, dataset.attrs)
    if LAST_LOOK in dataset.attrs:
        joined[LAST_LOOK] = dataset.attrs[LAST_LOOK]
    # levels would be of the dates before
    before = without_levels(stored.root)
    said = before.get("attributes", {})
    root = {**before, "attributes": {**said, **joined, JOB: note}}
    held = root.get("consolidated_metadata")
    if isinstance(held, dict):
        root["consolidated_metadata"] = {**held, "metadata": {**held["metadata"], **grown}}
    # one that was not what was written stays so: xf.verify tells it
    is_as_written = noted_digest(stored.root) == digest_of(stored.root)
    return with_digest(root) if is_as_written else root


def stored_at(place: Place, root: Mapping[str, Any], nodes: Mapping[str, Any]) -> Stored:
    """Return a finished store as it is."""
    arrays = {
        name: node
        for name, node in nodes.items()
        if node.get("node_type") == ARRAY and "/" not in name
    }
    return Stored(place.name, root, arrays, place.opened({}), place.read)


def is_longer(place: Place, template: Mapping[str, bytes]) -> bool:
    """Whether each array of a store that has time says of itself that it has more dates.

    One alone may be damaged.
    """
    nodes = consolidated(json.loads(template[ROOT]))
    lengths = []
    for name, node in nodes.items():
        axis = axis_of(node)
        if axis is not None:
            shape = (place.json(key_of(name)) or {}).get("shape")
            found = shape[axis] if isinstance(shape, list) and len(shape) > axis else 0
            lengths.append(isinstance(found, int) and found > node["shape"][axis])
    return len(lengths) > 1 and all(lengths)
