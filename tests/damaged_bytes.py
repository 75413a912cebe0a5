"""Stores whose bytes are flipped or cut, one at a time, and what readers get of them.

There are tens of thousands of such stores. They are in memory, and what is a matter of a byte more
or less is looked at before a reader is asked.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import xarray as xr
from zarr.core.buffer import cpu
from zarr.storage import MemoryStore

import xfusion as xf
from xfusion.store.place import Place

Damage = Callable[[bytes, int], bytes]
METADATA = "zarr.json"


def flip_the_last_bit(content: bytes, place: int) -> bytes:
    """Of a digit or letter this is most often another one: 8 and 9, x and y, / and its like."""
    return _flipped(content, place, 0x01)


def flip_some_bit(content: bytes, place: int) -> bytes:
    return _flipped(content, place, 0x02 << place % 7)


def cut(content: bytes, place: int) -> bytes:
    return content[:place]


DAMAGES = [flip_the_last_bit, flip_some_bit, cut]


def _flipped(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]


def damaged(
    contents: Mapping[str, bytes], damage: Damage, every: int = 1
) -> Iterator[tuple[str, int, bytes]]:
    """Yield key, place and content for each byte of each file, or for one of so many."""
    places = ((key, place) for key, content in contents.items() for place in range(len(content)))
    for key, place in islice(places, 0, None, every):
        yield key, place, damage(contents[key], place)


def contents_of(store: MemoryStore) -> dict[str, bytes]:
    place = Place(store)
    return {key: place.read(key) or b"" for key in place.listed()}


def in_memory(contents: Mapping[str, bytes]) -> MemoryStore:
    return MemoryStore({key: cpu.Buffer.from_bytes(c) for key, c in contents.items()})


class Held(Place):
    """A store that is a dict: to be read, thousands of times."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.name = self.address = "w.zarr"
        self.contents = dict(contents)
        self.zarr: Any = None

    def listed(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self.contents if key.startswith(prefix))

    def read(self, key: str) -> bytes | None:
        return self.contents.get(key)

    def has(self, key: str) -> bool:
        return key in self.contents


def opened(
    contents: Mapping[str, bytes], *, consolidated: bool = True, without: Iterable[str] = ()
) -> xr.Dataset:
    """Return what xarray reads, but for some variables."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store: Any = in_memory(contents)
        found: xr.Dataset = xr.open_zarr(
            store, consolidated=consolidated, chunks=None, drop_variables=[*without]
        )
        return found.load()


class Reader:
    """What xarray reads of a store that differs from another one in one file.

    Metadata that are no JSON are not opened, and of the others only the variables are read that
    they are of. `tests/test_store_damage.py` compares some with all that xarray reads.
    """

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.contents = dict(contents)
        self.expected = opened(contents)
        self.names = {str(name) for name in self.expected.variables}
        self.root, self.nodes = _parsed(contents[METADATA])

    def read(self, key: str, content: bytes) -> dict[str, xr.Variable] | None:
        """Return the variables that may be others, None where there is an error."""
        names = {key.partition("/")[0]}
        try:
            if key == METADATA:
                root, nodes = _parsed(content)
                changed = {n for n, node in nodes.items() if node != self.nodes.get(n)}
                is_another = root != self.root or {*nodes} != self.names
                names = self.names if is_another else changed
            elif key.endswith(METADATA):
                json.loads(content)
            contents = {**self.contents, key: content}
            # the metadata of arrays are for those who do not read what the root says of them
            consolidated = not key.endswith(f"/{METADATA}")
            found = opened(contents, consolidated=consolidated, without=self.names - names)
            if any(found.sizes[dim] != self.expected.sizes.get(dim) for dim in found.dims):
                found = opened(contents, consolidated=consolidated)
        except Exception:  # noqa: BLE001  # any is better than wrong pixels
            return None
        return {str(name): variable for name, variable in found.variables.items()}

    def is_right_or_missing(self, name: str, found: xr.Variable) -> bool:
        """Whether each value is right, or says that nothing is known of it.

        A dim may have another name, that of no other: nobody takes it for x, say.
        """
        expected = self.expected.variables[name]
        if found.shape != expected.shape or any(
            d != dim and d in self.expected.dims
            for d, dim in zip(found.dims, expected.dims, strict=True)
        ):
            return False
        there = found.to_numpy()
        missing = there == xf.Exclusion.UNKNOWN if name == "mask" else np.isnan(there)
        return bool(((there == expected.to_numpy()) | missing).all())


def _parsed(content: bytes) -> tuple[Any, dict[str, Any]]:
    """Return the metadata at the root without attributes and arrays, and those of the arrays."""
    root = json.loads(content)
    nodes = root.get("consolidated_metadata", {}).pop("metadata", {})
    root.pop("attributes", None)
    return root, nodes
