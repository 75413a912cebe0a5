"""Where some dates lie among those of a store that has grown: their blocks along time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Blocks of a store along time, one after the other."""

    axes: Mapping[str, int]
    """Of time, by the names of the variables that have it."""
    first: int
    count: int

    def numbers(self) -> range:
        """Return the numbers of these blocks along time."""
        return range(self.first, self.first + self.count)

    def key(self, key: str) -> str:
        """Return the key that a block of these dates alone has in the store."""
        name, folder, *index = key.split("/")
        axis = self.axes[name]
        index[axis] = str(int(index[axis]) + self.first)
        return "/".join([name, folder, *index])

    def holds(self, name: str, index: Sequence[int]) -> bool:
        """Whether a block of the store is of these dates; of what has no time, each is."""
        at = index[self.axes[name]] if name in self.axes else self.first
        return at in self.numbers()

    def holds_key(self, key: str) -> bool:
        """Whether a key is that of a block of these dates."""
        name, _, *index = key.split("/")
        return all(each.isdecimal() for each in index) and self.holds(name, [*map(int, index)])
