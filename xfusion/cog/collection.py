"""The STAC collection of a series: the items of all its times that lie beside it."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import xarray as xr

from xfusion.datamodel.caller import warn

from .item import EXTENSIONS, fields_of

if TYPE_CHECKING:
    import pystac

ITEM, COLLECTION = "item", "collection"
TIME = r"\d{4,}T\d{6}_"  # as names of files have it
OF_ONE_FILE = ("href", "file:size", "file:checksum")
OWN = ("item", "self", "root")  # links that are written anew
PREFIXES = {"projection": "proj"}  # of the fields of extensions, where it is not their name

# Given what names match, it returns the content of each file of such a name that is there.
Look: TypeAlias = Callable[[re.Pattern[str]], Mapping[str, bytes]]


@dataclass(frozen=True)
class CollectionFile:
    """The file of a collection, and what it is made of."""

    path: Path
    collection_id: str
    prefix: str
    items: Mapping[str, pystac.Item]
    """Name of the file -> item, of those that are written."""
    description: str
    look: Look

    @classmethod
    def of(
        cls,
        cube: xr.Dataset,
        path: Path,
        collection_id: str,
        prefix: str,
        items: Mapping[Path, pystac.Item],
        look: Look,
    ) -> Self:
        """Return that of a cube, and let its items say that they belong to it."""
        import pystac

        for item in items.values():
            item.collection_id = collection_id
            for rel in ("root", "parent", COLLECTION):
                item.add_link(pystac.Link(rel, f"./{path.name}", pystac.MediaType.JSON))
        of = f" of {cube.attrs['sensor']}" if "sensor" in cube.attrs else ""
        *names, last = map(str, cube.data_vars)
        description = f"{', '.join(names)} and {last}{of}, an item for each time."
        named = {of_item.name: item for of_item, item in items.items()}
        return cls(path, collection_id, prefix, named, description, look)

    def refuse_another(self, *, overwrite: bool) -> None:
        """Refuse to replace a file that is not this collection.

        Raises
        ------
        FileExistsError
            Unless `overwrite`; in any case, if it is a folder.
        """
        if self.path.is_dir():
            msg = f"{self.path} exists, and is a folder: choose another folder or prefix"
            raise FileExistsError(errno.EEXIST, msg)
        content = self.look(re.compile(re.escape(self.path.name))).get(self.path.name)
        if content is not None and self._known(content) is None and not overwrite:
            msg = (
                f"{self.path} exists, and is not the collection {self.collection_id!r}: pass "
                "overwrite=True to replace it, or another folder or prefix"
            )
            raise FileExistsError(errno.EEXIST, msg)

    def write(self, folder: Path) -> None:
        """Write it, for the items that are written and those of other times that are there."""
        own = re.escape(self.prefix)
        names = rf"{re.escape(self.path.name)}|{own}{TIME}{ITEM}\.json"
        there = dict(self.look(re.compile(names)))
        known = self._known(there.pop(self.path.name, b""))
        members = {name: self._member(name, content) for name, content in there.items()}
        of_others = {name: item for name, item in members.items() if item is not None}
        fields = self._fields({**of_others, **self.items}, known or {})
        made = folder / f"{self.path.name}.new"
        text = json.dumps(fields, indent=2, allow_nan=False) + "\n"
        made.write_text(text, encoding="utf-8")
        made.replace(folder / self.path.name)

    def _known(self, content: bytes) -> dict[str, Any] | None:
        """Return the fields of this collection as they are there, None if that is another thing."""
        try:
            fields = json.loads(content)
        except (ValueError, RecursionError):
            return None
        is_this = isinstance(fields, dict) and fields.get("type") == "Collection"
        return fields if is_this and fields.get("id") == self.collection_id else None

    def _member(self, name: str, content: bytes) -> pystac.Item | None:
        """Return an item that is there, None if it is of no collection or of another."""
        import pystac

        try:
            fields = json.loads(content)
            if fields.get("collection") != self.collection_id:
                return None
            item = pystac.Item.from_dict(fields)
            pystac.Extent.from_items([item])
        except (
            *(AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError),
            *(pystac.STACError, pystac.STACTypeError),
        ) as error:
            msg = f"{self.path.parent / name} is left out of {self.path.name}, it is no item: "
            warn(f"{msg}{type(error).__name__}: {error}")
            return None
        return item

    def _fields(self, items: Mapping[str, pystac.Item], known: Mapping[str, Any]) -> dict[str, Any]:
        """Return the collection of items; what else is known of it, such as a license, stays."""
        import pystac

        extent = pystac.Extent.from_items(items.values())
        extent.spatial = pystac.SpatialExtent([_box([item.bbox or [] for item in items.values()])])
        fields = pystac.Collection(
            id=self.collection_id, description=self.description, extent=extent
        ).to_dict(include_self_link=False, transform_hrefs=False)
        assets = _item_assets([*items.values()])
        used = {key.partition(":")[0] for asset in assets.values() for key in asset if ":" in key}
        extensions = [uri for name, uri in EXTENSIONS.items() if PREFIXES.get(name, name) in used]
        links = known.get("links")
        kept = [
            link
            for link in (links if isinstance(links, list) else [])
            if isinstance(link, dict) and link.get("rel") not in OWN
        ]
        root = {"rel": "root", "href": f"./{self.path.name}", "type": str(pystac.MediaType.JSON)}
        members = [
            {"rel": "item", "href": f"./{name}", "type": str(pystac.MediaType.GEOJSON)}
            for name in sorted(items)
        ]
        described = {k: v for k, v in known.items() if k not in ("links", "stac_extensions")}
        more = known.get("stac_extensions")
        return (
            fields
            | described
            | {
                "stac_version": fields["stac_version"],
                "stac_extensions": [
                    *dict.fromkeys([*(more if isinstance(more, list) else []), *extensions])
                ],
                "extent": fields["extent"],
                "item_assets": assets,
                "links": [root, *kept, *members],
            }
        )


def _item_assets(items: Sequence[pystac.Item]) -> dict[str, dict[str, Any]]:
    """Return what the assets of a name say alike in all items."""
    assets: dict[str, dict[str, Any]] = {}
    for item in items:
        for name, asset in fields_of(item)["assets"].items():
            said = _of_all_files(asset)
            alike = assets.setdefault(name, said)
            assets[name] = {k: v for k, v in alike.items() if k in said and said[k] == v}
    return assets


def _of_all_files(asset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an asset says without what is so of the pixels of its one file."""
    said = {key: value for key, value in asset.items() if key not in OF_ONE_FILE}
    for key, counted in (("bands", "statistics"), ("classification:classes", "count")):
        if key in said:
            said[key] = [{k: v for k, v in each.items() if k != counted} for each in said[key]]
    return said


