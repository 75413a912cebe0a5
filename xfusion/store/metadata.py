"""The metadata of a finished store: whether they are those that were written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from xfusion.datamodel.caller import warn
from xfusion.datamodel.provenance import JOB

from .notes import digest_of, noted_digest, with_digest
from .place import ROOT, Place

ARRAY, GROUP = "array", "group"  # kinds of nodes
SHARDING = "sharding_indexed"  # a codec


def root_of(place: Place) -> dict[str, Any]:
    """Return the metadata at the root of a finished store.

    Raises
    ------
    ValueError
        If they are not whole.
    """
    root = place.json(ROOT)
    if root is None or not isinstance(root.get("attributes", {}), dict):
        msg = (
            f"{place.name}: {ROOT} is not whole, so nobody knows what is there: delete the store, "
            "or restore that file"
        )
        raise ValueError(msg)
    return root


def check_root(place: Place) -> None:
    """Warn where the metadata of a store are not those that were written, or are far apart."""
    root = root_of(place)
    if not consolidated(root):
        warn(
            f"the metadata of {place.name} are not in one place, as xfusion writes them, so that "
            "it takes longer to open: zarr.consolidate_metadata mends that"
        )
    noted = noted_digest(root)
    if noted is not None and noted != digest_of(root):
        warn(
            f"the metadata of {place.name} are not what was written: changed since, or damaged, "
            "which xf.verify or `xfusion verify` tells more of"
        )


def changed_files(place: Place, template: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return which metadata and coordinates are not as they were written, and what they are to be.

    What a user has added to the whole since, attributes or arrays, stays.
    """
    root = _with_our_arrays(place, root_of(place), json.loads(template[ROOT]))
    nodes = consolidated(root)
    changed = {}
    for key, content in template.items():
        found, name = place.read(key), key.removesuffix(f"/{ROOT}")
        if not key.endswith(ROOT):
            if found != content:
                changed[key] = content
            continue
        # what was added to an array's own file alone is seen by no reader of the whole
        mended = root if key == ROOT else nodes[name]
        if found is None or _read(found) != mended:
            changed[key] = json.dumps(mended, indent=2).encode()
    return changed


def changed_arrays(place: Place) -> dict[str, bytes]:
    """Return which arrays' own metadata are not what the root says, and what they are to be."""
    nodes = {key_of(name): node for name, node in consolidated(root_of(place)).items()}
    return {
        key: json.dumps(node, indent=2).encode()
        for key, node in nodes.items()
        if node.get("node_type") == ARRAY and place.json(key) != node
    }


def _read(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _with_our_arrays(place: Place, found: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    nodes = consolidated(found)
    arrays = {
        name: _with_our_metadata(nodes.get(name), node) for name, node in consolidated(ours).items()
    }
    note = ours["attributes"][JOB]
    # a damaged name is one of nothing
    added = {k: v for k, v in nodes.items() if k in arrays or place.has(f"{k}/{ROOT}")}
    whole = {
        **ours,
        "attributes": {**ours["attributes"], **found.get("attributes", {}), JOB: note},
        "consolidated_metadata": {
            **ours["consolidated_metadata"],
            "metadata": {**added, **arrays},
        },
    }
    # levels were added to it since, and their digest with them
    return with_digest(whole) if noted_digest(found) == digest_of(found) else whole


def _with_our_metadata(found: Mapping[str, Any] | None, ours: dict[str, Any]) -> dict[str, Any]:
    attributes = (found or {}).get("attributes")
    theirs = attributes if isinstance(attributes, dict) else {}
    return {**ours, "attributes": {**theirs, **ours.get("attributes", {})}}


def changed_metadata(place: Place, root: Mapping[str, Any]) -> dict[str, str]:
    """Return which metadata are not what was noted of them, or not what the root says."""
    changed = {}
    noted = noted_digest(root)
    if noted is not None and noted != digest_of(root):
        changed[ROOT] = "the metadata are not what was written, or were changed afterwards"
    for name, node in consolidated(root).items():
        if node.get("node_type") == ARRAY and place.json(key_of(name)) != node:
            changed[key_of(name)] = "it is not what the root says of it, or not there"
    return changed


def kinds_of_nodes(place: Place, root: Mapping[str, Any]) -> dict[str, str | None]:
    """Return path -> kind of all arrays and groups, None of what does not tell; "" is the root."""
    nodes: dict[str, Any] = consolidated(root)
    if not nodes:
        keys = [key for key in place.listed() if key.endswith(f"/{ROOT}")]
        nodes = {key.removesuffix(f"/{ROOT}"): place.json(key) or {} for key in keys}
    kinds = {name: node.get("node_type") for name, node in {"": root, **nodes}.items()}
    return {name: kind if kind in (ARRAY, GROUP) else None for name, kind in kinds.items()}


def is_in_shards(node: Mapping[str, Any]) -> bool:
    """Whether each file or object of an array is a shard, and not one chunk."""
    return any(codec.get("name") == SHARDING for codec in node.get("codecs", ()))


def key_of(name: str) -> str:
    """Return where the metadata of a node are."""
    return f"{name}/{ROOT}" if name else ROOT


def consolidated(root: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return path -> metadata of all nodes, as the root has them."""
    held = root.get("consolidated_metadata")
    nodes = held.get("metadata") if isinstance(held, dict) else None
    nodes = nodes if isinstance(nodes, dict) else {}
    return {name: node for name, node in nodes.items() if isinstance(node, dict)}
