"""Scores by their names, which nobody changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn


class ScoreTable(Mapping[str, float]):
    """Scores by their names: a mapping that is equal to a dict of the same, and stays as it is.

    A read-only view of a dict, as types.MappingProxyType is one, cannot be pickled, copied or
    hashed.
    """

    __slots__ = ("_scores",)

    _scores: tuple[tuple[str, float], ...]

    def __init__(self, scores: Mapping[str, float]) -> None:
        """Take a copy of scores."""
        object.__setattr__(self, "_scores", tuple(scores.items()))

    def __getitem__(self, name: str) -> float:
        """Return the score of this name."""
        return dict(self._scores)[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names, in their order."""
        return iter([name for name, _ in self._scores])

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._scores)

    def __hash__(self) -> int:
        """Return a number that is the same of what is equal."""
        return hash(frozenset(self._scores))

    def __repr__(self) -> str:
        """Return them as a dict is shown."""
        return repr(dict(self._scores))

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how a copy is made, by pickle as well."""
        return type(self), (dict(self._scores),)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse it."""
        msg = (
            f"the scores of a calibration stay as they are: {name} cannot be set, take a dict(...)"
        )
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse it."""
        msg = f"the scores of a calibration stay as they are: {name} cannot be deleted"
        raise AttributeError(msg)