def _box(boxes: Sequence[Sequence[float]]) -> list[float]:
    """Return the box around boxes; across the antimeridian its west is east of its east."""
    flat = [[*box[:2], *box[len(box) // 2 : len(box) // 2 + 2]] for box in boxes if box]
    if not any(west > east for west, _, east, _ in flat):
        wests, souths, easts, norths = zip(*flat, strict=True)
        return [min(wests), min(souths), max(easts), max(norths)]
    # counted eastwards from Greenwich
    spans = [
        (west % 360, west % 360 + (east - west) + 360 * (west > east)) for west, _, east, _ in flat
    ]
    west, east = min(start for start, _ in spans), max(end for _, end in spans)
    south, north = min(box[1] for box in flat), max(box[3] for box in flat)
    if east - west >= 360:  # noqa: PLR2004  # degrees around the earth
        return [-180.0, south, 180.0, north]
    return [_wrapped(west), south, _wrapped(east), north]


def _wrapped(longitude: float) -> float:
    return (longitude + 180) % 360 - 180


def contents_of(folder: Path, names: re.Pattern[str]) -> dict[str, bytes]:
    """Return the content of the files of a folder whose names match."""
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    return {
        path.name: path.read_bytes()
        for path in there
        if names.fullmatch(path.name) and path.is_file()
    }
