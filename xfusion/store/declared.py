"""What the root of a store says of its levels, by the convention `multiscales` of GeoZarr."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from xfusion.datamodel.conventions import CONVENTIONS_OF_ZARR, MULTISCALES

from .geozarr import declaration, declares
from .metadata import consolidated
from .notes import digest_of, noted_digest, with_digest

FOLDER = "overviews"
OURS = re.compile(rf"{FOLDER}/([1-9][0-9]{{0,8}})")
MARKED = "xfusion_overviews"
MARK = {MARKED: True}  # of a group that add_overviews has made
UUID = "d35379db-88df-4056-af3a-620245f8e347"
GRID = ("spatial:shape", "spatial:transform")  # of a level, which are said in the list as well


def with_levels(
    root: Mapping[str, Any], mark: Mapping[str, Any], levels: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the metadata of a store that has levels.

    Parameters
    ----------
    root : mapping
        Those of the store without them.
    mark : mapping
        Of the group that holds them.
    levels : mapping
        How many pixels of the store are one of a level, along a side -> the level's metadata.
    """
    attributes = root["attributes"]
    layout: list[dict[str, Any]] = [_entry(".", attributes)]
    nodes: dict[str, Any] = {FOLDER: mark}
    for factor, level in levels.items():
        path = f"{FOLDER}/{factor}"
        made = {
            "derived_from": layout[-1]["asset"],
            "transform": {"scale": [2.0, 2.0], "translation": [0.0, 0.0]},
            "resampling_method": "average",
        }
        layout.append(_entry(path, level["attributes"]) | made)
        nodes[path] = {k: v for k, v in level.items() if k != "consolidated_metadata"}
        nodes |= {f"{path}/{name}": node for name, node in consolidated(level).items()}
    declared = attributes.get(CONVENTIONS_OF_ZARR, [])
    said = {
        **attributes,
        CONVENTIONS_OF_ZARR: [*declared, declaration(MULTISCALES, UUID)],
        MULTISCALES: {"layout": layout},
    }
    return _changed(root, said, {**consolidated(root), **nodes})


def without_levels(root: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a store as if it had no levels."""
    attributes, nodes = root.get("attributes", {}), consolidated(root)
    if not factors_of(root) and not _is_marked(nodes):
        return dict(root)
    kept = {k: v for k, v in attributes.items() if k != MULTISCALES}
    declared = [each for each in kept.pop(CONVENTIONS_OF_ZARR, []) if each.get("uuid") != UUID]
    said = kept | ({CONVENTIONS_OF_ZARR: declared} if declared else {})
    own = {k: v for k, v in nodes.items() if k.split("/")[0] != FOLDER}
    return _changed(root, {k: said[k] for k in attributes if k in said}, own)


def factors_of(root: Mapping[str, Any]) -> list[int]:
    """Return how many pixels of a store are one of each of its levels; none of others' levels."""
    attributes = root.get("attributes", {})
    listed = attributes.get(MULTISCALES) if isinstance(attributes, dict) else None
    layout = listed.get("layout") if isinstance(listed, dict) else None
    if not isinstance(layout, list) or not declares(attributes, UUID):
        return []
    if "consolidated_metadata" in root and not _is_marked(consolidated(root)):
        return []
    assets = [each.get("asset") if isinstance(each, dict) else None for each in layout]
    numbers = [OURS.fullmatch(str(asset)) for asset in assets if asset != "."]
    return [int(number[1]) for number in numbers if number] if all(numbers) else []


def _is_marked(nodes: Mapping[str, Any]) -> bool:
    return MARKED in nodes.get(FOLDER, {}).get("attributes", {})


def _entry(path: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"asset": path} | {key: attributes[key] for key in GRID if key in attributes}


def _changed(
    root: Mapping[str, Any], attributes: Mapping[str, Any], nodes: Mapping[str, Any]
) -> dict[str, Any]:
    changed = {**root, "attributes": attributes}
    # a repository of Icechunk has all metadata in one place itself
    if "consolidated_metadata" in root:
        held = {**root["consolidated_metadata"], "metadata": nodes}
        changed["consolidated_metadata"] = held
    # one that was not what was written stays so: xf.verify tells it
    return with_digest(changed) if noted_digest(root) == digest_of(root) else changed
